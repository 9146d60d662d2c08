"""The feed of changes: each exactly once, in the order in which the crawl stored them, from a cursor on.

A cursor says how far a reader has come, and is opaque to it: its first characters name its version, so that it can hold
more than one position one day. It knows the row that it stands at, so that one of another database, or of a copy that
was restored since, is refused instead of skipping something. Invariant: a reader who keeps the cursor of the last line
that it has dealt with misses nothing and gets nothing twice, wherever the crawl, the reader or both were killed; where
`crawler prune` has removed what the reader has not seen, it is told so.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite
import orjson

from crawler.errors import UsageError
from crawler.storage.sqlite.database import explained

NOW = "now"  # in place of a cursor
_VERSION = "c1_"
BEGINNING = _VERSION + "WzAsMF0"  # the cursor before the first change
_ROWS = 1024  # read at once

_FEED = """
SELECT change_id, url, change, at, run_id, page_id, detail FROM change_feed
WHERE change_id > ? AND change_id <= ? ORDER BY change_id LIMIT ?
"""
_NEWEST = "SELECT change_id, url, change, at FROM change_feed ORDER BY change_id DESC LIMIT 1"
_ROW = "SELECT url, change, at FROM change_feed WHERE change_id = ?"
_PRUNED_UPTO = "SELECT coalesce(max(upto), 0) FROM change_log_pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One change, a `LoggedChange`. `cursor` is the place behind it; `at` is in Unix seconds; `page_id` is the version,
    as long as that is stored; `detail` is where a page moved to, or why it is gone, withdrawn or broken.
    """

    cursor: str
    change: str
    url: str
    run_id: int
    at: float
    page_id: int | None
    detail: str | None


class _Place(NamedTuple):
    """Behind the row `change_id` of the log; 0: before the first one. `mark` tells that row from any other."""

    change_id: int = 0
    mark: int = 0


async def read_changes(
    path: Path, connection: aiosqlite.Connection, since: str, limit: int | None = None
) -> AsyncIterator[FeedEntry]:
    """What was stored after the cursor `since`, up to now, at most `limit` entries.

    Raises `UsageError` for what is no cursor of this database, or one of which `prune` has removed what follows;
    `DatabaseFailedError` if the database cannot be read.
    """
    place = _parse(since)
    newest = await _newest(path, connection)
    left = limit
    while left is None or left > 0:
        wanted = _ROWS if left is None else min(_ROWS, left)
        rows = await _rows_after(path, connection, place, newest.change_id, wanted)
        for change_id, url, change, at, run_id, page_id, detail in rows:
            place = _place(change_id, url, change, at)
            yield FeedEntry(
                cursor=_text(place), change=change, url=url, run_id=run_id, at=at, page_id=page_id, detail=detail
            )
        if len(rows) < wanted:
            return
        left = None if left is None else left - wanted


class Span(NamedTuple):
    """The changes after the row `first` of the log, up to the row `last`, behind which is `cursor`."""

    first: int
    last: int
    cursor: str


async def span_since(path: Path, connection: aiosqlite.Connection, since: str) -> Span:
    """What was stored after the cursor `since` (or `NOW`), up to now. Raises as `read_changes` does."""
    newest = await _newest(path, connection)
    place = newest if since == NOW else _parse(since)
    with explained(path):
        await _check(connection, place)
    return Span(place.change_id, newest.change_id, _text(newest))


async def newest_cursor(path: Path, connection: aiosqlite.Connection) -> str:
    """The cursor of now: behind everything that is stored."""
    return _text(await _newest(path, connection))


async def _newest(path: Path, connection: aiosqlite.Connection) -> _Place:
    with explained(path):
        rows = list(await connection.execute_fetchall(_NEWEST))
    return _place(*rows[0]) if rows else _Place()


async def _rows_after(
    path: Path, connection: aiosqlite.Connection, place: _Place, last_id: int, number: int
) -> Sequence[Any]:
    """Looks after the reading whether something was missing: what `prune` removes meanwhile is noticed, too."""
    with explained(path):
        rows = list(await connection.execute_fetchall(_FEED, (place.change_id, last_id, number)))
        await _check(connection, place)
        return rows


async def _check(connection: aiosqlite.Connection, place: _Place) -> None:
    """Raise `UsageError` unless the feed goes on from there without a gap. From the beginning on, it always does: what
    `prune` leaves tells of every page, and where it stands.
    """
    if place == _Place():
        return
    ((pruned_upto,),) = await connection.execute_fetchall(_PRUNED_UPTO)
    if place.change_id < pruned_upto:
        raise UsageError(
            "`crawler prune` has removed changes that this cursor has not seen; begin anew without --since, which tells"
            " of every page, or with `--since now`, which tells of later changes alone"
        )
    found = list(await connection.execute_fetchall(_ROW, (place.change_id,)))
    if not found and place.change_id == pruned_upto:
        return
    if not found or _place(place.change_id, *found[0]) != place:
        raise UsageError(
            "this cursor is of another database, or of a state of this one that a restored backup has undone; begin"
            " anew without --since, or with `--since now` for later changes alone"
        )


def _place(change_id: int, url: str, change: str, at: float) -> _Place:
    return _Place(change_id, zlib.crc32(f"{url} {change} {at!r}".encode()))


def _text(place: _Place) -> str:
    return _VERSION + base64.urlsafe_b64encode(orjson.dumps(list(place))).decode().rstrip("=")


def _parse(cursor: str) -> _Place:
    unknown = UsageError(
        f"{cursor!r} is no cursor of this version; give one that `crawler changes` has printed, or `now`"
    )
    if not cursor.startswith(_VERSION):
        raise unknown
    text = cursor.removeprefix(_VERSION)
    try:
        found = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise unknown from error
    match found:
        case [int(change_id), int(mark)] if 0 <= change_id < 1 << 63:
            return _Place(change_id, mark)
    raise unknown
