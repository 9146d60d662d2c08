"""`crawler status`: what a database holds. Works while a crawl runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crawler.config import DEFAULT_DB
from crawler.output.status import print_status, read_status

_PLAIN_WIDTH = 400  # columns: without a terminal nothing is wrapped or cut


def status(
    db: Annotated[Path, typer.Option("--db", help="The crawl database.")] = DEFAULT_DB,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Show what a crawl database holds: runs, URLs by status, hosts, what failed and what was excluded."""
    found = asyncio.run(read_status(db))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        print_status(Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False), found)
