"""Which hosts and origins are left alone for now although something of them is to be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.records import Blame, Closure

# ?1 is now, ?2 how many. With ?3 also what is to be fetched again, which is not pending: of hosts where that waits for
# longer; of origins it has been postponed, and has a time.
CLOSURES = """
SELECT name, 'host', back_off_until, coalesce(back_off_reason, 'the delay between two requests') FROM hosts
WHERE (next_due_at > ?1 AND back_off_until > ?1 AND pending > 0)
    OR (?3 IS NOT NULL AND back_off_until > ?3 AND back_off_reason IS NOT NULL AND fetched > 0)
UNION ALL SELECT origin, 'origin', paused_until, coalesce(pause_reason, 'a pause') FROM origins AS o
WHERE paused_until > 0 AND paused_until > ?1 AND EXISTS (
    SELECT 1 FROM urls WHERE host_id = o.host_id AND next_fetch_at IS NOT NULL AND kind <> 'robots'
        AND substr(url, 1, length(o.origin) + 1) = o.origin || '/'
)
ORDER BY 1 LIMIT ?2
"""


def closure(row: Sequence[Any]) -> Closure:
    """From a row of `CLOSURES`."""
    name, blame, until, why = row
    return Closure(name=name, blame=Blame(blame), until=until, why=why)
