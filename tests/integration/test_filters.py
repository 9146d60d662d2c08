"""Which URLs a question is about: hosts and globs, as the database finds them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from crawler.archive.filters import UrlFilter, where
from crawler.urls import host_of

URLS = [
    "http://example.com/",
    "http://example.com/docs/a",
    "http://example.com:8080/docs/b",
    "http://www.example.com/docs/",
    "http://example.org/",
    "http://[::1]/",
    "http://[::2]/",
]


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript("CREATE TABLE hosts (id INTEGER PRIMARY KEY, name); CREATE TABLE urls (url, host_id, host)")
        for url in URLS:
            made.execute("INSERT INTO hosts (name) VALUES (?)", (host_of(url),))
            made.execute("INSERT INTO urls VALUES (?, last_insert_rowid(), ?)", (url, host_of(url)))
        yield made


@pytest.mark.parametrize("host_column", [None, "v.host"])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (UrlFilter(), [0, 1, 2, 3, 4, 5, 6]),
        (UrlFilter(host="example.com"), [0, 1, 2]),
        (UrlFilter(host="*.example.com"), [3]),
        (UrlFilter(host="*example.*"), [0, 1, 2, 3, 4]),
        (UrlFilter(host="[::1]"), [5]),
        (UrlFilter(host="[::*]"), [5, 6]),
        (UrlFilter(host="example.co?"), [0, 1, 2]),
        (UrlFilter(host="' OR 1 --"), []),
        (UrlFilter(glob="http://example.com/*"), [0, 1]),
        (UrlFilter(glob="*/docs/*"), [1, 2, 3]),
        (UrlFilter(glob="http://example.com/docs"), []),
        (UrlFilter(host="example.com", glob="*/docs/*"), [1, 2]),
    ],
)
def test_hosts_and_globs_find_the_urls_that_they_name(
    connection: sqlite3.Connection, asked: UrlFilter, found: list[int], host_column: str | None
) -> None:
    condition = where(asked.conditions("v.url", host_column))
    rows = connection.execute(f"SELECT rowid FROM urls AS v{condition.sql} ORDER BY rowid", condition.parameters)
    assert [rowid - 1 for (rowid,) in rows] == found
