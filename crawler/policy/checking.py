"""What an answer, or none, shows of a link that is only checked, and when it is checked again.

A checker that calls every 403 a broken link is switched off after a week; so what is known is told apart from what is
not. This table is the rule; the manual (checking) says it in words:

    what came                                                       verdict
    2xx                                                             good
    301 302 303 307 308 with a Location                             redirected: the verdict is that of its end
    404, 410                                                        gone
    401, 402, 403, 407, 429, 451, 999; any status with the mark     blocked
    of a bot wall (a challenge instead of the page)
    dns, connect, tls, timeout, disconnected                        unreachable
    blocked_address                                                 not asked
    any other status, a redirect to nowhere, what is no HTTP        failed

A HEAD proves only that something is there: whatever else it brings is asked once more by GET, since many servers answer
HEAD with 403, 404, 405 or 500. Not where nothing was sent, which no method changes, nor after a 429, which asks for
fewer requests.
"""

from __future__ import annotations

from crawler.config import RecrawlConfig
from crawler.records import (
    HTTP_STATUS,
    Checked,
    CheckVerdict,
    Failure,
    FailureKind,
    Reason,
    Response,
)

_TOO_MANY = 429
_GONE = frozenset({404, 410})
_BLOCKED = frozenset({401, 402, 403, 407, _TOO_MANY, 451, 999})
_UNREACHABLE = frozenset(
    {FailureKind.DNS, FailureKind.CONNECT, FailureKind.TLS, FailureKind.TIMEOUT, FailureKind.DISCONNECTED}
)
_DAY_S = 86400.0
_AUTO_S = {True: 7 * _DAY_S, False: _DAY_S}  # with `--max-age auto`: what was good, and what was not

# Fields by which bot walls say that this is a challenge, not the page; a value is what it begins with.
_WALLS = {
    b"cf-mitigated": b"challenge",  # Cloudflare
    b"cf-chl-bypass": b"",
    b"x-amzn-waf-action": b"",  # AWS, with 202 or 405
    b"x-sucuri-block": b"",
}


def is_believed(attempt: Response | Failure, redirect_url: str | None) -> bool:
    """Whether what a HEAD has brought need not be asked once more by GET; `redirect_url` as for `judge`."""
    if isinstance(attempt, Failure):
        return not attempt.sent
    if redirect_url is not None or attempt.status_code == _TOO_MANY:
        return True
    return 200 <= attempt.status_code < 300 and not is_walled(attempt)


def judge(attempt: Response | Failure, redirect_url: str | None) -> Checked:
    """What the last attempt of a check shows. `redirect_url`: where it leads, if it can be followed."""
    if isinstance(attempt, Failure):
        return unanswered(Reason(attempt.kind))
    if redirect_url is not None:
        return Checked(verdict=CheckVerdict.REDIRECTED, redirect_url=redirect_url)
    status = attempt.status_code
    cause = Reason(HTTP_STATUS, str(status))
    if is_walled(attempt):
        return Checked(verdict=CheckVerdict.BLOCKED, cause=Reason(HTTP_STATUS, f"{status}, a bot wall"))
    if 200 <= status < 300:
        return Checked(verdict=CheckVerdict.GOOD)
    if status in _GONE:
        return Checked(verdict=CheckVerdict.GONE, cause=cause)
    verdict = CheckVerdict.BLOCKED if status in _BLOCKED else CheckVerdict.FAILED
    return Checked(verdict=verdict, cause=cause)


def unanswered(cause: Reason) -> Checked:
    """What is known of a URL that could not be asked for, or did not answer; `cause.cause` is a `FailureKind`."""
    if cause.cause in _UNREACHABLE:
        return Checked(verdict=CheckVerdict.UNREACHABLE, cause=cause)
    if cause.cause == FailureKind.BLOCKED_ADDRESS:
        return Checked(verdict=CheckVerdict.NOT_ASKED, cause=cause)
    return Checked(verdict=CheckVerdict.FAILED, cause=cause)


def left_alone(why: str) -> Checked:
    """What is known of a URL that was not asked for, as its origin is left alone for longer than the run waits: 'http
    429', 'connect', 'robots.txt: http 503' ...
    """
    is_unreachable = why.removeprefix("robots.txt: ") in _UNREACHABLE
    verdict = CheckVerdict.UNREACHABLE if is_unreachable else CheckVerdict.NOT_ASKED
    return Checked(verdict=verdict, cause=Reason(why))


def is_walled(response: Response) -> bool:
    """Whether a bot wall has answered in the place of the site, whatever status it chose."""
    return any(_is_mark(name.lower(), value.strip().lower()) for name, value in response.head)


def again_before(recrawl: RecrawlConfig, started_at: float) -> tuple[float, float]:
    """What was checked before these times (Unix seconds) is checked again: what was good, and what was not."""
    if recrawl.max_age_s is None:
        return 0.0, 0.0
    if recrawl.max_age_s != "auto":
        return started_at - recrawl.max_age_s, started_at - recrawl.max_age_s
    good_s, other_s = (
        min(max(_AUTO_S[good], recrawl.min_interval_s), recrawl.max_interval_s) for good in (True, False)
    )
    return started_at - good_s, started_at - other_s


def _is_mark(name: bytes, value: bytes) -> bool:
    wanted = _WALLS.get(name)
    return wanted is not None and value.startswith(wanted)
