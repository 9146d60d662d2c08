"""Keeps a worker's share while it lives: renews it, evens it out among all, and hears what the others tell.

Invariants: what may bring work (arrivals, partitions, notices) is taken up in `turn`, and after the worker has said so
in its row. A partition is given away once nothing of it is in memory, under way or uncommitted. A worker that has lost
its connection tries again for as long as it knows that it owns what it owned. What a silent worker owns is taken over
when its leases end, since each worker looks then.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from crawler.clock import since_boot
from crawler.errors import DatabaseFailedError, LeaseLostError
from crawler.records import HostRecord
from crawler.storage.postgres.clock import DatabaseClock
from crawler.storage.postgres.control import Control, is_locked_out
from crawler.storage.postgres.ending import Ending
from crawler.storage.postgres.heard import Heard
from crawler.storage.postgres.leases import Leases
from crawler.storage.postgres.notices import Look, Notices
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.workers import Workers

_LOOK_EVERY_S = 1.0
_FOLD_EVERY_S = 0.25  # where others crawl, too
_LEAST_S = 0.02  # between two looks, where leases end one after the other

_ANY_ARRIVED = "SELECT 1 FROM arrivals WHERE part = ANY($1::int[]) LIMIT 1"


class Owner(Protocol):
    """What is asked of the store of a worker."""

    run_id: int
    ownership: Ownership

    async def take_arrivals(self) -> list[HostRecord]:
        """Count what others have found for what it owns; returns the hosts that have something planned."""


class Keeper:
    """Of one worker. `run` is a task of its own; `close` ends it."""

    def __init__(self, store: Owner, control: Control, workers: Workers, leases: Leases) -> None:
        self._store = store
        self._ownership = store.ownership
        self._control = control
        self._workers = workers
        self._leases = leases
        self.clock = DatabaseClock(since_boot)
        self.notices = Notices(control, self._ownership.worker, self._ownership.lease_s)
        self.ending = Ending(control, self._ownership.worker)
        self.heard = Heard()
        self.turn = asyncio.Lock()
        self.changed = asyncio.Event()
        self.told_until = datetime.min.replace(tzinfo=UTC)  # all notices were read that were told until then
        self.live = 1
        self.renewed_at = since_boot()
        self.held: Callable[[], Collection[int]] = tuple
        self.figures: Callable[[], Mapping[str, Any] | None] = lambda: None
        self._closing = asyncio.Event()
        self._renew_at = self._look_at = 0.0  # by the boot clock
        self._lease_ends_at = math.inf  # of another worker, which has not renewed it so far

    @property
    def has_taken_up_all(self) -> bool:
        """Whether it has looked, and all that it saw has been taken up."""
        return self.told_until.year > 1 and not self.heard.may_be_work

    def close(self) -> None:
        """Let `run` return once it has finished what it is doing."""
        self._closing.set()

    async def run(self) -> None:
        """Until closed. Raises `DatabaseFailedError` where the share cannot be kept, or is lost."""
        while not self._closing.is_set():
            wait_s = _LOOK_EVERY_S if self.live == 1 else _FOLD_EVERY_S
            try:
                await self.keep()
                wait_s = min(wait_s, max(_LEAST_S, self._lease_ends_at - since_boot()))
            except LeaseLostError:
                raise
            except DatabaseFailedError as error:
                if not is_locked_out(error) and not self._ownership.may_send():
                    raise
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._closing.wait()

    async def keep(self) -> None:
        """All that is to be done by now."""
        now = since_boot()
        if now >= self._renew_at:
            await self.renew()
            self._renew_at = now + self._ownership.lease_s / 4
        if self._store.run_id:
            async with self.turn:
                await self._fold()
                if now >= min(self._look_at, self._lease_ends_at):
                    self._lease_ends_at = math.inf
                    await self._look()
                    self._look_at = now + min(_LOOK_EVERY_S, self._ownership.lease_s / 4)
            await self._give_away()

    async def renew(self) -> None:
        """Its leases, its row, and what it knows of the time."""
        await self._leases.renew()
        asked_at = since_boot()
        self.clock.set(await self._workers.stay(self.figures()), asked_at)
        self.renewed_at = asked_at
        await self._workers.reap()
        await self.notices.forget()

    async def _fold(self) -> None:
        """What others have found for it, where it has nothing to commit."""
        owned = self._ownership.owned()
        if owned and await self._control.fetch(_ANY_ARRIVED, owned):
            await self.ending.takes_work(self._store.run_id)
            self.heard.hosts(await self._store.take_arrivals())
            self.changed.set()

    async def _look(self) -> None:
        look = await self.notices.look(self._store.run_id)
        if look.told:
            await self.ending.takes_work(self._store.run_id)
        for word, data in look.told:
            self.heard.told(word, data)
        self.heard.end(look.stop)
        self.told_until, self.live = look.now, max(1, look.live)
        self.heard.workers(self.live)
        self._look_when_it_ends(look.next_dies_s)
        if look.is_open:
            await self._share_out(look)
        if self.live > 1:
            if await self._workers.bury():
                self._look_when_it_ends(0)
            await self._workers.reap()

    async def _share_out(self, look: Look) -> None:
        """Claim partitions, or begin to give some away, until each worker has an equal number."""
        lacking = self._ownership.even_out(self.live, look.before)
        if lacking and not self.ending.is_idle_since(look.over_at):
            free_in_s = await self._leases.free_in(_LOOK_EVERY_S)
            if free_in_s == 0:
                await self._claim(lacking)
            self._look_when_it_ends(free_in_s)  # others may end a moment later

    async def _claim(self, lacking: int) -> None:
        await self.ending.takes_work(self._store.run_id)
        if await self._leases.claim(lacking):
            self.heard.gained()
            self.changed.set()

    def _look_when_it_ends(self, seconds: float | None) -> None:
        if seconds is not None:
            self._lease_ends_at = min(self._lease_ends_at, since_boot() + seconds)

    async def _give_away(self) -> None:
        leaving = self._ownership.leaving()
        if leaving:
            gone = leaving - {self._ownership.part_of(host_id) for host_id in self.held()}
            if gone:
                await self._leases.release(gone)
