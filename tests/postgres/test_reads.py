"""What a store on PostgreSQL reads, and changes of the URLs of others, where several processes share a crawl."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice

import pytest

from crawler.errors import UsageError
from crawler.records import Horizon, Reason, Result, RobotsCopy, UrlStatus, Verdict
from crawler.rule_tables import read_rules
from crawler.storage.interface import Cursor
from crawler.storage.postgres.exclusions import EXCLUDED
from crawler.storage.postgres.store import PostgresStore
from tests.contract.results import NOW, a_failure, a_result, a_target, claims_of, robots_claim
from tests.postgres.sql import execute, rows
from tests.postgres.two import FIRST, SECOND, claim, hosts_in, two_stores

pytestmark = pytest.mark.thorough
LATER = Horizon(started_at=NOW + 500, fetched_before=NOW + 500)
COUNTS = "SELECT pending, fetched, excluded, failed, next_due_at FROM hosts WHERE name = ?"


def urls_in(parts: range, number: int) -> list[str]:
    return [f"http://{name}/" for name in islice(hosts_in(parts), number)]


def names(urls: Sequence[str]) -> set[str]:
    return {url.split("/")[2] for url in urls}


async def names_due(store: PostgresStore, now: float, limit: int = 1000) -> list[str]:
    """In batches of so many."""
    found: list[str] = []
    after: Cursor | None = None
    while True:
        batch = await store.due_hosts(now, None, limit, after)
        assert len(batch.rows) == limit or batch.next is None
        found += [host.name for host in batch.rows]
        after = batch.next
        if after is None:
            return found


# --- hosts that are due -----------------------------------------------------------------------------------------------


async def test_each_store_reads_the_hosts_that_it_owns_and_those_alone(crawl_database: str) -> None:
    here, there = urls_in(FIRST, 5), urls_in(SECOND, 5)
    async with two_stores(crawl_database) as (one, other):
        await one.add([a_target(url) for url in here + there], NOW)
        assert await names_due(other, NOW) == [], "nobody has told its hosts so far"
        await other.take_arrivals()
        assert set(await names_due(one, NOW)) == names(here)
        assert set(await names_due(other, NOW)) == names(there)
        one.ownership.leave(FIRST)
        assert await names_due(one, NOW) == []
        assert await one.next_due_at(NOW - 1) is None


async def test_the_longest_due_comes_first_however_many_stand_in_one_partition(crawl_database: str) -> None:
    crowded = list(islice(hosts_in(range(1)), 60))  # all of partition 0
    others = list(islice(hosts_in(range(1, 8)), 40))
    order = [*crowded[:50], *others, *crowded[50:]]
    async with two_stores(crawl_database) as (one, _other):
        for place, name in enumerate(order):
            await one.add([a_target(f"http://{name}/")], NOW + place)
        for limit in (7, 64, 1000):
            assert await names_due(one, NOW + 1000, limit) == order
        assert await one.next_due_at(NOW + 2.5) == NOW + 3


async def test_a_host_without_planned_urls_stays_without_after_a_pause(crawl_database: str) -> None:
    [url] = urls_in(FIRST, 1)
    async with two_stores(crawl_database) as (one, _other):
        await one.add([a_target(url)], NOW)
        claim_ = (await claims_of(one))[url]
        await one.commit([a_result(claim_)], NOW)
        await one.keep_pauses([(claim_.host_id, NOW + 60)])
        assert rows(crawl_database, "SELECT next_due_at, back_off_until FROM hosts") == [(None, NOW + 60)]
        assert await names_due(one, NOW + 1000) == []


async def test_hosts_of_a_gained_partition_are_asked_for_stale_pages_before_the_end(
    crawl_database: str,
) -> None:
    here, there = urls_in(FIRST, 9), urls_in(SECOND, 4)
    async with two_stores(crawl_database) as (one, other):
        for store, urls in ((one, here), (other, there)):
            await store.add([a_target(url) for url in urls], NOW)
            await store.commit([a_result(one_claim) for one_claim in (await claims_of(store)).values()], NOW)
        batch = await one.stale_hosts(LATER, None, 4, NOW)
        seen = [host.name for host in batch.rows]
        claim(crawl_database, one, SECOND)
        other.ownership.lose(SECOND)
        while batch.next is not None:
            batch = await one.stale_hosts(LATER, None, 4, NOW, batch.next)
            seen += [host.name for host in batch.rows]
        assert sorted(seen) == sorted(names(here + there))


@pytest.mark.parametrize("first", [2, 4])  # hosts: in the midst of the partition, and behind it
async def test_hosts_of_a_partition_that_was_lost_and_gained_again_are_asked_anew(
    crawl_database: str, first: int
) -> None:
    crowded = [f"http://{name}/" for name in islice(hosts_in(range(1)), 3)]
    async with two_stores(crawl_database) as (one, _other):
        await one.add([a_target(url) for url in [*crowded, *urls_in(range(1, 2), 3)]], NOW)
        await one.commit([a_result(found) for found in (await claims_of(one)).values()], NOW)
        batch = await one.stale_hosts(LATER, None, first, NOW)
        one.ownership.lose([0])
        claim(crawl_database, one, [0])  # in between, another has owned it
        again = await one.stale_hosts(LATER, None, 3, NOW, batch.next)
        assert {host.name for host in again.rows} == names(crowded)


# --- what others own --------------------------------------------------------------------------------------------------


async def test_what_is_tried_again_is_counted_and_made_due_by_its_owner(crawl_database: str) -> None:
    [url] = urls_in(SECOND, 1)
    name = url.split("/")[2]
    async with two_stores(crawl_database) as (one, other):
        await other.add([a_target(url)], NOW)
        await other.commit([a_failure((await claims_of(other))[url])], NOW)
        assert rows(crawl_database, COUNTS, name) == [(0, 0, 0, 1, None)]
        await one.retry([url, "http://unknown.test/"], NOW + 5)
        assert rows(crawl_database, COUNTS, name) == [(0, 0, 0, 1, None)], "the row has one writer"
        [host] = await other.take_arrivals()
        assert host.next_due_at == NOW + 5
        assert rows(crawl_database, COUNTS, name) == [(1, 0, 0, 0, NOW + 5)]
        assert await other.take_arrivals() == []


async def test_what_is_let_in_is_counted_and_made_due_by_its_owner(crawl_database: str) -> None:
    [url] = urls_in(SECOND, 1)
    name = url.split("/")[2]
    forbidden, out_of_scope = f"{url}forbidden", f"{url}out"
    async with two_stores(crawl_database) as (one, other):
        await other.add([a_target(forbidden), a_target(out_of_scope, reason="scope")], NOW)
        found = (await claims_of(other))[forbidden]
        copy = RobotsCopy(origin=url[:-1], status_code=200, body=b"x", fetched_at=NOW, expires_at=NOW + 9)
        reason = Reason("robots", "line 1: Disallow: /")
        verdict = Verdict(status=UrlStatus.EXCLUDED, reason=reason)
        await other.commit(
            [a_result(robots_claim(found), page=False, robots=copy), Result(claim=found, verdict=verdict)], NOW
        )
        assert rows(crawl_database, COUNTS, name) == [(0, 0, 2, 0, None)]
        await one.forget_forbidden(NOW + 5, every=False)
        assert not rows(crawl_database, "SELECT 1 FROM arrivals")
        await one.forget_forbidden(NOW + 10, every=False)
        assert await one.readmit([out_of_scope, forbidden], NOW + 11) == 1
        assert await one.readmit([out_of_scope], NOW + 11) == 0
        [host] = await other.take_arrivals()
        assert rows(crawl_database, COUNTS, name) == [(2, 0, 0, 0, NOW + 10)]
        assert host.next_due_at == NOW + 10


async def test_a_process_that_joins_does_nothing_that_is_done_once_a_run(crawl_database: str) -> None:
    urls = urls_in(FIRST, 2)
    async with two_stores(crawl_database) as (one, other):
        await one.add([a_target(url) for url in urls], NOW)
        execute(crawl_database, "UPDATE runs SET is_open = 1")
        execute(crawl_database, "UPDATE urls SET links_cut_at = 3, status = 'fetched', next_fetch_at = NULL")
        await other.limit_hosts(5)
        await other.limit_urls(9, NOW)
        assert rows(crawl_database, "SELECT DISTINCT domain FROM hosts") == [(None,)]
        assert rows(crawl_database, "SELECT DISTINCT links_cut_at FROM urls") == [(3,)]
        execute(crawl_database, "UPDATE runs SET is_open = 0")
        await one.limit_hosts(5)
        await one.limit_urls(9, NOW)
        assert len(rows(crawl_database, "SELECT domain FROM hosts WHERE domain IS NOT NULL")) == 2
        assert rows(crawl_database, "SELECT DISTINCT links_cut_at FROM urls") == [(0,)]


EXCLUDED_URLS = """
INSERT INTO urls (part, host_id, id, url, kind, status, reason, cause, depth, discovered_at)
SELECT i % 16, i % 99, i, 'http://' || i % 99 || '.test/' || i, 'page', 'excluded', 'scope', 'scope', 1, 0
FROM generate_series(1, 20000) AS i
"""


async def test_a_batch_of_excluded_urls_costs_the_same_however_many_there_are(crawl_database: str) -> None:
    """Also where the planner knows the table as it was when it was empty: it is not sorted for each batch."""
    execute(crawl_database, "ANALYZE urls")
    execute(crawl_database, EXCLUDED_URLS)
    async with two_stores(crawl_database) as (one, _other):
        batch = await one.excluded(None, 1000)
        assert len(batch.rows) == 1000
        plan = "\n".join(row[0] for row in await one._read(f"EXPLAIN {EXCLUDED}", 3, 0, "", "", 0, 1000))
    assert "Index Scan using urls_excluded" in plan
    assert "Sort" not in plan


# --- limits over all processes ----------------------------------------------------------------------------------------


async def test_a_domain_never_has_more_hosts_than_it_may_whoever_finds_them(crawl_database: str) -> None:
    everything = range(16)
    found = [f"http://{name}/" for name in islice(hosts_in(everything, "trap.test"), 120)]
    async with two_stores(crawl_database) as stores:
        for store in stores:
            await store.limit_hosts(20)
        await asyncio.gather(
            *(
                store.add([a_target(url) for url in found[start : start + 10]], NOW)
                for start in range(0, 120, 10)
                for store in stores  # the same ones, too
            )
        )
        admitted = {row[0] for row in rows(crawl_database, "SELECT host_id FROM urls WHERE status = 'pending'")}
        assert len(admitted) == 20
        assert rows(crawl_database, "SELECT domain, hosts FROM domains") == [("trap.test", 20)]
        assert rows(crawl_database, "SELECT count(*) FROM hosts WHERE domain = 'trap.test'") == [(20,)]
        assert all(store.full_domains() == ["trap.test"] for store in stores)


async def test_hosts_that_were_stored_without_a_domain_are_named_and_counted_once(crawl_database: str) -> None:
    urls = [f"http://{name}/" for name in islice(hosts_in(range(16), "trap.test"), 9)]
    async with two_stores(crawl_database) as (one, other):
        await one.add([a_target(url) for url in urls], NOW)  # half of them are counted by nobody yet
        await one.limit_hosts(10)
        await one.limit_hosts(10)
        assert rows(crawl_database, "SELECT hosts FROM domains") == [(9,)]
        await other.limit_hosts(10)
        await other.add([a_target("http://x.trap.test/"), a_target("http://y.trap.test/")], NOW)
        assert rows(crawl_database, "SELECT hosts FROM domains") == [(10,)]


async def test_what_others_have_added_counts_before_its_owner_has_counted_it(crawl_database: str) -> None:
    [url] = urls_in(SECOND, 1)
    async with two_stores(crawl_database) as (one, other):
        for store in (one, other):
            await store.limit_urls(5, NOW)
        await one.add([a_target(f"{url}{number}") for number in range(4)], NOW)
        await one.add([a_target(f"{url}{number}") for number in range(4, 8)], NOW)
        statuses = rows(crawl_database, "SELECT status, count(*) FROM urls GROUP BY status ORDER BY status")
        assert statuses == [("excluded", 3), ("pending", 5)]
        assert one.full_hosts() == [url.split("/")[2]]


# --- rules ------------------------------------------------------------------------------------------------------------


async def test_a_name_that_the_server_would_cut_is_refused(crawl_database: str) -> None:
    fits, too_long = "n" * 55, "n" * 56  # its view is extract_...
    rules = [read_rules([{"name": name, "match": "/*", "fields": {"h": "h1"}}])[0] for name in (fits, too_long)]
    async with two_stores(crawl_database) as (one, _other):
        with pytest.raises(UsageError, match=f"extraction rule {too_long}: the name .* is too long for PostgreSQL"):
            await one.use_rules(rules)
        assert rows(crawl_database, "SELECT name FROM extraction_rules") == []
        await one.use_rules(rules[:1])
        assert rows(crawl_database, f"SELECT h FROM extract_{fits}") == []


# --- what does not work -----------------------------------------------------------------------------------------------


async def test_checks_and_warc_files_are_refused_in_one_line(crawl_database: str) -> None:
    async with two_stores(crawl_database) as (one, _other):
        with pytest.raises(UsageError, match=r"^--check does not work with a crawl in PostgreSQL yet"):
            await one.check_tally()
        with pytest.raises(UsageError, match=r"^--warc does not work with a crawl in PostgreSQL yet"):
            await one.warc_files()
