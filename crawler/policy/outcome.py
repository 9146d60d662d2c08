"""Response or failure -> next status and next time, and who is to blame. What is random or timed is passed in.

A fault counts against as little as possible. A URL owns its answer; an origin (scheme, host, port) owns its
robots.txt, its connections, and the pauses that it asks for; a host owns its name, and the pace at which it is asked.
This table is the rule; the manual (politeness) says it in words:

    what came                           what becomes of the URL             who is to blame, and for how long
    2xx, 304 to a condition             fetched                             nobody
    301 302 303 307 308 + Location      redirected: a URL of its own        nobody
    404, 410                            gone                                nobody
    429, 503 with Retry-After           asked again first after the pause;  its origin, for as long as it says; from the
                                        three times uncounted, then as      fourth in a row on at least 5, 10, 20 ... s
                                        without Retry-After
    429, 503                            tried again                         its origin, for 5, 10, 20 ... s
    408, 425, other 5xx, a 304 that     tried again                         the URL
    nobody asked for
    any other status                    failed, reason "http <status>"      the URL
    timeout, disconnected after the     tried again                         the URL: whether an answer began or not, a
    request was sent                                                        connection shows that its origin lives
    connect; timeout or disconnected    tried again                         its origin; from the third in a row on it is
    before                                                                  left alone for 5, 10, 20 ... s
    dns                                 tried again                         its host, in the same way
    tls too_large bad_response          failed                              the URL
    blocked_address parse_timeout
    proxy                               tried again without end: the        nobody; its host waits 5, 10, 20 ... s
                                        attempt does not count

'Tried again' ends after `retries` further attempts; then the URL has failed. What is counted in a row is counted from
zero in each run, pauses and failures apart, and an answer begins the count anew. A sitemap that was guessed and is not
there is excluded instead of gone or failed: nobody had named it. 429 and 503 also slow the host's pace
(see `policy.pace`). A robots.txt has rules of its own: see `decide_robots`.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from crawler.dates import unix_time
from crawler.records import (
    HTTP_STATUS,
    Blame,
    Claim,
    ExclusionReason,
    Failure,
    FailureKind,
    Reason,
    Response,
    SeedMark,
    UrlStatus,
    Verdict,
)
from crawler.statically_frozen import dataclass

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REFUSALS = frozenset({429, 503})
_GONE = frozenset({404, 410})
_PASSING = frozenset({304, 408, 425}) | frozenset(range(500, 600))
_RETRYABLE = frozenset({FailureKind.DNS, FailureKind.CONNECT, FailureKind.TIMEOUT, FailureKind.DISCONNECTED})

RETRY_BASE_S = 2.0
BACK_OFF_BASE_S = 5.0
MAX_BACK_OFF_S = 3600.0
MAX_RETRY_AFTER_S = 86400.0
FAILURES_BEFORE_BACK_OFF = 3
FREE_REFUSALS = 3  # of a page, and in a row of an origin: so often Retry-After is taken at its word


@dataclass(frozen=True, slots=True, kw_only=True)
class InARow:
    """What has happened in a row before an attempt: refusals (429, 503) and failed connections of its origin, failed
    look-ups of its host.
    """

    refusals: int = 0
    origin_failures: int = 0
    host_failures: int = 0


NOTHING_YET = InARow()
FETCHED = Verdict(status=UrlStatus.FETCHED)


def decide(
    claim: Claim,
    attempt: Response | Failure,
    *,
    retries: int,
    jitter: float,
    now: float,
    before: InARow = NOTHING_YET,
    conditional: bool = False,
) -> Verdict:
    """What becomes of the URL, and of whoever is to blame.

    `conditional`: the request asked for the document only if it had changed, so that 304 is an answer to it. `jitter`
    is a random number in [0, 1); `now` (Unix seconds) is for a Retry-After that is a date.
    """
    if isinstance(attempt, Failure):
        return _after_failure(claim, attempt, retries, before, jitter)
    if is_unchanged(attempt, conditional=conditional):
        return FETCHED
    return _after_response(claim, attempt, retries, before, jitter, now)


def is_unchanged(attempt: Response | Failure, *, conditional: bool) -> bool:
    """Whether it says that the document is the one that is stored: for `conditional`, see `decide`."""
    return conditional and isinstance(attempt, Response) and attempt.status_code == 304


NO_SITEMAP = Reason(ExclusionReason.NO_SITEMAP)


def is_wrong_guess(claim: Claim, verdict: Verdict, *, has_entries: bool) -> bool:
    """Whether the claim, which was not unchanged, is of a sitemap that nobody had named and that is not there, whatever
    there is instead.

    One that was there before is a sitemap like others: a failed visit does not prove that it is gone.
    """
    if claim.seed is not SeedMark.GUESS:
        return False
    if verdict.status is UrlStatus.FETCHED:
        return not has_entries
    return verdict.status is UrlStatus.GONE or (verdict.status is UrlStatus.FAILED and claim.previous is None)


def answered(attempt: Response | Failure) -> bool:
    """Whether an answer began, whatever became of it: who answers lives."""
    if isinstance(attempt, Response) or attempt.kind is FailureKind.PARSE_TIMEOUT:
        return True
    return attempt.first_byte_s is not None


def _after_response(
    claim: Claim, response: Response, retries: int, before: InARow, jitter: float, now: float
) -> Verdict:
    status = response.status_code
    if 200 <= status < 300:
        return FETCHED
    if status in REDIRECTS and response.location:
        return Verdict(status=UrlStatus.REDIRECTED)
    if status in _GONE:
        return Verdict(status=UrlStatus.GONE)
    if status in REFUSALS:
        return _after_refusal(claim, response, retries, before, jitter, now)
    reason = Reason(HTTP_STATUS, str(status))
    if status in _PASSING:
        return _again(claim, reason, retries, retry_s(claim.attempts, jitter))
    return Verdict(status=UrlStatus.FAILED, reason=reason, attempts=claim.attempts + 1, blame=Blame.URL)


def _after_refusal(
    claim: Claim, response: Response, retries: int, before: InARow, jitter: float, now: float
) -> Verdict:
    reason = Reason(HTTP_STATUS, str(response.status_code))
    asked_s = retry_after_s(response.retry_after, now)
    if asked_s is None:
        return _again(claim, reason, retries, back_off_s(before.refusals, jitter), closes=Blame.ORIGIN)
    if before.refusals >= FREE_REFUSALS:  # a pause that never helps is too short
        asked_s = max(asked_s, back_off_s(before.refusals - FREE_REFUSALS, jitter))
    if claim.refusals >= FREE_REFUSALS:
        return _again(claim, reason, retries, asked_s, closes=Blame.ORIGIN)
    free = _again(claim, reason, sys.maxsize, asked_s, closes=Blame.ORIGIN)
    return replace(free, attempts=claim.attempts, goes_first=True)


def _after_failure(claim: Claim, failure: Failure, retries: int, before: InARow, jitter: float) -> Verdict:
    reason = Reason(failure.kind)
    if failure.kind is FailureKind.PROXY:
        pause_s = back_off_s(before.host_failures, jitter)
        verdict = _again(claim, reason, sys.maxsize, pause_s, closes=Blame.HOST)
        return replace(verdict, attempts=claim.attempts)
    if failure.kind not in _RETRYABLE:
        return Verdict(status=UrlStatus.FAILED, reason=reason, attempts=claim.attempts + 1, blame=Blame.URL)
    if failure.kind is FailureKind.DISCONNECTED and failure.reused:
        # The server closed a kept-alive connection as we wrote to it: that is nobody's fault, so one more try is free.
        return replace(_again(claim, reason, retries + 1, 0.0), blame=None)
    blame, in_a_row = _blamed(failure, before)
    pause_s = retry_s(claim.attempts, jitter)
    if blame is Blame.URL or in_a_row + 1 < FAILURES_BEFORE_BACK_OFF:
        return replace(_again(claim, reason, retries, pause_s), blame=blame)
    pause_s = max(pause_s, back_off_s(in_a_row + 1 - FAILURES_BEFORE_BACK_OFF, jitter))
    return _again(claim, reason, retries, pause_s, closes=blame)


def _blamed(failure: Failure, before: InARow) -> tuple[Blame, int]:
    """Whom a failure that may pass speaks against, and how many such failures it has had in a row."""
    if failure.kind is FailureKind.DNS:
        return Blame.HOST, before.host_failures
    if failure.sent:
        return Blame.URL, 0
    return Blame.ORIGIN, before.origin_failures


def _again(claim: Claim, reason: Reason, retries: int, pause_s: float, *, closes: Blame | None = None) -> Verdict:
    """The URL is tried again, if it has attempts left; `closes`: who is left alone for as long as it waits."""
    attempts = claim.attempts + 1
    spent = attempts > retries
    return Verdict(
        status=UrlStatus.FAILED if spent else UrlStatus.PENDING,
        reason=reason,
        attempts=attempts,
        retry_in_s=None if spent else pause_s,
        blame=closes or Blame.URL,
        pause_s=None if closes is None else pause_s,
    )


def retry_s(attempts: int, jitter: float) -> float:
    """Seconds before a URL is tried again: 2, 4, 8 ... with up to a quarter more, so that retries spread."""
    return float(min(RETRY_BASE_S * 2.0 ** min(attempts, 20), MAX_BACK_OFF_S) * (1 + jitter / 4))


def back_off_s(failures: int, jitter: float) -> float:
    """Seconds for which somebody is left alone: 5, 10, 20 ... up to an hour, with up to a quarter more."""
    return float(min(BACK_OFF_BASE_S * 2.0 ** min(failures, 20), MAX_BACK_OFF_S) * (1 + jitter / 4))


def retry_after_s(value: str | None, now: float) -> float | None:
    """Retry-After in seconds from `now`, at most a day; None where it is absent or unreadable (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    date = unix_time(text)
    return None if date is None else min(max(date - now, 0.0), MAX_RETRY_AFTER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsDecision:
    """What an attempt to fetch robots.txt means (RFC 9309, 2.3.1): for its own URL and whoever is to blame, and for the
    origin.

    Of the origin exactly one holds: `rules` is the body to obey (empty: all is allowed), `failed` fails the origin's
    pages, `believe_copy_s` believes the last copy for so long, or `retry_in_s` asks again after so long, since nothing
    may be fetched while robots.txt is unreachable and no copy of it is there.
    """

    verdict: Verdict
    rules: bytes | None = None
    failed: FailureKind | None = None
    believe_copy_s: float | None = None
    retry_in_s: float | None = None


_UNREACHABLE_ORIGIN = frozenset({FailureKind.DNS, FailureKind.CONNECT})
_REFUSED_ORIGIN = frozenset({FailureKind.TLS, FailureKind.BLOCKED_ADDRESS})
LATER_S = 3600.0  # when the retries of a run are spent, and how long an old copy is believed until the next try


def decide_robots(
    claim: Claim,
    attempt: Response | Failure,
    *,
    retries: int,
    jitter: float,
    now: float,
    before: InARow = NOTHING_YET,
    has_fallback: bool = False,
    has_copy: bool = False,
    was_reached: bool = False,
) -> RobotsDecision:
    """What becomes of an origin after its robots.txt answered, or did not; all else as for `decide`.

    2xx: its rules; other statuses below 500 but 429, and endless redirects: no rules; 5xx, 429, time-outs and broken
    answers: unreachable, and the origin waits, unless there is a copy that may still be believed (`has_copy`). No
    proxy: nothing is known of it. No name, no connection: the pages fail with that once the retries are spent; at once
    where `has_fallback` (something else will be tried instead) or where trying again cannot help. `was_reached`: pages
    of this origin were answered in an earlier run, so that its others are left for a later one instead of failing now,
    one after the other.
    """
    verdict = decide(claim, attempt, retries=retries, before=before, jitter=jitter, now=now)
    if isinstance(attempt, Response) and brings_rules(attempt):
        body = attempt.body if 200 <= attempt.status_code < 300 else b""
        return RobotsDecision(verdict=verdict, rules=body)
    blame = Blame.HOST if _concerns_host(claim, attempt) else Blame.ORIGIN
    if isinstance(attempt, Failure) and _fails_origin(claim, attempt, retries=retries, has_fallback=has_fallback):
        verdict = replace(verdict, pause_s=LATER_S, blame=blame) if was_reached else verdict
        return RobotsDecision(verdict=verdict, failed=attempt.kind)
    asked_s = retry_after_s(attempt.retry_after, now) if isinstance(attempt, Response) else None
    if has_copy and not _is_unreached(claim, attempt):
        verdict = replace(verdict, status=UrlStatus.FAILED, pause_s=asked_s, blame=blame, goes_first=False)
        return RobotsDecision(verdict=verdict, believe_copy_s=max(LATER_S, asked_s or 0.0))
    pause_s = max(_robots_pause_s(claim, attempt, retries=retries, jitter=jitter), asked_s or 0.0)
    verdict = replace(verdict, status=UrlStatus.FAILED, pause_s=pause_s, blame=blame, goes_first=False)
    return RobotsDecision(verdict=verdict, retry_in_s=pause_s)


def brings_rules(attempt: Response | Failure) -> bool:
    """Whether this answer says what may be fetched, be it everything."""
    return isinstance(attempt, Response) and attempt.status_code < 500 and attempt.status_code != 429


def _concerns_host(claim: Claim, attempt: Response | Failure) -> bool:
    if not isinstance(attempt, Failure):
        return False
    return attempt.kind is FailureKind.PROXY or (attempt.kind is FailureKind.DNS and attempt.url == claim.url)


def _is_unreached(claim: Claim, attempt: Response | Failure) -> bool:
    """Whether the pages of the origin would not be reached either, by all that is known: a copy is of no use."""
    if not isinstance(attempt, Failure):
        return False
    return attempt.kind is FailureKind.PROXY or (attempt.kind in _UNREACHABLE_ORIGIN and attempt.url == claim.url)


def _fails_origin(claim: Claim, failure: Failure, *, retries: int, has_fallback: bool) -> bool:
    if failure.kind is FailureKind.PROXY or failure.url != claim.url:
        return False  # neither says anything about this origin: a redirect may have led elsewhere
    spent = claim.attempts >= retries
    return failure.kind in _REFUSED_ORIGIN or has_fallback or (spent and failure.kind in _UNREACHABLE_ORIGIN)


def _robots_pause_s(claim: Claim, attempt: Response | Failure, *, retries: int, jitter: float) -> float:
    """Seconds until a robots.txt that is unreachable is asked for again, where nobody asked for more."""
    if isinstance(attempt, Failure) and attempt.kind is FailureKind.PROXY:
        return back_off_s(claim.attempts, jitter)
    if isinstance(attempt, Failure) and attempt.kind in _UNREACHABLE_ORIGIN and attempt.url == claim.url:
        return retry_s(claim.attempts, jitter)
    return LATER_S if claim.attempts >= retries else back_off_s(claim.attempts, jitter)
