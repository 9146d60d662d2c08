"""Serves a declared web over HTTP/1.1, on many addresses and one port."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from crawler.fakeweb.answers import message_of, reply_to, route_of, status_of
from crawler.fakeweb.directory import Directory
from crawler.fakeweb.names import DnsServer
from crawler.fakeweb.sites import Answer, Fault, Handler, Raw, Reply, Request, Site, StreamHandler

MAX_HEAD_BYTES = 64 * 1024
_FLOOD = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1024 * 1024

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_TLS_HANDSHAKE = b"\x16\x03"  # RFC 8446, 5.1
_CLOSE = b"Connection: close\r\n\r\n"


class Served(Directory):
    """A web while it is served. `dns_log` has the queries in order of arrival, with names in lower case."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        super().__init__(sites)
        self.dns_log: list[tuple[str, str]] = []
        self.dns = ""  # IP:PORT of the DNS server
        self._rendered: dict[tuple[Answer, str, int], tuple[bytes, bytes]] = {}
        self._servers: list[asyncio.Server] = []
        self._silent: list[socket.socket] = []  # at which nobody gets a connection
        self._dns_transport: asyncio.DatagramTransport | None = None
        self._open: set[_HttpConnection] = set()

    async def open(self, *, port: int, ssl_context: ssl.SSLContext | None, wildcard: bool) -> None:
        """Bind and listen; the caller must `close`, even if this raises."""
        plain = {site.address: None for site in self.sites.values() if site.listening}
        secure = {site.address: None for site in self.sites.values() if site.listening and site.tls}
        if secure and ssl_context is None:
            raise ValueError("a host is declared with tls: serve() needs an ssl_context")
        self.port = await self._listen("http", ["0.0.0.0"] if wildcard else [*plain], port, None)  # noqa: S104
        if secure:
            self.tls_port = await self._listen("https", ["0.0.0.0"] if wildcard else [*secure], 0, ssl_context)  # noqa: S104
        for site in self.sites.values():
            for declared, origin in site.ports.items():
                await self._listen_at(declared, origin)
        loop = asyncio.get_running_loop()
        self._dns_transport, _protocol = await loop.create_datagram_endpoint(
            lambda: DnsServer(self.sites, self.dns_log), local_addr=("127.0.0.1", 0)
        )
        address, dns_port = self._dns_transport.get_extra_info("sockname")
        self.dns = f"{address}:{dns_port}"

    async def close(self) -> None:
        """Stop listening, cut every connection, and wait until all are closed."""
        for server in self._servers:
            server.close()
        await asyncio.gather(*(connection.cut() for connection in list(self._open)))
        for server in self._servers:
            await server.wait_closed()
        for unanswered in self._silent:
            unanswered.close()
        if self._dns_transport is not None:
            self._dns_transport.close()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn

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
        """Register a new connection; returns its number."""
        self._open.add(connection)
        self.connections += 1
        return self.connections

    def disconnected(self, connection: _HttpConnection) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    async def _listen(self, scheme: str, addresses: list[str], port: int, ssl_context: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        silent = {site.address for site in self.sites.values() if site.listening == "silent"}
        sockets = _bind(addresses, port)
        for address, listener in zip(addresses, sockets, strict=True):
            if address in silent:
                self._silent += _silenced(listener)
                continue
            server = await loop.create_server(lambda: _HttpConnection(self, scheme), sock=listener, ssl=ssl_context)
            self._servers.append(server)
        return int(sockets[0].getsockname()[1]) if sockets else port

    async def _listen_at(self, declared: int, origin: Site) -> None:
        """Where the origin does not listen, the port is one that was free a moment ago."""
        if origin.listening is True:
            real = await self._listen("http", [origin.address], 0, None)
        else:
            [unused] = _bind([origin.address], 0)
            real = int(unused.getsockname()[1])
            if origin.listening:
                self._silent += _silenced(unused)
            else:
                unused.close()
        del self.origins[origin.address, declared]
        self.origins[origin.address, real] = origin
        self.ports[origin.name, declared] = real

    def _render(self, answer: Answer, scheme: str, status: int) -> tuple[bytes, bytes]:
        message = message_of(answer, status, self, scheme)
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
        lines += (f"{name}: {value}" for name, value in message.headers)
        head = "".join(f"{line}\r\n" for line in lines)
        return head.encode("latin-1"), _chunks(message.body) if message.is_chunked else message.body


class _HttpConnection(asyncio.Protocol):
    """One connection. Requests are answered in order; the next is read once the last has been answered (RFC 9112)."""

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
        site = self._served.site_for("", self._address, self._port)
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
            if self._buffer.startswith(_TLS_HANDSHAKE):
                return self._refuse(400)  # as servers do, instead of waiting for the end of a head
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
        site = self._served.site_for(request.host, self._address, self._port)
        route = route_of(site, request.target) if request.method in ("GET", "HEAD") else Answer(status=405, close=True)
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

    async def _answer(self, request: Request, route: Reply | Handler | Raw) -> None:
        try:
            if isinstance(route, Raw):
                return await self._hand_over(route.handler)
            reply = await reply_to(request, route)
            if isinstance(reply, Fault):
                return await self._fail(reply)
            await asyncio.sleep(reply.delay_s)
            self._send(request, reply, keep=reply is route)
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
        status = status_of(request, answer)
        head, body = self._served.render(answer, self._scheme, status, keep=keep)
        close = answer.close or not self._keeps_alive(request)
        self._transport.write(head + (_CLOSE if close else b"\r\n") + (b"" if request.method == "HEAD" else body))
        if close:
            self._transport.close()
        request.status = status
        request.end = time.monotonic()

    async def _fail(self, fault: Fault) -> None:
        if fault is Fault.HANG:
            await asyncio.Event().wait()  # until `connection_lost` or `cut`
        if fault is Fault.GARBAGE:
            self._transport.write(b"this is no HTTP\r\n\r\n")
        if fault is Fault.FLOOD:
            self._transport.write(_FLOOD)
        self._transport.close()

    def _keeps_alive(self, request: Request) -> bool:
        site = self._served.site_for(request.host, self._address, self._port)
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


def _bind(addresses: list[str], port: int) -> list[socket.socket]:
    """One listening socket per address, all on one port; 0 tries ports until one is free at every address."""
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


def _silenced(listener: socket.socket) -> list[socket.socket]:
    """The sockets that keep a listening one busy: its queue is full, so the kernel drops who else wants to connect."""
    listener.listen(0)
    first = socket.socket(listener.family)
    first.connect(listener.getsockname())
    return [listener, first]


def _host_name(header: str) -> str:
    name, _colon, port = header.rpartition(":")
    return (name if name and port.isdecimal() else header).lower().rstrip(".")


def _chunks(body: bytes, size: int = 16 * 1024) -> bytes:
    parts = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
