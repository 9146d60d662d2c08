"""The headline figures of an audit, and its charts: each a query over what tables.py keeps, or over tallies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosqlite

from crawler.archive.audit.model import Chart, Figure, Kind, Point, Shape
from crawler.archive.plan import read_budgets
from crawler.archive.reading import SqliteReader

_HOSTS = 10
_TYPES = 8
_RUNS = 12
_MOMENTS = 48  # points of a curve
_DEPTHS = 15

_PAGES = """
SELECT count(*), (SELECT count(*) FROM host_overview WHERE fetched > 0), total(bytes), max(depth), max(fetched_at)
FROM current_pages
"""
_MEDIAN = """
SELECT elapsed_s FROM current_pages WHERE elapsed_s IS NOT NULL ORDER BY elapsed_s
LIMIT 1 OFFSET (SELECT count(elapsed_s) / 2 FROM current_pages)
"""
_URLS = """
SELECT total(urls), total(pending), total(redirected), total(excluded), total(gone), total(failed) FROM host_overview
"""
_BROKEN = "SELECT count(*), total(links) FROM scratch.broken_targets"
_RUN = "SELECT run_id, started_at, elapsed_s, end_reason, requests FROM run_overview ORDER BY run_id DESC LIMIT 1"

_CLASSES = """
SELECT coalesce(
    CASE status_code / 100 WHEN 2 THEN '2xx success' WHEN 3 THEN '3xx redirect' WHEN 4 THEN '4xx refused, not found'
        WHEN 5 THEN '5xx server error' END, 'no response'
) AS class, count(*) FROM fetches WHERE run_id = (SELECT max(id) FROM runs) GROUP BY class ORDER BY class
"""
_BY_DEPTH = """
SELECT CASE WHEN depth < ?1 THEN CAST(depth AS TEXT) ELSE ?1 || '+' END, count(*) FROM current_pages
GROUP BY min(depth, ?1) ORDER BY min(depth, ?1)
"""
_BY_TIME = """
SELECT step, count(*) FROM (
    SELECT CASE WHEN elapsed_s < 0.05 THEN 0 WHEN elapsed_s < 0.1 THEN 1 WHEN elapsed_s < 0.2 THEN 2
        WHEN elapsed_s < 0.5 THEN 3 WHEN elapsed_s < 1 THEN 4 WHEN elapsed_s < 2 THEN 5 WHEN elapsed_s < 5 THEN 6
        ELSE 7 END AS step
    FROM current_pages WHERE elapsed_s IS NOT NULL
) GROUP BY step
"""
_STEPS = ("< 50 ms", "< 100 ms", "< 200 ms", "< 0.5 s", "< 1 s", "< 2 s", "< 5 s", "≥ 5 s")
_BY_HOST = "SELECT host, count(*) AS pages FROM current_pages GROUP BY host ORDER BY pages DESC, host LIMIT ?"
_BY_TYPE = """
SELECT lower(trim(substr(content_type, 1, instr(content_type || ';', ';') - 1))) AS type, count(*) AS pages
FROM current_pages WHERE content_type IS NOT NULL GROUP BY type ORDER BY pages DESC, type LIMIT ?
"""
_BY_MOMENT = """
WITH span (first, width) AS (
    SELECT min(seen_at), max(max(seen_at) - min(seen_at), 1.0) / ?1 FROM current_pages WHERE seen_at IS NOT NULL
)
SELECT first + width * (1 + min(CAST((seen_at - first) / width AS INTEGER), ?1 - 1)) AS moment, count(*)
FROM current_pages JOIN span WHERE seen_at IS NOT NULL GROUP BY moment ORDER BY moment
"""
_BY_RUN = "SELECT run_id, pages FROM run_overview ORDER BY run_id DESC LIMIT ?"


async def read_figures(connection: aiosqlite.Connection) -> list[Figure]:
    """What one wants to know first."""
    pages, hosts, size_bytes, depth, fetched_at = await _row(connection, _PAGES)
    urls, pending, redirected, excluded, gone, failed = map(int, await _row(connection, _URLS))
    broken, links = map(int, await _row(connection, _BROKEN))
    median = await _rows(connection, _MEDIAN)
    run = await _rows(connection, _RUN)
    return [
        Figure(name="pages", title="Pages", value=pages, kind=Kind.COUNT, note=f"on {_counted(hosts, 'host')}"),
        Figure(
            name="broken_urls", title="Broken URLs", value=broken, kind=Kind.COUNT,
            note=f"that {_counted(links, 'link leads', 'links lead')} to",
        ),
        Figure(
            name="urls", title="URLs seen", value=urls, kind=Kind.COUNT,
            note=f"{excluded:,} excluded, {redirected:,} redirected, {gone:,} gone, {failed:,} failed",
        ),
        Figure(name="pending", title="Still to be fetched", value=pending, kind=Kind.COUNT),
        Figure(
            name="median_s", title="Median response", value=median[0][0] if median else None, kind=Kind.SECONDS,
            note="from the request to the end of the body",
        ),
        Figure(name="bytes", title="Size of all pages", value=int(size_bytes), kind=Kind.SIZE, note="decoded"),
        Figure(name="depth", title="Deepest page", value=depth, kind=Kind.COUNT, note="links from a seed"),
        Figure(
            name="fetched_at", title="Newest response", value=fetched_at, kind=Kind.TIME,
            note=_told(run[0]) if run else "",
        ),
    ]  # fmt: skip


async def read_charts(db: Path, connection: aiosqlite.Connection, now: float) -> list[Chart]:
    """Those that have something to show; `now` in Unix seconds."""
    pages = (
        ("depth", "Pages by depth", Shape.COLUMNS, await _rows(connection, _BY_DEPTH, _DEPTHS)),
        ("hosts", "Pages by host", Shape.BARS, await _rows(connection, _BY_HOST, _HOSTS)),
        ("types", "Pages by type", Shape.BARS, await _rows(connection, _BY_TYPE, _TYPES)),
        ("times", "Pages over time", Shape.LINE, _summed(await _rows(connection, _BY_MOMENT, _MOMENTS))),
    )
    runs = [(str(run), pages) for run, pages in reversed(await _rows(connection, _BY_RUN, _RUNS))]
    reader = SqliteReader(db, connection)
    budgets = await read_budgets(reader, now) if len(runs) > 1 else []  # nothing is learnt from one
    steps = dict(await _rows(connection, _BY_TIME))
    responses = [(name, steps[step]) for step, name in enumerate(_STEPS) if step in steps]
    worth = [(f"{one.requests:,} ({one.share:.0%} of the pages)", round(100 * one.freshness)) for one in budgets]
    charts = (
        ("classes", "Responses in the last run", Shape.BARS, await _rows(connection, _CLASSES)),
        ("responses", "Pages by response time", Shape.BARS, responses),
        *pages,
        ("runs", "Pages stored, by run", Shape.COLUMNS, runs if len(runs) > 1 else []),
        ("budgets", "Fresh copies in percent, by requests a run with --max-age auto", Shape.BARS, worth),
    )
    return [
        Chart(name=name, title=title, shape=shape, points=[(label or "?", value) for label, value in points])
        for name, title, shape, points in charts
        if points
    ]


def _summed(rows: list[Any]) -> list[Point]:
    """A curve that rises: what was there at each moment. One moment is no curve."""
    points: list[Point] = []
    total = 0
    for moment, number in rows:
        total += number
        points.append((moment, total))
    return points if len(points) > 1 else []


def _told(run: Any) -> str:
    run_id, _started_at, _elapsed_s, end_reason, requests = run
    ended = end_reason.replace("_", " ") if end_reason else "not ended"
    return f"run {run_id}, {ended}: {_counted(requests, 'request')}"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


async def _rows(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> list[Any]:
    return list(await connection.execute_fetchall(sql, parameters))


async def _row(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> Any:
    return (await _rows(connection, sql, *parameters))[0]
