"""What every parser owes a visit: the pool of processes, and the one that reads in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from crawler.bodies import body_hash, decompress
from crawler.content.html import read_page
from crawler.parsing.inline import InlineParser
from crawler.parsing.parser import Parser
from crawler.parsing.pool import open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.records import Failure, Listing, Page, Response, SitemapEntry, UrlKind

SETTINGS = ReaderSettings(product_token="testbot")
URL = "http://a.test/folder/page"
HTML = (
    b"<!doctype html><html lang=en><title>T</title><meta name=description content=D><meta property=og:title content=O>"
    b'<script type="application/ld+json">{}</script><h1>H</h1><p>text <a href=x rel=nofollow>an <b>anchor</b></a>'
    b"<meta name=testbot content=noindex><meta http-equiv=refresh content='3; url=/next'><a href=/y>y</a>"
)
SITEMAP = b"<urlset><url><loc>http://a.test/x</loc><lastmod>1970-01-02</lastmod></url></urlset>"


@pytest.fixture(params=["inline", "processes"])
async def parser(request: pytest.FixtureRequest) -> AsyncIterator[Parser]:
    """Each parser, for the product token 'testbot'."""
    if request.param == "inline":
        yield InlineParser(SETTINGS)
        return
    async with open_parser(SETTINGS, 30, eager=False) as pool:
        yield pool


async def test_page(parser: Parser) -> None:
    """A page comes back as the reader makes it, directives to our own product token included."""
    reading = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=False)
    assert reading == (read_page(HTML, URL, "text/html", product_token="testbot"), None)
    assert isinstance(reading[0], Page)
    assert reading[0].noindex


async def test_kept_body(parser: Parser) -> None:
    """A page's body comes back compressed and named by its hash, where it is asked for."""
    reading = await parser.read(UrlKind.PAGE, _response(HTML), keep_body=True)
    assert not isinstance(reading, Failure)
    _page, body = reading
    assert body is not None
    assert (body.digest, body.size, decompress(body.zstd)) == (body_hash(HTML), len(HTML), HTML)


async def test_sitemap(parser: Parser) -> None:
    """A sitemap comes back as its entries; its body is never kept."""
    reading = await parser.read(UrlKind.SITEMAP, _response(SITEMAP, None), keep_body=True)
    assert reading == (Listing(entries=(SitemapEntry(url="http://a.test/x", lastmod=86400.0),)), None)


@pytest.mark.parametrize(("body", "content_type"), [(b"just text", None), (HTML, "image/png"), (b"", "")])
async def test_no_document(parser: Parser, body: bytes, content_type: str | None) -> None:
    """What is no document that we read is nothing, and nothing of it is kept."""
    assert await parser.read(UrlKind.PAGE, _response(body, content_type), keep_body=True) == (None, None)


@pytest.mark.parametrize("body", [b"", b"\xff\x00<title>\xc3", b"<div>" * 2000, b"<a href=" * 3000])
async def test_broken_markup(parser: Parser, body: bytes) -> None:
    """Markup that nobody would write reads as it does inline."""
    reading = await parser.read(UrlKind.PAGE, _response(body), keep_body=False)
    assert reading == (read_page(body, URL, "text/html", product_token="testbot"), None)


@pytest.mark.parametrize("content_type", ["text/html;" + "\N{EURO SIGN}" * 9, "text/html;\udce9", "text/html, a/b"])
async def test_any_content_type(parser: Parser, content_type: str) -> None:
    """A Content-Type of any characters reaches the reader."""
    reading = await parser.read(UrlKind.PAGE, _response(HTML, content_type), keep_body=False)
    assert not isinstance(reading, Failure)
    assert isinstance(reading[0], Page)


async def test_many_at_once(parser: Parser) -> None:
    """Whoever asks gets the answer to their own question."""
    bodies = [f"<title>{number}</title>{'x' * (number * 997 % 50_000)}".encode() for number in range(60)]
    readings = await asyncio.gather(*(parser.read(UrlKind.PAGE, _response(body), keep_body=False) for body in bodies))
    pages = [reading[0] for reading in readings if not isinstance(reading, Failure)]
    assert [page.title for page in pages if isinstance(page, Page)] == [str(number) for number in range(60)]


def _response(body: bytes, content_type: str | None = "text/html") -> Response:
    return Response(url=URL, status_code=200, body=body, size=len(body), content_type=content_type)
