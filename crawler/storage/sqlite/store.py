"""The store: its slices put together, the record of runs, the seeds and the figures of a run.

No operation decides anything but one: whether a domain has room for one more host (see host_limit.py).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from crawler.extraction_rules import Rule
from crawler.records import Closure, EndReason, FailedSeed, FailingUrls, HostRecord, Result, SeedMark, Target, UrlStatus
from crawler.storage.columns import IS_ANSWERED, MADE_PENDING, closure
from crawler.storage.failing import IS_FAILING, failing_urls
from crawler.storage.interface import Archived, Share
from crawler.storage.run_options import limits_of, still_to_do
from crawler.storage.sqlite.check_plan import Checks
from crawler.storage.sqlite.closures import CLOSURES
from crawler.storage.sqlite.columns import JsonStatement
from crawler.storage.sqlite.database import check_file, explained, open_reader, open_writer
from crawler.storage.sqlite.due import DueReads
from crawler.storage.sqlite.exclusions import Exclusions
from crawler.storage.sqlite.extracts import LOST, UNREAD
from crawler.storage.sqlite.session import at_most
from crawler.storage.sqlite.share import Whole
from crawler.storage.sqlite.warc_log import WarcLog
from crawler.storage.values import as_json
from crawler.urls import origin_of

_END_KILLED = "UPDATE runs SET ended_at = ?, end_reason = ? WHERE ended_at IS NULL"

# What may have been sent counts as sent.
_INHERIT_REQUESTS = """
UPDATE hosts SET run_requests = run_requests_noted WHERE run_id = ? AND run_requests_noted > run_requests
"""

_NOTE_RUN = "UPDATE runs SET requests_noted = ? WHERE id = ?"
_NOTE_HOSTS = JsonStatement(
    """
UPDATE hosts SET
    run_pages = CASE WHEN run_id IS ?2 THEN run_pages ELSE 0 END,
    run_requests = CASE WHEN run_id IS ?2 THEN run_requests ELSE 0 END,
    run_requests_noted = {requests},
    run_id = ?2
FROM json_each(?1) AS v WHERE hosts.id = {id}
""",
    "id",
    "requests",
)

_LAST_OPTIONS = "SELECT options, end_reason FROM runs ORDER BY id DESC LIMIT 1"

_RUN_TIMES = "SELECT started_at, (SELECT max(started_at) FROM runs WHERE id < ?1) FROM runs WHERE id = ?1"

# The last that is known of the newest run.
_LAST_SEEN = """
SELECT max(started_at, coalesce(ended_at, 0), coalesce((
    SELECT f.started_at FROM fetches AS f WHERE f.id = (SELECT max(id) FROM fetches) AND f.run_id = runs.id
), 0)) FROM runs ORDER BY id DESC LIMIT 1
"""

_CLOCK_TOLERANCE_S = 1.0

_RETRY_FAILED = f"""
UPDATE urls SET {MADE_PENDING}, attempts = 0, next_fetch_at = ?1
WHERE status = 'failed' AND kind <> 'robots' RETURNING host_id
"""  # noqa: S608 - our own names

_RETRY_FAILING = f"""
UPDATE urls SET attempts = 0, next_fetch_at = ?1
WHERE {IS_FAILING} RETURNING host_id
"""  # noqa: S608 - our own names

_RETRY = f"""
UPDATE urls SET attempts = 0, next_fetch_at = ?2, status = iif(status = 'failed', 'pending', status),
    reason = NULL, cause = NULL, detail = NULL
WHERE url IN (SELECT value FROM json_each(?1)) AND (
    status = 'failed' OR {IS_FAILING}
) RETURNING host_id
"""  # noqa: S608 - our own names

_COUNTS = f"SELECT {', '.join(f'total({status})' for status in UrlStatus)} FROM hosts"  # noqa: S608 - our own names

_EXCLUSIONS = "SELECT cause, count(*) FROM urls WHERE status = 'excluded' GROUP BY cause ORDER BY cause"

# Answers of a time that had not come by ?1: the clock was ahead. One look into an index for each host.
_IS_AHEAD = f"""
id IN (
    SELECT u.id FROM hosts AS h CROSS JOIN urls AS u INDEXED BY urls_answered ON u.host_id = h.id
    WHERE u.fetched_at > ?1 AND u.{IS_ANSWERED.replace("kind", "u.kind")}
)
"""  # noqa: S608 - our own names
_ANY_AHEAD = f"SELECT 1 FROM urls WHERE {_IS_AHEAD} LIMIT 1"  # noqa: S608 - our own names
_SET_BACK = f"""
UPDATE urls SET
    revisit_at = revisit_at - CASE WHEN revisit_at >= fetched_at THEN fetched_at - ?1 ELSE 0 END, fetched_at = ?1
WHERE {_IS_AHEAD} RETURNING host_id
"""  # noqa: S608 - our own names

_FAILED_SEEDS = "FROM urls WHERE seed > 0 AND status NOT IN ('fetched', 'redirected')"

# Of the newest attempts alone: a URL's are found by no index, and a run that had no seed to fetch has made few.
_LATEST_ATTEMPT = """
SELECT status_code, failure IS NOT NULL OR status_code >= 500 OR status_code = 429, message FROM fetches
WHERE id > (SELECT max(id) FROM fetches) - 4096 AND url_id = (SELECT id FROM urls WHERE url = ?)
ORDER BY id DESC LIMIT 1
"""

# Each by an index alone, or by a few rows a host: the table of a million pages is read for seconds.
_NEWEST = f"""
SELECT max((
    SELECT fetched_at FROM urls
    WHERE host_id = hosts.id AND {IS_ANSWERED} AND page_id IS NOT NULL ORDER BY fetched_at DESC LIMIT 1
)) FROM hosts
"""  # noqa: S608 - our own names

_NEXT_REVISIT = """
SELECT min((SELECT min(revisit_at) FROM urls WHERE host_id = hosts.id AND revisit_at IS NOT NULL)) FROM hosts
"""

_PAGES = "SELECT count(DISTINCT url_id) FROM pages"


class SqliteStore(DueReads, Checks, Exclusions, WarcLog):
    """The crawl database, open for one run; see `interface.Store` for what each operation is for."""

    share: Share = Whole()

    # --- the record of runs -----------------------------------------------------------------------------------------

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run; None where there was none."""
        return _options(await self._read(_LAST_OPTIONS))

    async def follow_clock(self, now: float) -> float:
        """Where the clock was set back since the last run, plan everything earlier by as much; returns the seconds.

        Else what was to be fetched at once would wait until the clock is where it was.
        """
        rows = await self._read(_LAST_SEEN)
        ahead_s = rows[0][0] - now if rows else 0.0
        if ahead_s > _CLOCK_TOLERANCE_S:
            async with self._transaction() as transaction:
                await transaction.rewind(ahead_s, now)
        await self._set_back(now)  # else no age would ever fetch them again
        return float(ahead_s) if ahead_s > _CLOCK_TOLERANCE_S else 0.0

    async def begin_run(self, options: dict[str, Any], now: float) -> tuple[int, int]:
        """Start a run, or go on with one that was killed; returns its id and the pages that it has stored.

        What earlier runs have fetched was fetched before a new one started, also by a clock too coarse to show it.
        A killed run is resumed only under the same limits; otherwise what it has counted would mean nothing.
        """
        text = json.dumps(options)  # escapes what a command line may hold and UTF-8 cannot
        rows = await self._read("SELECT id, pages, options FROM runs WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1")
        if rows and limits_of(json.loads(rows[0][2])) == limits_of(options):
            self.run_id, pages = rows[0][0], rows[0][1]
            await self._write("UPDATE runs SET options = ? WHERE id = ?", (text, self.run_id))
            await self._write(_INHERIT_REQUESTS, (self.run_id,))
            return self.run_id, pages
        await self._set_back(math.nextafter(now, -math.inf))
        await self._write(_END_KILLED, (now, EndReason.KILLED))
        rows = await self._write("INSERT INTO runs (started_at, options) VALUES (?, ?) RETURNING id", (now, text))
        self.run_id = rows[0][0]
        return self.run_id, 0

    async def run_times(self) -> tuple[float, float | None]:
        """When this run was started, and the one before it."""
        rows = await self._read(_RUN_TIMES, (self.run_id,))
        return rows[0][0], rows[0][1]

    async def join_run(self) -> dict[str, Any] | None:
        """There is none: a file is one process's."""
        return None

    async def requests_noted(self) -> int:
        """How many requests this run may have sent before it was killed; 0 where it was not."""
        rows = await self._read("SELECT max(requests, requests_noted) FROM runs WHERE id = ?", (self.run_id,))
        return int(rows[0][0])

    async def note_requests(self, run: int | None, hosts: Sequence[tuple[int, int]]) -> None:
        """So many requests may have been sent by this run (None: as noted before), and to each host by its id."""
        async with self._writing:  # beside commits
            if run is not None:
                await self._write(_NOTE_RUN, (run, self.run_id))
            if hosts:
                await self._write(_NOTE_HOSTS.sql, (as_json(hosts), self.run_id))

    async def set_decided(self, decided: bool) -> None:
        """Whether all that earlier options excluded has been judged by those of now; else the next run has to."""
        sql = "UPDATE runs SET options = json_set(options, '$.decided', json(?)) WHERE id = ?"
        async with self._writing:  # a crawl that runs may have a transaction open
            await self._write(sql, (as_json(decided), self.run_id))

    async def end_run(self, reason: EndReason, summary: dict[str, Any], now: float) -> dict[str, Any] | None:
        """Record why and when the run ended, and what it reports; returns that."""
        await self._write(
            "UPDATE runs SET ended_at = ?, end_reason = ?, summary = ? WHERE id = ?",
            (now, reason, orjson.dumps(summary).decode(), self.run_id),
        )
        return summary

    # --- extraction rules -------------------------------------------------------------------------------------------

    async def use_rules(self, rules: Sequence[Rule]) -> dict[str, int]:
        """Pages are read by these from now on; returns how many stored ones have not been, of those that lack some."""
        async with self._transaction() as transaction:
            await transaction.set_rules(rules)
        unread = {name: number for name, number in await self._read(UNREAD) if number}
        return {rule.name: unread[rule.name] for rule in rules if rule.name in unread}

    async def lost_extracts(self) -> dict[str, int]:
        """On how many pages a rule has found nothing in this run where it had found something before."""
        return dict(await self._read(LOST, (self.run_id,)))

    # --- seeds ------------------------------------------------------------------------------------------------------

    async def add(self, targets: Sequence[Target], now: float) -> None:
        """Add URLs that no visit found (seeds)."""
        async with self._transaction() as transaction:
            await transaction.run((), now, targets)

    async def retry(self, urls: Sequence[str], now: float) -> None:
        """Make those of these URLs that have failed due again, as if they had never been tried; also those that fail
        but keep their status.
        """
        await self._change(_RETRY, as_json(list(urls)), now)

    async def retry_failed(self, now: float) -> None:
        """Make all that has failed due again, as if it had never been tried; also what fails but keeps its status."""
        await self._change(_RETRY_FAILED, now)
        await self._change(_RETRY_FAILING, now)

    async def roots(self) -> list[str]:
        """The seeds of this database and what they redirect to, except URLs on a port that no web server uses."""
        return [row[0] for row in await self._read("SELECT url FROM urls WHERE seed > 0 AND cause IS NOT 'port'")]

    async def named_seeds(self) -> list[tuple[str, SeedMark]]:
        """The URLs that the user named."""
        rows = await self._read("SELECT url, seed FROM urls WHERE seed > 0 AND seed >= ?", (int(SeedMark.YES),))
        return [(row[0], SeedMark(row[1])) for row in rows]

    async def any_seed_fetched(self, *, ever: bool) -> bool:
        """Whether at least one seed was fetched when it was last tried; `ever`: was answered at any time."""
        fetched = "status = 'fetched' AND failing_since IS NULL OR (? AND fetched_at IS NOT NULL)"
        return bool(await self._read(f"SELECT 1 FROM urls WHERE seed > 0 AND ({fetched}) LIMIT 1", (ever,)))  # noqa: S608

    # --- commit -----------------------------------------------------------------------------------------------------

    async def commit(self, results: Sequence[Result], now: float, archived: Archived | None = None) -> list[HostRecord]:
        """Store the results in one transaction; returns the hosts touched that have something planned."""
        with explained(self.path):
            self._check_files()
        async with self._transaction() as transaction:
            hosts = await transaction.run(results, now, archived=archived)
            self._failed_with_origins += transaction.failed_with_origins
            self._page_ids = transaction.page_ids
            return hosts

    def stored_pages(self) -> tuple[int, Sequence[int]]:
        """The run, and the row ids of the pages that the last commit has stored."""
        return self.run_id, self._page_ids

    def failed_with_origins(self) -> int:
        """How many pages have newly failed with their origins since the last call, without a result of their own."""
        number, self._failed_with_origins = self._failed_with_origins, 0
        return number

    # --- figures ----------------------------------------------------------------------------------------------------

    async def counts(self) -> dict[str, int]:
        """URLs by status, robots.txt not counted."""
        rows = await self._read(_COUNTS)
        return {status.value: int(value) for status, value in zip(UrlStatus, rows[0], strict=True)}

    async def exclusions(self) -> dict[str, int]:
        """Excluded URLs by the first word of their cause."""
        found: Counter[str] = Counter()
        for cause, number in await self._read(_EXCLUSIONS):
            found[cause.partition(":")[0]] += number
        return dict(found)

    async def unstored_links(self) -> int:
        """Links to URLs that were not stored because of `limit_urls`."""
        return int((await self._read("SELECT total(unstored_links) FROM hosts"))[0][0])

    async def closures(
        self,
        now: float,
        limit: int,
        *,
        stale_until: float | None = None,
        retried_after: float | None = None,
        max_pages_per_host: int | None = None,
    ) -> list[Closure]:
        """Hosts and origins that have something to be fetched but are left alone for now; where pages are fetched
        again, also hosts that are left alone until after `stale_until`. With `retried_after`, also hosts of which a URL
        is to be tried again after that, but for those that have had their number of pages.
        """
        parameters = (now, limit, stale_until, retried_after, self.run_id, at_most(max_pages_per_host))
        return [closure(row) for row in await self._read(CLOSURES, parameters)]

    async def failing_urls(self) -> FailingUrls:
        """URLs that keep the status of their last response, but failed at their latest visit."""
        return await failing_urls(self._read)

    async def failed_seeds(self, limit: int) -> tuple[int, list[FailedSeed]]:
        """How many seeds are neither fetched nor redirected, and some of them with their latest attempts."""
        ((total,),) = await self._read(f"SELECT count(*) {_FAILED_SEEDS}")
        rows = await self._read(f"SELECT url, status, reason {_FAILED_SEEDS} ORDER BY seed DESC, id LIMIT ?", (limit,))
        return total, [await self._failed_seed(*row) for row in rows]

    async def _failed_seed(self, url: str, status: str, reason: str | None) -> FailedSeed:
        seed = FailedSeed(url=url, status=UrlStatus(status), reason=reason)
        for code, _failed, message in await self._read(_LATEST_ATTEMPT, (url,)):
            return replace(seed, status_code=code, message=message)
        for code, failed, message in await self._read(_LATEST_ATTEMPT, (f"{origin_of(url)}/robots.txt",)):
            if failed:
                return replace(seed, status_code=code, message=message, at_robots=True)
        return seed

    async def freshness(self) -> tuple[int, float | None, float | None]:
        """How many pages are stored, when the newest was fetched, and when the next is to be looked at again.

        Reads every row of an index: for a run that had nothing to do.
        """
        answers = [(await self._read(sql))[0][0] for sql in (_PAGES, _NEWEST, _NEXT_REVISIT)]
        return int(answers[0]), answers[1], answers[2]

    async def _set_back(self, latest: float) -> None:
        """What was answered later was answered then."""
        if await self._read(_ANY_AHEAD, (latest,)):
            await self._change(_SET_BACK, latest)


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[SqliteStore]:
    """Open (or make) the crawl database for a run; the caller holds its lock."""
    async with open_writer(path) as writer, open_reader(path) as reader:
        yield SqliteStore(path, writer, reader)


async def stored_options(path: Path) -> dict[str, Any] | None:
    """The options of the newest run in a database that is not open yet, of whatever schema; None where there was none.

    What a run that came to its end was to fetch again is not among them: it is done. Raises `DatabaseFailedError` for
    what is no crawl database.
    """
    if not check_file(path):
        return None
    async with open_reader(path, any_schema=True) as reader:
        with explained(path):
            rows = list(await reader.execute_fetchall(_LAST_OPTIONS))
    options = _options(rows)
    return None if options is None else still_to_do(options, rows[0][1])


def _options(rows: Sequence[Any]) -> dict[str, Any] | None:
    return dict(json.loads(rows[0][0])) if rows else None
