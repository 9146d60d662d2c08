"""Where a page is from, for whoever reads it: `Page` with its fields of delivery filled.

Invariant: a page that was just committed says of this what it says when it is read from the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from crawler.records import Page, Response, Result
from crawler.storage.heads import readable
from crawler.storage.values import fetch_values


def delivered(result: Result, *, page_id: int, run_id: int) -> Page:
    """The page of a result that is committed: it has one."""
    page, attempt = result.page, result.attempt
    if page is None or not isinstance(attempt, Response):
        raise ValueError(f"{result.claim.url}: no page was stored of this visit")
    stored = fetch_values(result, attempt)
    return replace(
        page,
        page_id=page_id,
        run_id=run_id,
        status=attempt.status_code,
        fetched_at=attempt.started_at,
        elapsed_s=attempt.elapsed_s,
        size_bytes=stored["bytes"],
        truncated=attempt.truncated,
        depth=result.claim.depth,
        headers=headers_by_name(readable(attempt.head)),
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
