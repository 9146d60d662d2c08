"""How long hosts take, and how fresh a budget keeps pages: rule by rule, and against simulated nights."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.policy.forecast import Habit, HostWork, forecast, freshness, visits_asked
from crawler.policy.rate import DAY_S, unchanged, unchanged_share
from crawler.records import ChangeRate
from tests.unit.nights import ALL, LearningHost, auto, stale_s, visit

WORKS = st.builds(
    HostWork,
    requests=st.integers(0, 2000),
    wait_s=st.sampled_from([0.0, 50.0]),
    base_s=st.sampled_from([0.0, 1.0, 7.5]),
    pace_s=st.sampled_from([None, None, 20.0]),
    per_host=st.integers(1, 4),
    answer_s=st.sampled_from([0.0, 0.1, 3.0, 9.0]),
)


@pytest.mark.parametrize(
    ("work", "time_s"),
    [
        (HostWork(requests=0, wait_s=9), 0.0),
        (HostWork(requests=1, base_s=5, answer_s=0.5), 0.5),
        (HostWork(requests=11, base_s=5, answer_s=0.5), 50.5),
        (HostWork(requests=11, base_s=5, answer_s=0.5, wait_s=60), 110.5),
        (HostWork(requests=11, base_s=1, answer_s=4, per_host=2), 24.0),  # two slots are shorter than the delay
        (HostWork(requests=11, base_s=1, answer_s=6, per_host=2), 66.0),  # who is slow has one slot
        (HostWork(requests=3, base_s=1, pace_s=10), 19.5),  # 10, then 9.5: it falls back by a twentieth
    ],
)
def test_how_long_a_host_takes(work: HostWork, time_s: float) -> None:
    assert work.time_s() == pytest.approx(time_s)


@given(WORKS, st.integers(1, 2000))
def test_what_is_sent_within_the_time_of_so_many_is_so_many(work: HostWork, count: int) -> None:
    count = min(count, work.requests)
    started_s = work.time_s(count) - (work.answer_s if count else 0)
    sent = work.sent_within(started_s + 1e-6)
    if work.step_s > 0 or not work.requests:
        assert sent in (count, min(count + 1, work.requests)) or not count
    assert sent <= work.requests


@given(st.lists(WORKS, min_size=1, max_size=5), st.integers(1, 16), st.integers(1, 500))
def test_limits_end_a_run_early_and_never_late(hosts: list[HostWork], concurrency: int, most: int) -> None:
    whole = forecast(hosts, concurrency)
    budget = forecast(hosts, concurrency, max_requests=most)
    assert budget.requests == min(most, whole.requests)
    assert budget.time_s <= whole.time_s * 1.000001
    short = forecast(hosts, concurrency, max_runtime_s=max(0.1, whole.time_s / 2))
    assert short.requests <= whole.requests
    assert short.time_s <= max(0.1, whole.time_s / 2)


@given(st.floats(0.02, 8), st.floats(60, 3e7), st.floats(60, 3e7))
def test_the_share_of_the_time_is_the_mean_of_the_probability(a: float, b: float, interval_s: float) -> None:
    rate = ChangeRate(changes=a, watched_s=b)
    steps = 2000
    mean = sum(unchanged(rate, interval_s * (step + 0.5) / steps) for step in range(steps)) / steps
    assert unchanged_share(rate, interval_s) == pytest.approx(mean, rel=0.02, abs=1e-3)


def test_more_requests_keep_pages_fresher_up_to_what_is_asked_for() -> None:
    habits = [Habit(50, ChangeRate(changes=2.0, watched_s=days * DAY_S), days * DAY_S / 3) for days in (3, 9, 60)]
    asked = visits_asked(habits, DAY_S)
    values = [freshness(habits, DAY_S, visits) for visits in (1, 5, 20, asked, 10 * asked)]
    assert values[:4] == sorted(values[:4])
    assert values[3] == pytest.approx(values[4])
    assert all(0 < value < 1 for value in values)
    assert freshness([], DAY_S, 5) == 0


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["as measured", "the web in 2000", "documentation"])
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_freshness_of_a_budget_comes_true(name: str, share: float) -> None:
    """By what 30 nights have taught, of the 60 that follow, with so many requests a night."""
    learning, nights, chance = 30, 90, random.Random(1)
    pages, host = ALL[name](1, nights), LearningHost(alike=True)
    most, foretold = math.floor(share * len(pages)), 0.0
    for night in range(nights):
        chosen = [page for page in pages if auto(page, night)]
        if night >= learning:
            chosen = sorted(chosen, key=lambda page: page.due_at)[:most]
        if night == learning:
            habits = [
                Habit(1, page.previous.rate, page.due_at - page.previous.fetched_at + DAY_S / 2)
                for page in pages
                if page.previous is not None and page.previous.rate is not None
            ]
            foretold = freshness(habits, DAY_S, most)
            for page in pages:
                page.stale_s = 0.0
        host.begin_run()
        for page in chosen:
            visit(page, night * DAY_S + 3600 * chance.random(), host)
    end = nights * DAY_S
    stale = sum(page.stale_s + stale_s(page.changes, page.fetched_at, end) for page in pages)
    found = 1 - stale / (len(pages) * (nights - learning) * DAY_S)
    print(f"{name}, {share:.0%}: foretold {foretold:.3f}, found {found:.3f}")
    assert foretold == pytest.approx(found, abs=0.04)
