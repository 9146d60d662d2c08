"""`crawler serve`: a crawl in a browser. What it holds, search, each page with its versions and links, every view.

Invariants: it only reads, and shows what is committed, also during a crawl; each request opens the database anew, so
that a file that is replaced is seen at once; every list is cut, and says where all of it is.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from crawler.archive.answers import UrlDetails, Why
from crawler.archive.archive import Archive, open_crawl
from crawler.archive.audit.reading import Extent, read_audit
from crawler.archive.filters import UrlFilter
from crawler.archive.listing import LISTINGS, Listing, Question, listing_of
from crawler.content.encoding import decode
from crawler.content.markdown import can_extract
from crawler.content.media_type import HTML, XHTML
from crawler.errors import CrawlerError, UsageError
from crawler.output.front_matter import markdown_document
from crawler.output.report.page import as_page
from crawler.output.safe_text import printable
from crawler.output.status import read_status
from crawler.output.why import answer
from crawler.records import Page
from crawler.statically_frozen import dataclass
from crawler.storage.location import database_at
from crawler.web.access import REPORT, SANDBOX, Access
from crawler.web.comparing import compared
from crawler.web.parameters import given, host_pattern, knowing, number, switch
from crawler.web.rendering import cell, render

_ROWS = (100, 1_000)  # of a view: at first, and at the most
_HITS = (10, 50)
_LINKS = 100
_HEADINGS = 8
_MAX_TEXT = 200_000  # characters of a page's text that are shown
_REPORT = Extent(rows=500, sources=20)
_ASSETS: Mapping[str, tuple[str, str]] = {
    "report.css": ("crawler.output.report", "text/css"),
    "serve.css": ("crawler.web", "text/css"),
    "serve.js": ("crawler.web", "text/javascript"),
}
_FOLDERS = {"crawler.output.report": "templates", "crawler.web": "assets"}


def application(db: Path, access: Access) -> web.Application:
    """The server of the crawl in `db`, for those whom `access` lets in."""
    app = web.Application(middlewares=[access.middleware(), _explaining()])
    pages = Pages(db)
    app.add_routes(
        [
            knowing("/", pages.overview),
            knowing("/live", pages.live),
            knowing("/search", pages.search, "q", "host", "lang", "limit"),
            knowing("/page", pages.page, "url", "version"),
            knowing("/body", pages.body, "url", "version"),
            knowing("/markdown", pages.markdown, "url", "version"),
            knowing("/compare", pages.compare, "url", "from", "to"),
            knowing("/views", pages.views),
            knowing("/views/{name}", pages.view, "host", "url", "sort", "limit", "all"),
            knowing("/report", pages.report),
            knowing("/assets/{name}", _asset),
        ]
    )
    return app


class Pages:
    """A method for each kind of page."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._report = _KeptReport(db)

    async def overview(self, _request: web.Request) -> web.Response:
        """What the database holds, and how a crawl gets on."""
        return render("overview.html", title="Overview", **await self._status())

    async def live(self, _request: web.Request) -> web.Response:
        """The part of the overview that changes during a crawl."""
        return render("live.html", **await self._status())

    async def search(self, request: web.Request) -> web.Response:
        """Pages by their words."""
        query, language, host = given(request, "q"), given(request, "lang"), host_pattern(request)
        found, limit = None, number(request, "limit", _HITS[1]) or _HITS[0]
        if query is not None:
            async with open_crawl(self._db) as archive:
                found = await archive.search(query, host=host, language=language, limit=limit, update_s=5.0)
        title = "Search" if query is None else f"{query} - search"
        more = _HITS[1] if found is not None and found.total > limit and limit < _HITS[1] else None
        return render(
            "search.html",
            title=title,
            query=query or "",
            host=host or "",
            language=language or "",
            found=found,
            more=more,
        )

    async def page(self, request: web.Request) -> web.Response:
        """All that is known of a URL, and why."""
        text, version = given(request, "url") or "", number(request, "version")
        async with open_crawl(self._db) as archive:
            url = await archive.find(text)
            if url is None:
                why, near = await archive.why(await archive.likeliest(text)), await archive.guesses(text)
                return render(
                    "unknown.html", http_status=404, title="Never seen", why=why, answer=answer(why), near=near
                )
            details = await archive.details(url, version=version, max_links_to=_LINKS)
            why = await archive.why(url)
        if details is None:
            raise UsageError(f"{url} was never seen")
        return render("page.html", title=_title(details), **_told(details, why))

    async def body(self, request: web.Request) -> web.Response:
        """A page as it was sent, for a frame in which nothing runs and nothing is loaded."""
        version = number(request, "version")
        async with open_crawl(self._db) as archive:
            url = await _known(archive, request)
            page, body = await archive.page(url, version=version), await archive.body(url, version=version)
        if page is None or body is None or not _is_html(page.content_type):
            return render("error.html", http_status=404, title="No body", message="no HTML body of this page is stored")
        text = decode(body, page.encoding)  # as the reader took it, whatever it says of itself
        headers = {"Content-Security-Policy": SANDBOX, "Content-Type": "text/html; charset=utf-8"}
        return web.Response(body=text.encode("utf-8", "replace"), headers=headers)

    async def markdown(self, request: web.Request) -> web.Response:
        """The main content of a page as Markdown, for a browser that shows it as text."""
        version = number(request, "version")
        async with open_crawl(self._db) as archive:
            url = await _known(archive, request)
            page, made = await archive.page(url, version=version), await archive.markdown(url, version=version)
        document = None if page is None or made is None else markdown_document(page, made)
        if document is None:
            why = "no page is stored" if made is None else made.why_not
            return render("error.html", http_status=404, title="No Markdown", message=f"{why}")
        headers = {"Content-Security-Policy": SANDBOX, "Content-Type": "text/plain; charset=utf-8"}
        shown = "\n".join(map(printable, document.split("\n")))  # nothing that reorders or hides
        return web.Response(body=shown.encode("utf-8", "replace"), headers=headers)

    async def compare(self, request: web.Request) -> web.Response:
        """What differs between two versions of a page."""
        older, newer = number(request, "from"), number(request, "to")
        async with open_crawl(self._db) as archive:
            url = await _known(archive, request)
            versions = await archive.history(url)
            last = len(versions)
            numbers = [older or max(1, last - 1), newer or max(1, last)]
            found = [await archive.page(url, version=one) for one in numbers]
        old, new = found
        if old is None or new is None:
            raise UsageError(f"there are versions 1 to {last} of {url}" if last else f"no version of {url} is stored")
        lines, cut = await asyncio.to_thread(compared, old, new)
        seen = [versions[one - 1] for one in numbers]
        return render(
            "compare.html", title="Differences", url=url, numbers=numbers, seen=seen, lines=lines, cut=cut, last=last
        )

    async def views(self, _request: web.Request) -> web.Response:
        """All views."""
        return render("views.html", title="Views", listings=list(LISTINGS.values()))

    async def view(self, request: web.Request) -> web.Response:
        """The rows of a view, sorted and chosen."""
        listing = listing_of(request.match_info["name"])
        host, glob, sort = host_pattern(request), given(request, "url"), given(request, "sort")
        all_columns = switch(request, "all")
        names = tuple(listing.view.columns) if all_columns else listing.shown
        limit = number(request, "limit", _ROWS[1]) or _ROWS[0]
        question = Question(
            listing=listing, columns=names, urls=UrlFilter(host=host, glob=glob), sort=sort, limit=limit + 1
        )
        async with open_crawl(self._db) as archive:
            rows = [row async for row in archive.answers(question)]
        return render(
            "view.html",
            title=listing.name,
            listing=listing,
            columns=names,
            rows=rows[:limit],
            more=_ROWS[1] if len(rows) > limit and limit < _ROWS[1] else None,
            cut=len(rows) > limit,
            command=_command(listing, self._db, host, glob, sort),
            host=host,
            glob=glob,
            sort=sort,
            all_columns=all_columns,
        )

    async def report(self, _request: web.Request) -> web.Response:
        """The report, as `crawler report` writes it: a page with a policy of its own."""
        text = await self._report.text()
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": REPORT})

    async def _status(self) -> dict[str, Any]:
        status = await read_status(self._db)
        return {"status": status, "report": status.report}


class _KeptReport:
    """The newest report: made when it is asked for and the database has changed, once for all who wait for it."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._turn = asyncio.Lock()
        self._made: tuple[object, str] | None = None

    async def text(self) -> str:
        """As a page."""
        async with self._turn:
            state = self._state()
            if self._made is None or self._made[0] != state:
                running = database_at(self._db).is_held()
                audit = await read_audit(self._db, now=time.time(), running=running, extent=_REPORT)
                self._made = (state, await asyncio.to_thread(as_page, audit))
            return self._made[1]

    def _state(self) -> object:
        """Changes with each commit."""
        return [
            (stat.st_mtime_ns, stat.st_size)
            for file in (self._db, self._db.with_name(f"{self._db.name}-wal"))
            if file.exists() and (stat := file.stat())
        ]


@dataclass(frozen=True, slots=True)
class _Link:
    """A link out or in, as a row: `state` of its target, empty for a link in."""

    url: str
    anchor: str
    state: str


def _told(details: UrlDetails, why: Why) -> dict[str, Any]:
    page = details.page
    out = [_Link(one.target_url, one.anchor, one.reason or one.status) for one in details.links_from]
    return {
        "details": details,
        "state": details.state,
        "page": page,
        "facts": [] if page is None else [(name, value) for name, value in _facts(details, page) if value],
        "text": None if page is None else page.text[:_MAX_TEXT],
        "is_cut": page is not None and len(page.text) > _MAX_TEXT,
        "has_markdown": page is not None and can_extract(),
        "has_frame": page is not None and _is_html(page.content_type),
        "links_out": out[:_LINKS],
        "more_links_out": len(out) > _LINKS,
        "links_in": [_Link(one.page_url, one.anchor, "") for one in details.links_to],
        "why": why,
        "answer": answer(why),
    }


def _facts(details: UrlDetails, page: Page) -> Iterator[tuple[str, str]]:
    """What a version of a page says of itself, and what is known of it."""
    version = details.versions[(details.version or 1) - 1]
    yield "version", f"{details.version} of {len(details.versions)}"
    yield "first seen", cell("seen_at", version.seen_at)
    yield "title", page.title or ""
    yield "description", page.description or ""
    yield "language", page.language or ""
    yield "canonical", page.canonical_url or ""
    yield "author", page.author or ""
    yield "published", cell("published_at", page.published_at)
    yield "modified", cell("modified_at", page.modified_at)
    yield "robots", ", ".join(word for word in ("noindex", "nofollow") if getattr(page, word))
    yield "headings", "; ".join(text for _level, text in page.headings[:_HEADINGS])
    yield "content hash", version.content_hash.hex()


def _title(details: UrlDetails) -> str:
    title = details.page.title if details.page is not None else None
    return title or details.state.url


def _is_html(content_type: str | None) -> bool:
    """None: read by a release that knew nothing else."""
    return content_type is None or content_type in (HTML, XHTML)


async def _known(archive: Archive, request: web.Request) -> str:
    text = given(request, "url") or ""
    url = await archive.find(text)
    if url is None:
        raise UsageError(f"{text} was never seen")
    return url


def _command(listing: Listing, db: Path, host: str | None, glob: str | None, sort: str | None) -> Sequence[str]:
    """The command that lists all rows."""
    options = (("--host", host), ("--url", glob), ("--sort", sort))
    chosen = [part for option, value in options if value is not None for part in (option, value)]
    return ["crawler", "list", listing.name.replace("_", "-"), *chosen, "--db", str(db)]


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound
    package, content_type = _ASSETS[name]
    text = files(package).joinpath(_FOLDERS[package], name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=content_type)


def _explaining() -> Middleware:
    """Mistakes in an address, and a database that cannot be read, are told as pages."""

    @web.middleware
    async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except UsageError as error:
            return render("error.html", http_status=400, title="That cannot be shown", message=str(error))
        except CrawlerError as error:
            return render("error.html", http_status=500, title="The database cannot be read", message=str(error))
        except web.HTTPNotFound:
            message = "there is no such page on this server"
            return render("error.html", http_status=404, title="Not found", message=message)

    return explained


async def serve(db: Path, address: str, port: int, access: Access) -> tuple[web.AppRunner, int]:
    """Start listening; returns the runner, whose `cleanup` ends it, and the port. Raises `UsageError`."""
    runner = web.AppRunner(application(db, access), access_log=None, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, address, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        reason = error.strerror or str(error)
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--address"
        raise UsageError(f"cannot listen on {address} port {port}: {reason}; choose another {other}") from error
    return runner, runner.addresses[0][1]
