"""What a store keeps of URLs that fail: the status of their last answer, since when and why, and when they are due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crawler.records import (
    Claim,
    Failing,
    FailureKind,
    Horizon,
    Reason,
    Response,
    Result,
    Revisit,
    SeedMark,
    UrlKind,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import Store
from tests.contract.results import NOW, a_failure, a_result, a_store, a_target, claims_of, robots_claim, row_of
from tests.stores import Location, rows

A, B, C = "http://a.test/", "http://a.test/b", "http://c.test/"
COLUMNS = "status, reason, cause, failing_since, failing_reason, next_fetch_at"
TIMEOUT = Reason(FailureKind.TIMEOUT)
SINCE = NOW + 50
LATER = Horizon(started_at=NOW + 500, fetched_before=NOW + 500)


async def fetched(store: Store, *urls: str) -> dict[str, Claim]:
    """The claims of these URLs as they are after their first visit."""
    claims = await claims_of(store)
    await store.commit([a_result(claims[url]) for url in urls], NOW)
    known = await store.stale_urls([claims[url].host_id for url in urls], 9, LATER)
    return {claim.url: claim for claim in known}


def fails(claim: Claim, **fields: Any) -> Result:
    """A visit that is over, of a URL that keeps its status."""
    usual: dict[str, Any] = {
        "failing": Failing(since=SINCE, reason=TIMEOUT),
        "keeps": UrlStatus.FETCHED,
        "next_fetch_at": NOW + 900,
    }
    return a_failure(claim, **(usual | fields))


async def test_what_fails_keeps_its_status_and_is_known_to_fail(location: Location) -> None:
    async with a_store(location, A) as store:
        claim = (await fetched(store, A))[A]
        assert claim.failing is None
        await store.commit([fails(claim)], NOW)
        assert row_of(location, A, COLUMNS) == ("fetched", None, None, SINCE, "timeout", NOW + 900)
        assert row_of(location, A, "page_id IS NULL, fetched_at, attempts") == (0, NOW, 1)
        assert rows(location, "SELECT pending, fetched, failed FROM hosts") == [(0, 1, 0)]
        again = (await claims_of(store, NOW + 900))[A]
        assert again.failing == Failing(since=SINCE, reason="timeout")
        assert again.previous is not None
        assert again.previous.status is UrlStatus.FETCHED
        await store.commit([a_result(again, page=False)], NOW)
        assert row_of(location, A, COLUMNS) == ("fetched", None, None, None, None, None)


async def test_a_visit_that_goes_on_keeps_the_status_too(location: Location) -> None:
    async with a_store(location, A) as store:
        claim = (await fetched(store, A))[A]
        again = Verdict(status=UrlStatus.PENDING, reason=Reason("http", "500"), attempts=1)
        answer = Response(url=A, status_code=500, started_at=SINCE)
        await store.commit([fails(claim, verdict=again, attempt=answer, failing=Failing(since=SINCE))], NOW)
        assert row_of(location, A, COLUMNS) == ("fetched", None, None, SINCE, None, NOW + 900)
        assert row_of(location, A, "fetched_at") == (NOW,)  # a 500 is no answer


async def test_what_fails_is_not_fetched_again_but_when_it_is_due(location: Location) -> None:
    async with a_store(location, A, C) as store:
        claims = await fetched(store, A, C)
        await store.commit([fails(claims[A])], NOW)
        hosts = (await store.stale_hosts(LATER, None, 9, NOW)).rows
        assert [host.name for host in hosts] == ["c.test"]
        assert await store.stale_urls([claims[A].host_id], 9, LATER) == []
        assert set(await claims_of(store, NOW + 900)) == {A}


async def test_whether_a_host_has_answered_others_meanwhile(location: Location) -> None:
    async with a_store(location, A, B, C) as store:
        claims = await fetched(store, A, B, C)
        await store.commit([fails(claims[A])], NOW)
        host_id = claims[A].host_id
        assert not await store.answered_since(host_id, SINCE)
        answer = Response(url=B, status_code=304, started_at=SINCE + 9)
        robots = replace(answer, url=f"{A}robots.txt", status_code=200)
        await store.commit([a_result(robots_claim(claims[A]), page=False, attempt=robots)], NOW)
        assert not await store.answered_since(host_id, SINCE)
        await store.commit([a_result(claims[B], page=False, attempt=answer)], NOW)
        assert await store.answered_since(host_id, SINCE)
        assert not await store.answered_since(host_id, SINCE + 10)
        assert not await store.answered_since(claims[C].host_id, SINCE)


async def test_what_was_never_answered_is_due_with_an_age_once_its_time_has_come(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        failing = Failing(since=NOW, reason=TIMEOUT)
        await store.commit([a_failure(claims[A], failing=failing, revisit=Revisit(at=NOW + 100))], NOW)
        await store.commit([a_failure(claims[B], failing=failing)], NOW)  # its answer has settled it
        assert row_of(location, A, COLUMNS) == ("failed", "timeout", "timeout", NOW, "timeout", None)
        assert await claims_of(store, NOW + 900) == {}
        host_id = claims[A].host_id
        for horizon in (LATER, replace(LATER, revisit_before=NOW + 500)):
            assert [host.host_id for host in (await store.stale_hosts(horizon, None, 9, NOW)).rows] == [host_id]
            [again] = await store.stale_urls([host_id], 9, horizon)
            assert (again.url, again.failing, again.previous) == (A, failing, None)
        early = Horizon(started_at=NOW + 99, fetched_before=NOW + 99, revisit_before=NOW + 99)
        assert (await store.stale_hosts(early, None, 9, NOW)).rows == []
        assert await store.stale_urls([host_id], 9, early) == []


async def test_an_origin_that_failed_plans_all_of_its_urls_that_are_due_and_no_other(location: Location) -> None:
    due, waiting, other = f"{A}due", f"{A}waiting", "http://a.test:8080/"
    async with a_store(location, A, due, waiting, other) as store:
        claims = await claims_of(store)
        failing = Failing(since=NOW - 900, reason=TIMEOUT)
        for url, at in ((due, NOW - 1), (waiting, NOW + 1)):
            await store.commit([a_failure(claims[url], failing=failing, revisit=Revisit(at=at))], NOW)
        robots = a_failure(robots_claim(claims[A]), origin_failed=FailureKind.DNS, origin_revisit_at=NOW + 300)
        await store.commit([robots], NOW)
        assert (store.failed_with_origins(), store.failed_with_origins()) == (1, 0), "the other had failed before"
        columns = "status, reason, failing_since, failing_reason, revisit_at"
        assert row_of(location, A, columns) == ("failed", "dns", NOW, "dns", NOW + 300)
        assert row_of(location, due, columns) == ("failed", "dns", NOW - 900, "dns", NOW + 300)
        assert row_of(location, waiting, columns) == ("failed", "timeout", NOW - 900, "timeout", NOW + 1)
        assert row_of(location, other, columns) == ("pending", None, None, None, None)
        assert row_of(location, f"{A}robots.txt", "revisit_at") == (None,)


async def test_what_fails_with_its_origin_is_counted_where_no_result_says_so(location: Location) -> None:
    urls = [f"{A}{number}" for number in range(4)]
    async with a_store(location, *urls) as store:
        await store.add([a_target(f"{A}sitemap.xml", kind=UrlKind.SITEMAP)], NOW)
        claims = await claims_of(store)
        robots = a_failure(robots_claim(claims[urls[0]]), origin_failed=FailureKind.DNS, origin_revisit_at=NOW + 300)
        told = a_failure(claims[urls[0]], failing=Failing(since=NOW, reason=Reason(FailureKind.DNS)))
        again = Verdict(status=UrlStatus.PENDING, reason=TIMEOUT, attempts=1)
        retried = Failing(since=NOW - 900, reason=TIMEOUT)  # it had failed before this visit
        await store.commit([a_failure(claims[urls[1]], verdict=again, failing=retried, next_fetch_at=NOW + 9)], NOW)
        assert store.failed_with_origins() == 0
        await store.commit([told, robots], NOW)
        assert rows(location, "SELECT failed, pending FROM hosts") == [(5, 0)]
        assert store.failed_with_origins() == 2


@pytest.mark.parametrize("by_name", [True, False])
async def test_what_is_retried_is_due_and_keeps_its_status_if_it_had_one(location: Location, by_name: bool) -> None:
    async with a_store(location, A, B, C) as store:
        claims = await claims_of(store)
        await store.commit([a_failure(claims[B], failing=Failing(since=SINCE, reason=TIMEOUT))], NOW)
        known = await fetched(store, A, C)
        await store.commit([fails(known[A])], NOW)
        await (store.retry([A, B, C], NOW) if by_name else store.retry_failed(NOW))
        assert set(await claims_of(store)) == {A, B}
        assert row_of(location, A, "status, attempts, failing_since, failing_reason") == (
            "fetched",
            0,
            SINCE,
            "timeout",
        )
        assert row_of(location, B, "status, reason, attempts") == ("pending", None, 0)


async def test_a_seed_that_fails_was_not_fetched_when_it_was_last_tried(location: Location) -> None:
    async with a_store(location) as store:
        await store.add([a_target(A, seed=SeedMark.YES)], NOW)
        claim = (await fetched(store, A))[A]
        assert await store.any_seed_fetched(ever=False)
        await store.commit([fails(claim)], NOW)
        assert not await store.any_seed_fetched(ever=False)
        assert await store.any_seed_fetched(ever=True)
