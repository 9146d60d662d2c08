"""A domain has at most so many hosts, however they come: exactly, in every commit, in all runs together."""

from __future__ import annotations

import pytest

from crawler.records import SeedMark, Target, UrlKind, UrlStatus, Verdict
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from tests.contract.results import NOW, a_result, a_store, a_target, claims_of, row_of
from tests.stores import Location, rows

A = "http://a.test/"
TAKEN_IN = "SELECT count(*) FROM hosts WHERE domain = 'trap.test'"
REASON = "trap: hosts of the domain trap.test"


def trap(number: int, path: str = "/") -> str:
    return f"http://h{number}.trap.test{path}"


def pending(location: Location) -> list[str]:
    return sorted(row[0] for row in rows(location, "SELECT url FROM urls WHERE status = 'pending'"))


async def find(store: Store, *links: str | Target) -> None:
    """A page with these links is stored, and is to be fetched again."""
    [claim] = [claim for claim in (await claims_of(store)).values() if claim.host == "a.test"]
    again = Verdict(status=UrlStatus.PENDING)
    await store.commit([a_result(claim, links=links, verdict=again, next_fetch_at=NOW)], NOW)


async def test_one_page_with_many_new_hosts(location: Location) -> None:
    """A page with many new hosts brings no more of them than there is room for."""
    async with a_store(location, A) as store:
        await store.limit_hosts(3)
        await find(store, *map(trap, range(1000)), "http://b.test/", trap(1, "/more"))
        assert rows(location, TAKEN_IN) == [(3,)]
        assert pending(location) == sorted([A, trap(0), trap(1), trap(2), "http://b.test/", trap(1, "/more")])
        assert row_of(location, trap(3)) == ("excluded", REASON, None)
        assert rows(location, "SELECT count(*) FROM urls WHERE reason = ?", REASON) == [(997,)]
        assert rows(location, "SELECT count(*) FROM links") == [(1002,)]
        assert rows(location, "SELECT count(*) FROM hosts WHERE next_due_at IS NOT NULL") == [(5,)]


async def test_full_domain_is_told_once(location: Location) -> None:
    """Hosts that were taken in go on, and their full domain is told once."""
    async with a_store(location, A) as store:
        await store.limit_hosts(2)
        await find(store, trap(0), trap(1))
        assert store.full_domains() == []
        await find(store, trap(0, "/new"), trap(2))
        assert store.full_domains() == ["trap.test"]
        await find(store, trap(3), trap(1, "/new"))
        assert store.full_domains() == []
        assert pending(location) == sorted([A, trap(0), trap(1), trap(0, "/new"), trap(1, "/new")])


async def test_limit_holds_in_the_next_run(location: Location) -> None:
    """The limit holds in the next run, and for hosts that were stored without a domain.

    By a run that asks for no domains, or by an older program.
    """
    async with a_store(location, A, trap(0), trap(1)) as store:
        await store.add([a_target(trap(9), reason="scope")], NOW)
        assert rows(location, TAKEN_IN) == [(0,)]
    async with database_at(location).open_store() as store:
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.limit_hosts(3)
        assert rows(location, TAKEN_IN) == [(2,)]  # the excluded one is none
        await find(store, trap(2), trap(3), trap(9, "/x"))
        assert rows(location, TAKEN_IN) == [(3,)]
    async with database_at(location).open_store() as store:
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.limit_hosts(3)
        await find(store, trap(4))
        assert pending(location) == sorted([A, trap(0), trap(1), trap(2)])


async def test_redirects_and_sitemaps_lead_to_no_further_host_either(location: Location) -> None:
    async with a_store(location, A, trap(0)) as store:
        await store.limit_hosts(1)
        claim = (await claims_of(store))[trap(0)]
        onward = a_target(trap(1), hops=1)
        sitemap = a_target(trap(2, "/map.xml"), kind=UrlKind.SITEMAP)
        await store.commit([a_result(claim, targets=(onward, sitemap))], NOW)
        assert pending(location) == sorted([A])
        assert row_of(location, trap(1))[1] == row_of(location, trap(2, "/map.xml"))[1] == REASON


@pytest.mark.parametrize("mark", [SeedMark.SEED_REDIRECT, SeedMark.YES, SeedMark.BARE])
async def test_seeds_are_exempt_and_open_their_host(location: Location, mark: SeedMark) -> None:
    async with a_store(location, A, trap(0)) as store:
        await store.limit_hosts(1)
        await find(store, trap(1, "/x"))
        await store.add([a_target(trap(1), seed=mark)], NOW)
        assert pending(location) == sorted([A, trap(0), trap(1, "/x"), trap(1)])  # the third had been turned away
        assert trap(1, "/x") in await claims_of(store)
        await find(store, trap(1, "/y"), trap(2))
        assert pending(location) == sorted([A, trap(0), trap(1, "/x"), trap(1), trap(1, "/y")])
        assert rows(location, TAKEN_IN) == [(2,)]


async def test_higher_limit_lets_more_in(location: Location) -> None:
    """A higher limit lets in as many hosts as there is room for then."""
    async with a_store(location, A) as store:
        await store.limit_hosts(2)
        await find(store, *map(trap, range(6)))
        await store.add([a_target(trap(8), reason="scope"), a_target("http://b.test/", reason="scope")], NOW)
        await store.limit_hosts(4)
        batch = await store.excluded(None, 100)
        urls = sorted((target.url for target in batch.rows), key=lambda url: (len(url), url))  # the first have room
        assert await store.readmit(urls, NOW) == 3
        assert pending(location) == sorted([A, *map(trap, range(4)), "http://b.test/"])
        assert rows(location, TAKEN_IN) == [(4,)]
        assert row_of(location, trap(8)) == ("excluded", REASON, None)  # no more out of scope, but one too many


async def test_hosts_without_a_domain(location: Location) -> None:
    """Hosts without a domain are not bounded; IPv6 addresses are, by their network."""
    async with a_store(location, A) as store:
        await store.limit_hosts(1)
        free = [f"http://10.0.0.{number}/" for number in range(3)] + ["http://localhost/", "http://other/"]
        blogs = [f"http://me{number}.github.io/" for number in range(3)]
        sites = [f"http://[2001:db8:0:{number}::1]/" for number in range(2)]
        await find(store, *free, *blogs, *sites, "http://[2001:db8::2]/")
        assert pending(location) == sorted([A, *free, *blogs, *sites])
        assert row_of(location, "http://[2001:db8::2]/")[1] == "trap: hosts of the domain 2001:db8::/64"
