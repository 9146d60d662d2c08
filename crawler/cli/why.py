"""`crawler why`: what decided about a URL, or would decide."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crawler.archive.archive import open_crawl
from crawler.archive.finding import meant
from crawler.cli.crawl_file import HOSTS, SEEDS, read_crawl_file
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.cli.show import PLAIN_WIDTH, UrlArgument, tell
from crawler.config import DEFAULT_DB, CrawlConfig
from crawler.location import Location
from crawler.storage.location import database_at

if TYPE_CHECKING:
    from crawler.archive.answers import Why
    from crawler.archive.ruling import Rules


def why(
    url: UrlArgument,
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Tell why a URL was fetched, excluded or never seen: how it was found, and which rule, bound or failure decided.

    With --config FILE, the rules are those of that crawl file, also before any crawl; otherwise those of the last run.
    """
    from crawler.archive.why import foretold  # these bring in all that decides in a crawl
    from crawler.output.why import as_data, print_why

    rules = None if config_file is None else rules_of(Path(config_file))
    if rules is not None and not database_at(db).exists():
        found, near = foretold(meant(url)[0], rules), list[str]()
    else:
        found, near = asyncio.run(_ask(db, url, rules))
    if as_json:
        typer.echo(json.dumps(as_data(found, near), indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
        print_why(console, found, near)


async def _ask(db: Location, text: str, rules: Rules | None) -> tuple[Why, list[str]]:
    """And what may be meant instead of a URL that was never seen."""
    async with open_crawl(db, notify=tell) as archive:
        url = await archive.find(text)
        if url is not None:
            return await archive.why(url, rules), []
        return await archive.why(await archive.likeliest(text), rules), await archive.guesses(text)


def rules_of(file: Path) -> Rules:
    """Those of a crawl file, with its seeds. Raises `UsageError`."""
    from crawler.archive.ruling import Rules
    from crawler.cli.crawl import CRAWL_OPTIONS
    from crawler.cli.options import parameter_of, read_options
    from crawler.cli.seeds import read_seeds

    given = read_crawl_file(file, CRAWL_OPTIONS)
    options = {parameter_of(one): None for one in CRAWL_OPTIONS} | given
    config = replace(read_options(CrawlConfig, options), hosts=given.get(HOSTS, ()))
    seeds = read_seeds([seed for seed in given.get(SEEDS.name, ()) if seed != "-"])
    return Rules(config=config, seeds=seeds, source=str(file))
