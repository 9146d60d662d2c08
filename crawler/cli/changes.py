"""`crawler changes`: what has changed, as a feed for programs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from crawler.archive.changes import BEGINNING, NOW, newest_cursor, read_changes
from crawler.archive.reading import open_database
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB
from crawler.location import Location


def changes(
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR",
            help="Only what was stored after that: a cursor that an earlier call has printed, or `now` for a cursor"
            " alone. Without it, from the beginning.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Print at most N changes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, which it prints anyway.")] = False,
) -> None:
    """Print what has changed as JSON lines, for programs: each change exactly once, in order, with a cursor.

    The last line has nothing but the cursor to give to --since the next time.
    """
    asyncio.run(_print(db, since, limit))


async def _print(db: Location, since: str | None, limit: int | None) -> None:
    async with open_database(db) as reader:
        if since == NOW:
            _print_line({"cursor": await newest_cursor(db, reader)})
            return
        cursor = since if since is not None else BEGINNING
        async for entry in read_changes(db, reader, cursor, limit):
            cursor = entry.cursor
            _print_line(asdict(entry))
        _print_line({"cursor": cursor})


def _print_line(line: Mapping[str, Any]) -> None:
    """ASCII: any pipe takes it as it is, and no terminal obeys it."""
    sys.stdout.write(json.dumps(line) + "\n")
