from __future__ import annotations

from crawler.parsing.parser import Unread
from crawler.parsing.settings import ReaderSettings
from crawler.parsing.wire import decode_content, encode_content
from crawler.records import Extract, Links, Page

URL = "http://a.test/"


def test_settings_reach_a_process_as_they_were() -> None:
    settings = ReaderSettings(product_token="böt'\"\n")
    assert ReaderSettings.from_argument(settings.as_argument()) == settings


def test_what_rules_find_travels_with_its_page() -> None:
    found = (
        Extract("product", ({"price": 1.5, "tags": ["a", "b"], "brand": None}, {"price": 2}), ("name",), cut=True),
        Extract("nothing"),
    )
    page = Page(url=URL, links=Links((), (), (), ()), extracts=found)
    assert decode_content(encode_content(page), URL) == page


def test_a_page_without_rules_travels_as_before() -> None:
    page = Page(url=URL, links=Links((), (), (), ()))
    assert decode_content(encode_content(page), URL) == page
    assert b"extract" not in encode_content(page)


def test_readers_reach_a_process_and_what_they_give_comes_back() -> None:
    settings = ReaderSettings(product_token="x", readers={"text/csv": "tables:read"}, folders=("/srv/böt",))
    assert ReaderSettings.from_argument(settings.as_argument()) == settings
    page = Page(url=URL, links=Links((), (), (), ()), fields={"n": 1}, extracts=(Extract("nothing"),))
    for one in (page, Page(url=URL, links=Links((), (), (), ()), fields={"n": 1})):
        assert decode_content(encode_content(one), URL) == one
    told = decode_content(encode_content(Unread("it said: no")), URL)
    assert (told, type(told)) == ("it said: no", Unread)
