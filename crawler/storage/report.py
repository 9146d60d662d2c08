"""What a database holds, in figures: for `crawler status`. Only reads, and in one snapshot, so that the figures agree.

What it costs: tallies are kept by triggers, so totals and tables take one pass over `hosts`. Reasons are counted over
the excluded URLs (about 0.4 s a million of them) and, only where some URL failed, in one pass over `urls` (about 0.1 s
a million), as page versions, bodies and attempts are. The rest is a handful of rows, whatever the size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosqlite
import orjson

from crawler.records import UrlStatus
from crawler.storage.database import explained, open_reader
from crawler.storage.store import Store

_RUNS = "SELECT id, started_at, ended_at, end_reason, pages, requests, summary FROM runs ORDER BY id DESC LIMIT ?"

_HOST_TOTALS = """
SELECT count(*), total(pending + fetched + redirected + gone + failed > 0), total(pending > 0 AND back_off_until > ?1)
FROM hosts
"""

_HOSTS = """
SELECT name, pending, fetched, redirected, excluded, gone, failed, next_due_at, back_off_until, failures
FROM hosts WHERE pending + fetched + redirected + gone + failed > 0
ORDER BY pending + fetched DESC, name LIMIT ?
"""

_SUSPECTS = """
SELECT name, pending, fetched, redirected, excluded, gone, failed, next_due_at, back_off_until, failures
FROM hosts WHERE failed > 0 ORDER BY failed DESC, name LIMIT ?
"""

_NEXT_DUE = "SELECT min(next_due_at) FROM hosts WHERE next_due_at IS NOT NULL"

_FAILURES = """
SELECT reason, count(*) FROM urls WHERE status = 'failed' AND kind <> 'robots' GROUP BY reason ORDER BY count(*) DESC
"""

# Not by the highest id: `crawler prune` removes rows.
_ROWS = "SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM bodies), (SELECT count(*) FROM fetches)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. `ended_at` None: it is running, or was killed. `summary` is what it reported, once it has ended."""

    run_id: int
    started_at: float
    ended_at: float | None
    end_reason: str | None
    pages: int
    requests: int
    summary: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTally:
    """A host's URLs by status, robots.txt not counted; `failures` counts those in a row, up to now."""

    name: str
    urls: Mapping[str, int]
    next_due_at: float | None
    back_off_until: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures. Times are Unix seconds; counts of URLs leave out robots.txt.

    `runs` are the newest, newest first; `hosts` those with the most pages and pending URLs; `suspects` those with the
    most failed URLs. `hosts_crawled` counts hosts that have more than excluded URLs. `next_due_at` None: nothing is
    planned. `failures` counts failed URLs by reason: a `FailureKind` or "http <status>".
    """

    urls: Mapping[str, int]
    next_due_at: float | None
    runs: Sequence[RunRecord]
    hosts: Sequence[HostTally]
    suspects: Sequence[HostTally]
    hosts_total: int
    hosts_crawled: int
    hosts_backing_off: int
    failures: Mapping[str, int]
    excluded: Mapping[str, int]
    page_versions: int
    bodies: int
    fetches: int


async def read_report(path: Path, now: float, *, runs: int = 5, hosts: int = 20, suspects: int = 5) -> Report:
    """Read the figures, at most so many rows of each kind; `now` in Unix seconds. Works while a crawl runs.

    Raises `DatabaseFailedError` where there is no crawl database, or it cannot be read.
    """
    async with open_reader(path) as connection:
        with explained(path):
            await connection.execute("BEGIN")
            return await _read(path, connection, now, runs, hosts, suspects)


async def _read(
    path: Path, connection: aiosqlite.Connection, now: float, runs: int, hosts: int, suspects: int
) -> Report:
    store = Store(path, connection, connection)  # its writing side cannot write, either
    urls = await store.counts()
    totals = await _row(connection, _HOST_TOTALS, now)
    page_versions, bodies, fetches = await _row(connection, _ROWS)
    failed = await _rows(connection, _FAILURES) if urls[UrlStatus.FAILED] else []
    return Report(
        urls=urls,
        next_due_at=(await _row(connection, _NEXT_DUE))[0],
        runs=[_run(row) for row in await _rows(connection, _RUNS, runs)],
        hosts=[_host(row) for row in await _rows(connection, _HOSTS, hosts)],
        suspects=[_host(row) for row in await _rows(connection, _SUSPECTS, suspects)],
        hosts_total=totals[0],
        hosts_crawled=int(totals[1]),
        hosts_backing_off=int(totals[2]),
        failures={row[0] or "unknown": row[1] for row in failed},
        excluded=await store.exclusions() if urls[UrlStatus.EXCLUDED] else {},
        page_versions=page_versions or 0,
        bodies=bodies or 0,
        fetches=fetches or 0,
    )


async def _rows(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> list[Any]:
    return list(await connection.execute_fetchall(sql, parameters))


async def _row(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> Any:
    return (await _rows(connection, sql, *parameters))[0]


def _run(row: Sequence[Any]) -> RunRecord:
    return RunRecord(
        run_id=row[0],
        started_at=row[1],
        ended_at=row[2],
        end_reason=row[3],
        pages=row[4],
        requests=row[5],
        summary=orjson.loads(row[6]) if row[6] else None,
    )


def _host(row: Sequence[Any]) -> HostTally:
    return HostTally(
        name=row[0],
        urls={status.value: row[1 + place] for place, status in enumerate(UrlStatus)},
        next_due_at=row[7],
        back_off_until=row[8],
        failures=row[9],
    )
