"""`crawler list`: the rows of any view, for people and for programs."""

from __future__ import annotations

import asyncio
import shutil
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from crawler.archive.archive import open_crawl
from crawler.archive.filters import UrlFilter
from crawler.archive.listing import LISTINGS, Listing, Question, listing_of, words
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.cli.rows import AsJson, Limit, OnHost, OutputFormat, UrlGlob, chosen
from crawler.cli.usage import nearest
from crawler.config import DEFAULT_DB
from crawler.errors import DatabaseFailedError, UsageError
from crawler.location import Location
from crawler.output.tables import Format, column, write_rows
from crawler.storage.location import database_at

_PATIENCE_S = 1.0  # then somebody may think that nothing happens
_MAX_WIDTH = 100  # columns; longer lines are hard to read


def list_rows(
    view: Annotated[
        str | None,
        typer.Argument(
            metavar="VIEW",
            help="What to list, such as broken_links or failed; without it, all views.",
            show_default=False,
            autocompletion=words,
        ),
    ] = None,
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    host: OnHost = None,
    url: UrlGlob = None,
    run: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only rows of run N.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Order by a column of the view; -COLUMN has the greatest first."),
    ] = None,
    limit: Limit = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these columns, with commas between: url,title.")
    ] = None,
    form: OutputFormat = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """List the rows of a view: pages, broken links, failed or excluded URLs, duplicates, changes and more."""
    form = chosen(form, as_json=as_json)
    if view is None:
        asyncio.run(_list_views(db, form))
        return
    listing = _listing(view, db)
    names = [name.strip() for name in columns.split(",")] if columns is not None else _columns(listing, form)
    filters = UrlFilter(host=host, glob=url)
    question = Question(listing=listing, columns=names, urls=filters, run=run, sort=sort, limit=limit)
    asyncio.run(_list(db, question, form))


def _listing(word: str, db: Location) -> Listing:
    """Raises `UsageError`, which says what may have been meant."""
    try:
        return listing_of(word)
    except UsageError:
        is_there = database_at(db).exists() if isinstance(db, Path) else True
        if is_there and (of_rule := asyncio.run(_of_rule(word, db))) is not None:
            return of_rule
        near = nearest(word.lower().replace("-", "_"), words())
        if near is None:
            raise
        raise UsageError(f"there is no view {word!r}; did you mean {near}? `crawler list` shows them all") from None


async def _of_rule(word: str, db: Location) -> Listing | None:
    """The view of an extraction rule, which only this database has."""
    async with open_crawl(db) as archive:
        try:
            return await archive.listing_of(word)
        except UsageError:
            return None


def _columns(listing: Listing, form: Format) -> Sequence[str]:
    """People see those that are of use to them, programs get all."""
    return listing.shown if form is Format.TABLE else tuple(listing.view.columns)


async def _list(db: Location, question: Question, form: Format) -> None:
    async with open_crawl(db) as archive, _patience(question) as arrived:
        rows = archive.answers(question)
        number = await write_rows([column(name) for name in question.selected], _noting(rows, arrived), form)
    if not number and sys.stdout.isatty():
        typer.echo("no rows", err=True)


async def _noting(rows: AsyncIterator[Sequence[object]], arrived: asyncio.Event) -> AsyncIterator[Sequence[object]]:
    """The rows; `arrived` is set with the first."""
    async for row in rows:
        arrived.set()
        yield row


@asynccontextmanager
async def _patience(question: Question) -> AsyncIterator[asyncio.Event]:
    """Say why it takes long, if the event is not set soon: that the first row has come."""
    arrived = asyncio.Event()
    waiting = asyncio.create_task(_ask_for_patience(question, arrived))
    try:
        yield arrived
    finally:
        waiting.cancel()


async def _ask_for_patience(question: Question, arrived: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(arrived.wait(), _PATIENCE_S)
    except TimeoutError:
        why = "all rows are read before the first is printed" if question.sort is None else "sorting all rows"
        typer.echo(f"{question.listing.name}: {why}; this may take a while", err=True)


async def _list_views(db: Location, form: Format) -> None:
    """The table of views: wrapped on a terminal, which must not cut what it says."""
    every = [*LISTINGS.values(), *await _of_rules(db)]
    rows = [(one.name, " ".join(one.aliases), one.summary) for one in every]
    if form is not Format.TABLE or not sys.stdout.isatty():
        await write_rows(["view", "aliases", "description"], rows, form)
        return
    width = min(_MAX_WIDTH, shutil.get_terminal_size().columns)
    begin = max(len(_names(name, aliases)) for name, aliases, _summary in rows) + 2
    for name, aliases, summary in rows:
        head = _names(name, aliases).ljust(begin)
        typer.echo(textwrap.fill(summary, width, initial_indent=head, subsequent_indent=" " * begin))


async def _of_rules(db: Location) -> list[Listing]:
    """The views of its extraction rules; none where it cannot be read, since the table itself needs no database."""
    try:
        async with open_crawl(db) as archive:
            return await archive.listings_of_rules()
    except DatabaseFailedError:
        return []


def _names(name: str, aliases: str) -> str:
    return f"{name} ({aliases.replace(' ', ', ')})" if aliases else name
