"""Replies that are not to the grammar, and that every client reads all the same.

What curl, wget and wget2 make of each was looked at (`tests/hostile/README.md` tells): where they agree, so do we.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import brotli  # type: ignore[import-untyped]
import pytest
from backports import zstd

from crawler.config import MIB, NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.network.fetcher import HttpFetcher, open_fetcher
from crawler.network.heads import MAX_FIELDS, MAX_HEAD_BYTES
from crawler.network.protocol import MAX_INTERIM_ANSWERS
from crawler.records import Failure, FailureKind, Response
from tests.integration.rawserver import Answer, RawServer, ok

BODY = b"<title>T</title>hello"
LENGTH = b"Content-Length: 21\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKS = b"15\r\n" + BODY + b"\r\n0\r\n\r\n"


def saying(line: bytes) -> bytes:
    """A good answer, but for one line in its head."""
    return HEAD + line + b"\r\n" + LENGTH + b"\r\n" + BODY


def status_line(line: bytes) -> bytes:
    return line + b"\r\nContent-Type: text/html\r\n" + LENGTH + b"\r\n" + BODY


def of_length(value: bytes) -> bytes:
    return HEAD + b"Content-Length: " + value + b"\r\n\r\n" + BODY


def of_coding(value: bytes, more: bytes = b"") -> bytes:
    return HEAD + b"Transfer-Encoding: " + value + b"\r\n" + more + b"\r\n" + CHUNKS


# Each is read, and its connection closed. Those marked so have no end but that of the connection.
REPAIRED = {
    "two spaces in the status line": status_line(b"HTTP/1.1  200 OK"),
    "no space behind the code": status_line(b"HTTP/1.1 200OK"),
    "a colon behind the code": status_line(b"HTTP/1.1 200: OK"),
    "a lone CR in the reason": status_line(b"HTTP/1.1 200 O\rK"),
    "a space before the colon": saying(b"X-A : b"),
    "no colon": saying(b"nonsense"),
    "no colon in the last line": HEAD + LENGTH + b"nonsense\r\n\r\n" + BODY,
    "a line of markup": saying(b"<br /><b>Warning</b>: no such file"),
    "a second status line": saying(b"HTTP/1.1 200 OK"),
    "no name": saying(b": b"),
    "a strange name": saying(b"X(A): b"),
    "two words for a name": saying(b"X A: b"),
    "a name in Latin-1": saying(b"X-\xe9: b"),
    "a lone CR in a value": saying(b"X-A: a\rb"),
    "a lone CR in a name": saying(b"X\rA: b"),
    "two CRs": saying(b"X-A: b\r"),
    "a folded line behind one that is none": saying(b"nonsense\r\n  and more"),
    "a field of an old protocol": saying(b"Sec-WebSocket-Key1: x"),
    "a bad line in an interim answer": b"HTTP/1.1 103 Early Hints\r\nnonsense\r\n\r\n" + HEAD + LENGTH + b"\r\n" + BODY,
    "a bad line behind an odd interim answer": b"HTTP/1.1 100 On\0\r\n\r\n" + saying(b"nonsense"),
    "a bad line behind an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + saying(b"nonsense"),
    "the length twice": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "the length twice in one field": of_length(b"21, 21"),
    "the length, a comma": of_length(b"21,"),
    "the length in bytes": of_length(b"21 bytes"),
    "the length with a sign": of_length(b"+21"),
    "the length with a fraction": of_length(b"21.0"),
    "identity and a length": HEAD + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
    "chunked twice": of_coding(b"chunked, chunked"),
    "chunked twice in two fields": of_coding(b"chunked", b"Transfer-Encoding: chunked\r\n"),
    "identity, chunked": of_coding(b"identity, chunked"),
    "chunked, identity": of_coding(b"chunked, identity"),
    "chunked and a length": of_coding(b"chunked", b"Content-Length: 5\r\n"),
    "a length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "bytes behind the body": HEAD + LENGTH + b"\r\n" + BODY + b"and more",
    "bytes behind the body, the last on its connection": saying(b"Connection: close") + b"and more",
    "another answer behind the body": HEAD + LENGTH + b"\r\n" + BODY + ok(b"another"),
    "an interim answer behind the body": HEAD + LENGTH + b"\r\n" + BODY + b"HTTP/1.1 100 Continue\r\n\r\n",
    "bytes behind the chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"and more",
    "a last chunk that ends with LF": of_coding(b"chunked").removesuffix(b"0\r\n\r\n") + b"0\n\n",
    "a last chunk that ends with LF, a trailer": of_coding(b"chunked").removesuffix(b"0\r\n\r\n") + b"00\nX: y\n\n",
    "a last chunk that ends with LF, behind an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\n"
    + of_coding(b"chunked").removesuffix(b"0\r\n\r\n")
    + b"0\n\r\n",
    "a trailer with a space before its colon": of_coding(b"chunked")[:-2] + b"X : y\r\n\r\n",
    "a trailer with a NUL": of_coding(b"chunked")[:-2] + b"X: \0y\r\n\r\n",
    "a trailer that is none": of_coding(b"chunked")[:-2] + b"nonsense\r\n\r\n",
    "a trailer with a length": of_coding(b"chunked")[:-2] + b"Content-Length: 3\r\n\r\n",
}
TO_THE_END = {
    "no colon and no length": HEAD + b"nonsense\r\n\r\n" + BODY,
    "a space before the colon of the length": HEAD + b"Content-Length : 3\r\nnonsense\r\n\r\n" + BODY,
    "a length beyond all bounds": of_length(b"9" * 400),
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
}
IN_TRAILERS = ("a trailer that is none", "a trailer with a length")
UNASKED = ("an interim answer behind the body", "another answer behind the body")


def at_once(raw: bytes) -> Answer:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return answer


def byte_by_byte(raw: bytes) -> Answer:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        for at in range(len(raw)):
            writer.write(raw[at : at + 1])
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    return answer


SENDING = pytest.mark.parametrize("sending", [at_once, byte_by_byte])
Sending = Callable[[bytes], Answer]


@SENDING
@pytest.mark.parametrize("raw", REPAIRED.values(), ids=REPAIRED.keys())
async def test_what_every_client_reads_is_read_and_its_connection_closed(raw: bytes, sending: Sending) -> None:
    async with RawServer(sending(raw)) as server, opened() as (fetcher, counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response), answer
        assert (answer.status_code, answer.body, answer.truncated) == (200, BODY, False)
        assert answer.content_type == "text/html"
        await all_closed(counters)


@SENDING
@pytest.mark.parametrize("raw", TO_THE_END.values(), ids=TO_THE_END.keys())
async def test_what_says_no_length_ends_with_its_connection(raw: bytes, sending: Sending) -> None:
    async with RawServer(sending(raw), closing=True) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert (answer.body, answer.truncated) == (BODY, False)


async def test_a_good_answer_keeps_its_connection_however_it_comes() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + LENGTH + b"\r\n" + BODY
    async with RawServer(byte_by_byte(raw)) as server, opened() as (fetcher, _counters):
        for _ in range(3):
            assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
        assert server.connections == 1


@SENDING
@pytest.mark.parametrize(
    ("status", "behind"),
    [(204, BODY), (204, CHUNKS), (304, BODY), (304, b"0\r\n\r\n"), (304, CHUNKS)],
)
@pytest.mark.parametrize("field", [b"", LENGTH, b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_where_none_can_be_costs_the_connection_alone(
    status: int, behind: bytes, field: bytes, sending: Sending
) -> None:
    raw = b"HTTP/1.1 %d x\r\n%b\r\n%b" % (status, field, behind)
    async with RawServer(sending(raw)) as server, opened() as (fetcher, counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response), answer
        assert (answer.status_code, answer.body) == (status, b"")
        await all_closed(counters)


@SENDING
@pytest.mark.parametrize(
    "raw",
    [
        saying(b"nonsense") + b"\0",
        saying(b"X: a\0b"),
        saying(b"X\0: b"),
        saying(b"nonsense\0"),
        status_line(b"HTTP/1.1 20 OK"),
        status_line(b"HTTP/1.1 2000 OK"),
        status_line(b"HTTP/1.1\t200 OK"),
        status_line(b"HTTP/1.10 200 OK"),
        status_line(b"ICY 200 OK"),
        HEAD + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
        of_length(b"5, 21"),
        of_length(b"-21"),
        of_length(b"0x15"),
        of_length(b"1_0"),
        of_length(b""),
        of_length(b"many"),
        of_coding(b"gzip, chunked"),
        of_coding(b"chunked;x"),
        of_coding(b""),
        of_coding(b"gzip", LENGTH),
    ],
)
async def test_what_clients_do_not_agree_on_stays_refused(raw: bytes, sending: Sending) -> None:
    if raw.endswith(b"\0"):
        return
    async with RawServer(sending(raw), closing=True) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Failure), answer
    assert answer.kind is FailureKind.BAD_RESPONSE


@SENDING
@pytest.mark.parametrize("status", [b"404 Not Found", b"302 Found", b"500 Oops"])
async def test_a_broken_body_that_nobody_reads_costs_the_connection_alone(status: bytes, sending: Sending) -> None:
    """It cost the answer, where it came with the head: of a robots.txt, the site."""
    raw = b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"
    async with RawServer(sending(raw)) as server, opened() as (fetcher, counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response), answer
        assert answer.status_code == int(status[:3])
        await all_closed(counters)


@SENDING
async def test_a_broken_body_is_no_page_and_known_at_once(sending: Sending) -> None:
    raw = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    async with asyncio.timeout(30), RawServer(sending(raw)) as server, opened(timeout_s=60) as (fetcher, counters):
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.answered) == (FailureKind.BAD_RESPONSE, True)
        await all_closed(counters)


async def test_what_is_no_http_is_refused_at_once() -> None:
    """And not when it ends, which it may never do."""
    for raw in (b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x0a", b"<title>T</title>", b"HTTQ"):

        async def answer(_head: bytes, writer: asyncio.StreamWriter, raw: bytes = raw) -> None:
            writer.write(raw)
            await asyncio.Event().wait()

        async with asyncio.timeout(30), RawServer(answer) as server, opened(timeout_s=60) as (fetcher, _counters):
            refused = await fetcher.fetch(f"{server.url}/")
            assert isinstance(refused, Failure)
            assert refused.kind is FailureKind.BAD_RESPONSE


# --- the size of a head ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        [b"X: " + b"y" * 40_000],
        [b"X" * 40_000 + b": y"],
        [b"X-%d: %b" % (number, b"y" * 40_000) for number in range(6)],
        [b"X-%d: y" % number for number in range(300)],
        [b"X-%d: y" % number for number in range(3_000)],
    ],
    ids=["a long value", "a long name", "240 KB", "300", "3,000"],
)
@pytest.mark.parametrize("bad", [[], [b"nonsense"]], ids=["good", "repaired"])
async def test_large_heads_are_read(fields: list[bytes], bad: list[bytes]) -> None:
    raw = saying(b"\r\n".join(fields + bad))
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert answer.body == BODY


@pytest.mark.parametrize(
    "line",
    [
        b"X: " + b"y" * MAX_HEAD_BYTES,
        b"\r\n".join([b"X: " + b"y" * 1000] * (MAX_HEAD_BYTES // 1000)),
        b"nonsense\r\n" * (MAX_HEAD_BYTES // 10),
        b"\r\n".join([b"X: y"] * (MAX_FIELDS + 1)),
    ],
    ids=["one field", "many fields", "repaired", "too many fields"],
)
async def test_a_head_without_end_is_too_large(line: bytes) -> None:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        raw = saying(line)
        for at in range(0, len(raw), 10_000):
            writer.write(raw[at : at + 10_000])
            await writer.drain()
            await asyncio.sleep(0)

    async with RawServer(answer) as server, opened() as (fetcher, _counters):
        refused = await fetcher.fetch(f"{server.url}/")
    assert isinstance(refused, Failure), refused
    assert refused.kind is FailureKind.TOO_LARGE


async def test_interim_answers_count_once_where_what_follows_needs_a_repair() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\n\r\n" * MAX_INTERIM_ANSWERS + saying(b"nonsense")
    async with RawServer(byte_by_byte(raw)) as server, opened() as (fetcher, _counters):
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)


@pytest.mark.parametrize("number", [1, 100])
@pytest.mark.parametrize("line", [b"", b"nonsense\r\n"], ids=["good", "repaired"])
async def test_interim_answers_are_bounded_where_they_need_a_repair_too(line: bytes, number: int) -> None:
    raw = b"HTTP/1.1 100 Continue\r\n" + line + b"\r\n"

    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(raw * number)
            await writer.drain()

    async with RawServer(endless) as server, opened() as (fetcher, _counters):
        refused = await fetcher.fetch(f"{server.url}/")
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.message) == (FailureKind.BAD_RESPONSE, "more than 16 interim responses")


# --- codings ---------------------------------------------------------------------------------------------------------

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: bytes(brotli.compress(data)),
    "zstd": zstd.compress,
}


@pytest.mark.parametrize(
    ("fields", "applied"),
    [
        (["x-gzip"], ["gzip"]),
        (["X-GZIP"], ["gzip"]),
        (["gzip, gzip"], ["gzip", "gzip"]),
        (["gzip", "gzip"], ["gzip", "gzip"]),
        (["gzip, br"], ["gzip", "br"]),
        (["zstd,deflate, x-gzip"], ["zstd", "deflate", "gzip"]),
        (["gzip, gzip, gzip, gzip, gzip"], ["gzip"] * 5),
        (["identity, gzip"], ["gzip"]),
        (["gzip, identity"], ["gzip"]),
        (["gzip,"], ["gzip"]),
    ],
)
@pytest.mark.parametrize("size", [21, MIB])
async def test_codings_are_undone_one_after_the_other(fields: list[str], applied: list[str], size: int) -> None:
    body = BODY.ljust(size)
    encoded = body
    for coding in applied:
        encoded = COMPRESS[coding](encoded)
    raw = ok(encoded, *(f"Content-Encoding: {field}" for field in fields))
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert (answer.body, answer.truncated) == (body, False)


@pytest.mark.parametrize(
    "coding", ["gzip, gzip, gzip, gzip, gzip, gzip", "gzip, compress", "gzip, utf-8", "x-compress"]
)
async def test_codings_that_cannot_be_undone_are_refused(coding: str) -> None:
    async with RawServer(ok(BODY, f"Content-Encoding: {coding}")) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.BAD_RESPONSE


async def test_what_grows_below_and_decodes_to_nothing_is_cut() -> None:
    """The inner data are empty blocks without end: nothing comes out, however much there is of them."""
    packer = zlib.compressobj(wbits=31)
    empty_blocks = packer.flush(zlib.Z_SYNC_FLUSH) + (b"\0\0\0\xff\xff" * (20 * MIB // 5))
    raw = ok(gzip.compress(empty_blocks), "Content-Encoding: gzip, gzip")
    assert len(raw) < MIB
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/", max_bytes=MIB)
    assert isinstance(answer, Response)
    assert (answer.body, answer.truncated) == (b"", True)


@SENDING
@pytest.mark.parametrize("extra", [b"garbage", b"\0" * 9, b"\x1f", b"\x1f\x8b", b"\r\n", b"\x28\xb5\x2f"])
@pytest.mark.parametrize("coding", COMPRESS)
async def test_bytes_behind_the_compressed_data_are_passed_over(coding: str, extra: bytes, sending: Sending) -> None:
    raw = ok(COMPRESS[coding](BODY) + extra, f"Content-Encoding: {coding}")
    async with RawServer(sending(raw)) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert (answer.body, answer.truncated) == (BODY, False)


@pytest.mark.parametrize(("coding", "missing"), [("gzip", 8), ("gzip", 4), ("gzip", 1), ("deflate", 4), ("deflate", 1)])
async def test_a_body_whose_checksum_is_missing_is_kept_and_flagged(coding: str, missing: int) -> None:
    raw = ok(COMPRESS[coding](BODY)[:-missing], f"Content-Encoding: {coding}")
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response), answer
    assert (answer.body, answer.truncated) == (BODY, True)


@pytest.mark.thorough
@pytest.mark.parametrize("coding", COMPRESS)
async def test_of_compressed_data_that_are_cut_what_there_is_is_kept_and_flagged(coding: str) -> None:
    body = b"".join(b"%d " % (number * number) for number in range(50_000))
    packed = COMPRESS[coding](body)
    for cut in (len(packed) // 2, len(packed) - 20):
        async with (
            RawServer(ok(packed[:cut], f"Content-Encoding: {coding}")) as server,
            opened() as (fetcher, _counters),
        ):
            answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Response), answer
        assert answer.truncated
        assert 1000 < len(answer.body) < len(body)
        assert body.startswith(answer.body)


@pytest.mark.parametrize("coding", COMPRESS)
async def test_compressed_data_that_are_cut_before_they_say_anything_are_a_failure(coding: str) -> None:
    async with (
        RawServer(ok(COMPRESS[coding](BODY)[:3], f"Content-Encoding: {coding}")) as server,
        opened() as (fetcher, _counters),
    ):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.BAD_RESPONSE


async def test_a_checksum_that_is_wrong_is_a_failure() -> None:
    packed = gzip.compress(BODY)
    for wrong in (packed[:-8] + b"\0\0\0\0" + packed[-4:], packed[:-4] + b"\0\0\0\0"):
        async with RawServer(ok(wrong, "Content-Encoding: gzip")) as server, opened() as (fetcher, _counters):
            answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failure)


# --- the rest --------------------------------------------------------------------------------------------------------


async def test_a_part_that_nobody_asked_for_is_flagged() -> None:
    raw = ok(BODY, "Content-Range: bytes 0-20/100", status="206 Partial Content")
    async with RawServer(raw) as server, opened() as (fetcher, _counters):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response)
    assert (answer.status_code, answer.body, answer.truncated) == (206, BODY, True)


async def test_what_comes_late_on_a_kept_connection_closes_it() -> None:
    """The length is too small, and the rest comes when the answer has been read."""
    writers: list[asyncio.StreamWriter] = []
    async with RawServer(keeping(writers)) as server, opened() as (fetcher, counters):
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
        writers[0].write(b"and more")
        await all_closed(counters)


async def test_what_nobody_has_read_yet_on_a_kept_connection_spoils_it_too() -> None:
    """It is with the kernel: the event loop has had no turn since."""
    writers: list[asyncio.StreamWriter] = []
    async with RawServer(keeping(writers)) as server, opened() as (fetcher, _counters):
        await asyncio.gather(*(fetcher.fetch(f"{server.url}/") for _ in range(3)))
        for writer in writers:
            writer.write(b"0\r\n\r\n")
        again = await fetcher.fetch(f"{server.url}/")
        assert isinstance(again, Response), again
        assert (again.body, again.reused) == (BODY, False)


async def test_a_fresh_fetch_takes_no_kept_connection_and_leaves_none_that_may_be_as_bad() -> None:
    async with RawServer(ok(BODY)) as server, opened() as (fetcher, _counters):
        await asyncio.gather(*(fetcher.fetch(f"{server.url}/") for _ in range(4)))
        kept = server.connections
        answer = await fetcher.fetch(f"{server.url}/", fresh=True)
        assert isinstance(answer, Response)
        assert not answer.reused
        again = await fetcher.fetch(f"{server.url}/")
        assert isinstance(again, Response)
        assert again.reused
        assert server.connections == kept + 1


@pytest.mark.parametrize(
    ("raw", "is_of_it"),
    [(b"", True), (b"HTTP/1.1 200 O", True), (b"0\r\n\r\n", True), (ok(b"x" * 9)[:-2], False)],
    ids=["dropped", "dropped within the head", "spoiled", "dropped within the body"],
)
async def test_a_failure_tells_whether_it_is_that_of_a_kept_connection(raw: bytes, is_of_it: bool) -> None:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) % 2:
            writer.write(ok(BODY))
        else:
            writer.write(raw)
            writer.close()

    async with RawServer(answer) as server, opened() as (fetcher, _counters):
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
        lost = await fetcher.fetch(f"{server.url}/")
        assert isinstance(lost, Failure)
        assert (lost.reused, lost.is_of_kept_connection) == (True, is_of_it)
        await fetcher.fetch(f"{server.url}/")
        assert server.connections == 2


def keeping(writers: list[asyncio.StreamWriter]) -> Answer:
    """A whole answer, on a connection that the test may write more to."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(BODY))
        writers.append(writer)

    return answer


async def all_closed(counters: Counters) -> None:
    """Fails where a connection stays open."""
    async with asyncio.timeout(10):
        while counters.connections_open:
            await asyncio.sleep(0.002)


@asynccontextmanager
async def opened(**options: object) -> AsyncIterator[tuple[HttpFetcher, Counters]]:
    values = {"allow_private": ("127.0.0.0/8",), "timeout_s": 10.0} | options
    network = NetworkConfig(**values)  # type: ignore[arg-type]
    counters = Counters()
    async with open_fetcher(network, PolitenessConfig(delay_s=0, per_host=64), counters) as fetcher:
        yield fetcher, counters
        assert counters.in_flight == 0
