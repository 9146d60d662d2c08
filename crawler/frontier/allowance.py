"""How many pages may still be lent in this run: by all hosts together, and by each.

Invariant: a page is lent against both, and given back to both where it brought nothing to store, so that neither limit
is ever passed, and each is reached where there are pages enough. What is no page (robots.txt, a sitemap) is free.
"""

from __future__ import annotations

from crawler.frontier.hosts import HostState
from crawler.records import Claim, UrlKind


class PageAllowance:
    """The run's allowance (None: any number), and those of the hosts, which stand with them."""

    __slots__ = ("_left",)

    def __init__(self, pages: int | None) -> None:
        self._left = pages

    @property
    def is_spent(self) -> bool:
        """Whether the run may lend no more pages: then it lends nothing else, either."""
        return self._left == 0

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
        if claim.kind is not UrlKind.PAGE:
            return
        if host.allowance is not None:
            host.allowance += change
        if self._left is not None:
            self._left += change
