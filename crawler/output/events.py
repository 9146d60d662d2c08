"""What a log says of a visit: each failure, retry, back-off and redirect out of scope, and if asked the visit itself.

Pure. Invariant: no event quotes more of the web than `printable` lets through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crawler.output.figures import span
from crawler.output.safe_text import printable
from crawler.records import Closure, Response, Result, UrlKind, UrlStatus, Verdict, Visit
from crawler.statically_frozen import dataclass

_MAX_URL = 2000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One of `name`, which decides about the keys of `fields`; as `text` for people."""

    name: str
    level: str
    fields: Mapping[str, Any]
    text: str


def events_of(visit: Visit, results: Sequence[Result], *, every: bool) -> Iterator[Event]:
    """The events of a visit and what it led to; `every`: also that it took place."""
    if every:
        yield _visit(visit, results[0])
    for result in results:
        if result.claim is visit.claim or result.attempt is None:
            yield from _failure(visit, result)
        yield from (_out_of_scope(visit, target.url, target.reason) for target in _refused(visit, result))
        if result.closure is not None:
            yield _back_off(result.closure, result.verdict)


def _visit(visit: Visit, result: Result) -> Event:
    url, attempt = printable(visit.claim.url, _MAX_URL), visit.attempt
    fields: dict[str, Any] = {"url": url, "kind": visit.claim.kind.value, "status": result.verdict.status.value}
    if isinstance(attempt, Response):
        fields |= {"status_code": attempt.status_code, "bytes": attempt.size}
        answer = str(attempt.status_code)
    else:
        fields["failure"] = answer = attempt.kind.value
    fields |= {"elapsed_s": round(attempt.elapsed_s, 3), "is_new_version": result.page is not None}
    return Event(name="visit", level="info", fields=fields, text=f"{answer} {url} {span(attempt.elapsed_s)}")


def _failure(visit: Visit, result: Result) -> Iterator[Event]:
    """What is tried again is a retry; of a robots.txt it is the verdict on its own URL that counts."""
    verdict = result.verdict
    will_retry = verdict.retry_in_s is not None and verdict.status is UrlStatus.PENDING
    if not will_retry and verdict.status not in (UrlStatus.FAILED, UrlStatus.GONE):
        return
    if visit.claim.kind is UrlKind.ROBOTS and verdict.status is UrlStatus.GONE:
        return  # no rules: that is no failure
    url = printable(result.claim.url, _MAX_URL)
    cause, message = _cause(visit, result)
    fields: dict[str, Any] = {"url": url, "cause": cause, "message": message, "attempts": verdict.attempts}
    told = cause if not message else f"{cause}: {message}"
    if will_retry and verdict.retry_in_s is not None:
        fields["retry_in_s"] = round(verdict.retry_in_s, 3)
        text = f"retry {url} in {span(verdict.retry_in_s)} ({told})"
        yield Event(name="retry", level="info", fields=fields, text=text)
    else:
        yield Event(name="failure", level="warning", fields=fields, text=f"failure {url} ({told})")


def _cause(visit: Visit, result: Result) -> tuple[str, str | None]:
    attempt = visit.attempt
    if isinstance(attempt, Response):
        return result.verdict.reason or f"http {attempt.status_code}", None
    return result.verdict.reason or attempt.kind.value, printable(attempt.message) or None


def _refused(visit: Visit, result: Result) -> Iterator[Any]:
    """Where its redirect leads, if that may not be asked for."""
    if visit.redirect_url is not None and result.claim is visit.claim:
        yield from (target for target in result.targets if target.reason is not None)


def _out_of_scope(visit: Visit, target: str, reason: str) -> Event:
    url, onward = printable(visit.claim.url, _MAX_URL), printable(target, _MAX_URL)
    fields = {"url": url, "target": onward, "reason": printable(reason)}
    text = f"redirect not followed: {url} leads to {onward} ({fields['reason']})"
    return Event(name="redirect_excluded", level="info", fields=fields, text=text)


def _back_off(closure: Closure, verdict: Verdict) -> Event:
    """From a host, or from one of its origins."""
    name, cause, pause_s = printable(closure.name), printable(closure.why), verdict.pause_s or 0.0
    fields = {closure.blame.value: name, "until": round(closure.until, 3), "pause_s": round(pause_s, 3), "cause": cause}
    text = f"pausing {name} for {span(pause_s)} ({cause})"
    return Event(name="back_off", level="info", fields=fields, text=text)
