"""One crawl database into another, whichever way is possible."""

from __future__ import annotations

from pathlib import Path

from crawler.errors import UsageError
from crawler.location import DatabaseUrl, Location
from crawler.storage.copying.steps import Copied, Tell


async def copy_crawl(source: Location, target: Location, tell: Tell) -> Copied:
    """Copy the crawl from one store to the other, and tell how far it is.

    Raises `UsageError` where there is nothing to do for it, or a crawl already; `DatabaseBusyError` if a run is using
    the source, or another process fills the target; else `DatabaseFailedError`.
    """
    if isinstance(source, Path) and isinstance(target, DatabaseUrl):
        from crawler.storage.copying.to_postgres import copy_to_postgres

        return await copy_to_postgres(source, target.with_password, tell)
    if isinstance(source, DatabaseUrl) and isinstance(target, Path):
        from crawler.storage.copying.to_sqlite import copy_to_sqlite

        return await copy_to_sqlite(source.with_password, target, tell)
    if isinstance(source, Path):
        raise UsageError(f"both are files; `crawler backup {target} --db {source}` copies one")
    raise UsageError("both are PostgreSQL databases; copy one with pg_dump and pg_restore")
