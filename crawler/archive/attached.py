"""The derived file (derived.py), attached as `derived` to a connection that reads the crawl's file.

Invariant: what is attached is the file that is there now, and one that this program made.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.archive.derived import APPLICATION_ID, VERSION, Derivation, derived_file, inode_of
from crawler.storage.sqlite.database import read_only_uri

_STATE = "SELECT upto, mark FROM derived.indexes WHERE name = ? AND version = ?"


class Attached:
    """The derived file of `db`, or the one at `path`, for a connection that reads `db`."""

    def __init__(self, db: Path, connection: aiosqlite.Connection, path: Path | None = None) -> None:
        self.db = db
        self.path = path or derived_file(db)
        self.turn = asyncio.Lock()  # held while a question reads it: another may attach another file
        self._connection = connection
        self._inode: int | None = None  # of what is attached

    async def upto(self, derivation: Derivation) -> int | None:
        """How far a derivation has come; None if there is nothing of it that can be used. Raises `sqlite3.Error`."""
        if not await self._attach():
            return None
        rows = await self.fetch(_STATE, derivation.name, derivation.version)
        if not rows:
            return None
        upto, mark = rows[0]
        if upto and await self.fetch(derivation.mark, upto) != [(mark,)]:
            return None
        return int(upto)

    async def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        """The rows of a query that may name tables of both files."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def release(self) -> None:
        """Detach it, until the next question."""
        if self._inode is not None:
            await self._connection.execute("DETACH derived")
            self._inode = None

    async def _attach(self) -> bool:
        """Attach the file that is there now, which may have replaced the one that is attached. Whether there is one."""
        inode = inode_of(self.path)
        if inode is not None and inode == self._inode:
            return True
        await self.release()
        if inode is None:
            return False
        await self._connection.execute("ATTACH ? AS derived", (read_only_uri(self.path),))
        self._inode = inode
        # If the file was replaced just before it was opened, SQLite may have read the log of the new one.
        if await self._header() == (APPLICATION_ID, VERSION) and inode_of(self.path) == inode:
            return True
        await self.release()
        return False

    async def _header(self) -> tuple[int, int]:
        application_id = await self.fetch("PRAGMA derived.application_id")
        version = await self.fetch("PRAGMA derived.user_version")
        return application_id[0][0], version[0][0]
