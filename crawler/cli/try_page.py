"""`crawler try`: one page, as it is read, and what extraction rules give for it."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from crawler.archive.archive import open_crawl
from crawler.cli.database import DatabasePath
from crawler.cli.extract import ExtractedFields, RulesFile, rules_given
from crawler.cli.options import read_options, table_of, taking
from crawler.cli.show import PLAIN_WIDTH
from crawler.config import DEFAULT_DB, CrawlConfig, NetworkConfig, PolitenessConfig, RunConfig, ScopeConfig
from crawler.errors import UsageError
from crawler.extraction_rules import Rule
from crawler.output.figures import moment, size
from crawler.output.safe_text import printable
from crawler.output.tried import as_data, print_tried
from crawler.parsing.pool import open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.records import Page, Response, UrlKind
from crawler.seeds import names_scheme, parse_seed
from crawler.statically_frozen import dataclass
from crawler.storage.location import database_at

_NOT_FETCHED = 4
_OF_A_FILE = "http://localhost/"  # what stands before its name, where no URL is given


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A body, and where it is from, for people."""

    url: str
    body: bytes
    content_type: str | None
    source: str


class NotFetchedError(UsageError):
    """The page could not be had."""

    exit_status = _NOT_FETCHED


_OPTIONS = table_of(NetworkConfig, PolitenessConfig)


@taking(_OPTIONS)
def try_page(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="URL|FILE", help="A page, or a file with one.", show_default=False)],
    db: DatabasePath = DEFAULT_DB,
    config_file: RulesFile = None,
    extract: ExtractedFields = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The URL that a FILE is of: for rules and for its links.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the page even if its body is stored.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    **options: Any,
) -> None:
    """Show what extraction rules give for one page; without rules, all that is read of it.

    A body that is in the database is taken from there. Otherwise the page is fetched as a crawl would: robots.txt is
    obeyed, private addresses are refused, and nothing is stored.
    """
    rules = rules_given(context, extract)
    config = CrawlConfig(
        network=read_options(NetworkConfig, options), politeness=read_options(PolitenessConfig, options)
    )
    if not names_scheme(target) and Path(target).is_file():
        document = _of_file(Path(target), url, config.network.max_bytes)
    elif url is not None:
        raise UsageError(f"--url is for a FILE, and {printable(target, 200)} is none")
    else:
        document = asyncio.run(_of_url(target, db, config, fetch=fetch))
    page = asyncio.run(_read(document, rules, config))
    if as_json:
        typer.echo(json.dumps(as_data(page, document.source, rules), indent=2, ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    print_tried(console, page, document.source, rules)


async def _of_url(target: str, db: Path, config: CrawlConfig, *, fetch: bool) -> Document:
    return (None if fetch else await _stored(target, db)) or await _fetched(target, config)


def _of_file(file: Path, url: str | None, max_bytes: int) -> Document:
    known = parse_seed(url if url is not None else _OF_A_FILE + file.name).url
    try:
        with file.open("rb") as opened:
            body = opened.read(max_bytes)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    return Document(
        url=known,
        body=body,
        content_type=mimetypes.guess_type(file.name)[0],
        source=f"the file {file}, {size(len(body))}",
    )


async def _stored(target: str, db: Path) -> Document | None:
    """The newest version that is in the database, if its body is."""
    if not database_at(db).exists():
        return None
    async with open_crawl(db) as archive:
        url = await archive.find(target)
        body = None if url is None else await archive.body(url)
        page = None if url is None else await archive.page(url)
        if url is None or body is None or page is None:
            return None
        seen = "" if page.fetched_at is None else f" at {moment(page.fetched_at)}"
        source = f"{db}, fetched{seen} (--fetch fetches it anew), {size(len(body))}"
        return Document(url=url, body=body, content_type=_content_type(page), source=source)


async def _fetched(target: str, config: CrawlConfig) -> Document:
    """A crawl of this URL alone, into a database that is thrown away: so all of its rules hold."""
    from crawler.engine import Crawl

    seed = parse_seed(target)
    with TemporaryDirectory(prefix="crawler-") as folder:
        alone = replace(
            config,
            db=Path(folder) / "try.db",
            scope=ScopeConfig(max_depth=0, guess_sitemap=False, max_pages=1),
            run=RunConfig(max_wait_s=0.0),
        )
        summary = await Crawl([seed], alone)
        async with open_crawl(alone.db) as archive:
            for page in [page async for page in archive.pages()]:  # one at the most
                body = await archive.body(page.url)
                if body is not None:
                    source = f"the web, HTTP {page.status}, {size(len(body))}"
                    return Document(url=page.url, body=body, content_type=_content_type(page), source=source)
    raise NotFetchedError(f"{printable(seed.url, 200)} {_why(summary.failed_seeds)}")


def _content_type(page: Page) -> str | None:
    """As it was sent; where that is not known, what it was read as."""
    sent = page.headers.get("content-type")
    return sent[-1] if isinstance(sent, list) else sent or f"{page.content_type}; charset={page.encoding}"


def _why(failed: Sequence[Mapping[str, str]]) -> str:
    if not failed:
        return "is no page that is read"
    return f"could not be fetched: {printable(failed[0]['reason'], 300)}"


async def _read(document: Document, rules: Sequence[Rule], config: CrawlConfig) -> Page:
    """In a process that can be killed, as in a crawl."""
    answer = Response(
        url=document.url,
        status_code=200,
        content_type=document.content_type,
        body=document.body,
        size=len(document.body),
    )
    settings = ReaderSettings(product_token=config.network.product_token, rules=tuple(rules))
    async with open_parser(settings, config.run.parse_timeout_s) as parser:
        reading = await parser.read(UrlKind.PAGE, answer, keep_body=False)
    if not isinstance(reading, tuple):
        raise NotFetchedError(f"{printable(document.url, 200)}: {reading.message}")
    if not isinstance(reading[0], Page):
        kind = document.content_type or "no Content-Type"
        raise NotFetchedError(f"{printable(document.url, 200)} is no page that is read ({printable(kind, 100)})")
    return reading[0]
