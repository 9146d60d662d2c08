"""Links by columns are what a tuple of them is."""

from __future__ import annotations

import pytest

from crawler.records import Link, Links, Page, columns_of

PLAIN = (Link("http://a.test/1", "one"), Link("http://a.test/2", "two", "next", True), Link("http://a.test/3"))
COLUMNS = columns_of(PLAIN)


def test_they_equal_a_tuple_of_the_same_links_and_no_other() -> None:
    assert COLUMNS == PLAIN
    assert PLAIN == COLUMNS
    assert columns_of(()) == ()
    assert PLAIN[:2] != COLUMNS
    assert list(PLAIN) != COLUMNS
    assert hash(COLUMNS) == hash(PLAIN)
    assert repr(COLUMNS) == repr(PLAIN)
    assert Page(url="http://a.test/", links=PLAIN) == Page(url="http://a.test/", links=COLUMNS)


def test_they_are_a_sequence() -> None:
    assert isinstance(COLUMNS, Links)
    assert columns_of(COLUMNS) is COLUMNS
    assert (len(COLUMNS), COLUMNS[1], COLUMNS[-1]) == (3, PLAIN[1], PLAIN[2])
    assert COLUMNS[1:] == PLAIN[1:]
    assert tuple(COLUMNS) == PLAIN
    assert all(isinstance(link, Link) for link in COLUMNS)
    assert PLAIN[2] in COLUMNS
    assert not columns_of(())


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Links(["http://a.test/"], [""], [""], [])
