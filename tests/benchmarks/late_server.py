"""An HTTP server that answers every request after a fixed time: `python -m ...late_server PORT DELAY_S TIMES_FILE`.

It does as little as it can, so that what is measured is the crawler and not this. At SIGTERM it writes when requests
came (monotonic seconds, one a line).
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import cast

from tests.benchmarks.pages import page

_END_OF_HEAD = b"\r\n\r\n"
_MAX_CONNECTIONS_WAITING = 4096


def _answer(body: bytes, content_type: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_PAGE = _answer(page("A late page", [f"/p/{number}" for number in range(10)]).encode(), "text/html; charset=utf-8")
_ROBOTS = _answer(b"User-agent: *\nDisallow:\n", "text/plain")


class _LateAnswers(asyncio.Protocol):
    def __init__(self, delay_s: float, times: list[float]) -> None:
        self._delay_s = delay_s
        self._times = times
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(_END_OF_HEAD)
        for head in heads:
            self._times.append(time.monotonic())
            answer = _ROBOTS if head.startswith(b"GET /robots.txt ") else _PAGE
            asyncio.get_running_loop().call_later(self._delay_s, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(port: int, delay_s: float, times: list[float]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(
        lambda: _LateAnswers(delay_s, times), "127.0.0.1", port, backlog=_MAX_CONNECTIONS_WAITING
    )
    await stop.wait()
    server.close()


def main() -> None:
    """Serve until SIGTERM."""
    from uvloop import new_event_loop

    port, delay_s, file = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    times: list[float] = []
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(port, delay_s, times))
    file.write_text("".join(f"{moment}\n" for moment in times))


if __name__ == "__main__":
    main()
