"""How many rows a host may have, and which of its further URLs get none.

With a limit of N, a host has N URLs that were taken in, and 2 N rows with those that are excluded, whatever excluded
them. Of what is one too many, the first are stored as excluded, so that people see examples and a higher limit has
something to begin with; once there is no room for those either, a URL gets no row. It is counted in
`hosts.unstored_links`, and the document that named it remembers the limit (`urls.links_cut_at`): when a later run has
a higher one, that document is read once more.

Like the number of hosts, this is decided in the transaction that adds the rows. Checked after a commit it would be no
bound: a commit holds 256 pages, and a page has up to 10,000 links.
Invariant: seeds aside, a host never has more rows than 2 N. It has N taken in at the most, but for what a newer
robots.txt allows that an older one forbade.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crawler.records import ANSWERED, ExclusionReason, Reason, Result, Target, UrlKind
from crawler.storage.columns import TAKEN_IN
from crawler.storage.sqlite.columns import IS_LIFTABLE, Execute, JsonStatement
from crawler.storage.values import as_json

_FULL = Reason(ExclusionReason.URLS_OF_HOST)
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


@dataclass(slots=True)
class _Tally:
    """The rows of one host."""

    taken: int
    excluded: int

    def room(self, most: int) -> int:
        """So many more rows fit, of whatever kind they are."""
        return most - max(self.taken, self.excluded)

    def take_in(self, most: int) -> bool:
        """One more URL, where there is room for it."""
        has_room = self.taken < most and self.taken + self.excluded < 2 * most
        self.taken += has_room
        return has_room

    def lift(self, most: int) -> bool:
        """One that was excluded is taken in, where there is room for it."""
        has_room = self.taken < most
        self.taken += has_room
        self.excluded -= has_room
        return has_room

    def exclude(self, most: int) -> bool:
        """One more that is excluded, where there is room for it."""
        has_room = self.excluded < most and self.taken + self.excluded < 2 * most
        self.excluded += has_room
        return has_room


class UrlLimit:
    """Limits how many URLs a host may have over all runs; seeds are exempt."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._room: dict[str, int] = {}  # by host: so many more rows fit for certain
        self._full: set[str] = set()
        self._untold: list[str] = []

    async def fit(self, targets: Sequence[Target], execute: Execute) -> Sequence[Target]:
        """Those of the targets, each of a host that is stored, that may have a row; what is one too many is excluded.

        Most hosts are far from their limit: they are asked for once.
        """
        wanted = Counter(target.host for target in targets if target.kind is not UrlKind.ROBOTS)
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
        judged = (
            self._judge(target, stored, tight[target.host]) if _is_bounded(target, tight) else target
            for target in targets
        )
        return [target for target in judged if target is not None]

    async def turn_away(self, urls: Mapping[int, tuple[str, bool]], execute: Execute) -> dict[int, Reason]:
        """Of excluded URLs that are to be taken in (by id: the host, 'it is a seed'), those that are too many."""
        hosts = sorted({host for host, _seed in urls.values()})
        tallies = await self._tallies(hosts, execute)
        self.forget()
        away: dict[int, Reason] = {}
        for url_id, (host, seed) in urls.items():
            if not tallies[host].lift(self.most) and not seed:
                away[url_id] = self._turned_away(host)
        return away

    def forget(self) -> None:
        """Rows have changed past this: ask for all hosts again."""
        self._room.clear()

    def take_full(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each is told once."""
        untold, self._untold = self._untold, []
        return untold

    def _judge(self, target: Target, stored: Mapping[str, bool], tally: _Tally) -> Target | None:
        """The target as it is stored; None where it gets no row."""
        if target.url in stored:
            would_enter = stored[target.url] and target.reason is None
            if not would_enter or tally.lift(self.most) or target.seed:
                return target
            return replace(target, reason=self._turned_away(target.host))
        if target.reason is None:
            if tally.take_in(self.most) or target.seed:
                return target
            target = replace(target, reason=self._turned_away(target.host))
        return target if tally.exclude(self.most) or target.seed else None

    async def _tallies(self, hosts: Iterable[str], execute: Execute) -> dict[str, _Tally]:
        return {row[0]: _Tally(row[1], row[2]) for row in await execute(_TALLIES, as_json(list(hosts)))}

    def _remember(self, rooms: Mapping[str, int]) -> None:
        if len(self._room) > _MAX_REMEMBERED:
            self._room = {host: room for host, room in self._room.items() if room < self.most // 2}
        self._room.update(rooms)

    def _turned_away(self, host: str) -> Reason:
        if host not in self._full:
            self._full.add(host)
            self._untold.append(host)
        return _FULL


def _is_bounded(target: Target, tight: Mapping[str, _Tally]) -> bool:
    return target.host in tight and target.kind is not UrlKind.ROBOTS


async def record_unstored(
    results: Sequence[Result], ids: Sequence[int], unstored: set[str], limit: int, execute: Execute
) -> None:
    """Count what these results name and no row was made for, and mark the documents that name it, or no longer do."""
    if unstored:
        counts = Counter(target.host for result in results for target in _named(result) if target.url in unstored)
        await execute(_COUNT_UNSTORED.sql, as_json(list(counts.items())))
    cuts: list[tuple[int, int | None]] = []
    for result, url_id in zip(results, ids, strict=True):
        if unstored and any(target.url in unstored for target in _named(result)):
            cuts.append((url_id, limit))
        elif _was_read_whole(result):
            cuts.append((url_id, None))
    if cuts:
        await execute(_SET_CUT.sql, as_json(cuts))


def _named(result: Result) -> Iterable[Target]:
    return (*result.link_targets, *result.targets, *(one.target for one in result.listed))


def _was_read_whole(result: Result) -> bool:
    """Whether all that a document names was stored just now, and was not before. Of a long sitemap, so it is from its
    first part on, until another part says otherwise.
    """
    previous = result.claim.previous
    if previous is None or previous.links_cut_at is None:
        return False
    if result.forgets_listed or result.listed:
        return result.forgets_listed
    if result.verdict.status not in ANSWERED:
        return False
    return result.page is not None or previous.lacks_links
