"""One URL in, a `Response` or a `Failure` out: exactly one request on the shared session.

aiohttp's exceptions end here. No redirect is followed, no request is repeated, no body is read beyond its limit.
`open_fetcher` is the package's entry point: it opens the resolver, the guard and the session, and closes them.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache

import aiohttp
from yarl import URL

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.exchange import Exchange, Lookup
from crawler.fetching import Look, Unresolved, any_type
from crawler.host_settings import HostSettings
from crawler.memory import MemoryBudget, Share
from crawler.network.attempt import Attempt, Common, KeptConnections, current_attempt
from crawler.network.body import Body, drain_body, read_body
from crawler.network.cookies import CookieFile
from crawler.network.credentials import Credentials
from crawler.network.deadlines import Deadlines
from crawler.network.failures import explain
from crawler.network.fields import CONTENT_TYPE, codings_of, field, response_of
from crawler.network.guard import AddressGuard
from crawler.network.lag import LoopLag
from crawler.network.rate import RateLimit, buffer_bytes
from crawler.network.recording import note_failure, note_response
from crawler.network.resolver import Resolver, parse_dns_server
from crawler.network.session import (
    Concurrency,
    common_headers,
    fit_concurrency,
    open_file_limit,
    open_session,
)
from crawler.network.tunnel import authorization, demands_credentials
from crawler.proxy import ProxyServer
from crawler.records import Failure, FailureKind, Response
from crawler.urls import host_of, origin_of, scheme_of, without_credentials


class HttpFetcher:
    """A `crawler.fetching.Fetcher` over aiohttp. `network` gives limits and headers, `cookies` are the user's,
    `kept_connections` bounds what stays open.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        resolver: Resolver,
        guard: AddressGuard,
        network: NetworkConfig,
        counters: Counters,
        kept_connections: int,
        deadlines: Deadlines,
        lag: LoopLag,
        cookies: CookieFile | None = None,
        credentials: Credentials | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._resolver = resolver
        self._guard = guard
        self._network = network
        self._deadlines = deadlines
        self._cookies = cookies
        self._proxy = network.proxy_server
        self._common = Common(
            counters=counters,
            kept=KeptConnections(guard.open_connections, kept_connections),
            lag=lag,
            proxy=self._proxy.name if self._proxy is not None else None,
            wall_clock=wall_clock,
        )
        self._memory = MemoryBudget(network.memory_bytes)
        self._credentials = credentials or Credentials(network)
        self._max_rate = network.max_rate
        self._rate = RateLimit(network.max_rate) if network.max_rate is not None else None

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
        record: Callable[[Exchange], None] | None = None,
    ) -> Response | Failure:
        """The answer to one GET of `url` (normalized), or why there is none. Raises nothing but `CancelledError`.

        The body is read where the status is 2xx and `readable(content_type)` says so, up to `max_bytes` decoded bytes;
        elsewhere `read` is False. `look`: see `Fetcher.fetch`. `timeout_s` replaces the configured deadline of the
        whole request, in which the time waited for our own rate limit does not count. `on_sent` is called at the moment
        in which the request was sent, and not before `sending_in_s`, asked once there is a connection, says 0 seconds.
        Where `fresh`, it goes out on no connection that was kept. The body counts in the memory budget until `share` is
        given back; without one, until this returns. `method`, `as_stranger` and `record`: see `Fetcher.fetch`.
        """
        deadline = self._deadlines.after(timeout_s or self._network.timeout_s)
        attempt = Attempt(  # without names: with them, Python makes a dict and takes it apart
            without_credentials(url),
            origin_of(url),
            self._common,
            deadline,
            max_bytes or self._network.max_bytes,
            readable,
            look,
            on_sent,
            sending_in_s,
            fresh,
            None if record is None else Exchange(without_credentials(url), method, self.share()),
        )
        token = current_attempt.set(attempt)
        self._common.counters.in_flight += 1
        try:
            with deadline:  # the only one that stops a server that sends a byte now and then
                return await self._request(attempt, method, self._headers(attempt, headers, as_stranger), share)
        except Exception as error:  # what hostile bytes make parsers raise cannot be listed
            if self._session.closed:
                raise  # our mistake, not the web's
            return _failure(attempt, *explain(error, attempt))
        finally:
            attempt.finish()
            if attempt.exchange is not None and record is not None:
                attempt.exchange.end()
                record(attempt.exchange)
            self._common.counters.in_flight -= 1
            current_attempt.reset(token)

    def share(self) -> Share:
        """See `Fetcher.share`."""
        return self._memory.share()

    def address_of(self, host: str) -> Awaitable[str | Unresolved]:
        """The address that politeness counts requests to `host` (a name or an IP literal) under."""
        return self._resolver.address_of(host)

    def open_origin(self, origin: str) -> None:
        """Let requests to `origin` reach the private address that it names, being a seed's."""
        self._guard.open_origin(origin)

    def trust_origin(self, origin: str) -> None:
        """Send the user's `Authorization` and `Cookie` headers to `origin`, being a seed's, and to no other."""
        self._credentials.trust(origin)

    def authorize(self, origin: str, user: str, password: str) -> None:
        """Send these credentials with every request to `origin`, and to no other (RFC 7617)."""
        self._credentials.authorize(origin, user, password)

    def divide_rate(self, processes: int) -> None:
        """So many share what `--max-rate` allows; this one has its part of it."""
        if self._rate is not None and self._max_rate is not None:
            self._rate.bytes_per_s = self._max_rate / processes

    async def _request(
        self, attempt: Attempt, method: str, headers: Mapping[str, str] | None, share: Share | None
    ) -> Response | Failure:
        if self._proxy is not None and (refused := await self._refused_target(attempt)):
            return refused
        forwarder = self._forwarder(attempt)
        if forwarder is not None:
            headers = {**authorization(forwarder), **(headers or {})}
        answer = await self._session.request(
            method,
            request_target(attempt.url, attempt.origin),
            headers=headers,
            proxy=None if forwarder is None else forwarder.name,
            allow_redirects=False,
        )
        try:
            if answer.status == 407 and forwarder is not None:
                answer.close()
                raise demands_credentials(forwarder)
            if answer.status < 200:
                answer.close()
                return _failure(attempt, FailureKind.BAD_RESPONSE, f"unexpected status {answer.status}")
            if not (200 <= answer.status < 300 and attempt.readable(field(answer.headers, CONTENT_TYPE))):
                await drain_body(answer, attempt, self._rate)
                return _response(attempt, answer)
            body = await self._read(answer, attempt, share)
            if body is None:
                await drain_body(answer, attempt, self._rate)
            return _response(attempt, answer, body)
        finally:
            if not answer.closed:  # as it is with its last byte
                answer.release()

    async def _read(self, answer: aiohttp.ClientResponse, attempt: Attempt, share: Share | None) -> Body | None:
        """The body; None where it is not wanted. What came stays in the `share`, if there is one."""
        room = share or self.share()
        body = None
        try:
            body = await read_body(answer, codings_of(answer.headers), attempt, room, self._rate)
        finally:
            if share is None or body is None:
                room.give_back()
            else:
                room.keep()
        return body

    async def _refused_target(self, attempt: Attempt) -> Failure | None:
        """Why the target may not be asked for, whose socket is the proxy's: since the proxy may choose among the
        addresses of a name, each has to be allowed.
        """
        answer = await self._resolver.lookup(host_of(attempt.url))
        if isinstance(answer, Unresolved):
            return _failure(attempt, FailureKind.DNS, answer.message)
        for attempt.address in answer:
            if refused := self._guard.refusal(attempt.address, attempt.origin):
                return _failure(attempt, FailureKind.BLOCKED_ADDRESS, refused)
        attempt.address = answer[0]
        return None

    def _forwarder(self, attempt: Attempt) -> ProxyServer | None:
        """The proxy that is sent the whole URL, being an HTTP proxy; None where the connection is the target's."""
        if self._proxy is None or self._proxy.scheme != "http" or scheme_of(attempt.url) != "http":
            return None
        return self._proxy

    def _headers(
        self, attempt: Attempt, headers: Mapping[str, str] | None, as_stranger: bool
    ) -> Mapping[str, str] | None:
        credentials = self._credentials.of(attempt.origin, as_stranger=as_stranger)
        cookie = self._cookies.header(attempt.url) if self._cookies is not None and not as_stranger else None
        if cookie is not None:
            given = (credentials or {}).get("Cookie")
            credentials = {**(credentials or {}), "Cookie": f"{given}; {cookie}" if given else cookie}
        return {**credentials, **(headers or {})} if credentials else headers


@asynccontextmanager
async def open_fetcher(
    network: NetworkConfig,
    politeness: PolitenessConfig,
    counters: Counters,
    *,
    concurrency: Concurrency | None = None,
    cookies: CookieFile | None = None,
    hosts: Sequence[HostSettings] = (),
    ssl_context: ssl.SSLContext | None = None,
    on_lookup: Callable[[Lookup], None] | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[HttpFetcher]:
    """The fetcher, opened inside the running event loop and closed in every way out.

    `concurrency` is what fits below the open-file limit, found out where it is not given. `cookies` are sent where they
    belong, and so are the headers of `hosts`. `ssl_context` replaces the default trust in the system's CAs;
    `on_lookup` hears what DNS says; `wall_clock` gives the times in what is returned. Raises `UsageError` where the DNS
    server or a header cannot be used.
    """
    if concurrency is None:
        concurrency = fit_concurrency(politeness.concurrency, open_file_limit())
    politeness = replace(politeness, per_host=max([politeness.per_host, *(host.per_host or 0 for host in hosts)]))
    receive_buffer_bytes = None if network.max_rate is None else buffer_bytes(network.max_rate)
    guard = AddressGuard(network.allowed_networks, counters, receive_buffer_bytes)
    resolver = Resolver(counters, network.dns_server, on_lookup=on_lookup)
    deadlines, lag = Deadlines(network.read_timeout_s), LoopLag()
    try:
        async with open_session(
            network, politeness, resolver=resolver, guard=guard, ssl_context=ssl_context
        ) as session:
            kept, credentials = concurrency.kept_connections, Credentials(network, hosts)
            yield HttpFetcher(
                session, resolver, guard, network, counters, kept, deadlines, lag, cookies, credentials, wall_clock
            )
    finally:
        deadlines.close()
        lag.close()
        await resolver.close()


def check_network(network: NetworkConfig, hosts: Sequence[HostSettings] = ()) -> None:
    """Raises `UsageError` where the DNS server or a header cannot be used: found out before anything is opened."""
    for headers in (network.headers, *(host.headers for host in hosts)):
        common_headers(replace(network, headers=headers))
    if network.dns_server:
        parse_dns_server(network.dns_server)


def request_target(url: str, origin: str) -> URL:
    """`url` (normalized, of this origin, without credentials) as yarl keeps its hands off it.

    The query goes with the path: yarl would drop an empty one, and 'http://h/a?' is another resource than 'http://h/a'.
    """
    return _root(origin).with_path(url[len(origin) :], encoded=True)


@lru_cache(maxsize=1024)
def _root(origin: str) -> URL:
    return URL(origin, encoded=True)


def _response(attempt: Attempt, answer: aiohttp.ClientResponse, body: Body | None = None) -> Response:
    if attempt.exchange is not None:
        note_response(attempt.exchange, attempt, answer, body)
    return response_of(
        answer.headers,
        answer.raw_headers,
        url=attempt.url,
        status_code=answer.status,
        body=b"" if body is None else body.data,
        read=body is not None,
        truncated=(body is not None and body.truncated) or answer.status == 206,  # a part, though nobody asked for one
        size=answer.content_length if body is None else body.size,
        address=attempt.address,
        started_at=attempt.started_at,
        elapsed_s=attempt.elapsed_s,
        first_byte_s=attempt.first_byte_s,
        reused=attempt.reused,
    )


def _failure(attempt: Attempt, kind: FailureKind, message: str) -> Failure:
    if attempt.exchange is not None:
        note_failure(attempt.exchange, attempt, kind, message)
    return Failure(
        url=attempt.url,
        kind=kind,
        message=message,
        address=attempt.address,
        started_at=attempt.started_at,
        elapsed_s=attempt.elapsed_s,
        first_byte_s=attempt.first_byte_s,
        reused=attempt.reused,
        sent=attempt.sent,
        answered=attempt.answered,
    )
