"""30 nights of crawling 2,000 pages of known change rates, in virtual time: what a policy asks and how fresh it is."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from crawler.policy.recrawl import DAY_S, Pace, plan
from crawler.records import Claim, Earlier, Response, Revisit, UrlStatus

NIGHTS = 30
PAGES = 2000
# (share of the pages, days between two changes; None: it never changes)
Mix = tuple[tuple[float, float | None], ...]
MIXES: dict[str, Mix] = {
    "mostly static": ((0.5, None), (0.2, 30), (0.15, 7), (0.1, 1), (0.05, 1 / 24)),
    "lively": ((0.4, None), (0.2, 30), (0.2, 7), (0.2, 1)),
    "weekly or daily": ((0.5, None), (0.3, 7), (0.2, 1)),
    "as measured": ((0.3, None), (0.2, 120), (0.2, 30), (0.15, 7), (0.15, 1)),  # about what the papers report
}
_CLAIM = Claim(url_id=1, url="http://a.test/", host_id=1, host="a.test", origin="http://a.test", depth=1)


@dataclass(slots=True)
class SimulatedPage:
    """A page, and what one policy knows of it."""

    changes: list[float]  # when it changes
    fetched_at: float | None = None
    due_at: float = 0.0
    earlier: Earlier | None = None
    stale_s: float = 0.0
    requests: int = 0
    phase: float = field(default_factory=float)

    def version(self, now: float) -> int:
        return bisect_right(self.changes, now)

    def stale_until(self, now: float) -> float:
        """For how long what is stored has been out of date, since the last visit."""
        if self.fetched_at is None:
            return 0.0
        next_change = self.version(self.fetched_at)
        return max(0.0, now - self.changes[next_change]) if next_change < len(self.changes) else 0.0


Policy = Callable[[SimulatedPage, int], bool]  # whether the page is fetched in this night


def simulate(mix: Mix, wants: Policy, seed: int = 1) -> tuple[int, float]:
    """Requests in all, and the mean share of the time in which what is stored is what is there."""
    chance = random.Random(seed)
    pages = _pages(mix, chance)
    for night in range(NIGHTS):
        for page in pages:
            if wants(page, night):
                _visit(page, night * DAY_S + 3600 * chance.random())  # a run takes an hour
    end = NIGHTS * DAY_S
    fresh = sum(1 - (page.stale_s + page.stale_until(end)) / end for page in pages)
    return sum(page.requests for page in pages), fresh / len(pages)


def every_night(_page: SimulatedPage, _night: int) -> bool:
    return True


def auto(page: SimulatedPage, night: int) -> bool:
    return page.due_at <= night * DAY_S


def every(days: float) -> Policy:
    """A fixed interval, which need not be whole: the pages take turns."""

    def wants(page: SimulatedPage, night: int) -> bool:
        return night == 0 or int(night / days + page.phase) > int((night - 1) / days + page.phase)

    return wants


def _pages(mix: Mix, chance: random.Random) -> list[SimulatedPage]:
    days = [every for share, every in mix for _ in range(round(share * PAGES))]
    return [SimulatedPage(changes=_changes(every, chance), phase=chance.random()) for every in days]


def _changes(days: float | None, chance: random.Random) -> list[float]:
    changes: list[float] = []
    at = 0.0
    while days is not None and (at := at + chance.expovariate(1 / (days * DAY_S))) < NIGHTS * DAY_S:
        changes.append(at)
    return changes


def _visit(page: SimulatedPage, now: float) -> None:
    page.stale_s += page.stale_until(now)
    page.requests += 1
    content_hash = str(page.version(now)).encode()
    response = Response(url=_CLAIM.url, status_code=200, started_at=now)
    pace = Pace(min_interval_s=3600, max_interval_s=60 * DAY_S)
    found: Revisit = plan(replace(_CLAIM, earlier=page.earlier), response, UrlStatus.FETCHED, content_hash, pace)
    page.earlier = Earlier(status=UrlStatus.FETCHED, fetched_at=now, content_hash=content_hash, rate=found.rate)
    page.due_at, page.fetched_at = found.at, now
