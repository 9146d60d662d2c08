"""A crawl in a SQLite file, copied into a PostgreSQL database.

Invariants: until the copy is whole, `meta.copied_from` says so, and every other command refuses the database; one
process fills it at a time; and what was copied of another state of the crawl is copied anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from crawler.errors import DatabaseBusyError, UsageError
from crawler.rule_tables import read_rules
from crawler.storage.copying.postgres_crawl import SETTINGS, PostgresCrawl, copied_numbers
from crawler.storage.copying.sqlite_crawl import SqliteCrawl
from crawler.storage.copying.steps import WAITING_SEEDS, Copied, Tell, copy_tables, verify
from crawler.storage.copying.tables import TABLES
from crawler.storage.postgres.connection import connect, explained, shown
from crawler.storage.postgres.database import prepared
from crawler.storage.postgres.extracts import view_of
from crawler.storage.postgres.ids import id_of, part_of, row_id
from crawler.storage.sqlite.database import explained as explained_file
from crawler.storage.sqlite.database import open_reader, read_only_uri
from crawler.storage.sqlite.inbox import FolderInbox
from crawler.storage.sqlite.lock import refuse_if_held

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_IS_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM runs) AND NOT EXISTS (SELECT 1 FROM hosts)"
_OWN_TABLES = """
CREATE TABLE copy_progress (name text PRIMARY KEY, upto text, rows bigint NOT NULL, digest text NOT NULL,
    is_whole smallint NOT NULL);
CREATE TABLE copy_indexes (name text PRIMARY KEY, sql text NOT NULL);
"""
# Those of no constraint are made once all rows are there, which takes a fraction of the time.
_KEEP_INDEXES = """
INSERT INTO copy_indexes SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid
WHERE i.relnamespace = current_schema()::regnamespace AND NOT x.indisunique AND t.relname = ANY($1) RETURNING name
"""
_STATE = "SELECT upto FROM copy_progress WHERE name = ''"
_SET_STATE = """
INSERT INTO copy_progress (name, upto, rows, digest, is_whole) VALUES ('', $1, 0, '0', 0)
ON CONFLICT (name) DO UPDATE SET upto = excluded.upto
"""

# A run that was killed goes on: its partitions count what is stored of their hosts.
_SET_COUNTS = """
UPDATE parts SET run_id = v.run_id, run_pages = v.pages, run_requests = v.requests FROM (
    SELECT h.part, r.id AS run_id, sum(h.run_pages) AS pages, sum(h.run_requests) AS requests
    FROM runs AS r JOIN hosts AS h ON h.run_id = r.id WHERE r.ended_at IS NULL GROUP BY h.part, r.id
) AS v WHERE parts.part = v.part
"""
_SET_DOMAIN = "INSERT INTO domains (part, domain, hosts) VALUES ($1, $2, $3)"
_SET_MAX_PAGES = """
UPDATE runs SET max_pages = (options::json #>> '{scope,max_pages}')::bigint WHERE ended_at IS NULL
"""
_SET_READ = "INSERT INTO extraction_reads (part, rule, read_upto, unread_upto) VALUES ($1, $2, $3, $4)"
_SET_PRUNED = "INSERT INTO change_log_pruned (part, upto) VALUES ($1, $2)"

# What only SQLite has a place for, in words.
_LEFT_OUT = {
    "SELECT count(*) FROM checks": "the links that were only checked (`--check`): {} of them",
    "SELECT count(*) FROM warc_files": "what it knows of its WARC files (`--warc`): {} of them, which stay as they are",
}


async def copy_to_postgres(path: Path, db: str, tell: Tell) -> Copied:
    """Copy the crawl in the file into the database of this URL.

    Raises `UsageError` if a crawl is there already, `DatabaseBusyError` if a run is using the file or another process
    fills the database, else `DatabaseFailedError`. What was copied until then stays, for the next try.
    """
    refuse_if_held(path)
    async with open_reader(path):
        pass  # it says what is wrong with the file
    async with _being_filled(path, db) as (connection, guard, parts):
        with _snapshot(path) as snapshot:
            source, target = SqliteCrawl(path, snapshot, parts), PostgresCrawl(db, connection, copied_numbers)
            await _forget_other_state(source, target)
            tell("preparing", 0, 0)
            await source.make_ids()
            copied = await copy_tables(source, target, tell)
            await verify(source, target, tell)
            tell("finishing", 0, 0)
            with explained(db):
                await _finish(source, guard, parts)
            return replace(copied, left_out=await _left_out(path, source))


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    with explained_file(path):
        uri = read_only_uri(path)
        with closing(sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM runs").fetchall()  # it begins here
            yield connection


@asynccontextmanager
async def _being_filled(path: Path, db: str) -> AsyncIterator[tuple[_Connection, _Connection, int]]:
    """Two connections to a database that is this process's, and the number of its partitions.

    The second has a transaction open that keeps others out, and ends what is done in it when all is well.
    """
    with explained(db):
        connection = await connect(db, SETTINGS)
        guard = await connect(db, SETTINGS)
    try:
        with explained(db):
            parts = await prepared(connection, db, is_copied=True)
            async with connection.transaction():
                await _begin(connection, path, db)
            async with guard.transaction():
                try:
                    await guard.execute("LOCK TABLE copy_progress IN SHARE UPDATE EXCLUSIVE MODE NOWAIT")
                except asyncpg.LockNotAvailableError:
                    message = f"another process is copying a crawl into {shown(db)}; wait for it"
                    raise DatabaseBusyError(message) from None
                yield connection, guard, parts
            await connection.execute("ANALYZE")
    finally:
        guard.terminate()
        connection.terminate()


async def _begin(connection: _Connection, path: Path, db: str) -> None:
    """Mark the database as one that is being filled, unless it is one."""
    if await connection.fetchval("SELECT copied_from FROM meta FOR UPDATE") is not None:
        return
    if not await connection.fetchval(_IS_EMPTY):
        raise UsageError(f"{shown(db)} has a crawl already; name another database, or another schema by ?search_path=")
    await connection.execute(_OWN_TABLES)
    for (name,) in await connection.fetch(_KEEP_INDEXES, [table.name for table in TABLES]):
        await connection.execute(f"DROP INDEX {name}")
    await connection.execute("UPDATE meta SET copied_from = $1", _named(path))


def _named(path: Path) -> str:
    """So that it is found from any folder."""
    return str(path.absolute())


async def _forget_other_state(source: SqliteCrawl, target: PostgresCrawl) -> None:
    """What is there of another state of the crawl, which has gone on since, or of another crawl."""
    state = await source.fingerprint()
    found = await target.fetch(_STATE)
    if found and found[0][0] != state:
        await target.fetch("DELETE FROM copy_progress")
        await target.fetch(f"TRUNCATE {', '.join(table.name for table in TABLES)}")
    await target.fetch(_SET_STATE, state)


async def _finish(source: SqliteCrawl, guard: _Connection, parts: int) -> None:
    """What is made of all rows, and the word that they are whole, in one transaction."""
    await guard.execute(_SET_COUNTS)
    await guard.execute(_SET_MAX_PAGES)
    await guard.executemany(_SET_DOMAIN, await _domains(source, parts))
    await guard.executemany(_SET_PRUNED, await _pruned(source, parts))
    await guard.executemany(_SET_READ, await _read(source, parts))
    for (definition,) in await source.execute("SELECT definition FROM extraction_rules ORDER BY name"):
        for rule in read_rules([json.loads(definition)]):
            await guard.execute(view_of(rule))
    for (sql,) in await guard.fetch("SELECT sql FROM copy_indexes ORDER BY name"):
        await guard.execute(sql)
    await guard.execute("SET LOCAL synchronous_commit = on")
    await guard.execute("DROP TABLE copy_progress, copy_indexes; UPDATE meta SET copied_from = NULL")


async def _domains(source: SqliteCrawl, parts: int) -> list[tuple[Any, ...]]:
    rows = await source.execute("SELECT domain, count(*) FROM hosts WHERE domain IS NOT NULL GROUP BY domain")
    return [(part_of(id_of(domain), parts), domain, hosts) for domain, hosts in rows]


async def _pruned(source: SqliteCrawl, parts: int) -> list[tuple[int, int]]:
    """What was removed may have been of any partition."""
    ((upto,),) = await source.execute("SELECT max(upto) FROM change_log_pruned")
    return [] if upto is None else [(part, row_id(part, 0, upto)) for part in range(parts)]


async def _read(source: SqliteCrawl, parts: int) -> list[tuple[Any, ...]]:
    """How far the extraction rules have come, in any partition."""
    rows = await source.execute("SELECT name, read_upto, unread_upto FROM extraction_rules")
    return [
        (part, name, row_id(part, 0, read), row_id(part, 0, unread))
        for name, read, unread in rows
        for part in range(parts)
    ]


async def _left_out(path: Path, source: SqliteCrawl) -> Sequence[str]:
    numbers = {what: (await source.execute(sql))[0][0] for sql, what in _LEFT_OUT.items()}
    numbers[WAITING_SEEDS] = len([None async for _note in FolderInbox(path, lambda _line: None).notes()])
    return [what.format(f"{number:,}") for what, number in numbers.items() if number]
