"""Runs a statement that a program or a stranger wrote, and lets it do nothing but read this one database, for a while.

Invariants: it reads through a connection that cannot write, and whose authorizer allows reading rows and calling
functions, and nothing else (no ATTACH, PRAGMA, temporary table or extension). It ends at its deadline, no value that it
makes is longer than a limit, and what is returned is bounded in rows and bytes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from crawler.archive.reading import open_archive
from crawler.errors import UsageError
from crawler.statically_frozen import dataclass
from crawler.storage.sqlite.database import read_only_uri
from crawler.storage.sqlite.views import STORED_VIEWS, are_outdated, temporary_views

_READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)  # https://sqlite.org/c3ref/c_alter_table.html
_MAX_STATEMENT_BYTES = 100_000
_MAX_VALUE_BYTES = 16 * 1024 * 1024  # of a text or blob, also of one that is only on its way to the answer
_MAX_COMPOUND = 50  # SELECTs that UNION and its kin combine
_TABLES_OF_FUNCTIONS = ("json_each", "json_tree")  # SQLite makes one when it is first read, which is no reading
_REFUSALS = ("not authorized", "authorization denied", "prohibited", "attached")  # in SQLite's words
_COMPILE_S = 10.0
_STEPS = 10_000  # of SQLite's virtual machine (about a millisecond) between two looks at the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a statement gave. `cut`: there was more than was asked for, or than fits."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    cut: bool


async def run_foreign_sql(path: Path, sql: str, *, max_rows: int, max_bytes: int, max_s: float) -> Rows:
    """The rows of one SELECT, at most `max_rows` of them and `max_bytes` of texts and blobs, within `max_s` seconds.

    Raises `UsageError` if the statement is wrong, does anything but read, or takes too long, and `DatabaseFailedError`
    if there is no crawl database at `path`.
    """
    async with open_archive(path):
        pass  # it is a crawl database, and one that this program can read
    try:
        return await asyncio.to_thread(_run, path, sql, max_rows, max_bytes, time.monotonic() + max_s)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise UsageError(_explanation(error, max_s)) from error


def check_condition(path: Path, view: str, condition: str) -> None:
    """Raise `UsageError` unless `condition` can stand, in two pairs of brackets, in the WHERE of a query of that view,
    and does nothing but read. It is compiled, and not run.

    One that closes the brackets around it and goes on may pass with one pair or with two, but not with both. `path` is
    a crawl database that this program can read.
    """
    try:
        with closing(_connected(path, time.monotonic() + _COMPILE_S)) as connection:
            for text in (f"({condition}\n)", f"(({condition}\n))"):
                connection.execute(f"EXPLAIN SELECT 1 FROM {view} WHERE {text}")  # noqa: S608 - it is guarded
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise UsageError(_explanation(error, _COMPILE_S)) from error


def _run(path: Path, sql: str, max_rows: int, max_bytes: int, deadline: float) -> Rows:
    with closing(_connected(path, deadline)) as connection:
        return _read(connection.execute(sql), max_rows, max_bytes)


def _connected(path: Path, deadline: float) -> sqlite3.Connection:
    connection = sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None)
    if are_outdated(connection.execute(STORED_VIEWS)):
        connection.executescript(temporary_views())
    _guard(connection, deadline)
    return connection


def _guard(connection: sqlite3.Connection, deadline: float) -> None:
    for name in _TABLES_OF_FUNCTIONS:
        connection.execute(f"SELECT 1 FROM {name}('[]')")  # noqa: S608 - our own names
    connection.execute("PRAGMA query_only = 1")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _MAX_STATEMENT_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, _MAX_COMPOUND)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    connection.set_authorizer(_authorize)


def _authorize(action: int, _first: str | None, second: str | None, _database: str | None, _view: str | None) -> int:
    allowed = action in _READING and not (action == sqlite3.SQLITE_FUNCTION and second == "load_extension")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _read(cursor: sqlite3.Cursor, max_rows: int, max_bytes: int) -> Rows:
    if cursor.description is None:
        raise ValueError("there is no statement in it")
    columns = [column[0] for column in cursor.description]
    rows: list[Sequence[Any]] = []
    size = 0
    for row in cursor:
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(rows) == max_rows or size > max_bytes:
            return Rows(columns=columns, rows=rows, cut=True)
        rows.append(row)
    return Rows(columns=columns, rows=rows, cut=False)


def _explanation(error: Exception, max_s: float) -> str:
    if "interrupted" in str(error):
        return f"the statement took longer than {max_s:g} s; ask for less, or by an index (`urls.url` has one)"
    if any(word in str(error) for word in _REFUSALS):
        return f"only reading is allowed: one SELECT on the views and tables of this database ({error})"
    return f"the statement cannot be run: {error}"
