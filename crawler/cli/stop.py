"""`crawler stop`: ends a crawl early, and cleanly."""

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
    """End the crawl that runs into a database, as Ctrl-C would: what it has under way is finished and stored."""
    process = holder_of(db)
    if process is None:
        typer.echo(f"no crawl runs into {db}")
        return
    try:
        os.kill(process, signal.SIGHUP)
    except OSError as error:
        raise UsageError(f"cannot stop process {process}, which crawls into {db}: {error.strerror}") from error
    typer.echo(f"process {process}, which crawls into {db}, is finishing what it has under way")
