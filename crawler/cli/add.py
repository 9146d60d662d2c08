"""`crawler add`: more seeds for a crawl, even while it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.cli.seeds import read_seeds
from crawler.config import DEFAULT_DB
from crawler.errors import no_crawl_in
from crawler.output.figures import counted
from crawler.storage.location import database_at


def add(
    seeds: Annotated[
        list[str],
        typer.Argument(
            metavar="SEED", help="A URL, a host name, a file with one URL per line, or - for standard input."
        ),
    ],
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
) -> None:
    """Add SEEDs to a crawl. A running crawl picks them up within about a second; otherwise the next run does."""
    database = database_at(db)
    running = database.is_held()
    if not database.exists() and not running:
        raise no_crawl_in(db)
    number = database.leave_note(read_seeds(seeds))
    typer.echo(f"{counted(number, 'URL')} added {'to the running crawl' if running else 'for the next run'} ({db})")
