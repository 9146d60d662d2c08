"""One fetch against servers that say exactly what a test wants."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import brotli  # type: ignore[import-untyped]
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.config import MIB, NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.fetching import any_type
from crawler.memory import MemoryBudget
from crawler.network.attempt import Attempt, Common, KeptConnections
from crawler.network.body import DRAIN_PATIENCE_S, DRAINED_BYTES
from crawler.network.deadlines import Deadlines
from crawler.network.failures import explain
from crawler.network.fetcher import HttpFetcher, open_fetcher, request_target
from crawler.network.lag import LoopLag
from crawler.records import Failure, FailureKind, Response
from crawler.urls import normalize, origin_of
from tests.fuzz.connections import check_answer
from tests.integration.rawserver import Answer, DnsServer, RawServer, drip, ok

EAGER = PolitenessConfig(delay_s=0, per_host=64)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# --- the request ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a?",
        "/?",
        "/a?b=c&b=d",
        "/~x/%7Ex",
        "/%zz",
        "/%",
        "/a?b=%41|c",
        "/a|b^c`d",
        "//x",
        "/a//b/",
        "/a%2Fb%2e%2E",
        "/a?x=1?y=2",
        "/a?/../b",
        "/%E4%F6",
        "/a;b=c,d!$&'()*+=:@",
        "/a?q='%22[]{}\\",
        "/%00",
        "/+%20+?a+b=%20+",
    ],
)
async def test_the_request_line_is_exactly_what_the_normalized_url_says(target: str) -> None:
    async with RawServer(ok()) as server, opened() as (fetcher, _counters):
        url = normalize(f"{server.url}{target}")
        assert url is not None
        await fetcher.fetch(url)
        line = server.requests[0].split(b"\r\n")[0].decode()
        assert line == f"GET {url.removeprefix(server.url)} HTTP/1.1"
        assert line == f"GET {target} HTTP/1.1" or target in ("/a|b^c`d", "/a?q='%22[]{}\\")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com/", "example.com"),
        ("http://example.com:80/", "example.com"),
        ("http://example.com:8080/", "example.com:8080"),
        ("https://example.com/", "example.com"),
        ("https://example.com:80/", "example.com:80"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("http://a_b.example/", "a_b.example"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_default(url: str, host: str) -> None:
    normal = normalize(url) or ""
    target = request_target(normal, origin_of(normal))
    assert (str(target), target.host_port_subcomponent) == (normal, host)


async def test_the_host_header_at_the_server() -> None:
    async with (
        RawServer(ok()) as v4,
        RawServer(ok(), host="::1") as v6,
        DnsServer({"name.test": ["127.0.0.1"]}) as dns,
        opened(dns_server=dns.address) as (fetcher, _counters),
    ):
        for url in (v4.url, v6.url, f"http://name.test:{v4.port}"):
            assert isinstance(await fetcher.fetch(f"{url}/"), Response)
        assert f"\r\nHost: 127.0.0.1:{v4.port}\r\n".encode() in v4.requests[0]
        assert f"\r\nHost: [::1]:{v6.port}\r\n".encode() in v6.requests[0]
        assert f"\r\nHost: name.test:{v4.port}\r\n".encode() in v4.requests[1]


async def test_headers_of_one_request_are_sent_with_it_alone() -> None:
    async with RawServer(ok()) as server, opened() as (fetcher, _counters):
        await fetcher.fetch(f"{server.url}/", headers={"If-None-Match": '"x"', "Accept": "text/plain"})
        await fetcher.fetch(f"{server.url}/")
    assert b'\r\nIf-None-Match: "x"\r\n' in server.requests[0]
    assert server.requests[0].count(b"Accept: ") == 1
    assert b"If-None-Match" not in server.requests[1]


async def test_credentials_go_to_their_origin_only() -> None:
    headers = {"authorization": "Bearer s3cret", "COOKIE": "sid=s3cret", "X-Team": "search"}
    async with (
        RawServer(ok()) as seed,
        RawServer(ok()) as other,
        opened(headers=headers) as (fetcher, _counters),
    ):
        fetcher.trust_origin(seed.url)
        await fetcher.fetch(f"{seed.url}/")
        await fetcher.fetch(f"{other.url}/")
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in seed.requests[0]
    assert b"\r\nCookie: sid=s3cret\r\n" in seed.requests[0]
    assert b"X-Team: search" in other.requests[0]
    assert b"s3cret" not in other.requests[0]


@pytest.mark.parametrize("trusted_first", [True, False])
async def test_a_urls_own_credentials_win_over_the_header(trusted_first: bool) -> None:
    async with RawServer(ok()) as server, opened(headers={"Authorization": "Bearer x"}) as (fetcher, _counters):
        if trusted_first:
            fetcher.trust_origin(server.url)
        fetcher.authorize(server.url, "jörg", "p:w")
        fetcher.trust_origin(server.url)
        await fetcher.fetch(f"{server.url}/")
    assert server.requests[0].count(b"uthorization:") == 1
    assert b"\r\nAuthorization: Basic asO2cmc6cDp3\r\n" in server.requests[0]


async def test_credentials_in_the_url_are_neither_sent_nor_shown() -> None:
    async with RawServer(ok()) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url.replace('://', '://me:s3cret@')}/")
        assert "s3cret" not in repr(answer)
        assert b"Authorization" not in server.requests[0]


async def test_secrets_are_in_no_failure() -> None:
    refusals = [b"", b"nonsense s3cret", b"HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n", CHUNKED + b"s3cret\r\n"]
    for refusal in refusals:
        async with RawServer(refusal, closing=True) as server, opened() as (fetcher, _counters):
            fetcher.authorize(server.url, "me", "s3cret")
            answer = await fetcher.fetch(f"{server.url}/")
            assert isinstance(answer, Failure)
            assert "s3cret" not in repr(answer)


async def test_the_sender_is_told_once_and_when_the_request_is_out() -> None:
    told: list[tuple[int, int]] = []
    async with RawServer(ok()) as server, opened() as (fetcher, counters):
        for _ in range(2):
            await fetcher.fetch(f"{server.url}/", on_sent=lambda: told.append((counters.requests, counters.in_flight)))
        assert told == [(1, 1), (2, 1)]
    await fetch_from(refused_port(), on_sent_list=told)
    assert len(told) == 2


# --- the answer ----------------------------------------------------------------------------------------------------


async def test_an_answer_comes_with_all_that_its_head_says() -> None:
    fields = (
        "Content-Type: text/html; charset=utf-8",
        'ETag: "abc"',
        "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT",
        "X-Robots-Tag: noindex",
        "x-robots-tag: otherbot: nofollow",
        "Retry-After: 120",
    )
    async with RawServer(ok(b"<p>hi", *fields)) as server, opened() as (fetcher, counters):
        before = time.time()
        first = await fetcher.fetch(f"{server.url}/")
        second = await fetcher.fetch(f"{server.url}/")
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert before <= first.started_at <= second.started_at <= time.time()
    named = [field.split(": ", 1) for field in fields]
    assert first == Response(
        url=f"{server.url}/",
        status_code=200,
        body=b"<p>hi",
        size=5,
        content_type="text/html; charset=utf-8",
        etag='"abc"',
        last_modified="Tue, 15 Nov 1994 12:45:26 GMT",
        robots_tags=("noindex", "otherbot: nofollow"),
        retry_after="120",
        address="127.0.0.1",
        started_at=first.started_at,
        elapsed_s=first.elapsed_s,
        first_byte_s=first.first_byte_s,
        head=(*((name.encode(), value.encode()) for name, value in named), (b"Content-Length", b"5")),
    )
    assert (first.reused, second.reused) == (False, True)
    assert second.address == "127.0.0.1"
    assert (counters.bytes, counters.requests, counters.in_flight) == (10, 2, 0)


async def test_the_time_to_the_first_byte_ends_with_the_head_and_not_with_the_body() -> None:
    """The body is sent once the head has been read, so what is measured later is longer."""
    read = asyncio.Event()
    read_at = 0.0

    def is_read(_content_type: str | None) -> bool:
        nonlocal read_at
        read_at = time.perf_counter()
        read.set()
        return True

    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await read.wait()
        await asyncio.sleep(0.2)
        writer.write(b"<p>hi")

    async with RawServer(answer) as server, opened() as (fetcher, _counters):
        asked_at = time.perf_counter()
        answered = await fetcher.fetch(f"{server.url}/", readable=is_read)
    assert isinstance(answered, Response), answered
    assert answered.body == b"<p>hi"
    assert answered.first_byte_s is not None
    assert answered.first_byte_s <= read_at - asked_at


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/caf\xc3\xa9", "/café"),
        (b"/caf\xe9", "/café"),
        (b"/a\tb\x01c\x7f", "/a b c"),
        (b"/\xc2\x85\xff", "/Â ÿ"),
        (b"/%E9 x", "/%E9 x"),
        (b"/\xed\xa0\x80", "/í\xa0 "),
        (b"", ""),
    ],
)
async def test_header_values_are_proper_text(raw: bytes, text: str) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nETag: " + raw + b"\r\n\r\n"
    async with RawServer(head) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert answer.etag is not None
    assert answer.etag == text.strip(" ")
    answer.etag.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "text", "asked_for"),
    [
        (b"/caf\xc3\xa9", "/café", "/caf%C3%A9"),
        (b"/caf\xe9", "/caf%E9", "/caf%E9"),
        (b"/caf\xe9?\xc3\xa9", "/caf%E9?%C3%A9", "/caf%E9?%C3%A9"),
        (b"/a\tb\x01c\x7f", "/ab%01c%7F", "/ab%01c%7F"),
        (b"/\xc2\x85", "/%C2%85", "/%C2%85"),
        (b"/\xc2\x85\xff", "/%C2%85%FF", "/%C2%85%FF"),
        (b"/%E9 x", "/%E9 x", "/%E9%20x"),
        (b"/\xed\xa0\x80", "/%ED%A0%80", "/%ED%A0%80"),
        (b"\t/a\t", "/a", "/a"),
        (b"", "", "/"),
    ],
)
async def test_a_header_that_is_a_url_keeps_its_bytes(raw: bytes, text: str, asked_for: str) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + raw + b"\r\nRefresh: " + raw + b"\r\n\r\n"
    async with RawServer(head) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert (answer.location, answer.refresh) == (text, text)
    assert normalize(text, f"{server.url}/") == server.url + asked_for


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_answers_and_not_followed(status: str) -> None:
    async with RawServer(ok(b"moved", "Location: /there", status=status)) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response)
        assert (answer.status_code, answer.location, answer.read) == (int(status[:3]), "/there", False)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 203, 299])
async def test_bodies_of_successes_are_read(status: int) -> None:
    async with RawServer(ok(status=f"{status} x")) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response)
        assert (answer.status_code, answer.body, answer.read) == (status, b"hello", True)


@pytest.mark.parametrize("status", [300, 304, 400, 404, 410, 429, 500, 503, 999])
async def test_other_bodies_are_not_but_the_connection_lives_on(status: int) -> None:
    raw = f"HTTP/1.1 {status} x\r\n\r\n".encode() if status == 304 else ok(status=f"{status} x")
    async with RawServer(raw) as server, opened() as (fetcher, counters):
        for _ in range(3):
            answer = await fetcher.fetch(f"{server.url}/")
            assert isinstance(answer, Response), answer
            assert (answer.status_code, answer.body, answer.read) == (status, b"", False)
        assert server.connections == 1
        assert counters.bytes == 0


async def test_a_success_without_content_is_an_empty_body() -> None:
    async with RawServer(b"HTTP/1.1 204 No Content\r\n\r\n") as server, opened() as (fetcher, _counters):
        for _ in range(2):
            answer = await fetcher.fetch(f"{server.url}/")
            assert isinstance(answer, Response), answer
            assert (answer.body, answer.read, answer.size) == (b"", True, 0)
        assert server.connections == 1


async def test_interim_answers_are_passed_over() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + ok()
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response)
        assert (answer.status_code, answer.body) == (200, b"hello")


@pytest.mark.parametrize(
    ("size", "connections"), [(10, 1), (DRAINED_BYTES, 1), (MIB, 2)], ids=["tiny", "small", "large"]
)
async def test_types_that_are_not_read_are_drained_where_that_is_cheaper(size: int, connections: int) -> None:
    asked: list[str | None] = []

    def readable(content_type: str | None) -> bool:
        asked.append(content_type)
        return False

    async with RawServer(ok(bytes(size), "Content-Type: image/png")) as server, opened() as (fetcher, counters):
        for _ in range(2):
            answer = await fetcher.fetch(f"{server.url}/", readable=readable)
            assert isinstance(answer, Response)
            assert (answer.read, answer.body, answer.size, answer.truncated) == (False, b"", size, False)
        assert asked == ["image/png"] * 2
        assert server.connections == connections
        assert counters.bytes == 0


async def test_a_stream_without_a_length_is_left_at_once() -> None:
    async def stream(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await writer.drain()
        await asyncio.Event().wait()

    async with RawServer(stream) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/", readable=lambda _type: False)
        assert isinstance(answer, Response)
        assert (answer.read, answer.size) == (False, None)
        assert answer.elapsed_s < DRAIN_PATIENCE_S  # it did not wait for more


async def test_a_large_body_that_is_not_read_is_left_at_once() -> None:
    async def promise(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async with RawServer(promise) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/", readable=lambda _type: False)
        assert isinstance(answer, Response)
        assert (answer.read, answer.size) == (False, 1_000_000)
        assert answer.elapsed_s < DRAIN_PATIENCE_S


async def test_an_error_page_without_a_declared_length_is_drained_too() -> None:
    raw = CHUNKED.replace(b"200", b"404") + b"5\r\nhello\r\n0\r\n\r\n"

    async def in_two(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw[:-10])
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(raw[-10:])

    async with RawServer(in_two) as server, opened() as (fetcher, _counters):
        for _ in range(2):
            await fetcher.fetch(f"{server.url}/")
        assert server.connections == 1


@pytest.mark.parametrize(
    ("size", "truncated"), [(0, False), (999, False), (1000, False), (1001, True), (300_000, True), (9_000_000, True)]
)
async def test_a_body_is_cut_at_the_limit_and_its_connection_closed(size: int, truncated: bool) -> None:
    async with RawServer(ok(b"x" * size)) as server, opened() as (fetcher, counters):
        for _ in range(2):
            answer = await fetcher.fetch(f"{server.url}/", max_bytes=1000)
            assert isinstance(answer, Response)
            assert (answer.body, answer.truncated) == (b"x" * min(size, 1000), truncated)
        assert counters.bytes == 2 * min(size, 1000)
        assert server.connections <= 2 if size < 300_000 else server.connections == 2


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity", "utf-8", "none"])
async def test_content_codings_are_undone(coding: str) -> None:
    plain = b"a page " * 20_000
    encode = {"gzip": gzip.compress, "GZIP": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}
    encoded = encode.get(coding, bytes)(plain)
    async with RawServer(ok(encoded, f"Content-Encoding: {coding}")) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response), answer
        assert (answer.body, answer.size) == (plain, len(plain))


@pytest.mark.parametrize("fields", [["gzip, gzip"], ["gzip", "gzip"], ["br, gzip"], ["compress"], ["utf-8, gzip"]])
async def test_what_cannot_be_decoded_is_not_taken_for_a_body(fields: list[str]) -> None:
    encoded = gzip.compress(b"hello")
    raw = ok(encoded, *(f"Content-Encoding: {field}" for field in fields))
    assert await failure_of(raw) is FailureKind.BAD_RESPONSE


async def test_a_bomb_is_cut_without_being_decoded() -> None:
    bomb = gzip.compress(bytes(200 * MIB), compresslevel=9)
    async with RawServer(ok(bomb, "Content-Encoding: gzip")) as server, opened() as (fetcher, counters):
        tracemalloc.start()
        try:
            answer = await fetcher.fetch(f"{server.url}/", max_bytes=MIB)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert isinstance(answer, Response)
        assert (len(answer.body), answer.truncated) == (MIB, True)
        assert counters.bytes == MIB
        assert peak < 8 * MIB


async def test_an_unread_bomb_is_not_decoded_either() -> None:
    bomb = gzip.compress(bytes(50 * MIB), compresslevel=9)
    assert len(bomb) < DRAINED_BYTES
    raw = ok(bomb, "Content-Encoding: gzip", status="404 Not Found")
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        tracemalloc.start()
        try:
            for _ in range(2):
                assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MIB


# --- what goes wrong -----------------------------------------------------------------------------------------------

MALFORMED = {
    "not http": b"SSH-2.0-OpenSSH_9\r\n",
    "http/0.9": b"<html>hello</html>",
    "status": b"HTTP/1.1 20x OK\r\n\r\n",
    "low status": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "unasked upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "gzip transfer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "empty coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nhello",
    "404 with unknown transfer": b"HTTP/1.1 404 No\r\nTransfer-Encoding: x\r\n\r\nhello",
    "chunk size": CHUNKED + b"5\r\nhello\r\nzz\r\n\r\n",
    "content coding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_answers_are_failures_and_never_a_400(raw: bytes) -> None:
    assert await failure_of(raw) is FailureKind.BAD_RESPONSE


async def test_a_broken_chunk_is_noticed_when_it_comes_not_at_the_deadline() -> None:
    async def late(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"zz\r\nhello\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        assert await failure_of(late, timeout_s=60) is FailureKind.BAD_RESPONSE


async def test_a_message_is_one_printable_line_whatever_was_raised() -> None:
    """No library quotes a server's bytes unescaped, as of now."""
    attempt = Attempt(
        url="http://a.test/", origin="http://a.test",
        common=Common(counters=Counters(), kept=KeptConnections(lambda: 0, 1), lag=LoopLag()),
        deadline=Deadlines(1).after(1), max_bytes=1, readable=any_type, sent=True,
    )  # fmt: skip
    message = "a \x1b[2J\x9b5m\u202eword\nand more"
    assert explain(ValueError(message), attempt) == (FailureKind.BAD_RESPONSE, "ValueError: a  [2J 5m word")


async def test_a_real_400_is_an_answer() -> None:
    async with RawServer(ok(b"no", status="400 Bad Request")) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 300_000 + b": x\r\n\r\n",
        b"HTTP/1.1 200 " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    ],
    ids=["value", "name", "reason", "number"],
)
async def test_a_header_section_without_end_is_too_large(raw: bytes) -> None:
    assert await failure_of(raw) is FailureKind.TOO_LARGE


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
    ],
    ids=["nothing", "head", "length", "within a chunk", "between chunks"],
)
async def test_an_answer_that_ends_early_is_a_disconnection(raw: bytes) -> None:
    assert await failure_of(raw) is FailureKind.DISCONNECTED


async def test_a_refused_connection_is_a_connect_failure() -> None:
    failure = await fetch_from(refused_port())
    assert (failure.kind, failure.sent, failure.reused) == (FailureKind.CONNECT, False, False)
    assert failure.address == "127.0.0.1"
    assert "refused" in failure.message


async def test_a_name_that_does_not_resolve_is_a_dns_failure() -> None:
    async with DnsServer() as dns, opened(dns_server=dns.address) as (fetcher, counters):
        failure = await fetcher.fetch("http://nowhere.test/")
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == (FailureKind.DNS, False)
        assert failure.message == "nowhere.test does not exist in DNS"
        assert (counters.requests, counters.connections_open) == (0, 0)


async def test_the_address_that_politeness_counts_is_the_resolvers() -> None:
    async with DnsServer({"a.test": ["192.0.2.1"]}) as dns, opened(dns_server=dns.address) as (fetcher, _counters):
        assert await fetcher.address_of("a.test") == "192.0.2.1"


@pytest.mark.parametrize("part", ["head", "body", "drip"])
async def test_a_deadline_ends_what_does_not_end(part: str) -> None:
    async def slow(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if part != "head":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x" if part == "drip" else b"")
            await writer.drain()
            await asyncio.sleep(0.02)

    failure = await failure_of(slow, timeout_s=0.2)
    assert failure is FailureKind.TIMEOUT


async def test_one_request_may_have_its_own_deadline() -> None:
    async def silent(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with RawServer(silent) as server, opened(timeout_s=60) as (fetcher, _counters):
        async with asyncio.timeout(30):
            answer = await fetcher.fetch(f"{server.url}/", timeout_s=0.1)
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.sent) == (FailureKind.TIMEOUT, True)


async def test_a_connection_that_is_not_accepted_in_time_is_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        async with opened(connect_timeout_s=0.2) as (fetcher, _counters):
            answer = await fetcher.fetch(f"http://127.0.0.1:{full.getsockname()[1]}/")
        for caller in callers:
            caller.close()
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.sent) == (FailureKind.TIMEOUT, False)


async def test_a_certificate_that_is_not_trusted_is_a_tls_failure() -> None:
    ca = trustme.CA()
    for server_context, words in (
        (server_tls(ca, "127.0.0.1"), "self-signed certificate"),
        (server_tls(trustme.CA(), "127.0.0.1"), "certificate"),
    ):
        async with RawServer(ok(), tls=server_context) as server, opened() as (fetcher, _counters):
            answer = await fetcher.fetch(f"{server.url}/")
            assert isinstance(answer, Failure)
            assert (answer.kind, answer.sent) == (FailureKind.TLS, False)
            assert words.split()[0] in answer.message or "issuer" in answer.message
            assert not server.requests


async def test_a_certificate_for_another_name_is_a_tls_failure() -> None:
    ca = trustme.CA()
    client = ssl.create_default_context()
    ca.configure_trust(client)
    async with (
        RawServer(ok(), tls=server_tls(ca, "other.example")) as server,
        open_fetcher(loopback(), EAGER, Counters(), ssl_context=client) as fetcher,
    ):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failure)
        assert answer.kind is FailureKind.TLS
        assert "certificate refused" in answer.message


@pytest.mark.parametrize("rude", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""], ids=["plain http", "closes"])
async def test_a_failed_handshake_is_a_tls_failure(rude: bytes) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(rude)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.sent) == (FailureKind.TLS, False)


async def test_a_trusted_certificate_is_an_answer() -> None:
    ca = trustme.CA()
    client = ssl.create_default_context()
    ca.configure_trust(client)
    async with (
        RawServer(ok(), tls=server_tls(ca, "127.0.0.1")) as server,
        open_fetcher(loopback(), EAGER, Counters(), ssl_context=client) as fetcher,
    ):
        answers = [await fetcher.fetch(f"{server.url}/") for _ in range(2)]
        assert [(type(answer), answer.reused, answer.address) for answer in answers] == [
            (Response, False, "127.0.0.1"),
            (Response, True, "127.0.0.1"),
        ]


async def test_a_refused_address_names_itself() -> None:
    async with RawServer(ok()) as server, open_fetcher(NetworkConfig(), EAGER, Counters()) as fetcher:
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.address, answer.sent) == (FailureKind.BLOCKED_ADDRESS, "127.0.0.1", False)
    assert answer.message == "127.0.0.1 is loopback, not public; allow it with --allow-private 127.0.0.1/32"
    assert not server.connections


async def test_a_cancelled_fetch_is_cancelled_and_leaves_nothing_behind() -> None:
    async with RawServer(drip) as server, opened() as (fetcher, counters):
        task = asyncio.create_task(fetcher.fetch(f"{server.url}/"))
        async with asyncio.timeout(30):
            while not server.requests:
                await asyncio.sleep(0.005)
        assert counters.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counters.in_flight == 0


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    noise=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda noise: b"HTTP/1.1 200 OK\r\n" + noise),
        st.binary(max_size=200).map(lambda noise: b"HTTP/1.1 200 OK\r\n" + noise + b"\r\n\r\n"),
        st.binary(max_size=200).map(lambda noise: CHUNKED + noise),
        st.binary(max_size=200).map(lambda noise: ok(noise, "Content-Encoding: gzip")),
        st.binary(max_size=200).map(lambda noise: ok(gzip.compress(noise), "Content-Encoding: gzip")),
        st.binary(max_size=200).map(lambda noise: ok(noise, "Content-Encoding: br")),
        st.binary(max_size=200).map(lambda noise: ok(noise, "Content-Encoding: zstd")),
        st.binary(max_size=200).map(lambda noise: ok(gzip.compress(noise)[:-3] + noise, "Content-Encoding: gzip")),
    ),
    places=st.lists(st.integers(0, 300), max_size=3),
)
def test_no_bytes_make_a_fetch_raise(noise: bytes, places: list[int]) -> None:
    """And what it says is the same however they arrive."""
    asyncio.run(check_answer(noise, places))


# --- memory --------------------------------------------------------------------------------------------------------


async def test_bodies_in_flight_share_the_memory_budget_and_all_arrive() -> None:
    """Ten bodies of half the budget each: if they all held a part and waited for the rest, none would arrive."""
    size = MIB // 2
    body = b"x" * size
    async with RawServer(ok(body)) as server, opened(memory_bytes=MIB, max_bytes=2 * MIB) as (fetcher, _counters):
        answers = await asyncio.gather(*(fetcher.fetch(f"{server.url}/{number}") for number in range(10)))
        assert [isinstance(answer, Response) and answer.size for answer in answers] == [size] * 10


async def test_a_body_that_waits_for_memory_is_held_back_and_meets_its_deadline() -> None:
    overdrawn, go_on = asyncio.Event(), asyncio.Event()
    held_back = 0

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal held_back
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        if b"/greedy" in head:
            for _ in range(200):
                writer.write(bytes(100_000))
                await writer.drain()
            overdrawn.set()  # twenty times the budget: it has been read, but for what sockets hold
            await go_on.wait()
        while True:
            writer.write(bytes(100_000))
            await writer.drain()
            held_back += 100_000 if b"/modest" in head else 0

    async with (
        RawServer(answer) as server,
        opened(memory_bytes=MIB, max_bytes=25 * MIB, timeout_s=60) as (fetcher, counters),
    ):
        greedy = asyncio.create_task(fetcher.fetch(f"{server.url}/greedy"))
        await overdrawn.wait()
        modest = await fetcher.fetch(f"{server.url}/modest", timeout_s=0.3)
        assert isinstance(modest, Failure)
        assert modest.kind is FailureKind.TIMEOUT
        assert held_back < 20 * MIB
        go_on.set()
        outcome = await greedy
        assert isinstance(outcome, Response)
        assert outcome.truncated
        again = await fetcher.fetch(f"{server.url}/modest")
        assert isinstance(again, Response)
        assert counters.in_flight == 0


async def test_a_body_that_waits_for_a_parser_keeps_others_from_the_memory_but_costs_no_deadline() -> None:
    """The server of the third is quick; that our parsers are not is no fault of its own."""
    body = b"x" * MIB
    async with RawServer(ok(body)) as server, opened(memory_bytes=MIB, max_bytes=2 * MIB) as (fetcher, _counters):
        first, second = fetcher.share(), fetcher.share()
        for share in (first, second):  # the second overdraws
            assert isinstance(await fetcher.fetch(f"{server.url}/", share=share), Response)
        third = asyncio.create_task(fetcher.fetch(f"{server.url}/", timeout_s=0.3))
        await asyncio.sleep(1)
        assert not third.done()
        first.give_back()
        await asyncio.sleep(0)
        second.give_back()
        answer = await third
        assert isinstance(answer, Response)
        assert answer.size == MIB


async def test_who_waits_for_a_fetch_that_then_waits_for_a_parser_waits_for_the_parser() -> None:
    budget = MemoryBudget(10)
    first, second, third = budget.share(), budget.share(), budget.share()
    told: list[bool] = []

    @contextmanager
    def pausing(for_parsers: bool) -> Iterator[None]:
        told.append(for_parsers)
        yield

    assert first.try_take(10)
    assert second.try_take(10)  # overdraws
    waiting = asyncio.create_task(third.take(5, pausing))
    await asyncio.sleep(0)
    second.keep()
    await asyncio.sleep(0)
    assert told == [False, True]
    second.give_back()
    await waiting
    assert told == [False, True]


async def test_large_bodies_leave_room_for_small_ones() -> None:
    budget = MemoryBudget(16 * MIB)
    large = [budget.share() for _ in range(4)]
    assert [share.try_take(4 * MIB) for share in large] == [True] * 4  # the fourth overdraws: a quarter is spared
    large[3].give_back()
    assert large[3].try_take(MIB)
    assert large[3].try_take(MIB), "one at a time may have more"
    more, small = budget.share(), budget.share()
    assert not more.try_take(2 * MIB)
    assert small.try_take(MIB)
    assert budget.free == MIB


async def test_one_share_at_a_time_overdraws_and_the_others_wait_for_it() -> None:
    budget = MemoryBudget(100)
    first, second, third = budget.share(), budget.share(), budget.share()
    assert first.try_take(90)
    assert second.try_take(20)  # overdraws
    assert second.try_take(500)
    assert not first.try_take(20)
    assert not third.try_take(1)
    waiting = asyncio.create_task(third.take(5))
    await asyncio.sleep(0)
    assert not waiting.done()
    second.give_back()
    await waiting
    assert budget.free == 5
    assert first.try_take(20)  # its turn to overdraw
    for share in (first, second, third):
        share.give_back()
    assert budget.free == 100


async def test_a_share_that_stops_waiting_takes_nothing() -> None:
    budget = MemoryBudget(10)
    first, second, third = budget.share(), budget.share(), budget.share()
    assert first.try_take(10)
    assert second.try_take(10)
    waiting = asyncio.create_task(third.take(10))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for share in (first, second, third):
        share.give_back()
    assert budget.free == 10


def loopback(**options: object) -> NetworkConfig:
    values = {"allow_private": ("127.0.0.0/8", "::1/128"), "timeout_s": 10.0} | options
    return NetworkConfig(**values)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(**options: object) -> AsyncIterator[tuple[HttpFetcher, Counters]]:
    counters = Counters()
    async with open_fetcher(loopback(**options), EAGER, counters) as fetcher:
        yield fetcher, counters


async def failure_of(answer: bytes | Answer, timeout_s: float = 10) -> FailureKind | None:
    """The kind of failure that an answer is, after which nothing is in flight; None where it is a response."""
    closing = isinstance(answer, bytes)
    async with RawServer(answer, closing=closing) as server, opened(timeout_s=timeout_s) as (fetcher, counters):
        outcome = await fetcher.fetch(f"{server.url}/")
        assert (len(server.requests), counters.requests, counters.in_flight) == (1, 1, 0)
        if isinstance(outcome, Response):
            return None
        assert outcome.sent
        assert outcome.message
        return outcome.kind


async def fetch_from(port: int, on_sent_list: list[tuple[int, int]] | None = None) -> Failure:
    told = [] if on_sent_list is None else on_sent_list
    async with opened() as (fetcher, _counters):
        outcome = await fetcher.fetch(f"http://127.0.0.1:{port}/", on_sent=lambda: told.append((0, 0)))
        assert isinstance(outcome, Failure)
        return outcome


def refused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def server_tls(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context
