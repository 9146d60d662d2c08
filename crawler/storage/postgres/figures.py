"""What a run reports when it ends, of all partitions; and what it waits for.

Counts are those of the hosts' rows: what owners have not counted yet is not among them, which takes them a moment.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from crawler.records import Closure, FailedSeed, FailingUrls, UrlStatus
from crawler.storage.columns import IS_ANSWERED, closure
from crawler.storage.failing import failing_urls
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.session import Session, at_most
from crawler.urls import host_of, origin_of

_COUNTS = f"SELECT {', '.join(f'coalesce(sum({status}), 0)' for status in UrlStatus)} FROM hosts"  # noqa: S608
_EXCLUSIONS = "SELECT cause, count(*) FROM urls WHERE status = 'excluded' GROUP BY cause ORDER BY cause"
_UNSTORED = "SELECT coalesce(sum(unstored_links), 0) FROM hosts"

# See SQLite's statement: $1 is now, $2 how many; with $3 also what is to be fetched again; with $4 also the hosts of
# URLs that are to be tried again after that; no host that has had $6 pages in run $5.
CLOSURES = """
SELECT name, blame, until, why FROM (
    SELECT name, 'host' AS blame, back_off_until AS until,
        coalesce(back_off_reason, 'the delay between two requests') AS why FROM hosts
    WHERE (next_due_at > $1 AND back_off_until > $1 AND pending > 0)
        OR ($3::float8 IS NOT NULL AND back_off_until > $3 AND back_off_reason IS NOT NULL AND fetched > 0)
    UNION ALL SELECT origin, 'origin', paused_until, coalesce(pause_reason, 'a pause') FROM origins AS o
    WHERE paused_until > 0 AND paused_until > $1 AND EXISTS (
        SELECT 1 FROM urls AS u WHERE u.part = o.part AND u.host_id = o.host_id AND u.next_fetch_at IS NOT NULL
            AND u.kind <> 'robots' AND u.url ^@ (o.origin || '/')
    )
    UNION ALL SELECT h.name, 'host', u.next_fetch_at, coalesce(u.reason, 'a retry')
    FROM hosts AS h CROSS JOIN LATERAL (
        SELECT next_fetch_at, reason FROM urls
        WHERE part = h.part AND host_id = h.id AND next_fetch_at > $4::float8 AND kind <> 'robots'
            AND (status = 'pending' OR (failing_since IS NOT NULL AND failing_reason IS NULL))
            AND NOT EXISTS (
                SELECT 1 FROM origins AS o WHERE o.part = h.part AND o.host_id = h.id AND paused_until > $1
                    AND url ^@ (o.origin || '/')
            )
        ORDER BY next_fetch_at LIMIT 1
    ) AS u
    WHERE h.next_due_at IS NOT NULL AND (h.back_off_until <= $1 OR h.pending = 0)
        AND NOT (h.run_id IS NOT DISTINCT FROM $5 AND h.run_pages >= $6)
) AS closures ORDER BY name COLLATE "C" LIMIT $2
"""

_FAILED_SEEDS = "FROM urls WHERE seed > 0 AND status NOT IN ('fetched', 'redirected')"
_SOME_FAILED_SEEDS = f"""
SELECT url, status, reason {_FAILED_SEEDS} ORDER BY seed DESC, discovered_at, url COLLATE "C" LIMIT $1
"""

# Of the partition's newest attempts alone: a URL's are found by no index, and a run that had no seed to fetch has made
# few.
_LATEST_ATTEMPT = """
SELECT status_code, failure IS NOT NULL OR status_code >= 500 OR status_code = 429, message
FROM (SELECT * FROM fetches WHERE part = $1 ORDER BY id DESC LIMIT 4096) AS newest
WHERE url_id = $2 ORDER BY id DESC LIMIT 1
"""

# Each by an index alone, or by a few rows a host.
_PAGES = "SELECT count(*) FROM (SELECT DISTINCT part, url_id FROM pages) AS urls"
_NEWEST = f"""
SELECT max(u.fetched_at) FROM hosts AS h CROSS JOIN LATERAL (
    SELECT fetched_at FROM urls
    WHERE part = h.part AND host_id = h.id AND {IS_ANSWERED} AND page_id IS NOT NULL ORDER BY fetched_at DESC LIMIT 1
) AS u
"""  # noqa: S608 - our own names
_NEXT_REVISIT = """
SELECT min(u.revisit_at) FROM hosts AS h CROSS JOIN LATERAL (
    SELECT revisit_at FROM urls
    WHERE part = h.part AND host_id = h.id AND revisit_at IS NOT NULL ORDER BY revisit_at LIMIT 1
) AS u
"""


class Figures(Session):
    """See `interface.Figures` for what each operation is for."""

    async def counts(self) -> dict[str, int]:
        """URLs by status, robots.txt not counted."""
        (row,) = await self._read(_COUNTS)
        return {status.value: int(value) for status, value in zip(UrlStatus, row, strict=True)}

    async def exclusions(self) -> dict[str, int]:
        """Excluded URLs by the first word of their cause."""
        found: Counter[str] = Counter()
        for cause, number in await self._read(_EXCLUSIONS):
            found[cause.partition(":")[0]] += number
        return dict(found)

    async def unstored_links(self) -> int:
        """Links to URLs that were not stored because of `limit_urls`."""
        return int((await self._read(_UNSTORED))[0][0])

    async def closures(
        self,
        now: float,
        limit: int,
        *,
        stale_until: float | None = None,
        retried_after: float | None = None,
        max_pages_per_host: int | None = None,
    ) -> list[Closure]:
        """Hosts and origins that have something to be fetched but are left alone for now; where pages are fetched
        again, also hosts that are left alone until after `stale_until`. With `retried_after`, also hosts of which a URL
        is to be tried again after that, but for those that have had their number of pages.
        """
        parameters = (now, limit, stale_until, retried_after, self.run_id, at_most(max_pages_per_host))
        return [closure(row) for row in await self._read(CLOSURES, *parameters)]

    async def failing_urls(self) -> FailingUrls:
        """URLs that keep the status of their last response, but failed at their latest visit."""
        return await failing_urls(self._read)

    async def failed_seeds(self, limit: int) -> tuple[int, list[FailedSeed]]:
        """How many seeds are neither fetched nor redirected, and some of them with their latest attempts."""
        ((total,),) = await self._read(f"SELECT count(*) {_FAILED_SEEDS}")
        rows = await self._read(_SOME_FAILED_SEEDS, limit)
        return total, [await self._failed_seed(*row) for row in rows]

    async def _failed_seed(self, url: str, status: str, reason: str | None) -> FailedSeed:
        seed = FailedSeed(url=url, status=UrlStatus(status), reason=reason)
        part = self.ownership.part_of(id_of(host_of(url)))
        for code, _failed, message in await self._read(_LATEST_ATTEMPT, part, id_of(url)):
            return replace(seed, status_code=code, message=message)
        for code, failed, message in await self._read(_LATEST_ATTEMPT, part, id_of(f"{origin_of(url)}/robots.txt")):
            if failed:
                return replace(seed, status_code=code, message=message, at_robots=True)
        return seed

    async def freshness(self) -> tuple[int, float | None, float | None]:
        """How many pages are stored, when the newest was fetched, and when the next is to be looked at again.

        Reads every row of an index: for a run that had nothing to do.
        """
        answers = [(await self._read(sql))[0][0] for sql in (_PAGES, _NEWEST, _NEXT_REVISIT)]
        return int(answers[0]), answers[1], answers[2]
