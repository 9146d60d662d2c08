"""Who owns which partition: claimed, renewed while the process lives, given back; whatever is not renewed ends.

Invariants: one clock decides, the database's. A partition has one owner, and a new one only after the lease of the last
has ended: by then that one sends nothing, since it reckons with a shorter time by its own boot clock. The end of a
lease only entitles others: who still is the owner may renew it, and store results, whatever the time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

from crawler.errors import DatabaseFailedError, LeaseLostError
from crawler.storage.postgres.control import Control, is_locked_out
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.workers import in_turn

_HANDFUL = 64  # one row that somebody holds makes all of its statement wait
_TRUSTED = 0.8  # of a lease: clocks may run at different speeds, and what was admitted is yet to be sent

_FREE = "SELECT part, epoch, clean FROM parts WHERE lease_until < now()"
_NEXT_FREE = """
SELECT extract(epoch FROM greatest(min(lease_until), now()) - now())::float8 FROM parts
WHERE lease_until < now() + $2::float8 * interval '1 second' AND owner IS DISTINCT FROM $1
"""
# The epoch that was read: so `clean`, which was read with it, is that of the owner before.
_CLAIM = """
UPDATE parts AS p SET
    owner = $1, epoch = p.epoch + 1, clean = 0, lease_until = now() + $2::float8 * interval '1 second'
FROM unnest($3::int[], $4::bigint[]) AS v (part, epoch)
WHERE p.part = v.part AND p.epoch = v.epoch AND p.lease_until < now()
RETURNING p.part, p.epoch, extract(epoch FROM now())::float8
"""
# What the owner before may have sent counts as sent: it noted so many, and is gone.
_COUNT_NOTED = """
UPDATE hosts SET run_requests = run_requests_noted
WHERE part = ANY($1::int[]) AND run_requests_noted > 0 AND run_requests_noted > run_requests
"""
_RENEW = "UPDATE parts SET lease_until = now() + $2::float8 * interval '1 second' WHERE owner = $1"
_RELEASE = """
UPDATE parts SET owner = NULL, lease_until = '-infinity', clean = 1 WHERE owner = $1 AND part = ANY($2::int[])
"""
# All but these, for others to take over at once: as if it had died.
_DROP = "UPDATE parts SET owner = NULL, lease_until = '-infinity' WHERE owner = $1 AND part <> ALL($2::int[])"


class Leases:
    """Those of this process. `writing` is the turn of its commits: what is renewed or given back is in none of them.

    Operations raise `DatabaseFailedError`.
    """

    def __init__(
        self, control: Control, ownership: Ownership, writing: asyncio.Lock, boot_clock: Callable[[], float]
    ) -> None:
        self._control = control
        self._ownership = ownership
        self._writing = writing
        self._boot_clock = boot_clock
        self._handful = _HANDFUL

    async def claim(self, most: int) -> int:
        """Own some more, at most so many, of those that nobody owns; returns how many."""
        rows = await self._control.fetch(_FREE) if most > 0 else []
        free = [row for row in rows if not self._ownership.owns(row["part"])]  # the next renewal tells of its own
        random.shuffle(free)
        free, claimed = free[:most], 0
        for start in range(0, len(free), self._handful):
            try:
                claimed += await self._claim(free[start : start + self._handful])
            except DatabaseFailedError as error:
                if not is_locked_out(error):
                    raise
                self._handful = max(1, self._handful // 4)  # somebody was frozen while storing something
                return claimed
        self._handful = _HANDFUL
        return claimed

    async def claim_all(self) -> None:
        """Own all; waits until the leases of others have ended, who do not renew them."""
        while (lacking := self._ownership.parts - len(self._ownership.owned())) > 0:
            if not await self.claim(lacking):
                await asyncio.sleep(min(0.25, self._ownership.lease_s / 10))

    async def free_in(self, within_s: float) -> float | None:
        """In how many seconds the first of the leases of others ends, if nobody renews it; 0: one has. None: none does
        within so many.
        """
        ((seconds,),) = await self._control.fetch(_NEXT_FREE, self._ownership.worker, within_s)
        return None if seconds is None else float(seconds)

    async def renew(self) -> None:
        """Own all of them for a whole lease from now on. Raises `LeaseLostError` if one is another's by now."""
        async with self._writing:
            asked_at, owned = self._boot_clock(), len(self._ownership.owned())
            renewed = await self._control.execute(_RENEW, *self._lease())
            if renewed < owned:
                raise LeaseLostError("other workers have taken over hosts of this one, which they took for dead")
            if renewed > owned:
                await self._control.execute(_DROP, self._ownership.worker, self._ownership.owned())
            self._hold_from(asked_at)

    async def release(self, parts: Collection[int]) -> None:
        """Give these back; nothing of them is in memory any more."""
        async with self._writing:
            await self._control.execute(_RELEASE, self._ownership.worker, sorted(parts))
            self._ownership.lose(parts)

    async def give_up(self, *, clean: bool) -> None:
        """Own nothing any more; `clean`: nothing is under way, and nothing is to be kept of what was."""
        owned = self._ownership.owned()
        if clean:
            await self.release(owned)
        else:
            await self._control.execute(_DROP, self._ownership.worker, [])
            self._ownership.lose(owned)

    async def _claim(self, rows: Sequence[Any]) -> int:
        asked_at = self._boot_clock()
        parts, epochs = [row["part"] for row in rows], [row["epoch"] for row in rows]
        async with self._control.transaction() as connection:
            await in_turn(connection, self._ownership.worker)
            claimed = await connection.fetch(_CLAIM, *self._lease(), parts, epochs)
            unclean = {row["part"] for row in rows if not row["clean"]} & {row["part"] for row in claimed}
            if unclean:
                await connection.execute(_COUNT_NOTED, sorted(unclean))
        if not self._ownership.owned():
            self._hold_from(asked_at)
        taken_over = {part: at for part, _epoch, at in claimed if part in unclean}
        self._ownership.gain({part: epoch for part, epoch, _at in claimed}, taken_over)
        return len(claimed)

    def _lease(self) -> tuple[int, float]:
        return self._ownership.worker, self._ownership.lease_s

    def _hold_from(self, asked_at: float) -> None:
        self._ownership.hold_until(asked_at + _TRUSTED * self._ownership.lease_s)
