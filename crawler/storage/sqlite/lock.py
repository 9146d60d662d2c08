"""At most one crawl per database. The lock is released when its process ends, however that ends: it is never stale.

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
from crawler.storage.sqlite.companions import companion
from crawler.storage.sqlite.database import check_file, explained

_TRIES, _PAUSE_S = 10, 0.02  # `is_held` may hold the lock for an instant


@contextmanager
def database_lock(database: Path) -> Iterator[None]:
    """Hold the database for this process. Raises `DatabaseBusyError`, within 0.2 s, if another run holds it.

    Raises `DatabaseFailedError`, and creates nothing, if what is there cannot be a database.
    """
    check_file(database)
    path = _lock_file(database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DatabaseFailedError(f"cannot create {path}: {error.strerror}; choose another --db") from error
    try:
        with explained(database):  # some network file systems lack locks, and a full disk has no space for the number
            _lock(descriptor, database)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def refuse_if_held(database: Path) -> None:
    """Raise `DatabaseBusyError` if a run holds the database: an early check, before the work of starting a run.

    The lock may still be held when the caller takes it.
    """
    if is_held(database):
        raise _busy(database, _lock_file(database).read_text(encoding="ascii", errors="replace"))


def is_held(database: Path) -> bool:
    """Whether a run holds the database right now.

    Takes a shared lock and releases it at once, so several processes may ask at a time, and a run that starts meanwhile
    tries again. Raises `DatabaseFailedError` if the lock file cannot be read.
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
    """The id of the process that holds the database; None if there is none, even if a dead one left its number."""
    if not is_held(database):
        return None
    holder = _lock_file(database).read_text(encoding="ascii", errors="replace").strip()
    return int(holder) if holder.isdigit() else None


def _lock_file(database: Path) -> Path:
    return companion(database, ".lock")


def _lock(descriptor: int, database: Path) -> None:
    for _ in range(_TRIES):
        if _try_lock(descriptor):
            return
        time.sleep(_PAUSE_S)
    raise _busy(database, os.pread(descriptor, 32, 0).decode(errors="replace"))


def _busy(database: Path, holder: str) -> DatabaseBusyError:
    who = f" (process {holder.strip()})" if holder.strip().isdigit() else ""
    return DatabaseBusyError(f"another run{who} is using {database}; wait for it, or choose another --db")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
