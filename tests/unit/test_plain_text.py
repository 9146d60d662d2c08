"""Plain text: its lines, its encoding, what is none; no bytes make reading fail."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.content.plain_text import read_text
from crawler.content.reader import read, readable
from crawler.records import Page, UrlKind

URL = "http://example.com/a.txt"


def page_of(body: bytes, content_type: str | None = "text/plain") -> Page:
    page = read_text(body, URL, content_type)
    assert page is not None
    return page


def test_a_text_is_read_as_it_is() -> None:
    page = page_of(b"\r\n\r\n  Indented\tby two \r\n\r\n\r\nhttp://example.com/b <a href=/c>c</a>\rlast\n\n")
    assert page.text == "  Indented\tby two\n\n\nhttp://example.com/b <a href=/c>c</a>\nlast"
    assert (page.url, page.title, page.content_type, page.encoding) == (URL, None, "text/plain", "utf-8")
    assert (page.links, page.links_total) == ((), 0)
    assert page.reader_version > 1


@pytest.mark.parametrize(
    ("body", "content_type", "text", "encoding"),
    [
        ("d\u00e9j\u00e0 vu".encode(), "text/plain", "d\u00e9j\u00e0 vu", "utf-8"),
        (b"d\xe9j\xe0 vu", "text/plain; charset=latin1", "d\u00e9j\u00e0 vu", "windows-1252"),
        ("\u0434\u0430".encode("koi8-r"), "text/plain;charset=koi8-r", "\u0434\u0430", "koi8-r"),
        ("\ufeff\u0434\u0430".encode("utf-16-le"), "text/plain", "\u0434\u0430", "utf-16le"),
        ("\ufeff\u0434\u0430".encode(), "text/plain; charset=latin1", "\u0434\u0430", "utf-8"),
        ("<meta charset=koi8-r>\u0434\u0430".encode(), None, "<meta charset=koi8-r>\u0434\u0430", "utf-8"),
        ("<?xml encoding='koi8-r'?>\u0434\u0430".encode(), None, "<?xml encoding='koi8-r'?>\u0434\u0430", "utf-8"),
        ("Wort\xadteil \u200b\n\u200bda".encode(), "text/plain", "Wortteil\nda", "utf-8"),
        (b"", "text/plain", "", "utf-8"),
    ],
)
def test_encoding(body: bytes, content_type: str | None, text: str, encoding: str) -> None:
    """Markup in a text declares nothing."""
    page = page_of(body, content_type)
    assert (page.text, page.encoding) == (text, encoding)


@pytest.mark.parametrize("byte", [*range(9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])
def test_what_holds_binary_data_is_no_text(byte: int) -> None:
    """Among its first bytes, unless it has a byte order mark (WHATWG MIME Sniffing, 7.2)."""
    binary = b"text" + bytes([byte])
    assert read_text(binary, URL, "text/plain") is None
    assert read_text(b"x" * 1441 + binary[3:], URL, "text/plain") is None
    assert read_text(b"x" * 1445 + binary, URL, "text/plain") is not None
    assert read_text(b"\xef\xbb\xbf" + binary, URL, "text/plain") is not None


@pytest.mark.parametrize("body", [b"a\tb\nc\rd\x0ce\x1bf", b"\x7f\x80\xff"])
def test_what_is_no_binary_data_is_text(body: bytes) -> None:
    assert read_text(body, URL, "text/plain") is not None


def test_equal_texts_have_equal_hashes_and_others_have_others() -> None:
    assert page_of(b"a\r\nb").content_hash == page_of(b"a\nb \n\n").content_hash
    assert page_of(b"a\nb").content_hash != page_of(b"a b").content_hash


def test_it_is_read_where_the_server_says_so() -> None:
    for content_type in ("text/plain", "TEXT/Plain; charset=utf-8", "text/plain, text/html"):
        assert readable(content_type)
        page = read(UrlKind.PAGE, b"<title>t</title>", URL, content_type)
        assert isinstance(page, Page)
        assert (page.title, page.text) == (None, "<title>t</title>")
    for content_type in ("text/css", "text/markdown", "application/json"):
        assert not readable(content_type)
        assert read(UrlKind.PAGE, b"text", URL, content_type) is None


@settings(deadline=None)  # chardet is loaded when it is first needed
@given(st.binary(max_size=300), st.sampled_from([None, "text/plain", "text/plain; charset=utf-16le", "x; charset=gbk"]))
def test_no_bytes_make_reading_fail(body: bytes, content_type: str | None) -> None:
    page = read_text(body, URL, content_type)
    if page is not None:
        assert "\0" not in page.text
        assert page.text.encode().decode() == page.text
        assert page == read_text(body, URL, content_type)
