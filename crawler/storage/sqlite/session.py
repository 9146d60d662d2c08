"""The two connections of an open database, and how they are used.

Reads go through a connection of their own that cannot write, so that they never wait behind a commit. Writes take
turns. Invariant: nothing is written to files that were deleted or replaced, which SQLite would not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from crawler.errors import DatabaseFailedError
from crawler.storage.heads import Heads
from crawler.storage.known import KnownUrls
from crawler.storage.sqlite.companions import companion
from crawler.storage.sqlite.database import explained
from crawler.storage.sqlite.intake import Limits
from crawler.storage.sqlite.transaction import Transaction

_T = TypeVar("_T")


class Session:
    """What the store's slices share."""

    def __init__(
        self,
        path: Path,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        known: KnownUrls | None = None,
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._known = known if known is not None else KnownUrls()
        self._heads = Heads()
        self._files = [companion(path, suffix) for suffix in ("", "-wal", "-shm")]
        self._inodes = self._found_inodes()
        self._writing = asyncio.Lock()
        self._limits = Limits()
        self._failed_with_origins = 0
        self._page_ids: Sequence[int] = ()
        self.run_id = 0

    def _check_files(self) -> None:
        """SQLite writes into files that were deleted as if nothing had happened."""
        for path, inode in self._found_inodes().items():
            if inode is None or inode != self._inodes[path]:
                raise DatabaseFailedError(f"{path} was deleted or replaced while the crawl was writing to it")

    def _found_inodes(self) -> dict[Path, int | None]:
        """Of the database, its write-ahead log and that one's index; None where there is no such file."""
        return {path: _inode(path) for path in self._files}

    async def _change(self, sql: str, *parameters: Any) -> None:
        async with self._transaction() as transaction:
            await transaction.change(sql, *parameters)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        """The next transaction, once the one before it is over."""
        with explained(self.path):
            async with self._writing:
                yield Transaction(self._writer, self._known, self._heads, self.run_id, self._limits)

    async def _read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        with explained(self.path):
            return list(await self._reader.execute_fetchall(sql, parameters))

    async def _write(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        with explained(self.path):
            self._check_files()
            return list(await self._writer.execute_fetchall(sql, parameters))


def at_most(limit: int | None) -> int:
    """A limit as SQL compares with it; None: no number reaches it."""
    return 1 << 62 if limit is None else limit


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
