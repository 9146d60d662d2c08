"""`crawler copy`: a crawl moved between SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from crawler.location import Location, location
from crawler.output.figures import counted
from crawler.output.streams import lasting_stream
from crawler.storage.copying.copying import copy_crawl
from crawler.storage.copying.steps import Copied, Tell

_PLACE = "PATH or postgresql://USER@HOST/NAME"


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help=f"The crawl: {_PLACE}.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Where to: the other of these two.")],
) -> None:
    """Copy a crawl from SQLite to PostgreSQL or back, verify the copy, and go on where a copy was killed.

    It refuses a TO that has a crawl already, and a FROM that a run is using.
    """
    places = location(source), location(target)
    with _progress() as tell:
        copied = asyncio.run(copy_crawl(*places, tell))
    typer.echo(_account(*places, copied))
    for what in copied.left_out:
        typer.echo(f"left out: {what}", err=True)


def _account(source: Location, target: Location, copied: Copied) -> str:
    rows = copied.rows
    what = ", ".join(
        (
            counted(rows["runs"], "run"),
            counted(rows["hosts"], "host"),
            counted(rows["urls"], "URL"),
            counted(rows["fetches"], "attempt"),
            counted(rows["pages"], "page version"),
            counted(rows["change_log"], "change"),
        )
    )
    return f"copied {source} to {target}: {what}; verified"


@contextmanager
def _progress() -> Iterator[Tell]:
    """On a terminal it is drawn, elsewhere not."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=lasting_stream(2)), transient=True) as progress:
        task = progress.add_task("copying", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None, description=what)

        yield tell
