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
    FREE_REFUSALS,
    LATER_S,
    MAX_BACK_OFF_S,
    MAX_RETRY_AFTER_S,
    InARow,
    RobotsDecision,
    answered,
    back_off_s,
    decide,
    decide_robots,
    retry_after_s,
    retry_s,
)
from crawler.records import Blame, Claim, Failure, FailureKind, Reason, Response, UrlStatus, Verdict
from tests.fuzz.answers import check_date

NOW = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC).timestamp()
URL = "http://example.com/"


def a_claim(attempts: int = 0, refusals: int = 0) -> Claim:
    return Claim(
        url_id=1,
        url=URL,
        host_id=1,
        host="example.com",
        origin="https://example.com",
        attempts=attempts,
        refusals=refusals,
    )


def answer(status: int, **fields: Any) -> Response:
    return Response(url=URL, status_code=status, **fields)


def failure(kind: FailureKind, **fields: Any) -> Failure:
    return Failure(url=URL, kind=kind, **fields)


def verdict(
    attempt: Response | Failure, *, attempts: int = 0, refusals: int = 0, in_a_row: int = 0, retries: int = 2
) -> Verdict:
    """`in_a_row`: so often has it happened before, to whoever is to blame; `refusals` are those of the page."""
    before = InARow(refusals=in_a_row, origin_failures=in_a_row, host_failures=in_a_row)
    return decide(a_claim(attempts, refusals), attempt, retries=retries, before=before, jitter=0.0, now=NOW)


@pytest.mark.parametrize("status", [200, 201, 204, 206, 226, 299])
def test_what_is_accepted_is_fetched_and_speaks_against_nobody(status: int) -> None:
    assert verdict(answer(status), attempts=2) == Verdict(status=UrlStatus.FETCHED)


def test_304_is_an_answer_to_a_condition_alone() -> None:
    limits: dict[str, Any] = {"retries": 2, "jitter": 0.0, "now": NOW}
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
    assert (found.status, found.reason, found.blame) == (UrlStatus.FAILED, f"http {status}", Blame.URL)


@pytest.mark.parametrize("status", [300, 305, 306])
def test_other_redirects_are_not_followed(status: int) -> None:
    assert verdict(answer(status, location="/x")).status is UrlStatus.FAILED


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_gone(status: int) -> None:
    assert verdict(answer(status)) == Verdict(status=UrlStatus.GONE)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 406, 451, 499, 600, 999])
def test_other_statuses_fail_at_once_and_name_themselves(status: int) -> None:
    assert verdict(answer(status)) == Verdict(
        status=UrlStatus.FAILED, reason=Reason("http", str(status)), attempts=1, blame=Blame.URL
    )


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504, 599])
def test_a_server_s_trouble_is_tried_again_later_each_time(status: int) -> None:
    pauses = [verdict(answer(status), attempts=attempts).retry_in_s for attempts in range(3)]
    assert pauses == [2.0, 4.0, None]
    last = verdict(answer(status), attempts=2)
    assert (last.status, last.reason, last.attempts) == (UrlStatus.FAILED, f"http {status}", 3)


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504, 599])
def test_a_server_s_trouble_speaks_against_its_page_alone(status: int) -> None:
    found = [verdict(answer(status), in_a_row=in_a_row) for in_a_row in range(9)]
    assert {(one.blame, one.pause_s, one.retry_in_s) for one in found} == {(Blame.URL, None, 2.0)}


@pytest.mark.parametrize("status", [429, 503])
def test_an_origin_that_asks_for_peace_is_left_alone_longer_each_time(status: int) -> None:
    found = [verdict(answer(status), in_a_row=in_a_row) for in_a_row in range(3)]
    assert [one.pause_s for one in found] == [5.0, 10.0, 20.0]
    assert [one.retry_in_s for one in found] == [5.0, 10.0, 20.0]
    assert {(one.blame, one.attempts, one.goes_first) for one in found} == {(Blame.ORIGIN, 1, False)}


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_with_retry_after_is_no_attempt_of_the_page_which_goes_first_after_the_pause(status: int) -> None:
    found = verdict(answer(status, retry_after="120"), attempts=2)
    assert (found.status, found.attempts, found.goes_first) == (UrlStatus.PENDING, 2, True)
    assert (found.blame, found.retry_in_s, found.pause_s) == (Blame.ORIGIN, 120.0, 120.0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_page_that_is_refused_ever_again_is_given_up_and_its_origin_left_alone_all_the_same(status: int) -> None:
    refused = answer(status, retry_after="120")
    found = [verdict(refused, attempts=1, refusals=refusals) for refusals in range(FREE_REFUSALS + 1)]
    assert [one.attempts for one in found] == [1] * FREE_REFUSALS + [2]
    last = verdict(refused, attempts=2, refusals=FREE_REFUSALS)
    assert (last.status, last.retry_in_s, last.pause_s) == (UrlStatus.FAILED, None, 120.0)


def test_a_retry_after_that_never_helps_is_not_taken_at_its_word_for_ever() -> None:
    found = [verdict(answer(429, retry_after="1"), in_a_row=in_a_row).pause_s for in_a_row in range(6)]
    assert found == [1.0, 1.0, 1.0, 5.0, 10.0, 20.0]
    assert verdict(answer(429, retry_after="100"), in_a_row=5).pause_s == 100.0, "but never for less than it says"


# Whom a failure speaks against: what was never sent found no connection, and no name is the host's.
PASSING = [
    (failure(FailureKind.DNS), Blame.HOST),
    (failure(FailureKind.CONNECT), Blame.ORIGIN),
    (failure(FailureKind.TIMEOUT), Blame.ORIGIN),
    (failure(FailureKind.DISCONNECTED), Blame.ORIGIN),
    (failure(FailureKind.TIMEOUT, sent=True), Blame.URL),
    (failure(FailureKind.TIMEOUT, sent=True, first_byte_s=0.1), Blame.URL),
    (failure(FailureKind.DISCONNECTED, sent=True), Blame.URL),
    (failure(FailureKind.DISCONNECTED, sent=True, first_byte_s=0.1), Blame.URL),
]


@pytest.mark.parametrize(("attempt", "blame"), PASSING, ids=str)
def test_a_failure_that_may_pass_is_tried_again(attempt: Failure, blame: Blame) -> None:
    found = verdict(attempt)
    assert (found.status, found.reason, found.retry_in_s) == (UrlStatus.PENDING, Reason(attempt.kind), 2.0)
    assert (found.pause_s, found.blame) == (None, blame)


@pytest.mark.parametrize(("attempt", "blame"), PASSING, ids=str)
def test_the_third_failure_in_a_row_closes_who_is_to_blame_unless_that_is_the_url(
    attempt: Failure, blame: Blame
) -> None:
    pauses = [verdict(attempt, in_a_row=in_a_row).pause_s for in_a_row in range(5)]
    assert pauses == ([None] * 5 if blame is Blame.URL else [None, None, 5.0, 10.0, 20.0])


@pytest.mark.parametrize("kind", ["tls", "too_large", "bad_response", "blocked_address", "parse_timeout"])
def test_a_failure_that_stays_is_not_tried_again_and_closes_nobody(kind: str) -> None:
    found = verdict(failure(FailureKind(kind)), in_a_row=9)
    assert found == Verdict(status=UrlStatus.FAILED, reason=Reason(kind), attempts=1, blame=Blame.URL)


def test_every_kind_of_failure_has_a_line_in_the_table() -> None:
    for kind in FailureKind:
        assert verdict(failure(kind)).status in (UrlStatus.PENDING, UrlStatus.FAILED)
        assert verdict(failure(kind)).reason == Reason(kind)


def test_a_kept_alive_connection_that_was_closed_costs_no_retry_and_blames_nobody() -> None:
    found = verdict(failure(FailureKind.DISCONNECTED, reused=True), attempts=2, in_a_row=9)
    assert (found.status, found.retry_in_s, found.blame) == (UrlStatus.PENDING, 0.0, None)
    again = verdict(failure(FailureKind.DISCONNECTED, reused=True), attempts=3)
    assert again.status is UrlStatus.FAILED


def test_no_retries_means_none() -> None:
    assert verdict(failure(FailureKind.TIMEOUT), retries=0).status is UrlStatus.FAILED
    assert verdict(answer(503), retries=0).status is UrlStatus.FAILED


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_an_hour_and_a_quarter_and_no_further(count: int, jitter: float) -> None:
    assert 2.0 <= retry_s(count, jitter) <= MAX_BACK_OFF_S * 1.25
    assert 5.0 <= back_off_s(count, jitter) <= MAX_BACK_OFF_S * 1.25


def test_the_figures_are_those_that_the_manual_states() -> None:
    assert (MAX_BACK_OFF_S, LATER_S, MAX_RETRY_AFTER_S, FREE_REFUSALS) == (3600.0, 3600.0, 86400.0, 3)
    assert (retry_s(99, 0.0), back_off_s(99, 0.0)) == (3600.0, 3600.0)


def test_retries_and_pauses_spread_by_up_to_a_quarter() -> None:
    assert (retry_s(0, 0.5), back_off_s(0, 0.5)) == (2.25, 5.625)


def test_who_is_left_alone_is_so_for_as_long_as_the_page_waits() -> None:
    """The page has failed more often than its origin has in a row."""
    before = InARow(origin_failures=2)
    attempt = failure(FailureKind.CONNECT)
    found = decide(a_claim(4), attempt, retries=9, before=before, jitter=0.0, now=NOW)
    assert (found.retry_in_s, found.pause_s) == (32.0, 32.0)


def test_failures_are_counted_apart_by_whom_they_speak_against() -> None:
    host, of_origin = InARow(host_failures=9), InARow(origin_failures=9)
    limits: dict[str, Any] = {"retries": 2, "jitter": 0.0, "now": NOW}
    for kind, its_own, other in (("dns", host, of_origin), ("connect", of_origin, host)):
        attempt = failure(FailureKind(kind))
        assert decide(a_claim(), attempt, before=its_own, **limits).pause_s is not None
        assert decide(a_claim(), attempt, before=other, **limits).pause_s is None
    down = failure(FailureKind.PROXY)
    assert decide(a_claim(), down, before=of_origin, **limits).pause_s == 5.0
    assert decide(a_claim(), down, before=host, **limits).pause_s == 2560.0


@pytest.mark.parametrize(
    ("attempt", "lives"),
    [
        (answer(500), True),
        (failure(FailureKind.PARSE_TIMEOUT), True),
        (failure(FailureKind.DISCONNECTED, sent=True, first_byte_s=0.1), True),
        (failure(FailureKind.BAD_RESPONSE, sent=True, first_byte_s=0.0), True),
        (failure(FailureKind.TIMEOUT, sent=True), False),
        (failure(FailureKind.CONNECT), False),
    ],
    ids=str,
)
def test_who_answers_lives_whatever_became_of_the_answer(attempt: Response | Failure, lives: bool) -> None:
    assert answered(attempt) == lives


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
    return decide_robots(a_claim(attempts), attempt, **({"retries": 2, "jitter": 0.0, "now": NOW} | about))


def origin(decision: RobotsDecision) -> tuple[bytes | None, FailureKind | None, float | None]:
    return decision.rules, decision.failed, decision.retry_in_s


def fates(decision: RobotsDecision) -> list[object]:
    return [*origin(decision), decision.believe_copy_s]


UNREAD = (FailureKind.TIMEOUT, FailureKind.DISCONNECTED, FailureKind.BAD_RESPONSE, FailureKind.TOO_LARGE)


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
        found = verdict(down, attempts=attempts, in_a_row=2)
        assert (found.status, found.reason, found.attempts) == (UrlStatus.PENDING, "proxy", attempts)
        assert found.retry_in_s == found.pause_s == 20.0
    assert [robots(down, attempts=attempts, has_fallback=True).retry_in_s for attempts in (0, 2)] == [5.0, 20.0]
    assert robots(replace(down, url="http://elsewhere.test/robots.txt"), attempts=2).retry_in_s == 20.0


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.PROXY])
def test_the_impatient_fail_at_once(kind: FailureKind) -> None:
    assert origin(robots(failure(kind), has_fallback=True)) == (None, kind, None)


def test_a_robots_txt_that_was_answered_is_stored_as_any_other_answer_is() -> None:
    for attempt in (answer(200), answer(404), answer(403), answer(308)):
        before = InARow(refusals=3, origin_failures=3, host_failures=3)
        assert robots(attempt, before=before).verdict == verdict(attempt, in_a_row=3)


@pytest.mark.parametrize("attempt", [answer(503, retry_after="60"), failure(FailureKind.TIMEOUT)])
def test_while_robots_txt_is_unreachable_its_origin_is_left_alone(attempt: Response | Failure) -> None:
    found = robots(attempt)
    assert (found.verdict.status, found.verdict.blame) == (UrlStatus.FAILED, Blame.ORIGIN)
    assert found.verdict.pause_s == found.retry_in_s


ELSEWHERE = "http://elsewhere.test/robots.txt"  # to which a robots.txt redirects


def test_what_fails_where_a_robots_txt_redirects_to_says_nothing_about_its_origin() -> None:
    for kind in (FailureKind.TLS, FailureKind.BLOCKED_ADDRESS, FailureKind.DNS, FailureKind.CONNECT):
        attempt = replace(failure(kind), url=ELSEWHERE)
        assert origin(robots(attempt, has_fallback=True)) == (None, None, 5.0)
        assert origin(robots(attempt, attempts=2)) == (None, None, LATER_S)
        assert robots(attempt, has_copy=True).believe_copy_s == LATER_S


def test_a_robots_txt_that_is_refused_is_no_page_that_goes_first() -> None:
    refused = answer(429, retry_after="1")
    assert verdict(refused).goes_first
    assert not robots(refused).verdict.goes_first
    assert not robots(refused, has_copy=True).verdict.goes_first


def test_a_proxy_that_is_down_closes_the_host() -> None:
    assert robots(failure(FailureKind.PROXY)).verdict.blame is Blame.HOST


def test_where_the_name_of_robots_txt_is_not_there_its_host_is_left_alone() -> None:
    assert robots(failure(FailureKind.DNS)).verdict.blame is Blame.HOST
    elsewhere = replace(failure(FailureKind.DNS), url="http://elsewhere.test/robots.txt")
    assert robots(elsewhere).verdict.blame is Blame.ORIGIN


@pytest.mark.parametrize(
    "attempt",
    [answer(503), answer(500), answer(429), *map(failure, UNREAD)],
    ids=str,
)
def test_a_robots_txt_that_cannot_be_had_is_replaced_by_the_last_copy(attempt: Response | Failure) -> None:
    found = robots(attempt, attempts=2, has_copy=True)
    assert (found.believe_copy_s, found.retry_in_s, found.verdict.pause_s) == (LATER_S, None, None)


def test_with_a_copy_the_pause_that_a_robots_txt_asks_for_is_kept_to() -> None:
    found = robots(answer(503, retry_after="7200"), has_copy=True)
    assert (found.verdict.pause_s, found.verdict.blame, found.believe_copy_s) == (7200.0, Blame.ORIGIN, 7200.0)


@pytest.mark.parametrize("kind", ["dns", "connect", "proxy"])
def test_a_copy_is_no_help_where_no_page_can_be_reached(kind: str) -> None:
    assert robots(failure(FailureKind(kind)), has_copy=True).believe_copy_s is None


def test_an_origin_that_was_reached_before_is_left_for_a_later_run_when_it_fails() -> None:
    refused = failure(FailureKind.TLS)
    assert robots(refused).verdict.pause_s is None
    found = robots(refused, was_reached=True).verdict
    assert (found.pause_s, found.blame) == (LATER_S, Blame.ORIGIN)


@given(
    attempt=st.builds(answer, st.integers(200, 999)) | st.builds(failure, st.sampled_from(FailureKind)),
    attempts=st.integers(0, 5),
    has_fallback=st.booleans(),
    has_copy=st.booleans(),
)
def test_exactly_one_thing_becomes_of_an_origin(
    attempt: Response | Failure, attempts: int, has_fallback: bool, has_copy: bool
) -> None:
    found = robots(attempt, attempts=attempts, has_fallback=has_fallback, has_copy=has_copy)
    assert [one is None for one in fates(found)].count(False) == 1
