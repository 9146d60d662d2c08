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


def may_have_turned(result: Result) -> bool:
    """Whether the URL may stand elsewhere than the log says.

    It does not where a page is fetched for the first time or was fetched when it was last answered: what costs most
    crawls most of their time is decided by what is in memory.
    """
    claim, previous, status = result.claim, result.claim.previous, result.verdict.status
    if status is UrlStatus.FETCHED and not claim.has_failed:
        stood = claim.failing is None if previous is None else previous.status is UrlStatus.FETCHED
        if stood:
            return False
    if claim.kind is not UrlKind.PAGE or result.keeps is not None or result.is_postponed or result.is_part:
        return False
    if status is UrlStatus.EXCLUDED:
        return previous is not None or claim.has_failed
    return status is not UrlStatus.PENDING


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
            return LoggedChange.WITHDRAWN if had_page and before.place not in _LEFT else healed
    return None


def version_change(result: Result) -> LoggedChange | None:
    """What the version that it brings is; None: it brings none, or nobody can tell whether the page has changed."""
    return _VERSIONS.get(result.difference) if result.page is not None else None


def detail(result: Result, change: LoggedChange) -> str | None:
    """Where the page moved to, or why the URL is gone, withdrawn or broken, or broken no longer though not answered."""
    if change is LoggedChange.MOVED:
        return result.redirect_url
    if result.verdict.reason is not None:
        return result.verdict.reason
    response = result.attempt if isinstance(result.attempt, Response) else None
    lost = change in (LoggedChange.GONE, LoggedChange.BROKEN)
    return f"{HTTP_STATUS} {response.status_code}" if lost and response is not None else None
