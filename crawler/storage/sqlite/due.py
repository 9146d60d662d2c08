"""What is to be fetched, and when: the reads by which the frontier fills its memory, and the pauses that it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from crawler.records import Claim, EarlierBody, Horizon, HostRecord, NamedFeeds, Place, RobotsCopy
from crawler.storage.columns import CLAIM_COLUMNS, IS_ANSWERED, ORIGIN_COLUMNS, claim, host_record, robots_copy
from crawler.storage.cursors import next_cursor, place
from crawler.storage.interface import Batch, Cursor
from crawler.storage.page_fields import named_feeds
from crawler.storage.sqlite.columns import HOST_COLUMNS, IS_OF_OTHERS, JsonStatement, prefixes
from crawler.storage.sqlite.session import Session, at_most
from crawler.storage.values import as_json, place_of

_IS_RETRIED = "status = 'failed' AND revisit_at < {0}"  # without an answer so far; by urls_retried

_DUE_HOSTS = f"""
SELECT {HOST_COLUMNS}
FROM hosts WHERE next_due_at <= ?1 AND (next_due_at, id) > (?5, ?6) AND NOT (run_id IS ?2 AND run_pages >= ?3)
ORDER BY next_due_at, id LIMIT ?4
"""  # noqa: S608 - our own names

_CLAIM = f"SELECT {CLAIM_COLUMNS} FROM json_each(?1) AS wanted CROSS JOIN hosts AS h ON h.id = wanted.value"  # noqa: S608 - our own names

# CROSS JOIN keeps SQLite from choosing another order: hosts first, then each one's few rows by urls_due.
_DUE_URLS = f"""
{_CLAIM}
CROSS JOIN urls AS u ON u.id IN (
    SELECT id FROM urls WHERE host_id = h.id AND next_fetch_at <= ?2 AND {IS_OF_OTHERS.format("?4")}
    ORDER BY next_fetch_at, id LIMIT ?3
)
LEFT JOIN pages AS p ON p.id = u.page_id
ORDER BY u.next_fetch_at, u.id
"""  # noqa: S608 - our own names

# Nothing is planned for it otherwise: what is, has been postponed or fails, and is due then.
_IS_FREE = f"id NOT IN (SELECT value FROM json_each(?6)) AND next_fetch_at IS NULL AND {IS_OF_OTHERS.format('?7')}"  # noqa: S608
_PLANNED = "coalesce(revisit_at, fetched_at)"  # what 0.1.0 has not seen since it learnt to plan has no plan

# Seeds and hubs, what a sitemap says has changed, then by plan. The plan holds what a request is worth: where there is
# time for a part only, an order by how likely a change is would go to the pages that change by the hour, each time.
# Each part reads at most `?4` rows of an index that has them in this order.
_STALE_URLS = f"""
{_CLAIM}
CROSS JOIN urls AS u ON u.id IN (
    SELECT id FROM (
        SELECT * FROM (
            SELECT id, 1 AS hub, hinted, {_PLANNED} AS planned FROM urls INDEXED BY urls_hubs
            WHERE host_id = h.id AND (seed > 0 OR new_links >= 0.25) AND {IS_ANSWERED}
                AND (fetched_at < ?2 OR revisit_at < ?3) AND {_IS_FREE} ORDER BY revisit_at LIMIT ?4
        ) UNION ALL SELECT * FROM (
            SELECT id, 0, 1, {_PLANNED} FROM urls INDEXED BY urls_hinted
            WHERE host_id = h.id AND hinted = 1 AND {IS_ANSWERED}
                AND (fetched_at < ?2 OR revisit_at < ?3) AND {_IS_FREE} LIMIT ?4
        ) UNION ALL SELECT * FROM (
            SELECT id, 0, hinted, {_PLANNED} FROM urls
            WHERE host_id = h.id AND fetched_at < ?2 AND {IS_ANSWERED} AND {_IS_FREE} ORDER BY fetched_at LIMIT ?4
        ) UNION ALL SELECT * FROM (
            SELECT id, 0, hinted, revisit_at FROM urls
            WHERE host_id = h.id AND revisit_at < ?3 AND {_IS_FREE} ORDER BY revisit_at LIMIT ?4
        ) UNION ALL SELECT * FROM (
            SELECT id, 0, 0, revisit_at FROM urls
            WHERE host_id = h.id AND {_IS_RETRIED.format("?5")} AND {_IS_FREE} ORDER BY revisit_at LIMIT ?4
        )
    ) GROUP BY id ORDER BY max(hub) DESC, max(hinted) DESC, min(planned) LIMIT ?4
)
LEFT JOIN pages AS p ON p.id = u.page_id
ORDER BY u.hinted DESC, {_PLANNED}, u.id
"""  # noqa: S608 - our own names

_STALE_HOSTS = f"""
SELECT {HOST_COLUMNS}
FROM hosts WHERE id > ?1 AND back_off_until <= ?6 AND NOT (run_id IS ?2 AND run_pages >= ?3) AND (
    EXISTS (SELECT 1 FROM urls WHERE host_id = hosts.id AND fetched_at < ?4 AND {IS_ANSWERED})
    OR EXISTS (SELECT 1 FROM urls WHERE host_id = hosts.id AND revisit_at < ?5)
    OR EXISTS (SELECT 1 FROM urls WHERE host_id = hosts.id AND {_IS_RETRIED.format("?8")})
)
ORDER BY id LIMIT ?7
"""  # noqa: S608 - our own names

_ANSWERED_SINCE = f"SELECT 1 FROM urls WHERE host_id = ? AND fetched_at >= ? AND {IS_ANSWERED} LIMIT 1"  # noqa: S608 - our own names

_STORED_BODY = """
SELECT b.hash, b.zstd, f.content_type FROM urls AS u JOIN pages AS p ON p.id = u.page_id
JOIN bodies AS b ON b.hash = p.body_hash LEFT JOIN fetches AS f ON f.id = p.fetch_id WHERE u.id = ?
"""

_NAMED_FEEDS = "SELECT p.alternates, p.nofollow FROM urls AS u JOIN pages AS p ON p.id = u.page_id WHERE u.id = ?"

_ORIGINS = f"""
SELECT {ORIGIN_COLUMNS} FROM origins WHERE host_id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - our own names

_PLACES = """
SELECT host_id, place, looks, scores, run_id = ?2 FROM places WHERE host_id IN (SELECT value FROM json_each(?1))
"""

_PAUSE = JsonStatement(
    """
UPDATE hosts SET back_off_until = max(back_off_until, {until}), next_due_at = max(next_due_at, {until}),
    next_check_at = max(next_check_at, {until}),
    back_off_reason = CASE WHEN {until} > back_off_until THEN NULL ELSE back_off_reason END
FROM json_each(?1) AS v WHERE hosts.id = {id}
""",
    "id",
    "until",
)

# Before the first row, in the order of each index that is read in batches.
_FIRST_DUE = (-1e18, 0)
_FIRST_STALE = (0,)


class DueReads(Session):
    """See `interface.DueReads` for what each operation is for."""

    async def due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None = None
    ) -> Batch[HostRecord]:
        """Hosts that have a URL due and have not reached their number of pages, longest due first."""
        start = place(after, _FIRST_DUE)
        limits = (at_most(max_pages_per_host), limit)
        hosts = [host_record(row) for row in await self._read(_DUE_HOSTS, (now, self.run_id, *limits, *start))]
        return Batch(rows=hosts, next=next_cursor(hosts, limit, lambda host: (host.next_due_at, host.host_id)))

    async def due_urls(
        self, host_ids: Iterable[int], limit: int, now: float, without: Sequence[str] = ()
    ) -> list[Claim]:
        """At most `limit` due URLs of each of these hosts, longest due first, none of the origins `without`. Also those
        lent already.
        """
        rows = await self._read(_DUE_URLS, (as_json(list(host_ids)), now, limit, prefixes(without)))
        return [claim(row) for row in rows]

    async def next_due_at(self, after: float) -> float | None:
        """When the next host falls due, of those that are not due at `after`; Unix seconds."""
        rows = await self._read("SELECT min(next_due_at) FROM hosts WHERE next_due_at > ?", (after,))
        return rows[0][0] if rows else None

    async def stale_hosts(
        self,
        horizon: Horizon,
        max_pages_per_host: int | None,
        limit: int,
        latest_back_off: float,
        after: Cursor | None = None,
    ) -> Batch[HostRecord]:
        """Hosts with a URL to be fetched again, each once; none that backs off past `latest_back_off`."""
        bounds = (horizon.fetched_before, horizon.revisit_before)
        start = place(after, _FIRST_STALE)
        limits = (latest_back_off, limit, horizon.started_at)
        rows = await self._read(_STALE_HOSTS, (*start, self.run_id, at_most(max_pages_per_host), *bounds, *limits))
        hosts = [host_record(row) for row in rows]
        return Batch(rows=hosts, next=next_cursor(hosts, limit, lambda host: (host.host_id,)))

    async def stale_urls(
        self,
        host_ids: Sequence[int],
        limit: int,
        horizon: Horizon,
        held: Iterable[int] = (),
        without: Sequence[str] = (),
    ) -> list[Claim]:
        """At most `limit` URLs to be fetched again of each of these hosts, the most urgent first; none of `held`, nor
        of the origins `without`.
        """
        hosts, lent = (orjson.dumps(list(ids)).decode() for ids in (host_ids, held))
        bounds = (horizon.fetched_before, horizon.revisit_before)
        others = prefixes(without)
        rows = await self._read(_STALE_URLS, (hosts, *bounds, limit, horizon.started_at, lent, others))
        return [claim(row) for row in rows]

    async def stored_body(self, claim: Claim) -> EarlierBody | None:
        """The body of the URL's newest version, which may have been read by an earlier release; None: not kept."""
        rows = await self._read(_STORED_BODY, (claim.url_id,))
        return EarlierBody(digest=rows[0][0], zstd=rows[0][1], content_type=rows[0][2]) if rows else None

    async def named_feeds(self, claim: Claim) -> NamedFeeds:
        """The feeds that the newest stored version of a page links to."""
        return named_feeds(await self._read(_NAMED_FEEDS, (claim.url_id,)))

    async def answered_since(self, host_id: int, moment: float) -> bool:
        """Whether any URL of the host but robots.txt has been answered since that moment (Unix seconds)."""
        return bool(await self._read(_ANSWERED_SINCE, (host_id, moment)))

    async def robots_of(self, host_ids: Iterable[int]) -> list[RobotsCopy]:
        """What is kept of these hosts' origins: the copies of robots.txt, and pauses."""
        rows = await self._read(_ORIGINS, (orjson.dumps(list(host_ids)).decode(),))
        return [robots_copy(row) for row in rows]

    async def places_of(self, host_ids: Iterable[int]) -> list[Place]:
        """What is known of how alike the pages of these hosts' places change."""
        rows = await self._read(_PLACES, (as_json(list(host_ids)), self.run_id))
        return [place_of(*row) for row in rows]

    async def redesigned(self, host_id: int, at: float, places: Sequence[Place]) -> None:
        """Record that all of the host has changed at once, and take back what the looks since have told of places."""
        async with self._transaction() as transaction:
            await transaction.redesigned(host_id, at, places)

    async def make_due(self, host_id: int, before: float, limit: int) -> int:
        """Make at most so many URLs due that were answered before (Unix seconds); returns how many were."""
        async with self._transaction() as transaction:
            return await transaction.make_due(host_id, before, limit)

    async def keep_pauses(self, pauses: Sequence[tuple[int, float]]) -> None:
        """Leave each of these hosts alone until its time (Unix seconds), in the next run, too."""
        await self._write(_PAUSE.sql, (as_json(pauses),))
