"""What is pruned of a crawl: what is old, and nothing that is needed."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.records import (
    Difference,
    Extract,
    Failing,
    Failure,
    FailureKind,
    Page,
    Reason,
    Response,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from tests.contract.results import NOW, a_body, a_failure, a_result, a_store, claims_of
from tests.stores import Location, rows

DAY_S = 86400.0
AGES = (40, 30, 20, 10)  # in days, of the versions of each page; at each age an attempt fails, too
A, B, C = "http://a.test/", "http://a.test/b", "http://c.test/"
EVERYTHING = 1 << 62
VERSIONS = "SELECT u.url, f.started_at FROM pages p JOIN fetches f ON f.id = p.fetch_id JOIN urls u ON u.id = p.url_id"


async def grow(store: Store) -> None:
    """Four versions of each of three pages, the oldest two with the same body; the newest links to nothing."""
    claims = await claims_of(store)
    for age in AGES:
        at = NOW - age * DAY_S
        for url, claim in claims.items():
            page = Page(
                url=url,
                text=f"{age} days ago",
                content_hash=bytes([age]),
                extracts=(Extract("titles", ({"title": str(age)},)), Extract("prices", (), ("price",))),
            )
            body = a_body(f"{url} {min(age, 30)}".encode() * 20)
            links = [f"{url}link/{number}" for number in range(age // 10 - 1)]
            answer = Response(url=url, status_code=200, started_at=at, head=((b"X-Age", str(age).encode()),))
            changed = Difference.FIRST if age == AGES[0] else Difference.CONTENT
            visit: dict[str, Any] = {"attempt": answer, "body": body, "links": links, "difference": changed}
            await store.commit([a_result(claim, page=page, **visit)], at)
            attempt = Failure(url=url, kind=FailureKind.TIMEOUT, started_at=at)
            failing = Failing(since=at, reason=Reason("timeout"))
            fails = a_failure(claim, attempt=attempt, failing=failing, keeps=UrlStatus.FETCHED, next_fetch_at=NOW)
            await store.commit([fails], at)
    gone = a_result(claims[C], page=False, verdict=Verdict(status=UrlStatus.GONE))
    await store.commit([gone], NOW)


def kept(location: Location) -> dict[str, list[int]]:
    """The ages of the versions that are there, of each page."""
    found: dict[str, list[int]] = {}
    for url, at in sorted(rows(location, VERSIONS)):
        found.setdefault(url, []).append(round((NOW - at) / DAY_S))
    return found


def assert_consistent(location: Location) -> None:
    for column, of, table, key in (
        ("page_id", "urls", "pages", "id"),
        ("fetch_id", "pages", "fetches", "id"),
        ("body_hash", "pages", "bodies", "hash"),
        ("head_id", "fetches", "heads", "id"),
        ("page_id", "links", "pages", "id"),
        ("page_id", "extracts", "pages", "id"),
        ("page_id", "extract_misses", "pages", "id"),
    ):
        lost = f"SELECT 1 FROM {of} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT {key} FROM {table})"
        assert not rows(location, lost), (of, column)
    unread = "SELECT 1 FROM bodies WHERE hash NOT IN (SELECT body_hash FROM pages WHERE body_hash IS NOT NULL)"
    assert not rows(location, unread)


@pytest.mark.parametrize(
    ("keep", "before", "left", "pages", "links", "bodies", "fetches"),
    [
        (EVERYTHING, None, [40, 30, 20, 10], 0, 0, 0, 0),
        (1, None, [10], 9, 18, 6, 0),
        (2, None, [20, 10], 6, 15, 3, 0),
        (3, None, [30, 20, 10], 3, 9, 0, 0),
        (1, 25, [20, 10], 6, 15, 3, 12),
        (2, 35, [30, 20, 10], 3, 9, 0, 6),
        (EVERYTHING, 25, [40, 30, 20, 10], 0, 0, 0, 6),
    ],
)
async def test_what_is_old_in_both_ways_goes_with_all_that_is_of_it(
    location: Location,
    keep: int,
    before: int | None,
    left: list[int],
    pages: int,
    links: int,
    bodies: int,
    fetches: int,
) -> None:
    async with a_store(location, A, B, C) as store:
        await grow(store)
    database, moment = database_at(location), None if before is None else NOW - before * DAY_S
    would = await database.prune(keep_versions=keep, before=moment, dry_run=True)
    assert set(map(tuple, kept(location).values())) == {AGES}
    done = await database.prune(keep_versions=keep, before=moment)
    for told in (would, done):
        assert (told.pages, told.links, told.bodies, told.fetches) == (pages, links, bodies, fetches)
    assert list(kept(location).values()) == [left] * 3
    assert_consistent(location)
    again = await database.prune(keep_versions=keep, before=moment)
    assert (again.pages, again.links, again.bodies, again.fetches) == (0, 0, 0, 0)


async def test_old_changes_go_and_what_is_missing_is_known(location: Location) -> None:
    """The first of a page stays, and the last that says where a URL stands."""
    async with a_store(location, A, B, C) as store:
        await grow(store)
    changes = "SELECT u.url, c.change FROM change_log c JOIN urls u ON u.id = c.url_id ORDER BY u.url, c.at, c.id"
    before = rows(location, changes)
    assert not rows(location, "SELECT upto FROM change_log_pruned")
    await database_at(location).prune(keep_versions=1, before=NOW - 15 * DAY_S)
    after = rows(location, changes)
    assert len(after) < len(before)
    for url in (A, B, C):
        assert (url, "new") in after
    assert [change for change in before if change[1] == "gone"] == [change for change in after if change[1] == "gone"]
    assert rows(location, "SELECT upto FROM change_log_pruned")


async def test_it_can_give_its_space_back(location: Location) -> None:
    async with a_store(location, A) as store:
        [claim] = (await claims_of(store)).values()
        for number in range(40):
            page = Page(url=A, text=f"{number} " * 20_000, content_hash=bytes([number]))
            await store.commit([a_result(claim, page=page)], NOW)
    pruned = await database_at(location).prune(keep_versions=1, vacuum=True)
    assert pruned.pages == 39
    assert pruned.size_after < pruned.size_before
    assert len(rows(location, "SELECT 1 FROM pages")) == 1
