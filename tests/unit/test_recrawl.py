"""When to look again: by known change rates in virtual time, and rule by rule."""

from __future__ import annotations

import math
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import RecrawlConfig
from crawler.fetching import any_type
from crawler.policy.rate import DAY_S, MAX_CHANGES, PRIOR, observe
from crawler.policy.recrawl import (
    BROKEN,
    REQUEST_PRICE_S,
    Pace,
    Rhythm,
    conditions,
    has_changed,
    interval_s_of,
    misdated,
    plan,
    retry_later_s,
    rhythm,
)
from crawler.records import ChangeRate, Claim, PreviousVisit, Response, Revisit, SeedMark, UrlKind, UrlStatus
from tests.unit.nights import MIXES, PAGES, TUNED, auto, best_possible, days_of, every, every_night, simulate

NOW = 1_700_000_000.0
URL = "http://a.test/x"
PACE = Pace(min_interval_s=3600, max_interval_s=60 * DAY_S)
RATE = ChangeRate(changes=2.0, watched_s=20 * DAY_S)


def a_claim(**fields: Any) -> Claim:
    usual: dict[str, Any] = {"url_id": 1, "url": URL, "host_id": 1, "host": "a.test", "origin": "http://a.test"}
    return Claim(**(usual | fields))


def known(**fields: Any) -> PreviousVisit:
    usual: dict[str, Any] = {
        "status": UrlStatus.FETCHED, "fetched_at": NOW - DAY_S, "content_hash": b"1", "has_body": True, "rate": RATE,
    }  # fmt: skip
    return PreviousVisit(**(usual | fields))


def answer(**fields: Any) -> Response:
    return Response(url=URL, started_at=NOW, **({"status_code": 200} | fields))


def planned(
    claim: Claim, status: UrlStatus = UrlStatus.FETCHED, content: bytes | None = b"1", pace: Pace = PACE, **fields: Any
) -> Revisit:
    news = claim.previous is not None and content not in (None, claim.previous.content_hash)
    return plan(claim, answer(**fields), status, pace, news=news)


# What the other mixes of nights.py allow, even with every rate known, is in crawler/manual/benchmarks.md.
REACHED = [*TUNED, "edu in 2000", "two thirds static", "documentation", "news and archive"]


@pytest.mark.parametrize("mix", [REACHED[0], *(pytest.param(mix, marks=pytest.mark.thorough) for mix in REACHED[1:])])
def test_auto_beside_every_night(mix: str) -> None:
    """Auto is nearly as fresh as a crawl of everything each night, for two fifths of the requests."""
    most, best = simulate(MIXES[mix], every_night)
    asked, freshness = simulate(MIXES[mix], auto)
    assert asked <= 0.4 * most
    assert freshness >= 0.95 * best
    fixed_asked, fixed_freshness = simulate(MIXES[mix], every(most / asked))
    assert fixed_asked >= asked
    assert freshness > fixed_freshness


@pytest.mark.thorough
@pytest.mark.parametrize("mix", ["the web in 2000", "com in 2000", "anything"])
def test_auto_beside_a_fixed_interval(mix: str) -> None:
    """Where much changes each day, auto is fresher than a fixed interval with as many requests."""
    most, _best = simulate(MIXES[mix], every_night)
    asked, freshness = simulate(MIXES[mix], auto)
    assert freshness > simulate(MIXES[mix], every(most / asked))[1] + 0.01


@pytest.mark.thorough
@pytest.mark.parametrize(("mix", "share"), [("as measured", 0.1), ("as measured", 0.2), ("the web in 2000", 0.2)])
def test_on_a_budget_auto_is_fresher_than_looking_at_the_longest_unseen_first(mix: str, share: float) -> None:
    """Over 90 nights, of which the first sees all: what pays is what has been learnt."""
    most = round(share * PAGES)
    asked, freshness = simulate(MIXES[mix], auto, nights=90, most=most)
    unseen_asked, unseen = simulate(MIXES[mix], every_night, nights=90, most=most)
    assert asked <= unseen_asked == PAGES + 89 * most
    assert freshness > unseen + 0.01


def test_no_policy_is_fresher_than_the_best_possible() -> None:
    """Chance lets single mixes of pages be a little fresher than on average."""
    mix = MIXES["as measured"]
    (asked, freshness), (most, best) = simulate(mix, auto), simulate(mix, every_night)
    possible = [best_possible(days_of(mix), share) for share in (asked / most, 0.4, 1.0)]
    assert freshness / best < possible[0] < possible[1] < possible[2] == pytest.approx(1.0)


def test_the_interval_is_the_one_that_is_worth_most() -> None:
    """Found by trying many: the share of the time in which a copy is fresh, less the price of its requests."""
    for days in (1.5, 7, 30, 365):
        per_s = 1 / (days * DAY_S)
        intervals = [60.0 * 1.002**step for step in range(8000)]
        best = max(intervals, key=lambda i: -math.expm1(-per_s * i) / (per_s * i) - REQUEST_PRICE_S / i)
        assert interval_s_of(ChangeRate(changes=1, watched_s=days * DAY_S)) == pytest.approx(best, rel=0.01)


def test_the_interval_of_what_hardly_ever_changes() -> None:
    for watched_s in (1e13, 1e15, 1e17):
        expected = math.sqrt(2 * REQUEST_PRICE_S * watched_s)
        assert interval_s_of(ChangeRate(changes=1, watched_s=watched_s)) == pytest.approx(expected, rel=1e-3)


@given(st.floats(1e-3, 1e3), st.floats(1, 1e9), st.floats(1, 1e9))
def test_what_changes_more_often_is_looked_at_no_less_often(changes: float, slow: float, fast: float) -> None:
    slow, fast = max(slow, fast), min(slow, fast)
    slower, faster = (interval_s_of(ChangeRate(changes=changes, watched_s=time)) for time in (slow, fast))
    assert faster <= slower * 1.0001


@given(
    st.lists(st.tuples(st.floats(0, 1e8), st.booleans(), st.none() | st.floats(0, 1e8)), max_size=40),
)
def test_a_rate_stays_a_rate_whatever_is_seen(looks: list[tuple[float, bool, float | None]]) -> None:
    rate = PRIOR
    for elapsed_s, changed, ago_s in looks:
        before = rate.changes / rate.watched_s
        rate = observe(rate, elapsed_s, changed=changed, changed_ago_s=ago_s)
        assert 0 < rate.changes <= MAX_CHANGES * 1.0001
        assert 0 < rate.watched_s < math.inf
        if not changed:
            assert rate.changes / rate.watched_s <= before


def test_old_changes_fade() -> None:
    rate = RATE
    for _ in range(20):
        rate = observe(rate, DAY_S, changed=True, changed_ago_s=3600.0)
    assert rate.changes == pytest.approx(MAX_CHANGES)


def test_an_unknown_moment_is_weighed_as_bayes_would() -> None:
    """The mean and the variance of the exact posterior, by summing over rates."""
    rate, elapsed_s = ChangeRate(changes=0.7, watched_s=5 * DAY_S), 3 * DAY_S
    rates = [1e-9 * 1.003**step for step in range(5200)]
    weights = [
        r**rate.changes * math.exp(-r * rate.watched_s) * -math.expm1(-r * elapsed_s) for r in rates
    ]  # on a logarithmic grid, one power more
    whole = sum(weights)
    mean = sum(w * r for w, r in zip(weights, rates, strict=True)) / whole
    variance = sum(w * (r - mean) ** 2 for w, r in zip(weights, rates, strict=True)) / whole
    found = observe(rate, elapsed_s, changed=True)
    assert found.changes / found.watched_s == pytest.approx(mean, rel=1e-3)
    assert found.changes / found.watched_s**2 == pytest.approx(variance, rel=1e-3)


def test_first_interval_grows_with_the_age_of_a_page() -> None:
    """A page that has not been modified for long is looked at later than one just written."""
    dates: dict[str, Any] = {"date": formatdate(NOW, usegmt=True)}
    old = planned(a_claim(), last_modified=formatdate(NOW - 300 * DAY_S, usegmt=True), **dates)
    new = planned(a_claim(), last_modified=formatdate(NOW - 3600, usegmt=True), **dates)
    assert new.at < planned(a_claim()).at < old.at


def test_the_first_rate_believes_half_of_the_date() -> None:
    dates: dict[str, Any] = {"date": formatdate(NOW, usegmt=True)}
    found = planned(a_claim(), last_modified=formatdate(NOW - 10 * DAY_S, usegmt=True), **dates)
    assert found.rate == ChangeRate(changes=PRIOR.changes + 0.5, watched_s=PRIOR.watched_s + 5 * DAY_S)


@pytest.mark.parametrize("previous", [None, known(rate=None), known(rate=None, content_hash=b"0")])
def test_without_a_date_and_a_rate_the_prior_holds(previous: PreviousVisit | None) -> None:
    assert planned(a_claim(previous=previous)).rate == PRIOR


def test_no_change_adds_the_time_watched() -> None:
    assert planned(a_claim(previous=known())).rate == ChangeRate(changes=2.0, watched_s=21 * DAY_S)


@pytest.mark.parametrize(
    ("before", "status", "content_hash", "changed"),
    [
        (UrlStatus.FETCHED, UrlStatus.FETCHED, b"1", False),
        (UrlStatus.FETCHED, UrlStatus.FETCHED, b"2", True),
        (UrlStatus.FETCHED, UrlStatus.FETCHED, None, False),  # 304
        (UrlStatus.FETCHED, UrlStatus.GONE, None, True),
        (UrlStatus.GONE, UrlStatus.GONE, None, False),
        (UrlStatus.GONE, UrlStatus.FETCHED, b"1", True),
        (UrlStatus.PENDING, UrlStatus.FETCHED, b"1", False),
        (UrlStatus.PENDING, UrlStatus.GONE, None, False),
    ],
)
def test_what_counts_as_a_change(
    before: UrlStatus, status: UrlStatus, content_hash: bytes | None, changed: bool
) -> None:
    assert has_changed(known(status=before), status, news=content_hash not in (None, b"1")) is changed


def test_a_known_moment_counts_the_quiet_time_since() -> None:
    claim = a_claim(previous=known())
    modified = formatdate(NOW - 7200, usegmt=True)
    found = planned(claim, content=b"2", last_modified=modified, date=formatdate(NOW, usegmt=True))
    assert found.rate == ChangeRate(changes=3.0, watched_s=20 * DAY_S + 7200)


@pytest.mark.parametrize("ago_s", [2 * DAY_S, 0.0, -DAY_S])
def test_a_date_that_the_visits_contradict_counts_for_nothing(ago_s: float) -> None:
    claim = a_claim(previous=known())
    dates: dict[str, Any] = {
        "date": formatdate(NOW, usegmt=True),
        "last_modified": formatdate(NOW - ago_s, usegmt=True),
    }
    assert planned(claim, content=b"2", **dates).rate == planned(claim, content=b"2").rate


@pytest.mark.parametrize(
    ("claim", "most_s"),
    [
        (a_claim(seed=SeedMark.YES), DAY_S),
        (a_claim(kind=UrlKind.SITEMAP), DAY_S),
        (a_claim(previous=known(new_links=1.0)), DAY_S),
        (a_claim(previous=known(rate=ChangeRate(changes=0.1, watched_s=900 * DAY_S))), 60 * DAY_S),
    ],
)
def test_longest_intervals(claim: Claim, most_s: float) -> None:
    """What leads to new pages is looked at each day, and everything at last."""
    assert planned(claim, content=None, status_code=304).at <= NOW + most_s


def test_bounds_of_an_interval() -> None:
    """The bounds hold, and a page that is due each day is due before the day is over."""
    fast = a_claim(previous=known(rate=ChangeRate(changes=8, watched_s=DAY_S)))
    slow = a_claim(previous=known(rate=ChangeRate(changes=0.1, watched_s=900 * DAY_S)))
    daily = Pace(min_interval_s=DAY_S, max_interval_s=DAY_S)
    assert NOW + 0.5 * DAY_S < planned(fast, pace=daily).at == planned(slow, pace=daily).at < NOW + DAY_S
    hourly = Pace(min_interval_s=DAY_S, max_interval_s=DAY_S, cadence_s=3600)
    assert planned(fast, pace=hourly).at == NOW + DAY_S - 1800


def test_what_is_gone_is_looked_at_ever_more_rarely() -> None:
    assert planned(a_claim(previous=known()), UrlStatus.GONE, None, status_code=404).at < NOW + DAY_S
    pauses = []
    for days in (1, 4, 16, 64):
        gone = a_claim(previous=known(status=UrlStatus.GONE, fetched_at=NOW - days * DAY_S), seed=SeedMark.YES)
        pauses.append(planned(gone, UrlStatus.GONE, None, status_code=404).at - NOW)
    assert pauses == sorted(set(pauses))
    assert 59 * DAY_S < pauses[-1] <= 60 * DAY_S
    assert [pause / DAY_S for pause in pauses] == [1.5, 7.5, 31.5, 59.5]
    assert planned(a_claim(), UrlStatus.GONE, None, status_code=404).at == NOW + 0.5 * DAY_S


def test_a_promise_is_believed_for_a_while_until_it_is_broken() -> None:
    plain, promised = (planned(a_claim(previous=known()), max_age_s=age) for age in (None, 300 * DAY_S))
    assert plain.at + DAY_S < promised.at < NOW + 60 * DAY_S
    kept = planned(a_claim(previous=known(promise_s=3600.0)), content=b"2", max_age_s=3600.0)
    assert kept.promise_s == 3600.0
    broken = planned(a_claim(previous=known(promise_s=300 * DAY_S)), content=b"2", max_age_s=300 * DAY_S)
    assert broken.promise_s == BROKEN
    again = planned(a_claim(previous=known(promise_s=BROKEN)), max_age_s=300 * DAY_S)
    assert (again.promise_s, again.at) == (BROKEN, plain.at)


def test_a_promise_lengthens_an_interval_by_four_at_the_most() -> None:
    def interval_s(promise_s: float | None) -> float:
        wide = Pace(min_interval_s=3600, max_interval_s=10_000 * DAY_S)
        return planned(a_claim(previous=known()), pace=wide, max_age_s=promise_s).at - NOW + DAY_S / 2

    plain_s = interval_s(None)
    for promise_s, expected_s in ((plain_s / 2, plain_s), (2 * plain_s, 2 * plain_s), (9 * plain_s, 4 * plain_s)):
        assert interval_s(promise_s) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("content", "modified_ago_s", "promise_s"),
    [
        (b"2", 18 * 3600, BROKEN),  # changed while the promise of twelve hours held, though seen later
        (b"2", 6 * 3600, 3600.0),
        (b"1", 18 * 3600, 3600.0),
    ],
)
def test_a_promise_is_broken_by_a_change_while_it_holds(
    content: bytes, modified_ago_s: float, promise_s: float
) -> None:
    claim = a_claim(previous=known(promise_s=DAY_S / 2))
    modified = formatdate(NOW - modified_ago_s, usegmt=True)
    assert planned(claim, content=content, last_modified=modified, max_age_s=3600.0).promise_s == promise_s
    unchanged = a_claim(previous=known(promise_s=3 * DAY_S))
    assert planned(unchanged, max_age_s=3600.0).promise_s == 3600.0


def test_a_failing_page_is_tried_again_in_a_day_two_four() -> None:
    assert [retry_later_s(attempts, 2, PACE) / DAY_S for attempts in (1, 3, 4, 5, 99)] == [0.5, 0.5, 1.5, 3.5, 59.5]


# --- how to ask -------------------------------------------------------------------------------------------------

BOTH = {"etag": 'W/"1"', "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


def test_both_validators_are_sent_as_they_came() -> None:
    assert conditions(a_claim(previous=known(**BOTH)), keep_bodies=True, readable=any_type) == {
        "If-None-Match": 'W/"1"',
        "If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT",
    }


@pytest.mark.parametrize(
    "previous",
    [
        None,
        known(),
        known(**BOTH, content_hash=None),
        known(**BOTH, truncated=True),
        known(**BOTH, has_body=False),
        known(etag='"ä"'),
        known(etag='"\x7f"'),
        known(etag="*"),
        known(etag=" *"),
        known(last_modified="ä"),
        known(etag='"' + "x" * 2000 + '"'),
    ],
)
def test_nothing_is_asked_conditionally_that_is_not_stored_whole(previous: PreviousVisit | None) -> None:
    assert conditions(a_claim(previous=previous), keep_bodies=True, readable=any_type) == {}


def test_conditions_without_a_stored_body() -> None:
    """A missing body matters only where bodies are kept; a sitemap has none."""
    assert conditions(a_claim(previous=known(**BOTH, has_body=False)), keep_bodies=False, readable=any_type)
    sitemap = a_claim(previous=known(**BOTH, content_hash=None, has_body=False), kind=UrlKind.SITEMAP)
    assert conditions(sitemap, keep_bodies=True, readable=any_type)


@pytest.mark.parametrize(
    ("age_s", "misleads"), [(0, True), (1, True), (-60, True), (2, False), (3, False), (1e6, False)]
)
@pytest.mark.parametrize("dated", [True, False])
def test_misdated_answers(age_s: float, misleads: bool, dated: bool) -> None:
    """A Last-Modified from the moment of the answer is not asked with."""
    date = formatdate(NOW, usegmt=True) if dated else None
    assert misdated(answer(last_modified=formatdate(NOW - age_s, usegmt=True), date=date)) == misleads


def test_a_change_that_was_announced_says_nothing_of_those_that_are_not() -> None:
    announced = a_claim(previous=known(hinted=True))
    assert planned(announced, content=b"2").rate == RATE
    assert planned(a_claim(previous=known()), content=b"2").rate != RATE


def test_a_false_announcement_is_a_quiet_look_like_any_other() -> None:
    quiet = planned(a_claim(previous=known()))
    assert planned(a_claim(previous=known(hinted=True))).rate == quiet.rate


def test_a_date_that_is_none_misleads() -> None:
    assert misdated(answer(last_modified="yesterday"))
    assert not misdated(answer())
    assert not misdated(answer(status_code=304, last_modified=formatdate(NOW, usegmt=True)))


# --- what a run fetches again -----------------------------------------------------------------------------------


def run_rhythm(max_age_s: Any, *, started_ago_s: float = 0.0, before: float | None = None) -> Rhythm:
    config = RecrawlConfig(max_age_s=max_age_s)
    return rhythm(config, started_at=NOW - started_ago_s, before=before, now=NOW)


def test_without_an_age_nothing_is_fetched_again() -> None:
    assert run_rhythm(None).horizon is None


@pytest.mark.parametrize(
    ("age_s", "started_ago_s", "fetched_before"),
    [
        (0.0, 0.0, NOW),
        (3600.0, 0.0, NOW - 3600),
        (0.0, 600.0, NOW - 600),  # it was killed: what it has fetched since is not older than its start
        (3600.0, 600.0, NOW - 3600),
        (0.0, 7 * DAY_S, NOW),
    ],
)
def test_age_never_passes_the_start_of_the_run(age_s: float, started_ago_s: float, fetched_before: float) -> None:
    horizon = run_rhythm(age_s, started_ago_s=started_ago_s).horizon
    assert horizon is not None
    assert (horizon.fetched_before, horizon.revisit_before) == (fetched_before, None)


def test_auto_goes_by_its_plans_and_by_the_longest_interval() -> None:
    horizon = run_rhythm("auto", started_ago_s=600.0).horizon
    assert horizon is not None
    assert (horizon.revisit_before, horizon.fetched_before) == (NOW - 600, NOW - 60 * DAY_S)


@pytest.mark.parametrize(("before", "cadence_s"), [(None, DAY_S), (NOW - 3600, 3600), (NOW - 7 * DAY_S, DAY_S)])
def test_the_pace_is_that_of_the_runs(before: float | None, cadence_s: float) -> None:
    assert replace(PACE, cadence_s=cadence_s) == run_rhythm(None, before=before).pace


@pytest.mark.parametrize(
    ("age_s", "retry_s"),
    [(None, DAY_S), ("auto", DAY_S), (0.0, DAY_S), (6 * 3600.0, 6 * 3600.0), (7 * DAY_S, DAY_S)],
)
def test_a_failure_is_tried_again_in_a_day_or_with_the_pages(age_s: Any, retry_s: float) -> None:
    assert run_rhythm(age_s).pace.retry_s == retry_s
