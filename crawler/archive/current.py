"""The current pages, as what is derived from them sees them: which they are, and whether that may have changed.

The SQL names tables of the crawl's file without a schema: it is attached in one place, and the main one in others.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from crawler.archive.derived import Progress

IS_CURRENT = "u.status IN ('fetched', 'failed', 'pending')"
NEWEST = "SELECT max(id) FROM pages"

# Tells a version of a page from any other. Pruning keeps the newest of every page, so no id of one is used twice.
PAGE_MARK = """
SELECT p.url_id || ' ' || f.started_at FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id WHERE p.id = ?1
"""

# A page stops being current, or is again, by a request, or else by a run that decides anew.
STATE = """
SELECT coalesce((SELECT max(id) FROM runs), 0) || ' ' || coalesce((SELECT max(id) FROM fetches), 0) || ' '
    || (SELECT total(excluded) || ' ' || total(gone) || ' ' || total(redirected) FROM hosts)
"""

_BOUND = "SELECT max(id) FROM (SELECT id FROM pages WHERE id > ? ORDER BY id LIMIT ?)"
_FIRST_BATCH, _MAX_BATCH = 64, 4096  # rows in a transaction
_BATCH_S = 0.5  # that one should take: so much later than asked an update may end


class BatchSize:
    """How many rows a transaction takes in: texts differ in size, machines in speed."""

    def __init__(self, most: int = _MAX_BATCH) -> None:
        self.rows = min(_FIRST_BATCH, most)
        self._most = most

    def adapt(self, began: float) -> None:
        """After a transaction that began then (monotonic seconds)."""
        took_s = time.monotonic() - began
        if took_s > _BATCH_S:
            self.rows = max(1, self.rows // 2)
        elif took_s < _BATCH_S / 2:
            self.rows = min(self._most, self.rows * 2)


async def take_in_versions(
    progress: Progress, size: BatchSize, until: float, take_in: Callable[[int, int], Awaitable[None]]
) -> None:
    """Call `take_in` for the page versions after an id and up to another, in a transaction each, until there is none.

    Ends at `until` (monotonic seconds), too.
    """
    upto = await progress.upto()
    newest = await progress.value(NEWEST) or 0  # what is there now: a crawl may go on as fast as we do
    while upto < newest and time.monotonic() < until:
        began = time.monotonic()
        async with progress.transaction():
            bound = await progress.value(_BOUND, upto, size.rows)
            if bound is None:
                return  # a prune left nothing
            await take_in(upto, bound)
            await progress.come_to(bound)
        upto = bound
        size.adapt(began)
