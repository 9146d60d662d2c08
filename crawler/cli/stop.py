"""`crawler stop`: ends a running crawl cleanly."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB
from crawler.errors import no_crawl_in
from crawler.storage.location import database_at

_POLL_S = 0.1


def stop(
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return only once the crawl has ended.")] = False,
) -> None:
    """Stop a running crawl cleanly, as Ctrl-C would: requests in flight are finished and stored."""
    database = database_at(db)
    stopped = database.stop_run()
    if stopped is None:
        if not database.exists():
            raise no_crawl_in(db)
        typer.echo(f"no crawl is using {db}")
    elif not wait:
        typer.echo(f"stopping the crawl that uses {db} ({stopped}); it finishes its requests in flight first")
    else:
        while database.holder() == stopped:  # whoever waits for it may hold it next
            time.sleep(_POLL_S)
        typer.echo(f"stopped the crawl that used {db} ({stopped})")
