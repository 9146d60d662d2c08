"""A worker's share of the crawl, as the crawl sees it: entered, kept by a task of its own, and left.

Invariant: a worker that cannot renew in time sends nothing, and one whose share another has taken over ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol

from crawler.clock import Clock, since_boot
from crawler.counters import ShareState
from crawler.errors import DatabaseFailedError
from crawler.records import EndReason, SeedMark
from crawler.release import VERSION
from crawler.storage.interface import News
from crawler.storage.postgres.budget import Budget
from crawler.storage.postgres.control import Control
from crawler.storage.postgres.keeping import Keeper, Owner
from crawler.storage.postgres.leases import Leases
from crawler.storage.postgres.notes import TableInbox
from crawler.storage.postgres.notices import Word
from crawler.storage.postgres.workers import Identity, Workers, in_turn

_MOMENT_S = 0.5

_OPEN = "UPDATE runs SET is_open = 1 WHERE id = $1"
_LET_IN = "UPDATE workers SET alone = 0 WHERE id = $1"
_SET_END = "UPDATE runs SET stop = $2 WHERE id = $1 AND stop IS NULL AND ended_at IS NULL"


class SharedStore(Owner, Protocol):
    """The store of a worker."""

    control: Control
    share: PostgresShare

    @property
    def writing(self) -> asyncio.Lock:
        """The turn of its commits."""


class PostgresShare:
    """See `interface.Share` for what each operation is for."""

    draws_pages = True

    def __init__(self, store: Owner, control: Control, keeper: Keeper) -> None:
        self._store = store
        self._ownership = store.ownership
        self._control = control
        self._keeper = keeper
        self._budget = Budget(control, self._ownership.worker)
        self.failure: BaseException | None = None
        self.has_ended = False  # its part in the run, with all that was under way

    @property
    def workers(self) -> int:
        """How many workers were alive when it last asked."""
        return self._keeper.live

    def state(self) -> ShareState:
        """What it owns, as it knows."""
        renewed_s = round(since_boot() - self._keeper.renewed_at, 3)
        return ShareState(partitions=len(self._ownership.owned()), renewed_s=renewed_s, workers=self.workers)

    def clock(self, own: Clock) -> Clock:
        """The database's."""
        return replace(own, wall=self._keeper.clock.now)

    def may_send(self) -> bool:
        """Whether its leases still hold, for all that it knows."""
        return self.failure is None and self._ownership.may_send()

    def keeps(self, host_id: int) -> bool:
        """Whether the host is its own, and stays it."""
        return self._ownership.keeps(host_id)

    def taken_over_at(self, host_id: int) -> float | None:
        """When it was taken from a worker that had not given it back."""
        return self._ownership.taken_over_at(host_id)

    async def draw(self, pages: int) -> int:
        """Ask for so many more pages of `--max-pages`; returns how many were granted."""
        return await self._budget.draw(self._store.run_id, pages)

    async def give_back(self, pages: int) -> None:
        """Others may have them."""
        await self._budget.give_back(self._store.run_id, pages)

    async def are_pages_spent(self) -> bool:
        """Whether all that the run may store is stored."""
        return await self._budget.is_spent(self._store.run_id)

    async def opened(self) -> None:
        """Let others join the run and get their part of the hosts."""
        async with self._control.transaction() as connection:
            await in_turn(connection, self._ownership.worker)
            await connection.execute(_OPEN, self._store.run_id)
            await connection.execute(_LET_IN, self._ownership.worker)

    async def is_over(self, has_nothing_left: Callable[[], Awaitable[bool]]) -> bool:
        """Whether the run is; the worker is asked once more, while nothing can bring it work."""
        self._raise_failure()
        keeper = self._keeper
        keeper.changed.clear()
        async with keeper.turn:
            gives_away = bool(self._ownership.leaving())  # what is left of these hosts, nobody has taken up yet
            if gives_away or not await has_nothing_left():
                await keeper.ending.takes_work(self._store.run_id)
            elif keeper.has_taken_up_all and await keeper.ending.is_over(self._store.run_id, keeper.told_until):
                return True
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT_S):
                await keeper.changed.wait()
        return False

    async def news(self) -> News | None:
        """What was heard of the others."""
        self._raise_failure()
        return self._keeper.heard.take()

    def tell_root(self, url: str, mark: SeedMark) -> None:
        """Told within a second, or with `publish`."""
        self._keeper.notices.tell(Word.ROOT, [url, int(mark)])

    async def tell_end(self, reason: EndReason) -> None:
        """Told at once; where somebody was quicker, his reason stands."""
        await self._control.execute(_SET_END, self._store.run_id, reason.value)

    async def publish(self) -> None:
        """Tell now what was to be told."""
        await self._keeper.notices.publish(self._store.run_id)

    def attach(self, held: Callable[[], Collection[int]]) -> None:
        """Partitions of these hosts are not given away."""
        self._keeper.held = held

    def count(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """What this worker has counted so far, of the fields of a summary: kept with each renewal."""
        self._keeper.figures = figures

    def end_counting(self) -> None:
        """What it has counted is about to be handed over: no renewal is to write it into its row again."""
        self._keeper.figures = lambda: None

    def inbox(self) -> TableInbox:
        """The notes that are left for the crawl."""
        keeper, run = self._keeper, self._store

        async def take_work() -> None:
            await keeper.ending.takes_work(run.run_id)

        return TableInbox(self._control, self._ownership.lease_s, keeper.turn, take_work)

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


@asynccontextmanager
async def open_share(store: SharedStore, name: str, *, alone: bool) -> AsyncIterator[None]:
    """Be a worker: `store.share` is its share. `alone`: nobody else is; then it owns all of the crawl.

    Raises `DatabaseBusyError` where others are in the way, and `DatabaseFailedError`.
    """
    control, ownership = store.control, store.ownership
    me = Identity(id=ownership.worker, name=name, program=VERSION)
    workers = Workers(control, me, ownership.lease_s)
    leases = Leases(control, ownership, store.writing, since_boot)
    keeper = Keeper(store, control, workers, leases)
    store.share = share = PostgresShare(store, control, keeper)
    try:
        await workers.enter(alone=alone)
        try:
            await keeper.renew()
            async with _kept(keeper, share):
                if alone:
                    await leases.claim_all()
                yield
        finally:
            with suppress(DatabaseFailedError):
                await leases.give_up(clean=share.has_ended or not store.run_id)
                await workers.leave()
    finally:
        control.close()


@asynccontextmanager
async def _kept(keeper: Keeper, share: PostgresShare) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())

    def fail(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            share.failure = error
            keeper.changed.set()

    task.add_done_callback(fail)
    try:
        yield
    finally:
        keeper.close()
        await asyncio.wait({task})
