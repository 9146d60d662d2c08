"""30 nights over 2,000 pages of known change rates, in virtual time: what a policy asks, how fresh it is, what is best.

`python -m tests.unit.nights` prints the table of all mixes, those on which `auto` was tuned and those it has not seen.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heapreplace

from crawler.policy.recrawl import DAY_S, Pace, plan
from crawler.records import Claim, PreviousVisit, Response, Revisit, UrlStatus

NIGHTS = 30
PAGES = 2000
# (share of the pages, days between two changes; None: it never changes; two: from ... to, evenly on a log scale)
Mix = tuple[tuple[float, float | tuple[float, float] | None], ...]
TUNED: dict[str, Mix] = {  # the price and the prior of policy/recrawl.py were chosen on these
    "mostly static": ((0.5, None), (0.2, 30), (0.15, 7), (0.1, 1), (0.05, 1 / 24)),
    "lively": ((0.4, None), (0.2, 30), (0.2, 7), (0.2, 1)),
    "weekly or daily": ((0.5, None), (0.3, 7), (0.2, 1)),
    "as measured": ((0.3, None), (0.2, 120), (0.2, 30), (0.15, 7), (0.15, 1)),  # about what the papers report
}
_RARELY = (120.0, 1200.0)
UNTUNED: dict[str, Mix] = {
    # Cho and Garcia-Molina, 'The Evolution of the Web and Implications for an Incremental Crawler', VLDB 2000, about.
    "edu in 2000": ((0.10, (0.1, 1)), (0.10, (1, 7)), (0.12, (7, 30)), (0.15, (30, 120)), (0.53, _RARELY)),
    "the web in 2000": ((0.23, (0.1, 1)), (0.15, (1, 7)), (0.16, (7, 30)), (0.16, (30, 120)), (0.30, _RARELY)),
    "com in 2000": ((0.42, (0.1, 1)), (0.18, (1, 7)), (0.15, (7, 30)), (0.12, (30, 120)), (0.13, _RARELY)),
    # Fetterly, Manasse, Najork and Wiener, 'A Large-Scale Study of the Evolution of Web Pages', WWW 2003, about.
    "two thirds static": ((0.65, None), (0.05, (70, 200)), (0.10, (14, 70)), (0.10, (3, 14)), (0.10, (0.3, 3))),
    "documentation": ((0.90, (60, 1000)), (0.08, (7, 60)), (0.02, (0.5, 2))),
    "news and archive": ((0.05, (0.02, 0.3)), (0.25, (0.5, 3)), (0.70, (30, 2000))),
    "anything": ((1.0, (1, 1000)),),
    "half of it daily": ((0.5, 1), (0.5, None)),
    "all weekly": ((1.0, 7),),
    "all monthly": ((1.0, 30),),
}
MIXES = TUNED | UNTUNED
_CLAIM = Claim(url_id=1, url="http://a.test/", host_id=1, host="a.test", origin="http://a.test", depth=1)


@dataclass(slots=True)
class SimulatedPage:
    """A page, and what one policy knows of it."""

    changes: list[float]  # when it changes
    fetched_at: float | None = None
    due_at: float = 0.0
    previous: PreviousVisit | None = None
    stale_s: float = 0.0
    requests: int = 0
    phase: float = field(default_factory=float)

    def version(self, now: float) -> int:
        return bisect_right(self.changes, now)


Policy = Callable[[SimulatedPage, int], bool]  # whether the page is fetched in this night


def simulate(mix: Mix, wants: Policy, seed: int = 1) -> tuple[int, float]:
    """Requests in all, and the mean share of the time in which what is stored is what is there."""
    chance = random.Random(seed)
    pages = [SimulatedPage(changes=changes_at(days, chance), phase=chance.random()) for days in days_of(mix, seed)]
    for night in range(NIGHTS):
        for page in pages:
            if wants(page, night):
                now = night * DAY_S + 3600 * chance.random()  # a run takes an hour
                if wants is auto:
                    _plan(page, now)
                _visit(page, now)
    end = NIGHTS * DAY_S
    fresh = sum(1 - (page.stale_s + stale_s(page.changes, page.fetched_at, end)) / end for page in pages)
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


def days_of(mix: Mix, seed: int = 1, pages: int = PAGES) -> list[float | None]:
    """Each page's mean time between two changes, in no order that its number would tell."""
    chance = random.Random(f"days {seed}")
    drawn = [
        math.exp(chance.uniform(math.log(days[0]), math.log(days[1]))) if isinstance(days, tuple) else days
        for share, days in mix
        for _ in range(round(share * pages))
    ]
    chance.shuffle(drawn)
    return drawn


def changes_at(days: float | None, chance: random.Random) -> list[float]:
    """When a page changes within the nights: a Poisson process."""
    changes: list[float] = []
    at = 0.0
    while days is not None and (at := at + chance.expovariate(1 / (days * DAY_S))) < NIGHTS * DAY_S:
        changes.append(at)
    return changes


def stale_s(changes: Sequence[float], fetched_at: float | None, now: float) -> float:
    """For how long what was fetched then has been out of date."""
    following = len(changes) if fetched_at is None else bisect_right(changes, fetched_at)
    return max(0.0, now - changes[following]) if following < len(changes) else 0.0


def best_possible(days: Sequence[float | None], share: float) -> float:
    """The freshness that so many of every night's requests could buy at most, by that of every night.

    For one who knows every page's rate from the first night on. n visits, evenly spaced over T, keep a page of rate r
    fresh for n / (T r) (1 - exp(-T r / n)) of the time, which is concave in n: giving each request to the page that
    gains most by it is optimal.
    """
    rates = [0.0 if every is None else NIGHTS / every for every in days]
    gains = [(_fresh(rate, 1) - _fresh(rate, 2), 1, rate) for rate in rates]
    heapify(gains)
    for _ in range(round(share * NIGHTS * len(days)) - len(days)):
        _gain, visits, rate = gains[0]
        gain = _fresh(rate, visits + 1) - _fresh(rate, visits + 2) if visits + 1 < NIGHTS else 0.0
        heapreplace(gains, (gain, visits + 1, rate))
    most = sum(_fresh(rate, NIGHTS) for rate in rates)
    return sum(_fresh(rate, min(visits, NIGHTS)) for _gain, visits, rate in gains) / most


def _fresh(changes: float, visits: int) -> float:
    return -math.expm1(-changes / visits) * visits / changes if changes else 1.0


def _visit(page: SimulatedPage, now: float) -> None:
    page.stale_s += stale_s(page.changes, page.fetched_at, now)
    page.requests += 1
    page.fetched_at = now


def _plan(page: SimulatedPage, now: float) -> None:
    """What `auto` makes of the visit."""
    content_hash = str(page.version(now)).encode()
    response = Response(url=_CLAIM.url, status_code=200, started_at=now)
    pace = Pace(min_interval_s=3600, max_interval_s=60 * DAY_S)
    news = page.previous is not None and page.previous.content_hash != content_hash
    found: Revisit = plan(replace(_CLAIM, previous=page.previous), response, UrlStatus.FETCHED, pace, news=news)
    page.previous = PreviousVisit(status=UrlStatus.FETCHED, fetched_at=now, content_hash=content_hash, rate=found.rate)
    page.due_at = found.at


def main() -> None:
    """Print the table: requests as a share of every night's, freshness by that of every night."""
    print("| mix | `auto`: requests, freshness | fixed interval | best possible, same requests | best possible, 40 % |")
    print("|---|---|---|---|---|")
    for name, mix in MIXES.items():
        figures = [_row(mix, seed) for seed in (1, 2, 3)]
        asked, fresh, fixed, possible, most = (sum(column) / len(figures) for column in zip(*figures, strict=True))
        print(f"| {name} | {asked:.0%}, {fresh:.3f} | {fixed:.3f} | {possible:.3f} | {most:.3f} |", flush=True)


def _row(mix: Mix, seed: int) -> tuple[float, float, float, float, float]:
    most, best = simulate(mix, every_night, seed)
    asked, fresh = simulate(mix, auto, seed)
    _asked, fixed = simulate(mix, every(most / asked), seed)
    days = days_of(mix, seed)
    share = asked / most
    return share, fresh / best, fixed / best, best_possible(days, share), best_possible(days, 0.4)


if __name__ == "__main__":
    main()
