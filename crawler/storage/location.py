"""`--db`, as the user gives it -> the `Database` that is meant. The only place that knows which stores there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crawler.errors import UsageError
from crawler.location import DatabaseUrl, Location, location
from crawler.storage.interface import Database


def database_at(db: Location | str) -> Database:
    """The database at this place, which need not exist yet: a path is that of a SQLite file, a URL that of a PostgreSQL
    database. Raises `UsageError` for a URL that cannot be one, or where asyncpg is missing.
    """
    place = location(db)
    if isinstance(place, DatabaseUrl):
        return _on_server(place)
    from crawler.storage.sqlite.file import SqliteFile

    return SqliteFile(place)


@contextmanager
def with_driver(url: DatabaseUrl) -> Iterator[None]:
    """What is imported within needs asyncpg. Raises `UsageError` where that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise UsageError(
            f'{url} is a PostgreSQL database, which needs asyncpg: pip install "crawler[postgres]"'
        ) from None


def _on_server(url: DatabaseUrl) -> Database:
    with with_driver(url):
        from crawler.storage.postgres.crawl_database import PostgresDatabase
    return PostgresDatabase(url)
