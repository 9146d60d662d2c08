"""What holds of what the other end of a connection sends, a server or a proxy."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.network.fetcher import HttpFetcher, open_fetcher
from crawler.network.tunnel import ProxyError, _Dialogue
from crawler.proxy import ProxyServer
from crawler.records import Failure, Response
from tests.fuzz.documents import cut, expect_one_line, is_storable
from tests.integration.rawserver import Answer, RawServer

NETWORK = NetworkConfig(allow_private=("127.0.0.0/8",), timeout_s=2, max_bytes=1000)
_HEAD = ("content_type", "location", "retry_after", "etag", "last_modified", "date")


async def check_answer(data: bytes, places: Sequence[int] = ()) -> Response | Failure:
    """An answer whose every text can be stored, or a failure in one line; the same however its bytes arrive."""
    counters = Counters()
    async with (
        RawServer(_slowly([data]), closing=True) as at_once,
        RawServer(_slowly(cut(data, places)), closing=True) as in_pieces,
        open_fetcher(NETWORK, PolitenessConfig(delay_s=0), counters) as fetcher,
    ):
        answer = await _fetch(fetcher, at_once.url)
        other = await _fetch(fetcher, in_pieces.url)
        assert counters.in_flight == 0
    assert _said(answer) == _said(other)
    return answer


def _slowly(pieces: Sequence[bytes]) -> Answer:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            for _turn in range(3):  # of the event loop: by then the client has read it
                await asyncio.sleep(0)

    return answer


async def _fetch(fetcher: HttpFetcher, url: str) -> Response | Failure:
    answer = await fetcher.fetch(f"{url}/")
    assert answer.address == "127.0.0.1"
    if isinstance(answer, Failure):
        expect_one_line(answer.message)
        return answer
    assert 200 <= answer.status_code <= 999
    assert len(answer.body) <= NETWORK.max_bytes
    for text in (*answer.robots_tags, *filter(None, (getattr(answer, name) for name in _HEAD))):
        assert is_storable(text)
        assert not re.search(r"[\0-\x1f\x7f-\x9f]", text)
    return answer


def _said(answer: Response | Failure) -> tuple[object, ...]:
    if isinstance(answer, Failure):
        return (answer.kind,)
    return answer.status_code, answer.body, answer.truncated, answer.robots_tags, *(getattr(answer, n) for n in _HEAD)


async def check_proxy(scheme: str, data: bytes, credentials: tuple[str, str] | None = None) -> None:
    """A tunnel at whose end stands what the target said, all of it; or a failure in one line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        dialogue = _Dialogue(ours, ProxyServer(scheme=scheme, host="proxy.test", port=1, credentials=credentials))
        try:
            await (dialogue.ask_http if scheme == "http" else dialogue.ask_socks)("a.test", 443)
        except ProxyError as error:
            expect_one_line(str(error))
            return
        behind = ours.recv(len(data) + 1)
    if scheme == "http":
        head, _, target = data.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.[01] 2\d\d(?: |\r|$)", head)
        assert behind == target
    else:
        start = {0: 2, 2: 4}[data[1]]
        assert data[start : start + 2] == b"\5\0"
        length = {1: 4, 3: 1 + data[start + 4], 4: 16}.get(data[start + 3], 1 + data[start + 4])
        assert behind == data[start + 4 + length + 2 :]
