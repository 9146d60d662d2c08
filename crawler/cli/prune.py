"""`crawler prune`: keeps a database from growing forever."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from crawler.archive.pruning import after_prune, before_prune
from crawler.cli.database import IF_RUNNING, ConfigFile, DatabasePlace, IfRunning, held
from crawler.config import DEFAULT_DB
from crawler.errors import DatabaseBusyError, UsageError
from crawler.output.figures import counted, size
from crawler.quantities import Age
from crawler.storage.interface import Pruned
from crawler.storage.location import database_at

_ALL = 1 << 62  # versions of a page


def prune(
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    keep_versions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Keep the N newest versions of each page.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            metavar="AGE",
            parser=Age(unit="d").parse,
            help="Remove only what was fetched longer ago, such as 90d, including records of attempts.",
        ),
    ] = None,
    vacuum: Annotated[bool, typer.Option("--vacuum", help="Shrink the file by rewriting the whole database.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what would be removed, and remove nothing.")
    ] = False,
    if_running: IfRunning = "fail",
) -> None:
    """Remove old page versions with their links and bodies, and old attempts. Each page keeps its newest version."""
    if keep_versions is None and older_than is None and not vacuum:
        raise UsageError("nothing to prune; give --keep-versions N, --older-than AGE, or --vacuum")
    before = None if older_than is None else time.time() - older_than
    keep = keep_versions or (_ALL if older_than is None else 1)
    wait_s = IF_RUNNING.parse(if_running)
    database = database_at(db)
    try:
        with held(database, wait_s) if database.exists() else nullcontext():  # do not create one
            derived = db if isinstance(db, Path) and not dry_run else None  # there are indexes beside a file only
            if derived is not None:
                asyncio.run(before_prune(derived))
            pruned = asyncio.run(database.prune(keep_versions=keep, before=before, vacuum=vacuum, dry_run=dry_run))
            if derived is not None and (pruned.links or pruned.fetches):
                asyncio.run(after_prune(derived))
    except DatabaseBusyError as busy:
        if if_running.strip() != "skip":
            raise
        typer.echo(f"skipped: {busy}", err=True)
        return
    typer.echo(_account(pruned, vacuum=vacuum, dry_run=dry_run))


def _account(pruned: Pruned, *, vacuum: bool, dry_run: bool) -> str:
    rows = (
        f"{counted(pruned.pages, 'page version')}, {counted(pruned.links, 'link')},"
        f" {counted(pruned.bodies, 'body', 'bodies')}, {counted(pruned.fetches, 'attempt')}"
    )
    if dry_run:
        return f"would remove {rows} (about {size(pruned.freed)}); nothing was changed"
    if vacuum:
        return f"removed {rows}; the database went from {size(pruned.size_before)} to {size(pruned.size_after)}"
    free = f", {size(pruned.freed)} of it free for reuse (--vacuum shrinks the file)" if pruned.freed else ""
    return f"removed {rows}; the database is {size(pruned.size_after)}{free}"
