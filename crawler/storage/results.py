"""What both stores work out from a result."""

from __future__ import annotations

from crawler.records import Response, Result, SeedMark, Target, UrlKind


def is_unread(result: Result) -> bool:
    """Whether it was asked for as a page, and is none that we read."""
    response = result.attempt
    return result.claim.kind is UrlKind.PAGE and isinstance(response, Response) and not response.read


def requests_of(result: Result) -> int:
    """Those sent for it: at least that of the attempt, if it was sent."""
    attempt = result.attempt
    return max(result.requests, isinstance(attempt, Response) or (attempt is not None and attempt.sent))


def robots_target(result: Result) -> tuple[Target, ...]:
    """robots.txt has a row too, so that its attempts have one to point at; nothing is ever planned for it there."""
    if result.claim.kind is not UrlKind.ROBOTS:
        return ()
    return (Target(url=result.claim.url, host=result.claim.host, kind=UrlKind.ROBOTS, seed=SeedMark.NO),)
