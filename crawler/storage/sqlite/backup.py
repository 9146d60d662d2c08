"""A copy of a database, made while a crawl may be writing to it.

Invariants: the copy is one snapshot, since one read transaction lasts for as long as the copying does; the database is
only read; and there is no file of the copy's name before it is whole, verified and on the disk.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import aiosqlite

from crawler.errors import DatabaseFailedError, UsageError
from crawler.storage.sqlite.database import explained, open_reader
from crawler.temporary import temporary_file

_PREFIX = ".crawler-backup."  # of the copy's name, until it has its own
_PAGES = 1024  # copied in one step, after which progress is told: 4 MiB


async def backup(path: Path, copy: Path, progress: Callable[[int, int], None]) -> int:
    """See `interface.Database.backup`. Raises `UsageError` for the place of the copy, else `DatabaseFailedError`."""
    async with open_reader(path, any_schema=True) as source:
        with _new_file(copy, original=path) as temporary:
            with explained(path):
                page_size = await _begin_snapshot(source)
            with explained(copy), closing(_open_unjournaled(temporary)) as target:
                await _copy(source, target, page_size, progress)
            await asyncio.to_thread(_verify, temporary, path)
            return temporary.stat().st_size


async def _begin_snapshot(source: aiosqlite.Connection) -> int:
    """Returns the size of a page."""
    await source.execute("BEGIN")
    await source.execute_fetchall("SELECT count(*) FROM sqlite_schema")  # the snapshot begins here
    ((page_size,),) = await source.execute_fetchall("PRAGMA page_size")
    return int(page_size)


async def _copy(
    source: aiosqlite.Connection, target: sqlite3.Connection, page_size: int, progress: Callable[[int, int], None]
) -> None:
    given_up = False

    def tell(_status: int, remaining: int, total: int) -> None:
        if given_up:
            raise InterruptedError  # in the thread that copies, which nothing else can stop
        progress((total - remaining) * page_size, total * page_size)

    copying = asyncio.ensure_future(source.backup(target, pages=_PAGES, progress=tell))
    try:
        await asyncio.shield(copying)
    except asyncio.CancelledError:
        given_up = True
        with suppress(InterruptedError):
            await copying
        raise


@contextmanager
def _new_file(path: Path, original: Path) -> Iterator[Path]:
    """A temporary file that gets its name once it is written, and is removed if that fails.

    Nobody may read the copy who may not read the original.
    """
    refuse_existing(path)
    with ExitStack() as until_published:
        try:
            mode = original.stat().st_mode & 0o777
            temporary = until_published.enter_context(temporary_file(path.parent, _PREFIX, mode))
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        yield temporary
        with explained(path):
            publish(temporary, path)


def refuse_existing(path: Path) -> None:
    """Raise `UsageError` if there is something of that name."""
    if path.exists() or path.is_symlink():
        raise _exists(path)


def publish(temporary: Path, path: Path) -> None:
    """Give a whole file its name, unless somebody else has taken that meanwhile; where there are no hard links, look
    again. Raises `UsageError`, `OSError`.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        if path.exists():
            raise _exists(path) from None
        temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _exists(path: Path) -> UsageError:
    kind = (
        "is a folder; name a file in it" if path.is_dir() else "already exists; name another file, or remove it first"
    )
    return UsageError(f"{path} {kind}")


def _open_unjournaled(path: Path) -> sqlite3.Connection:
    """If we are killed, the file is of no use anyway. SQLite need not lock what nobody else opens, and on macOS could
    not: there, our own lock keeps it out.
    """
    uri = f"{path.absolute().as_uri()}?nolock=1"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    return connection


def _verify(temporary: Path, original: Path) -> None:
    """Raise `DatabaseFailedError` unless the copy is sound. Pages are copied as they are, damaged ones included."""
    with (
        explained(original),
        closing(sqlite3.connect(f"{temporary.absolute().as_uri()}?immutable=1", uri=True)) as copy,
    ):
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DatabaseFailedError(
            f"{original} is damaged ({found}), so no copy was kept; save what is readable with `sqlite3 FILE .recover`"
        )
