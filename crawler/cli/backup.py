"""`crawler backup`: a copy of a crawl database, made even while a crawl is running."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB
from crawler.output.figures import size
from crawler.output.streams import lasting_stream
from crawler.storage.location import database_at


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy, a new file.")],
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
) -> None:
    """Copy a crawl database to a new FILE, consistently even while a crawl is running, and verify the copy."""
    with _bar() as progress:
        size_bytes = asyncio.run(database_at(db).backup(file, progress))
    typer.echo(f"copied {db} to {file}, {size(size_bytes)}, verified")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """On a terminal it is drawn, elsewhere not."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=lasting_stream(2)), transient=True) as progress:
        task = progress.add_task("copying", total=None)

        def tell(done: int, total: int) -> None:
            description = "copying" if done < total else "verifying"
            progress.update(task, completed=done, total=total, description=description)

        yield tell
