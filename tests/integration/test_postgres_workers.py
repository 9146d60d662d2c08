"""Several workers on one PostgreSQL database: who may enter, who owns what, what they tell, and how a run ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crawler.clock import Clock
from crawler.errors import DatabaseBusyError, LeaseLostError, UsageError
from crawler.records import EndReason, SeedMark, Target
from crawler.storage.interface import News
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.notes import leave_note
from crawler.storage.postgres.store import PostgresStore, open_worker
from crawler.storage.postgres.transactions import Execute
from tests.postgres.crawls import PARTS
from tests.postgres.sql import execute, rows

ROOT = Path(__file__).parents[2]
OPTIONS: dict[str, Any] = {"scope": {"max_pages": None}, "run": {}}
LEASE_S = 2.0  # a look at the others each half second


async def _nothing_left() -> bool:
    return True


async def _something_left() -> bool:
    return False


async def _until(is_so: Callable[[], Awaitable[bool] | bool]) -> None:
    """The time limit of the test is the only one."""
    while True:
        found = is_so()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _first(url: str, options: dict[str, Any] = OPTIONS, lease_s: float = LEASE_S) -> AsyncIterator[PostgresStore]:
    """The worker that begins a run, and lets others in."""
    async with open_worker(url, alone=True, lease_s=lease_s, name="first") as store:
        await store.begin_run(options, _now(store))
        await store.share.opened()
        yield store


@asynccontextmanager
async def _joined(url: str, name: str = "other", lease_s: float = LEASE_S) -> AsyncIterator[PostgresStore]:
    """One that joins it."""
    async with open_worker(url, alone=False, lease_s=lease_s, name=name) as store:
        assert await store.join_run() is not None
        yield store


def _now(store: PostgresStore) -> float:
    return store.share.clock(Clock()).wall()


def _has(store: PostgresStore, number: int) -> Callable[[], bool]:
    return lambda: len(store.ownership.owned()) == number


def _target(url: str) -> Target:
    return Target(url=url, host=url.split("/")[2], depth=0, seed=SeedMark.YES)


async def _over(store: PostgresStore) -> bool:
    """As the crawl asks: it takes the news up before it asks again."""
    await store.share.news()
    return await store.share.is_over(_nothing_left)


# --- who may enter ----------------------------------------------------------------------------------------------------


async def test_who_begins_a_run_is_alone_and_owns_all_until_it_lets_others_in(crawl_database: str) -> None:
    async with open_worker(crawl_database, alone=True, name="first") as first:
        assert first.ownership.owned() == list(range(PARTS))
        assert first.share.may_send()
        for alone in (True, False):
            with pytest.raises(DatabaseBusyError, match=r"another run \(worker first\)"):
                async with open_worker(crawl_database, alone=alone):
                    pass
        await first.begin_run(OPTIONS, _now(first))
        await first.share.opened()
        async with open_worker(crawl_database, alone=False) as second:
            assert await second.join_run() == OPTIONS
            assert second.run_id == first.run_id
        with pytest.raises(DatabaseBusyError):
            async with open_worker(crawl_database, alone=True):
                pass
    assert rows(crawl_database, "SELECT count(*) FROM workers") == [(0,)]
    assert rows(crawl_database, "SELECT count(*) FROM parts WHERE owner IS NULL AND clean = 0") == [(PARTS,)], (
        "no end_run"
    )


async def test_who_comes_late_begins_no_run(crawl_database: str) -> None:
    async with open_worker(crawl_database, alone=False) as early:
        assert await early.join_run() is None
    async with _first(crawl_database) as first:
        await first.end_run(EndReason.COMPLETE, {}, _now(first))
    async with open_worker(crawl_database, alone=False) as late:
        assert await late.join_run() is None
    assert rows(crawl_database, "SELECT id, end_reason FROM runs") == [(1, "complete")]


async def test_a_run_with_a_limit_on_its_requests_is_one_worker_s(crawl_database: str) -> None:
    options = {"scope": {"max_pages": None}, "run": {"max_requests": 5}}
    async with _first(crawl_database, options), open_worker(crawl_database, alone=False) as other:
        with pytest.raises(UsageError, match="--max-requests"):
            await other.join_run()


async def test_a_killed_run_is_resumed_at_once_on_the_same_machine_whatever_its_leases(crawl_database: str) -> None:
    """Its pages count, and its hosts may have been asked just before."""
    code = (
        "import asyncio, sys; from tests.integration.test_postgres_workers import _first\n"
        "async def main():\n"
        "    async with _first(sys.argv[1], lease_s=3600): print('begun', flush=True); await asyncio.sleep(100)\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", code, crawl_database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(DatabaseBusyError, match="worker first"):
            async with open_worker(crawl_database, alone=True, lease_s=3600):
                pass
        execute(crawl_database, "UPDATE parts SET run_id = 1, run_pages = 2 WHERE part < 3")
        process.kill()
    async with open_worker(crawl_database, alone=True, lease_s=3600) as store:
        assert store.ownership.owned() == list(range(PARTS))
        assert store.share.taken_over_at(5) == pytest.approx(_now(store), abs=60)
        assert await store.begin_run(OPTIONS, _now(store)) == (1, 6)
    async with open_worker(crawl_database, alone=True, lease_s=3600) as store:
        assert await store.begin_run({"scope": {"max_pages": 3}, "run": {}}, _now(store)) == (2, 0)
    ended = rows(crawl_database, "SELECT id, end_reason, pages FROM runs ORDER BY id")
    assert ended == [(1, "killed", 6), (2, None, 0)]


@pytest.mark.thorough
async def test_what_was_given_back_is_another_s_at_once(crawl_database: str) -> None:
    async with _first(crawl_database, lease_s=3600) as first:
        await first.end_run(EndReason.INTERRUPTED, {}, _now(first))
    async with open_worker(crawl_database, alone=True, lease_s=3600) as store:
        assert store.ownership.owned() == list(range(PARTS))
        assert store.share.taken_over_at(5) is None


# --- who owns what ----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
async def test_each_gets_an_equal_part_and_what_is_held_stays_until_it_is_not(crawl_database: str) -> None:
    held: set[int] = set(range(PARTS))  # a host in each partition
    async with _first(crawl_database) as first:
        first.share.attach(lambda: held)
        async with _joined(crawl_database) as second:
            await _until(lambda: len(first.ownership.active()) == PARTS // 2)
            await _until(lambda: first.share.workers == second.share.workers == 2)
            assert first.ownership.owned() == list(range(PARTS)), "given away while something of them was under way"
            assert second.ownership.owned() == []
            leaving = first.ownership.leaving()
            assert not any(map(first.share.keeps, leaving))
            held -= leaving
            await _until(_has(second, PARTS // 2))
            assert set(second.ownership.owned()) == leaving
            assert (await _news(second)).gained
            assert all(second.share.taken_over_at(host) is None for host in leaving)
            await second.end_run(EndReason.TERMINATED, {}, _now(second))
        await _until(_has(first, PARTS))


@pytest.mark.thorough
async def test_what_is_given_away_waits_for_the_commit_under_way(crawl_database: str) -> None:
    """It fences what it writes to, at its beginning."""
    held: set[int] = set(range(PARTS))
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        first.share.attach(lambda: held)
        await _until(lambda: len(first.ownership.active()) == PARTS // 2)
        async with first.writing:
            owned = first.ownership.owned()
            held.clear()
            await asyncio.sleep(LEASE_S / 3)
            assert first.ownership.owned() == owned
            assert len(second.ownership.owned()) == PARTS - len(owned)
        await _until(_has(second, PARTS // 2))


@pytest.mark.thorough
async def test_what_a_silent_worker_owned_is_taken_over_and_it_ends(crawl_database: str) -> None:
    """It was frozen, or its connection lost; so it is by now, for all that it can do."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(_first(crawl_database))
        second = await stack.enter_async_context(_joined(crawl_database))
        await _until(_has(second, PARTS // 2))
        keeper = second.share._keeper
        async with second.writing:  # it cannot renew: as a commit that hangs
            await _until(_has(first, PARTS))
            assert not second.share.may_send()
        host = second.ownership.owned()[0]
        assert first.share.taken_over_at(host) == pytest.approx(_now(first), abs=60)
        await _until(lambda: second.share.failure is not None)
        for asked in (second.share.news, lambda: second.share.is_over(_nothing_left)):
            with pytest.raises(LeaseLostError):
                await asked()
        assert keeper is not None


# --- what they tell each other ----------------------------------------------------------------------------------------


async def _news(store: PostgresStore) -> News:
    while True:
        if (news := await store.share.news()) is not None:
            return news
        await asyncio.sleep(0.05)


@pytest.mark.thorough
async def test_roots_and_the_end_are_told_once(crawl_database: str) -> None:
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        await _until(lambda: first.share.workers == second.share.workers == 2)
        await _until(_has(second, PARTS // 2))
        while await second.share.news() is not None:
            await asyncio.sleep(0.05)
        first.share.tell_root("https://a.example/", SeedMark.BARE)
        await first.share.publish()
        news = await _news(second)
        assert news.roots == (("https://a.example/", SeedMark.BARE),)
        assert await second.share.news() is None
        await second.share.tell_end(EndReason.MAX_RUNTIME)
        await _until(lambda: _ends(first, EndReason.MAX_RUNTIME))
        await first.share.tell_end(EndReason.STOPPED)
        assert rows(crawl_database, "SELECT stop FROM runs") == [("max_runtime",)], "the first one's word stands"


async def _ends(store: PostgresStore, reason: EndReason) -> bool:
    news = await store.share.news()
    return news is not None and news.end is reason


@pytest.mark.thorough
async def test_what_one_finds_for_another_is_heard_of(crawl_database: str) -> None:
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        await _until(_has(second, PARTS // 2))
        host = next(name for name in _names() if second.share.keeps(id_of(name)))
        await _news(second)
        await first.add([_target(f"https://{host}/")], _now(first))
        while not (news := await _news(second)).hosts:
            pass
        assert [record.name for record in news.hosts] == [host]
        assert rows(crawl_database, "SELECT pending FROM hosts") == [(1,)]


def _names() -> Collection[str]:
    return [f"h{number}.example" for number in range(100)]


async def test_a_note_is_for_one_worker_and_stays_until_it_is_taken_up(crawl_database: str) -> None:
    async with _first(crawl_database, lease_s=3600) as first, _joined(crawl_database, lease_s=3600) as second:
        assert await leave_note(crawl_database, ["https://a.example/x", "b.example"]) == 2
        with pytest.raises(UsageError, match="never stored"):
            await leave_note(crawl_database, ["https://user:word@a.example/", "c.example"])
        notes = [note async for note in first.share.inbox().notes()]
        assert [[(seed.url, seed.bare) for seed in note.seeds] for note in notes] == [
            [("https://a.example/x", False), ("https://b.example/", True)]
        ]
        assert [note async for note in second.share.inbox().notes()] == []
        await first.share.inbox().remove(notes[0])
        assert rows(crawl_database, "SELECT count(*) FROM notes") == [(0,)]


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
async def test_a_run_is_over_once_nobody_has_anything_left(crawl_database: str) -> None:
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        await _until(_has(second, PARTS // 2))
        assert not await _over(first), "the other may have something"
        assert not await second.share.is_over(_something_left)
        assert not await _over(first)
        await asyncio.gather(_until(lambda: _over(first)), _until(lambda: _over(second)))


@pytest.mark.thorough
async def test_it_stays_over_for_who_had_nothing_left_then_when_others_have_gone(crawl_database: str) -> None:
    """Whatever became of what they owned."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(_first(crawl_database))
        async with _joined(crawl_database) as second:
            await _until(_has(second, PARTS // 2))
            await asyncio.gather(_until(lambda: _over(first)), _until(lambda: _over(second)))
            await stack.aclose()
            assert rows(crawl_database, "SELECT count(*) FROM parts WHERE owner IS NULL") == [(PARTS // 2,)]
            assert await _over(second)
            assert not await second.share.is_over(_something_left)
            await second.share.news()
            await _until(_has(second, PARTS))
            await _until(lambda: _over(second))


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["arrivals", "note", "root", "partitions"])
async def test_it_is_not_over_while_something_is_on_its_way(crawl_database: str, what: str) -> None:
    """Whoever has nothing left may get work by it."""
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        await _until(_has(second, PARTS // 2))
        is_idle = "SELECT 1 FROM workers WHERE name = 'first' AND idle_at IS NOT NULL"
        while not rows(crawl_database, is_idle):
            assert not await _over(first)
        await second.share.news()
        if what == "arrivals":
            execute(crawl_database, "INSERT INTO arrivals (part, host_id, pending, excluded) VALUES (-1, 1, 1, 0)")
        elif what == "note":
            await leave_note(crawl_database, ["https://a.example/"])
        elif what == "root":
            second.share.tell_root("https://a.example/", SeedMark.YES)
            await second.share.publish()
        else:
            execute(crawl_database, "UPDATE parts SET lease_until = '-infinity', owner = NULL WHERE part = 0")
        assert not await second.share.is_over(_nothing_left)


@pytest.mark.thorough
async def test_the_last_one_ends_the_run_with_what_all_have_counted(crawl_database: str) -> None:
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        execute(crawl_database, "UPDATE parts SET run_id = 1, run_pages = 4 WHERE part = 0")
        counted = {"requests": 5, "pages": 3, "connections_opened": 2, "elapsed_s": 4.0, "by_status": {"200": 3}}
        assert await second.end_run(EndReason.TERMINATED, counted | {"pending": 7}, _now(second)) is None
        counted = {
            "requests": 1,
            "pages": 1,
            "connections_opened": 1,
            "elapsed_s": 2.0,
            "by_status": {"200": 1, "404": 2},
        }
        summary = await first.end_run(EndReason.COMPLETE, counted | {"pending": 0}, _now(first))
    assert summary is not None
    assert (summary["requests"], summary["pages"], summary["elapsed_s"], summary["pending"]) == (6, 4, 4.0, 0)
    assert (summary["by_status"], summary["connections_per_request"]) == ({"200": 4, "404": 2}, 0.5)
    ((reason, pages, text),) = rows(crawl_database, "SELECT end_reason, pages, summary FROM runs")
    assert (reason, pages, json.loads(text)) == ("complete", 4, summary)


@pytest.mark.thorough
@pytest.mark.parametrize("reason", [EndReason.FAILED, EndReason.TERMINATED, EndReason.COMPLETE])
async def test_only_an_end_of_all_by_the_last_that_has_joined_ends_the_run(
    crawl_database: str, reason: EndReason
) -> None:
    """Where its own line was lost, or it is started again, its successor goes on."""
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        await first.end_run(EndReason.TERMINATED, {}, _now(first))
        await second.end_run(reason, {}, _now(second))
    is_over = reason is EndReason.COMPLETE
    assert rows(crawl_database, "SELECT end_reason, is_open FROM runs") == [(reason if is_over else None, not is_over)]


@pytest.mark.thorough
async def test_a_worker_that_ends_with_the_run_waits_for_what_the_last_one_records(crawl_database: str) -> None:
    async with _first(crawl_database) as first, _joined(crawl_database) as second:
        ended = await asyncio.gather(
            first.end_run(EndReason.COMPLETE, {"requests": 1}, _now(first)),
            second.end_run(EndReason.COMPLETE, {"requests": 2}, _now(second)),
        )
    assert [one and one["requests"] for one in ended] == [3, 3]


@pytest.mark.thorough
async def test_what_a_dead_worker_was_granted_is_granted_again(crawl_database: str) -> None:
    async with _first(crawl_database, {"scope": {"max_pages": 10}, "run": {}}) as first, AsyncExitStack() as stack:
        second = await stack.enter_async_context(_joined(crawl_database))
        await _until(_has(second, PARTS // 2))
        assert (await first.share.draw(6), await second.share.draw(6), await first.share.draw(6)) == (6, 4, 0)
        await first.share.give_back(1)
        assert await second.share.draw(6) == 1
        second.share._keeper.close()  # as if it were dead
        await _until(_has(first, PARTS))
        await _until(lambda: _drawn(first, 5))
        assert not await first.share.are_pages_spent()
        execute(crawl_database, "UPDATE parts SET run_id = 1, run_pages = 5 WHERE part < 2")
        assert await first.share.are_pages_spent()
        with pytest.raises(LeaseLostError):
            await second.share.draw(1)
        with suppress(LeaseLostError):
            await second.share.news()


async def _drawn(store: PostgresStore, pages: int) -> bool:
    return await store.share.draw(pages) == pages


@pytest.mark.thorough
async def test_no_worker_finds_it_over_while_any_has_a_host_due(crawl_database: str) -> None:
    """Each host leads to the next one, whoever owns that: two of three have nothing left at any time."""
    done: list[str] = []
    async with _first(crawl_database) as first:
        await first.add([_target("https://a.12.example/"), _target("https://b.8.example/")], _now(first))
        async with _joined(crawl_database, "b") as second, _joined(crawl_database, "c") as third:
            workers = (first, second, third)
            await _until(lambda: sorted(len(one.ownership.owned()) for one in workers) == [5, 5, 6])
            await asyncio.gather(*(_work(store, done) for store in workers))
            assert rows(crawl_database, _LEFT) == [(0, 0)]
    assert sorted(done) == sorted([f"a.{n}.example" for n in range(13)] + [f"b.{n}.example" for n in range(9)])


_DUE = "SELECT part, name FROM hosts WHERE part = ANY($1::int[]) AND next_due_at IS NOT NULL ORDER BY part, id LIMIT 3"
_LEFT = "SELECT (SELECT count(*) FROM hosts WHERE next_due_at IS NOT NULL), (SELECT count(*) FROM arrivals)"
_DONE = "UPDATE hosts SET next_due_at = NULL WHERE part = $1 AND name = $2 RETURNING id"


async def _finish(part: int, name: str, execute: Execute) -> None:
    await execute(_DONE, part, name)


async def _work(store: PostgresStore, done: list[str]) -> None:
    """As a crawl does: what is new is stored before what it was found on is done with."""

    async def has_nothing_left() -> bool:
        return not await store._read(_DUE, store.ownership.active())

    while True:
        await store.share.news()
        for part, name in await store._read(_DUE, store.ownership.active()):
            chain, left, _rest = name.split(".")
            await asyncio.sleep(0.2)
            if int(left) > 0:
                await store.add([_target(f"https://{chain}.{int(left) - 1}.example/")], _now(store))
            await store._transact_fenced({part}, partial(_finish, part, name))
            done.append(name)
        if await has_nothing_left() and await store.share.is_over(has_nothing_left):
            assert await store._read(_LEFT) == [(0, 0)]
            return
