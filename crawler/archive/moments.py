"""Moments of a crawl that can be compared: the ends of its runs, and times."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiosqlite

from crawler.archive.reading import Reader, reader_of
from crawler.errors import UsageError
from crawler.statically_frozen import dataclass
from crawler.storage.sqlite.database import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment of the crawl: the log had come to `change_id`, and a version was stored if the attempt that fetched it
    has a `column` of at most `value`. `run_id` is the run that had ended, or was under way. `is_newest`: it is now.
    """

    change_id: int
    column: str
    value: float
    run_id: int | None = None
    is_newest: bool = False

    @classmethod
    def beginning(cls) -> Moment:
        """Before the first run."""
        return cls(change_id=0, column="run_id", value=0)


_NEWEST_RUNS = "SELECT id FROM runs ORDER BY id DESC LIMIT 2"
_RUNS = "SELECT min(id), max(id) FROM runs"
_UPTO_RUN = "SELECT coalesce((SELECT id FROM change_log WHERE run_id <= ? ORDER BY id DESC LIMIT 1), 0)"
# The first one later: those before it may lie a moment further back, since a commit holds many visits.
_UPTO_TIME = """
SELECT coalesce((SELECT min(id) - 1 FROM change_log WHERE at > ?1), (SELECT max(id) FROM change_log), 0),
    (SELECT max(id) FROM runs WHERE started_at <= ?1)
"""
_NEWEST_CHANGE = "SELECT coalesce(max(id), 0) FROM change_log"


def snapshot(path: Path, connection: aiosqlite.Connection) -> AbstractAsyncContextManager[None]:
    """Whatever is read within sees the file as it was when the first of it was read, also while a crawl runs."""
    return reader_of(path, connection).snapshot()


async def after_run(path: Path, connection: aiosqlite.Connection, run_id: int) -> Moment:
    """The end of a run; of one under way, now. Raises `UsageError` if there is no such run."""
    newest = await check_run(reader_of(path, connection), run_id)
    with explained(path):
        return await _after_run(connection, run_id, newest)


async def check_run(reader: Reader, run_id: int) -> int:
    """Raise `UsageError`, which says which runs there are, if there is no such run; else returns the newest one."""
    ((oldest, newest),) = await reader.fetch(_RUNS)
    if not (newest and 1 <= run_id <= newest):
        raise UsageError(f"{reader.db} has no run {run_id}; {_those(oldest, newest)} (`crawler status` lists the last)")
    return int(newest)


def _those(oldest: int | None, newest: int | None) -> str:
    if oldest is None:
        return "no run is stored"
    return f"there is only run {oldest}" if oldest == newest else f"there are runs {oldest} to {newest}"


async def last_two_runs(path: Path, connection: aiosqlite.Connection) -> tuple[Moment, Moment]:
    """The end of the run before the newest one, and now; where there is but one, the beginning and now."""
    with explained(path):
        ids = [row[0] for row in await connection.execute_fetchall(_NEWEST_RUNS)]
        newest = ids[0] if ids else 0
        before = await _after_run(connection, ids[1], newest) if len(ids) > 1 else Moment.beginning()
        return before, await _after_run(connection, newest, newest)


async def at_time(path: Path, connection: aiosqlite.Connection, moment: float) -> Moment:
    """A time (Unix seconds)."""
    with explained(path):
        ((change_id, run_id),) = await connection.execute_fetchall(_UPTO_TIME, (moment,))
        return Moment(change_id=change_id, column="started_at", value=moment, run_id=run_id)


async def _after_run(connection: aiosqlite.Connection, run_id: int, newest: int) -> Moment:
    sql, parameters = (_NEWEST_CHANGE, ()) if run_id == newest else (_UPTO_RUN, (run_id,))
    ((change_id,),) = await connection.execute_fetchall(sql, parameters)
    return Moment(change_id=change_id, column="run_id", value=run_id, run_id=run_id or None, is_newest=run_id == newest)
