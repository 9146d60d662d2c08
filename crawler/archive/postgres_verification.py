"""Whether a crawl in PostgreSQL is sound: all that this program relies on; the server looks after its own structures.

Invariants: those of verification.py. A check that the server cannot make leaves the others as they were.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from importlib.resources import files
from typing import Any

import asyncpg

from crawler.archive.postgres_reader import PostgresReader, open_postgres
from crawler.archive.verification import Checked, Findings, checked, words
from crawler.bodies import damage
from crawler.errors import DatabaseFailedError
from crawler.location import DatabaseUrl
from crawler.records import UrlKind, UrlStatus
from crawler.storage.postgres.ids import id_of, part_of
from crawler.storage.postgres.views import views
from crawler.urls import host_of

_ROWS = 256  # read at once
_BODIES = 16  # which may have some megabytes each

_Check = Callable[[PostgresReader], Findings]


async def verify(db: DatabaseUrl, begin: Callable[[str], None]) -> AsyncGenerator[Checked, None]:
    """See `verification.verify`."""
    async with open_postgres(db) as reader, reader.snapshot():
        for name, check in _CHECKS.items():
            begin(name)
            yield await checked(name, _told(reader, check))


async def _told(reader: PostgresReader, check: _Check) -> Findings:
    """What a check finds, or that the server finds a table damaged."""
    try:
        async with reader.apart(), aclosing(check(reader)) as findings:
            async for found in findings:
                yield found
    except DatabaseFailedError as error:
        if not isinstance(error.__cause__, asyncpg.InternalServerError | asyncpg.DataError):
            raise
        yield f"cannot be read to the end: {error.__cause__}"


def _questions(table: str, *statements: str) -> _Check:
    """A check by SQL: each statement gives a text for each row that is wrong."""

    async def check(reader: PostgresReader) -> Findings:
        yield await _number(reader, f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        for statement in statements:
            async for row in _each(reader, statement):
                yield str(row[0])

    return check


async def _number(reader: PostgresReader, sql: str) -> int:
    return int((await reader.fetch(sql))[0][0])


async def _each(reader: PostgresReader, sql: str, at_once: int = _ROWS) -> AsyncIterator[Any]:
    async with aclosing(reader.stream(sql, (), at_once)) as batches:
        async for rows in batches:
            for row in rows:
                yield row


# --- schema -----------------------------------------------------------------------------------------------------------

_MADE = re.compile(r"^CREATE (TABLE|INDEX|VIEW) (\w+)", re.MULTILINE)
_THERE = """
SELECT CASE c.relkind WHEN 'i' THEN 'index' WHEN 'v' THEN 'view' ELSE 'table' END, c.relname,
    coalesce(i.indisvalid AND i.indisready, true)
FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'i', 'I', 'v')
"""


async def _schema(reader: PostgresReader) -> Findings:
    """Tables, indexes and views. Without one, the program would be slow, or would fail."""
    source = files("crawler.storage.postgres").joinpath("schema.sql").read_text(encoding="utf-8")
    wanted = [(kind.lower(), name) for kind, name in _MADE.findall(source)] + [("view", name) for name in views()]
    found = {(kind, name): is_valid for kind, name, is_valid in await reader.fetch(_THERE)}
    yield len(wanted)
    for kind, name in wanted:
        if (kind, name) not in found:
            yield f"the {kind} {name} is missing"
        elif not found[kind, name]:
            yield f"the {kind} {name} is not valid; REINDEX INDEX {name} makes it anew"


# --- references -------------------------------------------------------------------------------------------------------

_PART = "({} & (SELECT parts - 1 FROM meta))::int"
_IS_HOST = "(o.part, o.id) = (t.part, t.host_id)"
_IS_URL = "(o.part, o.host_id, o.id) = (t.part, t.host_id, t.url_id)"
_IS_PAGE = "(o.part, o.id) = (t.part, t.page_id)"
# A table, what it names a row of, and which.
_NAMED = (
    ("origins", "hosts", _IS_HOST),
    ("urls", "hosts", _IS_HOST),
    ("places", "hosts", _IS_HOST),
    ("fetches", "urls", _IS_URL),
    ("fetches", "runs", "o.id = t.run_id"),
    ("pages", "urls", _IS_URL),
    ("pages", "fetches", "(o.part, o.id) = (t.part, t.fetch_id)"),
    ("page_links", "pages", _IS_PAGE),
    (
        "links",
        "urls",
        f"o.part = {_PART.format('t.target_host_id')} AND (o.host_id, o.id) = (t.target_host_id, t.target_id)",
    ),
    (
        "sitemap_entries",
        "urls",
        f"o.part = {_PART.format('t.url_host_id')} AND (o.host_id, o.id) = (t.url_host_id, t.url_id)",
    ),
    ("sitemap_entries", "urls", "o.part = t.part AND o.id = t.sitemap_id"),
    ("change_log", "urls", _IS_URL),
    ("extracts", "pages", _IS_PAGE),
    ("extract_misses", "pages", _IS_PAGE),
)
_OF_HOSTS = ("hosts", "origins", "urls", "places", "fetches", "pages", "change_log")


async def _references(reader: PostgresReader) -> Findings:
    """Links, pages, attempts and the rest name rows that are there, and stand in their host's partition."""
    for table in dict.fromkeys(table for table, _other, _key in _NAMED):
        yield await _number(reader, f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
    for table, other, key in _NAMED:
        lost = f"SELECT t.part FROM {table} AS t WHERE NOT EXISTS (SELECT 1 FROM {other} AS o WHERE {key})"  # noqa: S608
        async for (part,) in _each(reader, lost):
            yield f"a row of {table} names one of {other} that is not there (partition {part})"
    for table in _OF_HOSTS:
        host = "id" if table == "hosts" else "host_id"
        strayed = f"SELECT part, {host} FROM {table} WHERE part <> {_PART.format(host)}"  # noqa: S608 - our own names
        async for part, host_id in _each(reader, strayed):
            yield f"a row of {table} of the host {host_id} stands in partition {part}, where nobody looks for it"


# --- hosts and URLs ---------------------------------------------------------------------------------------------------

_COUNTED = "".join(f", count(*) FILTER (WHERE status = '{status}') AS {status}" for status in UrlStatus)
# With what its owner has not counted yet, and what it has.
_HOSTS = (
    f"""
WITH counted AS MATERIALIZED (
    SELECT part, host_id{_COUNTED} FROM urls WHERE kind <> 'robots' GROUP BY part, host_id
), told AS MATERIALIZED (SELECT host, {", ".join(UrlStatus)} FROM host_overview)
"""  # noqa: S608 - our own words
    + " UNION ALL ".join(
        f"SELECT 'host ' || h.name || ' counts ' || t.{status} || ' URLs that are {status}, and has '"  # noqa: S608
        f" || coalesce(c.{status}, 0) FROM hosts AS h JOIN told AS t ON t.host = h.name"
        f" LEFT JOIN counted AS c ON (c.part, c.host_id) = (h.part, h.id) WHERE t.{status} <> coalesce(c.{status}, 0)"
        for status in UrlStatus
    ),
    """
    SELECT 'host ' || name || ' has something to be fetched, and nothing is planned for it' FROM hosts AS h
    WHERE next_due_at IS NULL
        AND EXISTS (SELECT 1 FROM urls WHERE (part, host_id) = (h.part, h.id) AND next_fetch_at IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM arrivals WHERE (part, host_id) = (h.part, h.id))
    """,
)
_OF_URLS = (
    f"""
    SELECT 'URL ' || url || ' has an unknown status or kind: ' || status || ', ' || kind FROM urls
    WHERE status NOT IN ({words(UrlStatus)}) OR kind NOT IN ({words(UrlKind)})
    """,  # noqa: S608 - our own words
    """
    SELECT 'URL ' || u.url || ' names a version that '
        || CASE WHEN p.id IS NULL THEN 'is not there' ELSE 'is of another URL' END
    FROM urls AS u LEFT JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)
    WHERE u.page_id IS NOT NULL AND (p.host_id, p.url_id) IS DISTINCT FROM (u.host_id, u.id)
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
_KEYS = """
SELECT u.url, u.part, u.host_id, u.id, h.name FROM urls AS u JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
"""


async def _urls(reader: PostgresReader) -> Findings:
    """Also whether each can be found: by the key that its text makes."""
    async for found in _questions("urls", *_OF_URLS)(reader):
        yield found
    async for url, part, host_id, url_id, name in _each(reader, _KEYS):
        if host_of(url) != name:
            yield f"URL {url} belongs to the host {name}"
        elif (part, host_id, url_id) != (part_of(id_of(name), reader.parts), id_of(name), id_of(url)):
            yield f"URL {url} has another key than its text makes, and cannot be found by it"


# --- documents --------------------------------------------------------------------------------------------------------

_PAGES = (
    """
    SELECT 'version ' || p.id || ' is of another URL than the attempt that fetched it'
    FROM pages AS p JOIN fetches AS f ON (f.part, f.id) = (p.part, p.fetch_id) WHERE f.url_id <> p.url_id
    """,
    """
    SELECT 'version ' || p.id || ' of ' || u.url || ' is newer than the one that counts as the newest'
    FROM pages AS p JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id)
    WHERE p.id > coalesce(u.page_id, 0)
    """,
    """
    SELECT 'the body of version ' || id || ' is missing' FROM pages AS p
    WHERE body_hash IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM bodies AS b WHERE (b.part, b.hash) = (p.part, p.body_hash))
    """,
)
_ATTEMPTS = (
    """
    SELECT 'the body of attempt ' || id || ' is missing' FROM fetches AS f
    WHERE body_hash IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM bodies AS b WHERE (b.part, b.hash) = (f.part, f.body_hash))
    """,
    """
    SELECT 'the header fields of attempt ' || id || ' are missing' FROM fetches AS f
    WHERE head_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM heads AS h WHERE (h.part, h.id) = (f.part, f.head_id))
    """,
)
_EXTRACTS = (
    """
    SELECT 'row ' || n || ' of the rule ' || rule || ' and version ' || page_id || ' is no JSON object' FROM extracts
    WHERE CASE WHEN is_json(data) THEN json_typeof(data::json) <> 'object' ELSE true END
    """,
    """
    SELECT DISTINCT 'the extraction rule ' || rule || ' has rows, and is not known' FROM extracts
    WHERE rule NOT IN (SELECT name FROM extraction_rules)
    """,
)
_RUNS = (
    """
    SELECT 'run ' || r.run_id || ' counts ' || r.pages || ' versions of pages, and there are ' || c.pages
    FROM (
        SELECT f.run_id, count(*) AS pages FROM pages AS p JOIN fetches AS f ON (f.part, f.id) = (p.part, p.fetch_id)
        GROUP BY f.run_id
    ) AS c JOIN run_overview AS r ON r.run_id = c.run_id WHERE c.pages > r.pages
    """,
)


async def _bodies(reader: PostgresReader) -> Findings:
    """Each can be unpacked, has its size, and is what its hash says."""
    async for digest, size, packed in _each(reader, "SELECT hash, size, zstd FROM bodies", _BODIES):
        yield 1
        if (why := damage(digest, size, packed)) is not None:
            yield f"body {digest.hex()} {why}"


_CHECKS: dict[str, _Check] = {
    "schema": _schema,
    "references": _references,
    "hosts": _questions("hosts", *_HOSTS),
    "urls": _urls,
    "pages": _questions("pages", *_PAGES),
    "attempts": _questions("fetches", *_ATTEMPTS),
    "extracts": _questions("extracts", *_EXTRACTS),
    "runs": _questions("runs", *_RUNS),
    "bodies": _bodies,
}
