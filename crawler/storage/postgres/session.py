"""What the store's slices share: connections, what this process owns, and how it changes what is stored.

Reads take any connection of the pool, and never wait for a commit. What changes rows that only their owner may change
takes turns with the commits of this process, behind a fence (see transactions.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from crawler.records import HostRecord
from crawler.storage.columns import host_columns, host_record
from crawler.storage.known import KnownUrls
from crawler.storage.postgres.arrivals import ARRIVED, take_arrivals
from crawler.storage.postgres.connection import PATIENCE_S, Pool, explained, is_lost
from crawler.storage.postgres.hosts import HostChanges
from crawler.storage.postgres.ids import HostKeys
from crawler.storage.postgres.limits import Limits
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Execute, Tally, fence, in_transaction

_T = TypeVar("_T")

_MOST = (1 << 31) - 1  # of an int


class Session:
    """`db` is the URL, for messages: see `connection.shown`."""

    def __init__(self, db: str, pool: Pool, ownership: Ownership, known: KnownUrls | None = None) -> None:
        self.db = db
        self.ownership = ownership
        self.run_id = 0
        self._pool = pool
        self._known = known if known is not None else KnownUrls()
        self._host_keys = HostKeys(ownership.parts)
        self._limits = Limits()
        self._writing = asyncio.Lock()

    async def _read(self, sql: str, *parameters: Any) -> list[Any]:
        with explained(self.db):
            rows: list[Any] = await self._steadily(lambda: self._pool.fetch(sql, *parameters))
            return rows

    async def _write(self, sql: str, *parameters: Any) -> list[Any]:
        """One statement that changes nothing that only an owner may change."""
        return await self._transact(lambda execute: execute(sql, *parameters))

    async def _steadily(self, work: Callable[[], Awaitable[_T]], may_repeat: Callable[[], bool] = lambda: True) -> _T:
        """What `work` does, tried again while the server cannot be reached, for as long as this process owns what it
        does, and once in any case: a server that is started again, or the one that takes its place, is back before
        others take over; and only the server knows whether this process has stood still for too long. `may_repeat`:
        whether what was tried may be done twice.
        """
        loop = asyncio.get_running_loop()
        ends_at: float | None = None
        while True:
            try:
                return await work()
            except Exception as error:
                is_over = ends_at is not None and loop.time() >= ends_at
                if not is_lost(error) or is_over or self._pool.is_closing() or not may_repeat():
                    raise
            if ends_at is None:
                ends_at = loop.time() + min(self.ownership.lease_s, self.ownership.remaining_s())
            await asyncio.sleep(PATIENCE_S)

    async def _transact(self, work: Callable[[Execute], Awaitable[_T]]) -> _T:
        """What `work` does, in one transaction, unfenced; it may be begun again. Where the server cannot be reached, it
        has not begun.
        """
        has_begun = False

        async def begun(execute: Execute) -> _T:
            nonlocal has_begun
            has_begun = True
            return await work(execute)

        with explained(self.db):
            return await self._steadily(lambda: in_transaction(self._pool, begun), lambda: not has_begun)

    async def _transact_fenced(self, parts: Collection[int], work: Callable[[Execute], Awaitable[_T]]) -> _T:
        """The same for what only the owner of these partitions may change, in turn with commits.

        Raises `LeaseLostError` if another process owns one of them by now.
        """
        async with self._writing:
            return await self._fenced(parts, work)

    async def _fenced(self, parts: Collection[int], work: Callable[[Execute], Awaitable[_T]]) -> _T:
        """The same, in the turn of whoever calls it."""

        async def fenced(execute: Execute) -> _T:
            await fence(dict.fromkeys(parts, Tally()), self.ownership, self.run_id, execute)
            return await work(execute)

        return await self._transact(fenced)

    async def _change(self, parts: Collection[int], sql: str, *parameters: Any) -> list[Any]:
        """One statement that changes URLs of own partitions past the cache; their hosts' counts and times follow.

        It returns (part, host_id, the status that it had, the status that it has) of each URL that it has changed but
        robots.txt; so does this.
        """

        async def work(execute: Execute) -> list[Any]:
            rows = await execute(sql, *parameters)
            changes = HostChanges()
            changes.count(rows)
            await changes.store(self.run_id, execute)
            return rows

        changed = await self._transact_fenced(parts, work)
        self._forget()
        return changed

    async def _change_any(self, sql: str, *parameters: Any) -> int:
        """One statement, made by `arrivals.telling`, that changes URLs of any partitions past the cache; returns how
        many. What that means for hosts of this process is in their rows then; others do the same with theirs.
        """
        ((changed,),) = await self._write(sql, *parameters)
        self._forget()
        await self.take_arrivals()
        return int(changed)

    async def take_arrivals(self) -> list[HostRecord]:
        """Count what has arrived at the hosts of own partitions; returns those of them that have something planned.

        Before a run has begun, nothing is counted: it would take what a killed run has counted for another's.
        """
        if not self.run_id:
            return []
        async with self._writing:  # in which nothing that it owns is given away
            parts = [row[0] for row in await self._read(ARRIVED, self.ownership.owned())]

            async def work(execute: Execute) -> list[Any]:
                changes = HostChanges()
                await take_arrivals(parts, changes, execute)
                return await changes.store(self.run_id, execute)

            return self._hosts(await self._fenced(parts, work)) if parts else []

    def _forget(self) -> None:
        """What was remembered of stored rows is true no longer."""
        self._known.clear()
        self._host_keys.stored.clear()
        if self._limits.urls is not None:
            self._limits.urls.forget()

    def _hosts(self, rows: Iterable[Sequence[Any]]) -> list[HostRecord]:
        """The hosts that have something planned and are, and stay, this process's own."""
        keeps = self.ownership.keeps
        return [host for host in map(host_record, rows) if host.next_due_at is not None and keeps(host.host_id)]

    def _parts_of(self, host_ids: Iterable[int]) -> list[int]:
        """The partition of each, in their order."""
        return [self.ownership.part_of(host_id) for host_id in host_ids]


def columns_of_hosts(run: int, table: str = "h") -> str:
    """What `host_record` reads, in a statement that calls the hosts `table` and has the run as its `$run`."""
    return host_columns(f"{table}.run_id = ${run}", table)


def at_most(limit: int | None) -> int:
    """A limit as SQL compares with it; None: no number reaches it."""
    return _MOST if limit is None else limit
