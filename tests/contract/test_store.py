"""What a store keeps, read back by another program."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from crawler.bodies import body_hash, decompress
from crawler.frontier.conclusion import postponed
from crawler.records import (
    FEED,
    HREFLANG,
    Alternate,
    Blame,
    ChangeRate,
    Claim,
    Difference,
    EndReason,
    ExclusionReason,
    Failing,
    Failure,
    FailureKind,
    Horizon,
    Link,
    NamedFeeds,
    Page,
    Place,
    PreviousVisit,
    Reason,
    Response,
    Result,
    Revisit,
    RobotsCopy,
    SeedMark,
    UrlKind,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from tests.contract.batches import Batches, some_batches, store_batches
from tests.contract.results import (
    NOW,
    a_body,
    a_failure,
    a_listed,
    a_result,
    a_store,
    a_target,
    by_name,
    claims_of,
    closed,
    of_run,
    robots_claim,
    row_of,
)
from tests.stores import Location, rows

A, B, C = "http://a.test/", "http://a.test/b", "http://c.test/"
D = "http://a.test/d"


# --- a visit ----------------------------------------------------------------------------------------------------------


async def test_a_page_its_links_the_new_urls_and_the_state_are_there_together(location: Location) -> None:
    async with a_store(location, A) as store:
        claim = (await claims_of(store))[A]
        hosts = by_name(await store.commit([a_result(claim, links=[B, C], body=a_body(b"<html>"))], NOW))
        assert rows(location, "SELECT url, status, depth FROM urls ORDER BY url") == [
            (A, "fetched", 0),
            (B, "pending", 1),
            (C, "pending", 1),
        ]
        assert rows(
            location,
            "SELECT p.title, t.url, l.anchor FROM pages p JOIN links l ON l.page_id = p.id"
            " JOIN urls t ON t.id = l.target_id JOIN urls u ON u.page_id = p.id WHERE u.url = ? ORDER BY t.url",
            A,
        ) == [("T", B, f"to {B}"), ("T", C, f"to {C}")]
        assert rows(location, "SELECT url_id, run_id, status_code, content_type, bytes FROM fetches") == [
            (claim.url_id, store.run_id, 200, "text/html", 1)
        ]
        [(size, data)] = rows(location, "SELECT size, zstd FROM bodies JOIN pages ON body_hash = hash")
        assert (size, decompress(data)) == (6, b"<html>")
        assert {name: host.next_due_at for name, host in hosts.items()} == {"a.test": NOW, "c.test": NOW}


async def test_a_visit_decided_without_a_request_adds_no_fetch(location: Location) -> None:
    async with a_store(location, A) as store:
        verdict = Verdict(status=UrlStatus.EXCLUDED, reason=Reason("robots", "line 2: Disallow: /"))
        await store.commit([Result(claim=(await claims_of(store))[A], verdict=verdict)], NOW)
        assert row_of(location, A) == ("excluded", verdict.reason, None)
        assert rows(location, "SELECT count(*) FROM fetches") == [(0,)]
        assert of_run(location) == (0, 0)


async def test_a_failure_is_stored_with_its_kind(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.commit([a_failure((await claims_of(store))[A])], NOW)
        assert row_of(location, A) == ("failed", "timeout", None)
        assert rows(location, "SELECT failure, message, status_code FROM fetches") == [("timeout", "no answer", None)]


async def test_what_a_later_answer_does_not_say_is_kept(location: Location) -> None:
    """A 304, or a failed attempt, leaves the page and the validators of the last answer."""
    async with a_store(location, A) as store:
        claim = (await claims_of(store))[A]
        answer = Response(url=A, status_code=200, etag='"1"', last_modified="today", started_at=NOW)
        await store.commit([a_result(claim, attempt=answer)], NOW)
        page_id, *rest = row_of(location, A, "page_id, etag, last_modified, fetched_at")
        assert rest == ['"1"', "today", NOW]
        await store.commit([a_failure(claim)], NOW + 9)
        assert row_of(location, A, "page_id, etag, last_modified, fetched_at") == (page_id, '"1"', "today", NOW)


async def test_equal_bodies_are_kept_once(location: Location) -> None:
    async with a_store(location, A, B, D) as store:
        claims = await claims_of(store)
        same = [a_result(claims[url], body=a_body(b"same" * 100)) for url in (A, B)]
        await store.commit(same, NOW)
        await store.commit([a_result(claims[D], body=a_body(b"same" * 100))], NOW)
        assert rows(location, "SELECT hash, size FROM bodies") == [(body_hash(b"same" * 100), 400)]
        assert rows(location, "SELECT count(*) FROM pages WHERE body_hash IS NOT NULL") == [(3,)]


@pytest.mark.parametrize("first", [A, B])
async def test_a_page_that_todays_reader_reads_otherwise_is_stored_anew_beside_one_that_it_does_not(
    location: Location, first: str
) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_result(claims[url]) for url in (A, B)], NOW)
        read = {url: Page(url=url, title="newer", text="newer", content_hash=b"newer") for url in (A, B)}
        results = {url: a_result(claims[url], page=None, reread=read[url]) for url in (A, B)}
        results[A] = replace(results[A], difference=Difference.READER)
        await store.commit(sorted(results.values(), key=lambda result: result.claim.url != first), NOW + 9)
    texts = "SELECT u.url, p.title, p.text, p.content_hash FROM pages p JOIN urls u ON u.page_id = p.id ORDER BY u.url"
    assert rows(location, texts) == [(A, "newer", "newer", b"newer"), (B, "newer", "text", b"h")]


async def test_the_feeds_that_the_newest_version_names_are_told_and_stored_without_another_version(
    location: Location,
) -> None:
    feed, translation = Alternate(url=B, kind=FEED), Alternate(url=D, kind=HREFLANG, language="de")
    async with a_store(location, A, C) as store:
        claims = await claims_of(store)
        assert await store.named_feeds(claims[A]) == NamedFeeds(), "of no version"
        page = Page(url=A, title="T", text="text", content_hash=b"h", alternates=(translation, feed), nofollow=True)
        await store.commit([a_result(claims[A], page=page), a_result(claims[C])], NOW)
        assert await store.named_feeds(claims[A]) == NamedFeeds(urls=(B,), nofollow=True)
        assert await store.named_feeds(claims[C]) == NamedFeeds()
        unchanged = a_result(claims[A], page=None, targets=(a_target(B, kind=UrlKind.FEED),))
        await store.commit([unchanged], NOW + 9)
        assert rows(location, "SELECT status, kind, found_on FROM urls WHERE url = ?", B) == [
            ("pending", "feed", claims[A].url_id)
        ]
        await store.commit([a_result(claims[A])], NOW + 9)
        assert await store.named_feeds(claims[A]) == NamedFeeds()


async def test_a_page_without_a_body_has_no_hash(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_result(claims[A]), a_result(claims[B], body=a_body(b""))], NOW)
        assert rows(location, "SELECT body_hash FROM pages JOIN urls ON urls.id = url_id ORDER BY url") == [
            (None,),
            (body_hash(b""),),
        ]


async def test_a_link_that_a_page_repeats_is_stored_once(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.commit([a_result((await claims_of(store))[A], links=[B, C, B, A])], NOW)
        assert rows(location, "SELECT count(*), count(DISTINCT target_id) FROM links") == [(3, 3)]


async def test_of_links_that_lead_to_the_same_url_the_first_counts(location: Location) -> None:
    """Two links may do so once a parameter is dropped."""
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        links = (Link(C, "first", "nofollow", nofollow=True), Link(C, "second"), Link(B, "plain"))
        page = Page(url=A, links=links, content_hash=b"h")
        targets = (a_target(C), a_target(C), a_target(B))
        plain = a_result(claims[B], links=[A])
        await store.commit([a_result(claims[A], page=page, link_targets=targets), plain], NOW)
        found = rows(location, "SELECT anchor, rel, nofollow FROM links ORDER BY anchor")
        assert found == [("first", "nofollow", 1), ("plain", "", 0), (f"to {A}", "", 0)]


# --- URLs that are known ----------------------------------------------------------------------------------------------


async def test_a_url_found_again_is_stored_once(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_result(claims[A], links=[C, B]), a_result(claims[B], links=[C, A])], NOW)
        await store.add([a_target(C)], NOW)
        assert rows(location, "SELECT url FROM urls ORDER BY url") == [(A,), (B,), (C,)]


async def test_a_shorter_path_lowers_the_depth_and_a_longer_one_does_not(location: Location) -> None:
    async with a_store(location) as store:
        for depth, stored in ((5, 5), (3, 3), (4, 3), (0, 0)):
            await store.add([a_target(A, depth=depth)], NOW)
            assert row_of(location, A, "depth") == (stored,)


async def test_what_changes_for_another_reason_keeps_the_best_that_was_known(location: Location) -> None:
    async with a_store(location) as store:
        await store.add([a_target(A, depth=3, hops=1, reason="scope"), a_target(B, depth=3, hops=1)], NOW)
        await store.add([a_target(A, depth=5, hops=2), a_target(B, depth=5, hops=2, seed=SeedMark.YES)], NOW)
        assert row_of(location, A, "status, depth, hops, seed") == ("pending", 3, 1, 0)
        assert row_of(location, B, "status, depth, hops, seed") == ("pending", 3, 1, 2)
        await store.add([a_target(B, depth=2, hops=0)], NOW)
        assert row_of(location, B, "status, depth, hops, seed") == ("pending", 2, 0, 2)


async def test_in_one_batch_the_nearest_counts(location: Location) -> None:
    async with a_store(location) as store:
        await store.add([a_target(A, depth=5), a_target(A, depth=2), a_target(A, depth=4)], NOW)
        assert row_of(location, A, "depth") == (2,)


async def test_a_url_that_the_user_names_becomes_a_seed(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.add([a_target(A, depth=0, seed=SeedMark.YES)], NOW)
        assert row_of(location, A, "seed") == (2,)
        await store.add([a_target(A, depth=0, seed=SeedMark.SEED_REDIRECT)], NOW)
        assert row_of(location, A, "seed") == (2,)
        assert await store.named_seeds() == [(A, SeedMark.YES)]
        assert await store.roots() == [A]


@pytest.mark.parametrize("reason", ["scope", "depth", "nofollow", "include", "hops", "length"])
async def test_what_was_excluded_is_lifted_when_it_is_found_admitted(location: Location, reason: str) -> None:
    async with a_store(location) as store:
        await store.add([a_target(A, depth=9, reason=reason)], NOW)
        assert row_of(location, A) == ("excluded", reason, None)
        await store.add([a_target(A, depth=9)], NOW + 5)
        assert row_of(location, A) == ("pending", None, NOW + 5)
        hosts = (await store.due_hosts(NOW + 5, None, 9)).rows
        assert [host.next_due_at for host in hosts] == [NOW + 5]


async def test_what_is_pending_or_done_is_not_excluded_by_another_link(location: Location) -> None:
    async with a_store(location, A, B) as store:
        await store.commit([a_result((await claims_of(store))[A])], NOW)
        await store.add([a_target(A, reason="nofollow"), a_target(B, reason="nofollow")], NOW)
        assert [row_of(location, url, "status") for url in (A, B)] == [("fetched",), ("pending",)]


async def test_what_an_option_excluded_in_this_run_may_still_be_lifted(location: Location) -> None:
    """The scope was narrower than the one that found the URL, and is widened by a seed's redirect."""
    async with a_store(location, A, C) as store:
        claims = await claims_of(store)
        excluded = Verdict(status=UrlStatus.EXCLUDED, reason=Reason("scope"))
        await store.commit([Result(claim=claims[C], verdict=excluded)], NOW)
        await store.commit([a_result(claims[A], links=[a_target(C, depth=0)])], NOW)
        assert row_of(location, C, "status") == ("pending",)


async def test_readmitted_urls_are_due_with_their_hosts(location: Location) -> None:
    async with a_store(location) as store:
        await store.add([a_target(A, reason="scope"), a_target(C, reason=Reason("robots", "line 1: Disallow: /"))], NOW)
        batch = await store.excluded(None, 10)
        assert [target.url for target in batch.rows] == [A]
        await store.readmit([A], NOW + 5)
        assert row_of(location, A) == ("pending", None, NOW + 5)
        assert set(await claims_of(store, NOW + 5)) == {A}
        assert (await store.counts())["pending"] == 1


async def test_every_excluded_url_is_decided_again_once_in_batches_of_any_size(location: Location) -> None:
    excluded = {
        f"http://{host}.test/{number}": reason
        for host in "abc"
        for number, reason in enumerate(("depth", "scope", "scope", "limit"))
    }
    async with a_store(location, "http://a.test/") as store:
        await store.add([a_target(url, reason=reason) for url, reason in excluded.items()], NOW)
        batch = await store.excluded(None, 3)
        seen = list(batch.rows)
        while batch.next is not None:
            batch = await store.excluded(batch.next, 3)
            seen += batch.rows
        assert sorted((target.url, target.reason) for target in seen) == sorted(excluded.items())


# --- robots.txt -------------------------------------------------------------------------------------------------------


def a_robots_visit(claim: Claim, body: bytes, **fields: Any) -> Result:
    usual = {"status_code": 200, "body": body, "fetched_at": NOW, "expires_at": NOW + 9}
    copy = RobotsCopy(origin="http://a.test", **(usual | fields))  # type: ignore[arg-type]
    return a_result(robots_claim(claim), page=False, robots=copy)


async def forbid(store: Store, claim: Claim) -> None:
    reason = Reason("robots", "line 2: Disallow: /b")
    await store.commit([Result(claim=claim, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=reason))], NOW)


async def test_what_robots_txt_forbids_stays_excluded_until_its_rules_differ(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        await forbid(store, claims[B])
        await store.add([a_target(B, depth=0)], NOW)
        assert row_of(location, B, "status") == ("excluded",)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        assert row_of(location, B, "status") == ("excluded",)
        hosts = await store.commit([a_robots_visit(claims[A], b"Allow: /")], NOW + 5)
        assert row_of(location, B) == ("pending", None, NOW + 5)
        assert [host.name for host in hosts] == ["a.test"]


async def test_an_attempt_at_robots_txt_that_failed_lifts_nothing_and_keeps_the_rules(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        await forbid(store, claims[B])
        await store.commit([a_robots_visit(claims[A], b"", status_code=503, expires_at=0.0, failures=1)], NOW)
        assert row_of(location, B, "status") == ("excluded",)
        [copy] = await store.robots_of([claims[A].host_id])
        assert (copy.status_code, copy.body, copy.expires_at, copy.failures) == (503, b"Disallow: /b", 0.0, 1)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        assert row_of(location, B, "status") == ("excluded",)


async def test_robots_txt_has_a_row_and_fetches_but_is_counted_nowhere(location: Location) -> None:
    async with a_store(location, A) as store:
        claim = (await claims_of(store))[A]
        again = Verdict(status=UrlStatus.PENDING, reason=Reason("timeout"), attempts=1)
        await store.commit([a_failure(robots_claim(claim), verdict=again), a_robots_visit(claim, b"")], NOW)
        assert row_of(location, "http://a.test/robots.txt", "kind, status, next_fetch_at") == (
            "robots",
            "fetched",
            None,
        )
        assert rows(location, "SELECT count(*) FROM fetches") == [(2,)]
        assert sum((await store.counts()).values()) == 1


async def test_an_origin_that_failed_fails_its_own_urls_and_no_other(location: Location) -> None:
    urls = [A, "http://a.test/x?y", "http://a.test:8080/", "https://a.test/", "http://a.test.example/", C]
    async with a_store(location, *urls) as store:
        claims = await claims_of(store)
        visit = a_failure(robots_claim(claims[A]), FailureKind.CONNECT, origin_failed=FailureKind.CONNECT)
        await store.commit([visit], NOW)
        states = {url: row_of(location, url) for url in urls}
        assert states[A] == states["http://a.test/x?y"] == ("failed", "connect", None)
        assert {states[url][0] for url in urls[2:]} == {"pending"}


async def test_an_origin_that_failed_fails_nothing_that_is_done_or_excluded(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_result(claims[A])], NOW)
        await forbid(store, claims[B])
        await store.commit([a_failure(robots_claim(claims[A]), origin_failed=FailureKind.DNS)], NOW)
        assert [row_of(location, url, "status") for url in (A, B)] == [("fetched",), ("excluded",)]


# --- hosts and runs ---------------------------------------------------------------------------------------------------


async def test_a_host_is_due_with_its_first_url_but_not_before_its_back_off_ends(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        again = Verdict(status=UrlStatus.PENDING, reason=Reason("timeout"), attempts=1)
        [host] = await store.commit([a_failure(claims[A], verdict=again, next_fetch_at=NOW + 60)], NOW)
        assert host.next_due_at == NOW
        [host] = await store.commit([a_result(claims[B])], NOW)
        assert host.next_due_at == NOW + 60
        [host] = await store.commit(
            [a_failure(claims[A], verdict=again, next_fetch_at=NOW + 60, closure=closed(NOW + 90), host_failures=3)],
            NOW,
        )
        assert (host.next_due_at, host.back_off_until, host.failures) == (NOW + 90, NOW + 90, 3)
        assert (await store.due_hosts(NOW + 89, None, 9)).rows == []
        assert await store.next_due_at(NOW) == NOW + 90
        assert (await store.due_hosts(NOW + 90, None, 9)).rows == [host]
        assert await store.closures(NOW, 9) == [closed(NOW + 90)]


async def test_the_longest_back_off_counts_in_whichever_order_they_arrive(location: Location) -> None:
    async with a_store(location, A, B, C) as store:
        claims = await claims_of(store)
        waits = [a_failure(claims[A], closure=closed(NOW + 3600)), a_failure(claims[B], closure=closed(NOW + 5))]
        await store.commit(waits, NOW)
        assert rows(location, "SELECT back_off_until FROM hosts WHERE name = 'a.test'") == [(NOW + 3600,)]
        await store.commit([a_failure(claims[B], closure=closed(NOW + 7))], NOW)
        assert rows(location, "SELECT back_off_until FROM hosts WHERE name = 'a.test'") == [(NOW + 3600,)]


ORIGIN = "http://a.test:8081"


async def test_an_origin_that_is_left_alone_is_told_as_long_as_something_of_it_is_to_be_fetched(
    location: Location,
) -> None:
    url = f"{ORIGIN}/x"
    async with a_store(location, A, url) as store:
        claims = await claims_of(store)
        pause = closed(NOW + 90, ORIGIN, Blame.ORIGIN, "http 503")
        again = Verdict(status=UrlStatus.PENDING, reason=Reason("http", "503"))
        await store.commit([a_failure(claims[url], verdict=again, next_fetch_at=NOW + 90, closure=pause)], NOW)
        assert await store.closures(NOW, 9) == [pause]
        assert await store.closures(NOW + 90, 9) == []
        [host] = (await store.due_hosts(NOW, None, 9)).rows
        assert host.back_off_until == 0.0, "its host is not left alone"
        [kept] = await store.robots_of([host.host_id])
        assert (kept.origin, kept.body, kept.paused_until, kept.pause_reason) == (ORIGIN, None, NOW + 90, "http 503")
        await store.commit([a_result(claims[url], closure=closed(NOW + 60, ORIGIN, Blame.ORIGIN, "http 429"))], NOW)
        [kept] = await store.robots_of([host.host_id])
        assert (kept.paused_until, kept.pause_reason) == (NOW + 90, "http 503"), "the longest counts"
        assert await store.closures(NOW, 9) == []


async def test_a_url_that_waits_for_its_own_retry_is_told_by_its_host_where_nothing_closed_says_so(
    location: Location,
) -> None:
    other = f"{ORIGIN}/x"
    async with a_store(location, A, B, other) as store:
        claims = await claims_of(store)
        again = Verdict(status=UrlStatus.PENDING, reason=Reason("http", "500"), attempts=1)
        late, soon = (a_failure(claims[url], verdict=again, next_fetch_at=NOW + s) for url, s in ((A, 80), (B, 70)))
        pause = closed(NOW + 90, ORIGIN, Blame.ORIGIN, "http 503")
        paused = a_failure(claims[other], verdict=again, next_fetch_at=NOW + 60, closure=pause)
        await store.commit([late, soon, paused], NOW)
        assert await store.closures(NOW, 9) == [pause]
        told = await store.closures(NOW, 9, retried_after=NOW)
        assert told == [closed(NOW + 70, why="http 500"), pause], "the first that no pause explains"
        assert (await store.closures(NOW, 9, retried_after=NOW + 75))[0].until == NOW + 80
        assert await store.closures(NOW, 9, retried_after=NOW + 85) == [pause]
        back_off = closed(NOW + 100, why="dns")
        await store.commit([a_failure(claims[A], verdict=again, next_fetch_at=NOW + 80, closure=back_off)], NOW)
        assert await store.closures(NOW, 9, retried_after=NOW) == [back_off, pause], "each host once"


async def test_a_visit_of_a_stored_page_that_is_not_over_is_told_and_one_that_is_planned_is_not(
    location: Location,
) -> None:
    async with a_store(location, A) as store:
        claims = await claims_of(store)
        again = Verdict(status=UrlStatus.PENDING, attempts=1)
        kept: dict[str, Any] = {"keeps": UrlStatus.FETCHED, "next_fetch_at": NOW + 60}
        await store.commit([a_failure(claims[A], verdict=again, failing=Failing(since=NOW), **kept)], NOW)
        assert [one.until for one in await store.closures(NOW, 9, retried_after=NOW)] == [NOW + 60]
        over = Verdict(status=UrlStatus.FAILED, attempts=3)
        failing = Failing(since=NOW, reason="http 500")
        await store.commit([a_failure(claims[A], verdict=over, failing=failing, **kept)], NOW)
        assert await store.closures(NOW, 9, retried_after=NOW) == []


async def test_what_is_postponed_stays_as_it_is_and_is_due_then(location: Location) -> None:
    """Also what is stored and to be fetched again, which is planned from then on, and named by no horizon any more."""
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_result(claims[A])], NOW)
        await store.commit([postponed(claims[url], NOW + 90) for url in (A, B)], NOW)
        assert row_of(location, A) == ("fetched", None, NOW + 90)
        assert row_of(location, B) == ("pending", None, NOW + 90)
        horizon = Horizon(started_at=NOW + 9, fetched_before=NOW + 9)
        assert await store.stale_urls([claims[A].host_id], 9, horizon) == []
        assert await claims_of(store, NOW + 89) == {}
        assert set(await claims_of(store, NOW + 90)) == {A, B}


async def test_of_origins_that_are_left_out_nothing_is_read(location: Location) -> None:
    urls = [A, f"{ORIGIN}/x", f"{ORIGIN}/y", "http://a.test:80810/"]
    async with a_store(location, *urls) as store:
        [host] = (await store.due_hosts(NOW, None, 9)).rows
        read = await store.due_urls([host.host_id], 9, NOW, [ORIGIN])
        assert {claim.url for claim in read} == {A, "http://a.test:80810/"}
        await store.commit([a_result(claim) for claim in (await claims_of(store)).values()], NOW)
        horizon = Horizon(started_at=NOW + 9, fetched_before=NOW + 9)
        stale = await store.stale_urls([host.host_id], 9, horizon, (), [ORIGIN])
        assert {claim.url for claim in stale} == {A, "http://a.test:80810/"}


async def test_what_is_fetched_again_first_is_a_seed_then_what_was_announced_then_by_plan(location: Location) -> None:
    """However likely a change is: a page that changes by the hour is planned for every night like others."""
    urls = [f"{ORIGIN}/{name}" for name in ("seed", "announced", "due-1", "due-2", "due-3", "later")]
    plans = dict(zip(urls, [50.0, 55.0, 10.0, 20.0, 30.0, 500.0], strict=True))
    async with a_store(location, *urls) as store:
        claims = await claims_of(store)
        rates = {url: ChangeRate(changes=8.0 if "3" in url else 0.1, watched_s=100.0) for url in urls}
        revisits = {url: Revisit(at=NOW + plans[url], rate=rates[url]) for url in urls}
        await store.commit([a_result(claims[url], revisit=revisits[url]) for url in urls], NOW)
        await store.add([a_target(urls[0], seed=SeedMark.YES)], NOW)
        await store.add([a_target(f"{ORIGIN}/sitemap.xml", kind=UrlKind.SITEMAP)], NOW)
        seen = PreviousVisit(status=UrlStatus.FETCHED, fetched_at=NOW - 9)
        sitemap = replace((await claims_of(store))[f"{ORIGIN}/sitemap.xml"], previous=seen)
        await store.commit([a_result(sitemap, page=False, listed=(a_listed(urls[1], lastmod=NOW + 40),))], NOW + 60)
        horizon = Horizon(started_at=NOW + 99, fetched_before=0, revisit_before=NOW + 99)
        host_id = claims[urls[0]].host_id
        chosen = [{claim.url for claim in await store.stale_urls([host_id], number, horizon)} for number in range(1, 7)]
        order = [urls[0], urls[1], *urls[2:5]]
        assert chosen == [set(order[:number]) for number in range(1, 6)] + [set(order)]


async def test_a_pace_is_kept_until_another_is_told(location: Location) -> None:
    async with a_store(location, A) as store:
        claims = await claims_of(store)
        again = Verdict(status=UrlStatus.PENDING, attempts=1)
        paces = []
        for pace_s in (2.5, None, 0.0):
            result = a_failure(claims[A], verdict=again, next_fetch_at=NOW, pace_s=pace_s)
            [host] = await store.commit([result], NOW)
            paces.append(host.pace_s)
        assert paces == [2.5, 2.5, None]


async def test_details_are_told_once_for_each_host_that_has_so_many_pages(location: Location) -> None:
    async with a_store(location, A, C) as store:
        targets = [
            a_target(f"http://{host}.test/{number}", reason=Reason(ExclusionReason.PAGES_ALIKE, f"/{number % 2}/"))
            for host in "ab"
            for number in range(5)
        ]
        await store.add([*targets, a_target("http://a.test/long", reason=ExclusionReason.SESSION_IDS)], NOW)
        await store.commit([a_result(claim) for claim in (await claims_of(store)).values()], NOW)
        found = await store.details(ExclusionReason.PAGES_ALIKE, 1)
        places = [f"/{number}/" for number in range(2)]
        fetched = sorted({row[0] for row in rows(location, "SELECT name FROM hosts WHERE fetched > 0")})
        assert sorted(found) == [(name, place) for name in ["a.test"] for place in places]
        assert fetched == ["a.test", "c.test"]
        assert await store.details(ExclusionReason.PAGES_ALIKE, 2) == []


async def test_a_host_with_nothing_planned_is_not_returned(location: Location) -> None:
    async with a_store(location, A) as store:
        assert await store.commit([a_result((await claims_of(store))[A])], NOW) == []
        assert rows(location, "SELECT next_due_at FROM hosts") == [(None,)]


async def test_pages_are_counted_for_the_run_and_for_the_host_in_this_run(location: Location) -> None:
    async with a_store(location, A, B, C) as store:
        claims = await claims_of(store)
        late = a_failure(claims[C], attempt=Failure(url=C, kind=FailureKind.TIMEOUT, sent=True))
        await store.commit([a_result(claims[A]), a_result(claims[B], page=False), late], NOW)
        assert of_run(location) == (1, 3)
        await store.commit([a_failure(claims[C])], NOW)  # no connection: nothing was asked
        assert of_run(location) == (1, 3)
        assert rows(location, "SELECT name, run_pages FROM hosts ORDER BY name") == [("a.test", 1), ("c.test", 0)]
        await store.commit([a_result(claims[B])], NOW)
        assert rows(location, "SELECT run_pages FROM hosts WHERE name = 'a.test'") == [(2,)]
        await store.end_run(EndReason.COMPLETE, {}, NOW)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.add([a_target(A, depth=-1)], NOW)
        await store.commit([a_result(claims[B])], NOW)
        assert rows(location, "SELECT run_pages FROM hosts WHERE name = 'a.test'") == [(1,)]


async def test_due_hosts_are_read_on_from_a_place_each_once(location: Location) -> None:
    async with a_store(location, *(f"http://h{number}.test/" for number in range(10))) as store:
        batch = await store.due_hosts(NOW, None, 3)
        seen = [host.name for host in batch.rows]
        while batch.next is not None:
            batch = await store.due_hosts(NOW, None, 3, batch.next)
            seen += [host.name for host in batch.rows]
        assert sorted(seen) == sorted(f"h{number}.test" for number in range(10))


async def test_hosts_with_pages_to_fetch_again_are_read_on_from_a_place_each_once(location: Location) -> None:
    async with a_store(location, *(f"http://h{number}.test/" for number in range(10)), "http://new.test/") as store:
        claims = await claims_of(store)
        await store.commit([a_result(claims[f"http://h{number}.test/"]) for number in range(10)], NOW)
        paused = claims["http://h9.test/"].host_id
        await store.keep_pauses([(paused, NOW + 60)])
        horizon = Horizon(started_at=NOW + 9, fetched_before=NOW + 9)
        batch = await store.stale_hosts(horizon, None, 3, NOW + 9)
        seen = [host.name for host in batch.rows]
        while batch.next is not None:
            batch = await store.stale_hosts(horizon, None, 3, NOW + 9, batch.next)
            seen += [host.name for host in batch.rows]
        assert sorted(seen) == sorted(f"h{number}.test" for number in range(9))
        assert {one.url for one in await store.stale_urls([paused], 9, horizon)} == {"http://h9.test/"}
        assert await store.stale_urls([paused], 9, horizon, [claims["http://h9.test/"].url_id]) == []


async def test_a_host_that_has_its_pages_is_due_again_only_in_the_next_run(location: Location) -> None:
    async with a_store(location, A, B) as store:
        await store.commit([a_result((await claims_of(store))[A])], NOW)
        assert (await store.due_hosts(NOW, 1, 9)).rows == []
        assert len((await store.due_hosts(NOW, 2, 9)).rows) == 1
        await store.end_run(EndReason.MAX_PAGES, {}, NOW)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        [host] = (await store.due_hosts(NOW, 1, 9)).rows
        assert host.run_pages == 0


async def test_a_run_that_was_killed_goes_on_with_what_it_has_stored(location: Location) -> None:
    async with a_store(location, A) as store:
        run_id = store.run_id
        await store.commit([a_result((await claims_of(store))[A])], NOW)
    async with database_at(location).open_store() as store:
        options = {"scope": {"max_pages": None}, "delay": 2}
        assert await store.begin_run(options, NOW) == (run_id, 1)
        assert await store.last_options() == options
        await store.end_run(EndReason.COMPLETE, {"pages": 1}, NOW + 5)
        assert await store.begin_run(options, NOW) == (run_id + 1, 0)
        assert await store.begin_run({"scope": {"max_pages": 7}}, NOW + 9) == (run_id + 2, 0)
    assert rows(location, "SELECT ended_at, end_reason, summary FROM runs ORDER BY id") == [
        (NOW + 5, "complete", '{"pages":1}'),
        (NOW + 9, "killed", None),
        (None, None, None),
    ]


async def test_what_was_noted_counts_as_sent_after_a_kill(location: Location) -> None:
    options = {"scope": {"max_pages": None}, "run": {"max_requests": 40}}
    async with a_store(location, A, C) as store:
        await store.begin_run(options, NOW)
        claims = await claims_of(store)
        host_a, host_c = claims[A].host_id, claims[C].host_id
        assert await store.requests_noted() == 0
        await store.note_requests(None, [(host_a, 8), (host_c, 3)])
        await store.note_requests(12, [(host_a, 5)])
        await store.commit([a_result((await claims_of(store))[A], requests=2)], NOW)
        assert rows(location, "SELECT run_requests FROM hosts ORDER BY name") == [(2,), (0,)]
    async with database_at(location).open_store() as store:
        await store.begin_run(options, NOW)
        assert await store.requests_noted() == 12
        assert rows(location, "SELECT run_requests FROM hosts ORDER BY name") == [(5,), (3,)]
        assert of_run(location)[1] == 2
        await store.commit([a_result((await claims_of(store))[C])], NOW)
        assert rows(location, "SELECT run_requests FROM hosts ORDER BY name") == [(5,), (4,)]
        await store.end_run(EndReason.MAX_REQUESTS, {}, NOW)
        await store.begin_run(options, NOW)
        assert await store.requests_noted() == 0
        await store.note_requests(1, [(host_a, 1)])
        assert rows(location, "SELECT run_requests, run_requests_noted FROM hosts ORDER BY name") == [(0, 1), (4, 3)]


def a_place(host_id: int, name: str, looks: float = 1.0, **fields: Any) -> Place:
    return Place(host_id=host_id, name=name, looks=looks, scores=(-0.5, looks, -1e-300), **fields)


async def test_places_are_stored_with_the_visits_that_tell_of_them(location: Location) -> None:
    async with a_store(location, A, C) as store:
        claims = await claims_of(store)
        ids = [claims[A].host_id, claims[C].host_id]
        first = [a_result(claims[A], place=a_place(ids[0], "/a/", looks)) for looks in (1.0, 2.0)]
        await store.commit([*first, a_result(claims[C], place=a_place(ids[1], "/a/", 7.0))], NOW)
        assert await store.places_of(ids[:1]) == [a_place(ids[0], "/a/", 2.0)]
        await store.end_run(EndReason.COMPLETE, {}, NOW)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        assert await store.places_of(ids[:1]) == [a_place(ids[0], "/a/", 2.0, is_of_run=False)]
        await store.redesigned(ids[0], NOW + 3, [a_place(ids[0], "/b/")])
        assert await store.places_of(ids) == [a_place(ids[0], "/b/"), a_place(ids[1], "/a/", 7.0, is_of_run=False)]
    assert rows(location, "SELECT redesigned_at FROM hosts ORDER BY name") == [(NOW + 3,), (None,)]


async def test_all_of_a_host_can_be_made_due(location: Location) -> None:
    """But for what was answered since, what is due anyhow, and what has a time of its own."""
    urls = [f"http://a.test/{number}" for number in range(8)]
    async with a_store(location, *urls, C) as store:
        claims = await claims_of(store)
        later = Revisit(at=NOW + 90, rate=ChangeRate(changes=1, watched_s=5))
        results = [a_result(claim, revisit=later) for claim in claims.values()]
        newer = Response(url=urls[0], status_code=200, started_at=NOW + 20)
        results[0] = a_result(claims[urls[0]], revisit=later, attempt=newer)
        results[1] = a_result(claims[urls[1]], revisit=replace(later, at=NOW + 5))
        results[2] = a_failure(claims[urls[2]], verdict=Verdict(status=UrlStatus.PENDING), next_fetch_at=NOW + 90)
        await store.commit(results, NOW)
        host_id, began = claims[urls[0]].host_id, NOW + 10
        assert [await store.make_due(host_id, began, 3) for _ in range(3)] == [3, 2, 0]
        due = await store.stale_urls([host_id], 99, Horizon(started_at=began, fetched_before=0.0, revisit_before=began))
        assert sorted(claim.url for claim in due) == [urls[1], *urls[3:]]


async def test_due_urls_come_longest_due_first_and_at_most_so_many_of_a_host(location: Location) -> None:
    async with a_store(location) as store:
        await store.add([a_target(f"http://a.test/{number}") for number in range(9)], NOW + 1)
        await store.add([a_target(C)], NOW)
        await store.add([a_target("http://later.test/")], NOW + 99)
        hosts = (await store.due_hosts(NOW + 1, None, 9)).rows
        assert [host.name for host in hosts] == ["c.test", "a.test"]
        claims = await store.due_urls([host.host_id for host in hosts], 3, NOW + 1)
        assert [claim.url for claim in claims] == [C, *(f"http://a.test/{number}" for number in range(3))]


# --- odd values -------------------------------------------------------------------------------------------------------

ODD = "a\0b\ud800c\x1b\U0001f600"
CLEAN = "a\ufffdb\ufffdc\x1b\U0001f600"


async def test_text_that_no_store_can_hold_is_replaced_and_breaks_nothing(location: Location) -> None:
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        answer = Response(url=A, status_code=200, content_type=ODD, etag=ODD, last_modified=ODD)
        page = Page(
            url=A,
            title="x\ud800",
            text="y\ud800" + "z" * 100,
            headings=((1, ODD),),
            open_graph={ODD: ODD},
            json_ld=(ODD,),
            links=(Link(url=C, anchor=ODD, rel=ODD),),
            content_hash=b"h",
        )
        visit = a_result(claims[A], attempt=answer, page=page, link_targets=(a_target(C),))
        failed = a_failure(claims[B], verdict=Verdict(status=UrlStatus.FAILED, reason=Reason("robots", ODD)))
        failed = replace(failed, attempt=replace(failed.attempt, message=ODD))  # type: ignore[type-var]
        await store.commit([visit, failed], NOW)
        assert rows(location, "SELECT content_type FROM fetches WHERE url_id = ?", claims[A].url_id) == [(CLEAN,)]
        assert rows(location, "SELECT message FROM fetches WHERE url_id = ?", claims[B].url_id) == [(CLEAN,)]
        assert row_of(location, A, "etag, last_modified") == (CLEAN, CLEAN)
        assert row_of(location, B, "reason, cause, detail") == (f"robots: {CLEAN}", "robots", CLEAN)
        assert rows(location, "SELECT title, substr(text, 1, 3) FROM pages") == [("x\ufffd", "y\ufffdz")]
        [(headings, json_ld, open_graph)] = rows(location, "SELECT headings, json_ld, open_graph FROM pages")
        assert [json.loads(text) for text in (headings, json_ld, open_graph)] == [[[1, CLEAN]], [CLEAN], {CLEAN: CLEAN}]
        assert rows(location, "SELECT anchor, rel FROM links") == [(CLEAN, CLEAN)]


async def test_a_nul_alone_is_replaced_too(location: Location) -> None:
    """Unlike a lone surrogate it is stored without an error, and cuts the text for most who read it."""
    async with a_store(location, A, B) as store:
        claims = await claims_of(store)
        answer = Response(url=A, status_code=200, content_type="a\0b", etag="c\0d", last_modified="e\0f")
        failed = a_failure(claims[B], verdict=Verdict(status=UrlStatus.FAILED, reason=Reason("robots", "g\0h")))
        await store.commit([a_result(claims[A], attempt=answer), failed], NOW)
        assert rows(location, "SELECT content_type FROM fetches WHERE status_code = 200") == [("a\ufffdb",)]
        assert row_of(location, A, "etag, last_modified") == ("c\ufffdd", "e\ufffdf")
        assert row_of(location, B, "reason, detail") == ("robots: g\ufffdh", "g\ufffdh")


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1, 10**30])
async def test_a_length_beyond_64_bits_breaks_nothing(location: Location, size: int) -> None:
    async with a_store(location, A) as store:
        answer = Response(url=A, status_code=200, read=False, size=size)
        await store.commit([a_result((await claims_of(store))[A], page=False, attempt=answer)], NOW)
        assert rows(location, "SELECT bytes FROM fetches") == [(2**63 - 1,)]


# --- any batches at all -----------------------------------------------------------------------------------------------


@pytest.mark.thorough
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],  # each example has its place
)
@given(batches=some_batches())
async def test_the_counts_agree_after_any_results(new_location: Callable[[], Location], batches: Batches) -> None:
    location = new_location()
    async with a_store(location) as store:
        await store_batches(store, location, batches)


async def test_whether_all_is_decided_is_committed_before_a_seed_that_makes_it_undecided(location: Location) -> None:
    """Within a transaction of the crawl that runs it would be lost with it."""
    async with a_store(location, A) as store:
        under_way = asyncio.create_task(store.add([a_target(B), a_target(C)], NOW))
        await asyncio.sleep(0)  # it has begun its transaction
        await store.set_decided(False)
        [(options,)] = rows(location, "SELECT options FROM runs")
        assert json.loads(options)["decided"] is False
        await under_way
