"""The feed of changes: each exactly once, in the order in which the crawl stored them, from a cursor on.

A cursor says how far a reader has come, and is opaque to it: its first characters name its version. That of a SQLite
file holds one position, that of PostgreSQL one for each partition (postgres_changes.py). It knows the row that it
stands at, so that one of another database, or of a copy that was restored since, is refused and skips nothing.
Invariant: a reader who keeps the cursor of the last line that it has dealt with misses nothing and gets nothing twice,
wherever the crawl, the reader or both were killed; where `crawler prune` has removed what the reader has not seen, it
is told so.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import aiosqlite
import orjson

from crawler.archive.dialect import Dialect, Sql
from crawler.archive.postgres_changes import Feed, Gap, Places, mark_of, spans
from crawler.archive.reading import Reader, reader_of
from crawler.errors import UsageError
from crawler.location import Location

NOW = "now"  # in place of a cursor
_VERSION, _VERSION_OF_POSTGRES = "c1_", "p1_"
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
    db: Location, connection: aiosqlite.Connection | Reader, since: str, limit: int | None = None
) -> AsyncIterator[FeedEntry]:
    """What was stored after the cursor `since`, up to now, at most `limit` entries.

    Raises `UsageError` for what is no cursor of this database, or one of which `prune` has removed what follows;
    `DatabaseFailedError` if the database cannot be read.
    """
    reader = reader_of(db, connection)
    rows = _of_file(reader, since, limit) if reader.dialect is Dialect.SQLITE else _of_postgres(reader, since, limit)
    async with aclosing(rows):
        async for cursor, (_change_id, url, change, at, run_id, page_id, detail) in rows:
            yield FeedEntry(cursor=cursor, change=change, url=url, run_id=run_id, at=at, page_id=page_id, detail=detail)


class Span(NamedTuple):
    """The changes after a cursor and up to another, which is `cursor`; `parameters` are those of SQL that asks for them
    (see `CHANGED_ROWS`).
    """

    parameters: tuple[int | str, ...]
    cursor: str


# Of a SQLite file: after a row of the log, up to another. Of PostgreSQL: those of each partition, as JSON.
CHANGED_ROWS = Sql(
    "SELECT url_id FROM change_log WHERE id > ? AND id <= ?",
    "SELECT c.part, c.host_id, c.url_id FROM json_array_elements(?::json) AS span (key) JOIN change_log AS c"
    " ON c.part = (span.key ->> 0)::int AND c.id > (span.key ->> 1)::bigint AND c.id <= (span.key ->> 2)::bigint",
)


async def span_since(reader: Reader, since: str) -> Span:
    """What was stored after the cursor `since` (or `NOW`), up to now. Raises as `read_changes` does."""
    if reader.dialect is Dialect.POSTGRES:
        feed = Feed(reader)
        upto = await feed.newest()
        begin = upto if since == NOW else _parse_places(since)
        _refuse(await feed.gap(begin))
        return Span((spans(begin, upto),), _text_of_places(upto))
    newest = await _newest(reader)
    place = newest if since == NOW else _parse(since)
    await _check(reader, place)
    return Span((place.change_id, newest.change_id), _text(newest))


async def newest_cursor(db: Location, connection: aiosqlite.Connection | Reader) -> str:
    """The cursor of now: behind everything that is stored."""
    reader = reader_of(db, connection)
    if reader.dialect is Dialect.POSTGRES:
        return _text_of_places(await Feed(reader).newest())
    return _text(await _newest(reader))


_Rows: TypeAlias = AsyncGenerator[tuple[str, Sequence[Any]], None]  # each with the cursor behind it


async def _of_postgres(reader: Reader, since: str, limit: int | None) -> _Rows:
    feed, begin = Feed(reader), _parse_places(since)
    upto = await feed.newest()
    _refuse(await feed.gap(begin))
    async for found in feed.after(begin, upto, limit):
        if isinstance(found, Gap):
            _refuse(found)
        else:
            places, row = found
            yield _text_of_places(places), row


async def _of_file(reader: Reader, since: str, limit: int | None) -> _Rows:
    place = _parse(since)
    newest = await _newest(reader)
    left = limit
    while left is None or left > 0:
        wanted = _ROWS if left is None else min(_ROWS, left)
        rows = await _rows_after(reader, place, newest.change_id, wanted)
        for row in rows:
            place = _place(*row[:4])
            yield _text(place), row
        if len(rows) < wanted:
            return
        left = None if left is None else left - wanted


async def _newest(reader: Reader) -> _Place:
    rows = await reader.fetch(_NEWEST)
    return _place(*rows[0]) if rows else _Place()


async def _rows_after(reader: Reader, place: _Place, last_id: int, number: int) -> Sequence[Any]:
    """Looks after the reading whether something was missing: what `prune` removes meanwhile is noticed, too."""
    rows = await reader.fetch(_FEED, place.change_id, last_id, number)
    await _check(reader, place)
    return rows


async def _check(reader: Reader, place: _Place) -> None:
    """Raise `UsageError` unless the feed goes on from there without a gap. From the beginning on, it always does: what
    `prune` leaves tells of every page, and where it stands.
    """
    if place == _Place():
        return
    ((pruned_upto,),) = await reader.fetch(_PRUNED_UPTO)
    if place.change_id < pruned_upto:
        _refuse(Gap.PRUNED)
    found = await reader.fetch(_ROW, place.change_id)
    if not found and place.change_id == pruned_upto:
        return
    if not found or _place(place.change_id, *found[0]) != place:
        _refuse(Gap.FOREIGN)


def _refuse(gap: Gap | None) -> None:
    if gap is Gap.PRUNED:
        raise UsageError(
            "`crawler prune` has removed changes that this cursor has not seen; begin anew without --since, which tells"
            " of every page, or with `--since now`, which tells of later changes alone"
        )
    if gap is Gap.FOREIGN:
        raise UsageError(
            "this cursor is of another database, or of a state of this one that a restored backup has undone; begin"
            " anew without --since, or with `--since now` for later changes alone"
        )


def _place(change_id: int, url: str, change: str, at: float) -> _Place:
    return _Place(change_id, mark_of(url, change, at))


def _text(place: _Place) -> str:
    return _VERSION + _encoded(orjson.dumps(list(place)))


def _text_of_places(places: Places) -> str:
    return _VERSION_OF_POSTGRES + _encoded(places.packed()) if places.ids else BEGINNING


def _parse(cursor: str) -> _Place:
    try:
        match orjson.loads(_decoded(cursor, _VERSION, _VERSION_OF_POSTGRES)):
            case [int(change_id), int(mark)] if 0 <= change_id < 1 << 63:
                return _Place(change_id, mark)
    except ValueError as error:
        raise _unknown(cursor) from error
    raise _unknown(cursor)


def _parse_places(cursor: str) -> Places:
    if cursor == BEGINNING:
        return Places()
    try:
        return Places.unpacked(_decoded(cursor, _VERSION_OF_POSTGRES, _VERSION))
    except ValueError as error:
        raise _unknown(cursor) from error


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(cursor: str, version: str, other: str) -> bytes:
    """What stands in a cursor of that version. Raises `ValueError` for what is none, `UsageError` for one of the other
    kind of database.
    """
    if cursor.startswith(other):
        _refuse(Gap.FOREIGN)
    if not cursor.startswith(version):
        raise ValueError(cursor)
    text = cursor.removeprefix(version)
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _unknown(cursor: str) -> UsageError:
    return UsageError(f"{cursor!r} is no cursor of this version; give one that `crawler changes` has printed, or `now`")
