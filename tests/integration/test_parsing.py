"""The parser processes: the same records as inline, and no harm from a document that hangs or kills its reader."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from crawler.bodies import body_hash, decompress
from crawler.content.html import read_page
from crawler.parsing import open_parser
from crawler.records import Failure, FailureKind, Page, Response, SitemapEntry, UrlKind

URL = "http://a.test/folder/page"
HTML = (
    b"<!doctype html><html lang=en><title>T</title><meta name=description content=D><meta property=og:title content=O>"
    b'<script type="application/ld+json">{}</script><h1>H</h1><p>text <a href=x rel=nofollow>an <b>anchor</b></a>'
    b"<meta http-equiv=refresh content='3; url=/next'><a href=/y>y</a>"
)
NESTED = b"<div>" * 100_000 + b"text"


def _response(body: bytes, content_type: str | None = "text/html") -> Response:
    return Response(url=URL, status_code=200, body=body, size=len(body), content_type=content_type)


def _children() -> set[int]:
    """The processes that this one has started and that live."""
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(pid) for children in lists for pid in children.read_text().split()}


async def test_a_page_comes_back_as_the_reader_makes_it() -> None:
    async with open_parser("crawler", 10) as parser:
        reading = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=True)
    assert not isinstance(reading, Failure)
    page, body = reading
    assert page == read_page(HTML, URL, "text/html")
    assert body is not None
    assert (body.digest, body.size, decompress(body.zstd)) == (body_hash(HTML), len(HTML), HTML)


async def test_a_sitemap_comes_back_as_entries_and_what_is_no_document_as_none() -> None:
    sitemap = b"<urlset><url><loc>http://a.test/x</loc><lastmod>1970-01-02</lastmod></url></urlset>"
    async with open_parser("crawler", 10) as parser:
        entries = await parser.read(UrlKind.SITEMAP, _response(sitemap, None), keep_body=True)
        nothing = await parser.read(UrlKind.PAGE, _response(b"just text", None), keep_body=True)
    assert entries == ([SitemapEntry(url="http://a.test/x", lastmod=86400.0)], None)
    assert nothing == (None, None)


async def test_answers_find_their_questions_when_many_ask_at_once() -> None:
    async with open_parser("crawler", 10) as parser:

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
    async with open_parser("crawler", 0.5) as parser:
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


async def test_a_process_that_dies_once_costs_nothing_and_twice_its_document() -> None:
    async with open_parser("crawler", 60) as parser:
        await parser.read(UrlKind.PAGE, _response(HTML), keep_body=False)
        reading = asyncio.create_task(parser.read(UrlKind.PAGE, _response(NESTED), keep_body=False))
        for _death in range(2):
            await asyncio.sleep(0.7)  # a document of 13 s: whatever lives is reading it, or is idle
            for pid in _children():
                os.kill(pid, signal.SIGKILL)
        outcome = await reading
        assert isinstance(outcome, Failure)
        assert "2 times" in outcome.message
        again = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=False)
        assert not isinstance(again, Failure)


@pytest.mark.parametrize("body", [HTML, NESTED])
async def test_no_process_outlives_its_parser(body: bytes) -> None:
    before = _children()
    async with open_parser("crawler", 60) as parser:
        reading = asyncio.create_task(parser.read(UrlKind.PAGE, _response(body), keep_body=False))
        await asyncio.sleep(0.6)
        assert _children() - before
        reading.cancel()
    assert _children() <= before
