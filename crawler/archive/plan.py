"""What a run to come has to do, by what is stored and learnt: for `crawler plan`. Only reads, in one snapshot.

One pass over `urls`, one over the hosts that have something due. Habits are counted in classes, so that a million pages
are some hundred of them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crawler.archive.dialect import Sql, Text
from crawler.archive.reading import Reader, open_database
from crawler.config import CrawlConfig
from crawler.host_settings import settings_of
from crawler.location import Location
from crawler.policy.forecast import Habit, HostWork, freshness, visits_asked
from crawler.policy.rate import DAY_S, unchanged
from crawler.policy.recrawl import rhythm
from crawler.policy.robots import MAX_CRAWL_DELAY_S, RobotsRules
from crawler.records import ChangeRate
from crawler.statically_frozen import dataclass
from crawler.storage.columns import IS_ANSWERED

_CLASSES = 4.0  # of rates and intervals, a doubling
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # of all pages, a run
_AT_ONCE = 4096  # rows
_LATEST_FETCHES = 20_000  # by which it is known how long responses take

# Due now, and else planned for a time after that. ?1 is now, ?2 and ?3 are the horizon's; NULL: nothing is asked again.
_DUE = f"""
SELECT host_id, count(*) FILTER (WHERE due), min(CASE WHEN NOT due THEN planned END) FROM (
    SELECT host_id,
        coalesce(next_fetch_at <= ?1, FALSE)
            OR ({IS_ANSWERED} AND (coalesce(fetched_at < ?2, FALSE) OR coalesce(revisit_at < ?3, FALSE)))
            OR (?2 IS NOT NULL AND status = 'failed' AND coalesce(revisit_at < ?1, FALSE)) AS due,
        coalesce(next_fetch_at, CASE WHEN ?3 IS NULL THEN fetched_at + (?1 - ?2) ELSE revisit_at END) AS planned
    FROM urls WHERE kind <> 'robots' AND status <> 'excluded'
) AS planned_urls GROUP BY host_id
"""  # noqa: S608 - our own names

_HOSTS = Sql.same("SELECT id, name, back_off_until, pace_s FROM hosts WHERE id IN ") + Sql(
    "(SELECT value FROM json_each(?))", "(SELECT value::bigint FROM json_array_elements_text(?::text::json))"
)

# A host of which no origin is known yet is asked for its robots.txt first.
_ROBOTS = """
SELECT host_id, count(*) FILTER (WHERE coalesce(robots_expires_at, 0) <= ?), max(paused_until)
FROM origins GROUP BY host_id
"""
_CRAWL_DELAYS = Sql.same("SELECT host_id, robots_body FROM origins WHERE robots_body IS NOT NULL AND ") + Sql(
    "instr(lower(CAST(robots_body AS TEXT)), 'crawl-delay') > 0",
    "lower(encode(robots_body, 'escape')) LIKE '%crawl-delay%'",
)

_ANSWERS = Sql(
    """
SELECT u.host_id, avg(f.elapsed_s) FROM (
    SELECT url_id, elapsed_s FROM fetches WHERE status_code IS NOT NULL ORDER BY id DESC LIMIT ?
) AS f JOIN urls AS u ON u.id = f.url_id GROUP BY u.host_id
""",
    """
SELECT host_id, avg(elapsed_s) FROM (
    SELECT host_id, elapsed_s FROM fetches WHERE status_code IS NOT NULL ORDER BY started_at DESC LIMIT ?
) AS f GROUP BY host_id
""",
)

_HABITS = f"""
SELECT changes, watched_s, revisit_at - fetched_at, ?1 - fetched_at FROM urls
WHERE kind = 'page' AND changes > 0 AND watched_s > 0 AND revisit_at >= fetched_at AND {IS_ANSWERED}
"""  # noqa: S608 - our own names

_OPTIONS = "SELECT options FROM runs ORDER BY id DESC LIMIT 1"
_RUN_TIMES = "SELECT started_at FROM runs ORDER BY id DESC LIMIT 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedHost:
    """A host that has something due. `due` URLs are; `next_due_at` is when the next of the others is (Unix seconds)."""

    name: str
    due: int
    work: HostWork
    next_due_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run as it would be at `now` (Unix seconds). Hosts that have nothing due are counted (`hosts_idle`).

    `next_due_at` is when something is due of whatever is not due now. `fresh_now` of the `pages` whose habits are known
    are probably as they are stored; runs are taken to be `cadence_s` apart.
    """

    now: float
    hosts: Sequence[PlannedHost]
    hosts_idle: int
    next_due_at: float | None
    habits: Sequence[Habit]
    pages: int
    fresh_now: float
    cadence_s: float

    @property
    def due(self) -> int:
        """URLs that are due."""
        return sum(host.due for host in self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What so many requests for pages in each run are worth: `share` of all pages, the mean `freshness` of copies."""

    requests: int
    share: float
    freshness: float


async def read_plan(db: Location, config: CrawlConfig, now: float) -> Plan:
    """Read it: what a run with these options would have to do. Raises `DatabaseFailedError`."""
    async with open_database(db) as reader, reader.snapshot():
        return await _read(reader, config, now)


async def read_budgets(reader: Reader, now: float) -> list[Budget]:
    """What budgets are worth for pages whose habits are known: those that were looked at more than once."""
    cadence_s = _cadence_s([row[0] for row in await _rows(reader, _RUN_TIMES)])
    habits, _fresh = await _habits(reader, now, cadence_s)
    return list(budgets(habits, cadence_s))


def budgets(habits: Sequence[Habit], cadence_s: float) -> Iterator[Budget]:
    """Some that are less than what is asked for, and that."""
    pages, asked = sum(one.pages for one in habits), visits_asked(habits, cadence_s)
    for visits in (*(share * pages for share in _SHARES if share * pages < asked), asked):
        if pages and visits >= 1:
            yield Budget(requests=round(visits), share=visits / pages, freshness=freshness(habits, cadence_s, visits))


async def last_options(db: Location) -> dict[str, Any]:
    """The options of the newest run, with what it was to fetch again. Raises `DatabaseFailedError`."""
    async with open_database(db) as reader:
        rows = await _rows(reader, _OPTIONS)
    return dict(json.loads(rows[0][0])) if rows else {}


async def _read(reader: Reader, config: CrawlConfig, now: float) -> Plan:
    horizon = rhythm(config.recrawl, started_at=now, before=None, now=now).horizon
    bounds = (None, None) if horizon is None else (horizon.fetched_before, horizon.revisit_before)
    found = {row[0]: (row[1], row[2]) for row in await _rows(reader, _DUE, now, *bounds)}
    busy = [host_id for host_id, (due, _next) in found.items() if due]
    runs = [row[0] for row in await _rows(reader, _RUN_TIMES)]
    habits, fresh = await _habits(reader, now, cadence := _cadence_s(runs))
    pages = sum(one.pages for one in habits)
    return Plan(
        now=now,
        hosts=await _hosts(reader, config, now, {host_id: found[host_id] for host_id in busy}),
        hosts_idle=len(found) - len(busy),
        next_due_at=min((planned for _due, planned in found.values() if planned is not None), default=None),
        habits=habits,
        pages=pages,
        fresh_now=fresh / pages if pages else 0.0,
        cadence_s=cadence,
    )


def _cadence_s(runs: Sequence[float]) -> float:
    """How far apart the last two runs were; a day at the most, and where that is not known."""
    apart_s = runs[0] - runs[1] if len(runs) > 1 else DAY_S
    return min(apart_s, DAY_S) if apart_s > 0 else DAY_S


async def _hosts(
    reader: Reader, config: CrawlConfig, now: float, due: Mapping[int, tuple[int, float | None]]
) -> list[PlannedHost]:
    expired = {row[0]: (row[1], row[2]) for row in await _rows(reader, _ROBOTS, now)}
    delays = await _crawl_delays(reader, config)
    answers = dict(await _rows(reader, _ANSWERS, _LATEST_FETCHES))
    usual_s = sum(answers.values()) / len(answers) if answers else 0.0
    hosts = []
    for host_id, name, back_off_until, pace_s in await _rows(reader, _HOSTS, _json(due)):
        robots, paused_until = expired.get(host_id, (1, 0.0))
        number, planned = due[host_id]
        own = settings_of(name, config.hosts)
        requests = number + (0 if config.politeness.ignore_robots else robots)
        delay_s = config.politeness.delay_s if own.delay_s is None else own.delay_s
        work = HostWork(
            requests=requests if own.max_requests is None else min(requests, own.max_requests),
            wait_s=max(0.0, max(back_off_until, paused_until) - now),
            base_s=max(delay_s, delays.get(host_id, 0.0)),
            pace_s=pace_s if config.politeness.adaptive_pace else None,
            per_host=config.politeness.per_host if own.per_host is None else own.per_host,
            answer_s=answers.get(host_id, usual_s),
        )
        hosts.append(PlannedHost(name=name, due=number, work=work, next_due_at=planned))
    return sorted(hosts, key=lambda host: (-host.work.time_s(), host.name))


async def _crawl_delays(reader: Reader, config: CrawlConfig) -> dict[int, float]:
    """By host, the longest that one of its robots.txt asks for."""
    found: dict[int, float] = {}
    if not config.politeness.ignore_robots:
        for host_id, body in await _rows(reader, _CRAWL_DELAYS):
            asked_s = RobotsRules.parse(body).crawl_delay(config.network.product_token) or 0.0
            found[host_id] = max(found.get(host_id, 0.0), min(asked_s, MAX_CRAWL_DELAY_S))
    return found


async def _habits(reader: Reader, now: float, cadence_s: float) -> tuple[list[Habit], float]:
    """The pages by habit, and how many of them are probably as they are stored."""
    classes: Counter[tuple[int, int, int]] = Counter()
    fresh = 0.0
    async for rows in reader.stream(_HABITS, (now,), _AT_ONCE):
        for changes, watched_s, pause_s, age_s in rows:
            fresh += unchanged(ChangeRate(changes=changes, watched_s=watched_s), max(0.0, age_s))
            interval_s = max(cadence_s, pause_s + min(cadence_s, 2 * pause_s) / 2)  # see `Pace.pause_s`
            classes[_class(changes), _class(watched_s), _class(interval_s)] += 1
    habits = [
        Habit(pages, ChangeRate(changes=_value(changes), watched_s=_value(watched_s)), _value(interval))
        for (changes, watched_s, interval), pages in sorted(classes.items())
    ]
    return habits, fresh


def _class(value: float) -> int:
    return round(_CLASSES * math.log2(value))


def _value(number: int) -> float:
    return float(2 ** (number / _CLASSES))


async def _rows(reader: Reader, sql: Text, *parameters: Any) -> list[Any]:
    """Read all rows of a query, in batches: most of these queries go through a whole table."""
    return [row async for rows in reader.stream(sql, parameters, _AT_ONCE) for row in rows]


def _json(ids: Mapping[int, Any]) -> str:
    return f"[{','.join(map(str, ids))}]"
