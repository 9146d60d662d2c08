"""What a visit without an answer means for its URL: what it is said to be, and whether it is looked at again.

One bad night proves little. What was answered before keeps the status of that answer, fails meanwhile (`Failing`), and
has failed only after two visits: at least a day apart, or at any distance where its host answered other URLs in
between, so that the fault is the URL's own. Whatever failed may be fine by a later run, unless an answer has settled
it: 403 is the server's last word, 500 and an expired certificate are not.

Pure: `now` and everything else is passed in. Times are Unix seconds.
"""

from __future__ import annotations

from crawler.policy.rate import DAY_S
from crawler.records import (
    ANSWERED,
    HTTP_STATUS,
    Claim,
    Failing,
    Failure,
    FailureKind,
    Reason,
    Response,
    UrlStatus,
    Verdict,
)

_PASSING = frozenset({"408", "425", "429"})  # of the 4xx, those that speak of the moment
_NOT_HTTP = frozenset({FailureKind.BAD_RESPONSE, FailureKind.TOO_LARGE})
_APART_S = 0.9 * DAY_S  # a day, but for what nights differ in length


def failing_after(claim: Claim, attempt: Response | Failure | None, verdict: Verdict, now: float) -> Failing | None:
    """Since when the URL fails, and why; None where it does not. `attempt` None: none was made, as none could be."""
    if verdict.status not in (UrlStatus.PENDING, UrlStatus.FAILED):
        return None
    if verdict.goes_first or (isinstance(attempt, Failure) and attempt.kind is FailureKind.PROXY):
        return claim.failing  # no attempt of the URL: it was asked too early, or the site was not reached
    before = claim.failing
    since = before.since if before is not None else (attempt.started_at if attempt is not None else 0.0) or now
    if verdict.status is UrlStatus.FAILED:
        return Failing(since=since, reason=verdict.reason)
    return Failing(since=since, reason=before.reason if before is not None else None)


def standing(claim: Claim) -> UrlStatus | None:
    """The status that a visit without an answer may leave the URL; None: it has none from an answer."""
    previous = claim.previous
    return previous.status if previous is not None and previous.status in ANSWERED else None


def has_failed_before(claim: Claim) -> bool:
    """Whether an earlier visit has failed since the last answer."""
    return claim.failing is not None and claim.failing.reason is not None


def is_a_day_apart(failing: Failing, now: float) -> bool:
    """Whether it fails long enough for two visits to have been a day apart."""
    return now - failing.since >= _APART_S


def is_settled(reason: Reason | None) -> bool:
    """Whether an answer has settled it: a 4xx, but for 408, 425 and 429, or one that is not to be read as HTTP."""
    if reason is None or reason.cause in _NOT_HTTP:
        return reason is not None
    detail = reason.detail or ""
    return reason.cause == HTTP_STATUS and detail.startswith("4") and detail not in _PASSING
