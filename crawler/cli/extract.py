"""`crawler extract`: applies extraction rules to what a crawl has stored."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli.crawl_file import CONFIG, RULES, read_crawl_file
from crawler.cli.database import IF_RUNNING, DatabasePlace, IfRunning, held
from crawler.config import DEFAULT_DB, CrawlConfig, ExtractConfig, RunConfig
from crawler.errors import DatabaseBusyError, UsageError
from crawler.extraction import Extracted, extract_stored
from crawler.extraction_rules import Rule
from crawler.location import Location
from crawler.options import options_of
from crawler.output.ending import found_by_rule
from crawler.output.figures import amount, counted
from crawler.output.streams import lasting_stream
from crawler.storage.interface import Database, Extraction
from crawler.storage.location import database_at

FIELDS = options_of(ExtractConfig)[0]
_TIMEOUT = next(one for one in options_of(RunConfig) if one.name == "parse_timeout_s")


def use_rules(context: typer.Context, file: str | None) -> str | None:
    """Take the rules of a crawl file, its database and what it says of --extract."""
    if file is not None:
        from crawler.cli.crawl import CRAWL_OPTIONS  # a key that is no option is an error for every command

        given = read_crawl_file(Path(file), CRAWL_OPTIONS)
        context.meta[RULES] = given.get(RULES)
        context.default_map = {name: given[name] for name in ("db", "extract", "parse_timeout") if name in given}
    return file


RulesFile = Annotated[
    str | None,
    typer.Option(
        CONFIG.flag,
        metavar=CONFIG.kind.metavar,
        help="Use the [[extract]] rules and the database of this crawl file.",
        callback=use_rules,
        is_eager=True,
    ),
]
ExtractedFields = Annotated[
    list[str] | None,
    typer.Option("--extract", metavar=FIELDS.kind.metavar, help="Extract this from every page. Repeatable."),
]
ParseTimeout = Annotated[
    str | None, typer.Option(_TIMEOUT.flag, metavar=_TIMEOUT.kind.metavar, help=_TIMEOUT.help, show_default="10")
]


def extract(
    context: typer.Context,
    db: DatabasePlace = DEFAULT_DB,
    config_file: RulesFile = None,
    extract: ExtractedFields = None,
    again: Annotated[bool, typer.Option("--again", help="Also read again what the rules have read.")] = False,
    drop: Annotated[
        str | None,
        typer.Option("--drop", metavar="NAME", help="Remove a rule with its rows and its view, and read nothing."),
    ] = None,
    parse_timeout: ParseTimeout = None,
    if_running: IfRunning = "fail",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Apply extraction rules to the stored pages, without fetching: a crawl file's, --extract, or all used before.

    Reads the bodies of all versions that a rule has not read as it is now. Stopped or killed, the same command goes on.
    """
    rules = rules_given(context, extract)
    timeout_s = _TIMEOUT.default if parse_timeout is None else _TIMEOUT.parse(parse_timeout)
    _TIMEOUT.check(timeout_s)
    database = database_at(db)
    try:
        with held(database, IF_RUNNING.parse(if_running)) if database.exists() else _nothing_there(db):
            if drop is not None:
                typer.echo(asyncio.run(_drop(database, drop)))
                return
            done = asyncio.run(_extract(database, rules, timeout_s, again=again))
    except DatabaseBusyError as busy:
        if if_running.strip() != "skip":
            raise
        typer.echo(f"skipped: {busy}", err=True)
        return
    typer.echo(json.dumps(_as_data(done), indent=2) if as_json else _told(done))


def rules_given(context: typer.Context, fields: Sequence[str] | None) -> tuple[Rule, ...]:
    """Those of the crawl file and of --extract. Raises `UsageError`."""
    config = ExtractConfig(fields=() if fields is None else FIELDS.parse(fields))
    return CrawlConfig(rules=context.meta.get(RULES) or (), extract=config).all_rules


@contextmanager
def _nothing_there(db: Location) -> Iterator[None]:
    raise UsageError(f"{db} does not exist; `crawler crawl` makes it")
    yield


async def _drop(database: Database, name: str) -> str:
    async with database.open_extraction() as extraction:
        rows = await extraction.drop_rule(name)
        if rows is None:
            known = ", ".join(rule.name for rule in await extraction.rules()) or "none"
            raise UsageError(f"there is no extraction rule {name!r}; there are: {known}")
    return f"removed the rule {name} with {counted(rows, 'row')}"


async def _extract(database: Database, rules: Sequence[Rule], timeout_s: float, *, again: bool) -> Extracted:
    async with database.open_extraction() as extraction:
        return await _apply(extraction, rules or await extraction.rules(), timeout_s, again=again)


async def _apply(extraction: Extraction, rules: Sequence[Rule], timeout_s: float, *, again: bool) -> Extracted:
    if not rules:
        raise UsageError("there are no extraction rules; give a crawl file with --config FILE, or --extract NAME=CSS")
    unread = await extraction.use_rules(rules, again=again)
    behind = [rule for rule in rules if rule.name in unread]
    if not behind:
        return Extracted()
    with _bar(max(unread.values())) as progress:
        return await extract_stored(extraction, behind, timeout_s, progress)


def _told(done: Extracted) -> str:
    """A line for the pages, and one for each rule."""
    if not done.rules:
        return "nothing to read: the rules have read all stored pages (--again reads them again)"
    parts = {
        "without a stored body": done.without_body,
        "that could not be read": done.unreadable,
    }
    more = "".join(f", {amount(number)} {what}" for what, number in parts.items() if number)
    lines = [f"{counted(done.pages, 'stored page version')}{more}"]
    return "\n".join([*lines, *(f"{rule}: {found_by_rule(count)}" for rule, count in done.rules.items())])


def _as_data(done: Extracted) -> dict[str, object]:
    names = ("pages", "rows", "nothing", "incomplete", "cut")
    rules = {rule: {name: count[name] for name in names} for rule, count in done.rules.items()}
    return {"pages": done.pages, "without_body": done.without_body, "unreadable": done.unreadable, "rules": rules}


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """On a terminal it is drawn, elsewhere not."""
    if not sys.stderr.isatty():
        yield lambda _pages: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading pages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=lasting_stream(2)), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda pages: progress.update(task, completed=pages)
