"""A small web, declared as a graph and served for real on loopback: the demo's, and the tests'.

    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Home", links=["/b", "http://b.test/"])
    site.redirect("/old", "/b", status=301)
    async with web.serve() as served:
        ...  # crawl served.url("a.test"), asking the DNS server at served.dns

Every host has an address of its own in 127/8 (Linux routes all of it to loopback), all share one port, and a real DNS
server names them. Invariant: what goes over the wire is what was declared, byte for byte, but for one thing: the port
is known only once the web is served, so in declared *text* (str bodies, header values) an absolute or scheme-relative
URL of a declared host gets the port unless it has one. Bodies given as bytes and `verbatim` answers stay as they are.

Paths are written as they stand on the request line (percent-encoded). A request is matched by its whole target, then by
its path without the query, then by the path "*"; else it gets a 404. The host is the one that the Host header names;
where that is not declared, the first one at the address that was connected to.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import inspect
import itertools
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from ipaddress import ip_address
from random import Random
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, cast

from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSError, DNSRecord  # type: ignore[import-untyped]

MAX_HEAD_BYTES = 64 * 1024

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
Handler: TypeAlias = "Callable[[Request], Answer | Awaitable[Answer]]"
StreamHandler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
DnsAnswer: TypeAlias = Literal["nxdomain", "servfail", "silent"] | Sequence[str]
DnsBehaviour: TypeAlias = DnsAnswer | Callable[[str], DnsAnswer]


class FakeWeb:
    """A web under declaration. Pages may be declared again while it is served; new hosts may not."""

    def __init__(self) -> None:
        self.sites: dict[str, Site] = {}

    def host(
        self,
        name: str,
        *,
        address: str | None = None,
        tls: bool = False,
        keep_alive: bool = True,
        listening: bool = True,
        dns: DnsBehaviour | None = None,
        ttl_s: int = 60,
    ) -> Site:
        """Declare an empty site at a host name (lower case, IDNs as A-labels).

        '*.a.test' is every name below a.test that is not declared (RFC 4592); handlers see which in `Request.host`.

        `address`: given to share one, or for `::1`; else the next free one of 127.1/16. `tls`: it also answers https,
        on `served.tls_port`. `keep_alive=False`: every answer closes its connection. `listening=False`: the name
        resolves, connections are refused (not with `wildcard`). `dns`: what the DNS server does when asked for it: a
        word, other addresses (IPv6 ones answer AAAA), or a function of the name; by default it gives the address.
        """
        if name in self.sites:
            raise ValueError(f"{name} is declared already")
        site = Site(
            name=name,
            address=address or self._next_address(),
            tls=tls,
            keep_alive=keep_alive,
            listening=listening,
            dns=dns,
            ttl_s=ttl_s,
        )
        self.sites[name] = site
        return site

    def site(self, name: str, *, pages: int, links_per_page: int = 8, words_per_page: int = 60, seed: int = 1) -> Site:
        """Declare a host with a pseudo-random graph of pages, the same every time: '/', '/p1', ... '/p<pages - 1>'.

        Every page can be reached from '/': half of a page's links (at least one) form a tree, the others go anywhere.
        """
        site = self.host(name)
        random = Random(f"{name} {seed}")
        branches = max(1, links_per_page // 2)
        for number in range(pages):
            children = range(number * branches + 1, min((number + 1) * branches + 1, pages))
            others = [random.randrange(pages) for _ in range(links_per_page - len(children))]
            links = [(_page_path(other), f"To page {other}") for other in (*children, *others)]
            text = " ".join(random.choices(_WORDS, k=words_per_page))
            site.page(_page_path(number), title=f"{name} page {number}", text=text, links=links)
        return site

    def hosts(self, count: int, pages_each: int, *, links_per_page: int = 4, seed: int = 1) -> list[Site]:
        """Declare `h000.test`, `h001.test`, ...: each a generated site whose home also links to the next host's."""
        sites = [
            self.site(f"h{number:03d}.test", pages=pages_each, links_per_page=links_per_page, seed=seed)
            for number in range(count)
        ]
        for site, following in zip(sites, [*sites[1:], *sites[:1]], strict=True):
            links = [*site.links["/"], f"http://{following.name}/"]
            site.page("/", title=f"{site.name} home", text=" ".join(_WORDS[:20]), links=links)
        return sites

    @asynccontextmanager
    async def serve(
        self, *, port: int = 0, ssl_context: ssl.SSLContext | None = None, wildcard: bool = False
    ) -> AsyncIterator[Served]:
        """Serve this web in the running event loop.

        `port`: a fixed one for http, to come back under the same URLs; 0 picks one that is free at every address.
        `ssl_context`: for the hosts declared with `tls`. `wildcard`: one socket at 0.0.0.0 (reachable from outside!)
        instead of one an address. Raises `OSError` where a port is taken and, at the end, an `ExceptionGroup` of what
        handlers raised.
        """
        served = Served(self.sites)
        try:
            await served.open(port=port, ssl_context=ssl_context, wildcard=wildcard)
            yield served
        finally:
            await served.close()
        if served.errors:
            raise ExceptionGroup("handlers of the fake web failed", served.errors)

    @contextmanager
    def running(
        self, *, port: int = 0, ssl_context: ssl.SSLContext | None = None, wildcard: bool = False
    ) -> Iterator[Served]:
        """As `serve`, in a thread of its own with its own event loop: for code that blocks or starts processes.

        The logs may be read from any thread at any time: they only grow.
        """
        opened: Future[tuple[Served, Callable[[], object]]] = Future()

        async def serve_until_stopped() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with self.serve(port=port, ssl_context=ssl_context, wildcard=wildcard) as served:
                opened.set_result((served, lambda: loop.call_soon_threadsafe(stop.set)))
                await stop.wait()

        def pass_on_failure(serving: Future[None]) -> None:
            if not opened.done():
                opened.set_exception(serving.exception())

        with ThreadPoolExecutor(1, thread_name_prefix="fakeweb") as executor:
            serving = executor.submit(asyncio.run, serve_until_stopped())
            serving.add_done_callback(pass_on_failure)
            served, stop = opened.result()
            try:
                yield served
            finally:
                stop()
            serving.result()

    def _next_address(self) -> str:
        taken = {site.address for site in self.sites.values()}
        candidates = (f"127.1.{high}.{low}" for high in range(256) for low in range(1, 255))
        return next(address for address in itertools.islice(candidates, len(taken), None) if address not in taken)


class AnswerOptions(TypedDict, total=False):
    """The fields of `Answer` that every way of declaring one takes."""

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
    """One host: how it behaves, and what it answers at each path. Made by `FakeWeb.host`.

    `links` is the declared graph: the hrefs of each page and the Location of each redirect, as written.
    """

    name: str
    address: str
    tls: bool
    keep_alive: bool
    listening: bool
    dns: DnsBehaviour | None
    ttl_s: int
    routes: dict[str, Answer | Handler | _Raw] = field(default_factory=dict)
    links: dict[str, tuple[str, ...]] = field(default_factory=dict)
    on_connect: StreamHandler | None = None

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
        """Declare an answer that is nothing but its status."""
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

    def answer(self, path: str, answer: Answer | Handler) -> None:
        """Declare any answer, or a plain or async function that makes one for each request."""
        self.routes[path] = answer

    def sequence(self, path: str, *answers: Answer) -> None:
        """Declare answers to be given one after the other; the last one stays."""
        following = iter(answers[:-1])
        self.answer(path, lambda _request: next(following, answers[-1]))

    def raw(self, path: str, handler: StreamHandler) -> None:
        """Hand the connection over once a request for `path` has been read; it closes when the handler returns."""
        self.routes[path] = _Raw(handler)

    def connection(self, handler: StreamHandler) -> None:
        """Hand every connection to this host's address over before anything is read (after the handshake, for TLS)."""
        self.on_connect = handler


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
        options["headers"] = (("Location", location), *_pairs(options.get("headers", ())))
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


class Served:
    """A web while it is served. `log` and `dns_log` grow in the order of arrival; DNS names are lower case."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self.log: list[Request] = []
        self.dns_log: list[tuple[str, str]] = []
        self.errors: list[Exception] = []
        self.connections = 0  # made so far
        self.port = 0
        self.tls_port = 0
        self.dns = ""  # IP:PORT of the DNS server
        self._sites = sites
        self._by_address = {site.address: site for site in reversed(list(sites.values()))}
        self._rendered: dict[tuple[Answer, str, int], tuple[bytes, bytes]] = {}
        self._servers: list[asyncio.Server] = []
        self._dns_transport: asyncio.DatagramTransport | None = None
        self._open: set[_HttpConnection] = set()

    def url(self, host: str, path: str = "/", *, scheme: str | None = None) -> str:
        """The URL of a declared host, port included; https where the host has it, unless `scheme` says otherwise."""
        site = _named(self._sites, host) or self._sites[host]
        scheme = scheme or ("https" if site.tls else "http")
        return f"{scheme}://{host}:{self._port(scheme)}{path}"

    def with_ports(self, text: str, scheme: str = "http") -> str:
        """The text with the port in each URL of a declared host; `scheme` is for those that begin with '//'."""
        if "//" not in text:
            return text
        return _AUTHORITY.sub(lambda match: self._with_port(match, scheme), text)

    def hits(self, host: str, target: str | None = None) -> list[Request]:
        """The logged requests for one host, or for one target of it."""
        return [hit for hit in list(self.log) if hit.host == host and target in (None, hit.target)]

    async def open(self, *, port: int, ssl_context: ssl.SSLContext | None, wildcard: bool) -> None:
        """Bind and listen; the caller must `close`, even where this raises."""
        plain = {site.address: None for site in self._sites.values() if site.listening}
        secure = {site.address: None for site in self._sites.values() if site.listening and site.tls}
        if secure and ssl_context is None:
            raise ValueError("a host is declared with tls: serve() needs an ssl_context")
        self.port = await self._listen("http", ["0.0.0.0"] if wildcard else [*plain], port, None)  # noqa: S104
        if secure:
            self.tls_port = await self._listen("https", ["0.0.0.0"] if wildcard else [*secure], 0, ssl_context)  # noqa: S104
        loop = asyncio.get_running_loop()
        self._dns_transport, _protocol = await loop.create_datagram_endpoint(
            lambda: _DnsServer(self._sites, self.dns_log), local_addr=("127.0.0.1", 0)
        )
        address, dns_port = self._dns_transport.get_extra_info("sockname")
        self.dns = f"{address}:{dns_port}"

    async def close(self) -> None:
        """Stop listening, cut every connection, and wait until all of it is gone."""
        for server in self._servers:
            server.close()
        await asyncio.gather(*(connection.cut() for connection in list(self._open)))
        for server in self._servers:
            await server.wait_closed()
        if self._dns_transport is not None:
            self._dns_transport.close()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

    def site_for(self, host: str, address: str) -> Site | None:
        """The site named by a Host header, or else the first one at the address."""
        return _named(self._sites, host) or self._by_address.get(address)

    def render(self, answer: Answer, scheme: str, status: int, *, keep: bool) -> tuple[bytes, bytes]:
        """The head (without the empty line that ends it) and the body, as sent; `keep` for an answer that comes again.

        They depend on the scheme, because URLs that begin with '//' do.
        """
        rendered = self._rendered.get((answer, scheme, status))
        if rendered is None:
            rendered = self._render(answer, scheme, status)
            if keep:
                self._rendered[answer, scheme, status] = rendered
        return rendered

    def connected(self, connection: _HttpConnection) -> int:
        """Take note of a new connection; its number."""
        self._open.add(connection)
        self.connections += 1
        return self.connections

    def disconnected(self, connection: _HttpConnection) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    async def _listen(self, scheme: str, addresses: list[str], port: int, ssl_context: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        sockets = _bind(addresses, port)
        for listener in sockets:
            server = await loop.create_server(lambda: _HttpConnection(self, scheme), sock=listener, ssl=ssl_context)
            self._servers.append(server)
        return int(sockets[0].getsockname()[1]) if sockets else port

    def _port(self, scheme: str) -> int:
        return self.tls_port if scheme == "https" else self.port

    def _with_port(self, match: re.Match[str], scheme: str) -> str:
        if _named(self._sites, match["host"].rstrip(".").lower()) is None:
            return match[0]
        return f"{match[0]}:{self._port(match['scheme'] or scheme)}"

    def _render(self, answer: Answer, scheme: str, status: int) -> tuple[bytes, bytes]:
        body = answer.body
        if isinstance(body, str):
            body = (body if answer.verbatim else self.with_ports(body, scheme)).encode(answer.encoding)
        body = gzip.compress(body, mtime=0) if answer.gzip else body
        bodiless = status in (204, 304)
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
        lines += (f"{name}: {value}" for name, value in _headers(answer, None if bodiless else len(body)))
        head = "".join(f"{line}\r\n" for line in lines)
        head = head if answer.verbatim else self.with_ports(head, scheme)
        return head.encode("latin-1"), b"" if bodiless else _chunks(body) if answer.chunked else body


class _HttpConnection(asyncio.Protocol):
    """One connection: requests are answered in order, the next one is read when the last is answered (RFC 9112)."""

    def __init__(self, served: Served, scheme: str) -> None:
        self._served = served
        self._scheme = scheme
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None  # while an answer takes time, or streams were handed over
        self._gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._number = self._served.connected(self)
        self._address, self._port = self._transport.get_extra_info("sockname")[:2]
        site = self._served.site_for("", self._address)
        if site is not None and site.on_connect is not None:
            self._task = asyncio.create_task(self._hand_over(site.on_connect))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._read_requests()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        self._leave()

    async def cut(self) -> None:
        """End the connection at once, and the handler with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._transport.abort()
        await self._gone

    def _leave(self) -> None:
        self._served.disconnected(self)
        if not self._gone.done():
            self._gone.set_result(None)

    def _read_requests(self) -> None:
        while self._task is None and not self._transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD_BYTES:
                return self._refuse(431)
            if end < 0:
                return None
            head = self._buffer[:end].decode("latin-1")
            del self._buffer[: end + 4]
            self._take(head)
        return None

    def _take(self, head: str) -> None:
        request = self._parse(head)
        if request is None:
            return self._refuse(400)
        self._served.log.append(request)
        site = self._served.site_for(request.host, self._address)
        route = _route(site, request.target) if request.method in ("GET", "HEAD") else Answer(status=405, close=True)
        if isinstance(route, Answer) and not route.delay_s:
            self._send(request, route, keep=True)
        else:
            self._task = asyncio.create_task(self._answer(request, route))
        return None

    def _parse(self, head: str) -> Request | None:
        first, *lines = head.split("\r\n")
        try:
            method, target, version = first.split(" ")
        except ValueError:
            return None
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Request(
            start=time.monotonic(),
            method=method,
            target=target,
            version=version,
            headers=headers,
            host=_host_name(headers.get("host", "")),
            scheme=self._scheme,
            address=self._address,
            port=self._port,
            connection=self._number,
        )

    def _refuse(self, status: int) -> None:
        head, body = self._served.render(Answer(status=status), self._scheme, status, keep=False)
        self._transport.write(head + _CLOSE + body)
        self._transport.close()

    async def _answer(self, request: Request, route: Answer | Handler | _Raw) -> None:
        try:
            if isinstance(route, _Raw):
                return await self._hand_over(route.handler)
            answer = route if isinstance(route, Answer) else await _call(route, request)
            await asyncio.sleep(answer.delay_s)
            self._send(request, answer, keep=answer is route)
        except Exception as error:  # noqa: BLE001 - a bug in a declared handler: `serve` raises it at its end
            self._served.errors.append(error)
            self._send(request, Answer(status=500, close=True), keep=False)
        finally:
            request.end = request.end or time.monotonic()
            self._task = None
        return self._read_requests()

    def _send(self, request: Request, answer: Answer, *, keep: bool) -> None:
        if self._transport.is_closing():
            return
        status = 304 if _is_unchanged(request, answer) else answer.status
        head, body = self._served.render(answer, self._scheme, status, keep=keep)
        close = answer.close or not self._keeps_alive(request)
        self._transport.write(head + (_CLOSE if close else b"\r\n") + (b"" if request.method == "HEAD" else body))
        if close:
            self._transport.close()
        request.status = status
        request.end = time.monotonic()

    def _keeps_alive(self, request: Request) -> bool:
        site = self._served.site_for(request.host, self._address)
        wanted = request.version == "HTTP/1.1" and request.headers.get("connection", "").lower() != "close"
        return wanted and (site is None or site.keep_alive)

    async def _hand_over(self, handler: StreamHandler) -> None:
        """Give the connection to the handler as streams; close it when the handler returns."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        reader.feed_data(bytes(self._buffer))
        writer = asyncio.StreamWriter(self._transport, protocol, reader, loop)
        closed = False
        try:
            with suppress(ConnectionError):  # the client left: what a handler for hostile tests may well provoke
                await handler(reader, writer)
                writer.close()
                await writer.wait_closed()
                closed = True
        except Exception as error:  # noqa: BLE001 - a bug in a declared handler: `serve` raises it at its end
            self._served.errors.append(error)
        finally:
            if not closed:  # asyncio fails over aborting a transport that has closed after a full buffer
                self._transport.abort()
            try:
                with suppress(ConnectionError):  # `cut` promises that the socket is closed
                    await writer.wait_closed()
            finally:  # even where a second cancellation ends the wait: `cut` would wait for ever
                self._leave()


class _DnsServer(asyncio.DatagramProtocol):
    """An authority for the declared hosts: A and AAAA (RFC 1035); no such name for any other."""

    def __init__(self, sites: Mapping[str, Site], log: list[tuple[str, str]]) -> None:
        self._sites = sites
        self._log = log

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        try:
            query = DNSRecord.parse(data)
        except DNSError:
            return
        name = str(query.q.qname).rstrip(".").lower()
        self._log.append((name, str(QTYPE[query.q.qtype])))
        site = _named(self._sites, name)
        answer = _dns_answer(site) if site is not None else "nxdomain"
        if answer != "silent":
            reply = query.reply()
            self._fill(reply, answer, site.ttl_s if site is not None else 0)
            self._transport.sendto(bytes(reply.pack()), addr)

    @staticmethod
    def _fill(reply: Any, answer: DnsAnswer, ttl_s: int) -> None:
        if isinstance(answer, str):
            reply.header.rcode = RCODE.NXDOMAIN if answer == "nxdomain" else RCODE.SERVFAIL
            return
        for address in answer:
            record_type, record = (QTYPE.A, A) if ip_address(address).version == 4 else (QTYPE.AAAA, AAAA)
            if reply.q.qtype == record_type:
                reply.add_answer(RR(reply.q.qname, record_type, ttl=ttl_s, rdata=record(address)))


@dataclass(frozen=True, slots=True)
class _Raw:
    handler: StreamHandler


_SITEMAP_NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_AUTHORITY = re.compile(
    r"""(?:(?P<scheme>https?):)?//(?:[^\s/?#"'<>@]*@)?(?P<host>[\w.-]+)(?![\w.:@-])""", re.IGNORECASE
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CLOSE = b"Connection: close\r\n\r\n"
_NOT_FOUND = Answer(status=404, body="Not found\n", content_type="text/plain")
_WORDS = """
anchor beacon boat breeze bridge buoy canal captain cargo chart coast compass crane crew current deck dock drift ferry
fish flag fleet fog gale gull harbour haul helm hull island jetty keel knot lamp lantern light mast moor net oar pier
pilot port quay rope rudder sail salt sand sea shell ship shore signal storm tide timber tower tug vessel voyage watch
wave wharf wind wreck yard
""".split()  # noqa: SIM905 - read by people


def _named(sites: Mapping[str, Site], name: str) -> Site | None:
    """The site of that name, or else of the nearest wildcard above it."""
    site = sites.get(name)
    while site is None and "." in name:
        name = name.partition(".")[2]
        site = sites.get(f"*.{name}")
    return site


def _page_path(number: int) -> str:
    return f"/p{number}" if number else "/"


def _bind(addresses: list[str], port: int) -> list[socket.socket]:
    """One listening socket an address, all on one port; 0 tries ports until one is free at every address."""
    for _attempt in range(100):
        try:
            return _bind_all(addresses, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "found no port that is free at every address of the fake web")


def _bind_all(addresses: list[str], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sockets.append(socket.create_server((address, port), family=family, backlog=1024))
            port = sockets[0].getsockname()[1]
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _host_name(header: str) -> str:
    name, _colon, port = header.rpartition(":")
    return (name if name and port.isdecimal() else header).lower().rstrip(".")


def _route(site: Site | None, target: str) -> Answer | Handler | _Raw:
    if site is None:
        return _NOT_FOUND
    candidates = (target, target.partition("?")[0], "*")
    return next((site.routes[path] for path in candidates if path in site.routes), _NOT_FOUND)


async def _call(handler: Handler, request: Request) -> Answer:
    answer = handler(request)
    return await answer if inspect.isawaitable(answer) else answer


def _is_unchanged(request: Request, answer: Answer) -> bool:
    if answer.status != 200 or not answer.headers:
        return False
    declared = {name.lower(): value for name, value in _pairs(answer.headers)}
    asked = request.headers.get("if-none-match")
    if asked is not None:  # it has precedence (RFC 9110, 13.2.2)
        return asked == declared.get("etag")
    asked = request.headers.get("if-modified-since")
    return asked is not None and asked == declared.get("last-modified")


def _headers(answer: Answer, length: int | None) -> Iterator[tuple[str, str]]:
    """The declared headers, then the server's own that they leave; `length` is None for an answer without a body."""
    declared = _pairs(answer.headers)
    yield from declared
    own = {}
    if length is not None:
        own["Content-Type"] = answer.content_type
        if answer.content_type is None:
            own["Content-Type"] = f"text/html; charset={answer.encoding}"
        own["Content-Encoding"] = "gzip" if answer.gzip else ""
        own["Transfer-Encoding" if answer.chunked else "Content-Length"] = "chunked" if answer.chunked else str(length)
    names = {name.lower() for name, _value in declared}
    yield from ((name, value) for name, value in own.items() if value and name.lower() not in names)


def _pairs(headers: Headers) -> Sequence[tuple[str, str]]:
    return tuple(headers.items()) if isinstance(headers, Mapping) else headers


def _chunks(body: bytes, size: int = 16 * 1024) -> bytes:
    parts = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _dns_answer(site: Site) -> DnsAnswer:
    if site.dns is None:
        return (site.address,)
    return site.dns(site.name) if callable(site.dns) else site.dns
