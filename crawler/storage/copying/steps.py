"""The copying itself, the same in both directions: table by table, some rows at a time, and then a second look.

Invariants: a table goes on where it stood when an earlier try was killed; and nothing counts as copied before the
target has been read again and holds, by number and by hash, the rows that were sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from crawler.errors import DatabaseFailedError
from crawler.statically_frozen import dataclass
from crawler.storage.copying.crawl import Progress, Source, Target
from crawler.storage.copying.tables import TABLES, Row, Table
from crawler.storage.copying.tally import Tally

_T = TypeVar("_T")

Tell = Callable[[str, int, int], None]  # of what, so many rows are done, of so many

# What no copy has, in words. The number is that of the calls of `crawler add`.
WAITING_SEEDS = "seeds from `crawler add` that no run has read yet (number of calls: {}); add them to the copy again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy has: rows by table. `was_begun`: an earlier try had copied so many of them; `left_out`: what the
    copy does not have, in words.
    """

    rows: Mapping[str, int]
    was_begun: int = 0
    left_out: Sequence[str] = ()


async def copy_tables(source: Source, target: Target, tell: Tell) -> Copied:
    """Copy all rows that are missing. Raises `DatabaseFailedError`."""
    total = sum([await source.count(table) for table in TABLES])
    before = sum([(await target.progress(table)).tally.rows for table in TABLES])
    done, rows = 0, dict[str, int]()
    for table in TABLES:
        async for number in _copy_table(source, target, table):
            tell("copying", done + number, total)
            rows[table.name] = number
        done += rows[table.name]
    return Copied(rows=rows, was_begun=before)


async def _copy_table(source: Source, target: Target, table: Table) -> AsyncIterator[int]:
    """Yields how many rows have been copied, from time to time."""
    await target.begin(table)
    columns = await shared_columns(source, target, table)
    progress = await target.progress(table)
    if not progress.is_whole:
        async for chunk in _ahead(source.chunks(table, columns, progress.upto)):
            tally = progress.tally.with_rows(_checked(table, chunk.rows))
            progress = Progress(upto=chunk.upto, tally=tally)
            await target.store(table, columns, chunk.rows, progress)
            yield progress.tally.rows
        await target.store(table, columns, (), replace(progress, is_whole=True))
    yield progress.tally.rows


async def verify(source: Source, target: Target, tell: Tell) -> None:
    """Read all that was copied from the target. Raises `DatabaseFailedError` where that is not what was sent."""
    wanted = {table.name: (await target.progress(table)).tally for table in TABLES}
    total, done = sum(tally.rows for tally in wanted.values()), 0
    for table in TABLES:
        found = Tally()
        columns = await shared_columns(source, target, table)
        async for rows in _ahead(target.stored(table, columns)):
            found = found.with_rows(_checked(table, rows))
            tell("verifying", done + found.rows, total)
        done += found.rows
        if found != wanted[table.name]:
            await target.forget()
            raise DatabaseFailedError(
                f"the copy differs from the crawl in the table {table.name} ({wanted[table.name].rows:,} rows were"
                f" sent, {found.rows:,} found); run the same command again, which begins anew"
            )


async def shared_columns(source: Source, target: Target, table: Table) -> list[str]:
    """The columns of a table in the common form: what both have, or can make of what they have."""
    both = set(await source.columns(table)) & set(await target.columns(table))
    return sorted(both | table.read.keys())


def _checked(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """What of rows is compared: their partitions, too, but where there are several."""
    return [row[1:] for row in rows] if table.is_shared else rows


async def _ahead(chunks: AsyncIterator[_T]) -> AsyncIterator[_T]:
    """The same, each read while the one before is dealt with."""
    coming = asyncio.ensure_future(anext(chunks, None))
    try:
        while (chunk := await coming) is not None:
            coming = asyncio.ensure_future(anext(chunks, None))
            yield chunk
    finally:
        coming.cancel()
