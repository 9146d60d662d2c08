"""Leases and grants against a real server: whatever is frozen, expires, is taken over or is taken for dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, ClassVar, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from crawler.clock import since_boot
from crawler.errors import LeaseLostError
from crawler.storage.postgres.budget import Budget
from crawler.storage.postgres.control import Control
from crawler.storage.postgres.leases import Leases
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Execute, Tally, fence, in_transaction
from crawler.storage.postgres.workers import Identity, Workers
from tests.postgres.crawls import PARTS

T = TypeVar("T")

MAX_PAGES = 40
LEASE_S = 3600.0  # in these tests it ends when they say so
RUN = 1
PLACES = st.integers(0, 2)
SOME = st.sampled_from((1, 2, 5))  # of what a worker owns, every so many'th
PAGES = st.integers(1, 15)


_GRANTED = """
SELECT (SELECT granted FROM runs), (SELECT coalesce(sum(run_pages), 0)::int FROM parts),
    (SELECT coalesce(sum(granted - (SELECT coalesce(sum(pages), 0) FROM tallies WHERE worker = w.id)), 0)::int
        FROM workers AS w)
"""


class Worker:
    """What one process knows, without the task that keeps it up."""

    def __init__(self, number: int, control: Control) -> None:
        self.ownership = Ownership(number, PARTS, since_boot, LEASE_S)
        self.workers = Workers(control, Identity(id=number, name=f"w{number}", program="test"), LEASE_S)
        self.leases = Leases(control, self.ownership, asyncio.Lock(), since_boot)
        self.budget = Budget(control, number)
        self.id = number
        self.drawn = 0  # and not stored


class LeasesAndGrants(RuleBasedStateMachine):
    """Many workers, of which each may be frozen for as long as the test likes between any two of its steps."""

    url: ClassVar[str]
    loop: ClassVar[asyncio.AbstractEventLoop]

    @initialize()
    def begin(self) -> None:
        self.control = Control(self.url, "test", LEASE_S)
        self.pool = self._run(self._connected())
        self.number = 0
        self.stored = 0
        self.owners: dict[int, int] = {}  # by what the workers were told
        self.live: dict[int, Worker] = {}  # by their places
        for sql in (
            *(f"DELETE FROM {table}" for table in ("workers", "tallies", "runs")),
            "UPDATE parts SET owner = NULL, lease_until = '-infinity', clean = 1, run_id = NULL, run_pages = 0",
        ):
            self._run(self.pool.execute(sql))
        begun = "INSERT INTO runs (id, started_at, options, max_pages) VALUES ($1, 0, '{}', $2)"
        self._run(self.pool.execute(begun, RUN, MAX_PAGES))

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.control.close()
            self._run(self.pool.close())

    def worker(self, place: int) -> Worker:
        """Who works there; where nobody does, somebody enters."""
        if place in self.live:
            return self.live[place]
        self.number += 1
        worker = Worker(self.number, self.control)
        self._run(worker.workers.enter(alone=False))
        self._run(self.pool.execute("UPDATE workers SET run_id = $1 WHERE id = $2", RUN, worker.id))
        self.live[place] = worker
        return worker

    @rule(place=PLACES, most=st.integers(1, PARTS))
    def claim(self, place: int, most: int) -> None:
        worker = self.worker(place)
        before = set(worker.ownership.owned())
        if self._lost(worker, worker.leases.claim(most)):
            return
        for part in set(worker.ownership.owned()) - before:
            self.owners[part] = worker.id

    @rule(place=PLACES, pages=PAGES, some=SOME, most=PAGES)
    def work(self, place: int, pages: int, some: int, most: int) -> None:
        """What most do most of the time."""
        self.claim(place, PARTS // 2)
        self.draw_pages(place, pages)
        self.commit(place, some, most)

    @rule(place=PLACES, other=PLACES)
    def take_over(self, place: int, other: int) -> None:
        """Another finds a worker dead that is only slow."""
        self.leases_end(place)
        self.claim(other, PARTS)
        self.reap(other)

    @rule(place=PLACES, other=PLACES)
    def come_back(self, place: int, other: int) -> None:
        """One that was taken for dead goes on with what it was granted before."""
        self.leave(other, is_clean=True)
        self.claim(place, PARTS)
        if place in self.live:
            self.commit(place, 1, MAX_PAGES)

    @rule(place=PLACES)
    def renew(self, place: int) -> None:
        """It finds out whether anything of it is another's."""
        worker = self.worker(place)
        is_lost = any(self.owners.get(part) != worker.id for part in worker.ownership.owned())
        assert self._lost(worker, worker.leases.renew()) == is_lost

    @rule(place=PLACES)
    def leases_end(self, place: int) -> None:
        """It was frozen for longer than a lease."""
        worker = self.worker(place)
        ended = "UPDATE parts SET lease_until = now() - interval '1 s' WHERE owner = $1"
        self._run(self.pool.execute(ended, worker.id))
        self._run(self.pool.execute("UPDATE workers SET alive_until = now() - interval '1 s' WHERE id = $1", worker.id))

    @rule(place=PLACES, some=SOME)
    def release(self, place: int, some: int) -> None:
        worker = self.worker(place)
        parts = _chosen(worker, some)
        self._run(worker.leases.release(parts))
        for part in parts:
            if self.owners.get(part) == worker.id:
                del self.owners[part]

    @rule(place=PLACES, pages=PAGES)
    def draw_pages(self, place: int, pages: int) -> None:
        worker = self.worker(place)
        if not self._lost(worker, self._drawn(worker, pages)):
            assert worker.drawn <= MAX_PAGES

    @rule(place=PLACES, most=PAGES)
    def give_back(self, place: int, most: int) -> None:
        worker = self.worker(place)
        pages = min(most, worker.drawn)
        if not self._lost(worker, worker.budget.give_back(RUN, pages)):
            worker.drawn -= pages

    @rule(place=PLACES, some=SOME, most=PAGES)
    def commit(self, place: int, some: int, most: int) -> None:
        """It counts if it is the owner of all that it writes to, whatever it believes, and whatever the time."""
        worker = self.worker(place)
        parts, pages = _chosen(worker, some), min(most, worker.drawn)
        if not parts:
            return
        is_owner = all(self.owners.get(part) == worker.id for part in parts)
        assert self._lost(worker, self._stored(worker, parts, pages)) != is_owner
        if is_owner:
            worker.drawn -= pages
            self.stored += pages

    @rule(place=PLACES)
    def reap(self, place: int) -> None:
        worker = self.worker(place)
        self._run(worker.workers.reap())

    @rule(place=PLACES, is_clean=st.booleans())
    def leave(self, place: int, is_clean: bool) -> None:
        worker = self.worker(place)
        owned = worker.ownership.owned()
        self._run(worker.leases.give_up(clean=is_clean))
        self._run(worker.workers.leave())
        for part in owned:
            if self.owners.get(part) == worker.id:
                del self.owners[part]
        del self.live[place]

    @invariant()
    def what_is_stored_was_granted(self) -> None:
        if hasattr(self, "pool"):
            granted, stored, outstanding = self._run(self._granted())
            assert stored == self.stored
            assert stored <= granted <= MAX_PAGES
            assert granted == stored + outstanding, "of what the gone were granted, nothing is lost, or granted twice"

    @invariant()
    def a_partition_has_one_owner(self) -> None:
        if hasattr(self, "pool"):
            assert self._run(self._owners()) == self.owners

    async def _granted(self) -> tuple[int, int, int]:
        """To all; stored; and granted to those that are there, and not stored by them."""
        return tuple(await self.pool.fetchrow(_GRANTED))

    async def _owners(self) -> dict[int, int]:
        return dict(await self.pool.fetch("SELECT part, owner FROM parts WHERE owner IS NOT NULL"))

    async def _connected(self) -> asyncpg.Pool[asyncpg.Record]:
        return await asyncpg.create_pool(self.url, min_size=1, max_size=2)

    async def _drawn(self, worker: Worker, pages: int) -> None:
        worker.drawn += await worker.budget.draw(RUN, pages)

    async def _stored(self, worker: Worker, parts: set[int], pages: int) -> None:
        tallies = dict.fromkeys(parts, Tally())
        tallies[min(parts)] = Tally(pages=pages, requests=pages)

        async def work(execute: Execute) -> None:
            await fence(tallies, worker.ownership, RUN, execute)

        await in_transaction(self.pool, work)

    def _lost(self, worker: Worker, doing: Coroutine[Any, Any, Any]) -> bool:
        """Whether it was told that it has lost what it owned; another begins anew in its place."""
        try:
            self._run(doing)
        except LeaseLostError:
            self.live = {place: one for place, one in self.live.items() if one is not worker}
            return True
        return False

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(doing)


def _chosen(worker: Worker, some: int) -> set[int]:
    return set(worker.ownership.owned()[::some])


@pytest.fixture
async def control(crawl_database: str) -> AsyncIterator[Control]:
    control = Control(crawl_database, "test", LEASE_S)
    begun = "INSERT INTO runs (id, started_at, options, max_pages) VALUES ($1, 0, '{}', $2)"
    await control.execute(begun, RUN, MAX_PAGES)
    yield control
    control.close()


async def _entered(number: int, control: Control) -> Worker:
    worker = Worker(number, control)
    await worker.workers.enter(alone=False)
    await control.execute("UPDATE workers SET run_id = $1 WHERE id = $2", RUN, number)
    return worker


async def _goes_silent(worker: Worker, control: Control) -> None:
    """For longer than a lease."""
    await control.execute("UPDATE parts SET lease_until = now() - interval '1 s' WHERE owner = $1", worker.id)
    await control.execute("UPDATE workers SET alive_until = now() - interval '1 s' WHERE id = $1", worker.id)


async def test_who_was_taken_for_dead_gets_nothing_any_more(control: Control) -> None:
    """What it was granted, others have been granted again; were it to own anything, it could store that."""
    slow, other = await _entered(1, control), await _entered(2, control)
    assert await slow.budget.draw(RUN, 5) == 5
    await _goes_silent(slow, control)
    await other.workers.reap()
    for asked in (
        slow.leases.claim(4),
        slow.budget.draw(RUN, 1),
        slow.budget.give_back(RUN, 1),
        slow.workers.stay(None),
    ):
        with pytest.raises(LeaseLostError):
            await asked
    assert await control.fetch("SELECT granted FROM runs") == [(0,)]


async def test_a_silent_worker_that_still_owns_something_may_store_what_it_was_granted(control: Control) -> None:
    slow, other = await _entered(1, control), await _entered(2, control)
    assert await slow.leases.claim(1) == 1
    assert await slow.budget.draw(RUN, 5) == 5
    await _goes_silent(slow, control)
    await other.workers.reap()
    assert await control.fetch("SELECT granted FROM runs") == [(5,)]
    await slow.leases.renew()
    assert await slow.workers.stay(None) > 0


async def test_what_a_dead_worker_has_stored_stays_granted(control: Control) -> None:
    slow, other = await _entered(1, control), await _entered(2, control)
    assert await slow.budget.draw(RUN, 5) == 5
    await control.execute("INSERT INTO tallies VALUES (1, 1, $1, 2, 9), (3, 1, $1, 1, 9), (3, 2, $1, 1, 9)", RUN)
    await _goes_silent(slow, control)
    await other.workers.reap()
    assert await control.fetch("SELECT granted FROM runs") == [(3,)]
    assert await control.fetch("SELECT worker FROM tallies") == [(2,)]


async def test_only_what_was_not_given_back_is_taken_over(control: Control) -> None:
    """The hosts of the others need no rest."""
    first, other = await _entered(1, control), await _entered(2, control)
    assert await first.leases.claim(PARTS) == PARTS
    await first.leases.release({1, 2})
    await _goes_silent(first, control)
    assert await other.leases.claim(PARTS) == PARTS
    assert {part for part in range(PARTS) if other.ownership.taken_over_at(part) is None} == {1, 2}


async def test_what_the_owner_before_may_have_sent_counts_as_sent(control: Control) -> None:
    """Where it gave a host back, it knew how many that were."""
    hosts = "INSERT INTO hosts (part, id, name, run_requests, run_requests_noted) VALUES ($1, 7, 'a.example', 3, $2)"
    for part, noted in ((1, 8), (2, 8), (3, 0)):
        await control.execute(hosts, part, noted)
    first, other = await _entered(1, control), await _entered(2, control)
    assert await first.leases.claim(PARTS) == PARTS
    await first.leases.release({1})
    await _goes_silent(first, control)
    assert await other.leases.claim(PARTS) == PARTS
    assert await control.fetch("SELECT part, run_requests FROM hosts ORDER BY part") == [(1, 3), (2, 8), (3, 3)]


async def test_a_claim_whose_rows_somebody_holds_gets_what_nobody_does(control: Control, crawl_database: str) -> None:
    """A worker that was frozen while it stored something holds the rows that it had fenced, for a while."""
    other = await _entered(2, control)
    connection = await asyncpg.connect(crawl_database)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE parts SET run_id = 1 WHERE part = 3")
    claimed, tries = 0, 0
    while claimed < PARTS - 1:
        claimed, tries = claimed + await other.leases.claim(PARTS - claimed), tries + 1
        assert tries < 100
    assert other.ownership.owned() == [part for part in range(PARTS) if part != 3]
    await transaction.rollback()
    await connection.close()
    assert await other.leases.claim(1) == 1


async def test_what_a_lost_answer_has_claimed_is_free_again_with_the_next_renewal(control: Control) -> None:
    worker = await _entered(1, control)
    assert await worker.leases.claim(3) == 3
    await control.execute("UPDATE parts SET owner = 1, lease_until = 'infinity', clean = 0 WHERE owner IS NULL")
    await worker.leases.renew()
    assert await control.fetch("SELECT owner, clean, count(*) FROM parts GROUP BY 1, 2 ORDER BY 1") == [
        (1, 0, 3),
        (None, 0, PARTS - 3),
    ]


@pytest.mark.thorough
def test_no_two_owners_store_and_no_grant_is_lost_or_used_twice(crawl_database: str) -> None:
    LeasesAndGrants.url = crawl_database
    LeasesAndGrants.loop = asyncio.new_event_loop()
    try:
        run_state_machine_as_test(
            LeasesAndGrants,
            settings=settings(
                max_examples=25,
                stateful_step_count=30,
                deadline=None,
                phases=(Phase.generate,),  # to shrink would take minutes
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        LeasesAndGrants.loop.close()
