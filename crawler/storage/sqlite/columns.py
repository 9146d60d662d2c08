"""Records <-> SQL: the values that are bound to each table's columns, JSON for `json_each`, and a host's row read back.

Invariant: whatever the web sent, what comes out of here can be stored and read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from crawler.records import (
    ChangeRate,
    Claim,
    Failure,
    HostRecord,
    Page,
    PreviousVisit,
    Response,
    Result,
    SeedMark,
    UrlKind,
    UrlStatus,
)
from crawler.urls import origin_of

_MAX_INTEGER = 2**63 - 1  # SQLite's; a Content-Length may claim more

FETCH_COLUMNS = (
    "id", "url_id", "run_id", "started_at", "elapsed_s", "status_code", "failure", "message", "content_type", "bytes",
    "truncated", "redirect_url", "address", "reused", "body_hash",
)  # fmt: skip


def fetch_values(result: Result, attempt: Response | Failure) -> tuple[Any, ...]:
    """From `started_at` on; what comes before is known to the transaction alone."""
    shared = (result.redirect_url, attempt.address, int(attempt.reused))
    if isinstance(attempt, Failure):
        message = storable(attempt.message)
        unread = result.body.digest if result.body is not None else None
        return (attempt.started_at, attempt.elapsed_s, None, attempt.kind, message, None, None, 0, *shared, unread)
    size = None if attempt.size is None else min(attempt.size, _MAX_INTEGER)
    answer = (attempt.status_code, None, None, storable(attempt.content_type), size, int(attempt.truncated))
    return (attempt.started_at, attempt.elapsed_s, *answer, *shared, None)


PAGE_COLUMNS = (
    "id", "url_id", "fetch_id", "title", "description", "language", "canonical_url", "text", "encoding", "headings",
    "open_graph", "json_ld", "noindex", "nofollow", "truncated", "links_total", "body_hash", "content_hash",
)  # fmt: skip


def page_values(result: Result, page: Page) -> tuple[Any, ...]:
    """From `title` on."""
    truncated = isinstance(result.attempt, Response) and result.attempt.truncated
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
        result.body.digest if result.body is not None else None,
        page.content_hash,
    )


def url_values(result: Result, url_id: int, page_id: int | None) -> tuple[Any, ...]:
    """id, status, reason, attempts, next_fetch_at, fetched_at, page_id, etag, last_modified, and of the revisit its
    time, changes, watched_s and promise_s.
    """
    verdict, revisit = result.verdict, result.revisit
    response = result.attempt if isinstance(result.attempt, Response) else None
    has_result = response is not None and verdict.status not in _WITHOUT_RESULT
    return (
        url_id,
        verdict.status,
        verdict.reason,
        verdict.attempts,
        result.next_fetch_at,
        response.started_at if response and has_result else None,
        page_id,
        *_validators(result, response),
        *((revisit.at, revisit.rate.changes, revisit.rate.watched_s, revisit.promise_s) if revisit else _NO_REVISIT),
    )


_WITHOUT_RESULT = frozenset({UrlStatus.PENDING, UrlStatus.FAILED})
_NO_REVISIT = (None, None, None, None)


def _validators(result: Result, response: Response | None) -> tuple[str | None, str | None]:
    """Those of the document that is stored: a new one brings its own, or none; a 304 may bring newer ones."""
    previous = result.claim.previous
    known = (previous.etag, previous.last_modified) if previous is not None else (None, None)
    if response is None or result.verdict.status is not UrlStatus.FETCHED:
        return known
    if response.status_code == 304:
        return response.etag or known[0], response.last_modified or known[1]
    return (None, None) if response.truncated else (response.etag, response.last_modified)


CLAIM_COLUMNS = (
    "u.id", "u.url", "u.host_id", "h.name", "u.kind", "u.depth", "u.hops", "u.attempts", "u.seed",
    "u.fetched_at", "u.status", "p.content_hash", "p.truncated", "p.body_hash IS NOT NULL", "u.etag", "u.last_modified",
    "u.changes", "u.watched_s", "u.new_links", "u.promise_s", "u.hinted",
)  # fmt: skip


# A look-up in a dict takes a tenth of a call of the enum.
_KINDS = {kind.value: kind for kind in UrlKind}
_MARKS = {mark.value: mark for mark in SeedMark}
_STATUSES = {status.value: status for status in UrlStatus}


def claim(row: Sequence[Any]) -> Claim:
    """From a row of `CLAIM_COLUMNS`."""
    return Claim(
        url_id=row[0],
        url=row[1],
        host_id=row[2],
        host=row[3],
        origin=origin_of(row[1]),
        kind=_KINDS[row[4]],
        depth=row[5],
        hops=row[6],
        attempts=row[7],
        seed=_MARKS[row[8]],
        previous=None if row[9] is None else _previous_visit(row[9:]),
    )


def _previous_visit(row: Sequence[Any]) -> PreviousVisit:
    """From `fetched_at` on."""
    return PreviousVisit(
        fetched_at=row[0],
        status=_STATUSES[row[1]],
        content_hash=row[2],
        truncated=bool(row[3]),
        has_body=bool(row[4]),
        etag=row[5],
        last_modified=row[6],
        rate=None if row[7] is None else ChangeRate(changes=row[7], watched_s=row[8]),
        new_links=row[9],
        promise_s=row[10],
        hinted=bool(row[11]),
    )


TAKEN_IN = "pending + fetched + redirected + gone + failed"  # a host's URLs, but for the excluded ones
HOST_COLUMNS = (  # ?2 is the run
    "id, name, next_due_at, back_off_until, failures, CASE WHEN run_id IS ?2 THEN run_pages ELSE 0 END, " + TAKEN_IN
)


def host_record(row: Sequence[Any]) -> HostRecord:
    """From a row of `HOST_COLUMNS`."""
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
