"""Look-ups in the indexes of the derived file (derived.py), for one reader, which keep the indexes up to date.

Invariant: whatever happens to the derived file, no question fails; without it the answer takes longer.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from crawler.archive.attached import Attached
from crawler.archive.derived import PATIENCE_S, UnavailableError, bring_up_to_date, discard, is_damage
from crawler.archive.indexes import Index

_FEW = 256  # rows of a source: reading them is quicker than updating an index
_MANY = 20_000  # rows of which an index takes a second or more
_PAUSE_S = 30.0  # after a try that failed


class Candidates(NamedTuple):
    """What an index lists for a key: `ids`, a JSON array. It has not seen the rows of its source after `after`."""

    ids: str
    after: int


class Lookup:
    """The indexes in an attached derived file. Several tasks may ask at once.

    `notify` is told, a line for people each time, why a question takes longer. `patience_s`: how long a question waits
    for another process that is updating the file.
    """

    def __init__(self, attached: Attached, notify: Callable[[str], None], *, patience_s: float = PATIENCE_S) -> None:
        self._attached = attached
        self._notify = notify
        self._patience_s = patience_s
        self._not_before = 0.0  # monotonic

    async def candidates(self, index: Index, key: int, limit: int | None = None) -> Candidates | None:
        """What the index, brought up to date if need be, lists for `key`; None if there is no index to ask.

        At most `limit` of them, the lowest: a page that all link to may have a million.
        """
        async with self._attached.turn:
            try:
                behind = await self._behind(index)
                if (behind is None or behind > _FEW) and time.monotonic() >= self._not_before:
                    await self._bring_up_to_date(index, behind)
                    behind = await self._behind(index)
                return None if behind is None else await self._ask(index, key, -1 if limit is None else limit)
            except sqlite3.Error as error:
                self._notify(
                    f"{self._attached.path} cannot be read ({error}); continuing without it, which takes longer"
                )
                if is_damage(error):
                    await discard(self._attached.db)  # to be built anew for the next question
                return None

    async def _bring_up_to_date(self, index: Index, behind: int | None) -> None:
        rows = behind if behind is not None else await self._newest(index)
        if rows >= _MANY:
            self._notify(f"building an index in {self._attached.path}; later look-ups will be quick")
        try:
            await bring_up_to_date(self._attached.db, index, patience_s=self._patience_s)
        except UnavailableError as error:
            self._not_before = time.monotonic() + _PAUSE_S
            self._notify(f"{error}; continuing without it, which takes longer")

    async def _behind(self, index: Index) -> int | None:
        """How many rows of its source the index may lack; None if there is no such index."""
        try:
            upto = await self._attached.upto(index)
            return None if upto is None else max(0, await self._newest(index) - upto)
        except sqlite3.Error:
            return None  # whoever updates the file finds out why, and repairs it

    async def _ask(self, index: Index, key: int, limit: int) -> Candidates | None:
        """One statement, so that both belong together."""
        column, candidate = index.columns
        listed = f"SELECT {candidate} AS id FROM derived.{index.name} WHERE {column} = ? ORDER BY 1 LIMIT ?"  # noqa: S608
        rows = await self._attached.fetch(
            f"SELECT (SELECT json_group_array(id) FROM ({listed})), upto"  # noqa: S608 - our own names
            " FROM derived.indexes WHERE name = ? AND version = ?",
            *(key, limit, index.name, index.version),
        )
        return Candidates(*rows[0]) if rows else None

    async def _newest(self, index: Index) -> int:
        return int((await self._attached.fetch(index.newest))[0][0] or 0)
