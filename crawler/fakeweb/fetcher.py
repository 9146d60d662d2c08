"""A fetcher that answers from the declared graph, without sockets, as the real one does from the served web.

    with open_fake_fetcher(web, NetworkConfig(allow_private=("127.0.0.0/8",)), Counters()) as fetcher:
        answer = await fetcher.fetch(fetcher.directory.url("a.test"))

Only `asyncio.sleep` takes time here, so an event loop in virtual time runs a night in a moment. Addresses are judged,
credentials kept apart, heads read and bodies decoded by the real fetcher's own code; limits on sockets do not apply.
Invariant: `tests/contract/test_fetchers.py` runs each case on both. A stream handler (`Site.raw`, `Site.connection`)
needs a socket, and raises `TypeError` here.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Never

from crawler.clock import Clock
from crawler.config import NetworkConfig
from crawler.counters import Counters
from crawler.exchange import Exchange as Recorded
from crawler.fakeweb.answers import message_of, reply_to, route_of, status_of
from crawler.fakeweb.directory import Directory
from crawler.fakeweb.exchange import Connection, Exchange, FetchError, Head, read, unread
from crawler.fakeweb.lookup import Names
from crawler.fakeweb.sites import Answer, Fault, Handler, Raw, Reply, Request
from crawler.fakeweb.web import FakeWeb
from crawler.fetching import Look, Unresolved, any_type
from crawler.memory import MemoryBudget, Share
from crawler.network.credentials import Credentials
from crawler.network.fields import CONTENT_TYPE, field
from crawler.network.guard import AddressGuard
from crawler.network.heads import MAX_HEAD_BYTES
from crawler.network.session import common_headers
from crawler.records import Failure, FailureKind, Response
from crawler.urls import DEFAULT_PORTS, authority_of, target_of, without_credentials


class FakeWebFetcher:
    """A `crawler.fetching.RunFetcher` for a declared web. `directory` has its URLs, and its log of requests."""

    def __init__(self, directory: Directory, network: NetworkConfig, counters: Counters, clock: Clock) -> None:
        self.directory = directory
        self._network = network
        self._counters = counters
        self._clock = clock
        self._names = Names(directory.sites, counters, clock)
        self._guard = AddressGuard(network.allowed_networks, counters)
        self._memory = MemoryBudget(network.memory_bytes)
        self._credentials = Credentials(network)
        self._headers = common_headers(network)
        self._idle: dict[str, list[Connection]] = {}  # by origin

    async def fetch(
        self,
        url: str,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        readable: Callable[[str | None], bool] = any_type,
        look: Look | None = None,
        max_bytes: int | None = None,
        on_sent: Callable[[], None] | None = None,
        sending_in_s: Callable[[], float] | None = None,
        fresh: bool = False,
        share: Share | None = None,
        method: str = "GET",
        as_stranger: bool = False,
        record: Callable[[Recorded], None] | None = None,
    ) -> Response | Failure:
        """See `Fetcher.fetch`; nothing passes over a wire, so `record` is not called. Raises `TypeError` for a stream
        handler.
        """
        exchange = Exchange(without_credentials(url), self._clock)
        self._counters.in_flight += 1
        try:
            async with asyncio.timeout(timeout_s or self._network.timeout_s) as deadline:
                exchange.connection = await self._connect(exchange, fresh=fresh)
                while sending_in_s is not None and (wait_s := sending_in_s()):
                    deadline.reschedule((deadline.when() or 0.0) + wait_s)
                    await asyncio.sleep(wait_s)
                own = self._credentials.of(exchange.origin, as_stranger=as_stranger) or {}
                request = self._send(exchange, exchange.connection, method, {**own, **(headers or {})})
                if on_sent is not None:
                    on_sent()
                async with asyncio.timeout(self._network.read_timeout_s):
                    head = await self._ask(exchange, request)
                    exchange.record_answer()
                    exchange.answered = True
                    if not (200 <= head.status < 300 and readable(field(head.headers, CONTENT_TYPE))):
                        return unread(exchange, head)
                    response = await read(exchange, head, max_bytes or self._network.max_bytes, look)
                    if share is not None:
                        await share.take(len(response.body))
                        share.keep()
                    self._counters.bytes += len(response.body)
                    return response
        except TimeoutError:
            reason = "timed out before the response was complete" if exchange.sent else "timed out while connecting"
            return exchange.failure(FailureKind.TIMEOUT, reason)
        except FetchError as error:
            return exchange.failure(error.kind, str(error))
        finally:
            self._counters.in_flight -= 1
            self._release(exchange)

    def share(self) -> Share:
        """See `Fetcher.share`."""
        return self._memory.share()

    async def address_of(self, host: str) -> str | Unresolved:
        """The first address that is declared for the name; an IP literal is its own address."""
        found = await self._names.lookup(host)
        return found if isinstance(found, Unresolved) else found[0]

    def open_origin(self, origin: str) -> None:
        """See `OriginAccess.open_origin`."""
        self._guard.open_origin(origin)

    def trust_origin(self, origin: str) -> None:
        """See `OriginAccess.trust_origin`."""
        self._credentials.trust(origin)

    def authorize(self, origin: str, user: str, password: str) -> None:
        """See `OriginAccess.authorize`."""
        self._credentials.authorize(origin, user, password)

    def divide_rate(self, processes: int) -> None:
        """It has no rate."""

    def close(self) -> None:
        """Forget the idle connections."""
        self._counters.connections_open -= sum(map(len, self._idle.values()))
        self._idle.clear()

    # --- connecting -------------------------------------------------------------------------------------------------

    async def _connect(self, exchange: Exchange, *, fresh: bool) -> Connection:
        """An idle connection, or a new one to the first address that accepts it."""
        await asyncio.sleep(0)  # as with a socket, nothing is sent before other tasks have run
        if fresh:
            self._counters.connections_open -= len(self._idle.pop(exchange.origin, ()))
        if kept := self._idle.get(exchange.origin):
            connection = kept.pop()
            connection.reused = True
            exchange.address = connection.address
            return connection
        found = await self._names.lookup(exchange.host)
        if isinstance(found, Unresolved):
            raise FetchError(FailureKind.DNS, found.message)
        refusals = []
        for exchange.address in found:
            if self._guard.refusal(exchange.address, exchange.origin) is not None:
                refusals.append(exchange.address)
            elif listening := self.directory.listens(exchange.address, exchange.scheme, exchange.port):
                if listening == "silent":
                    await asyncio.sleep(self._network.connect_timeout_s)
                    raise TimeoutError
                return self._open(exchange.address)
        if len(refusals) == len(found):
            raise FetchError(FailureKind.BLOCKED_ADDRESS, self._guard.refusal(refusals[-1], exchange.origin) or "")
        raise FetchError(FailureKind.CONNECT, os.strerror(errno.ECONNREFUSED))

    def _open(self, address: str) -> Connection:
        self.directory.connections += 1
        self._counters.connections_open += 1
        self._counters.connections_peak = max(self._counters.connections_peak, self._counters.connections_open)
        return Connection(address=address, number=self.directory.connections)

    def _release(self, exchange: Exchange) -> None:
        if exchange.connection is None:
            return
        if exchange.keep:
            self._idle.setdefault(exchange.origin, []).append(exchange.connection)
        else:
            self._counters.connections_open -= 1

    # --- asking -----------------------------------------------------------------------------------------------------

    def _send(self, exchange: Exchange, connection: Connection, method: str, headers: Mapping[str, str]) -> Request:
        authority = authority_of(exchange.url)
        sent = {"Host": authority} | self._headers | dict(headers)
        request = Request(
            start=self._clock.monotonic(),
            method=method,
            target=target_of(exchange.url),
            version="HTTP/1.1",
            headers={name.lower(): value for name, value in sent.items()},
            host=exchange.host,
            scheme=exchange.scheme,
            address=connection.address,
            port=exchange.port,
            connection=connection.number,
        )
        self.directory.log.append(request)
        self._counters.requests += 1
        if connection.reused:
            self._counters.connections_reused += 1
        else:
            self._counters.connections_opened += 1
        exchange.sent = True
        exchange.record_start()
        return request

    async def _ask(self, exchange: Exchange, request: Request) -> Head:
        """The head of the response. A request that is given up gets no status, as with the real server."""
        site = self.directory.site_for(request.host, request.address, request.port)
        route = route_of(site, request.target)
        if isinstance(route, Raw) or (site is not None and site.on_connect is not None):
            raise TypeError(f"{request.host}{request.target} has a stream handler, which needs a socket: serve the web")
        try:
            reply = await self._reply(request, route)
            if isinstance(reply, Fault):
                await _fail(reply, exchange)
            await asyncio.sleep(reply.delay_s)
            request.status = status_of(request, reply)
            message = message_of(reply, request.status, self.directory, request.scheme)
        finally:
            request.end = self._clock.monotonic()
        closes = reply.close or (site is not None and not site.keep_alive)
        return Head(message, closes=closes, has_body=request.method != "HEAD")

    async def _reply(self, request: Request, route: Reply | Handler) -> Reply:
        try:
            return await reply_to(request, route)
        except Exception as error:  # noqa: BLE001 - a bug in a declared handler: `open_fake_fetcher` raises it at its end
            self.directory.errors.append(error)
            return Answer(status=500, close=True)


@contextmanager
def open_fake_fetcher(
    web: FakeWeb, network: NetworkConfig, counters: Counters, *, clock: Clock | None = None
) -> Iterator[FakeWebFetcher]:
    """A fetcher for this web, whose hosts have the default ports. All times returned or logged are from `clock`.

    Raises `UsageError` if a header cannot be used and, at the end, an `ExceptionGroup` of what handlers raised.
    """
    directory = Directory(web.sites, port=DEFAULT_PORTS["http"], tls_port=DEFAULT_PORTS["https"])
    fetcher = FakeWebFetcher(directory, network, counters, clock or Clock())
    try:
        yield fetcher
    finally:
        fetcher.close()
    if directory.errors:
        raise ExceptionGroup("handlers of the fake web failed", directory.errors)


async def _fail(fault: Fault, exchange: Exchange) -> Never:
    if fault is Fault.HANG:
        await asyncio.Event().wait()
    if fault in (Fault.GARBAGE, Fault.FLOOD):
        exchange.record_answer()
    if fault is Fault.GARBAGE:
        raise FetchError(FailureKind.BAD_RESPONSE, "Bad status line 'this is no HTTP'")
    if fault is Fault.FLOOD:
        raise FetchError(FailureKind.TOO_LARGE, f"the header section is larger than {MAX_HEAD_BYTES // 1024} KiB")
    raise FetchError(FailureKind.DISCONNECTED, "the connection closed before the response")
