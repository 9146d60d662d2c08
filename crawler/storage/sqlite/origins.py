"""What becomes of origins: their robots.txt, the pauses that they ask for, and what fails with them.

A part of the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from crawler.records import Blame, Result, RobotsCopy
from crawler.storage.columns import IS_FORBIDDEN, MADE_PENDING, ROBOTS_COLUMNS
from crawler.storage.sqlite.change_log import LOG_BROKEN
from crawler.storage.sqlite.checks import conclude_origin
from crawler.storage.sqlite.columns import Execute
from crawler.storage.sqlite.intake import Limits

# An attempt that failed says nothing about the rules: the copy that was read last stays, with the time of its reading.
_SET_ROBOTS = f"""
INSERT INTO origins (host_id, {", ".join(ROBOTS_COLUMNS.values())})
VALUES (?, {", ".join("nullif(?, 0)" if name == "fetched_at" else "?" for name in ROBOTS_COLUMNS)})
ON CONFLICT (origin) DO UPDATE SET robots_status = excluded.robots_status,
    robots_body = CASE WHEN excluded.robots_failures > 0 THEN robots_body ELSE excluded.robots_body END,
    robots_fetched_at = iif(excluded.robots_failures > 0, robots_fetched_at, excluded.robots_fetched_at),
    robots_expires_at = excluded.robots_expires_at,
    robots_failures = excluded.robots_failures
"""  # noqa: S608 - our own names
_robots_values = attrgetter(*ROBOTS_COLUMNS)

_SET_PAUSE = """
INSERT INTO origins (host_id, origin, paused_until, pause_reason) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (origin) DO UPDATE SET
    pause_reason = CASE WHEN excluded.paused_until > paused_until THEN excluded.pause_reason ELSE pause_reason END,
    paused_until = max(excluded.paused_until, paused_until)
"""

_READMIT_FORBIDDEN = f"UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?2 WHERE host_id = ?1 AND {IS_FORBIDDEN}"  # noqa: S608 - our own names

_WAITS_FOR_RULES = "next_fetch_at IS NOT NULL AND status = 'pending' AND fetched_at IS NULL"
_IS_OF_ORIGIN = "substr(url, 1, length(?2) + 1) = ?2 || '/'"

# What waits for the rules without having had an answer, and what has failed before and is due again by now. What was
# answered before stays pending, to be tried later.
_FAIL_ORIGIN = f"""
UPDATE urls SET status = 'failed', reason = ?3, cause = ?3, detail = NULL, next_fetch_at = NULL,
    attempts = max(attempts, ?4) + 1, failing_since = coalesce(failing_since, ?5), failing_reason = ?3, revisit_at = ?6
WHERE id IN (
    SELECT id FROM urls WHERE host_id = ?1 AND {_WAITS_FOR_RULES}
    UNION ALL SELECT id FROM urls WHERE host_id = ?1 AND status = 'failed' AND revisit_at <= ?5
) AND {_IS_OF_ORIGIN}
"""  # noqa: S608 - our own names

# Of the pages that this is about to fail, those that have not failed before.
_IS_NEWLY_FAILED = (
    f"host_id = ?1 AND {_WAITS_FOR_RULES} AND {_IS_OF_ORIGIN} AND kind = 'page' AND failing_reason IS NULL"
)
_NEWLY_FAILED = f"SELECT count(*) FROM urls WHERE {_IS_NEWLY_FAILED}"  # noqa: S608 - our own names
_LOG_NEWLY_FAILED = LOG_BROKEN + _IS_NEWLY_FAILED


async def set_origins(results: Sequence[Result], run_id: int, now: float, limits: Limits, execute: Execute) -> int:
    """Store what the results say of their origins; returns how many pages have newly failed with them."""
    failed = 0
    for result in results:
        host_id = result.claim.host_id
        if result.robots is not None:
            await _set_robots(result.robots, host_id, now, limits, execute)
        if result.origin_failed is not None:
            attempts, again_at = result.verdict.attempts - 1, result.origin_revisit_at
            of_origin = (host_id, result.claim.origin)
            failure = (*of_origin, result.origin_failed, attempts, now, again_at)
            ((newly_failed,),) = await execute(_NEWLY_FAILED, *of_origin)
            failed += newly_failed
            if newly_failed:
                await execute(_LOG_NEWLY_FAILED, *of_origin, result.origin_failed, run_id, now)
            await execute(_FAIL_ORIGIN, *failure)
            if result.checked is not None:
                await conclude_origin(*of_origin, result.checked, run_id, now, execute)
        closure = result.closure
        if closure is not None and closure.blame is Blame.ORIGIN:
            await execute(_SET_PAUSE, host_id, closure.name, closure.until, closure.why)
    return failed


async def _set_robots(robots: RobotsCopy, host_id: int, now: float, limits: Limits, execute: Execute) -> None:
    old = await execute("SELECT robots_body FROM origins WHERE origin = ?", robots.origin)
    await execute(_SET_ROBOTS, host_id, *_robots_values(robots))
    if old and not robots.failures and old[0][0] != robots.body:
        await execute(_READMIT_FORBIDDEN, host_id, now)
        if limits.urls is not None:
            limits.urls.forget()
