"""Commits of a store on PostgreSQL: the fence, what is found for others, and answers that are lost on their way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import pytest

from crawler.errors import DatabaseFailedError, LeaseLostError
from crawler.records import ChangeRate, Claim, Link, Page, Result, Revisit, SeedMark
from crawler.storage.postgres.store import PostgresStore, open_store
from crawler.storage.postgres.transactions import Execute, in_transaction
from tests.contract.results import NOW, a_failure, a_result, a_target, claims_of, closed
from tests.postgres.crawls import PARTS
from tests.postgres.proxy import proxy_to
from tests.postgres.sql import execute, rows
from tests.postgres.two import FIRST, SECOND, claim, hosts_in, two_stores

pytestmark = pytest.mark.slow

COUNTED = """
SELECT h.name, h.pending, h.fetched, h.excluded, h.failed, h.redirected, h.gone,
    count(u.id) FILTER (WHERE u.status = 'pending'), count(u.id) FILTER (WHERE u.status = 'fetched'),
    count(u.id) FILTER (WHERE u.status = 'excluded'), count(u.id) FILTER (WHERE u.status = 'failed'),
    count(u.id) FILTER (WHERE u.status = 'redirected'), count(u.id) FILTER (WHERE u.status = 'gone'),
    h.next_due_at, min(u.next_fetch_at)
FROM hosts AS h LEFT JOIN urls AS u ON u.part = h.part AND u.host_id = h.id AND u.kind <> 'robots'
GROUP BY h.part, h.id
"""


def names(parts: range, number: int) -> list[str]:
    return list(islice(hosts_in(parts), number))


def check_counts(url: str) -> None:
    """What each host's row says is so, once nothing is left to be counted."""
    assert rows(url, "SELECT count(*) FROM arrivals WHERE pending <> 0 OR excluded <> 0 OR fetched <> 0") == [(0,)]
    for name, *numbers in rows(url, COUNTED):
        assert numbers[:6] == numbers[6:12], name
        assert numbers[12] == numbers[13], f"{name} is due with its first URL"


async def only_claim(store: PostgresStore, now: float = NOW) -> Claim:
    [claim] = (await claims_of(store, now)).values()
    return claim


@asynccontextmanager
async def one_store(url: str, parts: range = range(PARTS), lease_s: float = 10.0) -> AsyncIterator[PostgresStore]:
    """The owner of these partitions, in run 1."""
    execute(url, "INSERT INTO runs (id, started_at, options) VALUES (1, 0, '{}') ON CONFLICT DO NOTHING")
    async with open_store(url, lease_s=lease_s) as store:
        claim(url, store, parts)
        store.run_id = 1
        yield store


# --- the fence --------------------------------------------------------------------------------------------------------


async def test_nothing_of_a_batch_is_stored_by_who_has_lost_a_partition_of_it(crawl_database: str) -> None:
    mine, lost = (f"http://{name}/" for name in (names(FIRST, 1)[0], names(range(1), 1)[0]))
    async with two_stores(crawl_database) as (one, other):
        await one.add([a_target(mine), a_target(lost)], NOW)
        claims = await claims_of(one)
        claim(crawl_database, other, range(1))
        found = f"{mine}found"
        with pytest.raises(LeaseLostError):
            await one.commit([a_result(claims[mine], links=[found]), a_result(claims[lost])], NOW)
        assert rows(crawl_database, "SELECT count(*) FROM fetches") == [(0,)]
        assert rows(crawl_database, "SELECT sum(run_pages) FROM parts") == [(0,)]
        assert rows(crawl_database, "SELECT status FROM urls ORDER BY url") == [("pending",)] * 3, "but what it found"
        await other.take_arrivals()
        assert set(await claims_of(other)) == {lost}, "its new owner fetches it"


async def test_who_knows_that_a_host_is_not_its_own_stores_nothing(crawl_database: str) -> None:
    async with two_stores(crawl_database) as (one, _other):
        await one.add([a_target(f"http://{names(FIRST, 1)[0]}/")], NOW)
        result = a_result(await only_claim(one))
        one.ownership.lose(FIRST)
        with pytest.raises(LeaseLostError):
            await one.commit([result], NOW)
        assert rows(crawl_database, "SELECT count(*) FROM fetches") == [(0,)]


async def test_the_fence_takes_the_partitions_of_the_batch_renews_them_and_no_others(crawl_database: str) -> None:
    async with two_stores(crawl_database) as (one, _other):
        await one.add([a_target(f"http://{names(range(3, 4), 1)[0]}/")], NOW)
        execute(crawl_database, "UPDATE parts SET run_id = NULL, lease_until = now() + interval '1 second'")
        await one.commit([a_result(await only_claim(one), requests=2)], NOW)
        written = "SELECT part, run_pages, run_requests FROM parts WHERE run_id IS NOT NULL"
        assert rows(crawl_database, written) == [(3, 1, 2)]
        renewed = "SELECT part FROM parts WHERE lease_until > now() + interval '9 seconds'"
        assert rows(crawl_database, renewed) == [(3,)]
        tallies = "SELECT part, worker, run_id, pages, requests FROM tallies"
        assert rows(crawl_database, tallies) == [(3, one.ownership.worker, 1, 1, 2)]


async def test_ids_grow_within_a_partition_whoever_owns_it(crawl_database: str) -> None:
    async with two_stores(crawl_database) as (one, other):
        await one.add([a_target(f"http://{names(FIRST, 1)[0]}/")], NOW)
        the_claim = await only_claim(one)
        await one.commit([a_result(the_claim)], NOW)
        before = rows(crawl_database, "SELECT id, fetch_id FROM pages")[0]
        claim(crawl_database, other, FIRST)
        newer = Page(url=the_claim.url, title="T", text="new", content_hash=b"2")
        await other.commit([a_result(the_claim, page=newer)], NOW + 9)
        after = rows(crawl_database, "SELECT id, fetch_id FROM pages ORDER BY id DESC")[0]
        assert after[0] > before[0]
        assert after[1] > before[1]


# --- a process that stands still --------------------------------------------------------------------------------------


async def test_who_stands_still_within_a_transaction_loses_it_and_tries_again(crawl_database: str) -> None:
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url, lease_s=1.0) as store:
            await store.add([a_target("http://a.test/")], NOW)
            trap = proxy.trap("^INSERT INTO fetches", is_answered=False)
            commit = asyncio.create_task(store.commit([a_result(await only_claim(store))], NOW))
            await asyncio.to_thread(trap.wait)
            while rows(crawl_database, "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"):
                await asyncio.sleep(0.05)
            trap.release()
            await commit
        assert rows(crawl_database, "SELECT count(*), count(DISTINCT url_id) FROM fetches") == [(1, 1)]
        assert rows(crawl_database, "SELECT sum(run_pages) FROM parts") == [(1,)]


async def test_others_may_take_over_from_who_stands_still_within_a_transaction(crawl_database: str) -> None:
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url, lease_s=1.0) as frozen:
            await frozen.add([a_target("http://a.test/")], NOW)
            trap = proxy.trap("^INSERT INTO fetches", is_answered=False)
            commit = asyncio.create_task(frozen.commit([a_result(await only_claim(frozen))], NOW))
            await asyncio.to_thread(trap.wait)
            async with one_store(crawl_database) as other:  # waits for the fence's rows, until the server frees them
                trap.release()
                with pytest.raises(LeaseLostError):
                    await commit
                assert rows(crawl_database, "SELECT count(*) FROM fetches") == [(0,)]
                assert set(await claims_of(other)) == {"http://a.test/"}


# --- answers that are lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_batch_is_stored_once_where_the_line_is_cut_at_its_commit(crawl_database: str, is_stored: bool) -> None:
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url) as store:
            await store.add([a_target("http://a.test/")], NOW)
            result = a_result(await only_claim(store), links=["http://a.test/b"], requests=1)
            trap = proxy.trap("^COMMIT", after="INSERT INTO fetches", is_answered=is_stored)
            commit = asyncio.create_task(store.commit([result], NOW))
            await asyncio.to_thread(trap.wait)
            assert rows(crawl_database, "SELECT count(*) FROM fetches") == [(int(is_stored),)]
            trap.cut()
            [host] = await commit
            assert (host.name, host.run_pages, host.run_requests, host.next_due_at) == ("a.test", 1, 1, NOW)
            run, [page_id] = store.stored_pages()
            assert rows(crawl_database, "SELECT id FROM pages") == [(page_id,)]
        assert rows(crawl_database, "SELECT run_id, started_at FROM fetches") == [(run, NOW)]
        assert rows(crawl_database, "SELECT sum(run_pages), sum(run_requests) FROM parts") == [(1, 1)]
        check_counts(crawl_database)


async def test_what_was_found_is_new_to_its_page_though_the_answer_was_lost(crawl_database: str) -> None:
    """A page that is fetched again brings new links: they are counted, though they are there at the second try."""
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url) as store:
            await store.add([a_target("http://a.test/")], NOW)
            due = Revisit(at=NOW + 5, rate=ChangeRate(changes=1, watched_s=5))
            await store.commit([a_result(await only_claim(store), revisit=due)], NOW)
            execute(crawl_database, "UPDATE urls SET next_fetch_at = ?", NOW)
            execute(crawl_database, "UPDATE hosts SET next_due_at = ?", NOW)
            again = a_result(await only_claim(store), links=["http://a.test/b", "http://a.test/c"])
            trap = proxy.trap("^COMMIT", after="INSERT INTO fetches", is_answered=False)
            commit = asyncio.create_task(store.commit([again], NOW + 9))
            await asyncio.to_thread(trap.wait)
            trap.cut()
            await commit
        assert rows(crawl_database, "SELECT new_links FROM urls WHERE url = 'http://a.test/'") == [(1.0,)]


async def test_who_owns_nothing_any_more_does_not_try_for_ever(crawl_database: str) -> None:
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url) as store:
            await store.add([a_target("http://a.test/")], NOW)
            result = a_result(await only_claim(store))
            store.ownership.hold_until(0.0)
            execute(crawl_database, "UPDATE parts SET owner = 1")
            proxy.cut()
            with pytest.raises(LeaseLostError):
                await store.commit([result], NOW)


async def test_a_commit_does_not_wait_for_ever_for_a_link_that_is_down(crawl_database: str) -> None:
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url, lease_s=0.5) as store:
            await store.add([a_target("http://a.test/")], NOW)
            result = a_result(await only_claim(store))
            store.ownership.hold_until(0.0)
            proxy.stall()
            with pytest.raises(DatabaseFailedError, match="the server does not answer"):
                await store.commit([result], NOW)
    assert rows(crawl_database, "SELECT count(*) FROM fetches") == [(0,)]


# --- what is found for others -----------------------------------------------------------------------------------------


async def test_a_url_that_is_found_while_its_host_is_emptied_is_fetched(crawl_database: str) -> None:
    """Its owner computes that nothing is due, and does not see what is not committed yet."""
    [here], [there] = names(FIRST, 1), names(SECOND, 1)
    with proxy_to(crawl_database) as proxy:
        async with one_store(proxy.url, FIRST) as finder, one_store(crawl_database, SECOND) as owner:
            await finder.add([a_target(f"http://{here}/")], NOW)
            await owner.add([a_target(f"http://{there}/")], NOW)
            page = a_result(await only_claim(finder), links=[f"http://{there}/found"])
            trap = proxy.trap("^COMMIT", after="INSERT INTO urls", is_answered=False)
            commit = asyncio.create_task(finder.commit([page], NOW))
            await asyncio.to_thread(trap.wait)
            assert await owner.commit([a_result(await only_claim(owner))], NOW) == []
            trap.release()
            await commit
            [host] = await owner.take_arrivals()
            assert host.next_due_at == NOW
            assert set(await claims_of(owner)) == {f"http://{there}/found"}
        check_counts(crawl_database)


async def test_two_that_find_the_same_urls_at_once_add_them_once(crawl_database: str) -> None:
    urls = [f"http://{name}/{number}" for name in names(range(PARTS), 40) for number in range(25)]
    async with two_stores(crawl_database) as (one, other):
        shuffled = random.Random(1).sample(urls, len(urls))
        await asyncio.gather(one.add([*map(a_target, urls)], NOW), other.add([*map(a_target, shuffled)], NOW))
        await asyncio.gather(one.take_arrivals(), other.take_arrivals())
        assert rows(crawl_database, "SELECT count(*), count(DISTINCT url) FROM urls") == [(1000, 1000)]
        assert {*await claims_of(one), *await claims_of(other)} == set(urls)
    check_counts(crawl_database)


async def test_whatever_two_find_and_store_at_once_the_counts_agree(crawl_database: str) -> None:
    """Links that are kept out and let in, URLs that fail and that are fetched, of own hosts and of others'."""
    rng = random.Random(2)
    hosts = names(range(PARTS), 6)
    urls = [f"http://{name}/{number}" for name in hosts for number in range(30)]

    def result(claim: Claim) -> Result:
        if rng.random() < 0.2:
            return a_failure(claim)
        targets = tuple(
            a_target(url, depth=rng.randrange(9), reason=rng.choice([None, None, "nofollow", "depth"]))
            for url in rng.sample(urls, 6)
        )
        page = Page(
            url=claim.url, text="", content_hash=rng.randbytes(4), links=tuple(Link(one.url) for one in targets)
        )
        return a_result(claim, page=page, link_targets=targets)

    async def work(store: PostgresStore) -> None:
        for step in range(12):
            claims: Sequence[Claim] = [*(await claims_of(store, NOW + step)).values()]
            await store.commit([result(claim) for claim in claims[:4]], NOW + step)
            await store.add([a_target(rng.choice(urls), depth=9, reason="depth")], NOW + step)

    async with two_stores(crawl_database) as (one, other):
        await one.add([a_target(f"http://{name}/0") for name in hosts], NOW)
        await other.take_arrivals()
        await asyncio.gather(work(one), work(other))
        await asyncio.gather(one.take_arrivals(), other.take_arrivals())
    assert rows(crawl_database, "SELECT count(*) > 20 FROM fetches") == [(True,)]
    check_counts(crawl_database)


async def test_two_that_wait_for_each_other_both_get_their_turn(crawl_database: str) -> None:
    async with two_stores(crawl_database) as (one, other):
        met = asyncio.Barrier(2)

        async def lock(store: PostgresStore, parts: Sequence[int]) -> None:
            tries = 0

            async def work(execute: Execute) -> None:
                nonlocal tries
                tries += 1
                for part in parts:
                    await execute("UPDATE parts SET run_requests = run_requests + 1 WHERE part = $1", part)
                    if tries == 1 and part == parts[0]:
                        await met.wait()

            await in_transaction(store._pool, work)

        await asyncio.gather(lock(one, [1, 2]), lock(other, [2, 1]))
    assert rows(crawl_database, "SELECT run_requests FROM parts WHERE part IN (1, 2)") == [(2,), (2,)]


async def test_a_url_whose_id_another_one_has_changes_nothing_of_that(crawl_database: str) -> None:
    """Once in 10^9 URLs of a host: it gets no row of its own."""
    async with one_store(crawl_database) as store:
        await store.add([a_target("http://a.test/", depth=3)], NOW)
        execute(crawl_database, "UPDATE urls SET url = 'http://a.test/other'")
        for _ in range(2):
            await store.add([a_target("http://a.test/", depth=0, seed=SeedMark.YES)], NOW)
        assert rows(crawl_database, "SELECT url, depth, seed FROM urls") == [("http://a.test/other", 3, 0)]


async def test_a_host_that_backs_off_with_nothing_to_fetch_is_not_due(crawl_database: str) -> None:
    """PostgreSQL's `greatest` knows no NULL."""
    async with one_store(crawl_database) as store:
        await store.add([a_target("http://a.test/")], NOW)
        await store.commit([a_failure(await only_claim(store), closure=closed(NOW + 90))], NOW)
        assert rows(crawl_database, "SELECT next_due_at, back_off_until FROM hosts") == [(None, NOW + 90)]
