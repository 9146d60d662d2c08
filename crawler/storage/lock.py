"""One crawl at a time for one database. The lock ends with its process, however that ends: it cannot be stale.

It is taken on a file beside the database, never on the database itself: closing a second handle on that would drop
SQLite's own POSIX locks (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import DatabaseBusyError, DatabaseFailedError


@contextmanager
def database_lock(database: Path) -> Iterator[None]:
    """Hold the database for this process. Raises `DatabaseBusyError` at once where another run holds it."""
    path = database.with_name(database.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DatabaseFailedError(f"cannot write beside {database}: {error.strerror}; choose another --db") from error
    try:
        _lock(descriptor, database)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        who = f" (process {holder})" if holder.isdigit() else ""
        raise DatabaseBusyError(
            f"another run{who} is crawling into {database}; wait for it, or choose another --db"
        ) from None
