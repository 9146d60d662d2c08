"""`crawler show`: all that is known of one URL."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, TypeAlias, TypeVar

import typer
from rich.console import Console

from crawler.archive.answers import UrlDetails
from crawler.archive.archive import Archive, open_crawl
from crawler.archive.markdown import check_extra
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.config import DEFAULT_DB
from crawler.content.markdown import Content
from crawler.errors import UsageError
from crawler.location import Location
from crawler.output.details import as_data, print_details
from crawler.output.front_matter import markdown_document
from crawler.output.safe_text import printable
from crawler.output.tables import write_rows

PLAIN_WIDTH = 400  # columns: without a terminal nothing is wrapped or cut
_SOME = 100  # links to a page
_Found = TypeVar("_Found")
Print: TypeAlias = Callable[[Archive, str, int | None], Awaitable[None]]  # a URL, and a version or None

UrlArgument = Annotated[
    str,
    typer.Argument(metavar="URL", help="A URL, with or without its scheme.", show_default=False),
]


def show(
    url: UrlArgument,
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, metavar="N", help="Show version N, the oldest being 1.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Print the page's text, and nothing else.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Print the body as it was received, and nothing else.")] = False,
    content: Annotated[
        Content | None,
        typer.Option(
            metavar="main|all",
            help="Print Markdown of the main content, or of all of the page, and nothing else (crawler[markdown]).",
        ),
    ] = None,
    links: Annotated[bool, typer.Option("--links", help="Print all links, out of the page and to it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Show all that is known of a URL: status, versions, attempts, headers, metadata, links in and out."""
    if text + html + (content is not None) + (links or as_json) > 1:
        raise UsageError(
            "--text and --html print nothing else, nor does --content; give one, without --links and --json"
        )
    if content is not None:
        check_extra()
        print_it: Print = partial(_print_markdown, content=content)
    elif as_json:
        print_it = partial(_print_json, max_links_to=None if links else _SOME)
    else:
        print_it = _print_links if links else _print_text if text else _print_body if html else _print_screen
    asyncio.run(_show(db, url, version, print_it))


async def _show(db: Location, text: str, version: int | None, print_it: Print) -> None:
    async with open_crawl(db, notify=tell) as archive:
        await print_it(archive, await known(archive, text, db), version)


async def known(archive: Archive, text: str, db: Location) -> str:
    """The URL as it is stored. Raises `UsageError`, which names what may be meant, if it was never seen."""
    url = await archive.find(text)
    if url is not None:
        return url
    near = await archive.guesses(text)
    meant = f"; did you mean {' or '.join(printable(one, 200) for one in near)}?" if near else ""
    raise UsageError(f"{printable(text, 200)} was never seen in {db}{meant}")


def tell(message: str) -> None:
    """Say why a question takes longer, without disturbing what is printed."""
    typer.echo(message, err=True)


async def _print_screen(archive: Archive, url: str, version: int | None) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    print_details(console, await _details(archive, url, version))


async def _print_json(archive: Archive, url: str, version: int | None, *, max_links_to: int | None) -> None:
    typer.echo(json.dumps(as_data(await _details(archive, url, version, max_links_to)), indent=2))


async def _details(archive: Archive, url: str, version: int | None, max_links_to: int | None = _SOME) -> UrlDetails:
    return _stored(await archive.details(url, version=version, max_links_to=max_links_to), url, version)


async def _print_links(archive: Archive, url: str, version: int | None) -> None:
    if version is not None:
        raise UsageError("--links prints the links of the newest version; leave out --version")
    await write_rows(("direction", "url", "anchor", "status", "rel"), _links(archive, url))


async def _links(archive: Archive, url: str) -> AsyncIterator[tuple[str, ...]]:
    """Those of the page, with the status of their targets, then those to it: from pages that are stored."""
    for out in await archive.links_from(url):
        yield "out", out.target_url, out.anchor, out.status, out.rel
    async for to in archive.links_to(url):
        yield "in", to.page_url, to.anchor, "", to.rel


async def _print_text(archive: Archive, url: str, version: int | None) -> None:
    """As it is stored; on a terminal, its lines without what would move the cursor."""
    text = _stored(await archive.page(url, version=version), url, version).text
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    sys.stdout.write(f"{text}\n")


async def _print_markdown(archive: Archive, url: str, version: int | None, *, content: Content) -> None:
    """With front matter; on a terminal, its lines without what would move the cursor."""
    page = _stored(await archive.page(url, version=version), url, version)
    made = _stored(await archive.markdown(url, version=version, content=content), url, version)
    document = markdown_document(page, made)
    if document is None:
        raise UsageError(f"there is no Markdown of {printable(url, 200)}: {made.why_not}")
    if content is Content.MAIN and made.is_whole:
        tell("no main content was found; this is all of the page")
    sys.stdout.write("\n".join(map(printable, document.split("\n"))) if sys.stdout.isatty() else document)


async def _print_body(archive: Archive, url: str, version: int | None) -> None:
    """As it was received; on a terminal, as text."""
    body = _stored(await archive.body(url, version=version), url, version)
    if sys.stdout.isatty():
        from crawler.content.encoding import decode, sniff

        page = await archive.page(url, version=version)
        text = decode(body, sniff(body) if page is None else page.encoding)
        sys.stdout.write("\n".join(map(printable, text.split("\n"))) + "\n")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(body)


def _stored(found: _Found | None, url: str, version: int | None) -> _Found:
    """Raises `UsageError` if there is none."""
    if found is None:
        what = "nothing" if version is None else f"no version {version}"
        raise UsageError(
            f"of {printable(url, 200)} {what} is stored; `crawler show` without options says what is known"
        )
    return found
