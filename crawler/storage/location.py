"""`--db`, as the user gives it -> the `Database` that is meant. The only place that knows which stores there are."""

from __future__ import annotations

from pathlib import Path

from crawler.storage.interface import Database
from crawler.storage.sqlite.file import SqliteFile


def database_at(location: Path | str) -> Database:
    """The database at this place, which need not exist yet: a path is that of a SQLite file."""
    return SqliteFile(Path(location))
