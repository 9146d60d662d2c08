"""What an answer, or none, shows of a link that is only checked."""

from __future__ import annotations

import pytest

from crawler.config import RecrawlConfig
from crawler.policy.checking import again_before, is_believed, judge, left_alone, unanswered
from crawler.records import CheckVerdict, Failure, FailureKind, Reason, Response

URL = "http://x.test/"
DAY_S = 86400.0
WALL = {"head": ((b"CF-Mitigated", b"challenge"),)}


def _answer(status: int, **fields: object) -> Response:
    return Response(url=URL, status_code=status, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "verdict", "cause"),
    [
        (200, CheckVerdict.GOOD, None),
        (204, CheckVerdict.GOOD, None),
        (404, CheckVerdict.GONE, "http 404"),
        (410, CheckVerdict.GONE, "http 410"),
        (401, CheckVerdict.BLOCKED, "http 401"),
        (403, CheckVerdict.BLOCKED, "http 403"),
        (429, CheckVerdict.BLOCKED, "http 429"),
        (451, CheckVerdict.BLOCKED, "http 451"),
        (999, CheckVerdict.BLOCKED, "http 999"),
        (400, CheckVerdict.FAILED, "http 400"),
        (405, CheckVerdict.FAILED, "http 405"),
        (500, CheckVerdict.FAILED, "http 500"),
        (503, CheckVerdict.FAILED, "http 503"),
        (301, CheckVerdict.FAILED, "http 301"),  # it leads nowhere
    ],
)
def test_each_status_has_its_verdict(status: int, verdict: CheckVerdict, cause: str | None) -> None:
    checked = judge(_answer(status), None)
    assert (checked.verdict, checked.cause) == (verdict, cause)


@pytest.mark.parametrize("status", [200, 202, 403, 405, 503])
@pytest.mark.parametrize(
    "field", [(b"cf-mitigated", b"challenge"), (b"X-Amzn-Waf-Action", b"captcha"), (b"x-sucuri-block", b"1")]
)
def test_a_bot_wall_blocks_whatever_its_status(status: int, field: tuple[bytes, bytes]) -> None:
    walled = _answer(status, head=(field,))
    assert judge(walled, None).verdict is CheckVerdict.BLOCKED
    assert not is_believed(walled, None)


def test_other_fields_are_no_wall() -> None:
    assert judge(_answer(200, head=((b"server", b"cloudflare"), (b"cf-mitigated", b"none"))), None).cause is None


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (FailureKind.DNS, CheckVerdict.UNREACHABLE),
        (FailureKind.CONNECT, CheckVerdict.UNREACHABLE),
        (FailureKind.TLS, CheckVerdict.UNREACHABLE),
        (FailureKind.TIMEOUT, CheckVerdict.UNREACHABLE),
        (FailureKind.DISCONNECTED, CheckVerdict.UNREACHABLE),
        (FailureKind.BAD_RESPONSE, CheckVerdict.FAILED),
        (FailureKind.TOO_LARGE, CheckVerdict.FAILED),
        (FailureKind.BLOCKED_ADDRESS, CheckVerdict.NOT_ASKED),
    ],
)
def test_each_failure_has_its_verdict(kind: FailureKind, verdict: CheckVerdict) -> None:
    assert judge(Failure(url=URL, kind=kind), None) == unanswered(Reason(kind))
    assert unanswered(Reason(kind)).verdict is verdict


def test_a_redirect_has_the_verdict_of_its_end() -> None:
    checked = judge(_answer(302, location="/x"), "http://x.test/x")
    assert (checked.verdict, checked.redirect_url) == (CheckVerdict.REDIRECTED, "http://x.test/x")


@pytest.mark.parametrize(
    ("attempt", "redirect_url", "believed"),
    [
        (_answer(200), None, True),
        (_answer(301), "http://x.test/x", True),
        (_answer(429), None, True),  # it asks for fewer requests
        (_answer(301), None, False),
        (_answer(404), None, False),
        (_answer(405), None, False),
        (_answer(503), None, False),
        (Failure(url=URL, kind=FailureKind.TIMEOUT, sent=True), None, False),
        (Failure(url=URL, kind=FailureKind.CONNECT), None, True),  # no method changes that
    ],
)
def test_what_a_head_brings_is_believed_where_it_is_good_or_get_would_change_nothing(
    attempt: Response | Failure, redirect_url: str | None, believed: bool
) -> None:
    assert is_believed(attempt, redirect_url) is believed


@pytest.mark.parametrize(
    ("why", "verdict"),
    [
        ("http 429", CheckVerdict.NOT_ASKED),  # by the next run, it may be asked
        ("http 503", CheckVerdict.NOT_ASKED),
        ("connect", CheckVerdict.UNREACHABLE),
        ("robots.txt: timeout", CheckVerdict.UNREACHABLE),
        ("robots.txt: http 503", CheckVerdict.NOT_ASKED),
        ("robots.txt: http 429", CheckVerdict.NOT_ASKED),
    ],
)
def test_an_origin_that_is_left_alone_decides_for_its_urls(why: str, verdict: CheckVerdict) -> None:
    assert left_alone(why).verdict is verdict
    assert left_alone(why).cause == why


def test_what_is_checked_again() -> None:
    now = 100 * DAY_S
    assert again_before(RecrawlConfig(), now) == (0.0, 0.0)
    assert again_before(RecrawlConfig(max_age_s=DAY_S), now) == (99 * DAY_S, 99 * DAY_S)
    assert again_before(RecrawlConfig(max_age_s="auto"), now) == (93 * DAY_S, 99 * DAY_S)
    bounded = RecrawlConfig(max_age_s="auto", min_interval_s=2 * DAY_S, max_interval_s=3 * DAY_S)
    assert again_before(bounded, now) == (97 * DAY_S, 98 * DAY_S)
