"""The feed of changes of a crawl in PostgreSQL: partition by partition, and in each in the order of commits.

Several workers store changes at the same time, each in partitions of its own, so no one number says how far a reader
has come. A cursor holds one for each partition in which something has happened, up to some thousand, and a mark of the
rows that it stands at, by which one of another database is known. Invariants: those of changes.py.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Any

import orjson

from crawler.statically_frozen import dataclass

if TYPE_CHECKING:
    from crawler.archive.reading import Reader

_ROWS = 1024  # read at once
_PART_BITS, _COUNT_BITS = 12, 31  # of an id, as ids.py makes it: they are packed apart, since parts of them are alike

_NEWEST = """
SELECT p.part, newest.id, u.url, newest.change, newest.at FROM parts AS p CROSS JOIN LATERAL (
    SELECT c.id, c.host_id, c.url_id, c.change, c.at FROM change_log AS c
    WHERE c.part = p.part ORDER BY c.id DESC LIMIT 1
) AS newest JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, newest.host_id, newest.url_id)
"""
_AT = """
SELECT f.part, f.change_id, f.url, f.change, f.at
FROM json_array_elements(?::json) AS place (key) JOIN change_feed AS f
    ON (f.part, f.change_id) = ((place.key ->> 0)::int, (place.key ->> 1)::bigint)
"""
_PRUNED = "SELECT part, upto FROM change_log_pruned"
_PRUNED_OF_PART = "SELECT coalesce((SELECT upto FROM change_log_pruned WHERE part = ?), 0)"
_AFTER = """
SELECT change_id, url, change, at, run_id, page_id, detail FROM change_feed
WHERE part = ? AND change_id > ? AND change_id <= ? ORDER BY change_id LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Behind these rows of the log, by partition; in all others, before the first one. `mark` tells the rows from any
    others with the same ids.
    """

    ids: Mapping[int, int] = field(default_factory=dict)
    mark: int = 0

    def packed(self) -> bytes:
        """For a cursor."""
        ids = sorted(self.ids.items())
        parts = [part for part, _id in ids]
        steps = [part - before for part, before in zip(parts, [0, *parts], strict=False)]
        epochs = [one >> _COUNT_BITS + _PART_BITS for _part, one in ids]
        others = [(one >> _COUNT_BITS & (1 << _PART_BITS) - 1) ^ part for part, one in ids]
        counts = [one & (1 << _COUNT_BITS) - 1 for _part, one in ids]
        return zlib.compress(orjson.dumps([self.mark, steps, epochs, others, counts]))

    @classmethod
    def unpacked(cls, data: bytes) -> Places:
        """What `packed` has made. Raises `ValueError` for anything else."""
        try:
            mark, steps, epochs, others, counts = orjson.loads(zlib.decompress(data))
            ids, part = {}, 0
            for step, epoch, other, count in zip(steps, epochs, others, counts, strict=True):
                part += step
                ids[part] = epoch << _COUNT_BITS + _PART_BITS | (other ^ part) << _COUNT_BITS | count
            return cls(ids=ids, mark=int(mark))
        except (zlib.error, TypeError) as error:
            raise ValueError(str(error)) from error


class Gap(Enum):
    """Why a reader cannot go on from somewhere."""

    PRUNED = "pruned"  # what follows has been removed
    FOREIGN = "foreign"  # the rows there are others, or there are none


class Feed:
    """The log of one crawl."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def newest(self) -> Places:
        """Behind everything that is stored."""
        return _places(await self._reader.fetch(_NEWEST))

    async def gap(self, places: Places) -> Gap | None:
        """What keeps the feed from going on from there; None: nothing does."""
        pruned = dict(await self._reader.fetch(_PRUNED))
        if any(one < pruned.get(part, 0) for part, one in places.ids.items()):
            return Gap.PRUNED
        found = await self._rows_at(places)
        missing = places.ids.keys() - found.keys()
        if any(places.ids[part] != pruned.get(part) for part in missing):
            return Gap.FOREIGN
        return None if missing or _combined(found.values()) == places.mark else Gap.FOREIGN

    async def after(
        self, places: Places, upto: Places, limit: int | None
    ) -> AsyncIterator[tuple[Places, Sequence[Any]] | Gap]:
        """The rows of `changes` up to those places, at most `limit`, each with the places behind it; a gap ends it."""
        marks = await self._rows_at(places)
        ids, mark, left = dict(places.ids), _combined(marks.values()), limit
        for part, last in sorted(upto.ids.items()):
            while (at := ids.get(part, 0)) < last and left != 0:
                rows = await self._reader.fetch(_AFTER, part, at, last, _ROWS if left is None else min(_ROWS, left))
                ((pruned,),) = await self._reader.fetch(_PRUNED_OF_PART, part)
                if 0 < at < pruned:
                    yield Gap.PRUNED
                    return
                if not rows:
                    break
                left = None if left is None else left - len(rows)
                for row in rows:
                    change_id, url, change, at_s, *_rest = row
                    mark ^= marks.get(part, 0)
                    marks[part] = mark_of(url, change, at_s)
                    mark ^= marks[part]
                    ids[part] = change_id
                    yield Places(ids=dict(ids), mark=mark), row

    async def _rows_at(self, places: Places) -> dict[int, int]:
        """The marks of the rows there, by partition; those that are missing are not."""
        if not places.ids:
            return {}
        keys = orjson.dumps(list(places.ids.items())).decode()
        return {part: mark_of(*row) for part, _id, *row in await self._reader.fetch(_AT, keys)}


def spans(places: Places, upto: Places) -> str:
    """What has happened between the two, as JSON for a query: a partition, and the ids after and up to which."""
    return orjson.dumps([(part, places.ids.get(part, 0), last) for part, last in upto.ids.items()]).decode()


def mark_of(url: str, change: str, at: float) -> int:
    """Of a row."""
    return zlib.crc32(f"{url} {change} {at!r}".encode())


def _combined(marks: Iterable[int]) -> int:
    """Which can be kept up to date as one of them changes."""
    return reduce(xor, marks, 0)


def _places(rows: Iterable[Sequence[Any]]) -> Places:
    found = list(rows)
    return Places(ids={row[0]: row[1] for row in found}, mark=_combined(mark_of(*row[2:]) for row in found))
