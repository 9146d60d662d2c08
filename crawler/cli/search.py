"""`crawler search`: the pages of a crawl by their words."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from crawler.archive.answers import SearchResults
from crawler.archive.archive import open_crawl
from crawler.archive.search import UPDATE_S
from crawler.cli.database import ConfigFile, DatabasePath
from crawler.cli.rows import AsJson, OnHost, OutputFormat, chosen
from crawler.config import DEFAULT_DB
from crawler.content.markdown import Content
from crawler.errors import UsageError
from crawler.output.figures import amount
from crawler.output.found import print_hits, write_hits
from crawler.output.safe_text import printable
from crawler.output.tables import Format
from crawler.quantities import Age

_LIMIT = 10


def search(
    query: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY", help='Words, "a phrase", the begin* of a word; AND, OR, NOT. See crawler help search.'
        ),
    ],
    db: DatabasePath = DEFAULT_DB,
    config_file: ConfigFile = None,
    host: OnHost = None,
    language: Annotated[
        str | None,
        typer.Option("--lang", metavar="TAG", help="Only pages that declare this language: de, or pt-BR; pt is both."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Print the N best pages.")] = _LIMIT,
    content: Annotated[
        Content,
        typer.Option(metavar="main|all", help="Search main content only, without menus and the like, or whole pages."),
    ] = Content.ALL,
    update_for: Annotated[
        float | None,
        typer.Option(
            "--update-for",
            metavar="AGE",
            parser=Age(unit="s").parse,
            help="First bring the index up to date, for this long at most (20s); 0s: search what is indexed.",
        ),
    ] = None,
    form: OutputFormat = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Search the current pages by their words; those in titles and headings count more."""
    form, words = chosen(form, as_json=as_json), " ".join(query)
    if not words.strip():
        raise UsageError("the query is empty; give words to search for")
    results = asyncio.run(_results(db, words, host, language, limit, content, update_for))
    if form is Format.TABLE and sys.stdout.isatty():
        print_hits(results)
    else:
        asyncio.run(write_hits(results, form))
    for line in _remarks(results, words):
        typer.echo(line, err=True)


async def _results(
    db: Path,
    query: str,
    host: str | None,
    language: str | None,
    limit: int,
    content: Content,
    update_for: float | None,
) -> SearchResults:
    update_s = UPDATE_S if update_for is None else update_for
    async with open_crawl(db, notify=lambda message: typer.echo(message, err=True)) as archive:
        return await archive.search(
            query, host=host, language=language, limit=limit, content=content, update_s=update_s
        )


def _remarks(results: SearchResults, query: str) -> list[str]:
    found = []
    if not results.hits:
        found.append(f"no page matches {printable(query, 60)}")
    elif results.total > len(results.hits):
        found.append(f"{amount(len(results.hits))} of {_total(results)} pages that match; --limit shows more")
    if results.behind:
        found.append(
            f"up to {amount(results.behind)} page versions are not indexed yet; search again to go on,"
            " or give it more time: --update-for 10m"
        )
    return found


def _total(results: SearchResults) -> str:
    return amount(results.total) if results.is_total_known else f"more than {amount(results.total)}"
