"""PDF documents: title, author and text; what cannot be opened is not read; no bytes make reading fail."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.content.pdf import MAX_TEXT_CHARS, read_pdf
from crawler.content.reader import is_unread_pdf, read, readable
from crawler.records import Page, UrlKind
from tests.pdf_files import a_pdf, shown

URL = "http://example.com/a.pdf"
TWO_PAGES = a_pdf(["First  line", "second line"], ["Caf\u00e9 (third)"], about=b"/Title (A  title) /Author (Ann)")


def page_of(body: bytes) -> Page:
    page = read_pdf(body, URL)
    assert page is not None
    return page


def test_a_document_is_read_page_by_page_and_line_by_line() -> None:
    page = page_of(TWO_PAGES)
    assert (page.url, page.title, page.author) == (URL, "A title", "Ann")
    assert page.text == "First line\nsecond line\nCaf\u00e9 (third)"
    assert (page.content_type, page.encoding, page.links, page.links_total) == ("application/pdf", "", (), 0)
    assert page.reader_version > 1


@pytest.mark.parametrize(
    ("about", "title"),
    [
        (b"", None),
        (b"/Title ()", None),
        (b"/Title ( \n\t )", None),
        (b"/Title <FEFF0416D83DDE00>", "\u0416\U0001f600"),
        (b"/Title <FEFFD83D0041>", None),  # half a pair
        (b"/Title (a\\000b\\001c)", "abc"),
        (b"/Title (" + b"x" * 50_000 + b")", "x" * 10_000),
        (b"/Title 7", None),
    ],
)
def test_title(about: bytes, title: str | None) -> None:
    assert page_of(a_pdf(["text"], about=about)).title == title


def test_a_hyphen_at_the_end_of_a_line_parts_no_word() -> None:
    assert page_of(a_pdf(["a long hyphen-", "ated word"])).text == "a long hyphenated word"


def test_pages_without_text_are_read_as_empty() -> None:
    """As those of a scan."""
    page = page_of(a_pdf([], []))
    assert (page.text, page.title) == ("", None)


def test_equal_documents_have_equal_hashes_and_others_have_others() -> None:
    first, again = page_of(a_pdf(["a"])), page_of(a_pdf(["a"]) + b"\n% another end\n")
    assert first.content_hash == again.content_hash
    assert first.content_hash != page_of(a_pdf(["b"])).content_hash
    assert first.content_hash != page_of(a_pdf(["a"], about=b"/Title (t)")).content_hash
    assert first.metadata_hash == again.metadata_hash == page_of(a_pdf(["b"])).metadata_hash
    by_another = page_of(a_pdf(["a"], about=b"/Author (me)"))
    assert (first.content_hash, first.metadata_hash != by_another.metadata_hash) == (by_another.content_hash, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"%PDF-1.7\n",
        b"<!doctype html><title>Not found</title>",
        a_pdf(["secret"], encrypted=True),
        TWO_PAGES[:100],
        a_pdf(),
    ],
)
def test_what_cannot_be_opened_is_not_read(body: bytes) -> None:
    page = read_pdf(body, URL)
    assert page is None or page.text == ""


def test_what_is_damaged_gives_what_is_left() -> None:
    table, trailer = TWO_PAGES.rindex(b"xref\n0"), TWO_PAGES.rindex(b"trailer")
    assert page_of(TWO_PAGES[:table] + TWO_PAGES[trailer:]).text.startswith("First line")
    assert page_of(b"\r\n\r\n" + TWO_PAGES).text.startswith("First line")
    broken = a_pdf(["one"], zlib.compress(b"nonsense ( Tj ["), b"no zlib", ["four"])
    assert page_of(broken).text.split("\n") == ["one", "four"]


@pytest.mark.parametrize("count", [0, 1, 100_000_000, -1])
def test_a_wrong_number_of_pages_ends(count: int) -> None:
    assert read_pdf(a_pdf(["one"], ["two"], count=count), URL) is not None


@pytest.mark.thorough
def test_text_is_cut_at_its_limit() -> None:
    stream = zlib.compress(shown(["x" * 1000] * 1000))
    page = page_of(a_pdf(*[stream] * (MAX_TEXT_CHARS // 1_000_000 + 2)))
    assert MAX_TEXT_CHARS - 1001 < len(page.text) <= MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "content_type", ["application/pdf", "Application/PDF; version=1.7", "application/x-pdf", None, "", "html"]
)
def test_which_types_are_read_as_pdf(content_type: str | None) -> None:
    """A document without a type is one that begins like one."""
    assert readable(content_type)
    assert not is_unread_pdf(content_type)
    page = read(UrlKind.PAGE, TWO_PAGES, URL, content_type)
    assert isinstance(page, Page)
    assert page.content_type == "application/pdf"


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/octet-stream", "image/png"])
def test_other_types_are_not_read_as_pdf(content_type: str) -> None:
    page = read(UrlKind.PAGE, TWO_PAGES, URL, content_type)
    assert page is None or (isinstance(page, Page) and page.content_type != "application/pdf")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(TWO_PAGES) - 1), st.integers(0, 255)), max_size=30), st.integers(0, 900))
def test_no_bytes_make_reading_fail(changes: list[tuple[int, int]], cut: int) -> None:
    body = bytearray(TWO_PAGES)
    for place, byte in changes:
        body[place] = byte
    page = read_pdf(bytes(body[: len(body) - cut]), URL)
    assert page is None or page.text.encode() is not None
