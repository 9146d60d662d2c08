"""Nights over pages of known change rates, in virtual time: what a policy asks, how fresh it is, and what is best.

`python -m tests.unit.nights [NIGHTS]` prints the table of all sites: the mixes of change rates on which `auto` was
tuned, those that it has not seen, and sites whose pages do not change by chance alone. `--budget`: what a small number
of requests a night buys.
"""

from __future__ import annotations

import math
import random
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace
from itertools import takewhile

from crawler.policy.habits import Habits
from crawler.policy.likeness import Looks
from crawler.policy.rate import DAY_S
from crawler.policy.recrawl import Pace, plan
from crawler.records import Claim, PreviousVisit, Response, UrlStatus

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
_PACE = Pace(min_interval_s=3600, max_interval_s=60 * DAY_S)


@dataclass(slots=True)
class SimulatedPage:
    """A page, and what one policy knows of it."""

    changes: list[float]  # when it changes
    phase: float = 0.0
    place: str = "/"
    born_at: float = 0.0
    fetched_at: float | None = None
    due_at: float = 0.0
    previous: PreviousVisit | None = None
    stale_s: float = 0.0
    requests: int = 0

    def version(self, now: float) -> int:
        return bisect_right(self.changes, now)


Policy = Callable[[SimulatedPage, int], bool]  # whether the page is fetched in this night
Site = Callable[[int, int], list[SimulatedPage]]  # the pages, by seed and number of nights


def every_night(_page: SimulatedPage, _night: int) -> bool:
    return True


def auto(page: SimulatedPage, night: int) -> bool:
    return page.due_at <= night * DAY_S


def alone(page: SimulatedPage, night: int) -> bool:
    """As `auto`, but for what other pages tell."""
    return auto(page, night)


def every(days: float) -> Policy:
    """A fixed interval, which need not be whole: the pages take turns."""

    def wants(page: SimulatedPage, night: int) -> bool:
        return page.fetched_at is None or int(night / days + page.phase) > int((night - 1) / days + page.phase)

    return wants


def as_many(visits: float, nights: int = NIGHTS) -> Policy:
    """The fixed interval that visits each page so many times on average: once in the first night, then in its turns."""
    return every((nights - 1) / (visits - 1))


def simulate(
    site: Mix | Site, wants: Policy, seed: int = 1, nights: int = NIGHTS, most: int | None = None
) -> tuple[int, float]:
    """Requests in all, and the mean share of the time in which what is stored is what is there.

    `most`: so many requests a night, but for the first; what is due longest comes first.
    """
    pages = site(seed, nights) if callable(site) else of_mix(site)(seed, nights)
    chance = random.Random(f"when {seed}")
    learns = wants in (auto, alone)
    host = LearningHost(alike=wants is auto)
    for night in range(nights):
        chosen = [page for page in pages if page.born_at <= night * DAY_S and wants(page, night)]
        if most is not None and night:
            chosen = sorted(chosen, key=_due_first if learns else _oldest_first)[:most]
        host.begin_run()
        for page in chosen:
            visit(page, night * DAY_S + 3600 * chance.random(), host if learns else None)  # it takes an hour
        if host.is_redesigned():
            for page in pages:
                if page.fetched_at is not None and page.fetched_at < night * DAY_S:
                    page.due_at = page.fetched_at
                    if most is None:
                        visit(page, night * DAY_S + 3600 * (1 + chance.random()), host)
    end = nights * DAY_S
    return sum(page.requests for page in pages), sum(_fresh_share(page, end) for page in pages) / len(pages)


def _due_first(page: SimulatedPage) -> float:
    return page.due_at


def _oldest_first(page: SimulatedPage) -> float:
    return page.fetched_at or 0.0


def _fresh_share(page: SimulatedPage, end: float) -> float:
    """From the first night in which it is there."""
    start = math.ceil(page.born_at / DAY_S) * DAY_S
    return 1 - (page.stale_s + stale_s(page.changes, page.fetched_at, end)) / (end - start) if start < end else 1.0


class LearningHost:
    """What `auto` knows of the host from night to night."""

    def __init__(self, *, alike: bool) -> None:
        self._alike = alike
        self._known: dict[str, Looks] = {}
        self._habits = Habits()

    def begin_run(self) -> None:
        self._known = {name: looks.faded() for name, looks in self._known.items()}
        self._habits = Habits(self._known, self._habits.redesigned_at)

    def is_redesigned(self) -> bool:
        if not self._habits.take_alarm():
            return False
        self._known = dict(self._habits.known)
        return True

    def look(self, page: SimulatedPage, now: float) -> None:
        """What `auto` makes of the visit, as the frontier does."""
        content_hash = f"{page.version(now)} {page.phase}".encode()
        response = Response(url=_CLAIM.url, status_code=200, started_at=now)
        before = page.previous
        news = before is not None and before.content_hash != content_hash
        found = plan(
            replace(_CLAIM, previous=before),
            response,
            UrlStatus.FETCHED,
            _PACE,
            news=news,
            prior=self._habits.prior_of(page.place),
            redesigned_at=self._habits.redesigned_at,
        )
        if self._alike and before is not None:
            known = self._habits.note(page.place, before, UrlStatus.FETCHED, now, news=content_hash if news else None)
            if known is not None:
                self._known[page.place] = known
        page.previous = PreviousVisit(
            status=UrlStatus.FETCHED, fetched_at=now, content_hash=content_hash, rate=found.rate
        )
        page.due_at = found.at


def visit(page: SimulatedPage, now: float, host: LearningHost | None) -> None:
    page.stale_s += stale_s(page.changes, page.fetched_at, now)
    page.requests += 1
    page.fetched_at = now
    if host is not None:
        host.look(page, now)


# --- sites ------------------------------------------------------------------------------------------------------------


def of_mix(mix: Mix) -> Site:
    """Pages that change by chance, each at its own rate."""

    def pages(seed: int, nights: int) -> list[SimulatedPage]:
        chance = random.Random(seed)
        return [
            SimulatedPage(changes=changes_at(days, chance, nights), phase=chance.random())
            for days in days_of(mix, seed)
        ]

    return pages


def by_folder(seed: int, nights: int) -> list[SimulatedPage]:
    """Five folders, from daily to never; each page changes within a factor of 1.5 as often as its folder's."""
    chance = random.Random(f"folders {seed}")
    pages = []
    for _ in range(PAGES):
        folder = chance.choice((1.0, 7.0, 30.0, 120.0, None))
        days = None if folder is None else folder * math.exp(chance.uniform(-math.log(1.5), math.log(1.5)))
        pages.append(SimulatedPage(changes_at(days, chance, nights), chance.random(), place=f"/{folder}/"))
    return pages


def weekdays(seed: int, nights: int) -> list[SimulatedPage]:
    """As measured, but nobody works on two days of seven."""
    pages = of_mix(tuple((share, _faster(days)) for share, days in MIXES["as measured"]))(seed, nights)
    for page in pages:
        page.changes = [at for at in page.changes if at // DAY_S % 7 < 5]
    return pages


def bursts(seed: int, nights: int) -> list[SimulatedPage]:
    """Each page is quiet for six weeks or so, then changes four times in three days."""
    chance = random.Random(f"bursts {seed}")
    pages = []
    for _ in range(PAGES):
        changes, at = list[float](), chance.expovariate(1 / 40) - 3
        while at < nights:
            changes += [(at + 3 * chance.random()) * DAY_S for _ in range(4)]
            at += 3 + chance.expovariate(1 / 40)
        pages.append(SimulatedPage(_within(changes, nights), chance.random()))
    return pages


def redesigned(seed: int, nights: int) -> list[SimulatedPage]:
    """Two thirds static, and everything changes at once, about in the tenth night and every 60 days from then on."""
    pages = of_mix(MIXES["two thirds static"])(seed, nights)
    first = random.Random(f"redesign {seed}").uniform(8, 12)
    for page in pages:
        page.changes = _within([*page.changes, *(at * DAY_S for at in _times(first, 60, nights))], nights)
    return pages


def growing(seed: int, nights: int) -> list[SimulatedPage]:
    """Half of the pages come by and by, and each changes ever more slowly."""
    chance = random.Random(f"growing {seed}")
    pages = []
    for number in range(PAGES):
        born = chance.uniform(0, nights) if number % 2 else -math.exp(chance.uniform(0, math.log(1000)))
        changes, age = list[float](), max(0.0, -born)
        while (age := (age + 1) * math.exp(chance.expovariate(1)) - 1) + born < nights:  # once a doubling, and more
            changes.append((born + age) * DAY_S)
        pages.append(SimulatedPage(changes, chance.random(), born_at=max(0.0, born * DAY_S)))
    return pages


def drifting(seed: int, nights: int) -> list[SimulatedPage]:
    """As measured, with other rates every 60 days."""
    pages = of_mix(MIXES["as measured"])(seed, nights)
    for part in range(1, -(-nights // 60)):
        for page, later in zip(pages, of_mix(MIXES["as measured"])(seed + 100 * part, nights), strict=True):
            page.changes = [at for at in page.changes if at < 60 * part * DAY_S]
            page.changes += [at for at in later.changes if at >= 60 * part * DAY_S]
    return pages


SITES: dict[str, Site] = {
    "by folder": by_folder,
    "weekdays": weekdays,
    "bursts": bursts,
    "redesign": redesigned,
    "growing": growing,
    "drift": drifting,
}
ALL: dict[str, Site] = {name: of_mix(mix) for name, mix in MIXES.items()} | SITES


def _faster(days: float | tuple[float, float] | None) -> float | None:
    assert not isinstance(days, tuple)
    return None if days is None else days * 5 / 7


def _within(changes: list[float], nights: int) -> list[float]:
    return sorted(at for at in changes if 0 <= at < nights * DAY_S)


def _times(first: float, step: float, nights: int) -> list[float]:
    return list(takewhile(lambda at: at < nights, (first + step * number for number in range(nights))))


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


def changes_at(days: float | None, chance: random.Random, nights: int = NIGHTS) -> list[float]:
    """When a page changes within the nights: a Poisson process."""
    changes: list[float] = []
    at = 0.0
    while days is not None and (at := at + chance.expovariate(1 / (days * DAY_S))) < nights * DAY_S:
        changes.append(at)
    return changes


def stale_s(changes: Sequence[float], fetched_at: float | None, now: float) -> float:
    """For how long what was fetched then has been out of date."""
    following = len(changes) if fetched_at is None else bisect_right(changes, fetched_at)
    return max(0.0, now - changes[following]) if following < len(changes) else 0.0


def best_possible(days: Sequence[float | None], share: float, nights: int = NIGHTS) -> float:
    """The freshness that so many of every night's requests could buy at most, by that of every night.

    For one who knows every page's rate from the first night on. n visits, evenly spaced over T, keep a page of rate r
    fresh for n / (T r) (1 - exp(-T r / n)) of the time, which is concave in n: giving each request to the page that
    gains most by it is optimal.
    """
    rates = [0.0 if every is None else nights / every for every in days]
    gains = [(_fresh(rate, 1) - _fresh(rate, 2), 1, rate) for rate in rates]
    heapify(gains)
    for _ in range(round(share * nights * len(days)) - len(days)):
        _gain, visits, rate = gains[0]
        gain = _fresh(rate, visits + 1) - _fresh(rate, visits + 2) if visits + 1 < nights else 0.0
        heapreplace(gains, (gain, visits + 1, rate))
    most = sum(_fresh(rate, nights) for rate in rates)
    return sum(_fresh(rate, min(visits, nights)) for _gain, visits, rate in gains) / most


def _fresh(changes: float, visits: int) -> float:
    return -math.expm1(-changes / visits) * visits / changes if changes else 1.0


def main() -> None:
    """Print the table: requests as a share of every night's, freshness by that of every night."""
    nights = int(next((given for given in sys.argv[1:] if given.isdigit()), NIGHTS))
    print("| mix | `auto` | each page alone | fixed interval | best possible, same requests | best possible, 40 % |")
    print("|---|---|---|---|---|---|")
    for name, site in ALL.items():
        figures = [_row(site, seed, nights) for seed in (1, 2, 3)]
        before, fresh_before, asked, fresh, fixed = (
            sum(column) / len(figures) for column in zip(*figures, strict=True)
        )
        possible = most = "-"
        if name in MIXES:
            known = [days_of(MIXES[name], seed) for seed in (1, 2, 3)]
            possible, most = (
                f"{sum(best_possible(days, share, nights) for days in known) / 3:.3f}" for share in (asked, 0.4)
            )
        single = f"{before:.0%}, {fresh_before:.3f}"
        print(f"| {name} | {asked:.0%}, {fresh:.3f} | {single} | {fixed:.3f} | {possible} | {most} |", flush=True)


def _row(site: Site, seed: int, nights: int) -> tuple[float, ...]:
    most, best = simulate(site, every_night, seed, nights)
    before, fresh_before = simulate(site, alone, seed, nights)
    asked, fresh = simulate(site, auto, seed, nights)
    _asked, fixed = simulate(site, as_many(asked / PAGES, nights), seed, nights)
    return before / most, fresh_before / best, asked / most, fresh / best, fixed / best


if __name__ == "__main__":
    main()
