"""Records <-> values by column name, the same in every store, and what no database can keep replaced.

Each function here is the one description of a table's columns: a store makes its statements from the names.
Invariant: whatever the web sent, what comes out of here can be stored and read again. Words and flags are plain `str`
and `int`: sqlite3 asks for an adapter of an enum or a bool each time, which takes ten times as long as to bind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from struct import pack, unpack
from typing import Any

import orjson

from crawler.records import (
    ChangeRate,
    Claim,
    Failing,
    Failure,
    Place,
    PreviousVisit,
    Response,
    Result,
    SeedMark,
    UrlKind,
    UrlStatus,
)
from crawler.urls import origin_of

_MAX_INTEGER = 2**63 - 1  # of a database; a Content-Length may claim more

# --- places -----------------------------------------------------------------------------------------------------------


def place_values(place: Place) -> dict[str, Any]:
    """A row of `places`, but for the run."""
    return {
        "host_id": place.host_id,
        "place": place.name,
        "looks": place.looks,
        "scores": pack(f"<{len(place.scores)}d", *place.scores),
    }


def place_of(host_id: int, name: str, looks: float, scores: bytes, is_of_run: int) -> Place:
    """What `place_values` has stored."""
    return Place(
        host_id=host_id,
        name=name,
        looks=looks,
        scores=unpack(f"<{len(scores) // 8}d", scores),
        is_of_run=bool(is_of_run),
    )


# --- fetches ----------------------------------------------------------------------------------------------------------


def fetch_values(result: Result, attempt: Response | Failure) -> dict[str, Any]:
    """A row of `fetches`, but for what the transaction alone knows: its ids."""
    response = attempt if isinstance(attempt, Response) else None
    failure = attempt if isinstance(attempt, Failure) else None
    return {
        "started_at": attempt.started_at,
        "elapsed_s": attempt.elapsed_s,
        "status_code": response.status_code if response is not None else None,
        "failure": failure.kind.value if failure is not None else None,
        "message": storable(failure.message) if failure is not None else result.cut,
        "content_type": storable(response.content_type) if response is not None else None,
        "bytes": stored_size(response.size) if response is not None else None,
        "truncated": int(response is not None and (response.truncated or result.cut is not None)),
        "redirect_url": result.redirect_url,
        "address": attempt.address,
        "reused": int(attempt.reused),
        "body_hash": result.body.digest if failure is not None and result.body is not None else None,
        "first_byte_s": attempt.first_byte_s,
    }


def stored_size(size: int | None) -> int | None:
    """The greatest number that a database takes, for whatever is greater."""
    return None if size is None else min(size, _MAX_INTEGER)


# --- urls -------------------------------------------------------------------------------------------------------------


def url_values(result: Result, url_id: int, page_id: int | None) -> dict[str, Any]:
    """What a result changes in a row of `urls`. `fetched_at` None: it was no answer, and what was known stays."""
    verdict, revisit, failing = result.verdict, result.revisit, result.failing
    reason = verdict.reason if result.keeps is None else None
    response = result.attempt if isinstance(result.attempt, Response) else None
    has_result = response is not None and verdict.status not in _WITHOUT_RESULT
    etag, last_modified = _validators(result, response)
    return {
        "id": url_id,
        "status": (result.keeps or verdict.status)._value_,  # `value` is found by a function in Python
        "reason": reason and storable(reason),
        "cause": reason and reason.cause,
        "detail": reason and storable(reason.detail),
        "attempts": verdict.attempts,
        "next_fetch_at": result.next_fetch_at,
        "fetched_at": response.started_at if response and has_result else None,
        "page_id": page_id,
        "etag": etag and storable(etag),
        "last_modified": last_modified and storable(last_modified),
        "revisit_at": revisit.at if revisit else None,
        "changes": revisit.rate.changes if revisit and revisit.rate else None,
        "watched_s": revisit.rate.watched_s if revisit and revisit.rate else None,
        "promise_s": revisit.promise_s if revisit else None,
        "failing_since": failing.since if failing else None,
        "failing_reason": failing.reason if failing else None,
        "unread_type": _unread_type(result, response),
        "kind": result.kind and result.kind.value,
    }


_WITHOUT_RESULT = frozenset({UrlStatus.PENDING, UrlStatus.FAILED})


def _unread_type(result: Result, response: Response | None) -> str | None:
    """That of the document that is there, if it is no page; a 304, or no answer, leaves it as it was."""
    if response is None or response.status_code == 304:
        return result.claim.previous.unread_type if result.claim.previous is not None else None
    is_unread = result.verdict.status is UrlStatus.FETCHED and result.page is None and result.reread is None
    return storable(response.content_type or "") if is_unread and result.claim.kind is UrlKind.PAGE else None


def _validators(result: Result, response: Response | None) -> tuple[str | None, str | None]:
    """Those of the document that is stored: a new one brings its own, or none; a 304 may bring newer ones."""
    previous = result.claim.previous
    known = (previous.etag, previous.last_modified) if previous is not None else (None, None)
    if response is None or result.verdict.status is not UrlStatus.FETCHED:
        return known
    if response.status_code == 304:
        return response.etag or known[0], response.last_modified or known[1]
    return (None, None) if response.truncated else (response.etag, response.last_modified)


# A look-up in a dict takes a tenth of a call of the enum.
_KINDS = {kind.value: kind for kind in UrlKind}
_MARKS = {mark.value: mark for mark in SeedMark}
_STATUSES = {status.value: status for status in UrlStatus}


def claim_of(row: Sequence[Any]) -> Claim:
    """From the values of a claim, then those of its previous visit, in the order of `columns.CLAIM_COLUMNS`."""
    # Each by its place: by names, from dicts, a claim would take twice as long.
    url_id, url, host_id, host, kind, depth, hops, attempts, seed, has_failed, failing_since, failing_reason = row[:12]
    return Claim(
        url_id=url_id,
        url=url,
        host_id=host_id,
        host=host,
        origin=origin_of(url),
        kind=_KINDS[kind],
        depth=depth,
        hops=hops,
        attempts=attempts,
        seed=_MARKS[seed],
        has_failed=bool(has_failed),
        failing=None if failing_since is None else Failing(since=failing_since, reason=failing_reason),
        previous=_previous_of(row[12:]),
    )


def _previous_of(row: Sequence[Any]) -> PreviousVisit | None:
    """`fetched_at`, which comes first, is None where there was no answer."""
    fetched_at, status, content_hash, metadata_hash, reader_version, truncated, has_body, *of_url = row
    if fetched_at is None:
        return None
    unread_type, etag, last_modified, changes, watched_s, new_links, promise_s, hinted, links_cut_at = of_url
    return PreviousVisit(
        status=_STATUSES[status],
        fetched_at=fetched_at,
        content_hash=content_hash,
        metadata_hash=metadata_hash,
        reader_version=reader_version,
        truncated=bool(truncated),
        has_body=bool(has_body),
        unread_type=unread_type,
        etag=etag,
        last_modified=last_modified,
        rate=None if changes is None else ChangeRate(changes=changes, watched_s=watched_s),
        new_links=new_links,
        promise_s=promise_s,
        hinted=bool(hinted),
        links_cut_at=links_cut_at,
    )


# --- what a database can keep -----------------------------------------------------------------------------------------

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # SQLite cuts JSON at a NUL, and no lone surrogate is UTF-8


def as_json(value: Any) -> str:
    """JSON for a statement, or to be stored."""
    return json_bytes(value).decode()


_EMPTY: dict[type, bytes] = {tuple: b"[]", list: b"[]", dict: b"{}"}  # as most fields are


def json_bytes(value: Any) -> bytes:
    """The same as UTF-8. Tuples with names are arrays."""
    if not value and (empty := _EMPTY.get(type(value))):
        return empty
    try:
        data = orjson.dumps(value, default=tuple)
    except orjson.JSONEncodeError:  # a lone surrogate
        data = orjson.dumps(storable(value), default=tuple)
    has_nul = data.find(b"\\u0000") >= 0  # `in` raises an exception first, for bytes in bytes: 0.5 us
    return orjson.dumps(storable(value), default=tuple) if has_nul else data


def storable(value: Any) -> Any:
    """`value` with what no database can keep in any text of it replaced by U+FFFD."""
    if isinstance(value, str):
        return value if value.isprintable() else _UNSTORABLE.sub("\ufffd", value)  # as most that are short are
    if isinstance(value, Mapping):
        return {storable(key): storable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    return value
