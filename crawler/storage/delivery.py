"""Where a page is from, for whoever reads it: `Page` with its fields of delivery filled.

Invariant: a page that was just committed says of this what it says when it is read from the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from crawler.records import Page, Response, Result
from crawler.storage.heads import readable
from crawler.storage.values import stored_size


def delivered(result: Result, *, page_id: int, run_id: int) -> Page:
    """The page of a result that is committed: it has one."""
    page, attempt = result.page, result.attempt
    if page is None or not isinstance(attempt, Response):
        raise ValueError(f"{result.claim.url}: no page was stored of this visit")
    return replace(of_response(page, attempt, result.claim.depth), page_id=page_id, run_id=run_id)


def of_response(page: Page, response: Response, depth: int) -> Page:
    """The page with what its response tells, before it is stored."""
    return replace(
        page,
        status=response.status_code,
        fetched_at=response.started_at,
        elapsed_s=response.elapsed_s,
        size_bytes=stored_size(response.size),
        truncated=response.truncated,
        depth=depth,
        headers=headers_by_name(readable(response.head)),
        links=tuple(page.links),
    )


def headers_by_name(fields: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """As `Page.headers` has them."""
    headers: dict[str, str | list[str]] = {}
    for name, value in fields:
        key = name.lower()
        before = headers.get(key)
        if before is None:
            headers[key] = value
        else:
            headers[key] = [*before, value] if isinstance(before, list) else [before, value]
    return headers
