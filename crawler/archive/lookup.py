"""Look-ups in the indexes of the derived file (derived.py), for one reader, which keep the indexes up to date.

Invariant: whatever happens to the derived file, no question fails; without it the answer takes longer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite

from crawler.archive.derived import (
    APPLICATION_ID,
    PATIENCE_S,
    VERSION,
    UnavailableError,
    bring_up_to_date,
    derived_file,
    discard,
    inode_of,
    is_damage,
)
from crawler.archive.indexes import Index
from crawler.storage.sqlite.database import read_only_uri

_FEW = 256  # rows of a source: reading them is quicker than updating an index
_MANY = 20_000  # rows of which an index takes a second or more
_PAUSE_S = 30.0  # after a try that failed

_STATE = "SELECT upto, mark FROM derived.indexes WHERE name = ? AND version = ?"


class Candidates(NamedTuple):
    """What an index lists for a key: `ids`, a JSON array. It has not seen the rows of its source after `after`."""

    ids: str
    after: int


class Lookup:
    """The derived file of `db`, attached to a connection that reads `db`. Several tasks may ask at once.

    `notify` is told, a line for people each time, why a question takes longer. `patience_s`: how long a question waits
    for another process that is updating the file.
    """

    def __init__(
        self,
        db: Path,
        connection: aiosqlite.Connection,
        notify: Callable[[str], None],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._db = db
        self._path = derived_file(db)
        self._connection = connection
        self._notify = notify
        self._patience_s = patience_s
        self._inode: int | None = None  # of what is attached
        self._not_before = 0.0  # monotonic
        self._turn = asyncio.Lock()

    async def candidates(self, index: Index, key: int) -> Candidates | None:
        """What the index, brought up to date if need be, lists for `key`; None if there is no index to ask."""
        async with self._turn:
            try:
                behind = await self._behind(index)
                if (behind is None or behind > _FEW) and time.monotonic() >= self._not_before:
                    await self._bring_up_to_date(index, behind)
                    behind = await self._behind(index)
                return None if behind is None else await self._ask(index, key)
            except sqlite3.Error as error:
                self._notify(f"{self._path} cannot be read ({error}); continuing without it, which takes longer")
                if is_damage(error):
                    await discard(self._db)  # to be built anew for the next question
                return None

    async def _bring_up_to_date(self, index: Index, behind: int | None) -> None:
        rows = behind if behind is not None else await self._newest(index)
        if rows >= _MANY:
            self._notify(f"building an index in {self._path}; later look-ups will be quick")
        try:
            await bring_up_to_date(self._db, index, patience_s=self._patience_s)
        except UnavailableError as error:
            self._not_before = time.monotonic() + _PAUSE_S
            self._notify(f"{error}; continuing without it, which takes longer")

    async def _behind(self, index: Index) -> int | None:
        """How many rows of its source the index may lack; None if there is no such index."""
        try:
            if not await self._attached():
                return None
            rows = await self._fetch(_STATE, index.name, index.version)
            if not rows:
                return None
            upto, mark = rows[0]
            if upto and await self._fetch(index.mark, upto) != [(mark,)]:
                return None
            return max(0, await self._newest(index) - int(upto))
        except sqlite3.Error:
            return None  # whoever updates the file finds out why, and repairs it

    async def _ask(self, index: Index, key: int) -> Candidates | None:
        """One statement, so that both belong together."""
        column, candidate = index.columns
        rows = await self._fetch(
            f"SELECT (SELECT json_group_array({candidate}) FROM derived.{index.name} WHERE {column} = ?), upto"  # noqa: S608
            " FROM derived.indexes WHERE name = ? AND version = ?",
            *(key, index.name, index.version),
        )
        return Candidates(*rows[0]) if rows else None

    async def _newest(self, index: Index) -> int:
        return int((await self._fetch(index.newest))[0][0] or 0)

    async def _attached(self) -> bool:
        """Attach the file that is there now; it may have replaced the one that is attached."""
        inode = inode_of(self._path)
        if inode is not None and inode == self._inode:
            return True
        if self._inode is not None:
            await self._detach()
        if inode is None:
            return False
        await self._connection.execute("ATTACH ? AS derived", (read_only_uri(self._path),))
        self._inode = inode
        # If the file was replaced just before it was opened, SQLite may have read the log of the new one.
        if await self._header() == (APPLICATION_ID, VERSION) and inode_of(self._path) == inode:
            return True
        await self._detach()
        return False

    async def _header(self) -> tuple[int, int]:
        application_id = await self._fetch("PRAGMA derived.application_id")
        version = await self._fetch("PRAGMA derived.user_version")
        return application_id[0][0], version[0][0]

    async def _detach(self) -> None:
        await self._connection.execute("DETACH derived")
        self._inode = None

    async def _fetch(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))
