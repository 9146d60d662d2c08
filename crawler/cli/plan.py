"""`crawler plan`: what the next run will have to do, how long that takes, and what a budget buys. Asks nobody."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console

from crawler.archive.plan import last_options, read_plan
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB, CrawlConfig, RecrawlConfig, RunConfig
from crawler.location import Location
from crawler.options import options_of
from crawler.output.forecasts import Forecast, as_data, foretold, print_forecast

_PLAIN_WIDTH = 400  # columns: without a terminal nothing is wrapped or cut


def plan(
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="AGE|auto",
            help="What is fetched again, as for `crawler crawl`; by default as in the last run, else auto.",
        ),
    ] = None,
    max_requests: Annotated[
        str | None, typer.Option(metavar="N", help="What a run with this budget would do; none: without one.")
    ] = None,
    max_runtime: Annotated[
        str | None, typer.Option(metavar="AGE", help="What a run of this length would do; none: without an end.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most N hosts.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Say what the next run has to fetch, how long politeness makes it take, and how fresh a budget keeps the pages.

    By what is stored and learnt, without a request, and with the options of the last run. What that run will discover
    is not foreseen.
    """
    given = {"max_age_s": max_age, "max_requests": max_requests, "max_runtime_s": max_runtime}
    asyncio.run(_plan(db, {name: text for name, text in given.items() if text is not None}, limit, as_json=as_json))


async def _plan(db: Location, given: dict[str, str], limit: int, *, as_json: bool) -> None:
    chosen = {name: _parsed(name, text) for name, text in given.items()}
    config = _with(chosen, CrawlConfig(db=db).resumed(await last_options(db), ())[0])
    found: Forecast = foretold(await read_plan(db, config, time.time()), config)
    if as_json:
        typer.echo(json.dumps(as_data(found), indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    await print_forecast(console, found, limit)


def _parsed(name: str, text: str) -> Any:
    """The value of an option of `crawler crawl`. Raises `UsageError`."""
    option = next(one for one in (*options_of(RecrawlConfig), *options_of(RunConfig)) if one.name == name)
    value = option.parse(text)
    option.check(value)
    return value


def _with(chosen: dict[str, Any], config: CrawlConfig) -> CrawlConfig:
    """With these options, and something to fetch again."""
    run = {name: value for name, value in chosen.items() if name != "max_age_s"}
    max_age_s = chosen.get("max_age_s", config.recrawl.max_age_s)
    recrawl = replace(config.recrawl, max_age_s="auto" if max_age_s is None else max_age_s)
    return replace(config, recrawl=recrawl, run=replace(config.run, **run))
