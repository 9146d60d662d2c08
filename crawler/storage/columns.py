"""Records <-> SQL: the values that are bound to each table's columns, JSON for `json_each`, and a host's row read back.

Invariant: whatever the web sent, what comes out of here can be stored and read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from crawler.records import Failure, HostRecord, Page, Response, Visit

_MAX_INTEGER = 2**63 - 1  # SQLite's; a Content-Length may claim more

FETCH_COLUMNS = (
    "id", "url_id", "run_id", "started_at", "elapsed_s", "status_code", "failure", "message", "content_type", "bytes",
    "truncated", "redirect_url", "address", "reused", "body_hash",
)  # fmt: skip


def fetch_values(visit: Visit, attempt: Response | Failure) -> tuple[Any, ...]:
    """From `started_at` on; what comes before is known to the transaction alone."""
    shared = (visit.redirect_url, attempt.address, int(attempt.reused))
    if isinstance(attempt, Failure):
        message = storable(attempt.message)
        unread = visit.body.digest if visit.body is not None else None
        return (attempt.started_at, attempt.elapsed_s, None, attempt.kind, message, None, None, 0, *shared, unread)
    size = None if attempt.size is None else min(attempt.size, _MAX_INTEGER)
    answer = (attempt.status_code, None, None, storable(attempt.content_type), size, int(attempt.truncated))
    return (attempt.started_at, attempt.elapsed_s, *answer, *shared, None)


PAGE_COLUMNS = (
    "id", "url_id", "fetch_id", "title", "description", "language", "canonical_url", "text", "encoding", "headings",
    "open_graph", "json_ld", "noindex", "nofollow", "truncated", "links_total", "body_hash", "content_hash",
)  # fmt: skip


def page_values(visit: Visit, page: Page) -> tuple[Any, ...]:
    """From `title` on."""
    truncated = isinstance(visit.attempt, Response) and visit.attempt.truncated
    return (
        page.title,
        page.description,
        page.language,
        page.canonical_url,
        page.text,
        page.encoding,
        as_json(page.headings),
        as_json(dict(page.open_graph)),
        as_json(page.json_ld),
        int(page.noindex),
        int(page.nofollow),
        int(truncated),
        page.links_total,
        visit.body.digest if visit.body is not None else None,
        page.content_hash,
    )


def url_values(visit: Visit, url_id: int, page_id: int | None) -> tuple[Any, ...]:
    """id, status, reason, attempts, next_fetch_at, fetched_at, page_id, etag, last_modified."""
    verdict, attempt = visit.verdict, visit.attempt
    response = attempt if isinstance(attempt, Response) else None
    return (
        url_id,
        verdict.status,
        verdict.reason,
        verdict.attempts,
        visit.next_fetch_at,
        response.started_at if response else None,
        page_id,
        response.etag if response else None,
        response.last_modified if response else None,
    )


def host_record(row: Sequence[Any]) -> HostRecord:
    """id, name, next_due_at, back_off_until, failures, run_pages, urls."""
    return HostRecord(
        host_id=row[0],
        name=row[1],
        next_due_at=row[2],
        back_off_until=row[3],
        failures=row[4],
        run_pages=row[5],
        urls=row[6],
    )


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # SQLite cuts JSON at a NUL, and no lone surrogate is UTF-8


def as_json(value: Any) -> str:
    """JSON for json_each, or to be stored."""
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError:  # a lone surrogate
        data = orjson.dumps(storable(value))
    return (orjson.dumps(storable(value)) if b"\\u0000" in data else data).decode()


def storable(value: Any) -> Any:
    """`value` with what SQLite cannot keep in any text of it replaced by U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {storable(key): storable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    return value
