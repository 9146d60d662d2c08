"""`crawler diff`: what differs between two runs."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import aiosqlite
import typer
from rich.console import Console

from crawler.archive.archive import Archive
from crawler.archive.comparison import compare
from crawler.archive.moments import Moment, after_run, at_time, last_two_runs, snapshot
from crawler.archive.reading import open_archive
from crawler.archive.revisions import revisions
from crawler.cli.database import ConfigFile, DatabasePath
from crawler.cli.rows import AsJson, OutputFormat, chosen
from crawler.cli.show import known
from crawler.config import DEFAULT_DB
from crawler.errors import UsageError
from crawler.output.differences import (
    COLUMNS,
    counts_as_data,
    print_counts,
    print_revisions,
    revision_as_data,
    rows_of,
    unified_lines,
)
from crawler.output.tables import Format, write_rows
from crawler.quantities import Age
from crawler.statically_frozen import dataclass

_PLAIN_WIDTH = 400  # columns: without a terminal nothing is wrapped or cut
_LISTED = 20  # of each word, for people


def diff(
    before: Annotated[
        int | None,
        typer.Argument(min=1, metavar="RUN", help="Compare with the end of this run.", show_default=False),
    ] = None,
    after: Annotated[
        int | None,
        typer.Argument(min=1, metavar="RUN", help="And up to the end of this one, not up to now.", show_default=False),
    ] = None,
    db: DatabasePath = DEFAULT_DB,
    config_file: ConfigFile = None,
    since: Annotated[
        float | None,
        typer.Option(metavar="AGE", parser=Age(unit="d").parse, help="Since then, such as 7d, instead of a run."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Show what changed in this page: metadata, text, links, extracted values."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="List at most N of each kind; in a table 20, unless you say otherwise."),
    ] = None,
    form: OutputFormat = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: pages that are new, changed, gone, moved, withdrawn or back, and links that broke or healed.

    Without a run, the last one is compared with the one before. Counts come first, then lists.
    """
    if since is not None and before is not None:
        raise UsageError("--since stands in place of a run; give one of them")
    if text is not None and limit is not None:
        raise UsageError("--limit is for lists of changes, and cannot be combined with --text")
    form = chosen(form, as_json=as_json)
    span = _Span(before=before, after=after, since_s=since)
    if text is None:
        asyncio.run(_compare(db, span, form, _LISTED if limit is None and form is Format.TABLE else limit))
    elif form is Format.CSV:
        raise UsageError("--text shows a text, which is no table; leave --format csv out")
    else:
        asyncio.run(_show_text(db, span, text, as_json=form is Format.JSONL))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """What the user wants to be compared."""

    before: int | None
    after: int | None
    since_s: float | None

    async def moments(self, path: Path, connection: aiosqlite.Connection) -> tuple[Moment, Moment]:
        """Raises `UsageError` for a run that is not there."""
        last_but_one, newest = await last_two_runs(path, connection)
        if self.since_s is not None:
            return await at_time(path, connection, time.time() - self.since_s), newest
        if self.before is None:
            return last_but_one, newest
        first = await after_run(path, connection, self.before)
        return first, newest if self.after is None else await after_run(path, connection, self.after)


async def _compare(db: Path, span: _Span, form: Format, limit: int | None) -> None:
    async with open_archive(db) as connection, snapshot(db, connection):
        moments = await span.moments(db, connection)
        comparison = await compare(db, connection, *moments)
        if form is Format.JSONL:
            typer.echo(json.dumps(counts_as_data(comparison, moments)))
        elif form is Format.TABLE:
            print_counts(_console(), comparison, moments, limit)
            typer.echo()
        await write_rows(COLUMNS, rows_of(comparison, limit), form)


async def _show_text(db: Path, span: _Span, text: str, *, as_json: bool) -> None:
    async with open_archive(db) as connection:
        url = await known(Archive(db, connection), text, db)
        chosen_span = span.before is not None or span.since_s is not None
        moments = await span.moments(db, connection) if chosen_span else None
        before, after = await revisions(db, connection, url, moments)
    if as_json:
        found = {"before": revision_as_data(before), "after": revision_as_data(after)}
        typer.echo(json.dumps({"url": url, **found, "diff": list(unified_lines(url, before, after))}))
    else:
        print_revisions(_console(), url, before, after)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
