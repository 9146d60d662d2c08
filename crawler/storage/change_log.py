"""What a result has changed for its URL, as the log of changes tells it. Pure, and the same in every store.

Invariant: nothing is told twice. Where a URL stands is told only when it stands elsewhere than the log said last, so a
visit that is made again after a kill tells what it has to tell once. Only documents count: a robots.txt or a sitemap is
a means. What is tried again within the run has no outcome yet, and what keeps its status has not changed.
"""

from __future__ import annotations

from typing import NamedTuple

from crawler.records import HTTP_STATUS, Difference, LoggedChange, Response, Result, UrlKind, UrlStatus

_VERSIONS = {
    Difference.FIRST: LoggedChange.NEW,
    Difference.CONTENT: LoggedChange.CHANGED,
    Difference.METADATA: LoggedChange.METADATA,
    Difference.PRICE_OR_DATE: LoggedChange.METADATA,
}
_LEFT = (LoggedChange.GONE, LoggedChange.MOVED, LoggedChange.WITHDRAWN)


class Standing(NamedTuple):
    """What the log said last: `place` is where the page went or came back from, None: it never left; `broken`, whether
    it has been broken since.
    """

    place: LoggedChange | None = None
    broken: bool = False


NOTHING_TOLD = Standing()


def may_have_turned(result: Result) -> bool:
    """Whether the URL may stand elsewhere than before; most results are of a page that stands where it stood."""
    if result.claim.kind is not UrlKind.PAGE or result.keeps is not None or result.is_postponed or result.is_part:
        return False
    match result.verdict.status:
        case UrlStatus.PENDING:
            return False
        case UrlStatus.FETCHED:
            return has_history(result) and not _was_fetched(result)
        case UrlStatus.REDIRECTED | UrlStatus.EXCLUDED:
            return has_history(result)
    return True


def has_history(result: Result) -> bool:
    """Whether the log may have told something of where the URL stands, or of a page that was there."""
    claim = result.claim
    return claim.previous is not None or claim.has_failed or claim.failing is not None


def turn(result: Result, before: Standing) -> LoggedChange | None:
    """Where the URL stands now, if that is to be told."""
    previous = result.claim.previous
    had_page = previous is not None and previous.content_hash is not None
    healed = LoggedChange.HEALED if before.broken else None
    match result.verdict.status:
        case UrlStatus.FETCHED:
            return LoggedChange.BACK if before.place in _LEFT else healed
        case UrlStatus.REDIRECTED:
            return LoggedChange.MOVED if had_page and before.place is not LoggedChange.MOVED else healed
        case UrlStatus.GONE if had_page:
            return None if before.place is LoggedChange.GONE else LoggedChange.GONE
        case UrlStatus.GONE | UrlStatus.FAILED:
            return None if before.broken or before.place is LoggedChange.GONE else LoggedChange.BROKEN
        case UrlStatus.EXCLUDED:
            return LoggedChange.WITHDRAWN if had_page and before.place not in _LEFT else None
    return None


def version_change(result: Result) -> LoggedChange | None:
    """What the version that it brings is; None: it brings none, or nobody can tell whether the page has changed."""
    return _VERSIONS.get(result.difference) if result.page is not None else None


def detail(result: Result, change: LoggedChange) -> str | None:
    """Where to, or why."""
    if change is LoggedChange.MOVED:
        return result.redirect_url
    if change is LoggedChange.WITHDRAWN or result.verdict.reason is not None:
        return result.verdict.reason
    response = result.attempt if isinstance(result.attempt, Response) else None
    lost = change in (LoggedChange.GONE, LoggedChange.BROKEN)
    return f"{HTTP_STATUS} {response.status_code}" if lost and response is not None else None


def _was_fetched(result: Result) -> bool:
    """By its last answer, with no failure in between that the log would have told."""
    claim = result.claim
    return claim.previous is not None and claim.previous.status is UrlStatus.FETCHED and not claim.has_failed
