"""What follows from a clock that was set back: see `interface.RunLog.follow_clock`.

Done before a run begins, by the process that begins it: all partitions are its own, and nobody else writes. So hosts'
rows are changed where they stand.
"""

from __future__ import annotations

from crawler.storage.columns import IS_ANSWERED
from crawler.storage.postgres.transactions import Execute

# `$1` seconds earlier. What has happened keeps its time, but for the newest run, by which the clock is judged, and for
# answers that would otherwise lie in the future ($2), younger than any age.
_REWIND = (
    "UPDATE urls SET next_fetch_at = next_fetch_at - $1 WHERE next_fetch_at IS NOT NULL",
    "UPDATE urls SET revisit_at = revisit_at - $1 WHERE revisit_at IS NOT NULL",
    "UPDATE urls SET fetched_at = fetched_at - $1 WHERE fetched_at > $2",
    "UPDATE hosts SET next_due_at = next_due_at - $1, back_off_until = back_off_until - $1",
    "UPDATE origins SET robots_expires_at = robots_expires_at - $1, paused_until = paused_until - $1",
    "UPDATE runs SET started_at = started_at - $1, ended_at = ended_at - $1 WHERE id = (SELECT max(id) FROM runs)",
)

# Answers of a time that had not come by $1: the clock was ahead. One look into an index for each host.
_SET_BACK = f"""
UPDATE urls AS u SET
    revisit_at = u.revisit_at - CASE WHEN u.revisit_at >= u.fetched_at THEN u.fetched_at - $1 ELSE 0 END,
    fetched_at = $1
FROM hosts AS h WHERE u.part = h.part AND u.host_id = h.id AND u.fetched_at > $1 AND {IS_ANSWERED}
"""  # noqa: S608 - our own names


async def rewind(seconds: float, now: float, execute: Execute) -> None:
    """All that is planned is planned so much earlier."""
    for sql in _REWIND:
        await execute(sql, seconds, *([now] if "$2" in sql else ()))


async def set_back(latest: float, execute: Execute) -> None:
    """What was answered later was answered then (Unix seconds)."""
    await execute(_SET_BACK, latest)
