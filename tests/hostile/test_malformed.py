"""HTTP that is broken or contradicts itself is a failure: never a page, nor the server's own 400, nor a traceback."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, StreamHandler
from tests.acceptance.conftest import Cli
from tests.hostile.web import answering, crawled

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = OK + b"Content-Length: 16\r\n\r\n<title>T</title>"

BAD = {
    "chunk size that is none": CHUNKED + b"5\r\nhello\r\nzz\r\nhello\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size giant": CHUNKED + b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size longer than the chunk": CHUNKED + b"9\r\nhello\r\n0\r\n\r\n",
    "chunk size shorter than the chunk": CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
    "chunk size +5": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size after a space": CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size of 16 digits": CHUNKED + b"f" * 16 + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size that wraps around": CHUNKED + b"1000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size two too large": CHUNKED + b"7\r\nhello\r\n0\r\n\r\n",
    "chunk size ended by LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk ended by CR": CHUNKED + b"5\r\nhello\r0\r\n\r\n",
    "chunk ended by nothing": CHUNKED + b"5\r\nhello0\r\n\r\n",
    "chunk ended twice": CHUNKED + b"5\r\nhello\r\n\r\n0\r\n\r\n",
    "chunk extension of two lines": CHUNKED + b'5;a="b\r\nc"\r\nhello\r\n0\r\n\r\n',
    "last chunk -0": CHUNKED + b"5\r\nhello\r\n-0\r\n\r\n",
    "last chunk cut": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "trailer cut": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n",
    "trailer of 1 MB": CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    "trailers of 1 MB": CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 170_000 + b"\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length 5, 6": OK + b"Content-Length: 5, 6\r\n\r\nhello!",
    "length 5_0": OK + b"Content-Length: 1_0\r\n\r\nhellohello",
    "transfer gzip": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "nul in a value": OK + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    "nul in a name": OK + b"X\0Y: b\r\nContent-Length: 5\r\n\r\nhello",
    "nul before the status line": b"\0" + WHOLE,
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status 20": b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status 2000": b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status -200": b"HTTP/1.1 -200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "version 9": b"HTTP/9.9.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "http/0.9": b"<title>T</title>hello",
    "garbage": bytes(range(256)) * 8,
    "a tls alert": b"\x15\x03\x01\x00\x02\x02\x0a",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
    "only interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half a head": OK + b"Content-Le",
    "short body": OK + b"Content-Length: 50\r\n\r\nhello",
    "short chunk": CHUNKED + b"5\r\nhel",
    "no last chunk": CHUNKED + b"5\r\nhello\r\n",
}
LONGER = ("chunk size longer than the chunk", "chunk size of 16 digits", "chunk size that wraps around")
BROKEN_FRAMING = [name for name in BAD if name.startswith("chunk size ") and name not in LONGER]
TOO_LARGE = {
    "status line giant": b"HTTP/1.1 200 " + b"O" * 300_000 + b"\r\n\r\n",
    "name giant": OK + b"X" * 300_000 + b": y\r\n\r\nhello",
    "value giant": OK + b"X: " + b"y" * 300_000 + b"\r\n\r\nhello",
}
WHOLE_IN_PYTHON = (
    "chunk size after a space",
    "chunk size ended by LF",
)  # its parser lets pass
# What no parser likes and every client reads.
READ = {
    "two spaces in the status line": b"HTTP/1.1  200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
    "space before the colon": OK + b"X-A : b\r\nContent-Length: 5\r\n\r\nhello",
    "no name": OK + b": b\r\nContent-Length: 5\r\n\r\nhello",
    "strange name": OK + b"X(A): b\r\nContent-Length: 5\r\n\r\nhello",
    "lone cr": OK + b"X: a\rb\r\nContent-Length: 5\r\n\r\nhello",
    "last chunk in the middle": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "last chunk ended by LF": CHUNKED + b"5\r\nhello\r\n0\n\n",
    "trailer with a length": CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "trailer that is none": CHUNKED + b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
    "length and chunked": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "length +5": OK + b"Content-Length: +5\r\n\r\nhello",
    "length giant": OK + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nhello",
    "transfer chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "no colon": OK + b"nonsense\r\n\r\nhello",
    "length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length in bytes": OK + b"Content-Length: 5 bytes\r\n\r\nhello",
    "length too small": OK + b"Content-Length: 5\r\n\r\nhello and more",
    "transfer identity": OK + b"Transfer-Encoding: identity\r\n\r\nhello",
    "a field of 40 KB": OK + b"X: " + b"y" * 40_000 + b"\r\nContent-Length: 5\r\n\r\nhello",
    "300 fields": OK + b"X: y\r\n" * 300 + b"Content-Length: 5\r\n\r\nhello",
}
# What aiohttp's parser lets pass (it is strict in development mode alone), and what is right though seldom seen.
ODD_BUT_WHOLE = {
    "chunk size one too large": CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",  # the CR is taken for a part of the body
    "chunk ended by LF": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "chunk size before spaces": CHUNKED + b"5" + b" " * 1000 + b"\r\nhello\r\n0 \r\n\r\n",
    "chunk size with zeros in front": CHUNKED + b"0" * 10_000 + b"5\r\nhello\r\n000\r\n\r\n",
    "chunk extension": CHUNKED + b'5;a=b;c="d;e"\r\nhello\r\n0;x\r\n\r\n',
    "chunk extension of 1 MB": CHUNKED + b"5;" + b"x" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "trailer with a nul": CHUNKED + b"5\r\nhello\r\n0\r\nX: a\0b\r\n\r\n",
}


async def test_none_is_a_page_and_none_is_the_servers_own_400(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    web = FakeWeb()
    answers = {name: answering(raw) for name, raw in {**BAD, **TOO_LARGE, "whole": WHOLE}.items()}
    answers |= {f"{name}, late, and then silence": _late(BAD[name]) for name in BROKEN_FRAMING}
    names = {f"h{number}.test": name for number, name in enumerate(answers)}  # one host each: they would be left alone
    for host, name in names.items():
        web.host(host).raw("/", answers[name])
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url(host) for host in names], timeout_s=30.0)
    outcomes = "SELECT name, u.status, reason FROM urls u JOIN hosts h ON h.id = host_id WHERE kind = 'page'"
    by_name = {names[host]: (status, reason) for host, status, reason in done.rows(outcomes)}
    assert by_name.pop("whole") == ("fetched", None)
    assert len(done.pages()) == 1
    assert {by_name[name] for name in TOO_LARGE} == {("failed", "too_large")}
    allowed = {("failed", "bad_response"), ("failed", "disconnected"), ("failed", "too_large")}
    assert {name: outcome for name, outcome in by_name.items() if outcome not in allowed} == {}
    assert not caplog.records
    assert "Traceback" not in capfd.readouterr().err


async def test_what_is_taken_from_odd_chunks_is_the_whole_page(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    for number, raw in enumerate(ODD_BUT_WHOLE.values()):
        site.raw(f"/{number}", answering(raw))
    with web.running() as served:
        seeds = [served.url("a.test", path) for path in site.routes]
        done = await crawled(served, tmp_path, seeds)
    assert done.pages() == set(seeds)
    assert done.rows("SELECT DISTINCT text FROM pages") == [("hello",)]


@pytest.mark.parametrize("extensions", [True, False], ids=["in C", "in Python"])
def test_what_every_client_reads_is_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extensions: bool) -> None:
    if not extensions:
        monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    web, cli = FakeWeb(), Cli(tmp_path)
    site = web.host("a.test")
    for number, raw in enumerate(READ.values()):
        site.raw(f"/{number}", answering(raw))
    with web.running() as served:
        seeds = [served.url("a.test", path) for path in site.routes]
        outcome = cli.crawl(served, *seeds, "--delay", "0", "--retries", "0", "--max-wait", "0s")
    assert outcome.summary["by_failure"] == {}
    assert set(cli.pages()) == set(seeds)
    assert cli.rows("SELECT DISTINCT text FROM pages") == ["hello"]


@pytest.mark.parametrize("status", [b"404 Not Found", b"200 OK"])
async def test_a_bad_line_in_the_head_of_robots_txt_costs_nothing(status: bytes, tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.raw("/robots.txt", answering(b"HTTP/1.1 " + status + b"\r\nnonsense\r\nContent-Length: 0\r\n\r\n"))
    site.page("/", title="T")
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")])
        assert done.pages() == {served.url("a.test")}


@pytest.mark.parametrize("then", [b"", b"HTTP/1.1 2", b"0\r\n\r\n"], ids=["dropped", "within the head", "spoiled"])
async def test_connections_that_are_good_for_one_request_cost_no_page(then: bytes, tmp_path: Path) -> None:
    """The server says nothing of it, and closes when the next request has come; no page may be tried again."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.01)  # so that several are open
            writer.write(WHOLE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(then)

    web = FakeWeb()
    web.host("a.test").connection(once)
    with web.running() as served:
        urls = [served.url("a.test", f"/{number}") for number in range(41)]
        done = await crawled(served, tmp_path, urls)
    assert done.pages() == set(urls)
    assert done.summary.by_failure == {}
    assert done.rows("SELECT max(attempts) FROM urls") == [(0,)]


def test_none_is_a_page_with_aiohttps_parser_in_python_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is used where there is no compiler; it takes more than that in C."""
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    web, cli = FakeWeb(), Cli(tmp_path)
    answers = [raw for name, raw in (BAD | TOO_LARGE | {"whole": WHOLE}).items() if name not in WHOLE_IN_PYTHON]
    names = [f"h{number}.test" for number in range(len(answers))]
    for name, raw in zip(names, answers, strict=True):
        web.host(name).raw("/", answering(raw))
    with web.running() as served:
        seeds = [served.url(name) for name in names]
        outcome = cli.crawl(served, *seeds, "--delay", "0", "--retries", "0", "--max-wait", "0s")
    assert cli.pages() == seeds[-1:]
    assert outcome.summary["by_failure"].keys() <= {"bad_response", "disconnected", "too_large"}
    assert outcome.summary["urls"]["failed"] == len(answers) - 1


def _late(raw: bytes) -> StreamHandler:
    """The body some time behind its head, and then nothing: only the broken framing tells that it has ended."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, end, body = raw.partition(b"\r\n\r\n")
        for part in (head + end, body):
            writer.write(part)
            await asyncio.sleep(0.1)
        await asyncio.Event().wait()

    return answer


@pytest.mark.thorough
async def test_an_answer_before_the_request_is_none(tmp_path: Path) -> None:
    """The server speaks first. Were the crawl's event loop not held up, either could be first at times."""

    async def unasked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)
        await writer.drain()
        await reader.read(65536)
        await asyncio.sleep(0.1)

    async def hold_up() -> None:
        while True:
            time.sleep(0.01)
            await asyncio.sleep(0)

    web = FakeWeb()
    web.host("a.test").connection(unasked)
    with web.running() as served:
        holding_up = asyncio.create_task(hold_up())
        done = await crawled(served, tmp_path, [served.url("a.test")])
        holding_up.cancel()
    assert not done.pages()
    assert "bad_response" in done.summary.by_failure  # of robots.txt: nothing may be fetched


async def test_what_comes_unasked_on_a_kept_connection_does_not_answer_the_next_request(tmp_path: Path) -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers as it should, and says more a moment later."""
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" if b"robots" in head else WHOLE)
                await asyncio.sleep(0.05)
                writer.write(WHOLE.replace(b"T<", b"X<"))

    web = FakeWeb()
    web.host("a.test").connection(twice)
    with web.running() as served:
        urls = [served.url("a.test", f"/{number}") for number in range(2)]
        # Much longer than the server's moment: what comes after the next request has gone out does answer it.
        done = await crawled(served, tmp_path, urls, delay_s=0.9, per_host=1)
    assert done.rows("SELECT DISTINCT title FROM pages") == [("T",)]
    assert done.pages() == set(urls)
