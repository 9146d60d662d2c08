"""What a visit has changed for a URL, against what was known of it before. Pure.

Only documents count: a robots.txt or a sitemap is a means. What will be tried again within the run has no outcome yet.
"""

from __future__ import annotations

from crawler.records import Change, Page, PreviousVisit, Result, UrlKind, UrlStatus

_LOST = frozenset({UrlStatus.GONE, UrlStatus.FAILED})


def change_of(result: Result, *, had_failed: bool) -> Change | None:
    """`had_failed`: when the run first came to the URL, it was one that had failed."""
    if result.claim.kind is not UrlKind.PAGE:
        return None
    before = result.claim.previous
    was = None if before is None else before.status
    match result.verdict.status:
        case UrlStatus.FAILED:
            return None if had_failed else Change.NEWLY_FAILED
        case UrlStatus.GONE:
            return Change.GONE if was not in (None, UrlStatus.GONE) else None
        case UrlStatus.REDIRECTED if was in (None, UrlStatus.REDIRECTED) and not had_failed:
            return None
        case UrlStatus.FETCHED | UrlStatus.REDIRECTED:
            if had_failed or was in _LOST:
                return Change.HEALED
            if was is None or (result.page is not None and before is not None and _was_unread(before)):
                return Change.NEW
            moved = result.verdict.status is not was and was is not UrlStatus.PENDING
            if moved or result.page is None or before is None:
                return Change.CHANGED if moved else Change.UNCHANGED
            return Change.METADATA if is_metadata_alone(result.page, before) else Change.CHANGED
    return None


def _was_unread(before: PreviousVisit) -> bool:
    """Whether a document was there that no reader could read, as with a PDF before there was one."""
    return before.status is UrlStatus.FETCHED and before.content_hash is None


def is_version(page: Page, previous: PreviousVisit, *, truncated: bool) -> bool:
    """Whether the page says something else than the version that is stored; `truncated`: it was cut."""
    return (
        page.content_hash != previous.content_hash
        or is_metadata_alone(page, previous)
        or (previous.truncated and not truncated)
    )


def is_metadata_alone(page: Page, previous: PreviousVisit) -> bool:
    """Whether nothing but metadata has changed. Of a version that kept no hash of it, nobody can tell."""
    if not (page.metadata_hash and previous.metadata_hash):
        return False
    return page.content_hash == previous.content_hash and page.metadata_hash != previous.metadata_hash
