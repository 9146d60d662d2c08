"""`crawler stop`: ends a crawl early, and cleanly."""

from __future__ import annotations

import typer

from crawler.cli.options import DatabasePath
from crawler.config import DEFAULT_DB
from crawler.storage.location import database_at


def stop(db: DatabasePath = DEFAULT_DB) -> None:
    """End the crawl that runs into a database, as Ctrl-C would: what it has under way is finished and stored."""
    told = database_at(db).stop_run()
    if told is None:
        typer.echo(f"no crawl runs into {db}")
    else:
        typer.echo(f"{told}, which crawls into {db}, is finishing what it has under way")
