"""One crawl at a time for one database. The lock ends with its process, however that ends: it cannot be stale.

It is taken on a file beside the database, never on the database itself: closing a second handle on that would drop
SQLite's own POSIX locks (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import DatabaseBusyError, DatabaseFailedError
from crawler.storage.sqlite.beside import beside
from crawler.storage.sqlite.database import check_file, explained

_TRIES, _PAUSE_S = 10, 0.02  # `is_held` may be asking at that moment; it lets go at once


@contextmanager
def database_lock(database: Path) -> Iterator[None]:
    """Hold the database for this process. Raises `DatabaseBusyError`, within a moment, where another run holds it.

    Raises `DatabaseFailedError`, and leaves nothing behind, where there is something that cannot be a database.
    """
    check_file(database)
    path = _lock_file(database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DatabaseFailedError(f"cannot write beside {database}: {error.strerror}; choose another --db") from error
    try:
        with explained(database):  # some network file systems have no locks, and a full disk takes no number
            _lock(descriptor, database)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def refuse_if_held(database: Path) -> None:
    """Raise `DatabaseBusyError` where a run holds the database: before much is made ready for one that may not run.

    Whoever is let through may still find it held when it takes the lock.
    """
    if is_held(database):
        raise _busy(database, _lock_file(database).read_text(encoding="ascii", errors="replace"))


def is_held(database: Path) -> bool:
    """Whether a run holds the database at this moment.

    Takes a shared lock and lets go of it at once: several may ask at a time, and a run that starts meanwhile tries
    again. Raises `DatabaseFailedError` where the lock's file cannot be read.
    """
    try:
        descriptor = os.open(_lock_file(database), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DatabaseFailedError(f"cannot read {_lock_file(database)}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder_of(database: Path) -> int | None:
    """The process that holds the database; None where none does. Never the number of one that has died holding it."""
    if not is_held(database):
        return None
    holder = _lock_file(database).read_text(encoding="ascii", errors="replace").strip()
    return int(holder) if holder.isdigit() else None


def _lock_file(database: Path) -> Path:
    return beside(database, ".lock")


def _lock(descriptor: int, database: Path) -> None:
    for _ in range(_TRIES):
        if _try_lock(descriptor):
            return
        time.sleep(_PAUSE_S)
    raise _busy(database, os.pread(descriptor, 32, 0).decode(errors="replace"))


def _busy(database: Path, holder: str) -> DatabaseBusyError:
    who = f" (process {holder.strip()})" if holder.strip().isdigit() else ""
    return DatabaseBusyError(f"another run{who} is crawling into {database}; wait for it, or choose another --db")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
