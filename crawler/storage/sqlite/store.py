"""Named operations over records: what is due, what is known, what a run did. No operation decides anything
but one: whether a domain has room for one more host (see host_limit.py).

Reads go through a connection of their own that cannot write, so that they never wait behind a commit. Writes are
`Store.commit` (see writer.py's `Transaction`) and the few below it; those that may meet while a crawl runs take turns.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import orjson

from crawler.domains import owner_of
from crawler.errors import DatabaseFailedError
from crawler.records import (
    Claim,
    EndReason,
    ExclusionReason,
    Horizon,
    HostRecord,
    Reason,
    Result,
    RobotsCopy,
    SeedMark,
    Target,
    UrlKind,
    UrlStatus,
)
from crawler.storage.interface import Batch, Cursor
from crawler.storage.known import KnownUrls
from crawler.storage.sqlite.columns import (
    CLAIM_COLUMNS,
    HOST_COLUMNS,
    IS_FORBIDDEN,
    IS_LIFTABLE,
    MADE_PENDING,
    ROBOTS_COLUMNS,
    JsonStatement,
    claim,
    host_record,
    robots_copy,
)
from crawler.storage.sqlite.companions import companion
from crawler.storage.sqlite.database import check_file, explained, open_reader, open_writer
from crawler.storage.sqlite.host_limit import NAME_DOMAINS, HostLimit
from crawler.storage.sqlite.intake import Limits
from crawler.storage.sqlite.transaction import Transaction
from crawler.storage.sqlite.url_limit import FORGET_UNSTORED, READ_AGAIN, UrlLimit
from crawler.storage.values import as_json
from crawler.urls import host_of

_T = TypeVar("_T")

_CONSIDERED = 8192  # URLs, of all hosts of a read together, among which the most valuable are chosen

_END_KILLED = "UPDATE runs SET ended_at = ?, end_reason = ? WHERE ended_at IS NULL"

_WHAT_AGAIN = ("max_age_s", "retry_failed")  # of the options

_LAST_OPTIONS = "SELECT options, end_reason FROM runs ORDER BY id DESC LIMIT 1"

_DUE_HOSTS = f"""
SELECT {HOST_COLUMNS}
FROM hosts WHERE next_due_at <= ?1 AND (next_due_at, id) > (?5, ?6) AND NOT (run_id IS ?2 AND run_pages >= ?3)
ORDER BY next_due_at, id LIMIT ?4
"""  # noqa: S608 - our own names

_CLAIM = f"SELECT {CLAIM_COLUMNS} FROM json_each(?1) AS wanted CROSS JOIN hosts AS h ON h.id = wanted.value"  # noqa: S608 - our own names

# CROSS JOIN keeps SQLite from choosing another order: hosts first, then each one's few rows by urls_due.
_DUE_URLS = f"""
{_CLAIM}
CROSS JOIN urls AS u ON u.id IN (
    SELECT id FROM urls WHERE host_id = h.id AND next_fetch_at <= ?2 ORDER BY next_fetch_at, id LIMIT ?3
)
LEFT JOIN pages AS p ON p.id = u.page_id
ORDER BY u.next_fetch_at, u.id
"""  # noqa: S608 - our own names

_IS_ANSWERED = "status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots'"
_LIKELY = f"changes / watched_s * (?5 - fetched_at) + {1e9} * hinted"  # grows with the probability of a change
_IS_FREE = "id NOT IN (SELECT value FROM json_each(?7))"

# Seeds and hubs, then by how likely a change is, among the `?6` of each kind that have waited longest.
_STALE_URLS = f"""
{_CLAIM}
CROSS JOIN urls AS u ON u.id IN (
    SELECT id FROM (
        SELECT * FROM (
            SELECT id, 1 AS hub, {_LIKELY} AS likely FROM urls INDEXED BY urls_hubs
            WHERE host_id = h.id AND (seed > 0 OR new_links >= 0.25) AND {_IS_ANSWERED}
                AND (fetched_at <= ?2 OR revisit_at <= ?3) AND {_IS_FREE} LIMIT ?6
        ) UNION ALL SELECT * FROM (
            SELECT id, 0, {_LIKELY} FROM urls
            WHERE host_id = h.id AND fetched_at <= ?2 AND {_IS_ANSWERED} AND {_IS_FREE} ORDER BY fetched_at LIMIT ?6
        ) UNION ALL SELECT * FROM (
            SELECT id, 0, {_LIKELY} FROM urls
            WHERE host_id = h.id AND revisit_at <= ?3 AND {_IS_FREE} ORDER BY revisit_at LIMIT ?6
        )
    ) GROUP BY id ORDER BY max(hub) DESC, max(likely) DESC LIMIT ?4
)
LEFT JOIN pages AS p ON p.id = u.page_id
ORDER BY {_LIKELY} DESC, u.id
"""  # noqa: S608 - our own names

_STALE_HOSTS = f"""
SELECT {HOST_COLUMNS}
FROM hosts WHERE id > ?1 AND back_off_until <= ?6 AND NOT (run_id IS ?2 AND run_pages >= ?3) AND (
    EXISTS (SELECT 1 FROM urls WHERE host_id = hosts.id AND fetched_at <= ?4 AND {_IS_ANSWERED})
    OR EXISTS (SELECT 1 FROM urls WHERE host_id = hosts.id AND revisit_at <= ?5)
)
ORDER BY id LIMIT ?7
"""  # noqa: S608 - our own names

_RETRY_FAILED = f"""
UPDATE urls SET {MADE_PENDING}, attempts = 0, next_fetch_at = ?1
WHERE status = 'failed' AND kind <> 'robots' RETURNING host_id
"""  # noqa: S608 - our own names

_RUN_TIMES = "SELECT started_at, (SELECT max(started_at) FROM runs WHERE id < ?1) FROM runs WHERE id = ?1"

# Each by an index alone, or by a few rows a host: the table of a million pages is read for seconds.
_NEWEST = f"""
SELECT max((
    SELECT fetched_at FROM urls
    WHERE host_id = hosts.id AND {_IS_ANSWERED} AND page_id IS NOT NULL ORDER BY fetched_at DESC LIMIT 1
)) FROM hosts
"""  # noqa: S608 - our own names
_NEXT_REVISIT = """
SELECT min((SELECT min(revisit_at) FROM urls WHERE host_id = hosts.id AND revisit_at IS NOT NULL)) FROM hosts
"""
_PAGES = "SELECT count(DISTINCT url_id) FROM pages"

_ORIGINS = f"""
SELECT {", ".join(ROBOTS_COLUMNS.values())} FROM origins WHERE host_id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - our own names

# In the order of UrlStatus.
_COUNTS = """
SELECT total(pending), total(fetched), total(redirected), total(excluded), total(gone), total(failed) FROM hosts
"""

_RETRY = f"""
UPDATE urls SET {MADE_PENDING}, attempts = 0, next_fetch_at = ?2
WHERE url IN (SELECT value FROM json_each(?1)) AND status = 'failed' RETURNING host_id
"""  # noqa: S608 - our own names

_FORGET_FORBIDDEN = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?1
WHERE {IS_FORBIDDEN} AND host_id IN (SELECT host_id FROM origins WHERE ?2 OR robots_expires_at <= ?1) RETURNING host_id
"""  # noqa: S608 - our own names

_EXCLUSIONS = "SELECT cause, count(*) FROM urls WHERE status = 'excluded' GROUP BY cause ORDER BY cause"

# The last that is known of the newest run.
_LAST_SEEN = """
SELECT max(started_at, coalesce(ended_at, 0), coalesce((
    SELECT f.started_at FROM fetches AS f WHERE f.id = (SELECT max(id) FROM fetches) AND f.run_id = runs.id
), 0)) FROM runs ORDER BY id DESC LIMIT 1
"""
_CLOCK_TOLERANCE_S = 1.0

# The second kind has pages to be fetched again, which are not pending.
_BARRED = """
SELECT name FROM hosts WHERE next_due_at > ?1 AND back_off_until > ?1 AND pending > 0
UNION SELECT name FROM hosts WHERE ?3 IS NOT NULL AND back_off_until > ?3 AND failures > 0 AND fetched > 0
ORDER BY name LIMIT ?2
"""

# From one reason to the next by urls_excluded: a place that is closed may have shut out a million URLs.
_DETAILS = """
WITH RECURSIVE found (host_id, name, reason) AS (
    SELECT id, name, '' FROM hosts WHERE excluded > 0 AND fetched >= ?2
    UNION ALL
    SELECT host_id, name, (
        SELECT min(reason) FROM urls
        WHERE host_id = found.host_id AND status = 'excluded' AND cause = ?1 AND reason > found.reason
    ) FROM found WHERE reason IS NOT NULL
)
SELECT name, (
    SELECT detail FROM urls
    WHERE host_id = found.host_id AND status = 'excluded' AND cause = ?1 AND reason = found.reason LIMIT 1
) FROM found WHERE reason > ''
"""

_PAUSE = JsonStatement(
    """
UPDATE hosts SET back_off_until = max(back_off_until, {until}), next_due_at = max(next_due_at, {until})
FROM json_each(?1) AS v WHERE hosts.id = {id}
""",
    "id",
    "until",
)

_EXCLUDED = f"""
SELECT host_id, cause, reason, id, detail, url, kind, depth, hops FROM urls INDEXED BY urls_excluded
WHERE {IS_LIFTABLE} AND (host_id, cause, reason, id) > (?, ?, ?, ?)
ORDER BY host_id, cause, reason, id LIMIT ?
"""  # noqa: S608 - our own names

# Before the first row, in the order of each index that is read in batches.
_FIRST_DUE = (-1e18, 0)
_FIRST_STALE = (0,)
_FIRST_EXCLUDED = (0, "", "", 0)


class SqliteStore:
    """The crawl database, open for one run; see `interface.Store` for what each operation is for."""

    def __init__(
        self,
        path: Path,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        known: KnownUrls | None = None,
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._known = known if known is not None else KnownUrls()
        self._files = [companion(path, suffix) for suffix in ("", "-wal", "-shm")]
        self._inodes = self._found_inodes()
        self._writing = asyncio.Lock()
        self._limits = Limits()
        self.run_id = 0

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run; None where there was none."""
        return _options(await self._read(_LAST_OPTIONS))

    async def follow_clock(self, now: float) -> float:
        """Where the clock was set back since the last run, plan everything earlier by as much; returns the seconds.

        Else what was to be fetched at once would wait until the clock is where it was.
        """
        rows = await self._read(_LAST_SEEN)
        ahead_s = rows[0][0] - now if rows else 0.0
        if ahead_s <= _CLOCK_TOLERANCE_S:
            return 0.0
        async with self._transaction() as transaction:
            await transaction.rewind(ahead_s)
        return float(ahead_s)

    async def begin_run(self, options: dict[str, Any], now: float) -> tuple[int, int]:
        """Start a run, or go on with one that was killed; returns its id and the pages that it has stored.

        A killed run is resumed only under the same page limit; otherwise its count of pages would mean nothing.
        """
        text = json.dumps(options)  # escapes what a command line may hold and UTF-8 cannot
        rows = await self._read("SELECT id, pages, options FROM runs WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1")
        if rows and json.loads(rows[0][2])["scope"]["max_pages"] == options["scope"]["max_pages"]:
            self.run_id, pages = rows[0][0], rows[0][1]
            await self._write("UPDATE runs SET options = ? WHERE id = ?", (text, self.run_id))
            return self.run_id, pages
        await self._write(_END_KILLED, (now, EndReason.KILLED))
        rows = await self._write("INSERT INTO runs (started_at, options) VALUES (?, ?) RETURNING id", (now, text))
        self.run_id = rows[0][0]
        return self.run_id, 0

    async def set_decided(self, decided: bool) -> None:
        """Whether all that earlier options excluded has been judged by those of now; else the next run has to."""
        sql = "UPDATE runs SET options = json_set(options, '$.decided', json(?)) WHERE id = ?"
        async with self._writing:  # a crawl that runs may have a transaction open
            await self._write(sql, (as_json(decided), self.run_id))

    async def end_run(self, reason: EndReason, summary: dict[str, Any], now: float) -> None:
        """Record why and when the run ended, and what it reports."""
        await self._write(
            "UPDATE runs SET ended_at = ?, end_reason = ?, summary = ? WHERE id = ?",
            (now, reason, orjson.dumps(summary).decode(), self.run_id),
        )

    async def keep_pauses(self, pauses: Sequence[tuple[int, float]]) -> None:
        """Leave each of these hosts alone until its time (Unix seconds), in the next run, too."""
        await self._write(_PAUSE.sql, (as_json(pauses),))

    async def commit(self, results: Sequence[Result], now: float) -> list[HostRecord]:
        """Store the results in one transaction; returns the hosts touched that have something planned."""
        with explained(self.path):
            self._check_files()
        async with self._transaction() as transaction:
            return await transaction.run(results, now)

    def _check_files(self) -> None:
        """SQLite writes into files that were deleted as if nothing had happened."""
        for path, inode in self._found_inodes().items():
            if inode is None or inode != self._inodes[path]:
                raise DatabaseFailedError(f"{path} was deleted or replaced while the crawl was writing to it")

    def _found_inodes(self) -> dict[Path, int | None]:
        """Of the database, its write-ahead log and that one's index; None where there is no such file."""
        return {path: _inode(path) for path in self._files}

    async def add(self, targets: Sequence[Target], now: float) -> None:
        """Add URLs that no visit found (seeds)."""
        async with self._transaction() as transaction:
            await transaction.run((), now, targets)

    async def due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None = None
    ) -> Batch[HostRecord]:
        """Hosts that have a URL due and have not reached their number of pages, longest due first."""
        most = max_pages_per_host if max_pages_per_host is not None else 1 << 62
        place = _place(after, _FIRST_DUE)
        hosts = [host_record(row) for row in await self._read(_DUE_HOSTS, (now, self.run_id, most, limit, *place))]
        return Batch(rows=hosts, next=_next(hosts, limit, lambda host: (host.next_due_at, host.host_id)))

    async def due_urls(self, host_ids: Iterable[int], limit: int, now: float) -> list[Claim]:
        """At most `limit` due URLs of each of these hosts, longest due first. Also those lent already."""
        rows = await self._read(_DUE_URLS, (orjson.dumps(list(host_ids)).decode(), now, limit))
        return [claim(row) for row in rows]

    async def stale_hosts(
        self,
        horizon: Horizon,
        max_pages_per_host: int | None,
        limit: int,
        latest_back_off: float,
        after: Cursor | None = None,
    ) -> Batch[HostRecord]:
        """Hosts with a URL to be fetched again, each once; none that backs off past `latest_back_off`."""
        most = max_pages_per_host if max_pages_per_host is not None else 1 << 62
        bounds = (horizon.fetched_before, horizon.revisit_before)
        place = _place(after, _FIRST_STALE)
        rows = await self._read(_STALE_HOSTS, (*place, self.run_id, most, *bounds, latest_back_off, limit))
        hosts = [host_record(row) for row in rows]
        return Batch(rows=hosts, next=_next(hosts, limit, lambda host: (host.host_id,)))

    async def stale_urls(
        self, host_ids: Sequence[int], limit: int, horizon: Horizon, held: Iterable[int] = ()
    ) -> list[Claim]:
        """At most `limit` URLs to be fetched again of each of these hosts, the most valuable; none of `held`.

        With `by_value` they are chosen among the 8,192, of all hosts, that have waited longest, so that a choice costs
        the same however many there are.
        """
        hosts, lent = (orjson.dumps(list(ids)).decode() for ids in (host_ids, held))
        considered = max(limit, _CONSIDERED // len(host_ids)) if horizon.by_value else limit
        bounds = (horizon.fetched_before, horizon.revisit_before)
        rows = await self._read(_STALE_URLS, (hosts, *bounds, limit, horizon.started_at, considered, lent))
        return [claim(row) for row in rows]

    async def run_times(self) -> tuple[float, float | None]:
        """When this run was started, and the one before it."""
        rows = await self._read(_RUN_TIMES, (self.run_id,))
        return rows[0][0], rows[0][1]

    async def freshness(self) -> tuple[int, float | None, float | None]:
        """How many pages are stored, when the newest was fetched, and when the next is to be looked at again.

        Reads every row of an index: for a run that had nothing to do.
        """
        answers = [(await self._read(sql))[0][0] for sql in (_PAGES, _NEWEST, _NEXT_REVISIT)]
        return int(answers[0]), answers[1], answers[2]

    async def retry_failed(self, now: float) -> None:
        """Make all that has failed due again, as if it had never been tried."""
        await self._change(_RETRY_FAILED, now)

    async def next_due_at(self, after: float) -> float | None:
        """When the next host falls due, of those that are not due at `after`; Unix seconds."""
        rows = await self._read("SELECT min(next_due_at) FROM hosts WHERE next_due_at > ?", (after,))
        return rows[0][0] if rows else None

    async def robots_of(self, host_ids: Iterable[int]) -> list[RobotsCopy]:
        """The copies of robots.txt kept for these hosts' origins."""
        rows = await self._read(_ORIGINS, (orjson.dumps(list(host_ids)).decode(),))
        return [robots_copy(row) for row in rows]

    async def roots(self) -> list[str]:
        """The seeds of this database and what they redirect to, except URLs on a port that no web server uses."""
        return [row[0] for row in await self._read("SELECT url FROM urls WHERE seed > 0 AND cause IS NOT 'port'")]

    async def named_seeds(self) -> list[tuple[str, SeedMark]]:
        """The URLs that the user named."""
        rows = await self._read("SELECT url, seed FROM urls WHERE seed > 0 AND seed >= ?", (int(SeedMark.YES),))
        return [(row[0], SeedMark(row[1])) for row in rows]

    async def any_seed_fetched(self, *, ever: bool) -> bool:
        """Whether at least one seed was fetched when it was last tried; `ever`: was answered at any time."""
        sql = "SELECT 1 FROM urls WHERE seed > 0 AND (status = 'fetched' OR (? AND fetched_at IS NOT NULL)) LIMIT 1"
        return bool(await self._read(sql, (ever,)))

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
        """Links to URLs that were not stored, because their hosts had as many as they may have."""
        return int((await self._read("SELECT total(unstored_links) FROM hosts"))[0][0])

    async def details(self, cause: ExclusionReason, min_fetched: int) -> list[tuple[str, str]]:
        """(host name, detail) for each detail of this cause of exclusion, of hosts with enough fetched URLs."""
        return [(name, detail) for name, detail in await self._read(_DETAILS, (cause, min_fetched))]

    async def barred_hosts(self, now: float, limit: int, *, stale_until: float | None = None) -> list[str]:
        """Hosts that have pages pending but are left alone for now, since they answered so or robots.txt did not; and,
        where pages are fetched again, those that are left alone until after `stale_until`.
        """
        rows = await self._read(_BARRED, (now, limit, stale_until))
        return [row[0] for row in rows]

    async def excluded(self, after: Cursor | None, limit: int) -> Batch[Target]:
        """A batch of the URLs that were excluded by scope, depth or limits, by host and reason."""
        rows = await self._read(_EXCLUDED, (*_place(after, _FIRST_EXCLUDED), limit))
        targets = [
            Target(url=url, host=host_of(url), kind=UrlKind(kind), depth=depth, hops=hops, reason=Reason(cause, detail))
            for _host_id, cause, _reason, _id, detail, url, kind, depth, hops in rows
        ]
        return Batch(rows=targets, next=_next(rows, limit, lambda row: row[:4]))

    async def retry(self, urls: Sequence[str], now: float) -> None:
        """Make those of these URLs that have failed due again, as if they had never been tried."""
        await self._change(_RETRY, as_json(list(urls)), now)

    async def forget_forbidden(self, now: float, *, every: bool) -> None:
        """What robots.txt forbade is decided again where its copy has expired; `every`: wherever it did."""
        await self._change(_FORGET_FORBIDDEN, now, every)

    async def readmit(self, urls: Sequence[str], now: float) -> int:
        """Make excluded URLs pending again, as many as there is room for; returns how many are."""
        async with self._transaction() as transaction:
            return await transaction.readmit(urls, now)

    async def limit_hosts(self, per_domain: int) -> None:
        """From now on, store at most this many hosts per domain; stored ones count. Takes one pass over them."""
        await self._writer.create_function("owner_of", 1, owner_of)
        await self._write(NAME_DOMAINS, ())
        self._limits.hosts = HostLimit(per_domain)

    def full_domains(self) -> list[str]:
        """The domains of which hosts were turned away since this was asked last; each once a run."""
        return [] if self._limits.hosts is None else self._limits.hosts.take_full()

    async def limit_urls(self, per_host: int, now: float) -> None:
        """From now on take in no more URLs of a host than this, and keep no more rows of it than twice as many.

        Documents whose links were not all stored for the sake of a lower limit are due now, to be read again.
        """
        await self._write(FORGET_UNSTORED, (per_host,))
        await self._change(READ_AGAIN, per_host, now)
        self._limits.urls = UrlLimit(per_host)

    def full_hosts(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each once a run."""
        return [] if self._limits.urls is None else self._limits.urls.take_full()

    async def _change(self, sql: str, *parameters: Any) -> None:
        async with self._transaction() as transaction:
            await transaction.change(sql, *parameters)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        """The next transaction, once the one before it is over."""
        with explained(self.path):
            async with self._writing:
                yield Transaction(self._writer, self._known, self.run_id, self._limits)

    async def _read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        with explained(self.path):
            return list(await self._reader.execute_fetchall(sql, parameters))

    async def _write(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        with explained(self.path):
            self._check_files()
            return list(await self._writer.execute_fetchall(sql, parameters))


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[SqliteStore]:
    """Open (or make) the crawl database for a run; the caller holds its lock."""
    async with open_writer(path) as writer, open_reader(path) as reader:
        yield SqliteStore(path, writer, reader)


def _place(cursor: Cursor | None, first: tuple[Any, ...]) -> tuple[Any, ...]:
    """Behind which row to read on."""
    return first if cursor is None else tuple(orjson.loads(cursor))


def _next(rows: Sequence[_T], limit: int, place: Callable[[_T], Sequence[Any]]) -> Cursor | None:
    """The cursor behind the last row; None where there are fewer than were asked for, so that this is the end."""
    return Cursor(as_json(place(rows[-1]))) if len(rows) == limit else None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


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
    if options is not None and rows[0][1] == EndReason.COMPLETE:
        for name in _WHAT_AGAIN:
            options.get("recrawl", {}).pop(name, None)
    return options


def _options(rows: Sequence[Any]) -> dict[str, Any] | None:
    return dict(json.loads(rows[0][0])) if rows else None
