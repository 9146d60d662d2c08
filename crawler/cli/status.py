"""`crawler status`: what a database holds, even while a crawl is running."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import nullcontext, suppress
from typing import Annotated

import typer
from rich.console import Console

from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB
from crawler.output.status import Status, print_status, read_status

_PLAIN_WIDTH = 400  # columns: without a terminal nothing is wrapped or cut


def status(
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, max=86400, metavar="S", help="With --watch: seconds between refreshes.")
    ] = 2.0,
) -> None:
    """Show what a crawl database holds: runs, URLs by status, hosts, failures and exclusions."""
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    if not watch:
        _show(console, asyncio.run(read_status(db)), as_json=as_json, indent=2)
        return
    own_screen = console.is_terminal and not as_json
    with suppress(KeyboardInterrupt), console.screen() if own_screen else nullcontext():
        while True:
            found = asyncio.run(read_status(db))
            if own_screen:
                _redraw(console, found)
            else:
                _show(console, found, as_json=as_json, indent=None)  # one object per line
            sys.stdout.flush()
            time.sleep(interval)


def _show(console: Console, found: Status, *, as_json: bool, indent: int | None) -> None:
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=indent))
    else:
        print_status(console, found)


def _redraw(console: Console, found: Status) -> None:
    """Redraw in place with one write, and no more than fits: a screen that scrolls or flickers cannot be read."""
    with console.capture() as drawn:
        print_status(console, found)
    lines = drawn.get().splitlines()[: console.height - 1]
    sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
