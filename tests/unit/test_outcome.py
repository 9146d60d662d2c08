"""Response or failure -> next status and next time, as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.dates import unix_time
from crawler.policy.outcome import (
    LATER_S,
    MAX_BACK_OFF_S,
    MAX_RETRY_AFTER_S,
    RobotsDecision,
    back_off_s,
    decide,
    decide_robots,
    retry_after_s,
    retry_s,
)
from crawler.records import Claim, Failure, FailureKind, Reason, Response, UrlStatus, Verdict
from tests.fuzz.answers import check_date

NOW = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC).timestamp()
URL = "http://example.com/"


def a_claim(attempts: int = 0) -> Claim:
    return Claim(url_id=1, url=URL, host_id=1, host="example.com", origin="https://example.com", attempts=attempts)


def answer(status: int, **fields: Any) -> Response:
    return Response(url=URL, status_code=status, **fields)


def failure(kind: FailureKind, **fields: Any) -> Failure:
    return Failure(url=URL, kind=kind, **fields)


def verdict(attempt: Response | Failure, *, attempts: int = 0, host_failures: int = 0, retries: int = 2) -> Verdict:
    return decide(a_claim(attempts), attempt, retries=retries, host_failures=host_failures, jitter=0.0, now=NOW)


@pytest.mark.parametrize("status", [200, 201, 204, 206, 226, 299])
def test_what_is_accepted_is_fetched_and_clears_the_host(status: int) -> None:
    assert verdict(answer(status), attempts=2) == Verdict(status=UrlStatus.FETCHED, host_failed=False)


def test_304_is_an_answer_to_a_condition_alone() -> None:
    limits: dict[str, Any] = {"retries": 2, "host_failures": 0, "jitter": 0.0, "now": NOW}
    assert decide(a_claim(), answer(304), conditional=True, **limits).status is UrlStatus.FETCHED
    assert decide(a_claim(), answer(304), **limits).status is UrlStatus.PENDING
    assert decide(a_claim(2), answer(304), **limits).reason == "http 304"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_with_a_target_is_redirected(status: int) -> None:
    assert verdict(answer(status, location="/x")).status is UrlStatus.REDIRECTED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 305, 306, 399])
@pytest.mark.parametrize("location", [None, ""])
def test_a_redirect_that_leads_nowhere_has_failed(status: int, location: str | None) -> None:
    found = verdict(answer(status, location=location))
    assert (found.status, found.reason, found.host_failed) == (UrlStatus.FAILED, f"http {status}", False)


@pytest.mark.parametrize("status", [300, 305, 306])
def test_other_redirects_are_not_followed(status: int) -> None:
    assert verdict(answer(status, location="/x")).status is UrlStatus.FAILED


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_gone(status: int) -> None:
    assert verdict(answer(status)) == Verdict(status=UrlStatus.GONE, host_failed=False)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 406, 451, 499, 600, 999])
def test_other_statuses_fail_at_once_and_name_themselves(status: int) -> None:
    assert verdict(answer(status)) == Verdict(
        status=UrlStatus.FAILED, reason=Reason("http", str(status)), attempts=1, host_failed=False
    )


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504, 599])
def test_a_server_s_trouble_is_tried_again_later_each_time(status: int) -> None:
    pauses = [verdict(answer(status), attempts=attempts).retry_in_s for attempts in range(3)]
    assert pauses == [2.0, 4.0, None]
    last = verdict(answer(status), attempts=2)
    assert (last.status, last.reason, last.attempts) == (UrlStatus.FAILED, f"http {status}", 3)


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_for_peace_is_left_alone_longer_each_time(status: int) -> None:
    found = [verdict(answer(status), host_failures=failures) for failures in range(3)]
    assert [one.back_off_s for one in found] == [5.0, 10.0, 20.0]
    assert [one.retry_in_s for one in found] == [5.0, 10.0, 20.0]
    assert {one.host_failed for one in found} == {True}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_even_when_the_url_is_given_up(status: int) -> None:
    found = verdict(answer(status, retry_after="120"), attempts=2)
    assert (found.status, found.retry_in_s, found.back_off_s) == (UrlStatus.FAILED, None, 120.0)


@pytest.mark.parametrize("kind", ["dns", "connect", "timeout", "disconnected"])
def test_a_failure_that_may_pass_is_tried_again(kind: str) -> None:
    found = verdict(failure(FailureKind(kind)))
    assert (found.status, found.reason, found.retry_in_s) == (UrlStatus.PENDING, kind, 2.0)
    assert (found.back_off_s, found.host_failed) == (None, True)


@pytest.mark.parametrize("kind", ["dns", "connect", "timeout", "disconnected"])
def test_the_third_failure_in_a_row_backs_the_host_off(kind: str) -> None:
    pauses = [verdict(failure(FailureKind(kind)), host_failures=failures).back_off_s for failures in range(5)]
    assert pauses == [None, None, 5.0, 10.0, 20.0]


@pytest.mark.parametrize("kind", ["tls", "too_large", "bad_response", "blocked_address", "parse_timeout"])
def test_a_failure_that_stays_is_not_tried_again_and_says_nothing_against_the_host(kind: str) -> None:
    assert verdict(failure(FailureKind(kind))) == Verdict(status=UrlStatus.FAILED, reason=Reason(kind), attempts=1)


def test_every_kind_of_failure_has_a_line_in_the_table() -> None:
    for kind in FailureKind:
        assert verdict(failure(kind)).status in (UrlStatus.PENDING, UrlStatus.FAILED)
        assert verdict(failure(kind)).reason == Reason(kind)


def test_a_kept_alive_connection_that_was_closed_costs_no_retry_and_blames_nobody() -> None:
    found = verdict(failure(FailureKind.DISCONNECTED, reused=True), attempts=2, host_failures=9)
    assert (found.status, found.retry_in_s, found.host_failed) == (UrlStatus.PENDING, 0.0, None)
    again = verdict(failure(FailureKind.DISCONNECTED, reused=True), attempts=3)
    assert again.status is UrlStatus.FAILED


def test_no_retries_means_none() -> None:
    assert verdict(failure(FailureKind.TIMEOUT), retries=0).status is UrlStatus.FAILED
    assert verdict(answer(503), retries=0).status is UrlStatus.FAILED


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_an_hour_and_a_quarter_and_no_further(count: int, jitter: float) -> None:
    assert 2.0 <= retry_s(count, jitter) <= MAX_BACK_OFF_S * 1.25
    assert 5.0 <= back_off_s(count, jitter) <= MAX_BACK_OFF_S * 1.25


# --- Retry-After ----------------------------------------------------------------------------------------------------

RETRY_AFTER = [
    (None, None),
    ("", None),
    ("0", 0.0),
    ("120", 120.0),
    (" 120 ", 120.0),
    ("0000000000000120", 120.0),
    ("86401", MAX_RETRY_AFTER_S),
    ("9" * 5000, MAX_RETRY_AFTER_S),
    ("-5", None),
    ("+5", None),
    ("1.5", None),
    ("12a", None),
    ("١٢", None),
    ("soon", None),
    ("120, 60", None),
    # the three forms of HTTP's dates (RFC 9110, 5.6.7)
    ("Thu, 29 Feb 2024 12:01:00 GMT", 60.0),
    ("Thursday, 29-Feb-24 12:01:00 GMT", 60.0),
    ("Thu Feb 29 12:01:00 2024", 60.0),
    # what else is understood
    ("Thu, 29 Feb 2024 13:01:00 +0100", 60.0),
    ("Thu, 29 Feb 2024 12:01:00 -0000", 60.0),
    ("Thu, 29 Feb 2024 11:00:00 GMT", 0.0),
    ("Sun Nov  6 08:49:37 1994", 0.0),
    ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
    ("Fri, 31 Dec 9999 23:59:59 -2300", MAX_RETRY_AFTER_S),
    ("Mon, 01 Jan 0001 00:00:00 +2300", 0.0),
    # dates that are none
    ("Thu, 30 Feb 2024 12:00:00 GMT", None),
    ("Thu, 29 Feb 2024 25:00:00 GMT", None),
    ("Thu, 29 Feb 99999 12:00:00 GMT", None),
    ("Thu, 29 Feb 2024 12:00:00 +9999", None),
    ("2024-02-29T12:01:00Z", None),
]


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER, ids=lambda value: str(value)[:40])
def test_retry_after_in_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


_DATE_WORDS = st.sampled_from(
    [
        "Thu,",
        "Thursday,",
        "29",
        "Feb",
        "feb",
        "2024",
        "24",
        "12:01:00",
        "12.01",
        "GMT",
        "+0100",
        "-9999",
        ":",
        "-",
        ",",
        "(",
    ]
)


@given(st.text() | st.lists(_DATE_WORDS | st.text(max_size=3) | st.integers().map(str), max_size=8).map(" ".join))
def test_no_retry_after_raises_or_asks_for_more_than_a_day(value: str) -> None:
    check_date(value, NOW)


@given(
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)),
    st.sampled_from(["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]),
)
def test_every_http_date_is_understood(date: datetime, form: str) -> None:
    text = date.strftime(form)
    assert unix_time(text) is not None
    check_date(text, NOW)


# --- robots.txt -----------------------------------------------------------------------------------------------------


def robots(attempt: Response | Failure, *, attempts: int = 0, **about: Any) -> RobotsDecision:
    return decide_robots(
        a_claim(attempts), attempt, **({"retries": 2, "host_failures": 0, "jitter": 0.0, "now": NOW} | about)
    )


def origin(decision: RobotsDecision) -> tuple[bytes | None, FailureKind | None, float | None]:
    return decision.rules, decision.failed, decision.retry_in_s


def test_the_rules_of_a_robots_txt_that_was_answered_are_obeyed() -> None:
    assert origin(robots(answer(200, body=b"User-agent: *"))) == (b"User-agent: *", None, None)


@pytest.mark.parametrize("status", [301, 308, 304, 400, 401, 403, 404, 410, 451])
def test_a_robots_txt_that_is_not_there_allows_everything(status: int) -> None:
    assert origin(robots(answer(status, body=b"User-agent: *\nDisallow: /"))) == (b"", None, None)


@pytest.mark.parametrize("status", [429, 500, 503, 599])
def test_a_server_s_trouble_with_robots_txt_forbids_everything_for_now(status: int) -> None:
    pauses = [robots(answer(status), attempts=attempts).retry_in_s for attempts in range(3)]
    assert pauses == [5.0, 10.0, LATER_S]


def test_the_longer_of_retry_after_and_our_own_pause_is_taken() -> None:
    assert robots(answer(503, retry_after="60")).retry_in_s == 60.0
    assert robots(answer(503, retry_after="1")).retry_in_s == 5.0
    assert robots(answer(503, retry_after="60"), attempts=2).retry_in_s == LATER_S
    assert robots(answer(503, retry_after="7200"), attempts=2).retry_in_s == 7200.0


@pytest.mark.parametrize("kind", ["dns", "connect"])
def test_an_origin_that_cannot_be_reached_fails_once_the_retries_are_spent(kind: str) -> None:
    attempt = failure(FailureKind(kind))
    assert [robots(attempt, attempts=attempts).retry_in_s for attempts in range(2)] == [2.0, 4.0]
    assert origin(robots(attempt, attempts=2)) == (None, kind, None)


@pytest.mark.parametrize("kind", ["tls", "blocked_address"])
def test_an_origin_that_is_refused_fails_at_once(kind: str) -> None:
    assert origin(robots(failure(FailureKind(kind)))) == (None, kind, None)


@pytest.mark.parametrize("kind", ["timeout", "disconnected", "too_large", "bad_response"])
def test_a_robots_txt_that_did_not_arrive_is_unreachable_however_often(kind: str) -> None:
    pauses = [robots(failure(FailureKind(kind)), attempts=attempts).retry_in_s for attempts in range(4)]
    assert pauses == [5.0, 10.0, LATER_S, LATER_S]


def test_a_proxy_that_is_down_is_nobody_s_fault_and_waited_for_without_end() -> None:
    down = failure(FailureKind.PROXY)
    for attempts in (0, 2, 50):
        verdict = decide(a_claim(attempts), down, retries=2, host_failures=2, jitter=0.0, now=NOW)
        assert (verdict.status, verdict.reason, verdict.attempts) == (UrlStatus.PENDING, "proxy", attempts)
        assert verdict.retry_in_s == verdict.back_off_s == 20.0
    assert [robots(down, attempts=attempts, has_fallback=True).retry_in_s for attempts in (0, 2)] == [5.0, 20.0]
    assert robots(replace(down, url="http://elsewhere.test/robots.txt"), attempts=2).retry_in_s == 20.0


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.PROXY])
def test_the_impatient_fail_at_once(kind: FailureKind) -> None:
    assert origin(robots(failure(kind), has_fallback=True)) == (None, kind, None)


def test_a_robots_txt_that_was_answered_is_stored_as_any_other_answer_is() -> None:
    for attempt in (answer(200), answer(404), answer(403), answer(308)):
        assert robots(attempt, host_failures=3).verdict == verdict(attempt, host_failures=3)


@pytest.mark.parametrize("attempt", [answer(503, retry_after="60"), failure(FailureKind.TIMEOUT)])
def test_while_robots_txt_is_unreachable_its_host_is_blamed_and_left_alone(attempt: Response | Failure) -> None:
    found = robots(attempt)
    assert (found.verdict.status, found.verdict.host_failed) == (UrlStatus.FAILED, True)
    assert found.verdict.back_off_s == found.retry_in_s


def test_an_origin_that_was_reached_before_is_left_for_a_later_run_when_it_fails() -> None:
    refused = failure(FailureKind.TLS)
    assert robots(refused).verdict.back_off_s is None
    assert robots(refused, was_reached=True).verdict.back_off_s == LATER_S


@given(
    attempt=st.builds(answer, st.integers(200, 999)) | st.builds(failure, st.sampled_from(FailureKind)),
    attempts=st.integers(0, 5),
    has_fallback=st.booleans(),
)
def test_exactly_one_thing_becomes_of_an_origin(attempt: Response | Failure, attempts: int, has_fallback: bool) -> None:
    found = robots(attempt, attempts=attempts, has_fallback=has_fallback)
    assert [one is None for one in origin(found)].count(False) == 1
