"""What a visit has changed for a URL, against what was known of it before. Pure.

Only documents count: a robots.txt or a sitemap is a means. What will be tried again within the run has no outcome yet.
Readers change, too: what only today's reader sees otherwise is no change of the page.
"""

from __future__ import annotations

from crawler.records import (
    PRICES_AND_DATES_BYTES,
    Change,
    Difference,
    Page,
    PreviousVisit,
    Result,
    UrlKind,
    UrlStatus,
)

_LOST = frozenset({UrlStatus.GONE, UrlStatus.FAILED})
_METADATA = frozenset({Difference.METADATA, Difference.PRICE_OR_DATE})
_AWAITED = frozenset({Difference.CONTENT, Difference.PRICE_OR_DATE})
_IN_PLACE = frozenset({Difference.NOTHING, Difference.READER})
_SAME = _IN_PLACE | {Difference.UNKNOWN}


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
            if was is None or (was is UrlStatus.FETCHED and result.difference is Difference.FIRST):
                return Change.NEW
            moved = result.verdict.status is not was and was is not UrlStatus.PENDING
            if moved or result.difference in _SAME:
                return Change.CHANGED if moved else Change.UNCHANGED
            return Change.METADATA if result.difference in _METADATA else Change.CHANGED
    return None


def difference(page: Page, previous: PreviousVisit | None, earlier: Page | None, *, truncated: bool) -> Difference:
    """How `page` differs from the version that is stored. `truncated`: it was cut. `earlier` is what today's reader
    makes of that version's body, where another had read it; None where there is no such body.
    """
    if previous is None or previous.content_hash is None:
        return Difference.FIRST
    if previous.truncated and not truncated:
        return Difference.CONTENT
    if (page.content_hash, page.metadata_hash) == (previous.content_hash, previous.metadata_hash):
        return Difference.NOTHING
    if page.reader_version != previous.reader_version:
        if earlier is None:
            same = page.content_hash == previous.content_hash
            return Difference.NOTHING if same else Difference.UNKNOWN
        return _between(page, earlier.content_hash, earlier.metadata_hash) or Difference.READER
    return _between(page, previous.content_hash, previous.metadata_hash) or Difference.NOTHING


def _between(page: Page, content_hash: bytes, metadata_hash: bytes | None) -> Difference | None:
    """Of a version that kept no hash of its metadata, nobody can tell whether those have changed."""
    if page.content_hash != content_hash:
        return Difference.CONTENT
    if not (page.metadata_hash and metadata_hash) or page.metadata_hash == metadata_hash:
        return None
    differ = page.metadata_hash[-PRICES_AND_DATES_BYTES:] != metadata_hash[-PRICES_AND_DATES_BYTES:]
    return Difference.PRICE_OR_DATE if differ else Difference.METADATA


def is_version(found: Difference) -> bool:
    """Whether what was found is stored beside what is there."""
    return found not in _IN_PLACE


def is_metadata_alone(found: Difference) -> bool:
    """Whether the text and the links are what they were."""
    return found in _METADATA


def is_awaited(found: Difference) -> bool:
    """Whether it is what people look again for: of what is metadata alone, prices and dates."""
    return found in _AWAITED
