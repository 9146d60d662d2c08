"""Which responses are read, and by which reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.content.reader import kind_of, read, readable
from crawler.records import LOOK_BYTES, Listing, Page, SitemapEntry, UrlKind

URL = "http://example.com/"
HTML = b"<html><title>t</title>"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/html", True),
        ("TEXT/HTML ; charset=utf-8", True),
        ("application/xhtml+xml", True),
        ("application/xml", True),
        ("text/xml; charset=utf-8", True),
        ("text/html, text/html", True),
        (None, True),
        ("", True),
        ("  ; charset=utf-8", True),
        ("*/*", True),
        ("application/unknown", True),
        ("text/plain", True),
        ("application/json", False),
        ("image/png", False),
        ("text/htmlx", False),
        ("text/html;", True),
        ("html", True),
        ("none", True),
        ("text", True),
        ("text/", True),
        ("/html", True),
        ("text/html charset=utf-8", True),
        ("text/plain charset=utf-8", True),
        ("text/html (x)", True),
        ("te(xt/html", True),
        ("text/html/5", True),
        ("html, image/png", False),
        ("image/png, html", False),
    ],
)
def test_which_types_are_readable(content_type: str | None, expected: bool) -> None:
    assert readable(content_type) is expected


@pytest.mark.parametrize("content_type", ["text/html", "application/xhtml+xml; charset=utf-8"])
@pytest.mark.parametrize("body", [HTML, b"plain", b""])
def test_a_declared_page_is_read_whatever_it_looks_like(content_type: str, body: bytes) -> None:
    assert isinstance(read(UrlKind.PAGE, body, URL, content_type), Page)


@pytest.mark.parametrize("content_type", ["text/css", "application/json", "image/png"])
def test_other_types_are_not_read(content_type: str) -> None:
    """A document of another type is not read, even if it looks like a page."""
    assert read(UrlKind.PAGE, HTML, URL, content_type) is None


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml; charset=utf-8"])
@pytest.mark.parametrize(
    ("body", "is_page"),
    [
        ("<html xmlns='http://www.w3.org/1999/xhtml'/>", True),
        (
            " \n<?xml version='1.0'?><!-- <feed> --><?pi?><!DOCTYPE html PUBLIC '-//W3C//DTD' 'x.dtd'>\n<html>",
            True,
        ),
        ("<!DOCTYPE html [<!ENTITY a 'b'>]><html lang='en'>", True),
        ("<x:html xmlns:x='http://www.w3.org/1999/xhtml'>", True),
        ("<html", False),
        ("<htmlx>", False),
        ("<rss><html/></rss>", False),
        ("<!-- <html> --><feed/>", False),
        ("<!-- <html> ", False),
        ("plain <html>", False),
        ("", False),
    ],
)
def test_xml_is_a_page_where_its_root_is_that_of_xhtml(body: str, is_page: bool, content_type: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert isinstance(read(UrlKind.PAGE, body.encode(encoding), URL, content_type), Page) is is_page


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("root", "is_page"), [("<html lang='en'>", True), ("<svg>", False)])
def test_a_root_beyond_what_is_looked_at_first_is_waited_for(root: str, is_page: bool, encoding: str) -> None:
    """A licence in a comment may stand before it; its first bytes alone do not tell."""
    body = f"<?xml version='1.0'?><!-- {'licence ' * 600} -->\n{root}".encode(encoding)
    head, url_kind = body[:LOOK_BYTES], UrlKind.PAGE
    assert kind_of(url_kind, "application/xml", head) is url_kind
    assert isinstance(read(url_kind, body, URL, "application/xml"), Page) is is_page


def test_a_short_document_that_is_nothing_but_a_comment_is_not_waited_for() -> None:
    assert kind_of(UrlKind.PAGE, "application/xml", b"<!-- nothing -->") is None


def test_a_hostile_prologue_is_passed_in_linear_time() -> None:
    for opening in ("<!-- -->", "<!--", "<?", "<!DOCTYPE a [", " ", "<!DOCTYPE "):
        assert read(UrlKind.PAGE, (opening * 100_000).encode(), URL, "text/xml") is None


NO_TYPE = [None, "", "html", "none", "text/html charset=utf-8", "text/html (x)", "*/*"]


@pytest.mark.parametrize("content_type", NO_TYPE)
@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html>",
        b"<!doctype HTML ",
        b"<html>",
        b" \r\n\t\x0c<HTML lang=en>",
        b"\xef\xbb\xbf<head>",
        b"<script >",
        b"<iframe >",
        b"<h1>",
        b"<div class=x>",
        b"<font >",
        b"<table>",
        b"<a href=x>",
        b"<style>",
        b"<title>",
        b"<b>",
        b"<body>",
        b"<br>",
        b"<p>",
        b"<!-- x",
        b"<!--[if IE]>",
        b"<?xml version='1.0'?>\n<!DOCTYPE html>",
    ],
)
def test_an_untyped_body_that_begins_like_html_is_a_page(body: bytes, content_type: str | None) -> None:
    assert isinstance(read(UrlKind.PAGE, body, URL, content_type), Page)


@pytest.mark.parametrize("content_type", NO_TYPE)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plain <html>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"{}",
        b"<",
        b"<html",
        b"<htmlx>",
        b"<article>",
        b"<abbr>",
        b"<?xml version='1.0'?><rss>",
        b"<?xml",
    ],
)
def test_an_untyped_body_that_does_not_is_none(body: bytes, content_type: str | None) -> None:
    assert read(UrlKind.PAGE, body, URL, content_type) is None


def test_a_sitemap_is_read_as_one_whatever_its_type() -> None:
    body = b"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>http://example.com/a</loc></url></urlset>"
    for content_type in (None, "text/xml", "text/html", "application/octet-stream"):
        entries = (SitemapEntry(url="http://example.com/a"),)
        assert read(UrlKind.SITEMAP, body, URL, content_type) == Listing(entries=entries)


def test_robots_txt_is_not_read_here() -> None:
    assert read(UrlKind.ROBOTS, HTML, URL, "text/html") is None


def test_the_type_and_the_name_of_the_crawler_reach_the_page() -> None:
    body = "<meta name=mybot content=noindex>Привет".encode("koi8-r")
    page = read(UrlKind.PAGE, body, URL, "text/html; charset=koi8-r", product_token="mybot")
    assert isinstance(page, Page)
    assert (page.url, page.text, page.encoding, page.noindex) == (URL, "Привет", "koi8-r", True)


_XML_TYPES = st.sampled_from(["application/xhtml+xml", "application/xml", "text/xml; charset=utf-16"])


@given(
    st.sampled_from([UrlKind.PAGE, UrlKind.SITEMAP]),
    st.binary(max_size=200),
    st.none() | st.text(max_size=30) | _XML_TYPES,
)
def test_nothing_that_a_server_sends_makes_reading_fail(kind: UrlKind, body: bytes, content_type: str | None) -> None:
    content = read(kind, body, URL, content_type)
    assert content is None or isinstance(content, Page | Listing)
