"""Rows go in by multi-row VALUES: what a batch has of a kind is a few statements, with blobs and whatever the web sent.

Where SQLite need not parse the statement each time, this takes half as long as JSON, which cannot hold blobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any

from crawler.storage.sqlite.columns import Execute
from crawler.storage.values import storable

INSERT = "INSERT INTO {} ({}) {}"
REPLACE = "INSERT OR REPLACE INTO {} ({}) {}"
INSERT_ONCE = f"{INSERT} ON CONFLICT DO NOTHING"  # what may be there already

# SQLite takes 32,766 a statement. To prepare one with 30,000 takes 40 ms, six times as long as to run it, and it fits
# no processor's cache; from about 4,000 on, another statement costs less than a longer one.
_MAX_PARAMETERS = 4_096

_MAX_HASH_BYTES = 64

# For columns whose values come as UTF-8 bytes, which SQLite would store as a BLOB: to bind 8 KB as str takes ten times
# as long.
_PLACES = {"text": "CAST(? AS TEXT)"}


async def insert(table: str, rows: Sequence[Mapping[str, Any]], execute: Execute, statement: str = INSERT) -> None:
    """Insert rows of values by name, which all have the same names."""
    for columns, values, parameters in named_values(rows):
        await execute_storable(statement.format(table, ", ".join(columns), values), parameters, execute)


async def insert_flat(
    table: str, columns: str, flat: list[Any], execute: Execute, statement: str = INSERT, row: str | None = None
) -> None:
    """Insert rows whose values stand one after the other, in the order of `columns`; `row`: see `flat_values`."""
    width = len(columns.split(", ")) if row is None else row.count("?")
    for values, parameters in flat_values(flat, width, row):
        await execute_storable(statement.format(table, columns, values), parameters, execute)


async def execute_storable(sql: str, parameters: Sequence[Any], execute: Execute) -> list[Any]:
    """Execute it, where a parameter may hold what no database can keep."""
    try:
        return await execute(sql, *parameters)
    except UnicodeEncodeError:  # a lone surrogate: too rare to look for in every text
        return await execute(sql, *storable(parameters))


async def next_id_of(table: str, execute: Execute) -> int:
    """The id of the row that is inserted next, as only one connection writes."""
    rows = await execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")  # noqa: S608 - our own names
    return int(rows[0][0])


def named_values(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, ...], str, list[Any]]]:
    """Rows of values by name, which all have the same names: these, a SELECT or VALUES, and its parameters.

    What is None in each row is no parameter: sqlite3 takes ten times as long to bind it as a number.
    """
    if rows:
        columns = tuple(rows[0])
        by_column = list(map(_quickly_bound, zip(*map(itemgetter(*columns), rows), strict=True)))
        given = [column[0] is not None or column.count(None) < len(column) for column in by_column]
        pairs = zip(columns, given, strict=True)
        row = ", ".join(_PLACES.get(name, "?") if is_given else "NULL" for name, is_given in pairs)
        flat = [*chain.from_iterable(zip(*compress(by_column, given), strict=True))]
        for values, parameters in flat_values(flat, sum(given), row):
            yield columns, values, parameters


def _quickly_bound(column: Sequence[Any]) -> Sequence[Any]:
    """The column with hashes as bytearrays. sqlite3 binds these in 130 ns; for bytes it seeks an adapter, in 590."""
    if not isinstance(column[0], bytes) or len(column[0]) > _MAX_HASH_BYTES:
        return column
    return [bytearray(value) if isinstance(value, bytes) else value for value in column]


def flat_values(flat: list[Any], width: int, row: str | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Rows of so many parameters, one after the other, as VALUES and these; as many as one may have.

    So that few statements occur, those that are left are a SELECT in which the last row stands more than once, and the
    limit leaves the others of it out. It takes longer: each row is copied once more.
    `row` has a `?` for each parameter of a row, and what is the same in all of them; None: nothing is.
    """
    row = f"({row or ', '.join('?' * width)})"
    most = _MAX_PARAMETERS // width
    for start in range(0, len(flat), most * width):
        part = flat[start : start + most * width]
        rows = len(part) // width
        if rows == most:
            yield f"VALUES {', '.join([row] * most)}", part
            continue
        count = min(_round(rows), most)
        parameters = [*part, *part[-width:] * (count - rows), rows]
        yield f"SELECT * FROM (VALUES {', '.join([row] * count)}) LIMIT ?", parameters  # noqa: S608 - no text of others


def _round(number: int) -> int:
    """The next number that is a power of two, or three quarters of one."""
    power = 1 << (number - 1).bit_length()
    return power * 3 // 4 if number <= power * 3 // 4 else power
