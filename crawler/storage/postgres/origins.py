"""What becomes of origins: their robots.txt, the pauses that they ask for, and what fails with them.

A part of the fenced transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

from crawler.records import Blame, LoggedChange, RobotsCopy
from crawler.storage.columns import IS_FORBIDDEN, MADE_PENDING, ROBOTS_COLUMNS
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import arrays, insertion, rows_of
from crawler.storage.postgres.hosts import HostChanges
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Execute

_OF_ORIGIN = ("part", "host_id", "origin")

# An attempt that failed says nothing about the rules: the copy that was read last stays, with the time of its reading.
_SET_ROBOTS = insertion(
    "origins",
    (*_OF_ORIGIN, *list(ROBOTS_COLUMNS.values())[1:]),
    """ON CONFLICT (part, host_id, origin) DO UPDATE SET robots_status = excluded.robots_status,
    robots_body = CASE WHEN excluded.robots_failures > 0 THEN origins.robots_body ELSE excluded.robots_body END,
    robots_fetched_at =
        CASE WHEN excluded.robots_failures > 0 THEN origins.robots_fetched_at ELSE excluded.robots_fetched_at END,
    robots_expires_at = excluded.robots_expires_at,
    robots_failures = excluded.robots_failures
""",
)
_robots_values = attrgetter(*ROBOTS_COLUMNS)

_BODIES_OF = f"""
SELECT o.part, o.host_id, o.origin, o.robots_body
FROM {rows_of(_OF_ORIGIN)} JOIN origins AS o USING (part, host_id, origin)
"""  # noqa: S608 - our own names

_SET_PAUSES = insertion(
    "origins",
    (*_OF_ORIGIN, "paused_until", "pause_reason"),
    """ON CONFLICT (part, host_id, origin) DO UPDATE SET
    pause_reason =
        CASE WHEN excluded.paused_until > origins.paused_until THEN excluded.pause_reason ELSE origins.pause_reason END,
    paused_until = greatest(excluded.paused_until, origins.paused_until)
""",
)

_READMIT_FORBIDDEN = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = $3::float8 WHERE part = $1 AND host_id = $2 AND {IS_FORBIDDEN}
RETURNING part, host_id, 'excluded', status, kind
"""  # noqa: S608 - our own names

# What waits for the rules without having had an answer, and what has failed before and is due again by now. What was
# answered before stays pending, to be tried later.
_OF_HOST = "part = $1 AND host_id = $2 AND starts_with(url, $3 || '/')"
_WAITS_FOR_RULES = f"{_OF_HOST} AND next_fetch_at IS NOT NULL AND status = 'pending' AND fetched_at IS NULL"
_FAIL = """
UPDATE urls SET status = 'failed', reason = $4::text, cause = $4::text, detail = NULL, next_fetch_at = NULL,
    attempts = greatest(attempts, $5) + 1, failing_since = coalesce(failing_since, $6::float8),
    failing_reason = $4::text, revisit_at = $7::float8
"""
_FAIL_AGAIN = f"{_FAIL} WHERE {_OF_HOST} AND status = 'failed' AND revisit_at <= $6"
_FAIL_WAITING = f"{_FAIL} WHERE {_WAITS_FOR_RULES} RETURNING part, host_id, 'pending', status, kind"

# Of the pages that this is about to fail, those that have not failed before.
_IS_NEWLY_FAILED = f"{_WAITS_FOR_RULES} AND kind = 'page' AND failing_reason IS NULL"
_NEWLY_FAILED = f"SELECT count(*) FROM urls WHERE {_IS_NEWLY_FAILED}"  # noqa: S608 - our own names
_LOG_NEWLY_FAILED = f"""
INSERT INTO change_log (part, id, host_id, url_id, run_id, at, change, detail)
SELECT part, $5 + row_number() OVER (ORDER BY id), host_id, id, $6, $7::float8, '{LoggedChange.BROKEN}', $4::text
FROM urls
WHERE {_IS_NEWLY_FAILED} AND coalesce((
    SELECT c.change FROM change_log AS c
    WHERE c.part = urls.part AND c.url_id = urls.id AND c.page_id IS NULL ORDER BY c.id DESC LIMIT 1
), '') <> '{LoggedChange.BROKEN}'
"""  # noqa: S608 - our own names


class Origins:
    """Those of one batch; what changes in URLs is counted in `changes`."""

    def __init__(self, changes: HostChanges, run_id: int, now: float, execute: Execute) -> None:
        self._changes = changes
        self._run_id = run_id
        self._now = now
        self._execute = execute
        self.failed = 0  # pages that had not failed before, without a result of their own
        self.has_new_rules = False

    async def store(self, batch: Sequence[Placed], ownership: Ownership) -> None:
        """What the results say of their origins."""
        for once in _once_each([one for one in batch if one.result.robots is not None]):
            await self._set_robots(once)
        for one in batch:
            if one.result.origin_failed is not None:
                await self._fail(one, ownership)
        await self._pause(batch)

    async def _set_robots(self, told: Sequence[Placed]) -> None:
        rows = sorted((one.part, one.host_id, *_values(one.result.robots)) for one in told if one.result.robots)
        old = {tuple(row[:3]): row[3] for row in await self._execute(_BODIES_OF, *arrays(row[:3] for row in rows))}
        await self._execute(_SET_ROBOTS, *arrays(rows))
        for one in told:
            robots = one.result.robots
            key = (one.part, one.host_id, robots.origin if robots else "")
            if robots and not robots.failures and key in old and old[key] != robots.body:
                self._count(await self._execute(_READMIT_FORBIDDEN, one.part, one.host_id, self._now))
                self.has_new_rules = True

    async def _fail(self, one: Placed, ownership: Ownership) -> None:
        result = one.result
        of_origin = (one.part, one.host_id, result.claim.origin)
        failure = (result.origin_failed, result.verdict.attempts - 1, self._now, result.origin_revisit_at)
        ((newly_failed,),) = await self._execute(_NEWLY_FAILED, *of_origin)
        self.failed += newly_failed
        if newly_failed:
            before = ownership.next_id(one.part, newly_failed) - 1
            log = (result.origin_failed, before, self._run_id, self._now)
            await self._execute(_LOG_NEWLY_FAILED, *of_origin, *log)
        await self._execute(_FAIL_AGAIN, *of_origin, *failure)
        self._count(await self._execute(_FAIL_WAITING, *of_origin, *failure))

    async def _pause(self, batch: Sequence[Placed]) -> None:
        pauses: dict[tuple[int, int, str], tuple[float, str | None]] = {}
        for one in batch:
            closure = one.result.closure
            if closure is not None and closure.blame is Blame.ORIGIN:
                key = (one.part, one.host_id, closure.name)
                if key not in pauses or closure.until > pauses[key][0]:
                    pauses[key] = (closure.until, closure.why)
        if pauses:
            await self._execute(_SET_PAUSES, *arrays((*key, *pause) for key, pause in sorted(pauses.items())))

    def _count(self, changed: Sequence[Any]) -> None:
        self._changes.count(row[:4] for row in changed if row[4] != "robots")


def _once_each(told: Sequence[Placed]) -> Iterator[Sequence[Placed]]:
    """In their order, in parts that have an origin once each: as a rule it is one."""
    part: dict[str, Placed] = {}
    for one in told:
        origin = one.result.claim.origin
        if origin in part:
            yield [*part.values()]
            part = {}
        part[origin] = one
    if part:
        yield [*part.values()]


def _values(robots: RobotsCopy) -> tuple[Any, ...]:
    """In the order of `ROBOTS_COLUMNS`; a copy that was never read has no time."""
    return tuple(
        value or None if name == "fetched_at" else value
        for name, value in zip(ROBOTS_COLUMNS, _robots_values(robots), strict=True)
    )
