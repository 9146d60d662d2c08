"""What an exchange holds: the bytes of one request and its response, through whatever they went; and what is kept."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from crawler.exchange import Cut, Exchange
from crawler.memory import MemoryBudget
from crawler.records import Failure, Response
from crawler.warc.capture import read_capture, records_of
from crawler.warc.message import read_message, redacted_request, redacted_response, unchunked
from crawler.warc.record import Record
from tests.integration.proxies import Proxy
from tests.integration.rawserver import RawServer, ok, opened_fetcher


def blocks(exchange: Exchange) -> list[tuple[dict[str, str], bytes]]:
    """Of the records: response, request, metadata."""
    captured = records_of(read_capture(exchange, url_id=0, depth=0), None)
    return [(dict(record.fields), record.block) for record, _indexed in captured.records]


async def echo(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(ok(head.split(b" ")[1]))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_requests_on_one_connection_are_kept_apart(new_loop: object) -> None:
    exchanges: list[Exchange] = []

    async def fetch() -> None:
        async with RawServer(echo) as server, opened_fetcher() as fetcher:
            for path in "abc":
                await fetcher.fetch(f"{server.url}/{path}", record=exchanges.append)
            assert server.connections == 1
            assert [exchange.request for exchange in exchanges] == server.requests

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        runner.run(fetch())
    assert [b"".join(exchange.response) for exchange in exchanges] == [ok(b"/a"), ok(b"/b"), ok(b"/c")]
    assert [exchange.cut for exchange in exchanges] == [None] * 3


async def test_nothing_is_written_down_unless_somebody_wants_it() -> None:
    async with RawServer(ok()) as server, opened_fetcher() as fetcher:
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)


async def test_what_never_came_is_an_empty_response() -> None:
    exchanges: list[Exchange] = []
    async with RawServer(ok()) as server:
        url = f"{server.url}/"
    async with opened_fetcher() as fetcher:
        assert isinstance(await fetcher.fetch(url, record=exchanges.append), Failure)
    (exchange,) = exchanges
    assert (exchange.request, exchange.response) == (b"", [])


async def test_a_proxy_is_sent_the_whole_url_and_its_password_is_not_kept() -> None:
    exchanges: list[Exchange] = []
    async with (
        RawServer(ok()) as server,
        Proxy(credentials="me:pw") as proxy,
        opened_fetcher(proxy=proxy.url("http", "me:pw")) as fetcher,
    ):
        await fetcher.fetch(f"{server.url}/x", record=exchanges.append)
        url = server.url
    (response, _body), (request, sent), _metadata = blocks(exchanges[0])
    assert sent.startswith(f"GET {url}/x HTTP/1.1\r\n".encode())
    assert b"\r\nProxy-Authorization: [removed]\r\n" in sent
    assert request["Crawler-Replaced-Fields"] == "Proxy-Authorization"
    assert "WARC-IP-Address" not in response


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_what_goes_through_a_tunnel_is_kept_and_the_tunnel_is_not(scheme: str) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(serving)
    exchanges: list[Exchange] = []
    async with (
        RawServer(ok(), tls=serving) as server,
        Proxy(credentials="me:pw") as proxy,
        opened_fetcher(proxy=proxy.url(scheme, "me:pw"), insecure=True) as fetcher,
    ):
        await fetcher.fetch(f"{server.url}/x", record=exchanges.append)
    (exchange,) = exchanges
    assert exchange.request.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"roxy" not in exchange.request
    assert b"".join(exchange.response) == ok()
    assert exchange.protocols == ("tls/1.3",)


def test_what_came_counts_in_the_memory_budget_until_it_is_written() -> None:
    budget = MemoryBudget(1000)
    exchange = Exchange("http://a.test/", "GET", budget.share())
    exchange.hear(bytes(300))
    exchange.hear(bytes(900))  # it is there: nobody was asked
    assert budget.free == -200
    exchange.end()
    exchange.hear(bytes(50))
    assert (budget.free, exchange.size) == (-200, 1200)
    assert budget.waits_for_parsers
    body = budget.share()
    assert body.try_take(10)  # one at a time may overdraw
    assert not budget.share().try_take(10)
    exchange.give_back()
    assert budget.free == 990
    assert exchange.response == []
    assert not budget.waits_for_parsers


# --- messages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "kept", "names"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: s\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: [removed]\r\n\r\n", ["X"]),
        (b"GET / H\nCookie: s\n more\nAccept: x\n\n", b"GET / H\nCookie: [removed]\nAccept: x\n\n", ["Cookie"]),
        (b"GET http://u:s@a/ HTTP/1.1\r\n\r\n", b"GET http://a/ HTTP/1.1\r\n\r\n", []),
        (b"GET /a@b HTTP/1.1\r\n\r\n", b"GET /a@b HTTP/1.1\r\n\r\n", []),
    ],
)  # fmt: skip
def test_a_request_is_kept_without_what_may_be_secret(head: bytes, kept: bytes, names: list[str]) -> None:
    assert redacted_request(head) == (kept, names)


@pytest.mark.parametrize(
    ("head", "kept", "names"),
    [
        (b"HTTP/1.1 200\r\nSet-Cookie : s\r\n\r\n", b"HTTP/1.1 200\r\nSet-Cookie : [removed]\r\n\r\n", ["Set-Cookie"]),
        (b"H\r\nset-cookie2: s\r\n\ts\r\n\r\n", b"H\r\nset-cookie2: [removed]\r\n\r\n", ["set-cookie2"]),
        (b"H\r\nLocation: //u:s@a/?x=@\r\n\r\n", b"H\r\nLocation: //a/?x=@\r\n\r\n", ["Location"]),
        (b"H\r\nServer: a@b\r\n c\r\n\r\n", b"H\r\nServer: a@b\r\n c\r\n\r\n", []),
    ],
)  # fmt: skip
def test_a_response_is_kept_without_cookies_and_passwords_in_urls(head: bytes, kept: bytes, names: list[str]) -> None:
    assert redacted_response(head) == (kept, names)


@pytest.mark.parametrize(
    ("raw", "head", "body", "status", "interim"),
    [
        (b"HTTP/1.1 200 OK\n\nx", b"HTTP/1.1 200 OK\n\n", b"x", 200, 0),
        (b"\r\n\r\nHTTP/1.0 404 No\r\n\r\n", b"HTTP/1.0 404 No\r\n\r\n", b"", 404, 0),
        (
            b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/2 200\r\n\r\ny",
            b"HTTP/2 200\r\n\r\n",
            b"y",
            200,
            2,
        ),
        (b"HTTP/1.1 101 Switching\r\n\r\nz", b"HTTP/1.1 101 Switching\r\n\r\n", b"z", 101, 0),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"", None, 0),
        (b"220 ftp\r\n\r\n", b"220 ftp\r\n\r\n", b"", None, 0),
        (b"", b"", b"", None, 0),
    ],
)
def test_a_response_is_found_in_what_came(
    raw: bytes, head: bytes, body: bytes, status: int | None, interim: int
) -> None:
    message = read_message(raw)
    assert (message.head, message.body, message.status, message.interim) == (head, body, status, interim)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"2;x=y\nab\n1\r\nc\r\n0\r\nTrailer: 1\r\n\r\n", b"abc"),
        (b"a\r\nonly this", b"only this"),
        (b"5\r\nab", b"ab"),
        (b"no size", b""),
        (b"ffffffffffffffff\r\nab", b"ab"),
    ],
)
def test_chunks_are_put_together(body: bytes, payload: bytes) -> None:
    assert unchunked(body) == payload


_PIECES = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 E\r\n", b"HTTP/1.1 304 N\r\n", b"\r\n", b"\n", b"Set-Cookie: s3cret\r\n",
     b"\ts3cret\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Type: text/html\r\n", b"5\r\nabcde\r\n",
     b"0\r\n\r\n", b"fffffffffffffff\r\n"]
)  # fmt: skip


def test_what_a_response_is_cut_to_keeps_what_came_before_it() -> None:
    exchange = Exchange("http://a.test/", "GET", MemoryBudget(1000).share())
    exchange.hear(b"HTTP/1.1 103 E\r\n\r\n" + ok(b"body") + b"behind")
    exchange.body_bytes = 4
    capture = read_capture(exchange, url_id=0, depth=0)
    assert (capture.message.body, capture.message.interim) == (b"body", 1)


def test_equal_payloads_in_other_chunks_are_equal_and_in_another_coding_are_not() -> None:
    def key(head: bytes, body: bytes) -> bytes | None:
        exchange = Exchange("http://a.test/", "GET", MemoryBudget(1000).share())
        exchange.hear(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)
        return read_capture(exchange, url_id=0, depth=0).key

    chunked = b"Transfer-Encoding: chunked\r\n"
    assert key(chunked, b"4\r\nbody\r\n0\r\n\r\n") == key(chunked, b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n")
    assert (
        len({key(chunked, b"4\r\nbody\r\n0\r\n\r\n"), key(b"", b"body"), key(b"Content-Encoding: br\r\n", b"body")})
        == 3
    )


@given(st.lists(_PIECES | st.binary(max_size=9)), st.sampled_from([None, *Cut]), st.none() | st.integers(0, 99))
def test_whatever_comes_makes_records(pieces: list[bytes], cut: Cut | None, body_bytes: int | None) -> None:
    exchange = Exchange("http://a.test/", "GET", MemoryBudget(1000).share())
    exchange.say(b"GET / HTTP/1.1\r\n\r\n")
    for piece in pieces:
        exchange.hear(piece)
    exchange.cut, exchange.body_bytes = cut, body_bytes
    for fields, block in blocks(exchange):
        assert "\n" not in "".join([*fields, *fields.values()])
        assert Record(fields=[*fields.items()], block=block).member()
