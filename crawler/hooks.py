"""What a program may add to a crawl: `Hooks`, and what each of its hooks is given.

    class Prices(Hooks):
        def on_link(self, link: FoundLink) -> bool:
            return "/product/" in link.url

        async def on_page(self, page: Page, extras: Extras) -> None:
            extras.fields["price"] = await price_of(page)

    summary = await crawl(["https://shop.example/"], hooks=Prices())

Nothing here does anything by itself; `hooking` calls it. Invariant: a hook that is not overridden costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from crawler.records import FoundBy, Link, Page, UrlKind

Decision: TypeAlias = bool | str | None  # False or a text, which says why: leave it out; anything else: go on


@dataclass(slots=True, kw_only=True)
class OutgoingRequest:
    """A request that is about to be made. `headers` is to be filled: fields to be sent with it, in the place of the
    crawl's own of that name. `attempts` counts those that failed since the last success; `again`: it was answered
    before. `kind` is page, sitemap or feed.
    """

    url: str
    kind: UrlKind
    depth: int
    attempts: int
    again: bool
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingResponse:
    """An HTTP response, of any status. `headers`: see `Page`. `body` is decoded, cut at the size limit where
    `truncated`, and empty unless it is a page's. `elapsed_s` is in seconds.
    """

    url: str
    kind: UrlKind
    depth: int
    status: int
    headers: Mapping[str, str | list[str]]
    body: bytes
    content_type: str | None
    truncated: bool
    elapsed_s: float


@dataclass(slots=True, kw_only=True)
class Extras:
    """What `on_page` adds: `fields`, which are stored with the page and have to be JSON, and `links`."""

    fields: dict[str, Any] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    def link(self, url: str, anchor: str = "") -> None:
        """Add a link, as if it stood on the page; `url` may be relative to it."""
        self.links.append(Link(url, anchor))


@dataclass(slots=True, kw_only=True)
class FoundLink:
    """A URL that was found, and may enter as far as the crawl's own rules go.

    `depth` and `priority` may be changed. `depth` counts links from the nearest seed, and --max-depth goes by it.
    `priority` is in seconds: the URLs of a host are fetched in the order in which they became due, and this one as if
    it had been found so much earlier. `found_by` (a `FoundBy`) says how it was found, `page_url` on what; None where a
    URL that had been left out is judged again, and then `anchor` and `rel` are empty, too.
    """

    url: str
    kind: UrlKind
    page_url: str | None = None
    anchor: str = ""
    rel: str = ""
    found_by: FoundBy | None = None
    depth: int = 0
    priority: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An attempt that brought nothing: no response, or one with the status of an error, 404 included.

    `reason` is a `FailureKind` or "http <status>", `message` is for people. `attempts` counts the failed ones since the
    last success, and `will_retry` says whether this run tries again.
    """

    url: str
    kind: UrlKind
    depth: int
    reason: str
    message: str
    attempts: int
    will_retry: bool


class Hooks:
    """Override what you need, as plain or async methods; they are called on the event loop of the crawl.

    An exception in a hook fails the URL that it was called for (`hook`), never the crawl. What a hook left out is
    stored as excluded, and judged again by a run without hooks, or with others.
    """

    def on_request(self, request: OutgoingRequest) -> Decision | Awaitable[Decision]:
        """Before each request, but for robots.txt and what is only checked: add headers, or leave the URL out."""

    def on_response(self, response: IncomingResponse) -> Awaitable[None] | None:
        """After each response to such a request, before it is read."""

    def on_page(self, page: Page, extras: Extras) -> Awaitable[None] | None:
        """Once a page has been read, before it is stored: add fields and links. It has no `page_id` and `run_id` yet.

        Also where the page turns out to be what it was.
        """

    def on_link(self, link: FoundLink) -> Decision | Awaitable[Decision]:
        """For each URL that a page, a sitemap, a feed or a redirect leads to: leave it out, or change its place."""

    def on_failure(self, failure: FailedAttempt) -> Awaitable[None] | None:
        """After each attempt that failed."""

    def on_commit(self, pages: Sequence[Page]) -> Awaitable[None] | None:
        """After each transaction that stored pages. The crawl waits for it; a kill may come before."""
