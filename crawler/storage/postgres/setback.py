"""What is done where the database's clock was set back between two runs: what is planned moves back with it.

Else what was to be fetched at once would wait until the clock is where it was; and of what was answered later than now,
no age would ever fetch it again. Only a worker that owns everything may do this.
"""

from __future__ import annotations

from crawler.storage.columns import IS_ANSWERED
from crawler.storage.postgres.transactions import Execute

_TOLERANCE_S = 1.0

# The last that is known of the newest run.
_LAST_SEEN = """
SELECT greatest(r.started_at, coalesce(r.ended_at, 0), coalesce((
    SELECT max(f.started_at) FROM parts AS p CROSS JOIN LATERAL (
        SELECT run_id, started_at FROM fetches WHERE fetches.part = p.part ORDER BY id DESC LIMIT 1
    ) AS f WHERE f.run_id = r.id
), 0)) FROM runs AS r ORDER BY r.id DESC LIMIT 1
"""

_REWIND = (
    "UPDATE urls SET next_fetch_at = next_fetch_at - $1::float8 WHERE next_fetch_at IS NOT NULL",
    "UPDATE urls SET revisit_at = revisit_at - $1::float8 WHERE revisit_at IS NOT NULL",
    "UPDATE urls SET fetched_at = fetched_at - $1::float8 WHERE fetched_at > $2",
    "UPDATE hosts SET next_due_at = next_due_at - $1::float8, back_off_until = back_off_until - $1::float8",
    "UPDATE origins SET robots_expires_at = robots_expires_at - $1::float8, paused_until = paused_until - $1::float8",
    """
UPDATE runs SET started_at = started_at - $1::float8, ended_at = ended_at - $1::float8
WHERE id = (SELECT max(id) FROM runs)
""",
)

# One look into an index for each host.
_AHEAD = f"""
SELECT h.part, h.id FROM hosts AS h WHERE EXISTS (
    SELECT 1 FROM urls AS u WHERE u.part = h.part AND u.host_id = h.id AND u.fetched_at > $1 AND {IS_ANSWERED}
)
"""  # noqa: S608 - our own names
_SET_BACK = f"""
UPDATE urls AS u SET
    revisit_at = u.revisit_at - CASE WHEN u.revisit_at >= u.fetched_at THEN u.fetched_at - $1 ELSE 0 END,
    fetched_at = $1
FROM unnest($2::int[], $3::bigint[]) AS v (part, host_id)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.fetched_at > $1 AND {IS_ANSWERED}
"""  # noqa: S608 - our own names


async def set_back_s(execute: Execute, now: float) -> float:
    """By how many seconds the clock is behind the last run; what is planned has been moved back by as much."""
    rows = await execute(_LAST_SEEN)
    ahead_s = float(rows[0][0]) - now if rows else 0.0
    if ahead_s > _TOLERANCE_S:
        for sql in _REWIND:
            await execute(sql, ahead_s, *([now] if "$2" in sql else ()))
    await set_back(execute, now)
    return ahead_s if ahead_s > _TOLERANCE_S else 0.0


async def set_back(execute: Execute, latest: float) -> None:
    """What was answered later was answered then."""
    hosts = await execute(_AHEAD, latest)
    if hosts:
        await execute(_SET_BACK, latest, [host["part"] for host in hosts], [host["id"] for host in hosts])
