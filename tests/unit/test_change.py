"""How a page differs from the version of it that is stored: what counts, and for whom."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.policy.change import difference, is_awaited, is_metadata_alone, is_version
from crawler.records import Difference, Page, PreviousVisit, UrlStatus

SAME = {"content_hash": b"content", "metadata_hash": b"rest....prices.."}
OTHER_REST = {"metadata_hash": b"REST....prices.."}
OTHER_PRICE = {"metadata_hash": b"rest....PRICES.."}
OTHER_TEXT = {"content_hash": b"CONTENT"}


def a_page(**fields: Any) -> Page:
    return Page(url="http://a.test/", reader_version=2, **(SAME | fields))


def stored(**fields: Any) -> PreviousVisit:
    usual: dict[str, Any] = {"status": UrlStatus.FETCHED, "fetched_at": 1.0, "reader_version": 2, **SAME}
    return PreviousVisit(**(usual | fields))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, Difference.NOTHING),
        (OTHER_REST, Difference.METADATA),
        (OTHER_PRICE, Difference.PRICE_OR_DATE),
        (OTHER_TEXT, Difference.CONTENT),
        (OTHER_TEXT | OTHER_PRICE, Difference.CONTENT),
        ({"metadata_hash": b""}, Difference.NOTHING),  # plain text has none
    ],
)
def test_against_a_version_of_the_same_reader(fields: dict[str, Any], found: Difference) -> None:
    assert difference(a_page(**fields), stored(), None, truncated=False) is found


@pytest.mark.parametrize(
    ("page", "earlier", "found"),
    [
        (OTHER_TEXT, OTHER_TEXT, Difference.READER),
        (OTHER_REST, OTHER_REST, Difference.READER),
        (OTHER_TEXT | OTHER_PRICE, OTHER_TEXT, Difference.PRICE_OR_DATE),
        (OTHER_TEXT, {"content_hash": b"third"}, Difference.CONTENT),
        ({}, OTHER_TEXT, Difference.NOTHING),  # as it stands there is what it says
    ],
)
def test_against_a_version_of_another_reader_what_counts_is_todays_reading_of_its_body(
    page: dict[str, Any], earlier: dict[str, Any], found: Difference
) -> None:
    assert difference(a_page(**page), stored(reader_version=1), a_page(**earlier), truncated=False) is found


@pytest.mark.parametrize(("fields", "found"), [(OTHER_TEXT, Difference.UNKNOWN), (OTHER_REST, Difference.NOTHING)])
def test_without_a_body_nobody_can_tell(fields: dict[str, Any], found: Difference) -> None:
    assert difference(a_page(**fields), stored(reader_version=1, metadata_hash=None), None, truncated=False) is found


def test_where_nothing_is_stored_there_is_nothing_to_differ_from() -> None:
    assert difference(a_page(), None, None, truncated=False) is Difference.FIRST
    assert difference(a_page(), stored(content_hash=None), None, truncated=False) is Difference.FIRST


@pytest.mark.parametrize(
    ("was", "is_now", "found"), [(True, False, Difference.CONTENT), (True, True, Difference.NOTHING)]
)
def test_what_was_cut_is_completed(was: bool, is_now: bool, found: Difference) -> None:
    assert difference(a_page(), stored(truncated=was), None, truncated=is_now) is found


def test_who_goes_by_which_difference() -> None:
    assert {found for found in Difference if not is_version(found)} == {Difference.NOTHING, Difference.READER}
    assert {found for found in Difference if is_awaited(found)} == {Difference.CONTENT, Difference.PRICE_OR_DATE}
    assert {found for found in Difference if is_metadata_alone(found)} == {
        Difference.METADATA,
        Difference.PRICE_OR_DATE,
    }
