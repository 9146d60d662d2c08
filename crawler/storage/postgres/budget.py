"""How many pages the workers of a run may store together: exactly `--max-pages`, whatever dies.

`runs.granted` is what was promised to workers, or is stored. Invariant: a worker stores only what it was granted; what
a dead one was granted and has not stored (its tallies say what it has) is taken back once it owns nothing any more, and
so can store nothing.
"""

from __future__ import annotations

from crawler.storage.postgres.control import Control
from crawler.storage.postgres.workers import in_turn

_LEFT = "SELECT max_pages - granted FROM runs WHERE id = $1 FOR UPDATE"
_GRANT = "UPDATE runs SET granted = granted + $2 WHERE id = $1"
_HAVE = "UPDATE workers SET granted = granted + $2 WHERE id = $1"
_IS_SPENT = """
SELECT max_pages <= (SELECT coalesce(sum(run_pages), 0) FROM parts WHERE run_id = $1) FROM runs WHERE id = $1
"""


class Budget:
    """That of one worker in a run that has a limit."""

    def __init__(self, control: Control, worker: int) -> None:
        self._control = control
        self._worker = worker

    async def draw(self, run_id: int, pages: int) -> int:
        """Be granted some more, at most so many; returns how many. Others may give back some later."""
        async with self._control.transaction() as connection:
            await in_turn(connection, self._worker)
            left = await connection.fetchval(_LEFT, run_id)
            granted = pages if left is None else max(0, min(pages, left))
            if granted:
                await connection.execute(_GRANT, run_id, granted)
                await connection.execute(_HAVE, self._worker, granted)
            return granted

    async def give_back(self, run_id: int, pages: int) -> None:
        """So many of those that were granted will not be stored."""
        async with self._control.transaction() as connection:
            await in_turn(connection, self._worker)
            await connection.execute(_GRANT, run_id, -pages)
            await connection.execute(_HAVE, self._worker, -pages)

    async def is_spent(self, run_id: int) -> bool:
        """Whether as many are stored as the run may store."""
        rows = await self._control.fetch(_IS_SPENT, run_id)
        return bool(rows and rows[0][0])
