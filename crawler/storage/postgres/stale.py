"""What is to be fetched again: hosts, partition by partition, and of each the URLs that are worth a request most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from crawler.records import Claim, Horizon, HostRecord
from crawler.storage.columns import CLAIM_COLUMNS, IS_ANSWERED, claim, host_record
from crawler.storage.interface import Batch, Cursor
from crawler.storage.postgres.due import IS_OF_OTHERS, SMALLEST_ID, VERSION_OF_U, DueReads, prefixes
from crawler.storage.postgres.session import at_most, columns_of_hosts
from crawler.storage.values import as_json

_IS_RETRIED = "status = 'failed' AND revisit_at < {0}"  # without an answer so far; by urls_retried

# Of each partition by its primary key, the partitions one after the other. The hosts of one, $2, begin after $3. $4 is
# the run. No EXISTS: beside an OR, the server would read all such URLs of all partitions into a table of hashes first.
_OF_ITS = "SELECT true FROM urls WHERE part = hosts.part AND host_id = hosts.id"
_STALE_HOSTS = f"""
SELECT {columns_of_hosts(4)} FROM parts AS p CROSS JOIN LATERAL (
    SELECT * FROM hosts WHERE hosts.part = p.part AND id > CASE WHEN p.part = $2 THEN $3 ELSE {SMALLEST_ID} END
        AND back_off_until <= $8 AND NOT (run_id IS NOT DISTINCT FROM $4 AND run_pages >= $5) AND (
            ({_OF_ITS} AND fetched_at < $6 AND {IS_ANSWERED} LIMIT 1)
            OR ({_OF_ITS} AND revisit_at < $7 LIMIT 1)
            OR ({_OF_ITS} AND {_IS_RETRIED.format("$10")} LIMIT 1)
        )
    ORDER BY id LIMIT $9
) AS h WHERE p.part = ANY($1::int[]) ORDER BY p.part, h.id LIMIT $9
"""  # noqa: S608 - our own names

_OF_HOST = "part = h.part AND host_id = h.id"
# Nothing is planned for it otherwise: what is, has been postponed or fails, and is due then.
_IS_FREE = f"id <> ALL($7::bigint[]) AND next_fetch_at IS NULL AND {IS_OF_OTHERS.format('$8')}"
_IS_STALE = f"{IS_ANSWERED} AND (fetched_at < $3 OR revisit_at < $4)"
_PLANNED = "coalesce(revisit_at, fetched_at)"  # what 0.1.0 has not seen since it learnt to plan has no plan

# Seeds and hubs, what a sitemap says has changed, then by plan: see SQLite's statement. Each part reads at most `$5`
# rows of an index that has them in this order.
_STALE_URLS = f"""
SELECT {CLAIM_COLUMNS} FROM hosts AS h CROSS JOIN LATERAL (
    SELECT id FROM (
        (SELECT id, 1 AS hub, hinted, {_PLANNED} AS planned FROM urls
            WHERE {_OF_HOST} AND (seed > 0 OR new_links >= 0.25) AND {_IS_STALE} AND {_IS_FREE}
            ORDER BY revisit_at NULLS FIRST LIMIT $5)
        UNION ALL (SELECT id, 0, 1, {_PLANNED} FROM urls
            WHERE {_OF_HOST} AND hinted = 1 AND {_IS_STALE} AND {_IS_FREE} LIMIT $5)
        UNION ALL (SELECT id, 0, hinted, {_PLANNED} FROM urls
            WHERE {_OF_HOST} AND fetched_at < $3 AND {IS_ANSWERED} AND {_IS_FREE} ORDER BY fetched_at LIMIT $5)
        UNION ALL (SELECT id, 0, hinted, revisit_at FROM urls
            WHERE {_OF_HOST} AND revisit_at < $4 AND {_IS_FREE} ORDER BY revisit_at LIMIT $5)
        UNION ALL (SELECT id, 0, 0, revisit_at FROM urls
            WHERE {_OF_HOST} AND {_IS_RETRIED.format("$6")} AND {_IS_FREE} ORDER BY revisit_at LIMIT $5)
    ) AS found GROUP BY id ORDER BY max(hub) DESC, max(hinted) DESC, min(planned) LIMIT $5
) AS chosen CROSS JOIN LATERAL (SELECT * FROM urls WHERE {_OF_HOST} AND id = chosen.id LIMIT 1) AS u {VERSION_OF_U}
WHERE h.part = ANY($1::int[]) AND h.id = ANY($2::bigint[])
ORDER BY u.hinted DESC, coalesce(u.revisit_at, u.fetched_at), u.id
"""  # noqa: S608 - our own names


class StaleReads(DueReads):
    """See `interface.DueReads` for what each operation is for.

    A cursor names the partitions that were read to their end, each by the claim under which it was this process's own:
    one that is gained later is read from its beginning, before the last batch is.
    """

    async def stale_hosts(
        self,
        horizon: Horizon,
        max_pages_per_host: int | None,
        limit: int,
        latest_back_off: float,
        after: Cursor | None = None,
    ) -> Batch[HostRecord]:
        """Hosts with a URL to be fetched again, each once; none that backs off past `latest_back_off`."""
        done, part, epoch, host_id = _place(after)
        epochs = self.ownership.active_epochs()
        left = [one for one in epochs if done.get(str(one)) != epochs[one]]  # JSON has no keys that are numbers
        start = (part, host_id) if epochs.get(part) == epoch else _NOWHERE
        bounds = (horizon.fetched_before, horizon.revisit_before, latest_back_off, limit, horizon.started_at)
        rows = await self._read(_STALE_HOSTS, left, *start, self.run_id, at_most(max_pages_per_host), *bounds)
        hosts = list(map(host_record, rows))
        if len(hosts) < limit:
            return Batch(rows=hosts)
        last = hosts[-1].host_id
        reached = self.ownership.part_of(last)
        read = {str(one): epochs[one] for one in left if one < reached}
        return Batch(rows=hosts, next=Cursor(as_json([done | read, reached, epochs[reached], last])))

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
        bounds = (horizon.fetched_before, horizon.revisit_before, limit, horizon.started_at)
        rows = await self._read(_STALE_URLS, *self._places(host_ids), *bounds, list(held), prefixes(without))
        return [claim(row) for row in rows]


_NOWHERE = (-1, SMALLEST_ID)  # in no partition: each is read from its beginning


def _place(cursor: Cursor | None) -> tuple[dict[str, int], int, int, int]:
    """The partitions that are done, the one that is under way with its epoch, and its last host."""
    if cursor is None:
        return {}, -1, 0, SMALLEST_ID
    done, part, epoch, host_id = orjson.loads(cursor)
    return done, part, epoch, host_id
