"""Changes of URLs by whoever does not own them, and what their owners have to know of that.

A host's row has one writer, its owner. Who else changes a URL of it (adds it, lets it in, has it tried again) leaves a
row in `arrivals` in the same statement; the owner adds that to the counts, and computes when the host is due.
Invariant: a URL's change and its arrival are there together.
"""

from __future__ import annotations

from collections.abc import Collection

from crawler.storage.postgres.hosts import HostChanges
from crawler.storage.postgres.transactions import Execute

_COUNTED = ("pending", "excluded", "fetched", "failed")  # no other status is ever left or taken in this way
_DELTAS = ", ".join(
    f"count(*) FILTER (WHERE status = '{status}') - count(*) FILTER (WHERE was = '{status}')" for status in _COUNTED
)


def telling(update: str) -> str:
    """`update` with the arrivals of what it changes, as one statement that returns the number of URLs changed.

    It returns part, host_id, and the statuses that each URL had (`was`) and has (`status`); it changes no robots.txt.
    """
    return f"""
WITH changed AS ({update}), told AS (
    INSERT INTO arrivals (part, host_id, {", ".join(_COUNTED)})
    SELECT part, host_id, {_DELTAS} FROM changed GROUP BY part, host_id
)
SELECT count(*) FROM changed
"""  # noqa: S608 - our own names


ARRIVED = "SELECT DISTINCT part FROM arrivals WHERE part = ANY($1::int[]) ORDER BY part"
_TAKE = f"""
DELETE FROM arrivals WHERE part = ANY($1::int[])
RETURNING part, host_id, unstored_links, {", ".join(_COUNTED)}
"""  # noqa: S608 - our own names


async def take_arrivals(parts: Collection[int], changes: HostChanges, execute: Execute) -> None:
    """Remove the arrivals of these partitions and add them to the hosts' `changes`; the caller has fenced them."""
    for part, host_id, unstored_links, *numbers in await execute(_TAKE, list(parts)):
        changes.add(part, host_id, dict(zip(_COUNTED, numbers, strict=True)))
        changes.of(part, host_id).unstored_links += unstored_links
