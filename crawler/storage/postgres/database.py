"""The crawl database in a PostgreSQL schema: recognized, or created where there is nothing.

Which schema that is, the connection says (`?search_path=` in the URL, else what the role's is: `public`).
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from importlib.resources import files

import asyncpg

from crawler.errors import DatabaseFailedError, no_crawl_in
from crawler.release import VERSION
from crawler.storage.postgres.connection import Connection, shown
from crawler.storage.postgres.ids import MAX_PARTS, PARTS
from crawler.storage.postgres.views import STORED_MARK, mark, renew_views

SCHEMA = 1  # that this program writes

_META = "SELECT schema, parts, copied_from FROM meta"
_NEW_META = "INSERT INTO meta (id, schema, parts, program) VALUES (1, $1, $2, $3)"
_NEW_PARTS = "INSERT INTO parts (part) SELECT generate_series(0, $1::int - 1)"

# Those of other people: not what an extension has brought.
_TABLES = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname LIMIT 1
"""


# Long texts and links: in a third of the time that the server's own method takes, and as small.
_PACK_BY_LZ4 = """
SELECT format('ALTER TABLE %I ALTER %I SET COMPRESSION lz4', c.relname, a.attname)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname IN ('pages', 'page_links', 'extracts')
    AND c.relkind = 'r' AND a.attnum > 0 AND a.attstorage = 'x' AND NOT a.attisdropped
    AND EXISTS (SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals))
"""


async def prepared(connection: Connection, db: str, parts: int | None = None, *, is_copied: bool = False) -> int:
    """Create the crawl database where there is nothing, or renew its views; returns its number of partitions.

    `parts`: as many are asked for; None: as many as there are, `PARTS` in a new one. `is_copied`: it may be half of a
    copy, with which the caller goes on. Raises `DatabaseFailedError` where something else is stored there, or with
    another number of partitions.
    """
    found = await _parts(connection, db, is_copied=is_copied)
    if found is None:
        await _check_encoding(connection, db)
        with suppress(asyncpg.DuplicateTableError, asyncpg.UniqueViolationError):  # another process was quicker
            await _create(connection, PARTS if parts is None else parts)
        found = await checked(connection, db)
    if parts is not None and parts != found:
        raise DatabaseFailedError(f"{shown(db)} has {found} partitions, and never another number ({parts} are wanted)")
    if await connection.fetchval(STORED_MARK) != mark():
        await _renew_views(connection)
    return found


async def checked(connection: Connection, db: str) -> int:
    """The number of partitions of the crawl database that is there. Raises `NoCrawlError` if there is none."""
    found = await _parts(connection, db)
    if found is None:
        raise no_crawl_in(shown(db))
    return found


async def _parts(connection: Connection, db: str, *, is_copied: bool = False) -> int | None:
    """None where nothing is stored."""
    here = shown(db)
    other = DatabaseFailedError(f"{here} is not a crawl database: name another, or another schema by ?search_path=")
    try:
        rows = await connection.fetch(_META)
    except asyncpg.UndefinedTableError:
        table = await connection.fetchval(_TABLES)
        if table is None:
            return None
        raise other from None
    except asyncpg.UndefinedColumnError:
        raise other from None
    if len(rows) != 1 or not 0 < rows[0]["parts"] <= MAX_PARTS:
        raise other
    schema, parts, copied_from = rows[0]
    if schema > SCHEMA:
        raise DatabaseFailedError(f"{here} was written by a newer version of crawler; upgrade crawler")
    if schema < SCHEMA:
        raise DatabaseFailedError(f"{here} has an older schema; `crawler crawl --db {here}` upgrades it")
    if copied_from is not None and not is_copied:
        again = shlex.join(["crawler", "copy", copied_from, here])
        raise DatabaseFailedError(f"{here} is only half of a copy of {copied_from}; `{again}` goes on with it")
    return int(parts)


async def _renew_views(connection: Connection) -> None:
    """Those of another version of this program; who asks for them meanwhile waits."""
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM meta FOR UPDATE")  # one process after the other
        await connection.execute(renew_views())


async def _check_encoding(connection: Connection, db: str) -> None:
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise DatabaseFailedError(
            f"{shown(db)} keeps texts as {encoding}, which lacks most letters; make one in UTF8:"
            " createdb -E UTF8 -T template0"
        )


async def _create(connection: Connection, parts: int) -> None:
    """In one transaction. Its first statement makes all others wait that try the same, and fail after it."""
    if parts & (parts - 1) or not 0 < parts <= MAX_PARTS:
        raise ValueError(f"{parts} partitions: a power of two up to {MAX_PARTS} is needed")
    async with connection.transaction():
        await connection.execute(files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
        for (statement,) in await connection.fetch(_PACK_BY_LZ4):
            await connection.execute(statement)
        await connection.execute(renew_views())
        await connection.execute(_NEW_META, SCHEMA, parts, VERSION)
        await connection.execute(_NEW_PARTS, parts)
