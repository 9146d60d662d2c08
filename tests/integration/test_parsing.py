"""The parser processes: the same records as inline, and no harm from a document that hangs or kills its reader."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from crawler.bodies import body_hash, decompress
from crawler.content.html import read_page
from crawler.errors import CrawlerError
from crawler.parsing.pool import ParserPool, open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.parsing.spawning import coming_up
from crawler.parsing.wire import READY, encode_content, encode_json
from crawler.records import Failure, FailureKind, Listing, Page, Response, SitemapEntry, UrlKind

SETTINGS = ReaderSettings(product_token="crawler")
URL = "http://a.test/folder/page"
HTML = (
    b"<!doctype html><html lang=en><title>T</title><meta name=description content=D><meta property=og:title content=O>"
    b'<script type="application/ld+json">{}</script><h1>H</h1><p>text <a href=x rel=nofollow>an <b>anchor</b></a>'
    b"<meta http-equiv=refresh content='3; url=/next'><a href=/y>y</a><img src=/1.png>"
)
NESTED = b"<div>" * 100_000 + b"text"
ROW = b"<div class=row><p>some words <b>of</b> text <a href=/x>link</a></p></div>\n"
LARGE = b"<title>T</title>" + ROW * (5_000_000 // len(ROW))
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


def _response(body: bytes, content_type: str | None = "text/html") -> Response:
    return Response(url=URL, status_code=200, body=body, size=len(body), content_type=content_type)


def _children() -> set[int]:
    """The processes that this one has started and that live."""
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(pid) for children in lists for pid in children.read_text().split()}


async def test_a_page_comes_back_as_the_reader_makes_it() -> None:
    async with open_parser(SETTINGS, 10) as parser:
        reading = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=True)
    assert not isinstance(reading, Failure)
    page, body = reading
    assert page == read_page(HTML, URL, "text/html")
    assert body is not None
    assert (body.digest, body.size, decompress(body.zstd)) == (body_hash(HTML), len(HTML), HTML)


async def test_a_sitemap_comes_back_as_entries_and_what_is_no_document_as_none() -> None:
    sitemap = b"<urlset><url><loc>http://a.test/x</loc><lastmod>1970-01-02</lastmod></url></urlset>"
    async with open_parser(SETTINGS, 10) as parser:
        entries = await parser.read(UrlKind.SITEMAP, _response(sitemap, None), keep_body=True)
        nothing = await parser.read(UrlKind.PAGE, _response(b"just text", None), keep_body=True)
    assert entries == (Listing(entries=(SitemapEntry(url="http://a.test/x", lastmod=86400.0),)), None)
    assert nothing == (None, None)


@LOOPS
@pytest.mark.parametrize("settings", [SETTINGS, ReaderSettings(product_token="other")])
def test_a_process_that_comes_up_already_is_used_if_it_has_these_settings(loop: Any, settings: ReaderSettings) -> None:
    before = _children()
    with coming_up(settings) as spawned:
        assert spawned is not None
        is_of_use = settings == SETTINGS

        async def main() -> None:
            async with open_parser(SETTINGS, 60, eager=False, spawned=spawned) as parser:
                assert await _title_read(parser) == "T"
                assert (spawned.process.pid in _children()) == is_of_use

        _run(loop, main())
    assert _children() <= before


def test_a_process_that_nobody_needed_is_gone() -> None:
    before = _children()
    with coming_up(SETTINGS):
        assert len(_children() - before) == 1
    assert _children() <= before


async def test_answers_find_their_questions_when_many_ask_at_once() -> None:
    async with open_parser(SETTINGS, 10) as parser:

        async def title(number: int) -> str | None:
            body = f"<title>{number}</title>{'x' * (number * 997 % 50_000)}".encode()
            reading = await parser.read(UrlKind.PAGE, _response(body), keep_body=number % 2 == 0)
            assert not isinstance(reading, Failure)
            page, stored = reading
            assert isinstance(page, Page)
            assert (stored is not None) == (number % 2 == 0)
            return page.title

        titles = await asyncio.gather(*(title(number) for number in range(300)))
    assert titles == [str(number) for number in range(300)]


async def test_a_document_that_takes_too_long_is_given_up_and_the_others_are_read() -> None:
    async with open_parser(SETTINGS, 0.5) as parser:
        bodies = [HTML, NESTED, HTML, NESTED, HTML, HTML]
        readings = await asyncio.gather(
            *(parser.read(UrlKind.PAGE, _response(body), keep_body=False) for body in bodies)
        )
    for body, reading in zip(bodies, readings, strict=True):
        if body is NESTED:
            assert isinstance(reading, Failure)
            assert reading.kind is FailureKind.PARSE_TIMEOUT
        else:
            assert not isinstance(reading, Failure)


@pytest.mark.thorough
async def test_a_process_that_dies_once_costs_nothing_and_twice_its_document() -> None:
    async with open_parser(SETTINGS, 60) as parser:
        await parser.read(UrlKind.PAGE, _response(HTML), keep_body=False)
        reading = asyncio.create_task(parser.read(UrlKind.PAGE, _response(NESTED), keep_body=False))
        deaths = 0
        while not reading.done():
            await asyncio.sleep(0.7)  # a document of 13 s: whatever lives is reading it, is idle, or comes up still
            for pid in _children():
                os.kill(pid, signal.SIGKILL)
            deaths += 1
        assert deaths >= 2
        outcome = await reading
        assert isinstance(outcome, Failure)
        assert outcome.message == "the parser process died while reading it"
        again = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=False)
        assert not isinstance(again, Failure)


@pytest.mark.parametrize("body", [HTML, NESTED])
async def test_no_process_outlives_its_parser(body: bytes) -> None:
    before = _children()
    async with open_parser(SETTINGS, 60) as parser:
        reading = asyncio.create_task(parser.read(UrlKind.PAGE, _response(body), keep_body=False))
        await asyncio.sleep(0.6)
        assert _children() - before
        reading.cancel()
    assert _children() <= before


@LOOPS
def test_what_is_given_to_a_process_that_has_just_died_is_read_by_another(loop: Any) -> None:
    async def read_between_deaths() -> None:
        async with _closed_later(ParserPool(SETTINGS, 60, processes=1)) as parser:
            for turns in range(6):
                await _title_read(parser)
                for pid in _children():
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)  # it dies while the event loop looks away; how much that has learned is up to `turns`
                before = asyncio.create_task(_title_read(parser))
                for _turn in range(turns):
                    await asyncio.sleep(0)
                assert await _title_read(parser) == "T"
                assert await before == "T"

    _run(loop, read_between_deaths())


@pytest.mark.thorough
@LOOPS
def test_no_read_waits_for_ever_whenever_processes_are_killed(loop: Any) -> None:
    async def read_under_fire() -> None:
        async with open_parser(SETTINGS, 60) as parser:
            readings = asyncio.gather(*(_title_read(parser) for _ in range(3000)))
            for _shot in range(12):
                await asyncio.sleep(0.09)
                for pid in sorted(_children())[:1]:
                    os.kill(pid, signal.SIGKILL)
            assert set(await readings) <= {"T", "the parser process died while reading it"}
            assert await _title_read(parser) == "T"

    _run(loop, read_under_fire())


@LOOPS
def test_where_no_process_can_be_started_every_read_says_so(loop: Any) -> None:
    async def read_without_room() -> None:
        async with _closed_later(ParserPool(SETTINGS, 60)) as parser:
            with _no_file_to_open():
                waiting = await asyncio.gather(*(_title_read(parser) for _ in range(5)), return_exceptions=True)
            assert all(isinstance(outcome, CrawlerError) and "ulimit -n" in str(outcome) for outcome in waiting), (
                waiting
            )
            with pytest.raises(CrawlerError, match="ulimit -n"):
                await _title_read(parser)

    _run(loop, read_without_room())


@LOOPS
def test_a_process_is_started_as_soon_as_there_is_room_for_it(loop: Any) -> None:
    async def read_with_room_later() -> None:
        async with _closed_later(ParserPool(SETTINGS, 60)) as parser:
            with _no_file_to_open():
                reading = asyncio.create_task(_title_read(parser))
                await asyncio.sleep(0.2)
            assert await reading == "T"

    _run(loop, read_with_room_later())


@LOOPS
def test_processes_that_cannot_run_at_all_are_not_the_documents_fault(
    loop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def read_without_a_standard_library() -> None:
        async with open_parser(SETTINGS, 60) as parser:
            waiting = await asyncio.gather(*(_title_read(parser) for _ in range(5)), return_exceptions=True)
            for outcome in waiting:
                assert isinstance(outcome, CrawlerError)
                assert "exit status 1" in str(outcome)
                assert "No module named" in str(outcome)  # what the process said last
                assert "\n" not in str(outcome)
            with pytest.raises(CrawlerError, match="crash at start"):
                await _title_read(parser)

    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    _run(loop, read_without_a_standard_library())


@pytest.mark.thorough
async def test_processes_that_something_kills_as_they_start_are_not_started_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with open_parser(SETTINGS, 60) as parser:
        with pytest.raises(CrawlerError, match="killed by signal 9"):
            await _title_read(parser)


NOT_UTF8 = encode_content(read_page(b"<title>T</title>text", "http://a.test/"))[:-1] + b"\xff"


@pytest.mark.parametrize("answer", [b"{{{", b"[]", b"{}", b"7", b'{"entries":[[]]}', NOT_UTF8])
async def test_a_process_that_answers_nonsense_is_replaced(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = encode_json(answer, 0)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        f"if not os.path.exists({str(tmp_path / 'once')!r}):\n"
        f"    open({str(tmp_path / 'once')!r}, 'w').close()\n"
        f"    os.write(1, {READY!r})\n"
        "    os.read(0, 1)\n"  # it has been asked: an answer without a question is nonsense, whatever it says
        f"    os.write(1, {message!r})\n"
        "    time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with _closed_later(ParserPool(SETTINGS, 50, processes=1)) as parser:
        assert await asyncio.gather(*(_title_read(parser) for _ in range(5))) == ["T"] * 5
        assert (tmp_path / "once").exists()


async def test_a_process_may_say_much_on_standard_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, contextlib\nwith contextlib.suppress(OSError):\n    os.write(2, b'x' * 9_000_000)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with open_parser(SETTINGS, 50) as parser:
        assert await _title_read(parser) == "T"


@pytest.mark.parametrize(
    "content_type", ["a" * 999 + "\N{EURO SIGN}" * 9, "\N{GRINNING FACE}" * 70_000, "text/html;\udce9"]
)
async def test_any_content_type_reaches_the_reader(content_type: str) -> None:
    async with open_parser(SETTINGS, 60) as parser:
        reading = await parser.read(UrlKind.PAGE, _response(HTML, content_type), keep_body=False)
    assert not isinstance(reading, Failure)


@pytest.mark.thorough
async def test_large_documents_are_read_one_at_a_time_over_all_processes() -> None:
    """Eight at once took 1.3 GB. Small ones do not wait for them."""
    async with _closed_later(ParserPool(SETTINGS, 60, processes=3)) as parser:
        body = LARGE[: 3 << 20]
        large = [asyncio.create_task(parser.read(UrlKind.PAGE, _response(body), keep_body=False)) for _ in range(4)]
        small = 0
        while not all(reading.done() for reading in large):
            assert await _title_read(parser) == "T"
            small += 1
            busy = [process for process in parser._processes if any(job.size > 1 << 20 for job in process.jobs)]
            assert len(busy) <= 1
            assert all(len(process.jobs) == 1 for process in busy)
    assert not any(isinstance(reading.result(), Failure) for reading in large)
    assert small >= 4


_TAKES_AND_FREES = """
import ctypes, resource
from crawler.parsing.child import come_up
come_up()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.memset.restype = ctypes.c_void_p
libc.malloc.argtypes = (ctypes.c_size_t,)
libc.memset.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
libc.free.argtypes = (ctypes.c_void_p,)
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.memset(libc.malloc(100_000), 1, 100_000) for _ in range(20)]
    for block in reversed(blocks):
        libc.free(block)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_what_the_last_document_took_is_there_for_the_next_one() -> None:
    """The system is asked once for the 480 pages of memory of the blocks."""
    done = subprocess.run([sys.executable, "-c", _TAKES_AND_FREES], capture_output=True, text=True, check=True)
    assert all(int(faults) < 48 for faults in done.stdout.split()[-10:]), done.stdout


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("processes", [1, 2])
async def test_a_process_that_has_grown_is_replaced_after_its_document(processes: int) -> None:
    """That is no document's fault, however often it happens to one that waits behind large ones."""
    async with _closed_later(ParserPool(SETTINGS, 60, processes=processes)) as parser:
        assert await _title_read(parser) == "T"
        bodies = [HTML, LARGE, HTML, LARGE, HTML, LARGE, HTML]
        readings = await asyncio.gather(
            *(parser.read(UrlKind.PAGE, _response(body), keep_body=False) for body in bodies)
        )
        assert not any(isinstance(reading, Failure) for reading in readings)
        assert await _title_read(parser) == "T"
        assert sum(map(_resident_bytes, _children())) < processes * (100 << 20)


@pytest.mark.thorough
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries cannot be told to give memory back")
async def test_a_process_that_only_keeps_freed_memory_gives_it_back_and_stays() -> None:
    async with _closed_later(ParserPool(SETTINGS, 60, processes=1)) as parser:
        assert await _title_read(parser) == "T"
        before = _children()
        for _ in range(3):
            assert not isinstance(
                await parser.read(UrlKind.PAGE, _response(LARGE[: 4 << 20]), keep_body=False), Failure
            )
        assert await _title_read(parser) == "T"
        assert _children() == before


async def test_a_closed_parser_reads_nothing_and_leaves_nobody_waiting() -> None:
    async with open_parser(SETTINGS, 60) as parser:
        readings = [asyncio.create_task(_title_read(parser)) for _ in range(20)]
        await asyncio.sleep(0)
    for outcome in await asyncio.gather(*readings, return_exceptions=True):
        assert isinstance(outcome, CrawlerError)
    with pytest.raises(CrawlerError, match="closed"):
        await _title_read(parser)


@LOOPS
@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.6])
def test_a_loop_that_shuts_down_leaves_no_process(loop: Any, delay_s: float) -> None:
    before = _children()
    kept = []

    async def leave_the_parser_open() -> None:
        context = open_parser(SETTINGS, 60)
        parser = await context.__aenter__()
        reading = asyncio.create_task(parser.read(UrlKind.PAGE, _response(NESTED), keep_body=False))
        kept.extend([context, reading])
        await asyncio.sleep(delay_s)

    _run(loop, leave_the_parser_open())
    assert _children() <= before


@LOOPS
def test_a_close_that_is_cancelled_has_killed_the_processes(loop: Any) -> None:
    async def cancel_close() -> None:
        before = _children()
        async with open_parser(SETTINGS, 60) as parser:
            reading = asyncio.create_task(parser.read(UrlKind.PAGE, _response(NESTED), keep_body=False))
            await asyncio.sleep(0.6)
            closing = asyncio.create_task(parser.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            with pytest.raises(CrawlerError):
                await reading
            while _children() - before:
                await asyncio.sleep(0.01)

    _run(loop, cancel_close())


def _run(loop: Any, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


async def _title_read(parser: ParserPool) -> str | None:
    """The title that the parser finds in `HTML`, or why it does not."""
    reading = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=False)
    if isinstance(reading, Failure):
        return reading.message
    page, _body = reading
    assert isinstance(page, Page)
    return page.title


@asynccontextmanager
async def _closed_later(parser: ParserPool) -> AsyncIterator[ParserPool]:
    """A parser that starts no process before it needs one."""
    try:
        yield parser
    finally:
        await parser.close()


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@contextmanager
def _no_file_to_open() -> Iterator[None]:
    """No more files can be opened meanwhile, and so no pipes."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
