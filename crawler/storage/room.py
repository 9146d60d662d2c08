"""How much room a domain and a host have, the same in every store: what of that which is new is one too many.

A store counts, and adds the rows, in the transaction that asks; what is decided here is decided for it.

With a limit of N, a host has N URLs that were taken in, and 2 N rows with those that are excluded, whatever excluded
them. Of what is one too many, the first are stored as excluded, so that people see examples and a higher limit has
something to begin with; once there is no room for those either, a URL gets no row. It is counted in
`hosts.unstored_links`, and the document that named it remembers the limit (`urls.links_cut_at`): when a later run has
a higher one, that document is read once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from crawler.records import ANSWERED, ExclusionReason, Reason, Result, Target, UrlKind
from crawler.statically_frozen import dataclass

_FULL = Reason(ExclusionReason.URLS_OF_HOST)


class ToldOnce:
    """What was found to be full."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._untold: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def note(self, name: str) -> None:
        """It is full."""
        if name not in self._known:
            self._known.add(name)
            self._untold.append(name)

    def take(self) -> list[str]:
        """What was noted since this was asked last; each is told once."""
        untold, self._untold = self._untold, []
        return untold


# --- hosts of a domain ------------------------------------------------------------------------------------------------


class Admitted(NamedTuple):
    """Of new hosts, by name: those that are taken in, with their domain; of these, those that a seed has opened though
    their domain is full; and those that are turned away, with the reason.
    """

    taken: dict[str, str]
    opened: list[str]
    away: dict[str, Reason]


def admit_hosts(
    domains: Mapping[str, str], seeds: Mapping[str, bool], counts: Mapping[str, int], most: int, full: ToldOnce
) -> Admitted:
    """New hosts with their domains, in the order in which they come; whether a seed has each; and how many each domain
    has by now, unless it is known to be full.
    """
    numbers = Counter(counts)
    admitted = Admitted({}, [], {})
    for host, domain in domains.items():
        if domain not in full and numbers[domain] < most:
            numbers[domain] += 1
        elif seeds[host]:
            admitted.opened.append(host)
        else:
            admitted.away[host] = Reason(ExclusionReason.HOSTS_OF_DOMAIN, domain)
            full.note(domain)
            continue
        admitted.taken[host] = domain
    return admitted


# --- URLs of a host ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
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
        """Count an excluded URL as taken in if there is room; returns whether there was."""
        has_room = self.taken < most
        self.taken += has_room
        self.excluded -= has_room
        return has_room

    def exclude(self, most: int) -> bool:
        """Count one more excluded URL if there is room for its row; returns whether there was."""
        has_room = self.excluded < most and self.taken + self.excluded < 2 * most
        self.excluded += has_room
        return has_room


def wanted_rows(targets: Iterable[Target]) -> Counter[str]:
    """How many of the targets each host has; robots.txt is not bounded."""
    return Counter(target.host for target in targets if target.kind is not UrlKind.ROBOTS)


class Judge:
    """Of the hosts that have little room, by name, which of further targets get a row. `full` learns of those hosts of
    which one was turned away.
    """

    def __init__(self, tight: Mapping[str, Tally], most: int, full: ToldOnce) -> None:
        self._tight = tight
        self._most = most
        self._full = full

    def fitting(self, targets: Iterable[Target], stored: Mapping[str, bool]) -> list[Target]:
        """Those that may have a row; what is one too many is excluded. `stored`: the URLs that have one, and whether
        being found again may let them in.
        """
        judged = (self._judge(target, stored) if self._is_bounded(target) else target for target in targets)
        return [target for target in judged if target is not None]

    def turned_away(self, excluded: Mapping[int, tuple[str, bool]]) -> dict[int, Reason]:
        """Of excluded URLs that are to be taken in (by id: the host, 'it is a seed'), those that are too many."""
        return {
            url_id: self._turn_away(host)
            for url_id, (host, seed) in excluded.items()
            if not self._tight[host].lift(self._most) and not seed
        }

    def _is_bounded(self, target: Target) -> bool:
        return target.host in self._tight and target.kind is not UrlKind.ROBOTS

    def _judge(self, target: Target, stored: Mapping[str, bool]) -> Target | None:
        """The target as it is stored; None where it gets no row."""
        tally = self._tight[target.host]
        if target.url in stored:
            would_enter = stored[target.url] and target.reason is None
            if not would_enter or tally.lift(self._most) or target.seed:
                return target
            return replace(target, reason=self._turn_away(target.host))
        if target.reason is None:
            if tally.take_in(self._most) or target.seed:
                return target
            target = replace(target, reason=self._turn_away(target.host))
        return target if tally.exclude(self._most) or target.seed else None

    def _turn_away(self, host: str) -> Reason:
        self._full.note(host)
        return _FULL


def unstored_of_hosts(results: Sequence[Result], unstored: set[str]) -> list[tuple[str, int]]:
    """How many links of these results have no row, by the host of their targets."""
    return list(Counter(one.host for result in results for one in _named(result) if one.url in unstored).items())


def cuts(
    results: Sequence[Result], ids: Sequence[int], unstored: set[str], limit: int
) -> list[tuple[Result, int, int | None]]:
    """The results whose documents name what has no row, and those that no longer do: with their URLs' ids, and the
    limit, or None.
    """
    found: list[tuple[Result, int, int | None]] = []
    for result, url_id in zip(results, ids, strict=True):
        if unstored and any(target.url in unstored for target in _named(result)):
            found.append((result, url_id, limit))
        elif _was_read_whole(result):
            found.append((result, url_id, None))
    return found


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
