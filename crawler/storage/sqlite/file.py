"""The `Database` in one SQLite file, with its companions: the lock, the inbox, and the files that SQLite adds.

What only a run needs is imported on first use: imports take half the time of a short command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

from crawler.errors import UsageError
from crawler.seeds import Seed
from crawler.storage.interface import STOP_SIGNAL, Extraction, Inbox, Pruned, RunUnderWay, Store, WorkerState
from crawler.storage.sqlite.companions import COMPANIONS, companion
from crawler.storage.sqlite.database import check_file
from crawler.storage.sqlite.lock import database_lock, holder_of, is_held, refuse_if_held


class SqliteFile:
    """A crawl database at a path; see `interface.Database` for what each operation is for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether there is a database; an empty file counts as none."""
        return check_file(self._path) > 0

    def hold(self) -> AbstractContextManager[None]:
        """Take the lock, and release it at the end."""
        return database_lock(self._path)

    def is_held(self) -> bool:
        """Whether a run has the lock."""
        return is_held(self._path)

    def refuse_if_held(self) -> None:
        """Raise `DatabaseBusyError` if a run has the lock."""
        refuse_if_held(self._path)

    def holder(self) -> str | None:
        """The process that has the lock."""
        process = holder_of(self._path)
        return None if process is None else f"process {process}"

    def stop_run(self) -> str | None:
        """Signal the process that has the lock."""
        process = holder_of(self._path)
        if process is None:
            return None
        try:
            os.kill(process, STOP_SIGNAL)
        except OSError as error:
            message = f"cannot stop the crawl that uses {self._path} (process {process}): {error.strerror}"
            raise UsageError(message) from error
        return f"process {process}"

    def size_bytes(self) -> int:
        """Of the file and its write-ahead log."""
        files = (self._path, companion(self._path, "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def files(self) -> Sequence[Path]:
        """The file, SQLite's companions, the lock, and what is derived."""
        return [companion(self._path, suffix) for suffix in ("", *COMPANIONS)]

    async def last_options(self) -> dict[str, Any] | None:
        """Read them from the file, whatever its schema version."""
        from crawler.storage.sqlite.store import stored_options

        return await stored_options(self._path)

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Open the file; create it if it is missing."""
        from crawler.storage.sqlite.store import open_store

        return open_store(self._path)

    async def run_under_way(self) -> RunUnderWay | None:
        """Raise `UsageError`: a file is one process's."""
        raise self._is_of_one()

    def open_share(self, name: str) -> AbstractAsyncContextManager[Store]:
        """Raise `UsageError`: a file is one process's."""
        raise self._is_of_one()

    def workers(self) -> Sequence[WorkerState] | None:
        """It is one process's."""
        return None

    def _is_of_one(self) -> UsageError:
        return UsageError(
            f"{self._path} is a file, which one process crawls into; several share a crawl in a PostgreSQL database"
            f" (`crawler copy {self._path} postgresql://USER@HOST/NAME` takes this one there)"
        )

    def inbox(self, notify: Callable[[str], None]) -> Inbox:
        """The folder of notes beside the file."""
        from crawler.storage.sqlite.inbox import FolderInbox

        return FolderInbox(self._path, notify)

    def leave_note(self, texts: Iterable[str | Seed]) -> int:
        """Leave seeds in that folder."""
        from crawler.storage.sqlite.inbox import leave_note

        return leave_note(self._path, texts)

    async def backup(self, copy: Path, progress: Callable[[int, int], None]) -> int:
        """Copy the file by SQLite's own means."""
        from crawler.storage.sqlite.backup import backup

        return await backup(self._path, copy, progress)

    def open_extraction(self) -> AbstractAsyncContextManager[Extraction]:
        """Open the file, which must be there."""
        from crawler.storage.sqlite.extraction import open_extraction

        return open_extraction(self._path)

    async def prune(
        self, *, keep_versions: int = 1, before: float | None = None, vacuum: bool = False, dry_run: bool = False
    ) -> Pruned:
        """Remove old versions and attempts."""
        from crawler.storage.sqlite.prune import prune

        return await prune(self._path, keep_versions=keep_versions, before=before, vacuum=vacuum, dry_run=dry_run)
