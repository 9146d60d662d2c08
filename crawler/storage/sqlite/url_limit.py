"""How many rows a host may have, and which of its further URLs get none: see `crawler.storage.room`.

Like the number of hosts, this is decided in the transaction that adds the rows. Checked after a commit it would be no
bound: a commit holds 256 pages, and a page has up to 10,000 links.
Invariant: seeds aside, a host never has more rows than 2 N. It has N taken in at the most, but for what a newer
robots.txt allows that an older one forbade.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crawler.records import Reason, Result, Target
from crawler.storage.columns import IS_LIFTABLE, TAKEN_IN
from crawler.storage.room import Judge, Tally, ToldOnce, cuts, unstored_of_hosts, wanted_rows
from crawler.storage.sqlite.columns import Execute, JsonStatement
from crawler.storage.values import as_json

_MAX_REMEMBERED = 65_536  # hosts

_TALLIES = f"SELECT name, {TAKEN_IN}, excluded FROM hosts WHERE name IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
_STORED = f"SELECT u.url, {IS_LIFTABLE} FROM json_each(?) AS t CROSS JOIN urls AS u ON u.url = t.value"  # noqa: S608 - our own names

_COUNT_UNSTORED = JsonStatement(
    "UPDATE hosts SET unstored_links = unstored_links + {number} FROM json_each(?1) AS v WHERE name = {name}",
    "name",
    "number",
)
_SET_CUT = JsonStatement(
    "UPDATE urls SET links_cut_at = {limit} FROM json_each(?1) AS v WHERE urls.id = {id}", "id", "limit"
)

# When the limit is higher than it was. What has to be read once more is counted once more.
FORGET_UNSTORED = """
UPDATE hosts SET unstored_links = 0
WHERE unstored_links > 0 AND EXISTS (SELECT 1 FROM urls WHERE links_cut_at > 0 AND links_cut_at < ?1)
"""
# Also those that could not be read in an earlier run.
READ_AGAIN = """
UPDATE urls SET links_cut_at = 0, next_fetch_at = coalesce(next_fetch_at, ?2)
WHERE links_cut_at < ?1 AND status IN ('fetched', 'redirected') RETURNING host_id
"""


class UrlLimit:
    """Limits how many URLs a host may have over all runs; seeds are exempt."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._room: dict[str, int] = {}  # by host: so many more rows fit for certain
        self._full = ToldOnce()

    async def fit(self, targets: Sequence[Target], execute: Execute) -> Sequence[Target]:
        """Those of the targets, each of a host that is stored, that may have a row; what is one too many is excluded.

        Most hosts are far from their limit: they are asked for once.
        """
        wanted = wanted_rows(targets)
        unsure = [host for host, number in wanted.items() if self._room.get(host, 0) < number]
        tallies = await self._tallies(unsure, execute) if unsure else {}
        tight = {host: tally for host, tally in tallies.items() if tally.room(self.most) < wanted[host]}
        self._remember({host: tally.room(self.most) for host, tally in tallies.items()})
        for host, number in wanted.items():
            self._room[host] -= number
        if not tight:
            return targets
        urls = [target.url for target in targets if target.host in tight]
        stored = {row[0]: bool(row[1]) for row in await execute(_STORED, as_json(urls))}
        return Judge(tight, self.most, self._full).fitting(targets, stored)

    async def turn_away(self, urls: Mapping[int, tuple[str, bool]], execute: Execute) -> dict[int, Reason]:
        """Of excluded URLs that are to be taken in (by id: the host, 'it is a seed'), those that are too many."""
        hosts = sorted({host for host, _seed in urls.values()})
        tallies = await self._tallies(hosts, execute)
        self.forget()
        return Judge(tallies, self.most, self._full).turned_away(urls)

    def forget(self) -> None:
        """Rows have changed past this: ask for all hosts again."""
        self._room.clear()

    def take_full(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each is told once."""
        return self._full.take()

    async def _tallies(self, hosts: Iterable[str], execute: Execute) -> dict[str, Tally]:
        return {row[0]: Tally(row[1], row[2]) for row in await execute(_TALLIES, as_json(list(hosts)))}

    def _remember(self, rooms: Mapping[str, int]) -> None:
        if len(self._room) > _MAX_REMEMBERED:
            self._room = {host: room for host, room in self._room.items() if room < self.most // 2}
        self._room.update(rooms)


async def record_unstored(
    results: Sequence[Result], ids: Sequence[int], unstored: set[str], limit: int, execute: Execute
) -> None:
    """Count what these results name and no row was made for, and mark the documents that name it, or no longer do."""
    if unstored:
        await execute(_COUNT_UNSTORED.sql, as_json(unstored_of_hosts(results, unstored)))
    if found := cuts(results, ids, unstored, limit):
        await execute(_SET_CUT.sql, as_json([(url_id, cut) for _result, url_id, cut in found]))
