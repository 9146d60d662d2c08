"""What PostgreSQL alone says like this: conditions, and the columns of a statement as arrays.

A batch of rows is one statement over arrays, one a column. COPY would be a little quicker, but a process that is frozen
within it cannot be ended by the server, and would hold what it has locked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from crawler.storage.columns import IS_LIFTABLE
from crawler.storage.postgres.transactions import Execute


def is_liftable(table: str) -> str:
    """`crawler.storage.columns.IS_LIFTABLE` in a statement that calls the URLs `table`."""
    return _COLUMN.sub(rf"{table}.\1", IS_LIFTABLE)


_COLUMN = re.compile(r"\b(status|cause|detail)\b")

# The types of columns, by name, of those that are no texts. A name has the same type in every table.
_TYPES = {
    name: kind
    for kind, names in {
        "int": "part attempts depth run_id status_code links_cut_at n links_total reader_version size found"
        " robots_status robots_failures pending fetched redirected excluded gone failed pages requests failures"
        " hints_right hints_wrong unstored_links",
        "smallint": "hops seed truncated reused noindex nofollow cut lost",
        "bigint": "id host_id url_id page_id fetch_id head_id found_on_host found_on sitemap_id url_host_id bytes",
        "float8": "started_at elapsed_s first_byte_s next_fetch_at fetched_at revisit_at changes watched_s promise_s"
        " failing_since published_at modified_at lastmod at looks priority new_links paused_until robots_fetched_at"
        " robots_expires_at back_off_until pace_s",
        "bytea": "body_hash hash zstd content_hash metadata_hash scores robots_body",
    }.items()
    for name in names.split()
}


def rows_of(columns: Sequence[str], first: int = 1) -> str:
    """Rows of these columns, called `v`, whose arrays are the parameters from `$first` on.

    `FROM unnest(...)` would say the same, but it stores the rows before it gives the first, each array by itself.
    """
    cells = (f"unnest(${place}::{_TYPES.get(name, 'text')}[]) AS {name}" for place, name in enumerate(columns, first))
    return f"(SELECT {', '.join(cells)}) AS v"


@cache
def insertion(table: str, columns: tuple[str, ...], conflict: str = "") -> str:
    """The statement that inserts rows of these columns; `conflict`: what happens to one that is there."""
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {rows_of(columns)} {conflict}"  # noqa: S608 - our own names


def arrays(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """The parameters of a statement over `rows_of`: the columns of rows, of which there are some."""
    return list(map(list, zip(*rows, strict=True)))


async def insert(table: str, rows: Sequence[Mapping[str, Any]], execute: Execute, conflict: str = "") -> None:
    """Insert rows of values by name, which all have the same names."""
    if rows:
        columns = tuple(rows[0])
        await execute(insertion(table, columns, conflict), *([row[name] for row in rows] for name in columns))
