"""`crawler stop`: ends a running crawl cleanly."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from crawler.config import DEFAULT_DB
from crawler.errors import UsageError
from crawler.storage.sqlite.lock import holder_of


def stop(db: Annotated[Path, typer.Option(help="The crawl database.")] = DEFAULT_DB) -> None:
    """Stop a running crawl cleanly, as Ctrl-C would: requests in flight are finished and stored."""
    process = holder_of(db)
    if process is None:
        typer.echo(f"no crawl is using {db}")
        return
    try:
        os.kill(process, signal.SIGHUP)
    except OSError as error:
        raise UsageError(f"cannot stop the crawl that uses {db} (process {process}): {error.strerror}") from error
    typer.echo(f"stopping the crawl that uses {db} (process {process}); it finishes its requests in flight first")
