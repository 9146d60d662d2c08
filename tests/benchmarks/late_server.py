"""An HTTP server that answers every request after a fixed time: `python -m ...late_server ADDRESS PORT DELAY_S FILE`.

It does as little as it can, so that what is measured is the crawler and not this. At SIGTERM it writes to the file, as
JSON, when requests came (`times`, monotonic seconds), and how many connections (`most_open`) and requests
(`most_waiting`) it had at once.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
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


@dataclass(slots=True)
class _Seen:
    times: list[float] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    waiting: int = 0
    most_waiting: int = 0


class _LateAnswers(asyncio.Protocol):
    def __init__(self, delay_s: float, seen: _Seen) -> None:
        self._delay_s = delay_s
        self._seen = seen
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._seen.open += 1
        self._seen.most_open = max(self._seen.most_open, self._seen.open)
        if not transport.get_extra_info("peername")[0].startswith("127."):
            self._transport.abort()  # nothing of a socket that listens everywhere is for others than this machine

    def connection_lost(self, _error: Exception | None) -> None:
        self._seen.open -= 1

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(_END_OF_HEAD)
        for head in heads:
            self._seen.times.append(time.monotonic())
            self._seen.waiting += 1
            self._seen.most_waiting = max(self._seen.most_waiting, self._seen.waiting)
            answer = _ROBOTS if head.startswith(b"GET /robots.txt ") else _PAGE
            asyncio.get_running_loop().call_later(self._delay_s, self._send, answer)

    def _send(self, answer: bytes) -> None:
        self._seen.waiting -= 1
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(address: str, port: int, delay_s: float, seen: _Seen) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(
        lambda: _LateAnswers(delay_s, seen), address, port, backlog=_MAX_CONNECTIONS_WAITING
    )
    await stop.wait()
    server.close()


def main() -> None:
    """Serve until SIGTERM."""
    from uvloop import new_event_loop

    address, port, delay_s, file = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    seen = _Seen()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(address, port, delay_s, seen))
    file.write_text(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
