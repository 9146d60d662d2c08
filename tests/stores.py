"""A look at a crawl database, and a change to it, by another program: alike in every store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from tests.postgres import sql as postgres

Location: TypeAlias = Path | str  # of a SQLite file, or the URL of a PostgreSQL database


def rows(location: Location, sql: str, *parameters: Any) -> list[Any]:
    """What a query gives: tables and columns are the same in every store."""
    if not isinstance(location, Path):
        return postgres.rows(location, sql, *parameters)
    with closing(sqlite3.connect(f"file:{location}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, parameters).fetchall()


def rows_changed(location: Location, sql: str, *parameters: Any) -> int:
    """Run a statement; returns how many rows it has changed."""
    if not isinstance(location, Path):
        return postgres.execute(location, sql, *parameters)
    with closing(sqlite3.connect(location)) as connection, connection:
        return connection.execute(sql, parameters).rowcount


def stores(location: Location, text: str) -> bool:
    """Whether the text is anywhere in it, be it in what was deleted, or beside the file."""
    if isinstance(location, Path):
        files = location.parent.glob(f"{location.name}*")
        return any(text.encode() in file.read_bytes() for file in files if file.is_file())
    tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    return any(
        text in row or text.encode().hex() in row
        for (table,) in rows(location, tables)
        for (row,) in rows(location, f"SELECT t::text FROM {table} AS t")
    )
