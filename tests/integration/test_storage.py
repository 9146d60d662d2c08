"""What a transaction stores, read back from the file by another connection."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.bodies import body_hash, decompress
from crawler.errors import DatabaseFailedError
from crawler.records import (
    Claim,
    Failure,
    FailureKind,
    Link,
    Page,
    Response,
    Result,
    RobotsCopy,
    SeedMark,
    UrlStatus,
    Verdict,
)
from crawler.storage.known import KnownUrls
from crawler.storage.sqlite.database import open_reader, open_writer
from crawler.storage.sqlite.store import FIRST_DUE, FIRST_PLACE, Store, open_store
from crawler.storage.sqlite.transaction import Transaction
from crawler.urls import origin_of
from tests.integration.visits import (
    NOW,
    a_body,
    a_failure,
    a_store,
    a_target,
    a_visit,
    by_name,
    claims_of,
    robots_claim,
    row_of,
    rows,
)

A, B, C = "http://a.test/", "http://a.test/b", "http://c.test/"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crawl.db"


# --- a visit ----------------------------------------------------------------------------------------------------------


async def test_a_page_its_links_the_new_urls_and_the_state_are_there_together(path: Path) -> None:
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        hosts = by_name(await store.commit([a_visit(claim, links=[B, C], body=a_body(b"<html>"))], NOW))
        assert rows(path, "SELECT url, status, depth FROM urls ORDER BY id") == [
            (A, "fetched", 0),
            (B, "pending", 1),
            (C, "pending", 1),
        ]
        assert rows(
            path,
            "SELECT p.title, t.url, l.anchor FROM pages p JOIN links l ON l.page_id = p.id"
            " JOIN urls t ON t.id = l.target_id JOIN urls u ON u.page_id = p.id WHERE u.url = ? ORDER BY t.id",
            A,
        ) == [("T", B, f"to {B}"), ("T", C, f"to {C}")]
        assert rows(path, "SELECT url_id, run_id, status_code, content_type, bytes FROM fetches") == [
            (claim.url_id, store.run_id, 200, "text/html", 1)
        ]
        [(size, data)] = rows(path, "SELECT size, zstd FROM bodies JOIN pages ON body_hash = hash")
        assert (size, decompress(data)) == (6, b"<html>")
        assert {name: host.next_due_at for name, host in hosts.items()} == {"a.test": NOW, "c.test": NOW}


async def test_nothing_is_seen_of_a_commit_that_fails(path: Path) -> None:
    """The disk is full, as far as SQLite can tell; afterwards the same visits are stored as if nothing had happened."""
    async with open_writer(path) as writer, open_reader(path) as reader:
        store = Store(path, writer, reader)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.add([a_target(A)], NOW)
        claim = (await claims_of(store))[A]
        before = rows(path, "SELECT * FROM urls") + rows(path, "SELECT * FROM hosts") + rows(path, "SELECT * FROM runs")
        huge = a_visit(claim, links=[B, C], page=Page(url=A, text="x" * 1_000_000, content_hash=b"h"))
        [(pages,)] = await writer.execute_fetchall("PRAGMA page_count")
        await writer.execute(f"PRAGMA max_page_count = {pages + 20}")
        with pytest.raises(DatabaseFailedError, match="disk is full"):
            await store.commit([huge], NOW)
        assert not writer.in_transaction
        after = rows(path, "SELECT * FROM urls") + rows(path, "SELECT * FROM hosts") + rows(path, "SELECT * FROM runs")
        assert after == before
        assert rows(path, "SELECT count(*) FROM pages") == [(0,)]
        await writer.execute("PRAGMA max_page_count = 100000")
        await store.commit([a_visit(claim, links=[C, B])], NOW)
        found = rows(path, "SELECT u.url, l.anchor FROM links l JOIN urls u ON u.id = l.target_id ORDER BY u.id")
        assert found == [(C, f"to {C}"), (B, f"to {B}")]


async def test_a_visit_decided_without_a_request_adds_no_fetch(path: Path) -> None:
    async with a_store(path, A) as store:
        verdict = Verdict(status=UrlStatus.EXCLUDED, reason="robots: line 2: Disallow: /")
        await store.commit([Result(claim=(await claims_of(store))[A], verdict=verdict)], NOW)
        assert row_of(path, A) == ("excluded", verdict.reason, None)
        assert rows(path, "SELECT count(*) FROM fetches") == [(0,)]
        assert rows(path, "SELECT requests, pages FROM runs") == [(0, 0)]


async def test_a_failure_is_stored_with_its_kind(path: Path) -> None:
    async with a_store(path, A) as store:
        await store.commit([a_failure((await claims_of(store))[A])], NOW)
        assert row_of(path, A) == ("failed", "timeout", None)
        assert rows(path, "SELECT failure, message, status_code FROM fetches") == [("timeout", "no answer", None)]


async def test_what_a_later_answer_does_not_say_is_kept(path: Path) -> None:
    """A 304, or a failed attempt, leaves the page and the validators of the last answer."""
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        answer = Response(url=A, status_code=200, etag='"1"', last_modified="today", started_at=NOW)
        await store.commit([a_visit(claim, attempt=answer)], NOW)
        page_id, *rest = row_of(path, A, "page_id, etag, last_modified, fetched_at")
        assert rest == ['"1"', "today", NOW]
        await store.commit([a_failure(claim)], NOW + 9)
        assert row_of(path, A, "page_id, etag, last_modified, fetched_at") == (page_id, '"1"', "today", NOW)


async def test_equal_bodies_are_kept_once(path: Path) -> None:
    async with a_store(path, A, B, C) as store:
        claims = await claims_of(store)
        same = [a_visit(claims[url], body=a_body(b"same" * 100)) for url in (A, B)]
        await store.commit(same, NOW)
        await store.commit([a_visit(claims[C], body=a_body(b"same" * 100))], NOW)
        assert rows(path, "SELECT hash, size FROM bodies") == [(body_hash(b"same" * 100), 400)]
        assert rows(path, "SELECT count(*) FROM pages WHERE body_hash IS NOT NULL") == [(3,)]


async def test_a_page_without_a_body_has_no_hash(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_visit(claims[A]), a_visit(claims[B], body=a_body(b""))], NOW)
        assert rows(path, "SELECT body_hash FROM pages ORDER BY id") == [(None,), (body_hash(b""),)]


async def test_a_link_that_a_page_repeats_is_stored_once(path: Path) -> None:
    async with a_store(path, A) as store:
        await store.commit([a_visit((await claims_of(store))[A], links=[B, C, B, A])], NOW)
        assert rows(path, "SELECT count(*), count(DISTINCT target_id) FROM links") == [(3, 3)]


async def test_a_page_that_cannot_be_stored_is_an_error_and_not_passed_over(path: Path) -> None:
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        with pytest.raises(DatabaseFailedError, match="NOT NULL"):
            await store.commit([a_visit(claim, attempt=None)], NOW)  # a page without a fetch
        assert row_of(path, A, "status") == ("pending",)


# --- URLs that are known ----------------------------------------------------------------------------------------------


async def test_a_url_found_again_is_stored_once(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_visit(claims[A], links=[C, B]), a_visit(claims[B], links=[C, A])], NOW)
        await store.add([a_target(C)], NOW)
        assert rows(path, "SELECT url FROM urls ORDER BY url") == [(A,), (B,), (C,)]


async def test_a_shorter_path_lowers_the_depth_and_a_longer_one_does_not(path: Path) -> None:
    async with a_store(path) as store:
        for depth, stored in ((5, 5), (3, 3), (4, 3), (0, 0)):
            await store.add([a_target(A, depth=depth)], NOW)
            assert row_of(path, A, "depth") == (stored,)


async def test_what_changes_for_another_reason_keeps_the_best_that_was_known(path: Path) -> None:
    async with a_store(path) as store:
        await store.add([a_target(A, depth=3, hops=1, reason="scope"), a_target(B, depth=3, hops=1)], NOW)
        await store.add([a_target(A, depth=5, hops=2), a_target(B, depth=5, hops=2, seed=SeedMark.YES)], NOW)
        assert row_of(path, A, "status, depth, hops, seed") == ("pending", 3, 1, 0)
        assert row_of(path, B, "status, depth, hops, seed") == ("pending", 3, 1, 2)
        await store.add([a_target(B, depth=2, hops=0)], NOW)
        assert row_of(path, B, "status, depth, hops, seed") == ("pending", 2, 0, 2)


async def test_in_one_batch_the_nearest_counts(path: Path) -> None:
    async with a_store(path) as store:
        await store.add([a_target(A, depth=5), a_target(A, depth=2), a_target(A, depth=4)], NOW)
        assert row_of(path, A, "depth") == (2,)


async def test_a_url_that_the_user_names_becomes_a_seed(path: Path) -> None:
    async with a_store(path, A) as store:
        await store.add([a_target(A, depth=0, seed=SeedMark.YES)], NOW)
        assert row_of(path, A, "seed") == (2,)
        await store.add([a_target(A, depth=0, seed=SeedMark.HEIR)], NOW)
        assert row_of(path, A, "seed") == (2,)
        assert await store.named_seeds() == [(A, SeedMark.YES)]
        assert await store.roots() == [A]


@pytest.mark.parametrize("reason", ["scope", "depth", "nofollow", "include", "hops", "length"])
async def test_what_was_excluded_is_lifted_when_it_is_found_admitted(path: Path, reason: str) -> None:
    async with a_store(path) as store:
        await store.add([a_target(A, depth=9, reason=reason)], NOW)
        assert row_of(path, A) == ("excluded", reason, None)
        hosts = await store.add([a_target(A, depth=9)], NOW + 5)
        assert row_of(path, A) == ("pending", None, NOW + 5)
        assert [host.next_due_at for host in hosts] == [NOW + 5]


async def test_what_is_pending_or_done_is_not_excluded_by_another_link(path: Path) -> None:
    async with a_store(path, A, B) as store:
        await store.commit([a_visit((await claims_of(store))[A])], NOW)
        await store.add([a_target(A, reason="nofollow"), a_target(B, reason="nofollow")], NOW)
        assert [row_of(path, url, "status") for url in (A, B)] == [("fetched",), ("pending",)]


async def test_what_an_option_excluded_in_this_run_may_still_be_lifted(path: Path) -> None:
    """The scope was narrower than the one that found the URL, and is widened by a seed's redirect."""
    async with a_store(path, A, C) as store:
        claims = await claims_of(store)
        excluded = Verdict(status=UrlStatus.EXCLUDED, reason="scope")
        await store.commit([Result(claim=claims[C], verdict=excluded)], NOW)
        await store.commit([a_visit(claims[A], links=[a_target(C, depth=0)])], NOW)
        assert row_of(path, C, "status") == ("pending",)


async def test_readmitted_urls_are_due_with_their_hosts(path: Path) -> None:
    async with a_store(path) as store:
        await store.add([a_target(A, reason="scope"), a_target(C, reason="robots: line 1: Disallow: /")], NOW)
        batch = await store.excluded(FIRST_PLACE, 10)
        assert [target.url for _place, target in batch] == [A]
        await store.readmit([url_id for (_host_id, _reason, url_id), _target in batch], NOW + 5)
        assert row_of(path, A) == ("pending", None, NOW + 5)
        assert set(await claims_of(store, NOW + 5)) == {A}
        assert (await store.counts())["pending"] == 1


async def test_every_excluded_url_is_decided_again_once_in_batches_of_any_size(path: Path) -> None:
    excluded = {
        f"http://{host}.test/{number}": reason
        for host in "abc"
        for number, reason in enumerate(("depth", "scope", "scope", "limit"))
    }
    async with a_store(path, "http://a.test/") as store:
        await store.add([a_target(url, reason=reason) for url, reason in excluded.items()], NOW)
        seen, place = [], FIRST_PLACE
        while batch := await store.excluded(place, 3):
            seen += [(target.url, target.reason) for _place, target in batch]
            place = batch[-1][0]
        assert sorted(seen) == sorted(excluded.items())


# --- robots.txt -------------------------------------------------------------------------------------------------------


def a_robots_visit(claim: Claim, body: bytes, **fields: Any) -> Result:
    usual = {"status_code": 200, "body": body, "fetched_at": NOW, "expires_at": NOW + 9}
    copy = RobotsCopy(origin="http://a.test", **(usual | fields))  # type: ignore[arg-type]
    return a_visit(robots_claim(claim), page=False, robots=copy)


async def forbid(store: Store, claim: Claim) -> None:
    reason = "robots: line 2: Disallow: /b"
    await store.commit([Result(claim=claim, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=reason))], NOW)


async def test_what_robots_txt_forbids_stays_excluded_until_its_rules_differ(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        await forbid(store, claims[B])
        await store.add([a_target(B, depth=0)], NOW)
        assert row_of(path, B, "status") == ("excluded",)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        assert row_of(path, B, "status") == ("excluded",)
        hosts = await store.commit([a_robots_visit(claims[A], b"Allow: /")], NOW + 5)
        assert row_of(path, B) == ("pending", None, NOW + 5)
        assert [host.name for host in hosts] == ["a.test"]


async def test_an_attempt_at_robots_txt_that_failed_lifts_nothing_and_keeps_the_rules(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        await forbid(store, claims[B])
        await store.commit([a_robots_visit(claims[A], b"", status_code=503, expires_at=0.0, failures=1)], NOW)
        assert row_of(path, B, "status") == ("excluded",)
        [copy] = await store.robots_of([claims[A].host_id])
        assert (copy.status_code, copy.body, copy.expires_at, copy.failures) == (503, b"Disallow: /b", 0.0, 1)
        await store.commit([a_robots_visit(claims[A], b"Disallow: /b")], NOW)
        assert row_of(path, B, "status") == ("excluded",)


async def test_robots_txt_has_a_row_and_fetches_but_is_counted_nowhere(path: Path) -> None:
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        again = Verdict(status=UrlStatus.PENDING, reason="timeout", attempts=1)
        await store.commit([a_failure(robots_claim(claim), verdict=again), a_robots_visit(claim, b"")], NOW)
        assert row_of(path, "http://a.test/robots.txt", "kind, status, next_fetch_at") == ("robots", "fetched", None)
        assert rows(path, "SELECT count(*) FROM fetches") == [(2,)]
        assert sum((await store.counts()).values()) == 1


async def test_an_origin_that_failed_fails_its_own_urls_and_no_other(path: Path) -> None:
    urls = [A, "http://a.test/x?y", "http://a.test:8080/", "https://a.test/", "http://a.test.example/", C]
    async with a_store(path, *urls) as store:
        claims = await claims_of(store)
        visit = a_failure(robots_claim(claims[A]), FailureKind.CONNECT, origin_failed=FailureKind.CONNECT)
        await store.commit([visit], NOW)
        states = {url: row_of(path, url) for url in urls}
        assert states[A] == states["http://a.test/x?y"] == ("failed", "connect", None)
        assert {states[url][0] for url in urls[2:]} == {"pending"}


async def test_an_origin_that_failed_fails_nothing_that_is_done_or_excluded(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        await store.commit([a_visit(claims[A])], NOW)
        await forbid(store, claims[B])
        await store.commit([a_failure(robots_claim(claims[A]), origin_failed=FailureKind.DNS)], NOW)
        assert [row_of(path, url, "status") for url in (A, B)] == [("fetched",), ("excluded",)]


# --- hosts and runs ---------------------------------------------------------------------------------------------------


async def test_a_host_is_due_with_its_first_url_but_not_before_its_back_off_ends(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        again = Verdict(status=UrlStatus.PENDING, reason="timeout", attempts=1)
        [host] = await store.commit([a_failure(claims[A], verdict=again, next_fetch_at=NOW + 60)], NOW)
        assert host.next_due_at == NOW
        [host] = await store.commit([a_visit(claims[B])], NOW)
        assert host.next_due_at == NOW + 60
        [host] = await store.commit(
            [a_failure(claims[A], verdict=again, next_fetch_at=NOW + 60, back_off_until=NOW + 90, host_failures=3)], NOW
        )
        assert (host.next_due_at, host.back_off_until, host.failures) == (NOW + 90, NOW + 90, 3)
        assert await store.due_hosts(NOW + 89, None, 9) == []
        assert await store.next_due_at(NOW) == NOW + 90
        assert await store.due_hosts(NOW + 90, None, 9) == [host]
        assert await store.barred_hosts(NOW, 9) == ["a.test"]


async def test_the_longest_back_off_counts_in_whichever_order_they_arrive(path: Path) -> None:
    async with a_store(path, A, B, C) as store:
        claims = await claims_of(store)
        waits = [a_failure(claims[A], back_off_until=NOW + 3600), a_failure(claims[B], back_off_until=NOW + 5)]
        await store.commit(waits, NOW)
        assert rows(path, "SELECT back_off_until FROM hosts WHERE name = 'a.test'") == [(NOW + 3600,)]
        await store.commit([a_failure(claims[B], back_off_until=NOW + 7)], NOW)
        assert rows(path, "SELECT back_off_until FROM hosts WHERE name = 'a.test'") == [(NOW + 3600,)]


async def test_a_commit_tells_how_many_urls_a_host_has_but_those_that_are_excluded(path: Path) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
        shut_out = a_target("http://a.test/shut-out", reason="trap: pages alike in /")
        [host] = await store.commit([a_visit(claims[A], links=["http://a.test/new", shut_out])], NOW)
        assert (host.name, host.urls) == ("a.test", 3)
        [due] = [one for one in await store.due_hosts(NOW, None, 9) if one.name == "a.test"]
        assert due.urls == 3
        assert await store.full_hosts(3) == ["a.test"]
        assert await store.full_hosts(4) == []


async def test_reasons_are_told_once_for_each_host_that_has_so_many_pages(path: Path) -> None:
    async with a_store(path, A, C) as store:
        targets = [
            a_target(f"http://{host}.test/{number}", reason=f"trap: pages alike in /{number % 2}/")
            for host in "ab"
            for number in range(5)
        ]
        await store.add([*targets, a_target("http://a.test/long", reason="trap: session ids")], NOW)
        await store.commit([a_visit(claim) for claim in (await claims_of(store)).values()], NOW)
        found = await store.reasons("trap: pages alike in ", 1)
        places = [f"trap: pages alike in /{number}/" for number in range(2)]
        fetched = sorted({row[0] for row in rows(path, "SELECT name FROM hosts WHERE fetched > 0")})
        assert sorted(found) == [(name, place) for name in ["a.test"] for place in places]
        assert fetched == ["a.test", "c.test"]
        assert await store.reasons("trap: pages alike in ", 2) == []


async def test_a_host_with_nothing_planned_is_not_returned(path: Path) -> None:
    async with a_store(path, A) as store:
        assert await store.commit([a_visit((await claims_of(store))[A])], NOW) == []
        assert rows(path, "SELECT next_due_at FROM hosts") == [(None,)]


async def test_pages_are_counted_for_the_run_and_for_the_host_in_this_run(path: Path) -> None:
    async with a_store(path, A, B, C) as store:
        claims = await claims_of(store)
        late = a_failure(claims[C], attempt=Failure(url=C, kind=FailureKind.TIMEOUT, sent=True))
        await store.commit([a_visit(claims[A]), a_visit(claims[B], page=False), late], NOW)
        assert rows(path, "SELECT pages, requests FROM runs") == [(1, 3)]
        await store.commit([a_failure(claims[C])], NOW)  # no connection: nothing was asked
        assert rows(path, "SELECT pages, requests FROM runs") == [(1, 3)]
        assert rows(path, "SELECT name, run_pages FROM hosts ORDER BY id") == [("a.test", 1), ("c.test", 0)]
        await store.commit([a_visit(claims[B])], NOW)
        assert rows(path, "SELECT run_pages FROM hosts WHERE name = 'a.test'") == [(2,)]
        await store.end_run("complete", {}, NOW)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.add([a_target(A, depth=-1)], NOW)
        await store.commit([a_visit(claims[B])], NOW)
        assert rows(path, "SELECT run_pages FROM hosts WHERE name = 'a.test'") == [(1,)]


async def test_due_hosts_are_read_on_from_a_place_each_once(path: Path) -> None:
    async with a_store(path, *(f"http://h{number}.test/" for number in range(10))) as store:
        seen, place = [], FIRST_DUE
        while hosts := await store.due_hosts(NOW, None, 3, place):
            seen += [host.name for host in hosts]
            place = (hosts[-1].next_due_at or 0.0, hosts[-1].host_id)
        assert sorted(seen) == sorted(f"h{number}.test" for number in range(10))


async def test_a_host_that_has_its_pages_is_due_again_only_in_the_next_run(path: Path) -> None:
    async with a_store(path, A, B) as store:
        await store.commit([a_visit((await claims_of(store))[A])], NOW)
        assert await store.due_hosts(NOW, 1, 9) == []
        assert len(await store.due_hosts(NOW, 2, 9)) == 1
        await store.end_run("max_pages", {}, NOW)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        [host] = await store.due_hosts(NOW, 1, 9)
        assert host.run_pages == 0


async def test_a_run_that_was_killed_goes_on_with_what_it_has_stored(path: Path) -> None:
    async with a_store(path, A) as store:
        run_id = store.run_id
        await store.commit([a_visit((await claims_of(store))[A])], NOW)
    async with open_store(path) as store:
        options = {"scope": {"max_pages": None}, "delay": 2}
        assert await store.begin_run(options, NOW) == (run_id, 1)
        assert await store.last_options() == options
        await store.end_run("complete", {"pages": 1}, NOW + 5)
        assert await store.begin_run(options, NOW) == (run_id + 1, 0)
        assert await store.begin_run({"scope": {"max_pages": 7}}, NOW + 9) == (run_id + 2, 0)
    assert rows(path, "SELECT ended_at, end_reason, summary FROM runs ORDER BY id") == [
        (NOW + 5, "complete", '{"pages":1}'),
        (NOW + 9, "killed", None),
        (None, None, None),
    ]


async def test_due_urls_come_longest_due_first_and_at_most_so_many_of_a_host(path: Path) -> None:
    async with a_store(path) as store:
        await store.add([a_target(f"http://a.test/{number}") for number in range(9)], NOW + 1)
        await store.add([a_target(C)], NOW)
        await store.add([a_target("http://later.test/")], NOW + 99)
        hosts = await store.due_hosts(NOW + 1, None, 9)
        assert [host.name for host in hosts] == ["c.test", "a.test"]
        claims = await store.due_urls([host.host_id for host in hosts], 3, NOW + 1)
        assert [claim.url for claim in claims] == [C, *(f"http://a.test/{number}" for number in range(3))]


# --- odd values -------------------------------------------------------------------------------------------------------

ODD = "a\0b\ud800c\x1b\U0001f600"
CLEAN = "a\ufffdb\ufffdc\x1b\U0001f600"


async def test_text_that_sqlite_cannot_hold_is_replaced_and_breaks_nothing(path: Path) -> None:
    async with a_store(path, A, B) as store:
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
        visit = a_visit(claims[A], attempt=answer, page=page, link_targets=(a_target(C),))
        failed = a_failure(claims[B], verdict=Verdict(status=UrlStatus.FAILED, reason=ODD))
        failed = replace(failed, attempt=replace(failed.attempt, message=ODD))  # type: ignore[type-var]
        await store.commit([visit, failed], NOW)
        assert rows(path, "SELECT content_type, message FROM fetches ORDER BY id") == [(CLEAN, None), (None, CLEAN)]
        assert row_of(path, A, "etag, last_modified") == (CLEAN, CLEAN)
        assert row_of(path, B, "reason") == (CLEAN,)
        assert rows(path, "SELECT title, substr(text, 1, 3) FROM pages") == [("x\ufffd", "y\ufffdz")]
        assert rows(path, "SELECT headings ->> '$[0][1]', json_ld ->> '$[0]', json_valid(open_graph) FROM pages") == [
            (CLEAN, CLEAN, 1)
        ]
        assert rows(path, "SELECT anchor, rel FROM links") == [(CLEAN, CLEAN)]


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1, 10**30])
async def test_a_length_beyond_sqlite_s_integers_breaks_nothing(path: Path, size: int) -> None:
    async with a_store(path, A) as store:
        answer = Response(url=A, status_code=200, read=False, size=size)
        await store.commit([a_visit((await claims_of(store))[A], page=False, attempt=answer)], NOW)
        assert rows(path, "SELECT bytes FROM fetches") == [(2**63 - 1,)]


async def test_a_batch_may_need_more_parameters_than_a_statement_takes(path: Path) -> None:
    urls = [f"http://a.test/{number}" for number in range(3000)]
    statements: list[str] = []
    async with a_store(path, *urls) as store:
        claims = await claims_of(store)
    async with open_writer(path) as writer:
        await writer.set_trace_callback(statements.append)
        visits = [a_visit(claims[url], body=a_body(url.encode()), links=[A]) for url in urls]
        await Transaction(writer, KnownUrls(), 1).run(visits, NOW)
    assert sum(statement.startswith("INSERT INTO pages") for statement in statements) == 2
    assert sum(statement.startswith("INSERT INTO fetches") for statement in statements) == 2
    assert rows(path, "SELECT count(*) FROM fetches") == [(3000,)]
    assert rows(path, "SELECT count(*) FROM pages JOIN bodies ON hash = body_hash") == [(3000,)]
    agreeing = "SELECT count(*) FROM urls JOIN pages ON pages.id = page_id AND url_id = urls.id"
    assert rows(path, agreeing) == [(3000,)]


@pytest.mark.parametrize("max_known", [0, 1, 3, 10, 50, 100_000])
async def test_a_batch_may_hold_more_urls_than_the_cache(path: Path, max_known: int) -> None:
    async with a_store(path, A, B) as store:
        claims = await claims_of(store)
    known = KnownUrls(max_known)
    async with open_writer(path) as writer:
        old = [f"http://a.test/old{number}" for number in range(20)]
        new = [f"http://c.test/new{number}" for number in range(20)]
        await Transaction(writer, known, store.run_id).run([a_visit(claims[A], links=old)], NOW)
        visits = [a_visit(claims[B], links=[*new, *old]), a_visit(robots_claim(claims[A]), page=False)]
        await Transaction(writer, known, store.run_id).run(visits, NOW)
    found = rows(path, "SELECT u.url, l.anchor FROM links l JOIN urls u ON u.id = target_id WHERE l.page_id = 2")
    assert sorted(found) == sorted((url, f"to {url}") for url in [*new, *old])


# --- any batches at all -----------------------------------------------------------------------------------------------

URLS = [f"http://{host}.test/{name}" for host in "abc" for name in ("", "1", "2")] + ["https://a.test/"]
_TARGETS = st.builds(
    a_target,
    st.sampled_from(URLS),
    depth=st.integers(0, 4),
    hops=st.integers(0, 2),
    seed=st.sampled_from([SeedMark.NO, SeedMark.NO, SeedMark.NO, SeedMark.HEIR, SeedMark.YES]),
    reason=st.sampled_from([None, None, "scope", "depth"]),
)
_VERDICTS = st.builds(
    Verdict,
    status=st.sampled_from(UrlStatus),
    reason=st.sampled_from(["timeout", "scope", "robots: line 1: Disallow: /"]),
)


@st.composite
def _changes(draw: st.DrawFn) -> dict[str, Any]:
    """What a visit brings, beside its claim."""
    verdict = draw(_VERDICTS)
    planned = verdict.status in (UrlStatus.PENDING, UrlStatus.FETCHED) and draw(st.booleans())
    return {
        "url": draw(st.sampled_from(URLS)),
        "robots": draw(st.sampled_from([None, None, None, b"", b"Disallow: /", b"Allow: /"])),
        "failures": draw(st.sampled_from([0, 0, 1])),
        "links": draw(st.lists(_TARGETS, max_size=4)),
        "page": draw(st.booleans()),
        "verdict": verdict,
        "next_fetch_at": NOW + draw(st.integers(0, 9)) if planned or verdict.status is UrlStatus.PENDING else None,
        "back_off_until": draw(st.sampled_from([None, None, NOW + 5, NOW + 50])),
        "host_failures": draw(st.sampled_from([None, 0, 3])),
        "origin_failed": draw(st.sampled_from([None, None, None, FailureKind.DNS])),
    }


def _visit(claims: dict[str, Claim], changes: dict[str, Any]) -> Result | None:
    fields = dict(changes)
    claim = claims.get(fields.pop("url"))
    body, failures = fields.pop("robots"), fields.pop("failures")
    if claim is None:
        return None
    if body is not None:
        origin = claim.url[: claim.url.index("/", 8)]
        robots = RobotsCopy(origin=origin, status_code=200, body=body, failures=failures)
        return a_visit(robots_claim(claim), page=False, robots=robots, origin_failed=fields["origin_failed"])
    if fields["verdict"].status is UrlStatus.EXCLUDED:
        return Result(claim=claim, verdict=fields["verdict"])
    return a_visit(claim, **(fields | {"origin_failed": None}))


async def _store_batches(path: Path, batches: list[list[dict[str, Any]]], max_known: int) -> dict[str, list[Any]]:
    async with open_writer(path) as writer, open_reader(path) as reader:
        store = Store(path, writer, reader)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        known = KnownUrls(max_known)
        await Transaction(writer, known, store.run_id).run((), NOW, [a_target(URLS[0]), a_target(URLS[3])])
        for batch in batches:
            claims = {
                row[1]: Claim(url_id=row[0], url=row[1], host_id=row[2], host=row[3], origin=origin_of(row[1]))
                for row in rows(path, _ALL)
            }
            # As in a crawl, a URL's visit is committed before it is lent again.
            one_each = {changes["url"]: _visit(claims, changes) for changes in batch}
            visits = [visit for visit in one_each.values() if visit is not None]
            await Transaction(writer, known, store.run_id).run(visits, NOW)
            _check(path)
        assert await store.counts() == {status.value: _count(path, status) for status in UrlStatus}
    return {table: rows(path, f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("urls", "hosts", "links", "pages")}


_ALL = "SELECT u.id, u.url, h.id, h.name FROM urls u JOIN hosts h ON h.id = host_id WHERE kind <> 'robots'"


def _count(path: Path, status: UrlStatus) -> int:
    [(count,)] = rows(path, "SELECT count(*) FROM urls WHERE status = ? AND kind <> 'robots'", status)
    return int(count)


def _check(path: Path) -> None:
    """The tallies, the due times and the run's counts agree with what they sum up."""
    for status in UrlStatus:
        wrong = rows(
            path,
            f"SELECT name, {status} FROM hosts WHERE {status} <> (SELECT count(*) FROM urls"
            f" WHERE host_id = hosts.id AND status = '{status}' AND kind <> 'robots')",
        )
        assert not wrong
    assert not rows(
        path,
        "SELECT name, next_due_at FROM hosts WHERE next_due_at IS NOT (SELECT max(min(next_fetch_at), back_off_until)"
        " FROM urls WHERE host_id = hosts.id AND next_fetch_at IS NOT NULL)",
    )
    assert rows(path, "SELECT pages, requests FROM runs") == rows(
        path, "SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM fetches)"
    )
    assert rows(path, "SELECT total(run_pages) FROM hosts") == rows(path, "SELECT total(1) FROM pages")
    assert not rows(path, "SELECT url FROM urls WHERE status = 'excluded' AND next_fetch_at IS NOT NULL")
    assert not rows(path, "SELECT url FROM urls WHERE status = 'pending' AND next_fetch_at IS NULL AND kind = 'page'")
    assert not rows(path, "PRAGMA foreign_key_check")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.lists(_changes(), max_size=6), max_size=5), max_known=st.sampled_from([0, 2, 5]))
async def test_the_counts_agree_after_any_visits_and_the_cache_changes_nothing(
    batches: list[list[dict[str, Any]]], max_known: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uncached = await _store_batches(Path(folder, "uncached.db"), batches, max_known)
        assert await _store_batches(Path(folder, "cached.db"), batches, 1000) == uncached


async def test_whether_all_is_decided_is_committed_before_a_seed_that_makes_it_undecided(path: Path) -> None:
    """Within a transaction of the crawl that runs it would be lost with it."""
    async with a_store(path, A) as store:
        under_way = asyncio.create_task(store.add([a_target(B), a_target(C)], NOW))
        await asyncio.sleep(0)  # it has begun its transaction
        await store.set_decided(False)
        assert rows(path, "SELECT options ->> '$.decided' FROM runs") == [(0,)]
        await under_way
