"""A crawl in a PostgreSQL database, copied into a new SQLite file.

Invariants: there is no file of the copy's name before it is whole, verified and on the disk; until then its rows are in
a file beside it, which no command takes for a crawl and one process fills; and what was copied of another state of the
crawl is copied anew.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import asyncpg
import orjson

from crawler.errors import DatabaseBusyError
from crawler.rule_tables import read_rules
from crawler.storage.copying.postgres_crawl import SETTINGS, PostgresCrawl, copied_numbers
from crawler.storage.copying.sqlite_crawl import SqliteCrawl
from crawler.storage.copying.steps import WAITING_SEEDS, Copied, Tell, copy_tables, verify
from crawler.storage.copying.tables import CHANGES, FETCHES, PAGES
from crawler.storage.postgres.connection import connect, explained, shown
from crawler.storage.postgres.database import checked
from crawler.storage.postgres.ids import copied_count
from crawler.storage.postgres.workers import live_workers
from crawler.storage.sqlite.backup import publish, refuse_existing
from crawler.storage.sqlite.companions import COMPANIONS, companion
from crawler.storage.sqlite.database import APPLICATION_ID, open_writer
from crawler.storage.sqlite.database import explained as explained_file
from crawler.storage.sqlite.extracts import view_of
from crawler.storage.sqlite.lock import database_lock

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# What of the schema is made once all rows are there: in a fraction of the time, and without counting rows once more.
_LATER = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
_BEGIN = (
    "CREATE TABLE copy_later (place INTEGER PRIMARY KEY, sql TEXT NOT NULL)",
    "CREATE TABLE copy_progress (name TEXT PRIMARY KEY, upto TEXT, rows INTEGER NOT NULL, digest TEXT NOT NULL,"
    " is_whole INTEGER NOT NULL)",
    "PRAGMA application_id = 0",
)
_STATE = "SELECT upto FROM copy_progress WHERE name = ''"
_SET_STATE = "INSERT INTO copy_progress (name, upto, rows, digest, is_whole) VALUES ('', ?, 0, '0', 0)"

# SQLite's ids of hosts and URLs go by the order in which they were found, as far as it is known.
_HOSTS = "SELECT id FROM hosts ORDER BY part, id"
_URLS = "SELECT id, host_id FROM urls ORDER BY discovered_at, host_id, id"
# And of whatever has been made, or is still referred to, by when that was, in the order of ids in each partition.
_COPIED = "SELECT max(id & 2147483647) FROM ({}) AS x WHERE id >> 43 = 0"
_MADE = """
SELECT id FROM (
    SELECT part, id, max(coalesce(min(at), 0)) OVER (PARTITION BY part ORDER BY id) AS moment FROM ({}) AS x
    GROUP BY part, id
) AS y WHERE id >> 43 > 0 ORDER BY moment, id
"""
_OF_FETCHES = """
SELECT part, id, started_at AS at FROM fetches UNION ALL SELECT part, fetch_id, NULL FROM pages
"""
_OF_PAGES = """
SELECT p.part, p.id, f.started_at AS at FROM pages AS p LEFT JOIN fetches AS f ON f.part = p.part AND f.id = p.fetch_id
UNION ALL SELECT part, page_id, at FROM change_log WHERE page_id IS NOT NULL
"""
_OF_CHANGES = "SELECT part, id, at FROM change_log"
_SOURCES: Mapping[str, str] = {FETCHES: _OF_FETCHES, PAGES: _OF_PAGES, CHANGES: _OF_CHANGES}

_READ = "SELECT rule, read_upto, unread_upto FROM extraction_reads"
_UNREAD = """
SELECT r.rule, min(p.id), max(p.id) FROM extraction_reads AS r
JOIN pages AS p ON p.part = r.part AND p.id > r.read_upto AND p.id <= r.unread_upto GROUP BY r.rule, r.part
"""
_SET_READ = "UPDATE extraction_rules SET read_upto = ?2, unread_upto = ?3 WHERE name = ?1"
_RUNNING = """
SELECT r.id, sum(p.run_pages)::bigint, sum(p.run_requests)::bigint FROM runs AS r JOIN parts AS p ON p.run_id = r.id
WHERE r.ended_at IS NULL GROUP BY r.id
"""
_SET_RUNNING = "UPDATE runs SET pages = ?2, requests = ?3 WHERE id = ?1"
_NOTES = "SELECT count(*) FROM notes"
_NUMBER_AT = "SELECT max(number) FROM temp.copied_change_log WHERE id <= ? AND id >> 31 & 4095 = ?"
_ARRIVED = "SELECT DISTINCT h.id FROM arrivals AS a JOIN hosts AS h ON h.part = a.part AND h.id = a.host_id"
_SET_ARRIVED = """
UPDATE hosts SET
    pending = (SELECT count(*) FROM urls WHERE host_id = hosts.id AND status = 'pending' AND kind <> 'robots'),
    fetched = (SELECT count(*) FROM urls WHERE host_id = hosts.id AND status = 'fetched' AND kind <> 'robots'),
    excluded = (SELECT count(*) FROM urls WHERE host_id = hosts.id AND status = 'excluded' AND kind <> 'robots'),
    failed = (SELECT count(*) FROM urls WHERE host_id = hosts.id AND status = 'failed' AND kind <> 'robots'),
    next_due_at = (SELECT max(min(next_fetch_at), hosts.back_off_until) FROM urls
        WHERE host_id = hosts.id AND next_fetch_at IS NOT NULL)
WHERE id = (SELECT id FROM temp.copied_hosts WHERE made_id = ?)
"""


async def copy_to_sqlite(db: str, path: Path, tell: Tell) -> Copied:
    """Copy the crawl in the database of this URL into a new file.

    Raises `UsageError` if there is one of this name, `DatabaseBusyError` if a run is using the database or another
    process fills the file, else `DatabaseFailedError`. What was copied until then stays, for the next try.
    """
    refuse_existing(path)
    half = path.with_name(f"{path.name}.copying")
    async with _source(db) as (connection, parts):
        with database_lock(half):
            tell("preparing", 0, 0)
            state = await PostgresCrawl(db, connection, copied_numbers).fingerprint()
            await _begin(half, state)
            with explained_file(half), _opened(half) as own:
                target = SqliteCrawl(half, own, parts)
                source = PostgresCrawl(db, connection, _Numbers(target))
                await _number(source, target)
                copied = await copy_tables(source, target, tell)
                await verify(source, target, tell)
                tell("finishing", 0, 0)
                await _finish(source, target)
            await asyncio.to_thread(_complete, half, path)
            return replace(copied, left_out=await _left_out(connection))


@asynccontextmanager
async def _source(db: str) -> AsyncIterator[tuple[_Connection, int]]:
    """Open a connection that sees one state of the crawl; gives it with the number of partitions."""
    with explained(db):
        connection = await connect(db, SETTINGS)
    try:
        with explained(db):
            parts = await checked(connection, db)
            if workers := await live_workers(connection):
                message = f"another run ({', '.join(workers)}) is using {shown(db)}; wait for it, or end it"
                raise DatabaseBusyError(message)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection, parts
    finally:
        connection.terminate()


async def _begin(half: Path, state: str) -> None:
    """Make an empty file, unless there is one that holds a part of this state of the crawl."""
    if _state_of(half) != state:
        _remove(half)
        async with open_writer(half):
            pass
    with explained_file(half), _opened(half) as connection:
        if connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,):
            _mark(connection, state)


def _state_of(half: Path) -> str | None:
    """Of the crawl that is being copied there; None: it has not begun, or the file is damaged."""
    if not half.exists():
        return None
    try:
        with _opened(half) as connection:
            found = connection.execute(_STATE).fetchone()
    except sqlite3.Error:
        return None
    return str(found[0]) if found else None


def _mark(connection: sqlite3.Connection, state: str) -> None:
    """Prepare the file, which no command takes for a crawl database until the copy is whole."""
    later = connection.execute(_LATER).fetchall()
    connection.execute("BEGIN")
    for sql in _BEGIN:
        connection.execute(sql)
    connection.executemany("INSERT INTO copy_later (sql) VALUES (?)", [(sql,) for _kind, _name, sql in later])
    for kind, name, _sql in later:
        connection.execute(f"DROP {kind} {name}")
    connection.execute(_SET_STATE, (state,))
    connection.execute("COMMIT")


@contextmanager
def _opened(half: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(half, check_same_thread=False, isolation_level=None)) as connection:
        connection.executescript("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536")
        yield connection


async def _number(source: PostgresCrawl, target: SqliteCrawl) -> None:
    """SQLite's ids of all that has others in PostgreSQL. The same crawl has the same ones each time."""
    places = itertools.count(1)
    async for rows in source.read(_HOSTS):
        await target.execute_many("INSERT INTO copied_hosts VALUES (?, ?)", [(next(places), *row) for row in rows])
    places = itertools.count(1)
    async for rows in source.read(_URLS):
        await target.execute_many("INSERT INTO copied_urls VALUES (?, ?, ?)", [(next(places), *row) for row in rows])
    await target.execute("CREATE UNIQUE INDEX temp.copied_urls_made ON copied_urls (made_id, host_id)")
    for whose, ids in _SOURCES.items():
        await target.execute(f"CREATE TEMP TABLE copied_{whose} (id INTEGER PRIMARY KEY, number INTEGER NOT NULL)")
        ((copied,),) = await source.fetch(_COPIED.format(ids))
        numbers = itertools.count((copied or 0) + 1)
        async for rows in source.read(_MADE.format(ids)):
            made = [(*row, next(numbers)) for row in rows]
            await target.execute_many(f"INSERT INTO copied_{whose} VALUES (?, ?)", made)  # noqa: S608 - our own names


class _Numbers:
    """Of rows that were copied from SQLite those that they had there, of others those that `_number` gave them."""

    def __init__(self, target: SqliteCrawl) -> None:
        self._target = target

    async def __call__(self, whose: str, ids: Sequence[int]) -> Mapping[int, int]:
        """By id."""
        copied = {row: number for row in ids if (number := copied_count(row)) is not None}
        if len(copied) == len(ids):
            return copied
        sql = f"SELECT id, number FROM copied_{whose} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
        return copied | dict(await self._target.execute(sql, orjson.dumps(ids).decode()))


async def _finish(source: PostgresCrawl, target: SqliteCrawl) -> None:
    """What is made of all rows, and the word that they are whole, in one transaction."""
    await target.execute("BEGIN")
    upto = await _pruned(source, target)
    if upto is not None:
        await target.execute("INSERT INTO change_log_pruned (upto) VALUES (?)", upto)
    for running in await source.fetch(_RUNNING):
        await target.execute(_SET_RUNNING, *running)
    for read in await _read(source, target):
        await target.execute(_SET_READ, *read)
    for (host,) in await source.fetch(_ARRIVED):
        await target.execute(_SET_ARRIVED, host)
    for (sql,) in await target.execute("SELECT sql FROM copy_later ORDER BY place"):
        await target.execute(sql)
    for (definition,) in await target.execute("SELECT definition FROM extraction_rules ORDER BY name"):
        for rule in read_rules([json.loads(definition)]):
            await target.execute(view_of(rule))
    for sql in ("DROP TABLE copy_later", "DROP TABLE copy_progress", f"PRAGMA application_id = {APPLICATION_ID}"):
        await target.execute(sql)
    await target.execute("COMMIT")


async def _read(source: PostgresCrawl, target: SqliteCrawl) -> list[tuple[str, int, int]]:
    """How far the extraction rules have come. Rather than nothing is left out, some pages may be read again."""
    ((newest,),) = await target.execute("SELECT coalesce(max(id), 0) FROM pages")
    places = defaultdict[str, set[tuple[int | None, int | None]]](set)
    for rule, read_upto, unread_upto in await source.fetch(_READ):
        places[rule].add((copied_count(read_upto), copied_count(unread_upto)))
    unread = defaultdict[str, list[int]](list)
    for rule, *span in await source.fetch(_UNREAD):
        unread[rule] += (await source.numbers(PAGES, span)).values()
    rows = list[tuple[str, int, int]]()
    for rule, found in places.items():
        (read, upto), *others = found
        if others or read is None or upto is None:  # not as in the SQLite file that this was copied from
            numbers = unread[rule]
            read, upto = (min(numbers) - 1, max(numbers)) if numbers else (newest, newest)
        rows.append((rule, read, upto))
    return rows


async def _left_out(connection: _Connection) -> Sequence[str]:
    """What only PostgreSQL has a place for, in words."""
    number = await connection.fetchval(_NOTES)
    return [WAITING_SEEDS.format(f"{number:,}")] if number else []


async def _pruned(source: PostgresCrawl, target: SqliteCrawl) -> int | None:
    """The number of the last change of which `prune` may have removed those before."""
    uptos = list[int]()
    for part, upto in await source.fetch("SELECT part, upto FROM change_log_pruned"):
        copied = copied_count(upto)
        ((number,),) = ((copied,),) if copied is not None else await target.execute(_NUMBER_AT, upto, part)
        uptos.append(number or 0)
    return max(uptos, default=None)


def _complete(half: Path, path: Path) -> None:
    """Give it its name. SQLite has removed its log by now, as it does when the last connection is closed."""
    with explained_file(half), _opened(half) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with explained_file(path):
        publish(half, path)
    _remove(half)


def _remove(half: Path) -> None:
    for suffix in ("", *COMPANIONS):
        companion(half, suffix).unlink(missing_ok=True)
