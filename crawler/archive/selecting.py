"""Rows as answers: the names of an answer's fields are those of the columns that it is read from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from crawler.archive.dialect import Sql, Text, joined

_Answer = TypeVar("_Answer")

# Of the fields with another name.
_COLUMNS: dict[str, Text] = {
    "size_bytes": "bytes",
    "is_seed": "seed > 0",
    "has_page": "page_id IS NOT NULL",
    "found_on": Sql(
        "(SELECT s.url FROM urls AS s WHERE s.id = urls.found_on)",
        "(SELECT s.url FROM urls AS s WHERE s.part = (urls.found_on_host & (SELECT parts - 1 FROM meta))::int"
        " AND (s.host_id, s.id) = (urls.found_on_host, urls.found_on))",
    ),
}


def select(kind: Callable[..., Any], source: Text) -> Sql:
    """A query for answers of this kind, from what follows FROM."""
    columns = joined([_COLUMNS.get(name, name) for name in _flags(kind)])
    return Sql.same("SELECT {columns} FROM {source}").format(columns=columns, source=source)


def answer(kind: Callable[..., _Answer], row: Sequence[Any]) -> _Answer:
    """From a row of `select`."""
    flags = _flags(kind)
    return kind(**{name: bool(row[n]) if flags[name] else row[n] for n, name in enumerate(flags)})


@cache
def _flags(kind: Any) -> dict[str, bool]:
    """The fields by name, in their order, and whether each is a flag: SQLite has no bool."""
    return {field.name: field.type == "bool" for field in fields(kind)}
