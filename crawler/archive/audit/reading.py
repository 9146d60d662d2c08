"""Reading an audit from a crawl database: all of it in one snapshot, so that its figures agree.

Invariant: reads only; nothing waits for a crawl that is running, and no row costs a statement but those that a report
shows with the pages that lead to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import orjson

from crawler.archive.audit.charts import read_charts, read_figures
from crawler.archive.audit.model import Audit, Row, Section, Source
from crawler.archive.audit.question import Question
from crawler.archive.audit.questions import QUESTIONS
from crawler.archive.audit.tables import SOURCES, prepared
from crawler.archive.reading import open_archive
from crawler.statically_frozen import dataclass
from crawler.storage.sqlite.database import explained

_SEED_HOSTS = "SELECT DISTINCT h.name FROM urls AS u JOIN hosts AS h ON h.id = u.host_id WHERE u.seed > 0 LIMIT ?"
_MAX_SITES = 100
_SOURCES_A_ROW = 10  # on average, of all that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of each section is read: at most so many rows, and so many sources of one row."""

    rows: int
    sources: int


Known = Mapping[str, Sequence[Mapping[str, Any]]]
"""What a baseline has of some sections: for each of its rows, the values of the columns of the section's key."""


async def read_audit(db: Path, *, now: float, running: bool, extent: Extent, known: Known | None = None) -> Audit:
    """Read an audit of the crawl; `now` in Unix seconds, `running`: whether a crawl is.

    The rows of the sections in `known` say whether they are new. Raises `DatabaseFailedError` if there is no crawl
    database or it cannot be read.
    """
    async with _opened(db) as connection:
        return Audit(
            db=str(db),
            sites=[row[0] for row in await _rows(connection, _SEED_HOSTS, _MAX_SITES)],
            made_at=now,
            running=running,
            figures=await read_figures(connection),
            charts=await read_charts(db, connection, now),
            sections=[await _section(connection, one, extent, known or {}) for one in QUESTIONS.values()],
        )


async def read_known(db: Path, names: Sequence[str]) -> Known:
    """What a crawl database has, to be the baseline for another, or for its own later state: the keys of all rows."""
    async with _opened(db) as connection:
        found: dict[str, Sequence[Mapping[str, Any]]] = {}
        for question in (QUESTIONS[name] for name in names):
            rows = await _rows(connection, _query(question, question.key))
            found[question.name] = [dict(zip(question.key, row, strict=True)) for row in rows]
        return found


@asynccontextmanager
async def _opened(db: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with open_archive(db) as connection:
        with explained(db):
            try:
                async with prepared(db, connection):
                    yield connection
            except asyncio.CancelledError:
                await connection.interrupt()  # closing it waits for the query
                raise


async def _section(connection: aiosqlite.Connection, question: Question, extent: Extent, known: Known) -> Section:
    rows: list[Row] = []
    total, new = 0, None
    unknown = await _unknown(connection, question)
    if unknown is None:
        total, new = await _find(connection, question, known.get(question.name))
        rows = await _found(connection, question, extent, compared=new is not None)
    return Section(
        name=question.name,
        chapter=question.chapter,
        title=question.title,
        explanation=question.explanation,
        severity=question.severity,
        view=question.listed_by or question.view,
        columns=question.columns,
        key=question.key,
        rows=rows,
        total=total,
        new=new,
        unknown=unknown,
    )


async def _unknown(connection: aiosqlite.Connection, question: Question) -> str | None:
    """Why the question cannot be answered; None if it can."""
    for need in question.needs:
        if not await _rows(connection, need.query):
            return need.unless
    return None


async def _find(
    connection: aiosqlite.Connection, question: Question, known: Sequence[Mapping[str, Any]] | None
) -> tuple[int, int | None]:
    """Leave all that the view says in a table; returns how many rows that are, and how many of them are new."""
    columns = [one.name for one in question.columns]
    await connection.execute("DROP TABLE IF EXISTS scratch.finding")
    if known is None:
        await connection.execute(f"CREATE TABLE scratch.finding AS {_query(question, [*columns, 'NULL AS is_new'])}")
    else:
        key = f"json_array({', '.join(question.key)})"
        await connection.executescript(
            "DROP TABLE IF EXISTS scratch.known; CREATE TABLE scratch.known (key TEXT PRIMARY KEY) WITHOUT ROWID"
        )
        fields = ", ".join(f"json_extract(value, '$.{name}')" for name in question.key)
        await connection.execute(
            f"INSERT OR IGNORE INTO scratch.known SELECT json_array({fields}) FROM json_each(?)",  # noqa: S608
            (orjson.dumps(known).decode(),),
        )
        is_new = f"{key} NOT IN (SELECT key FROM scratch.known) AS is_new"  # noqa: S608 - our own names
        await connection.execute(f"CREATE TABLE scratch.finding AS {_query(question, [*columns, is_new])}")
    total, new = (await _rows(connection, "SELECT count(*), total(is_new) FROM scratch.finding"))[0]
    return total, None if known is None else int(new)


async def _found(connection: aiosqlite.Connection, question: Question, extent: Extent, *, compared: bool) -> list[Row]:
    """The rows that matter most, what is new before what is not."""
    columns = ", ".join(one.name for one in question.columns)
    order = f"is_new DESC, {question.order}" if compared else question.order
    sql = f"SELECT {columns}, is_new FROM scratch.finding ORDER BY {order} LIMIT ?"  # noqa: S608 - our own names
    rows: list[Row] = []
    left = extent.rows * _SOURCES_A_ROW
    for *values, is_new in await _rows(connection, sql, extent.rows):
        sources: list[Source] = []
        if question.has_sources:
            sources = await _sources(connection, values[0], min(extent.sources, max(left, 1)))
            left -= len(sources)
        rows.append(
            Row(
                values=tuple(values),
                sources=sources,
                sources_total=values[-1] if question.has_sources else 0,
                is_new=bool(is_new) if compared else None,
            )
        )
    return rows


async def _sources(connection: aiosqlite.Connection, target_url: str, most: int) -> list[Source]:
    found = await _rows(connection, SOURCES, target_url, most)
    return [Source(page_url=page_url, anchor=anchor, kind=kind) for page_url, anchor, kind in found]


def _query(question: Question, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {question.view} WHERE {question.where}"  # noqa: S608 - our own names


async def _rows(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> list[Any]:
    return list(await connection.execute_fetchall(sql, parameters))
