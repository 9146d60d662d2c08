"""Current pages with nearly the same text, by their fingerprints, kept in the derived file.

Two texts are near-duplicates if their fingerprints differ in at most 5 of 64 bits: a few words in five hundred. To find
them without comparing all pairs, a fingerprint is cut into seven bands. Two that differ in five bits agree in at least
two bands, so only those that agree in two are compared, for each choice of two (Manku, Jain and Das Sarma, 3).
Invariant: a page is listed if and only if it is within 5 bits of another one, but for large crowds of pages alike.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import aiosqlite

from crawler.archive.current import IS_CURRENT, PAGE_MARK, STATE, BatchSize, take_in_versions
from crawler.archive.derived import Progress, create
from crawler.archive.fingerprints import BITS, fingerprint

DISTANCE = 5  # bits
_BANDS = DISTANCE + 2
_CROWD = 64  # of those before it that agree in two bands, so many is a fingerprint compared with
_READ = 50_000  # rows at a time
_ALL_BITS = (1 << BITS) - 1

_CREATE = """
DROP TABLE IF EXISTS main.fingerprints;
DROP TABLE IF EXISTS main.near_duplicates;
DROP TABLE IF EXISTS main.near_duplicates_state;
CREATE TABLE main.fingerprints (
    url_id INTEGER PRIMARY KEY,
    page_id INTEGER NOT NULL,
    words INTEGER NOT NULL,
    bits INTEGER                -- NULL: the text is too short
);
CREATE TABLE main.near_duplicates (
    url_id INTEGER PRIMARY KEY,
    first_id INTEGER NOT NULL,  -- of the pages that are alike, the one that was found first
    copies INTEGER NOT NULL,    -- how many they are
    distance INTEGER NOT NULL   -- bits in which the fingerprints of the two differ
);
CREATE TABLE main.near_duplicates_state (checked TEXT);
INSERT INTO main.near_duplicates_state VALUES (NULL);
"""
_ADD = """
INSERT OR REPLACE INTO main.fingerprints (url_id, page_id, words, bits)
SELECT u.id, p.id, word_count(p.text), fingerprint(p.text)
FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id WHERE p.id > ? AND p.id <= ?
"""
_CURRENT = f"""
SELECT f.url_id, f.bits FROM main.fingerprints AS f CROSS JOIN urls AS u ON u.id = f.url_id
WHERE f.bits IS NOT NULL AND u.page_id = f.page_id AND {IS_CURRENT} ORDER BY f.url_id
"""  # noqa: S608 - our own names


class NearDuplicates:
    """The derivation (derived.py)."""

    name = "near_duplicates"
    version = 1
    mark = PAGE_MARK
    doing = "comparing"

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """See `Derivation`."""
        await create(connection, _CREATE)

    async def take_in(self, progress: Progress, until: float) -> None:
        """See `Derivation`. `until` bounds the reading of texts; the comparison takes 30 s for a million pages."""
        connection = progress.connection
        await connection.create_function("word_count", 1, lambda text: fingerprint(text).words, deterministic=True)
        await connection.create_function("fingerprint", 1, lambda text: fingerprint(text).bits, deterministic=True)

        async def add(after: int, upto: int) -> None:
            await connection.execute(_ADD, (after, upto))

        state = await progress.value(STATE)
        await take_in_versions(progress, BatchSize(), until, add)
        ids, bits = array("q"), array("Q")
        async with connection.execute(_CURRENT) as cursor:
            while rows := list(await cursor.fetchmany(_READ)):
                ids.extend(row[0] for row in rows)
                bits.extend(row[1] & _ALL_BITS for row in rows)
        found = await asyncio.to_thread(lambda: list(groups(ids, bits)))
        async with progress.transaction():
            await connection.execute("DELETE FROM main.near_duplicates")
            await connection.executemany("INSERT INTO main.near_duplicates VALUES (?, ?, ?, ?)", found)
            await connection.execute("UPDATE main.near_duplicates_state SET checked = ?", (state,))


def groups(ids: Sequence[int], bits: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Those of the table: pages, given by ids in ascending order, that are like another one."""
    alike = _Groups(len(ids))
    distinct = _joined_if_equal(alike, bits)
    for one, other in combinations(_bands(), 2):
        _compare(alike, distinct, bits, one, other)
    sizes = Counter(map(alike.first, range(len(ids))))
    for page, url_id in enumerate(ids):
        first = alike.first(page)
        if sizes[first] > 1:
            yield url_id, ids[first], sizes[first], (bits[page] ^ bits[first]).bit_count()


class _Groups:
    """Pages that are alike, by the first of them: a union-find."""

    def __init__(self, number: int) -> None:
        self._parents = array("l", range(number))

    def first(self, page: int) -> int:
        """Of its group."""
        parents = self._parents
        while parents[page] != page:
            parents[page] = page = parents[parents[page]]
        return page

    def join(self, one: int, other: int) -> None:
        """Make their groups one."""
        one, other = self.first(one), self.first(other)
        self._parents[max(one, other)] = min(one, other)


def _joined_if_equal(alike: _Groups, bits: Sequence[int]) -> list[int]:
    """Join the pages with the same fingerprint; returns one for each."""
    seen: dict[int, int] = {}
    for page, one in enumerate(bits):
        first = seen.setdefault(one, page)
        if first != page:
            alike.join(first, page)
    return list(seen.values())


class _Band(NamedTuple):
    shift: int
    ones: int


def _bands() -> list[_Band]:
    ends = [BITS * band // _BANDS for band in range(_BANDS + 1)]
    return [_Band(begin, (1 << (end - begin)) - 1) for begin, end in pairwise(ends)]


def _compare(alike: _Groups, pages: Sequence[int], bits: Sequence[int], one: _Band, other: _Band) -> None:
    """Each page with those before it whose fingerprints agree with its own in these two bands.

    Those that agree are a chain, from the latest to the first.
    """
    latest = array("l", [-1]) * ((one.ones + 1) * (other.ones + 1))
    before = array("l", [-1]) * len(bits)
    for page in pages:
        mine, compared = bits[page], 0
        key = (mine >> one.shift & one.ones) * (other.ones + 1) + (mine >> other.shift & other.ones)
        beside = before[page] = latest[key]
        latest[key] = page
        while beside >= 0 and compared < _CROWD:
            if (mine ^ bits[beside]).bit_count() <= DISTANCE:
                alike.join(page, beside)
            beside = before[beside]
            compared += 1
