"""How many rows a host may have, and which of its further URLs get none: see `crawler.storage.room`.

Decided in the transaction that adds the rows, from what is stored and what its owner has not counted yet. Several
processes that add URLs of one host at the same moment do not see each other: the numbers may be exceeded by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from crawler.records import Reason, Result, Target
from crawler.storage.columns import IS_LIFTABLE, TAKEN_IN
from crawler.storage.postgres.arrivals import telling
from crawler.storage.postgres.columns import rows_of
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.transactions import Execute
from crawler.storage.room import Judge, Tally, ToldOnce, cuts, unstored_of_hosts, wanted_rows

# The partition stands in both, at the same place: so a database that is spread over several servers (Citus) can add up
# the rows of each partition where they are.
_TALLIES = f"""
SELECT id, sum(taken), sum(excluded) FROM (
    SELECT hosts.part, id, {TAKEN_IN} AS taken, excluded FROM {rows_of(("part", "id"))} JOIN hosts USING (part, id)
    UNION ALL SELECT a.part, host_id, pending + fetched + failed, excluded
    FROM {rows_of(("part", "host_id"))} JOIN arrivals AS a USING (part, host_id)
) AS rows GROUP BY part, id
"""  # noqa: S608 - our own names
_STORED = f"""
SELECT u.url, {IS_LIFTABLE} FROM {rows_of(("part", "host_id", "id"))} JOIN urls AS u USING (part, host_id, id)
"""  # noqa: S608 - our own names

_COUNT_UNSTORED = """
INSERT INTO arrivals (part, host_id, pending, excluded, unstored_links)
SELECT part, host_id, 0, 0, links FROM unnest($1::int[], $2::bigint[], $3::int[]) AS v (part, host_id, links)
"""
_SET_CUT = """
UPDATE urls AS u SET links_cut_at = v.cut_at
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[]) AS v (part, host_id, id, cut_at)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id
"""

# When the limit is higher than it was. What has to be read once more is counted once more; also what no owner has
# counted yet.
ANY_CUT = "SELECT 1 FROM urls WHERE links_cut_at > 0 AND links_cut_at < $1 LIMIT 1"
FORGET_UNSTORED = (
    "UPDATE hosts SET unstored_links = 0 WHERE unstored_links > 0",
    "UPDATE arrivals SET unstored_links = 0 WHERE unstored_links > 0",
)
# Also those that could not be read in an earlier run. Their hosts may be due.
READ_AGAIN = telling("""
UPDATE urls SET links_cut_at = 0, next_fetch_at = coalesce(next_fetch_at, $2)
WHERE links_cut_at < $1 AND status IN ('fetched', 'redirected') RETURNING part, host_id, status AS was, status
""")


class UrlLimit:
    """Limits how many URLs a host may have over all runs; seeds are exempt.

    Nothing is remembered of a host from one transaction to the next: others add URLs of it, too.
    """

    def __init__(self, most: int, part_of: Callable[[int], int]) -> None:
        """`part_of`: the partition of a host's id."""
        self.most = most
        self._part_of = part_of
        self._full = ToldOnce()

    async def fit(self, targets: Sequence[Target], execute: Execute) -> Sequence[Target]:
        """Those of the targets, each of a stored host, that may have a row; what is one too many is excluded."""
        wanted = wanted_rows(targets)
        tallies = await self._tallies(wanted, execute)
        tight = {host: tally for host, tally in tallies.items() if tally.room(self.most) < wanted[host]}
        if not tight:
            return targets
        bounded = [target for target in targets if target.host in tight]
        hosts = [id_of(target.host) for target in bounded]
        keys = (list(map(self._part_of, hosts)), hosts, [id_of(target.url) for target in bounded])
        stored = {row[0]: bool(row[1]) for row in await execute(_STORED, *keys)}
        return Judge(tight, self.most, self._full).fitting(targets, stored)

    async def turn_away(self, urls: Mapping[int, tuple[str, bool]], execute: Execute) -> dict[int, Reason]:
        """Of excluded URLs that are to be taken in (by id: the host, 'it is a seed'), those that are too many."""
        tallies = await self._tallies(sorted({host for host, _seed in urls.values()}), execute)
        return Judge(tallies, self.most, self._full).turned_away(urls)

    def forget(self) -> None:
        """There is nothing to be forgotten."""

    def take_full(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each is told once."""
        return self._full.take()

    async def _tallies(self, hosts: Iterable[str], execute: Execute) -> dict[str, Tally]:
        names = {id_of(host): host for host in hosts}
        rows = await execute(_TALLIES, list(map(self._part_of, names)), list(names)) if names else ()
        return {names[host_id]: Tally(int(taken), int(excluded)) for host_id, taken, excluded in rows}


async def record_unstored(
    results: Sequence[Result],
    ids: Sequence[int],
    unstored: set[str],
    limit: int,
    part_of: Callable[[int], int],
    execute: Execute,
) -> None:
    """Count what these results name and no row was made for, and mark the documents that name it, or no longer do.

    In the transaction that stores the results, before it counts what has arrived at its hosts.
    """
    if unstored:
        numbers = unstored_of_hosts(results, unstored)
        hosts = [id_of(host) for host, _number in numbers]
        await execute(_COUNT_UNSTORED, list(map(part_of, hosts)), hosts, [number for _host, number in numbers])
    if found := cuts(results, ids, unstored, limit):
        hosts = [result.claim.host_id for result, _id, _cut in found]
        url_ids, limits = [url_id for _result, url_id, _cut in found], [cut for _result, _id, cut in found]
        await execute(_SET_CUT, list(map(part_of, hosts)), hosts, url_ids, limits)
