"""What readers of the user's give, made pages: whatever it is, it can be stored, or it is said what is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from crawler.content.html import read_page
from crawler.content.own_reader import page_of
from crawler.records import Link, Page

URL = "http://a.test/list/data.csv"


def made(found: Any) -> Page:
    page = page_of(found, URL, "text/csv")
    assert page is not None
    return page


def test_a_text_is_the_page_s_text() -> None:
    page = made("one\0two\ud800")
    assert (page.url, page.text, page.title, page.content_type) == (URL, "one\ufffdtwo\ufffd", None, "text/csv")


def test_none_is_no_page() -> None:
    assert page_of(None, URL, "text/csv") is None


def test_a_mapping_has_what_a_page_has() -> None:
    page = made(
        {
            "title": " A\n title ",
            "text": "words",
            "author": "Me",
            "language": "en",
            "published_at": 5,
            "links": ["/x", ("y", "an\tanchor"), "mailto:me@a.test", "http://u:p@a.test/x#part"],
            "fields": {"n": (1, 2)},
        }
    )
    assert (page.title, page.author, page.language, page.published_at) == ("A title", "Me", "en", 5.0)
    assert page.links == (Link("http://a.test/x"), Link("http://a.test/list/y", "an anchor"))
    assert (page.links_total, page.fields) == (2, {"n": [1, 2]})


def test_versions_differ_by_text_and_links_and_metadata_by_the_rest() -> None:
    first = made({"text": "a", "links": ["/x"]})
    assert first.content_hash == made({"text": "a", "links": ["/x"], "fields": {"n": 1}}).content_hash
    assert first.content_hash != made({"text": "a", "links": ["/y"]}).content_hash
    assert first.metadata_hash != made({"text": "a", "links": ["/x"], "author": "Me"}).metadata_hash


def test_html_that_it_was_turned_into_is_read_as_such() -> None:
    page = made(read_page(b"<title>T</title><a href=x>x</a>", "http://other.test/"))
    assert (page.url, page.title) == (URL, "T")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (3, "a reader gives a text, a mapping, a Page or None, not int"),
        ({"titel": "x"}, "a page has no 'titel'; there are text, title"),
        ({"title": 3}, "a text is wanted, not 3"),
        ({"fields": [1]}, "fields is a mapping, not [1]"),
        ({"fields": {"x": {1}}}, "Type is not JSON serializable: set"),
    ],
)
def test_what_cannot_be_used_is_told(found: Any, told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(told)):
        made(found)
