"""`crawler stop`: ends a running crawl cleanly."""

from __future__ import annotations

import typer

from crawler.cli.database import ConfigFile, DatabasePath
from crawler.config import DEFAULT_DB
from crawler.errors import no_crawl_in
from crawler.storage.location import database_at


def stop(db: DatabasePath = DEFAULT_DB, config_file: ConfigFile = None) -> None:
    """Stop a running crawl cleanly, as Ctrl-C would: requests in flight are finished and stored."""
    database = database_at(db)
    stopped = database.stop_run()
    if stopped is None and not database.exists():
        raise no_crawl_in(db)
    if stopped is None:
        typer.echo(f"no crawl is using {db}")
    else:
        typer.echo(f"stopping the crawl that uses {db} ({stopped}); it finishes its requests in flight first")
