"""What a transaction changes in the rows of hosts, gathered and stored in one statement at its end.

Invariant: a host's row is written by the owner of its partition alone, behind the fence. So its counts are those of its
URLs, plus what `arrivals` still holds; and `next_due_at` is that of its earliest planned URL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field
from operator import attrgetter
from typing import Any, TypeAlias

from crawler.records import UrlStatus
from crawler.statically_frozen import dataclass
from crawler.storage.columns import host_columns
from crawler.storage.postgres.columns import arrays, rows_of
from crawler.storage.postgres.transactions import Execute

HostKey: TypeAlias = tuple[int, int]  # partition and id

_COUNTED = tuple(status.value for status in UrlStatus)


@dataclass(slots=True)
class HostChange:
    """Of one host; what is None stays."""

    pages: int = 0
    requests: int = 0
    back_off_until: float = 0.0
    back_off_reason: str | None = None
    failures: int | None = None
    pace_s: float | None = None  # 0: none any more
    hints_right: int = 0
    hints_wrong: int = 0
    unstored_links: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))


_VALUES = (
    "pages",
    "requests",
    "back_off_until",
    "back_off_reason",
    "failures",
    "pace_s",
    "hints_right",
    "hints_wrong",
    "unstored_links",
)
_values_of = attrgetter(*_VALUES)

# `greatest` knows no NULL: a host without planned URLs must have none (no row), whatever its back-off is.
_SET_HOSTS = f"""
UPDATE hosts AS h SET
    {", ".join(f"{status} = h.{status} + v.{status}" for status in _COUNTED)},
    run_pages = v.pages + CASE WHEN h.run_id = $1 THEN h.run_pages ELSE 0 END,
    run_requests = v.requests + CASE WHEN h.run_id = $1 THEN h.run_requests ELSE 0 END,
    run_requests_noted = CASE WHEN h.run_id = $1 THEN h.run_requests_noted ELSE 0 END,
    run_id = $1,
    back_off_until = greatest(v.back_off_until, h.back_off_until),
    back_off_reason = CASE WHEN v.back_off_until > h.back_off_until THEN v.back_off_reason ELSE h.back_off_reason END,
    failures = coalesce(v.failures, h.failures),
    pace_s = CASE WHEN v.pace_s IS NULL THEN h.pace_s ELSE nullif(v.pace_s, 0) END,
    hints_right = h.hints_right + v.hints_right,
    hints_wrong = h.hints_wrong + v.hints_wrong,
    unstored_links = h.unstored_links + v.unstored_links,
    next_due_at = (
        SELECT greatest(u.next_fetch_at, v.back_off_until, h.back_off_until) FROM urls AS u
        WHERE u.part = h.part AND u.host_id = h.id AND u.next_fetch_at IS NOT NULL ORDER BY u.next_fetch_at LIMIT 1
    )
FROM {rows_of(("part", "host_id", *_COUNTED, *_VALUES), 2)}
WHERE h.part = v.part AND h.id = v.host_id
RETURNING {host_columns("h.run_id = $1", "h")}
"""  # noqa: S608 - our own names


class HostChanges:
    """Those of one transaction."""

    def __init__(self) -> None:
        self._changes: defaultdict[HostKey, HostChange] = defaultdict(HostChange)

    def of(self, part: int, host_id: int) -> HostChange:
        """What changes in this host, to be added to."""
        return self._changes[part, host_id]

    def count(self, urls: Iterable[tuple[int, int, str | None, str]]) -> None:
        """URLs whose status is another now: partition, host, the one that they had (None: they are new), and the new
        one. They are none of robots.txt, which do not count. Their hosts' `next_due_at` follows.
        """
        for part, host_id, was, status in urls:
            counts = self._changes[part, host_id].counts
            if was is not None:
                counts[was] -= 1
            counts[status] += 1

    def add(self, part: int, host_id: int, counts: Mapping[str, int]) -> None:
        """So many URLs more of each status."""
        own = self._changes[part, host_id].counts
        for status, number in counts.items():
            own[status] += number

    async def store(self, run_id: int, execute: Execute) -> list[Any]:
        """Change the rows; returns them, as `crawler.storage.columns.host_record` reads them."""
        if not self._changes:
            return []
        rows = [(*key, *change.counts.values(), *_values_of(change)) for key, change in sorted(self._changes.items())]
        return await execute(_SET_HOSTS, run_id, *arrays(rows))
