"""What a database holds, in figures: for `crawler status`. Only reads, and in one snapshot, so that the figures agree.

What it costs: tallies stand with the hosts, so totals and tables take one pass over `hosts`. Reasons are counted over
the excluded URLs (about 0.4 s a million of them) and, only where some URL failed, in one pass over `urls` (about 0.1 s
a million). Suspected traps are counted in two passes over the index of exclusions (about 0.1 s a million each, and
0.6 s a million URLs of domains that have too many hosts) and looked for in a sample of a thousand pages; page versions,
bodies and attempts are counted (about 0.1 s a million). The rest is a handful of rows, whatever the size.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any

import orjson

from crawler.archive.dialect import Dialect, Sql, Text
from crawler.archive.reading import Reader, open_database
from crawler.location import Location
from crawler.records import MAX_COPY_AGE_S, Closure, ExclusionReason, FailingUrls, UrlStatus
from crawler.statically_frozen import dataclass
from crawler.storage.columns import closure
from crawler.storage.failing import IS_FAILING, failing_urls
from crawler.storage.sqlite.check_tally import CHECK_TALLY, tallied
from crawler.storage.sqlite.closures import CLOSURES
from crawler.storage.sqlite.host_limit import OF_FULL_DOMAIN

_RUNS = """
SELECT run_id, started_at, ended_at, end_reason, pages, requests, summary FROM run_overview ORDER BY run_id DESC LIMIT ?
"""

_COUNTS = Sql(
    f"SELECT {', '.join(f'total({status})' for status in UrlStatus)} FROM host_overview",  # noqa: S608 - our own names
    f"SELECT {', '.join(f'coalesce(sum({status}), 0)' for status in UrlStatus)} FROM host_overview",  # noqa: S608
)

_HOST_TOTALS = Sql(
    """
SELECT count(*), total(urls > excluded), total(pending > 0 AND back_off_until > ?), total(unstored_links)
FROM host_overview
""",
    """
SELECT count(*), count(*) FILTER (WHERE urls > excluded),
    count(*) FILTER (WHERE pending > 0 AND back_off_until > ?), coalesce(sum(unstored_links), 0)
FROM host_overview
""",
)

_FAILING = Sql(
    "SELECT name, count(*) FROM urls CROSS JOIN hosts ON hosts.id = host_id WHERE {is_failing} GROUP BY host_id",
    "SELECT h.name, count(*) FROM urls AS u JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)"
    " WHERE {is_failing} GROUP BY h.part, h.id, h.name",
).format(is_failing=IS_FAILING)
_TALLIES = Sql.same(
    """
WITH failing (host, failing) AS MATERIALIZED ({failing})
SELECT host, {statuses}, next_due_at, back_off_until, failures, pace_s, unstored_links,
    coalesce(failing, 0) AS failing
FROM host_overview LEFT JOIN failing USING (host)
"""
).format(failing=_FAILING, statuses=", ".join(UrlStatus))
_BY_NAME = Sql("host LIMIT ?", 'host COLLATE "C" LIMIT ?')
_HOSTS = _TALLIES + " WHERE urls > excluded ORDER BY pending + fetched DESC, " + _BY_NAME
_SUSPECTS = _TALLIES + " WHERE failed > 0 OR failing > 0 ORDER BY failed + coalesce(failing, 0) DESC, " + _BY_NAME

# The origins whose robots.txt cannot be had and that go by what it said last.
_OLD_RULES = """
SELECT origin, robots_status, robots_fetched_at, robots_failures FROM origins
WHERE robots_failures > 0 AND robots_fetched_at >= ? AND robots_body IS NOT NULL
ORDER BY robots_fetched_at, origin LIMIT ?
"""

_NEXT_DUE = "SELECT min(next_due_at) FROM host_overview WHERE next_due_at IS NOT NULL"

# The next two ask the table: the views' join with hosts would cost as much again.
_EXCLUSIONS = Sql(
    """
SELECT substr(cause, 1, instr(cause || ':', ':') - 1) AS word, count(*) FROM urls
WHERE status = 'excluded' GROUP BY word ORDER BY word
""",
    """
SELECT split_part(cause, ':', 1) AS word, count(*) FROM urls WHERE status = 'excluded' GROUP BY word ORDER BY word
""",
)

_FAILURES = """
SELECT reason, count(*) FROM urls WHERE status = 'failed' AND kind <> 'robots' GROUP BY reason ORDER BY count(*) DESC
"""

_FAILED_OF = Sql(
    """
SELECT 0, id, url FROM urls WHERE status = 'failed' AND kind <> 'robots' AND reason IS ? ORDER BY id LIMIT ?
""",
    """
SELECT part, id, url FROM urls WHERE status = 'failed' AND kind <> 'robots' AND reason IS NOT DISTINCT FROM ? LIMIT ?
""",
)
# Of the newest attempts alone: a URL's are found by no index. In PostgreSQL, of the newest of its partition.
_MESSAGES = Sql(
    """
SELECT url_id, message FROM fetches
WHERE id > (SELECT max(id) FROM fetches) - 65536 AND message <> ''
    AND url_id IN (SELECT json_extract(value, '$[1]') FROM json_each(?))
""",
    """
SELECT last.url_id, last.message FROM json_array_elements(?::json) AS wanted (key) CROSS JOIN LATERAL (
    SELECT url_id, message FROM (
        SELECT id, url_id, message FROM fetches WHERE part = (wanted.key ->> 0)::int ORDER BY id DESC LIMIT 4096
    ) AS newest WHERE url_id = (wanted.key ->> 1)::bigint AND message <> '' ORDER BY id DESC LIMIT 1
) AS last
""",
)

# By urls_excluded alone. The hosts that a domain has too many of are one trap, not one each.
_TRAPS = Sql(
    """
SELECT g.host_id, h.name, g.cause, g.reason, g.urls FROM (
    SELECT host_id, cause, reason, count(*) AS urls FROM urls
    WHERE status = 'excluded' AND cause GLOB 'trap: *' AND NOT ({of_full_domain})
    GROUP BY host_id, cause, reason ORDER BY urls DESC, host_id LIMIT ?
) AS g JOIN hosts AS h ON h.id = g.host_id ORDER BY g.urls DESC, g.host_id
""",
    """
SELECT g.host_id, h.name, g.cause, g.reason, g.urls FROM (
    SELECT part, host_id, cause, reason, count(*) AS urls FROM urls
    WHERE status = 'excluded' AND starts_with(cause, 'trap: ') AND NOT ({of_full_domain})
    GROUP BY part, host_id, cause, reason ORDER BY urls DESC, host_id LIMIT ?
) AS g JOIN hosts AS h ON (h.part, h.id) = (g.part, g.host_id) ORDER BY g.urls DESC, g.host_id
""",
).format(of_full_domain=OF_FULL_DOMAIN)
_FULL_DOMAINS = Sql(
    """
SELECT g.detail, g.urls, first.url, last.url FROM (
    SELECT detail, count(*) AS urls, min(id) AS first_id, max(id) AS last_id FROM urls INDEXED BY urls_excluded
    WHERE status = 'excluded' AND {of_full_domain} GROUP BY reason ORDER BY urls DESC, detail LIMIT ?
) AS g JOIN urls AS first ON first.id = g.first_id JOIN urls AS last ON last.id = g.last_id
ORDER BY g.urls DESC, g.detail
""",
    """
SELECT detail, count(*) AS urls, min(url COLLATE "C"), max(url COLLATE "C") FROM urls
WHERE status = 'excluded' AND {of_full_domain} GROUP BY detail ORDER BY urls DESC, detail COLLATE "C" LIMIT ?
""",
).format(of_full_domain=OF_FULL_DOMAIN)
_TRAP_EXAMPLES = Sql.same(
    "SELECT url FROM urls WHERE {of_host} AND status = 'excluded' AND cause = ? AND reason = ? LIMIT ?"
).format(of_host=Sql("host_id = ?", "(part, host_id) = (?, ?)"))

# A page's hash stands behind its text: every one that is looked at costs a read of that. Of SQLite the ids are given;
# PostgreSQL is told how many in a hundred, and takes whole blocks of rows.
_SAMPLE = Sql(
    """
SELECT h.name, p.content_hash, u.url FROM json_each(?) AS wanted
CROSS JOIN pages AS p ON p.id = wanted.value
CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id
CROSS JOIN hosts AS h ON h.id = u.host_id
""",
    """
SELECT h.name, p.content_hash, u.url FROM pages AS p TABLESAMPLE SYSTEM (?) REPEATABLE (1)
    JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id) AND u.page_id = p.id
    JOIN hosts AS h ON (h.part, h.id) = (u.part, u.host_id)
""",
)
_PAGE_IDS = "SELECT (SELECT min(id) FROM pages), (SELECT max(id) FROM pages)"
SAME_CONTENT = "same content"
_SAMPLED_PAGES = 1000
_SUSPECT_PAGES = 10  # of the sample, that say the same
_EXAMPLES = 3
_AT_ONCE = 1024  # rows of an answer
_REASONS = 10  # of which failed URLs are named

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
    """A host's URLs by status, robots.txt not counted. `failures` counts look-ups and connections that failed in a row.

    `pace_s` is the delay to which adaptive pacing has slowed it; None: it was not slowed. `unstored_links` lead to
    further URLs of it, which were not stored because of `--max-urls-per-host`. `failing` URLs keep the status of their
    last response, by which they are counted, too.
    """

    name: str
    urls: Mapping[str, int]
    next_due_at: float | None
    back_off_until: float
    failures: int
    pace_s: float | None
    unstored_links: int
    failing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRules:
    """An origin that goes by an old copy of its robots.txt, read at `fetched_at`. `failures` attempts since have
    brought no other, the last one with this status (None: no answer).
    """

    origin: str
    status_code: int | None
    fetched_at: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A URL that failed. `message` explains the reason where it is not a status and the attempt is recent."""

    url: str
    reason: str
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """A suspicion. `rule` is what speaks for it: an exclusion's reason, or 'same content' of pages that were stored.

    `host` is the domain where it has too many hosts.

    `urls` counts the URLs that were kept out; for 'same content' it is estimated from a sample of the pages.
    """

    host: str
    rule: str
    urls: int
    examples: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures. Times are Unix seconds; counts of URLs leave out robots.txt.

    `runs` are the newest, newest first; `hosts` those with the most pages and pending URLs; `suspects` those with the
    most failed and failing URLs; `failed_urls` three of each of the ten most frequent reasons; `waiting` are hosts and
    origins that are left alone for now, and hosts of URLs that wait for a retry; `old_rules` are origins whose
    robots.txt cannot be had; `traps` where most URLs look like one. `hosts_crawled` counts hosts that have more than
    excluded URLs. `next_due_at` None: nothing is planned. `failures` counts failed URLs by reason: a `FailureKind` or
    "http <status>"; `failing` are those that keep the status of their last response. `checks` counts
    URLs that are only checked by verdict. `now` is when it was read, by the clock that the crawl goes by.
    """

    now: float
    urls: Mapping[str, int]
    next_due_at: float | None
    runs: Sequence[RunRecord]
    hosts: Sequence[HostTally]
    suspects: Sequence[HostTally]
    failed_urls: Sequence[Failed]
    traps: Sequence[Trap]
    waiting: Sequence[Closure]
    old_rules: Sequence[OldRules]
    hosts_total: int
    hosts_crawled: int
    hosts_backing_off: int
    failures: Mapping[str, int]
    failing: FailingUrls
    excluded: Mapping[str, int]
    checks: Mapping[str, int]
    unstored_links: int
    page_versions: int
    bodies: int
    fetches: int


# A worker's clock follows the database's, but not to the millisecond.
_DATABASE_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_CLOCKS_DIFFER_S = 1.0


async def read_report(
    db: Location, now: float | None = None, *, runs: int = 5, hosts: int = 20, suspects: int = 5, traps: int = 10
) -> Report:
    """Read the figures, at most so many rows of each kind; `now` in Unix seconds, None: by the clock that the crawl
    goes by. Works while a crawl runs.

    Raises `DatabaseFailedError` where there is no crawl database, or it cannot be read.
    """
    async with open_database(db) as reader, reader.snapshot():
        moment = await _now(reader) if now is None else now
        return await _read(reader, moment, runs, hosts, suspects, traps)


async def _now(reader: Reader) -> float:
    if reader.dialect is Dialect.SQLITE:
        return time.time()
    return float((await reader.fetch(_DATABASE_NOW))[0][0])


async def _read(reader: Reader, now: float, runs: int, hosts: int, suspects: int, traps: int) -> Report:
    counts = await _row(reader, _COUNTS)
    urls = {status.value: int(value) for status, value in zip(UrlStatus, counts, strict=True)}
    totals = await _row(reader, _HOST_TOTALS, now)
    page_versions, bodies, fetches = await _row(reader, _ROWS)
    failed = await _rows(reader, _FAILURES) if urls[UrlStatus.FAILED] else []
    return Report(
        now=now,
        urls=urls,
        next_due_at=(await _row(reader, _NEXT_DUE))[0],
        runs=[_run(row) for row in await _rows(reader, _RUNS, runs)],
        hosts=[_host(row) for row in await _rows(reader, _HOSTS, hosts)],
        suspects=[_host(row) for row in await _rows(reader, _SUSPECTS, suspects)],
        failed_urls=await _failed_urls(reader, [row[0] for row in failed]),
        traps=[
            *(await _traps(reader, traps if urls[UrlStatus.EXCLUDED] else 0)),
            *(await _same_content(reader, page_versions)),
        ],
        waiting=await _waiting(reader, now, suspects),
        old_rules=[
            OldRules(origin=row[0], status_code=row[1], fetched_at=row[2], failures=row[3])
            for row in await _rows(reader, _OLD_RULES, now - MAX_COPY_AGE_S, suspects)
        ],
        hosts_total=totals[0],
        hosts_crawled=int(totals[1]),
        hosts_backing_off=int(totals[2]),
        failures={row[0] or "unknown": row[1] for row in failed},
        failing=await failing_urls(partial(_rows, reader)),
        excluded=dict(await _rows(reader, _EXCLUSIONS)) if urls[UrlStatus.EXCLUDED] else {},
        checks=tallied(await _rows(reader, CHECK_TALLY) if reader.dialect is Dialect.SQLITE else []),
        unstored_links=int(totals[3]),
        page_versions=page_versions or 0,
        bodies=bodies or 0,
        fetches=fetches or 0,
    )


async def _waiting(reader: Reader, now: float, most: int) -> list[Closure]:
    if reader.dialect is Dialect.SQLITE:
        return [closure(row) for row in await _rows(reader, CLOSURES, now, most, None, now, None, 0)]
    from crawler.storage.postgres.figures import CLOSURES as CLOSURES_OF_POSTGRES

    soon = now + _CLOCKS_DIFFER_S  # what has just been found may seem to wait
    return [closure(row) for row in await reader.fetch(CLOSURES_OF_POSTGRES, soon, most, None, soon, None, 0)]


async def _failed_urls(reader: Reader, reasons: Sequence[str | None]) -> list[Failed]:
    """Some of each reason, the most frequent ones first."""
    found = [
        (part, url_id, url, reason or "unknown")
        for reason in reasons[:_REASONS]
        for part, url_id, url in await reader.fetch(_FAILED_OF, reason, _EXAMPLES)
    ]
    keys = orjson.dumps([(part, url_id) for part, url_id, _url, _reason in found]).decode()
    messages = dict(await reader.fetch(_MESSAGES, keys)) if found else {}
    return [Failed(url=url, reason=reason, message=messages.get(url_id)) for _part, url_id, url, reason in found]


async def _traps(reader: Reader, most: int) -> list[Trap]:
    traps = [
        Trap(
            host=name,
            rule=reason.removeprefix("trap: "),
            urls=urls,
            examples=await _trap_examples(reader, reader.key_of_host(name) or (host_id,), cause, reason),
        )
        for host_id, name, cause, reason, urls in await _rows(reader, _TRAPS, most)
    ]
    domains = [
        Trap(
            host=domain,
            rule=ExclusionReason.HOSTS_OF_DOMAIN.removeprefix("trap: "),
            urls=urls,
            examples=list(dict.fromkeys((first, last))),
        )
        for domain, urls, first, last in await _rows(reader, _FULL_DOMAINS, most)
    ]
    return sorted([*traps, *domains], key=lambda trap: -trap.urls)[:most]


async def _trap_examples(reader: Reader, host: tuple[int, ...], cause: str, reason: str) -> list[str]:
    return [row[0] for row in await reader.fetch(_TRAP_EXAMPLES, *host, cause, reason, _EXAMPLES)]


async def _same_content(reader: Reader, versions: int) -> list[Trap]:
    """Hosts that answer many URLs with the same page: soft 404s, for instance. A sample of the pages is looked at."""
    if not versions:
        return []
    if reader.dialect is Dialect.SQLITE:
        [(first, last)] = await reader.fetch(_PAGE_IDS)
        step = max(1, (last - first + 1) // _SAMPLED_PAGES)  # of ids: what was pruned leaves gaps
        sample = await _rows(reader, _SAMPLE, orjson.dumps(list(range(first, last + 1, step))).decode())
    else:
        step = max(1, versions // _SAMPLED_PAGES)
        sample = await _rows(reader, _SAMPLE, 100 / step)
    found: defaultdict[tuple[str, bytes], list[str]] = defaultdict(list)
    for name, content_hash, url in sample:
        found[name, content_hash].append(url)
    return [
        Trap(host=host, rule=SAME_CONTENT, urls=len(urls) * step, examples=urls[:_EXAMPLES])
        for (host, _hash), urls in sorted(found.items(), key=lambda item: -len(item[1]))[:_EXAMPLES]
        if len(urls) >= _SUSPECT_PAGES
    ]


async def _rows(reader: Reader, sql: Text, *parameters: Any) -> list[Any]:
    return [row async for rows in reader.stream(sql, parameters, _AT_ONCE) for row in rows]


async def _row(reader: Reader, sql: Text, *parameters: Any) -> Any:
    return (await _rows(reader, sql, *parameters))[0]


def _run(row: Sequence[Any]) -> RunRecord:
    run_id, started_at, ended_at, end_reason, pages, requests, summary = row
    return RunRecord(
        run_id=run_id,
        started_at=started_at,
        ended_at=ended_at,
        end_reason=end_reason,
        pages=pages,
        requests=requests,
        summary=orjson.loads(summary) if summary else None,
    )


def _host(row: Sequence[Any]) -> HostTally:
    name, *counts, next_due_at, back_off_until, failures, pace_s, unstored_links, failing = row
    return HostTally(
        name=name,
        urls=dict(zip(map(str, UrlStatus), counts, strict=True)),
        next_due_at=next_due_at,
        back_off_until=back_off_until,
        failures=failures,
        pace_s=pace_s,
        unstored_links=unstored_links,
        failing=failing,
    )
