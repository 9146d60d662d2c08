"""Response or failure -> next status and next time. A table to read; what is random or timed is passed in.

The rules:

    2xx, 304 to a condition         fetched
    301 302 303 307 308 + Location  redirected: the target is a URL of its own
    404, 410                        gone
    429, 503                        the host is left alone (Retry-After, else longer each time); the URL is tried again
    408, 425, other 5xx             tried again; so is a 304 that nobody asked for: it brings no document
    anything else                   failed, reason "http <status>"
    dns connect timeout disconnected    tried again; the third in a row of a host backs it off
    tls too_large bad_response blocked_address parse_timeout    failed
    proxy                           tried again without end: the attempt does not count, it never reached the site

'Tried again' ends after `retries` further attempts; then the URL has failed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from crawler.dates import unix_time
from crawler.records import HTTP_STATUS, Claim, Failure, FailureKind, Reason, Response, UrlStatus, Verdict

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_BACK_OFF = frozenset({429, 503})
_PASSING = frozenset({304, 408, 425}) | frozenset(range(500, 600))
_RETRYABLE = frozenset({FailureKind.DNS, FailureKind.CONNECT, FailureKind.TIMEOUT, FailureKind.DISCONNECTED})

RETRY_BASE_S = 2.0
BACK_OFF_BASE_S = 5.0
MAX_BACK_OFF_S = 3600.0
MAX_RETRY_AFTER_S = 86400.0
FAILURES_BEFORE_BACK_OFF = 3


def decide(
    claim: Claim,
    attempt: Response | Failure,
    *,
    retries: int,
    host_failures: int,
    jitter: float,
    now: float,
    conditional: bool = False,
) -> Verdict:
    """What becomes of the URL and its host.

    `conditional`: the request asked for the document only if it had changed, so that 304 is an answer to it.
    `host_failures` counts the host's failures in a row before this attempt; `jitter` is a random number in [0, 1);
    `now` (Unix seconds) is for a Retry-After that is a date.
    """
    if isinstance(attempt, Failure):
        return _after_failure(claim, attempt, retries, host_failures, jitter)
    if conditional and attempt.status_code == 304:
        return Verdict(status=UrlStatus.FETCHED, host_failed=False)
    return _after_response(claim, attempt, retries, host_failures, jitter, now)


def _after_response(
    claim: Claim, response: Response, retries: int, host_failures: int, jitter: float, now: float
) -> Verdict:
    status = response.status_code
    if 200 <= status < 300:
        return Verdict(status=UrlStatus.FETCHED, host_failed=False)
    if status in REDIRECTS and response.location:
        return Verdict(status=UrlStatus.REDIRECTED, host_failed=False)
    if status in _GONE:
        return Verdict(status=UrlStatus.GONE, host_failed=False)
    reason = Reason(HTTP_STATUS, str(status))
    if status in _BACK_OFF:
        pause_s = back_off_s(host_failures, jitter)
        asked_s = retry_after_s(response.retry_after, now)
        return _again(claim, reason, retries, asked_s if asked_s is not None else pause_s, backs_off=True)
    if status in _PASSING:
        return _again(claim, reason, retries, retry_s(claim.attempts, jitter))
    return Verdict(status=UrlStatus.FAILED, reason=reason, attempts=claim.attempts + 1, host_failed=False)


def _after_failure(claim: Claim, failure: Failure, retries: int, host_failures: int, jitter: float) -> Verdict:
    reason = Reason(failure.kind)
    if failure.kind is FailureKind.PROXY:
        pause_s = back_off_s(host_failures, jitter)
        verdict = _again(claim, reason, sys.maxsize, pause_s, backs_off=True)
        return replace(verdict, attempts=claim.attempts)
    if failure.kind not in _RETRYABLE:
        return Verdict(status=UrlStatus.FAILED, reason=reason, attempts=claim.attempts + 1)
    if failure.kind is FailureKind.DISCONNECTED and failure.reused:
        # The server closed a kept-alive connection as we wrote to it: that is nobody's fault, so one more try is free.
        return _again(claim, reason, retries + 1, 0.0, blame_host=False)
    pause_s = retry_s(claim.attempts, jitter)
    if host_failures + 1 >= FAILURES_BEFORE_BACK_OFF:
        pause_s = max(pause_s, back_off_s(host_failures + 1 - FAILURES_BEFORE_BACK_OFF, jitter))
        return _again(claim, reason, retries, pause_s, backs_off=True)
    return _again(claim, reason, retries, pause_s)


def _again(
    claim: Claim, reason: Reason, retries: int, pause_s: float, *, backs_off: bool = False, blame_host: bool = True
) -> Verdict:
    host_failed = True if blame_host else None
    back_off = pause_s if backs_off else None
    attempts = claim.attempts + 1
    if attempts > retries:
        return Verdict(
            status=UrlStatus.FAILED, reason=reason, attempts=attempts, back_off_s=back_off, host_failed=host_failed
        )
    return Verdict(
        status=UrlStatus.PENDING,
        reason=reason,
        attempts=attempts,
        retry_in_s=pause_s,
        back_off_s=back_off,
        host_failed=host_failed,
    )


def retry_s(attempts: int, jitter: float) -> float:
    """Seconds before a URL is tried again: 2, 4, 8 ... with up to a quarter more, so that retries spread."""
    return float(min(RETRY_BASE_S * 2.0 ** min(attempts, 20), MAX_BACK_OFF_S) * (1 + jitter / 4))


def back_off_s(failures: int, jitter: float) -> float:
    """Seconds for which a host is left alone: 5, 10, 20 ... up to an hour, with up to a quarter more."""
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
    """What an attempt to fetch robots.txt means (RFC 9309, 2.3.1): for its own URL and the host, and for the origin.

    Of the origin exactly one holds: `rules` is the body to obey (empty: all is allowed), `failed` fails the origin's
    pages, or `retry_in_s` asks again after so long, since nothing may be fetched while robots.txt is unreachable.
    """

    verdict: Verdict
    rules: bytes | None = None
    failed: FailureKind | None = None
    retry_in_s: float | None = None


_UNREACHABLE_ORIGIN = frozenset({FailureKind.DNS, FailureKind.CONNECT})
_REFUSED_ORIGIN = frozenset({FailureKind.TLS, FailureKind.BLOCKED_ADDRESS})
LATER_S = 3600.0  # when the retries of a run are spent


def decide_robots(
    claim: Claim,
    attempt: Response | Failure,
    *,
    retries: int,
    host_failures: int,
    has_fallback: bool = False,
    was_reached: bool = False,
    jitter: float,
    now: float,
) -> RobotsDecision:
    """What becomes of an origin after its robots.txt answered, or did not; all else as for `decide`.

    2xx: its rules; other statuses below 500 but 429, and endless redirects: no rules; 5xx, 429, time-outs and broken
    answers: unreachable, and the host is left alone. No proxy: nothing is known of it. No name, no connection: the
    pages fail with that once the retries are spent; at once where `has_fallback` (something else will be tried instead)
    or where trying again cannot help. `was_reached`: pages of this origin were answered in an earlier run, so that its
    others are left for a later one instead of failing now, one after the other.
    """
    verdict = decide(claim, attempt, retries=retries, host_failures=host_failures, jitter=jitter, now=now)
    if isinstance(attempt, Response) and attempt.status_code < 500 and attempt.status_code != 429:
        body = attempt.body if 200 <= attempt.status_code < 300 else b""
        return RobotsDecision(verdict=verdict, rules=body)
    if isinstance(attempt, Failure) and _fails_origin(claim, attempt, retries=retries, has_fallback=has_fallback):
        verdict = replace(verdict, back_off_s=LATER_S) if was_reached else verdict
        return RobotsDecision(verdict=verdict, failed=attempt.kind)
    pause_s = _robots_pause_s(claim, attempt, retries=retries, jitter=jitter, now=now)
    verdict = replace(verdict, status=UrlStatus.FAILED, back_off_s=pause_s, host_failed=True)
    return RobotsDecision(verdict=verdict, retry_in_s=pause_s)


def _fails_origin(claim: Claim, failure: Failure, *, retries: int, has_fallback: bool) -> bool:
    if failure.kind is FailureKind.PROXY or failure.url != claim.url:
        return False  # neither says anything about this origin: a redirect may have led elsewhere
    spent = claim.attempts >= retries
    return failure.kind in _REFUSED_ORIGIN or has_fallback or (spent and failure.kind in _UNREACHABLE_ORIGIN)


def _robots_pause_s(claim: Claim, attempt: Response | Failure, *, retries: int, jitter: float, now: float) -> float:
    """Seconds until a robots.txt that is unreachable is asked for again."""
    if isinstance(attempt, Failure) and attempt.kind is FailureKind.PROXY:
        return back_off_s(claim.attempts, jitter)
    if isinstance(attempt, Failure) and attempt.kind in _UNREACHABLE_ORIGIN and attempt.url == claim.url:
        return retry_s(claim.attempts, jitter)
    pause_s = LATER_S if claim.attempts >= retries else back_off_s(claim.attempts, jitter)
    asked_s = retry_after_s(attempt.retry_after, now) if isinstance(attempt, Response) else None
    return max(pause_s, asked_s or 0.0)
