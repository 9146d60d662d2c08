"""What a run will ask for and how long politeness makes it take, and how fresh so many requests a night keep a copy.

Time: within a host, requests start at least its delay apart, and no more than its slots are under way; hosts go on side
by side, as far as there are workers. A host that was slowed falls back as `pace` says. Responses take as long as the
latest did.

Freshness: the probability that a page has not changed since its visit, averaged over its interval and over what is not
known of its rate. A run whose budget is too small visits the longest due first, so each page is late by about the same
time L: its interval is what was planned plus L, where L is such that the visits fit the budget.

Pure. Durations are seconds. Nothing that a run may find is foreseen: new pages, pages that move, servers that refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, takewhile

from crawler.policy.pace import SLOW_AFTER_S, HostPace, after_success, slots
from crawler.policy.rate import unchanged_share
from crawler.records import ChangeRate
from crawler.statically_frozen import dataclass

_SLOWED_STEPS = 512  # requests after which any host is back at its base
_BISECTIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWork:
    """What one host has to be asked for, and how it may be asked.

    `requests` are to be sent, from `wait_s` on. `base_s` is the delay between two, `pace_s` one to which the host was
    slowed; `answer_s` is how long a response takes.
    """

    requests: int
    wait_s: float = 0.0
    base_s: float = 0.0
    pace_s: float | None = None
    per_host: int = 1
    answer_s: float = 0.0

    @property
    def step_s(self) -> float:
        """Between the starts of two requests, once the host is not slowed any more."""
        quick = self.answer_s <= SLOW_AFTER_S
        return max(self.base_s, self.answer_s / slots(quick=quick, per_host=self.per_host))

    def time_s(self, requests: int | None = None) -> float:
        """Until so many have been answered; None: all of them."""
        count = self.requests if requests is None else min(requests, self.requests)
        if count <= 0:
            return 0.0
        slowed = self._slowed()[: count - 1]
        return self.wait_s + sum(slowed) + (count - 1 - len(slowed)) * self.step_s + self.answer_s

    def sent_within(self, seconds: float) -> int:
        """How many requests start in this time."""
        left_s = seconds - self.wait_s
        if left_s < 0 or not self.requests:
            return 0
        starts = list(takewhile(lambda at: at <= left_s, accumulate(self._slowed())))
        sent = 1 + len(starts)
        if len(starts) == len(self._slowed()):
            left_s -= starts[-1] if starts else 0.0
            sent = self.requests if self.step_s == 0 else sent + int(left_s / self.step_s + 1e-9)
        return min(sent, self.requests)

    def _slowed(self) -> list[float]:
        """The delays between the first requests, where they are longer than the rest."""
        pace, delays = HostPace(delay_s=self.pace_s or 0.0), list[float]()
        while pace.delay_s > self.step_s and len(delays) < min(_SLOWED_STEPS, self.requests):
            delays.append(pace.delay_s)
            pace = after_success(pace, self.base_s, None)
        return delays


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForecast:
    """A run to come: so many requests in so many seconds."""

    requests: int
    time_s: float


def forecast(
    hosts: Sequence[HostWork], concurrency: int, *, max_requests: int | None = None, max_runtime_s: float | None = None
) -> RunForecast:
    """The run, which ends once all is done, or where a limit is reached."""
    whole = sum(host.requests for host in hosts)
    busy_s = sum(host.requests * host.answer_s for host in hosts) / concurrency
    time_s = max([busy_s, *(host.time_s() for host in hosts)])
    if max_requests is not None and max_requests < whole:
        time_s = _until(lambda seconds: _sent(hosts, concurrency, seconds) >= max_requests, time_s)
        whole = max_requests
    if max_runtime_s is not None and max_runtime_s < time_s:
        return RunForecast(requests=min(whole, _sent(hosts, concurrency, max_runtime_s)), time_s=max_runtime_s)
    return RunForecast(requests=whole, time_s=time_s)


@dataclass(frozen=True, slots=True)
class Habit:
    """So many pages of which the same is known, planned at one interval."""

    pages: int
    rate: ChangeRate
    interval_s: float


def visits_asked(habits: Iterable[Habit], cadence_s: float) -> float:
    """The visits that are planned for each run, runs being `cadence_s` apart."""
    return sum(one.pages * cadence_s / max(one.interval_s, cadence_s) for one in habits)


def freshness(habits: Sequence[Habit], cadence_s: float, visits: float) -> float:
    """The mean share of the time in which copies are what is there, where each run makes so many visits at most."""
    pages = sum(one.pages for one in habits)
    if not pages or visits <= 0:
        return 0.0
    late_s = _lateness(habits, cadence_s, visits)
    fresh = (one.pages * unchanged_share(one.rate, max(one.interval_s, cadence_s) + late_s) for one in habits)
    return sum(fresh) / pages


def _lateness(habits: Sequence[Habit], cadence_s: float, visits: float) -> float:
    """By how much every page is late."""

    def fits(late_s: float) -> bool:
        return sum(one.pages * cadence_s / (max(one.interval_s, cadence_s) + late_s) for one in habits) <= visits

    pages = sum(one.pages for one in habits)
    return 0.0 if fits(0.0) else _until(fits, pages * cadence_s / visits)


def _sent(hosts: Sequence[HostWork], concurrency: int, seconds: float) -> int:
    """By all hosts, in this time."""
    sent = [host.sent_within(seconds) for host in hosts]
    busy_s = sum(number * host.answer_s for number, host in zip(sent, hosts, strict=True)) / concurrency
    return int(sum(sent) * min(1.0, seconds / busy_s) if busy_s > 0 else sum(sent))


def _until(holds: Callable[[float], bool], most: float) -> float:
    """The least value at which it holds, which it does at `most`."""
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
