"""Asks the indexes of the derived file on behalf of a reader, and brings them up to date when they lag behind.

Invariant: nothing that happens to the derived file makes a question fail; without it the answer takes longer.
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

_FEW = 256  # rows of a source that are looked through in less time than it takes to bring an index up to date
_MANY = 20_000  # rows of which an index takes a second or more
_PAUSE_S = 30.0  # after a try that failed

_STATE = "SELECT upto, mark FROM derived.indexes WHERE name = ? AND version = ?"


class Candidates(NamedTuple):
    """What an index names for a key: `ids`, a JSON array. Rows of its source after `after` it has not seen."""

    ids: str
    after: int


class Lookup:
    """The derived file of `db`, attached to a connection that reads `db`. `notify` is told what a person may wonder at.

    `patience_s` is how long a question waits for another process that brings the file up to date. Several tasks may
    ask at a time.
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
        """What the index names for `key`, once it has been brought up to date; None where it cannot be asked."""
        async with self._turn:
            try:
                behind = await self._behind(index)
                if (behind is None or behind > _FEW) and time.monotonic() >= self._not_before:
                    await self._bring_up_to_date(index, behind)
                    behind = await self._behind(index)
                return None if behind is None else await self._ask(index, key)
            except sqlite3.Error as error:
                self._notify(f"{self._path} cannot be read ({error}); this takes longer without it")
                if is_damage(error):
                    await discard(self._db)  # to be built anew for the next question
                return None

    async def _bring_up_to_date(self, index: Index, behind: int | None) -> None:
        rows = behind if behind is not None else await self._newest(index)
        if rows >= _MANY:
            self._notify(f"bringing {self._path} up to date; that takes a while, and then each question is quick")
        try:
            await bring_up_to_date(self._db, index, patience_s=self._patience_s)
        except UnavailableError as error:
            self._not_before = time.monotonic() + _PAUSE_S
            self._notify(f"{error}; this takes longer without it")

    async def _behind(self, index: Index) -> int | None:
        """How many rows of its source the index lacks, at most; None where there is no such index."""
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
            return None  # to be found out, and put right, by whoever brings it up to date

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
        """Attach the file that is there now: another may have taken the place of the one that is attached."""
        inode = inode_of(self._path)
        if inode is not None and inode == self._inode:
            return True
        if self._inode is not None:
            await self._detach()
        if inode is None:
            return False
        await self._connection.execute("ATTACH ? AS derived", (read_only_uri(self._path),))
        self._inode = inode
        # Were the file replaced between the look and the opening, its log might be the new one's.
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
