"""Which database a command works on: `--db`, or that of a crawl file; and how one that writes gets it for itself.

A command takes a `DatabasePlace`; one that cannot work on PostgreSQL takes a `DatabasePath`, and so refuses a URL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from crawler.cli.crawl_file import CONFIG, read_crawl_file
from crawler.config import StartConfig
from crawler.errors import DatabaseBusyError
from crawler.kinds import Place
from crawler.location import Location, file_at, location
from crawler.options import options_of
from crawler.storage.interface import Database

_POLL_S = 0.25


def _take_database(context: typer.Context, file: str | None) -> str | None:
    if file is not None:
        from crawler.cli.crawl import CRAWL_OPTIONS  # a key that is no option is an error for every command

        context.default_map = {"db": read_crawl_file(Path(file), CRAWL_OPTIONS)["db"]}
    return file


def _refuse_url(context: typer.Context, db: Location) -> Path:
    return file_at(db, f"`crawler {context.info_name}`")


DatabasePlace = Annotated[  # a `Location`, but Typer knows no unions
    Any, typer.Option("--db", metavar=Place().metavar, help="The crawl database.", parser=location)
]
DatabasePath = Annotated[  # of a command that works on files only
    Path, typer.Option("--db", metavar="PATH", help="The crawl database.", parser=location, callback=_refuse_url)
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        CONFIG.flag,
        metavar=CONFIG.kind.metavar,
        help="Use the database of this crawl file, unless --db is given.",
        callback=_take_database,
        is_eager=True,
    ),
]
IF_RUNNING = next(one for one in options_of(StartConfig) if one.name == "lock_wait_s")
IfRunning = Annotated[
    str,
    typer.Option(
        metavar=IF_RUNNING.kind.metavar,
        help=IF_RUNNING.help,
        autocompletion=lambda: list(IF_RUNNING.kind.completions),
    ),
]


@contextmanager
def held(database: Database, wait_s: float) -> Iterator[None]:
    """Hold the database, once whoever holds it lets go. Raises `DatabaseBusyError` if that takes longer."""
    deadline, told = time.monotonic() + wait_s, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(database.hold())
                break
            except DatabaseBusyError as busy:
                if time.monotonic() >= deadline:
                    raise
                if not told:
                    typer.echo(f"waiting: {busy}", err=True)
                told = True
            time.sleep(_POLL_S)
        yield
