"""`--db`, as the user gives it -> the `Database` that is meant. The only place that knows which stores there are."""

from __future__ import annotations

from crawler.errors import UsageError
from crawler.location import DatabaseUrl, Location, location
from crawler.storage.interface import Database


def database_at(db: Location | str) -> Database:
    """The database at this place, which need not exist yet: a path is that of a SQLite file, a URL that of a PostgreSQL
    database. Raises `UsageError` for a URL that cannot be one.
    """
    place = location(db)
    if isinstance(place, DatabaseUrl):
        raise UsageError(f"{place}: this version cannot crawl into PostgreSQL yet")
    from crawler.storage.sqlite.file import SqliteFile

    return SqliteFile(place)
