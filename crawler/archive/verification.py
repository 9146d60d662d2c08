"""Whether a crawl database is sound: SQLite's own structures, and everything that this program relies on.

Invariants: nothing is written; all checks but the last see one snapshot, so they agree with each other also while a
crawl runs; what is held in memory does not grow with the database; what is damaged is a finding, never an exception.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, closing
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import aiosqlite

from crawler.archive.derived import APPLICATION_ID, derived_file, inode_of
from crawler.bodies import damage
from crawler.location import Location
from crawler.records import UrlKind, UrlStatus
from crawler.statically_frozen import dataclass
from crawler.storage.location import with_driver
from crawler.storage.sqlite.database import connect, explained, open_reader, read_only_uri
from crawler.urls import host_of

_EXAMPLES = 10  # of what is wrong, of each check
_ROWS = 256  # read at once
_BODIES = 16  # which may have some megabytes each
_PATIENCE_S = 10.0
_IN_DERIVED = "derived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one check has found: it looked at `rows`, of which `wrong` are not as they should be, some of them told in
    `examples`. `is_damage`: these are damage to the crawl; what is only derived from it can be made anew.
    """

    name: str
    rows: int
    wrong: int
    examples: tuple[str, ...]
    is_damage: bool


Findings: TypeAlias = AsyncGenerator[str | int, None]  # a text for each row that is wrong, and numbers of rows


async def verify(db: Location, begin: Callable[[str], None] = lambda _name: None) -> AsyncGenerator[Checked, None]:
    """Make all checks, one after the other; `begin` is told the name of each before it is made.

    Raises `DatabaseFailedError` if there is no crawl database of this version.
    """
    if isinstance(db, Path):
        checks = _of_file(db, begin)
    else:
        with with_driver(db):
            from crawler.archive.postgres_verification import verify as verify_postgres

        checks = verify_postgres(db, begin)
    async with aclosing(checks):
        async for found in checks:
            yield found


async def _of_file(path: Path, begin: Callable[[str], None]) -> AsyncGenerator[Checked, None]:
    async with open_reader(path) as connection:
        with explained(path):
            await connection.create_function("host_of", 1, host_of, deterministic=True)
        try:
            with explained(path):
                await connection.execute("BEGIN")
            for name, check in _CHECKS.items():
                begin(name)
                found = await checked(name, check(connection))
                yield found
                if check is _structure and not found.rows:
                    return  # SQLite can read nothing of it, and would say so again for each check
        finally:
            await connection.interrupt()  # a check that nobody waits for any more may have minutes to go
    if inode_of(derived_file(path)) is not None:
        begin(_IN_DERIVED)
        yield await checked(_IN_DERIVED, _derived(path))


async def checked(name: str, findings: AsyncIterator[str | int]) -> Checked:
    """Of a check, which gives the number of rows that it has looked at, and a text for each that is wrong."""
    rows = wrong = 0
    examples: list[str] = []
    try:
        async for found in findings:
            if isinstance(found, int):
                rows += found
            else:
                wrong += 1
                examples += [found] if len(examples) < _EXAMPLES else []
    except (sqlite3.Error, OSError, UnicodeError) as error:
        wrong += 1
        examples.append(f"cannot be read to the end: {error}")
    return Checked(
        name=name, rows=rows, wrong=wrong, examples=tuple(examples), is_damage=wrong > 0 and name != _IN_DERIVED
    )


_Check = Callable[[aiosqlite.Connection], AsyncIterator[str | int]]


def _questions(table: str, *statements: str) -> _Check:
    """A check by SQL: each statement gives a text for each row that is wrong."""

    async def check(connection: aiosqlite.Connection) -> AsyncIterator[str | int]:
        yield await _number(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        for statement in statements:
            async for row in _each(connection, statement):
                yield str(row[0])

    return check


async def _structure(connection: aiosqlite.Connection) -> AsyncIterator[str | int]:
    """SQLite's own: pages, trees, indexes, constraints."""
    yield await _number(connection, "PRAGMA page_count")
    async for row in _each(connection, "PRAGMA integrity_check"):
        if row[0] != "ok":
            for line in str(row[0]).splitlines():
                yield line


async def _schema(connection: aiosqlite.Connection) -> AsyncIterator[str | int]:
    """Tables, indexes and triggers. Without one, the program would be slow, or its counts wrong."""
    source = files("crawler.storage.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(source)
        wanted = {(kind, name): _plain(sql) for kind, name, sql in model.execute(_STATEMENTS)}
    found = {(kind, name): _plain(sql) async for kind, name, sql in _each(connection, _STATEMENTS)}
    yield len(wanted)
    for (kind, name), sql in wanted.items():
        if (kind, name) not in found:
            yield f"the {kind} {name} is missing"
        elif found[kind, name] != sql:
            yield f"the {kind} {name} is not as this version makes it"


_STATEMENTS = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'index', 'trigger') AND sql NOT NULL"


def _plain(sql: str) -> str:
    """Without comments and white space, which migrated databases have otherwise."""
    return re.sub(r'[\s"]+', "", re.sub(r"--[^\n]*", "", sql))


_REFERRING = """
SELECT name FROM sqlite_schema WHERE type = 'table' AND EXISTS (SELECT 1 FROM pragma_foreign_key_list(name))
"""


async def _references(connection: aiosqlite.Connection) -> AsyncIterator[str | int]:
    """Links, pages, attempts and the rest name rows that are there."""
    async for (table,) in _each(connection, _REFERRING):
        yield await _number(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - the schema's names
    async for table, row_id, parent, _number_of_key in _each(connection, "PRAGMA foreign_key_check"):
        row = "a row" if row_id is None else f"row {row_id}"
        yield f"{row} of {table} names one of {parent} that is not there"


async def _bodies(connection: aiosqlite.Connection) -> AsyncIterator[str | int]:
    """Each can be unpacked, has its size, and is what its hash says."""
    async for row_id, digest, size, packed in _each(connection, "SELECT rowid, hash, size, zstd FROM bodies", _BODIES):
        yield 1
        if (why := damage(digest, size, packed)) is not None:
            yield f"body {digest.hex() if isinstance(digest, bytes) else row_id} {why}"


async def _derived(path: Path) -> AsyncIterator[str | int]:
    """The file beside the database, as far as SQLite can tell."""
    connection = await connect(read_only_uri(derived_file(path)), uri=True, patience_s=_PATIENCE_S)
    try:
        yield await _number(connection, "PRAGMA page_count")
        if await _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            yield "was not made by this program"
        async for row in _each(connection, "PRAGMA quick_check"):
            if row[0] != "ok":
                yield str(row[0])
    finally:
        await connection.close()


async def _number(connection: aiosqlite.Connection, sql: str) -> int:
    rows = list(await connection.execute_fetchall(sql))
    return int(rows[0][0])


async def _each(connection: aiosqlite.Connection, sql: str, at_once: int = _ROWS) -> AsyncIterator[Any]:
    async with connection.execute(sql) as cursor:
        while rows := list(await cursor.fetchmany(at_once)):
            for row in rows:
                yield row


def words(of: type[UrlStatus] | type[UrlKind]) -> str:
    """A list of texts in SQL."""
    return ", ".join(f"'{word}'" for word in of)


_URLS = (
    f"""
    SELECT 'URL ' || url || ' has an unknown status or kind: ' || status || ', ' || kind FROM urls
    WHERE status NOT IN ({words(UrlStatus)}) OR kind NOT IN ({words(UrlKind)})
    """,  # noqa: S608 - our own words
    """
    SELECT 'URL ' || u.url || ' belongs to the host ' || h.name FROM urls AS u JOIN hosts AS h ON h.id = u.host_id
    WHERE host_of(u.url) <> h.name
    """,
    """
    SELECT 'URL ' || u.url || ' names a version that ' || iif(p.id IS NULL, 'is not there', 'is of another URL')
    FROM urls AS u LEFT JOIN pages AS p ON p.id = u.page_id WHERE u.page_id IS NOT NULL AND p.url_id IS NOT u.id
    """,
    """
    SELECT 'URL ' || url || ' is pending, and nothing is planned' FROM urls
    WHERE status = 'pending' AND kind = 'page' AND next_fetch_at IS NULL
    """,
    """
    SELECT 'URL ' || url || ' is excluded, and to be fetched' FROM urls
    WHERE status = 'excluded' AND next_fetch_at IS NOT NULL
    """,
)
_COUNTED = f"""
WITH counted AS MATERIALIZED (
    SELECT host_id, {", ".join(f"sum(status = '{status}') AS {status}" for status in UrlStatus)}
    FROM urls WHERE kind <> 'robots' GROUP BY host_id
)
"""  # noqa: S608 - our own words
_HOSTS = (
    _COUNTED
    + " UNION ALL ".join(
        f"SELECT 'host ' || h.name || ' counts ' || h.{status} || ' URLs that are {status}, and has '"  # noqa: S608
        f" || coalesce(c.{status}, 0) FROM hosts AS h LEFT JOIN counted AS c ON c.host_id = h.id"
        f" WHERE h.{status} <> coalesce(c.{status}, 0)"
        for status in UrlStatus
    ),
    """
    SELECT 'host ' || name || ' has something to be fetched, and nothing is planned for it' FROM hosts AS h
    WHERE next_due_at IS NULL AND EXISTS (SELECT 1 FROM urls WHERE host_id = h.id AND next_fetch_at IS NOT NULL)
    """,
)
_PAGES = (
    """
    SELECT 'version ' || p.id || ' is of another URL than the attempt that fetched it'
    FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id WHERE f.url_id <> p.url_id
    """,
    """
    SELECT 'version ' || p.id || ' of ' || u.url || ' is newer than the one that counts as the newest'
    FROM pages AS p JOIN urls AS u ON u.id = p.url_id WHERE p.id > coalesce(u.page_id, 0)
    """,
    """
    SELECT 'the body of version ' || id || ' is missing' FROM pages
    WHERE body_hash IS NOT NULL AND body_hash NOT IN (SELECT hash FROM bodies)
    """,
)
_ATTEMPTS = (
    """
    SELECT 'the body of attempt ' || id || ' is missing' FROM fetches
    WHERE body_hash IS NOT NULL AND body_hash NOT IN (SELECT hash FROM bodies)
    """,
    """
    SELECT 'the header fields of attempt ' || id || ' are missing' FROM fetches
    WHERE head_id IS NOT NULL AND head_id NOT IN (SELECT id FROM heads)
    """,
)
_EXTRACTS = (
    """
    SELECT 'row ' || n || ' of the rule ' || rule || ' and version ' || page_id || ' is no JSON object' FROM extracts
    WHERE NOT coalesce(json_valid(data) AND json_type(data) = 'object', 0)
    """,
    """
    SELECT DISTINCT 'the extraction rule ' || rule || ' has rows, and is not known' FROM extracts
    WHERE rule NOT IN (SELECT name FROM extraction_rules)
    """,
)
_RUNS = (
    """
    SELECT 'run ' || r.id || ' counts ' || r.pages || ' versions of pages, and there are ' || c.pages
    FROM (
        SELECT f.run_id, count(*) AS pages FROM pages AS p CROSS JOIN fetches AS f ON f.id = p.fetch_id
        GROUP BY f.run_id
    ) AS c JOIN runs AS r ON r.id = c.run_id WHERE c.pages > r.pages
    """,
)

_CHECKS: dict[str, _Check] = {
    "structure": _structure,
    "schema": _schema,
    "references": _references,
    "hosts": _questions("hosts", *_HOSTS),
    "urls": _questions("urls", *_URLS),
    "pages": _questions("pages", *_PAGES),
    "attempts": _questions("fetches", *_ATTEMPTS),
    "extracts": _questions("extracts", *_EXTRACTS),
    "runs": _questions("runs", *_RUNS),
    "bodies": _bodies,
}
