"""Declarations: sites and their answers. Invariant: nothing here serves anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from html import escape
from typing import Literal, TypeAlias, TypedDict, Unpack

from crawler.statically_frozen import dataclass

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
Reply: TypeAlias = "Answer | Fault"
Handler: TypeAlias = "Callable[[Request], Reply | Awaitable[Reply]]"
StreamHandler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
DnsAnswer: TypeAlias = Literal["nxdomain", "servfail", "silent"] | Sequence[str]
DnsBehaviour: TypeAlias = DnsAnswer | Callable[[str], DnsAnswer]
Listening: TypeAlias = bool | Literal["silent"]  # silent: who wants to connect gets no answer

_SITEMAP_NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


class AnswerOptions(TypedDict, total=False):
    """The fields of `Answer` that every method for declaring one accepts."""

    status: int
    headers: Headers
    content_type: str
    encoding: str
    delay_s: float
    chunked: bool
    gzip: bool
    close: bool
    verbatim: bool


class PageOptions(AnswerOptions, total=False):
    """What `Answer.page` and `Site.page` take."""

    title: str
    text: str
    links: Iterable[str | tuple[str, str]]
    head: str
    markup: str
    language: str
    body: str | bytes


@dataclass(slots=True, kw_only=True, eq=False)
class Site:
    """One host: how it behaves, and what it answers at each path. Created by `FakeWeb.host`.

    `links` is the declared graph: the hrefs of each page and the Location of each redirect, as written.
    """

    name: str
    address: str
    tls: bool
    keep_alive: bool
    listening: Listening
    dns: DnsBehaviour | None
    ttl_s: int
    routes: dict[str, Reply | Handler | Raw] = field(default_factory=dict)
    links: dict[str, tuple[str, ...]] = field(default_factory=dict)
    on_connect: StreamHandler | None = None
    ports: dict[int, Site] = field(default_factory=dict)

    def origin(self, port: int, *, listening: Listening = True, keep_alive: bool = True) -> Site:
        """Declare another origin of this host: an empty site of its own, by http on this port.

        As with the port of all hosts, the real one is known only once the web is served: URLs in declared text get it.
        """
        origin = self.ports[port] = Site(
            name=self.name,
            address=self.address,
            tls=False,
            keep_alive=keep_alive,
            listening=listening,
            dns=None,
            ttl_s=self.ttl_s,
        )
        return origin

    def page(self, path: str, **options: Unpack[PageOptions]) -> None:
        """Declare a document: from its parts (`Answer.page`), or from a `body`."""
        links = options["links"] = tuple(options.get("links", ()))
        self.links[path] = tuple(link if isinstance(link, str) else link[0] for link in links)
        self.answer(path, Answer.page(**options))

    def redirect(self, path: str, location: str, **options: Unpack[AnswerOptions]) -> None:
        """Declare a redirect, 302 unless `status` says otherwise."""
        self.links[path] = (location,)
        self.answer(path, Answer.redirect(location, **options))

    def status(self, path: str, code: int, **options: Unpack[AnswerOptions]) -> None:
        """Declare an answer with just a status."""
        options["status"] = code
        self.answer(path, Answer(**options))

    def robots(self, text: str = "", **options: Unpack[AnswerOptions]) -> None:
        """Declare /robots.txt; a host that declares none answers 404 for it."""
        options.setdefault("content_type", "text/plain")
        self.answer("/robots.txt", Answer(body=text, **options))

    def sitemap(self, path: str, urls: Iterable[str], **options: Unpack[AnswerOptions]) -> None:
        """Declare a sitemap of absolute URLs, or of this host's paths (sitemaps.org, "XML tag definitions")."""
        absolute = (url if "://" in url else f"http://{self.name}{url}" for url in urls)
        entries = "".join(f"<url><loc>{escape(url)}</loc></url>\n" for url in absolute)
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{_SITEMAP_NAMESPACE}">\n{entries}</urlset>\n'
        options.setdefault("content_type", "application/xml")
        self.answer(path, Answer(body=body, **options))

    def answer(self, path: str, answer: Reply | Handler) -> None:
        """Declare any answer or fault, or a plain or async function that returns one for each request."""
        self.routes[path] = answer

    def sequence(self, path: str, *answers: Reply) -> None:
        """Declare answers to be given one after the other; the last one is repeated."""
        following = iter(answers[:-1])
        self.answer(path, lambda _request: next(following, answers[-1]))

    def raw(self, path: str, handler: StreamHandler) -> None:
        """Hand the connection over once a request for `path` has been read; it closes when the handler returns."""
        self.routes[path] = Raw(handler)

    def connection(self, handler: StreamHandler) -> None:
        """Hand every connection to this host's address over before anything is read (after the handshake, for TLS)."""
        self.on_connect = handler


class Fault(Enum):
    """Instead of an answer, what a broken server does with a request that it has read."""

    HANG = "hang"  # nothing, until the client leaves
    DISCONNECT = "disconnect"  # it closes the connection
    GARBAGE = "garbage"  # it says what is no HTTP, and closes the connection
    FLOOD = "flood"  # the head of its answer is longer than anyone reads, and it closes the connection


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """One HTTP answer.

    `content_type`: by default text/html with the `encoding`; '' sends none. `headers` come before the server's own and
    replace those of the same name, Content-Length included. `delay_s` passes before the first byte. `gzip` compresses
    whether the client accepts it or not. Where `headers` hold an ETag or Last-Modified, a request that brings it back
    gets a 304.
    """

    body: str | bytes = b""
    status: int = 200
    headers: Headers = ()
    content_type: str | None = None
    encoding: str = "utf-8"
    delay_s: float = 0.0
    chunked: bool = False
    gzip: bool = False
    close: bool = False
    verbatim: bool = False

    @classmethod
    def page(
        cls,
        *,
        title: str = "",
        text: str = "",
        links: Iterable[str | tuple[str, str]] = (),
        head: str = "",
        markup: str = "",
        language: str = "en",
        body: str | bytes | None = None,
        **options: Unpack[AnswerOptions],
    ) -> Answer:
        """An HTML document, or the `body` instead of one.

        `text`: plain, an empty line between paragraphs. `links`: hrefs, or (href, anchor) pairs. `head` and `markup`:
        HTML for the head and for the end of the body. The document declares its `encoding` in a `<meta charset>`.
        """
        if body is not None:
            return cls(body=body, **options)
        pairs = ((link, link) if isinstance(link, str) else link for link in links)
        items = "".join(f'<li><a href="{escape(href)}">{escape(anchor)}</a></li>\n' for href, anchor in pairs)
        paragraphs = "".join(f"<p>{escape(part)}</p>\n" for part in text.split("\n\n") if part)
        document = (
            f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="{options.get("encoding", "utf-8")}">\n'
            f"<title>{escape(title)}</title>\n{head}</head>\n<body>\n<h1>{escape(title)}</h1>\n"
            f"{paragraphs}<ul>\n{items}</ul>\n{markup}</body>\n</html>\n"
        )
        return cls(body=document, **options)

    @classmethod
    def redirect(cls, location: str, **options: Unpack[AnswerOptions]) -> Answer:
        """A redirect, 302 unless `status` says otherwise; `location` may be relative."""
        options["headers"] = (("Location", location), *pairs(options.get("headers", ())))
        options.setdefault("status", 302)
        return cls(**options)


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One request, as logged and as given to handlers.

    Not frozen, for one reason: it is logged when it arrives, and the server alone fills in `status` and `end` later.
    Both stay None while it waits, `status` for good where the client left first or a stream handler took over. Times
    are `time.monotonic()`: the head was there at `start`, the answer was handed to the socket at `end` (so of two
    requests whose spans overlap, the client had both in flight).
    """

    start: float
    method: str
    target: str  # exactly as on the request line
    version: str
    headers: Mapping[str, str]  # names in lower case; values of a repeated one joined by ', '
    host: str  # from the Host header: lower case, no port, no final dot
    scheme: str
    address: str  # the server's, that was connected to
    port: int
    connection: int  # numbered from 1 in the order of their making
    status: int | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Instead of an answer, a handler that writes to the connection."""

    handler: StreamHandler


def site_named(sites: Mapping[str, Site], name: str) -> Site | None:
    """The site of that name, otherwise that of the nearest wildcard above it."""
    site = sites.get(name)
    while site is None and "." in name:
        name = name.partition(".")[2]
        site = sites.get(f"*.{name}")
    return site


def pairs(headers: Headers) -> Sequence[tuple[str, str]]:
    """Names and values."""
    return tuple(headers.items()) if isinstance(headers, Mapping) else headers
