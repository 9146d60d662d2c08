"""Whether a run is over: one look at what its workers say of themselves, and at what is on its way between them.

A worker that has nothing left says so in its row. It takes that back, committed, before it takes anything up that may
give it work again: arrivals, partitions, notices, notes. So one look is enough, at one moment: everything is owned by
workers that live and have nothing left, and nothing is on its way. What is lent or not committed is work of its owner.
"""

from __future__ import annotations

from datetime import datetime

from crawler.storage.postgres.control import Control

_MARK = """
UPDATE workers SET idle_at = $2 WHERE id = $1 AND alive_until > now() RETURNING now()
"""
_UNMARK = "UPDATE workers SET idle_at = NULL WHERE id = $1"
_IS_OVER = """
SELECT NOT EXISTS (SELECT 1 FROM arrivals)
    AND NOT EXISTS (SELECT 1 FROM notes)
    AND NOT EXISTS (
        SELECT 1 FROM notices WHERE run_id = $1 AND told_at > (
            SELECT min(idle_at) FROM workers WHERE run_id = $1 AND alive_until > now()
        )
    )
    AND NOT EXISTS (
        SELECT 1 FROM parts AS p WHERE NOT EXISTS (
            SELECT 1 FROM workers AS w WHERE w.id = p.owner AND w.alive_until > now() AND w.idle_at IS NOT NULL
        )
    ) AS is_over, (SELECT over_at FROM runs WHERE id = $1) AS over_at
"""
_IT_IS = "UPDATE runs SET over_at = now() WHERE id = $1 AND over_at IS NULL"
_IT_IS_NOT = "UPDATE runs SET over_at = NULL WHERE id = $1 AND over_at IS NOT NULL"


class Ending:
    """What one worker says of itself, and sees of all."""

    def __init__(self, control: Control, worker: int) -> None:
        self._control = control
        self._worker = worker
        self._idle_since: datetime | None = None

    def is_idle_since(self, moment: datetime | None) -> bool:
        """Whether it had nothing left at that time, and has got nothing since."""
        return moment is not None and self._idle_since is not None and self._idle_since <= moment

    async def is_over(self, run_id: int, told_until: datetime) -> bool:
        """Whether the run is, now that this worker has nothing left; it has read all notices told until then."""
        marked = await self._control.fetch(_MARK, self._worker, told_until)
        if not marked:
            return False
        self._idle_since = self._idle_since or marked[0][0]
        look = (await self._control.fetch(_IS_OVER, run_id))[0]
        if self.is_idle_since(look["over_at"]):
            return True  # somebody saw it, and may have left since with what he owned
        if look["is_over"]:
            await self._control.execute(_IT_IS, run_id)
        return bool(look["is_over"])

    async def takes_work(self, run_id: int) -> None:
        """To be awaited before it takes up what may be work."""
        if self._idle_since is not None:
            await self._control.execute(_UNMARK, self._worker)
            await self._control.execute(_IT_IS_NOT, run_id)
            self._idle_since = None
