"""`crawler verify`: whether a database is sound."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from crawler.archive.verification import Checked, verify
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB
from crawler.errors import DatabaseFailedError
from crawler.location import Location
from crawler.output.streams import lasting_stream
from crawler.output.verdicts import told, verdict


def verify_database(
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> int:
    """Check a crawl database: its structure, counts, links, pages and bodies. Exits with 6 if something is damaged.

    It works during a crawl, on the state of one moment, and never writes to the database.
    """
    found = asyncio.run(_verify(db, as_json=as_json))
    is_sound = not any(one.is_damage for one in found)
    if as_json:
        checks = [asdict(one) for one in found]
        typer.echo(json.dumps({"path": str(db), "sound": is_sound, "checks": checks}, indent=2))
    else:
        typer.echo(verdict(db, found))
    return 0 if is_sound else DatabaseFailedError.exit_status


async def _verify(db: Location, *, as_json: bool) -> list[Checked]:
    """The checks, which are told as they are made."""
    found: list[Checked] = []
    with _spinner() as begin:
        async with aclosing(verify(db, begin)) as checks:
            async for one in checks:
                found.append(one)
                if not as_json:
                    for line in told(one, db):
                        sys.stdout.write(f"{line}\n")  # not `typer.echo`, which the spinner could not make way for
                        sys.stdout.flush()
    return found


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """On a terminal, it names the check that is being made."""
    if not sys.stderr.isatty():
        yield lambda _name: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(file=lasting_stream(2))
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        task = progress.add_task("")
        yield lambda name: progress.update(task, description=f"checking {name}")
