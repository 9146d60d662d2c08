"""How many pages, and how many requests, may still be lent in this run: by all hosts together, and by each.

Invariants: a page is lent against both, and given back to both where it brought nothing to store, so that neither limit
is ever passed, and each is reached where there are pages enough. What is no page (robots.txt, a sitemap) is free.
A request counts whatever it asks for: it is lent before it is sent, given back where it never is, and only what the
store has noted is lent (see requests.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from crawler.frontier.hosts import HostState
from crawler.frontier.requests import Requests
from crawler.records import Claim, UrlKind
from crawler.statically_frozen import dataclass

_MOST_NOTED = 256  # requests, at once
_MOST_NOTED_OF_HOST = 8


class PageAllowance:
    """The run's allowance (None: any number), and those of the hosts, which stand with them.

    Where several processes share the run's, each draws a part of it, and another once that is lent.
    """

    __slots__ = ("_left", "is_drawn")

    def __init__(self, pages: int | None) -> None:
        self._left = pages
        self.is_drawn = False  # in parts

    @property
    def is_spent(self) -> bool:
        """Whether the run may lend no more pages, unless more are drawn: then it lends nothing else, either."""
        return self._left == 0

    @property
    def is_lacking(self) -> bool:
        """Whether there is nothing to lend before more is drawn."""
        return self.is_drawn and not self._left

    @property
    def left(self) -> int:
        """How many pages may be lent."""
        return self._left or 0

    def draw_parts(self) -> None:
        """The run's pages are shared with others: what there is to lend is drawn from now on."""
        self._left = 0
        self.is_drawn = True

    def add(self, pages: int) -> None:
        """So many more were drawn; where negative, so many were given back."""
        self._left = self.left + pages

    def spend(self, pages: int) -> None:
        """So many of the run's pages were stored before it was killed."""
        if self._left is not None:
            self._left = max(0, self._left - pages)

    def lift(self) -> None:
        """Lend any number from now on."""
        self._left = None

    def lend(self, host: HostState, claim: Claim) -> None:
        """The claim is lent."""
        self._change(host, claim, -1)

    def give_back(self, host: HostState, claim: Claim) -> None:
        """The claim brought nothing to store."""
        self._change(host, claim, 1)

    def _change(self, host: HostState, claim: Claim, change: int) -> None:
        if (host.allowance is None and self._left is None) or claim.kind is not UrlKind.PAGE:
            return
        if host.allowance is not None and not host.leaves:
            host.allowance += change
        if self._left is not None:
            self._left += change


@dataclass(frozen=True, slots=True)
class Part:
    """Requests that are to be noted, by whom; `run` 0: none of the run's own."""

    run: int
    hosts: Sequence[tuple[HostState, int]]


class RequestAllowance:
    """The run's requests (None: any number), and those of the hosts, which stand with them."""

    __slots__ = ("_lacking", "_run")

    def __init__(self, requests: int | None) -> None:
        self._run = None if requests is None else Requests.of(requests)
        self._lacking: dict[HostState, Requests] = {}  # hosts that have none ready although some are left

    @property
    def are_spent(self) -> bool:
        """Whether the run may make no more requests."""
        return self._run is not None and self._run.are_spent

    @property
    def none_ready(self) -> bool:
        """Whether nothing may be lent now, of whatever host."""
        return self._run is not None and not self._run.ready

    @property
    def are_lacking(self) -> bool:
        """Whether a part has to be noted, so that all may be lent that may be."""
        return bool(self._lacking) or (self._run is not None and self._run.are_lacking)

    def are_spent_by(self, host: HostState) -> bool:
        """Whether the host may be sent no more requests."""
        return self.are_spent or (host.requests_left is not None and host.requests_left.are_spent)

    def spend(self, requests: int) -> None:
        """So many of the run's requests may have been sent before it was killed."""
        if self._run is not None:
            self._run = Requests.of(self._run.most, spent=requests)

    def lend(self, host: HostState) -> bool:
        """One request to the host may be sent; False: not now."""
        own = host.requests_left
        if own is None and self._run is None:
            return True
        if self.none_ready or (own is not None and not own.ready):
            return False
        self._change(host, -1)
        return True

    def give_back(self, host: HostState) -> None:
        """A request that was lent is not sent."""
        self._change(host, 1)

    def watch(self, host: HostState) -> None:
        """The host is in memory from now on, or its requests have changed."""
        if host.requests_left is not None and host.requests_left.are_lacking:
            self._lacking[host] = host.requests_left

    def forget(self, host: HostState) -> None:
        """The host is in memory no more."""
        self._lacking.pop(host, None)

    def next_part(self) -> Part:
        """What is to be noted next."""
        hosts = [(host, own.part(_MOST_NOTED_OF_HOST)) for host, own in self._lacking.items()]
        return Part(self._run.part(_MOST_NOTED) if self._run is not None and self._run.are_lacking else 0, hosts)

    def notes(self, part: Part) -> tuple[int | None, list[tuple[int, int]]]:
        """How many requests of the run (None: as before), and of each host by its id, are noted with it."""
        run = self._run.noted_with(part.run) if self._run is not None and part.run else None
        return run, [(host.host_id, self._lacking[host].noted_with(size)) for host, size in part.hosts]

    def add_ready(self, part: Part) -> None:
        """The part is noted, and may be lent."""
        if self._run is not None:
            self._run.add_ready(part.run)
        for host, size in part.hosts:
            if (own := self._lacking.pop(host, None)) is not None:
                own.add_ready(size)

    def _change(self, host: HostState, change: int) -> None:
        if self._run is not None:
            self._run.ready += change
        if host.requests_left is not None:
            host.requests_left.ready += change
            if change < 0:
                self.watch(host)
