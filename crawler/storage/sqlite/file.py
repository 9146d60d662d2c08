"""The `Database` that is one SQLite file, with its companions: lock, inbox, and what SQLite puts beside it.

What only a run needs is imported when it is asked for: imports are half of what a short command takes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

from crawler.errors import UsageError
from crawler.seeds import Seed
from crawler.storage.interface import Inbox, Pruned, Store
from crawler.storage.sqlite.beside import COMPANIONS, beside
from crawler.storage.sqlite.database import check_file
from crawler.storage.sqlite.lock import database_lock, holder_of, is_held, refuse_if_held


class SqliteFile:
    """A crawl database at a path; see `interface.Database` for what each operation is for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether there is something; an empty file is as good as none."""
        return check_file(self._path) > 0

    def hold(self) -> AbstractContextManager[None]:
        """Take the lock, and let go of it at the end."""
        return database_lock(self._path)

    def is_held(self) -> bool:
        """Whether a run has the lock."""
        return is_held(self._path)

    def refuse_if_held(self) -> None:
        """Raise `DatabaseBusyError` where a run has the lock."""
        refuse_if_held(self._path)

    def stop_run(self) -> str | None:
        """Signal the process that has the lock."""
        process = holder_of(self._path)
        if process is None:
            return None
        try:
            os.kill(process, signal.SIGHUP)
        except OSError as error:
            told = f"cannot stop process {process}, which crawls into {self._path}: {error.strerror}"
            raise UsageError(told) from error
        return f"process {process}"

    def size_bytes(self) -> int:
        """Of the file and its write-ahead log."""
        files = (self._path, beside(self._path, "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def files(self) -> Sequence[Path]:
        """The file, SQLite's companions, the lock, and what is derived."""
        return [beside(self._path, suffix) for suffix in ("", *COMPANIONS)]

    async def last_options(self) -> dict[str, Any] | None:
        """Read them from the file as it is, of whatever schema."""
        from crawler.storage.sqlite.store import stored_options

        return await stored_options(self._path)

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Open the file, or make it."""
        from crawler.storage.sqlite.store import open_store

        return open_store(self._path)

    def inbox(self, notify: Callable[[str], None]) -> Inbox:
        """The folder of notes beside the file."""
        from crawler.storage.sqlite.inbox import FolderInbox

        return FolderInbox(self._path, notify)

    def leave_note(self, texts: Iterable[str | Seed]) -> int:
        """Leave seeds in that folder."""
        from crawler.storage.sqlite.inbox import leave_note

        return leave_note(self._path, texts)

    async def prune(
        self, *, keep_versions: int = 1, before: float | None = None, vacuum: bool = False, dry_run: bool = False
    ) -> Pruned:
        """Remove old versions and attempts."""
        from crawler.storage.sqlite.prune import prune

        return await prune(self._path, keep_versions=keep_versions, before=before, vacuum=vacuum, dry_run=dry_run)
