from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest

from crawler.parsing.wire import decode_content, encode_content
from crawler.records import Alternate, Claim, Link, LinkDetail, Page, Resource, Result, UrlStatus, Verdict, columns_of
from crawler.storage.page_fields import ENCODED, page_values, text_size

URL = "http://a.test/"
PAGE = Page(
    url=URL,
    title="100 %",
    text="Grüße\n\n50 %",
    headings=((1, "50 % “more”"), (2, "")),
    open_graph={"og:image": ["a", "b"], "og:title": "t"},
    json_ld=('{"a":\n"%d"}',),
    metas={"description": "d"},
    alternates=(Alternate("http://a.test/de", "hreflang", "de"),),
    resources=(Resource("image", "http://a.test/i.png", alt="% s", width="1"),),
    links=columns_of([Link("http://a.test/b", "b"), Link("http://a.test/c", "100 %", "nofollow", nofollow=True)]),
    links_total=2,
    link_details=(LinkDetail(1, 4, "%d %s", "50%25"), LinkDetail(0, 7), LinkDetail(1, 9, '["%d",[', '["%d",')),
    content_hash=b"12",
    metadata_hash=b"34",
)


def received(page: Page = PAGE) -> Page:
    """The page as it comes from a parser process."""
    found = decode_content(encode_content(page), URL)
    assert isinstance(found, Page)
    return found


def values_of(page: Page, target_ids: list[int | None]) -> dict[str, object]:
    claim = Claim(url_id=1, url=URL, host_id=1, host="a.test", origin="http://a.test")
    result = Result(claim=claim, verdict=Verdict(status=UrlStatus.FETCHED), page=page)
    return page_values(result, page, target_ids)


@pytest.mark.parametrize(
    ("target_ids", "details"),
    [
        ([5, 6], '[[6,4,"%d %s","50%25"],[5,7,"",null],[6,9,"[\\"%d\\",[","[\\"%d\\","]]'),
        ([5, None], '[[5,7,"",null]]'),
        ([None, None], "[]"),
        ([], "[]"),
    ],
)
def test_a_page_from_a_process_is_stored_as_one_that_was_made_here(target_ids: list[int | None], details: str) -> None:
    stored = values_of(PAGE, target_ids)
    assert values_of(received(), target_ids) == stored
    assert stored["link_details"] == details
    assert (stored["text"], stored["headings"]) == (PAGE.text.encode(), '[[1,"50 % “more”"],[2,""]]')


def test_what_no_database_can_keep_is_replaced() -> None:
    page = replace(PAGE, headings=((1, "a\0b"),), metas={"d": "\0"})
    assert received(page).headings == ((1, "a\ufffdb"),)
    assert values_of(received(page), [5, 6])["metas"] == '{"d":"\ufffd"}'


def test_what_nobody_looks_at_stays_encoded() -> None:
    page = received()
    values_of(page, [5, 6])
    assert text_size(page) == len(PAGE.text.encode())
    assert not any(_is_decoded(page, name) for name in ENCODED)
    assert (page.headings, page.text) == (PAGE.headings, PAGE.text)
    assert [name for name in ENCODED if _is_decoded(page, name)] == ["headings", "text"]


def test_a_text_that_nobody_could_read_again_is_nonsense() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_content(encode_content(PAGE).replace("Grüße".encode(), b"Gr\xff\xff\xff\xffe"), URL)


def test_whoever_looks_or_copies_finds_everything() -> None:
    assert received() == PAGE
    assert received().asdict() == PAGE.asdict()
    assert repr(received()) == repr(PAGE)
    assert copy(received()) == PAGE
    changed = replace(received(), title="other")
    assert changed == replace(PAGE, title="other")
    assert values_of(changed, [5, 6]) == values_of(replace(PAGE, title="other"), [5, 6])


@pytest.mark.parametrize("page", [PAGE, received()])
def test_a_page_has_no_other_fields(page: Page) -> None:
    with pytest.raises(AttributeError, match="'Page' object has no attribute 'headlines'"):
        page.headlines  # type: ignore[attr-defined]  # noqa: B018


def _is_decoded(page: Page, name: str) -> bool:
    try:
        object.__getattribute__(page, name)
    except AttributeError:
        return False
    return True
