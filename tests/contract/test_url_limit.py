"""A host has at most so many URLs, and rows, however they come: exactly, in every commit, in all runs together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.frontier.conclusion import postponed
from crawler.records import (
    Claim,
    ExclusionReason,
    Reason,
    Result,
    RobotsCopy,
    SeedMark,
    Target,
    UrlKind,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from tests.contract.batches import Batches, some_batches, store_batches
from tests.contract.results import NOW, a_result, a_store, a_target, claims_of, robots_claim, row_of
from tests.stores import Location, rows

A, B = "http://a.test/", "http://b.test/"
FULL = "trap: URLs of the host"
UNSTORED = "SELECT name, unstored_links FROM hosts WHERE unstored_links > 0 ORDER BY name"


def trap(number: int) -> str:
    return f"http://trap.test/{number}"


def tally(location: Location, host: str = "trap.test") -> tuple[int, int]:
    """The host's URLs that were taken in, and those that are excluded."""
    [found] = rows(
        location,
        "SELECT count(*) FILTER (WHERE status <> 'excluded'), count(*) FILTER (WHERE status = 'excluded') FROM urls"
        " WHERE kind <> 'robots' AND host_id = (SELECT id FROM hosts WHERE name = ?)",
        host,
    )
    return int(found[0]), int(found[1])


def pending(location: Location) -> list[str]:
    return sorted(row[0] for row in rows(location, "SELECT url FROM urls WHERE status = 'pending'"))


async def find(store: Store, *links: str | Target, start: str = A, now: float = NOW) -> None:
    """A new version of a page with these links is stored, and the page is to be fetched again."""
    claim = (await claims_of(store, now))[start]
    await store.commit(
        [a_result(claim, links=links, verdict=Verdict(status=UrlStatus.PENDING), next_fetch_at=now)], now
    )


async def test_one_page_with_a_thousand_links_brings_no_more_than_there_is_room_for(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.limit_urls(30, NOW)
        await find(store, *map(trap, range(1000)), B)
        assert tally(location) == (30, 30)
        assert pending(location) == sorted([A, B, *map(trap, range(30))])
        assert row_of(location, trap(30)) == ("excluded", FULL, None)
        assert rows(location, "SELECT count(*) FROM links") == [(61,)]
        assert rows(location, UNSTORED) == [("trap.test", 940)]
        assert await store.unstored_links() == 940
        assert store.full_hosts() == ["trap.test"]
        assert row_of(location, A, "links_cut_at") == (30,)


async def test_many_pages_in_one_commit_bring_no_more_either(location: Location) -> None:
    starts = [f"http://a.test/{number}" for number in range(50)]
    async with a_store(location, *starts) as store:
        await store.limit_urls(100, NOW)
        claims = await claims_of(store)
        results = [
            a_result(claims[url], links=[trap(1000 * number + link) for link in range(20)])
            for number, url in enumerate(starts)
        ]
        await store.commit(results[:25], NOW)
        await store.commit(results[25:], NOW)
        assert tally(location) == (100, 100)
        assert rows(location, UNSTORED) == [("trap.test", 800)]
        assert store.full_hosts() == ["trap.test"]
        assert store.full_hosts() == []


async def test_rows_of_what_is_excluded_are_bounded_whatever_excludes_it(location: Location) -> None:
    """They leave the room for what is taken in as it was."""
    async with a_store(location, A) as store:
        await store.limit_urls(5, NOW)
        await find(store, *(a_target(trap(number), reason=ExclusionReason.NOFOLLOW) for number in range(40)))
        assert tally(location) == (0, 5)
        assert store.full_hosts() == []  # as to what is taken in, it is not
        await find(store, *map(trap, range(100, 140)))
        assert tally(location) == (5, 5)
        assert rows(location, UNSTORED) == [("trap.test", 35 + 35)]


async def test_what_is_excluded_later_makes_no_endless_room(location: Location) -> None:
    """Whole hosts are forbidden by their robots.txt, which is known only once their URLs are stored."""
    async with a_store(location, A) as store:
        await store.limit_urls(4, NOW)
        for night in range(6):
            await find(store, *(trap(10 * night + number) for number in range(10)))
            forbidden = Verdict(status=UrlStatus.EXCLUDED, reason=Reason(ExclusionReason.ROBOTS, "line 1"))
            claims = [claim for url, claim in (await claims_of(store)).items() if url != A]
            await store.commit([a_result(claim, verdict=forbidden, page=False, attempt=None) for claim in claims], NOW)
            assert sum(tally(location)) <= 8
        assert tally(location) == (0, 8)


async def test_known_urls_and_seeds_and_robots_txt_are_not_turned_away(location: Location) -> None:
    async with a_store(location, A, trap(0), trap(1)) as store:
        await store.limit_urls(2, NOW)
        await find(store, a_target(trap(0), depth=1), trap(2), trap(3), trap(4), trap(5))
        assert tally(location) == (2, 2)
        await store.add([a_target(trap(5), seed=SeedMark.YES), a_target(trap(2), seed=SeedMark.YES)], NOW)
        assert pending(location) == sorted([A, *map(trap, (0, 1, 2, 5))])
        robots = robots_claim((await claims_of(store))[trap(0)])
        copy = RobotsCopy(origin="http://trap.test", status_code=200)
        await store.commit([a_result(robots, page=False, robots=copy)], NOW)
        assert rows(location, "SELECT count(*) FROM urls WHERE kind = 'robots'") == [(1,)]
        assert len(rows(location, "SELECT 1 FROM links")) == 3


async def test_redirects_and_sitemaps_are_bounded_and_counted_too(location: Location) -> None:
    async with a_store(location, A, B, trap(0)) as store:
        await store.limit_urls(1, NOW)
        claims = await claims_of(store)
        onward = a_target(trap(1), hops=1)
        sitemap = a_target("http://trap.test/map.xml", kind=UrlKind.SITEMAP)
        await store.commit([a_result(claims[A], page=False, targets=(onward, sitemap))], NOW)
        assert tally(location) == (1, 1)
        assert rows(location, UNSTORED) == [("trap.test", 1)]
        assert row_of(location, A, "links_cut_at") == (1,)
        assert row_of(location, B, "links_cut_at") == (None,)


async def test_the_next_run_counts_what_is_stored(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.limit_urls(3, NOW)
        await find(store, *map(trap, range(9)))
    async with database_at(location).open_store() as store:
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.limit_urls(3, NOW)
        await find(store, *map(trap, range(20, 29)))
        assert tally(location) == (3, 3)
        assert store.full_hosts() == ["trap.test"]


async def test_a_higher_limit_readmits_as_many_as_there_is_room_for(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.limit_urls(6, NOW)
        await find(store, *map(trap, range(12)))
        await store.add([a_target(trap(0), reason="scope"), a_target("http://b.test/", reason="scope")], NOW)
        await store.limit_urls(8, NOW)
        batch = await store.excluded(None, 100)
        urls = sorted((target.url for target in batch.rows), key=lambda url: (len(url), url))  # the first have room
        assert await store.readmit(urls, NOW) == 3
        assert tally(location) == (8, 4)
        assert "http://b.test/" in pending(location)
        excluded = "SELECT count(*) FROM urls WHERE status = 'excluded' AND reason = ?"
        assert rows(location, excluded, FULL) == [(4,)]
        if isinstance(location, Path):  # which of them are let in, a store may choose
            assert row_of(location, trap(8)) == ("excluded", FULL, None)
        await find(store, trap(9))
        assert tally(location) == (8, 4)


async def test_a_higher_limit_makes_documents_due_whose_links_were_not_all_stored(location: Location) -> None:
    async with a_store(location, A, B) as store:
        await store.limit_urls(2, NOW)
        claims = await claims_of(store)
        await store.commit([a_result(claims[A], links=map(trap, range(9))), a_result(claims[B], links=[A])], NOW)
        await store.limit_urls(2, NOW + 1)
        assert A not in await claims_of(store, NOW + 1)
        await store.limit_urls(4, NOW + 1)
        assert await store.unstored_links() == 0  # to be counted anew
        again = await claims_of(store, NOW + 1)
        assert (A in again, B in again) == (True, False)
        previous = again[A].previous
        assert previous is not None
        assert previous.lacks_links


@pytest.mark.parametrize(("limit", "cut_at", "left"), [(4, 4, 1), (9, None, 0)])
async def test_what_was_read_again_completes_the_version_that_is_stored(
    location: Location, limit: int, cut_at: int | None, left: int
) -> None:
    links = [*map(trap, range(9))]
    async with a_store(location, A) as store:
        await store.limit_urls(2, NOW)
        await store.commit([a_result((await claims_of(store))[A], links=links)], NOW)
        assert len(rows(location, "SELECT 1 FROM links")) == 4
        await store.limit_urls(limit, NOW + 1)
        await store.commit([reread((await claims_of(store, NOW + 1))[A], links)], NOW + 1)
        assert len(rows(location, "SELECT 1 FROM pages")) == 1
        assert len(rows(location, "SELECT 1 FROM links")) == 9 - left
        assert await store.unstored_links() == left
        assert row_of(location, A, "links_cut_at, next_fetch_at") == (cut_at, None)
        await store.limit_urls(limit, NOW + 2)
        assert A not in await claims_of(store, NOW + 2)


async def test_what_is_postponed_is_still_to_be_read_again(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.limit_urls(2, NOW)
        await store.commit([a_result((await claims_of(store))[A], links=map(trap, range(9)))], NOW)
        await store.limit_urls(9, NOW + 1)
        await store.commit([postponed((await claims_of(store, NOW + 1))[A], NOW + 90)], NOW + 1)
        previous = (await claims_of(store, NOW + 90))[A].previous
        assert previous is not None
        assert previous.lacks_links


def reread(claim: Claim, links: list[str]) -> Result:
    """The page says what it said."""
    found = a_result(claim, links=links)
    return replace(found, page=None, reread=found.page)


@pytest.mark.thorough
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],  # each example has its place
)
@given(batches=some_batches(), most=st.integers(1, 3))
async def test_whatever_is_committed_the_numbers_hold(
    new_location: Callable[[], Location], batches: Batches, most: int
) -> None:
    location = new_location()
    async with a_store(location) as store:
        await store.limit_urls(most, NOW)
        await store_batches(store, location, batches)
    for host in ("a.test", "b.test", "c.test"):
        [(seeds,)] = rows(
            location,
            "SELECT count(*) FROM urls AS u JOIN hosts AS h ON h.id = u.host_id WHERE h.name = ? AND u.seed > 0",
            host,
        )
        assert sum(tally(location, host)) <= 2 * most + seeds
    if isinstance(location, Path):
        assert not rows(location, "PRAGMA foreign_key_check")
