"""Since when a URL fails, what settles it, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.config import RecrawlConfig
from crawler.policy.failing import failing_after, has_failed_before, is_a_day_apart, is_settled, standing
from crawler.policy.rate import DAY_S
from crawler.policy.recrawl import retry_later_s, rhythm
from crawler.records import (
    HTTP_STATUS,
    Claim,
    Failing,
    Failure,
    FailureKind,
    PreviousVisit,
    Reason,
    Response,
    UrlStatus,
    Verdict,
)

NOW = 1_700_000_000.0
URL = "http://a.test/"
AGAIN = Verdict(status=UrlStatus.PENDING, reason=Reason(HTTP_STATUS, "500"), attempts=1)
OVER = Verdict(status=UrlStatus.FAILED, reason=Reason(HTTP_STATUS, "500"), attempts=3)
ANSWER = Response(url=URL, status_code=500, started_at=NOW - 3)


def a_claim(**fields: Any) -> Claim:
    return Claim(url_id=1, url=URL, host_id=1, host="a.test", origin="http://a.test", **fields)


@pytest.mark.parametrize("status", [404, 400, 403, 401, 414, 451])
def test_an_answer_that_settles_it(status: int) -> None:
    assert is_settled(Reason(HTTP_STATUS, str(status)))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 503, 599, 304, 300, 999])
def test_an_answer_that_does_not(status: int) -> None:
    assert not is_settled(Reason(HTTP_STATUS, str(status)))


def test_what_has_no_reason_or_another_cause_than_an_answer_is_not_settled() -> None:
    assert not is_settled(None)
    assert not is_settled(Reason(FailureKind.DNS, "404"))


@pytest.mark.parametrize("kind", list(FailureKind))
def test_no_failure_settles_it_but_what_is_no_http(kind: FailureKind) -> None:
    assert is_settled(Reason(kind)) == (kind in (FailureKind.BAD_RESPONSE, FailureKind.TOO_LARGE))


def test_it_fails_since_the_first_attempt_and_has_failed_once_a_visit_is_over() -> None:
    first = failing_after(a_claim(), ANSWER, AGAIN, NOW)
    assert first == Failing(since=NOW - 3)
    again = a_claim(failing=first)
    assert not has_failed_before(again)
    over = failing_after(again, ANSWER, OVER, NOW + 9)
    assert over == Failing(since=NOW - 3, reason="http 500")
    assert has_failed_before(a_claim(failing=over))
    # A later visit that is being retried has not forgotten the one before.
    assert failing_after(a_claim(failing=over), ANSWER, AGAIN, NOW + DAY_S) == over


def test_where_nothing_could_be_asked_it_fails_from_now_on() -> None:
    assert failing_after(a_claim(), None, OVER, NOW) == Failing(since=NOW, reason="http 500")
    unknown = Failure(url=URL, kind=FailureKind.DNS)  # nobody knows when it began
    assert failing_after(a_claim(), unknown, OVER, NOW) == Failing(since=NOW, reason="http 500")


@pytest.mark.parametrize("status", [UrlStatus.FETCHED, UrlStatus.REDIRECTED, UrlStatus.GONE, UrlStatus.EXCLUDED])
def test_an_answer_ends_it(status: UrlStatus) -> None:
    claim = a_claim(failing=Failing(since=NOW, reason="timeout"))
    assert failing_after(claim, ANSWER, Verdict(status=status), NOW) is None


@pytest.mark.parametrize("before", [None, Failing(since=NOW - DAY_S, reason="timeout")])
def test_neither_the_users_proxy_nor_a_pause_that_is_asked_for_speaks_against_it(before: Failing | None) -> None:
    claim = a_claim(failing=before)
    down = Failure(url=URL, kind=FailureKind.PROXY, started_at=NOW)
    assert failing_after(claim, down, AGAIN, NOW) == before
    asked_to_wait = Verdict(status=UrlStatus.PENDING, reason=Reason(HTTP_STATUS, "429"), goes_first=True)
    assert failing_after(claim, ANSWER, asked_to_wait, NOW) == before


def test_a_day_apart_leaves_room_for_nights_that_differ_in_length() -> None:
    failing = Failing(since=NOW)
    assert [is_a_day_apart(failing, NOW + hours * 3600) for hours in (0, 12, 21, 22, 24)] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("status", list(UrlStatus))
def test_only_an_answer_gives_a_status_to_keep(status: UrlStatus) -> None:
    kept = standing(a_claim(previous=PreviousVisit(status=status, fetched_at=NOW)))
    answered = status in (UrlStatus.FETCHED, UrlStatus.REDIRECTED, UrlStatus.GONE)
    assert kept == (status if answered else None)
    assert standing(a_claim()) is None


@pytest.mark.parametrize(
    ("max_age_s", "hours"),
    [("auto", 24), (None, 24), (0.0, 24), (600.0, 24), (3600.0, 1), (12 * 3600.0, 12), (7 * DAY_S, 24)],
)
def test_the_first_interval_is_a_day_or_the_age_if_that_is_less(max_age_s: Any, hours: float) -> None:
    """Of runs that follow each other at once, so that none is nearer than another."""
    recrawl = RecrawlConfig(max_age_s=max_age_s)
    pace = rhythm(recrawl, started_at=NOW, before=NOW, now=NOW).pace
    intervals = [retry_later_s(attempts, 2, pace) / 3600 for attempts in (3, 4, 5, 6)]
    assert intervals == [hours, 2 * hours, 4 * hours, 8 * hours]
