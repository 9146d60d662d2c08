"""Places whose pages change alike, and the alarm of a redesign: rule by rule, and by known change rates."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.policy.habits import Habits
from crawler.policy.likeness import CANDIDATES, MAX_PLACES, Looks, Places, known_looks
from crawler.policy.rate import DAY_S, PRIOR, changes_per_s, observe
from crawler.policy.redesign import AGAIN_AFTER_S
from crawler.policy.repetition import ELSEWHERE
from crawler.records import ChangeRate, PreviousVisit, UrlStatus
from tests.unit.nights import ALL, alone, as_many, auto, every_night, simulate

NOW = 1_700_000_000.0
WEEKLY = ChangeRate(changes=4.0, watched_s=28 * DAY_S)
RATES = st.builds(ChangeRate, changes=st.floats(0.01, 8), watched_s=st.floats(60, 3e8))
LOOKS = st.tuples(RATES, st.floats(1, 3650 * DAY_S), st.booleans())


def looked_at(rate: ChangeRate = PRIOR, **fields: Any) -> PreviousVisit:
    usual: dict[str, Any] = {"status": UrlStatus.FETCHED, "fetched_at": NOW - DAY_S, "rate": rate}
    return PreviousVisit(**(usual | fields))


# --- places -----------------------------------------------------------------------------------------------------------


@given(st.lists(LOOKS, min_size=1, max_size=30), st.randoms())
def test_looks_add_up_in_any_order(looks: list[tuple[ChangeRate, float, bool]], chance: Random) -> None:
    found = []
    for _ in range(2):
        place = Looks()
        for rate, elapsed_s, changed in looks:
            place.note(rate, elapsed_s, changed=changed)
        assert all(math.isfinite(score) and score < 1e-6 for score in place.scores)
        found.append(place.scores)
        chance.shuffle(looks)
    assert found[0] == pytest.approx(found[1])


@given(RATES, st.sampled_from(CANDIDATES))
def test_a_rate_with_a_prior_lies_between_what_both_say(rate: ChangeRate, prior: ChangeRate) -> None:
    alone = rate.changes / rate.watched_s
    found = changes_per_s(rate, prior)
    assert math.isfinite(found)
    assert found > 0
    if prior is PRIOR:
        assert found == alone


def test_a_page_that_is_not_like_the_others_leaves() -> None:
    """Of a place where all change monthly, one that had changed at each of 8 daily looks."""
    monthly = ChangeRate(changes=4.0, watched_s=4 * 24 * DAY_S)
    rate = PRIOR
    for _ in range(8):
        rate = observe(rate, DAY_S, changed=True)
    assert changes_per_s(rate, monthly) >= 0.5 * rate.changes / rate.watched_s
    assert changes_per_s(PRIOR, monthly) < 1.5 / (24 * DAY_S)  # one of which nothing is known is believed to be alike


def test_what_nobody_has_seen_has_the_general_prior() -> None:
    places = Places({})
    assert places.prior_of("/blog/") is PRIOR


def alike(pages: int, days: float) -> Looks:
    """Pages that change every so many days, each looked at daily for four weeks."""
    looks = Looks()
    for page in range(pages):
        rate = PRIOR
        for day in range(28):
            changed = (day + page) % days < 1
            looks.note(rate, DAY_S, changed=changed)
            rate = observe(rate, DAY_S, changed=changed)
    return looks


def test_pages_that_change_alike_give_their_place_a_prior_of_its_own() -> None:
    places = Places({"/news/": alike(20, 3.0), "/about/": alike(20, 28.0)})
    news, about = places.prior_of("/news/"), places.prior_of("/about/")
    assert news.changes > 1
    assert about.changes > 1
    assert news.watched_s / news.changes < 6 * DAY_S
    assert about.watched_s / about.changes > 15 * DAY_S
    assert places.prior_of("/unseen/") is PRIOR  # as the host as a whole is not alike


def with_score(best: ChangeRate, score: float, looks: float) -> Looks:
    """Looks of which one candidate has foretold so much more than any other."""
    return Looks([score if one is best else 0.0 for one in CANDIDATES], looks)


def test_a_host_tells_as_much_as_twenty_looks() -> None:
    best = CANDIDATES[-1]
    of_itself = {"/new/": with_score(best, 4.0, 10)}  # less than the general prior's head start
    assert Places(of_itself).prior_of("/new/") is best  # 4, and 4 of the host
    assert Places(of_itself).prior_of("/unseen/") is PRIOR
    others = {f"/{number}/": with_score(best, 10.0, 100) for number in range(4)}
    assert Places(of_itself | others).prior_of("/new/") is best
    assert Places({"/new/": with_score(best, 2.0, 10)} | others).prior_of("/new/") is PRIOR  # 2, and 42 * 20 / 410
    assert Places(others).prior_of("/unseen/") is PRIOR
    alike = {f"/{number}/": with_score(best, 40.0, 100) for number in range(4)}
    assert Places(alike).prior_of("/unseen/") is best  # 160 * 20 / 400


def test_a_host_has_no_more_than_so_many_places() -> None:
    places = Places({})
    for number in range(MAX_PLACES):
        name = places.name_of(f"http://a.test/{'x' * (number + 1)}/page")
        places.note(name, PRIOR, DAY_S, changed=False)
    assert places.name_of("http://a.test/other/page") == ELSEWHERE
    assert places.name_of("http://a.test/xx/page") == "/xx/"


def test_what_an_earlier_run_has_learnt_fades_and_what_it_cannot_mean_is_lost() -> None:
    stored = alike(2, 7.0).as_place(1, "/a/")
    old = replace(stored, is_of_run=False)
    assert known_looks([stored])["/a/"].scores == list(stored.scores)
    assert known_looks([old])["/a/"].scores == pytest.approx([0.95 * score for score in stored.scores])
    assert known_looks([old])["/a/"].looks == pytest.approx(0.95 * stored.looks)
    assert known_looks([replace(stored, scores=stored.scores[:-1])]) == {}


def test_what_is_known_when_a_run_comes_is_not_changed_by_it() -> None:
    known = {"/a/": alike(2, 7.0)}
    before = list(known["/a/"].scores)
    habits = Habits(known)
    assert habits.note("/a/", looked_at(), UrlStatus.FETCHED, NOW, news=b"1") is not None
    assert known["/a/"].scores == before


# --- the alarm --------------------------------------------------------------------------------------------------------


RARELY = ChangeRate(changes=0.13, watched_s=30 * DAY_S)


def after_looks(
    habits: Habits, changed: int, unchanged: int = 0, rate: ChangeRate = RARELY, same: bool = False
) -> bool:
    """Whether these looks, one after the other, raise the alarm."""
    for number in range(changed + unchanged):
        news = None if number >= changed else b"x" if same else str(number).encode()
        habits.note("/", looked_at(rate), UrlStatus.FETCHED, NOW, news=news)
        if habits.take_alarm():
            return True
    return False


@pytest.mark.parametrize(
    ("changed", "unchanged", "rate", "same", "alarm"),
    [
        (11, 0, RARELY, False, False),  # too few
        (12, 0, RARELY, False, True),
        (10, 2, RARELY, False, False),  # not nearly all
        (40, 0, ChangeRate(changes=4.0, watched_s=4 * DAY_S), False, False),  # what changes each day tells nothing
        (40, 0, RARELY, True, False),  # one page for everybody: 'please try later'
    ],
)
def test_when_all_has_changed_at_once(changed: int, unchanged: int, rate: ChangeRate, same: bool, alarm: bool) -> None:
    assert after_looks(Habits(), changed, unchanged, rate, same) is alarm


def test_the_alarm_is_raised_once_a_week() -> None:
    habits = Habits()
    assert after_looks(habits, 12)
    assert not after_looks(habits, 40)
    assert not after_looks(Habits(redesigned_at=NOW - 0.9 * AGAIN_AFTER_S), 40)
    assert after_looks(Habits(redesigned_at=NOW - 1.1 * AGAIN_AFTER_S), 40)


def test_what_a_redesign_has_changed_tells_nothing_of_places() -> None:
    habits = Habits({"/": alike(5, 7.0)})
    assert after_looks(habits, 12)
    assert habits.redesigned_at == NOW
    assert habits.note("/", looked_at(RARELY), UrlStatus.FETCHED, NOW + 60, news=b"y") is None
    unchanged = habits.note("/", looked_at(RARELY), UrlStatus.FETCHED, NOW + 60, news=None)
    assert unchanged is not None
    assert unchanged.looks == habits.known["/"].looks + 1  # none of the twelve


@pytest.mark.parametrize("fields", [{"hinted": True}, {"rate": None}, {"status": UrlStatus.GONE}, {"fetched_at": NOW}])
def test_looks_that_are_no_surprise(fields: dict[str, Any]) -> None:
    habits = Habits()
    for number in range(40):
        habits.note("/", replace(looked_at(RARELY), **fields), UrlStatus.FETCHED, NOW, news=str(number).encode())
    assert not habits.take_alarm()


# --- nights -----------------------------------------------------------------------------------------------------------

ALIKE = ["all weekly", "all monthly"]
_ALL = [pytest.param(name, nights, marks=pytest.mark.slow) for name in ALL for nights in (30, 90)]


def shares(name: str, nights: int = 30, seeds: tuple[int, ...] = (1,)) -> tuple[float, float, float, float, float]:
    """Of every night's requests and freshness: `alone`, `auto`, and a fixed interval of as many requests as `auto`."""
    rows = []
    for seed in seeds:
        site = ALL[name]
        most, best = simulate(site, every_night, seed, nights)
        before, fresh_before = simulate(site, alone, seed, nights)
        asked, fresh = simulate(site, auto, seed, nights)
        pages = len(site(seed, nights))
        _fixed_asked, fixed = simulate(site, as_many(asked / pages, nights), seed, nights)
        rows.append((before / most, fresh_before / best, asked / most, fresh / best, fixed / best))
    before, fresh_before, asked, fresh, fixed = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    return before, fresh_before, asked, fresh, fixed


@pytest.mark.thorough
@pytest.mark.parametrize("name", ALIKE)
def test_where_all_change_alike_auto_finds_that_out(name: str) -> None:
    _before, fresh_before, _asked, fresh, fixed = shares(name)
    assert fresh > fresh_before + 0.02
    assert fresh > fixed - 0.005


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["as measured", "news and archive", "half of it daily"])
def test_where_all_kinds_of_pages_are_in_one_place_nothing_changes(name: str) -> None:
    before, fresh_before, asked, fresh, _fixed = shares(name)
    assert asked == pytest.approx(before, abs=0.002)
    assert fresh == pytest.approx(fresh_before, abs=0.002)


@pytest.mark.thorough
def test_folders_tell_of_their_pages() -> None:
    before, fresh_before, asked, fresh, fixed = shares("by folder")
    assert fresh - 0.29 * asked > fresh_before - 0.29 * before + 0.005
    assert fresh > fixed + 0.03


def test_a_redesign_is_found_in_the_run_that_meets_it() -> None:
    before, fresh_before, asked, fresh, _fixed = shares("redesign")
    assert asked < before - 0.05
    assert fresh - 0.29 * asked > fresh_before - 0.29 * before + 0.015
    assert fresh >= 0.97


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "nights"), _ALL)
def test_never_below_a_fixed_interval_of_as_many_requests(name: str, nights: int) -> None:
    before, fresh_before, asked, fresh, fixed = shares(name, nights, (1, 2, 3))
    print(f"{name}, {nights} nights: {before:.1%}, {fresh_before:.4f} -> {asked:.1%}, {fresh:.4f}; fixed {fixed:.4f}")
    assert fresh > fixed - 0.005
    assert fresh - 0.29 * asked > fresh_before - 0.29 * before - 0.002
