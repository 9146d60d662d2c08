"""What is to be fetched, and when: the reads by which the frontier fills its memory, and the pauses that it leaves.

Invariant: hosts are read of the partitions whose URLs this process takes up, and of no others; what is asked of hosts
by their ids names their partitions. What is written here only moves when something is fetched, so it needs no fence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from crawler.records import Claim, EarlierBody, HostRecord, NamedFeeds, Place, RobotsCopy
from crawler.storage.columns import CLAIM_COLUMNS, IS_ANSWERED, ORIGIN_COLUMNS, claim, host_record, robots_copy
from crawler.storage.cursors import next_cursor, place
from crawler.storage.interface import Batch, Cursor
from crawler.storage.page_fields import named_feeds
from crawler.storage.postgres.session import Session, at_most, columns_of_hosts
from crawler.storage.postgres.transactions import Execute
from crawler.storage.values import place_of, place_values

# Of each partition the first by its own stretch of the index; then the first of all. $3 is the run.
_DUE_HOSTS = f"""
SELECT {columns_of_hosts(3)} FROM parts AS p CROSS JOIN LATERAL (
    SELECT * FROM hosts WHERE hosts.part = p.part AND next_due_at <= $2 AND (next_due_at, id) > ($6, $7)
        AND NOT (run_id IS NOT DISTINCT FROM $3 AND run_pages >= $4)
    ORDER BY next_due_at, id LIMIT $5
) AS h WHERE p.part = ANY($1::int[]) ORDER BY h.next_due_at, h.id LIMIT $8
"""  # noqa: S608 - our own names

_NEXT_DUE = """
SELECT min(h.next_due_at) FROM parts AS p CROSS JOIN LATERAL (
    SELECT next_due_at FROM hosts WHERE hosts.part = p.part AND next_due_at > $2 ORDER BY next_due_at LIMIT 1
) AS h WHERE p.part = ANY($1::int[])
"""

# Also of a URL that is none of these origins': an array that is mostly empty.
IS_OF_OTHERS = "NOT url ^@ ANY({}::text[])"

# The planner takes partition, host and id for independent of each other, so that it expects one row of any of them, and
# would read all of a host's URLs first. A limit makes it look up what it is told to.
VERSION_OF_U = "LEFT JOIN LATERAL (SELECT * FROM pages WHERE part = h.part AND id = u.page_id LIMIT 1) AS p ON true"

# Those that fall due at one moment come in the order in which the index has them: to sort them, all would be read.
_DUE_URLS = f"""
SELECT {CLAIM_COLUMNS} FROM hosts AS h CROSS JOIN LATERAL (
    SELECT * FROM urls WHERE urls.part = h.part AND urls.host_id = h.id AND next_fetch_at <= $3
        AND {IS_OF_OTHERS.format("$5")}
    ORDER BY next_fetch_at LIMIT $4
) AS u {VERSION_OF_U}
WHERE h.part = ANY($1::int[]) AND h.id = ANY($2::bigint[]) ORDER BY u.next_fetch_at
"""  # noqa: S608 - our own names

_ANSWERED_SINCE = f"""
SELECT 1 FROM urls WHERE part = $1 AND host_id = $2 AND fetched_at >= $3 AND {IS_ANSWERED} LIMIT 1
"""  # noqa: S608 - our own names

_STORED_BODY = """
SELECT b.hash, b.zstd, f.content_type FROM urls AS u JOIN pages AS p ON p.part = u.part AND p.id = u.page_id
JOIN bodies AS b ON b.part = p.part AND b.hash = p.body_hash
LEFT JOIN fetches AS f ON f.part = p.part AND f.id = p.fetch_id WHERE u.part = $1 AND u.host_id = $2 AND u.id = $3
"""

_NAMED_FEEDS = """
SELECT p.alternates, p.nofollow FROM urls AS u JOIN pages AS p ON p.part = u.part AND p.id = u.page_id
WHERE u.part = $1 AND u.host_id = $2 AND u.id = $3
"""

_ORIGINS = f"SELECT {ORIGIN_COLUMNS} FROM origins WHERE part = ANY($1::int[]) AND host_id = ANY($2::bigint[])"  # noqa: S608

_PLACES = """
SELECT host_id, place, looks, scores, run_id = $3 FROM places
WHERE part = ANY($1::int[]) AND host_id = ANY($2::bigint[])
"""

_SET_REDESIGNED = "UPDATE hosts SET redesigned_at = $3 WHERE part = $1 AND id = $2"
_FORGET_PLACES = "DELETE FROM places WHERE part = $1 AND host_id = $2"
_ADD_PLACE = "INSERT INTO places (part, host_id, place, run_id, looks, scores) VALUES ($1, $2, $3, $4, $5, $6)"

# What has an answer from before the run, and is not due in it: so many rows, by urls_revisit. Once they are due they
# stand before the others.
_MAKE_DUE = f"""
UPDATE urls SET revisit_at = fetched_at WHERE part = $1 AND host_id = $2 AND id IN (
    SELECT id FROM urls WHERE part = $1 AND host_id = $2 AND revisit_at >= $3 AND fetched_at < $3 AND {IS_ANSWERED}
    LIMIT $4
) RETURNING id
"""  # noqa: S608 - our own names

# `greatest` knows no NULL: a host without planned URLs must have none.
_PAUSE = """
UPDATE hosts AS h SET back_off_until = greatest(h.back_off_until, v.until),
    next_due_at = CASE WHEN h.next_due_at IS NOT NULL THEN greatest(h.next_due_at, v.until) END,
    back_off_reason = CASE WHEN v.until > h.back_off_until THEN NULL ELSE h.back_off_reason END
FROM unnest($1::int[], $2::bigint[], $3::float8[]) AS v (part, id, until) WHERE h.part = v.part AND h.id = v.id
"""

SMALLEST_ID = -(1 << 63)
_FIRST_DUE = (-1e18, SMALLEST_ID)  # before the first row


class DueReads(Session):
    """See `interface.DueReads` for what each operation is for."""

    async def due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None = None
    ) -> Batch[HostRecord]:
        """Hosts that have a URL due and have not reached their number of pages, longest due first."""
        hosts: list[HostRecord] = []
        while True:
            batch = await self._some_due_hosts(now, max_pages_per_host, limit - len(hosts), after)
            hosts += batch.rows
            after = batch.next
            if after is None or len(hosts) == limit:
                return Batch(rows=hosts, next=after)

    async def _some_due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None
    ) -> Batch[HostRecord]:
        """The first of them, as many as are certain to be the first: of each partition no more are read than it has
        among `limit` as a rule, since a million due hosts would be sorted otherwise.
        """
        parts = self.ownership.active()
        of_each = _likely_most(limit, len(parts))
        bounds = (at_most(max_pages_per_host), of_each, *place(after, _FIRST_DUE), limit)
        rows = await self._read(_DUE_HOSTS, parts, now, self.run_id, *bounds)
        hosts = list(map(host_record, rows))
        seen: Counter[int] = Counter()
        for number, host in enumerate(hosts, start=1):
            part = self.ownership.part_of(host.host_id)
            seen[part] += 1
            if seen[part] == of_each and number < limit:  # what it has next may come before the others
                return Batch(rows=hosts[:number], next=next_cursor(hosts[:number], number, _due_place))
        return Batch(rows=hosts, next=next_cursor(hosts, limit, _due_place))

    async def due_urls(
        self, host_ids: Iterable[int], limit: int, now: float, without: Sequence[str] = ()
    ) -> list[Claim]:
        """At most `limit` due URLs of each of these hosts, longest due first, none of the origins `without`. Also those
        lent already.
        """
        rows = await self._read(_DUE_URLS, *self._places(host_ids), now, limit, prefixes(without))
        return [claim(row) for row in rows]

    async def next_due_at(self, after: float) -> float | None:
        """When the next host falls due, of those that are not due at `after`; Unix seconds."""
        ((due_at,),) = await self._read(_NEXT_DUE, self.ownership.active(), after)
        return None if due_at is None else float(due_at)

    async def stored_body(self, claim: Claim) -> EarlierBody | None:
        """The body of the URL's newest version, which may have been read by an earlier release; None: not kept."""
        part = self.ownership.part_of(claim.host_id)
        rows = await self._read(_STORED_BODY, part, claim.host_id, claim.url_id)
        return EarlierBody(digest=rows[0][0], zstd=rows[0][1], content_type=rows[0][2]) if rows else None

    async def named_feeds(self, claim: Claim) -> NamedFeeds:
        """The feeds that the newest stored version of a page links to."""
        part = self.ownership.part_of(claim.host_id)
        return named_feeds(await self._read(_NAMED_FEEDS, part, claim.host_id, claim.url_id))

    async def answered_since(self, host_id: int, moment: float) -> bool:
        """Whether any URL of the host but robots.txt has been answered since that moment (Unix seconds)."""
        return bool(await self._read(_ANSWERED_SINCE, self.ownership.part_of(host_id), host_id, moment))

    async def robots_of(self, host_ids: Iterable[int]) -> list[RobotsCopy]:
        """What is kept of these hosts' origins: the copies of robots.txt, and pauses."""
        return [robots_copy(row) for row in await self._read(_ORIGINS, *self._places(host_ids))]

    async def places_of(self, host_ids: Iterable[int]) -> list[Place]:
        """What is known of how alike the pages of these hosts' places change."""
        return [place_of(*row) for row in await self._read(_PLACES, *self._places(host_ids), self.run_id)]

    async def redesigned(self, host_id: int, at: float, places: Sequence[Place]) -> None:
        """Record that all of the host has changed at once, and take back what the looks since have told of places."""
        part = self.ownership.part_of(host_id)

        async def store(execute: Execute) -> None:
            await execute(_SET_REDESIGNED, part, host_id, at)
            await execute(_FORGET_PLACES, part, host_id)
            for row in map(place_values, places):
                await execute(_ADD_PLACE, part, host_id, row["place"], self.run_id, row["looks"], row["scores"])

        await self._transact_fenced([part], store)

    async def make_due(self, host_id: int, before: float, limit: int) -> int:
        """Make at most so many URLs due that were answered before (Unix seconds); returns how many were."""
        return len(await self._write(_MAKE_DUE, self.ownership.part_of(host_id), host_id, before, limit))

    async def keep_pauses(self, pauses: Sequence[tuple[int, float]]) -> None:
        """Leave each of these hosts alone until its time (Unix seconds), in the next run, too."""
        ids = [host_id for host_id, _until in pauses]
        async with self._writing:  # beside commits, which take the same rows
            await self._write(_PAUSE, self._parts_of(ids), ids, [until for _id, until in pauses])

    def _places(self, host_ids: Iterable[int]) -> tuple[list[int], list[int]]:
        """The partitions of these hosts, each once, and the hosts."""
        ids = list(host_ids)
        return sorted(set(self._parts_of(ids))), ids


def prefixes(origins: Iterable[str]) -> list[str]:
    """By which the URLs of these origins are known."""
    return [f"{origin}/" for origin in origins]


def _due_place(host: HostRecord) -> tuple[float | None, int]:
    return host.next_due_at, host.host_id


def _likely_most(number: int, parts: int) -> int:
    """So many of `number` things stand in one of these partitions at the most, but for one time in thousands."""
    mean = number / max(1, parts)
    return min(number, math.ceil(mean + 4 * math.sqrt(mean) + 4))
