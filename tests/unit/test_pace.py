"""Adaptive pacing: never quicker than the base, slowed by refusals and rising latency, sped up by successes alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.policy.pace import (
    AT_REST,
    FLOOR_S,
    MAX_S,
    SLOW_AFTER_S,
    HostPace,
    after_refusal,
    after_success,
    slots,
)


def refused(times: int, base_s: float) -> HostPace:
    pace = AT_REST
    for _ in range(times):
        pace = after_refusal(pace, base_s)
    return pace


def answered(pace: HostPace, base_s: float, *latencies_s: float | None) -> HostPace:
    for latency_s in latencies_s:
        pace = after_success(pace, base_s, latency_s)
    return pace


def test_a_refusal_doubles_the_delay() -> None:
    assert after_refusal(AT_REST, 1.0).delay_s == 2.0
    assert after_refusal(HostPace(delay_s=3.0), 1.0).delay_s == 6.0


def test_without_a_delay_it_begins_at_the_floor() -> None:
    assert after_refusal(AT_REST, 0.0).delay_s == FLOOR_S
    assert refused(2, 0.0).delay_s == 2 * FLOOR_S


def test_no_host_is_slowed_beyond_a_minute_or_below_its_base() -> None:
    assert refused(20, 1.0).delay_s == MAX_S
    assert after_refusal(AT_REST, 300.0).delay_s == 300.0


def test_successes_bring_it_back_slowly() -> None:
    pace, count = after_refusal(AT_REST, 1.0), 0
    while pace.delay_s:
        before, pace, count = pace.delay_s, after_success(pace, 1.0, None), count + 1
        assert pace.delay_s in (0.0, pytest.approx(before * 0.95))
    assert count == 14


def test_a_latency_that_has_risen_slows_to_one_request_at_a_time_and_no_further() -> None:
    pace = answered(AT_REST, 1.0, *[0.2] * 20)
    assert pace.delay_s == 0.0
    slower = answered(pace, 1.0, *[4.0] * 20)
    assert 3.0 < slower.delay_s <= 4.0


def test_a_latency_that_falls_again_brings_the_pace_back() -> None:
    slower = answered(AT_REST, 1.0, *[0.2] * 20, *[4.0] * 10)
    assert slower.delay_s > 2.0
    assert answered(slower, 1.0, *[0.2] * 40).delay_s == 0.0


@pytest.mark.parametrize("latency_s", [0.1, 3.0, 20.0])
def test_a_host_that_always_takes_so_long_is_not_slowed_for_it(latency_s: float) -> None:
    assert answered(AT_REST, 1.0, *[latency_s] * 50).delay_s == 0.0


def test_latency_that_stays_below_the_delay_slows_nobody() -> None:
    assert answered(AT_REST, 1.0, *[0.1] * 20, *[0.9] * 20).delay_s == 0.0


def test_without_a_delay_only_refusals_slow() -> None:
    assert answered(AT_REST, 0.0, *[0.2] * 20, *[4.0] * 20) == AT_REST


def test_a_host_that_has_not_proven_quick_gets_one_request_at_a_time() -> None:
    assert slots(quick=True, per_host=4) == 4
    assert slots(quick=False, per_host=4) == 1


_STEPS = st.lists(st.none() | st.floats(0, 100), max_size=60)  # a refusal, or a success that took so long


@given(_STEPS, st.sampled_from([0.0, 0.1, 1.0, 60.0, 90.0]))
def test_whatever_comes_it_is_never_quicker_than_the_base_and_a_success_slows_to_no_more_than_its_latency(
    steps: list[float | None], base_s: float
) -> None:
    pace, longest_s = AT_REST, 0.0
    for latency_s in steps:
        before = pace
        pace = after_refusal(pace, base_s) if latency_s is None else after_success(pace, base_s, latency_s)
        longest_s = max(longest_s, latency_s or 0.0)
        assert pace.delay_s == 0.0 or base_s <= pace.delay_s <= max(MAX_S, base_s)
        if latency_s is not None:
            assert pace.delay_s <= max(before.delay_s, longest_s)


def test_the_figures_are_those_that_the_manual_states() -> None:
    assert (FLOOR_S, MAX_S, SLOW_AFTER_S) == (0.25, 60.0, 5.0)


def test_one_slow_answer_counts_by_a_quarter_and_moves_the_delay_half_of_the_way() -> None:
    slower = answered(AT_REST, 1.0, *[0.2] * 20, 8.2)
    assert slower.latency_s == pytest.approx(0.2 + 8.0 / 4)
    assert slower.usual_s == pytest.approx(0.2 + 8.0 / 64)
    assert slower.delay_s == pytest.approx((1.0 + 2.2) / 2)


def test_what_lasts_for_some_hundred_pages_is_usual_by_then() -> None:
    slower = answered(AT_REST, 1.0, *[0.2] * 20, *[4.0] * 20)
    assert slower.delay_s > 3.0
    assert answered(slower, 1.0, *[4.0] * 400).delay_s == 0.0


def test_what_falls_is_usual_soon() -> None:
    quicker = answered(AT_REST, 1.0, *[4.0] * 20, *[0.2] * 20)
    assert quicker.usual_s == pytest.approx(0.2, abs=0.05)
    assert answered(quicker, 1.0, *[4.0] * 5).delay_s > 1.5


@pytest.mark.parametrize(("usual_s", "risen_s"), [(1.0, 1.9), (0.1, 0.34)], ids=["less than twice", "by chance"])
def test_a_latency_that_has_risen_little_slows_nobody(usual_s: float, risen_s: float) -> None:
    assert answered(AT_REST, 0.05, *[usual_s] * 50, *[risen_s] * 9).delay_s == 0.0


def test_while_latency_stays_risen_successes_do_not_speed_up_beyond_it() -> None:
    pace = HostPace(delay_s=10.0, latency_s=4.0, usual_s=0.2)
    for _ in range(20):
        pace = after_success(pace, 1.0, 4.0)
        assert pace.delay_s >= 4.0


def test_without_a_base_the_delay_ends_at_half_of_the_floor() -> None:
    pace, delays = after_refusal(AT_REST, 0.0), []
    while pace.delay_s:
        delays.append(pace.delay_s)
        pace = after_success(pace, 0.0, None)
    assert min(delays) > FLOOR_S / 2 >= 0.95 * min(delays)


def test_no_latency_slows_beyond_a_minute() -> None:
    assert answered(AT_REST, 1.0, *[0.2] * 20, *[300.0] * 30).delay_s <= MAX_S
