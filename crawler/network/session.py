"""Builds and closes THE one `aiohttp.ClientSession`, inside the running event loop.

Invariants: one session a crawl; a request goes out once, whatever becomes of its connection; no transport outlives
`open_session`; connections in use and idle together fit below the open-file limit.
"""

from __future__ import annotations

import re
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.errors import UsageError
from crawler.network.attempt import current_attempt
from crawler.network.guard import AddressGuard
from crawler.network.protocol import BoundedProtocol, WatchedRequest, parser_options, use_bounded_protocol
from crawler.network.rate import buffer_bytes
from crawler.network.resolver import Resolver
from crawler.network.tls import tls_context
from crawler.network.tunnel import ProxyConnector
from crawler.statically_frozen import dataclass

RESERVED_FILES = 64  # the database and its files, DNS, parser processes, standard streams
SOCKETS_PER_CONNECT = 2  # an address that hesitates gets company from the next one (RFC 8305)
MAX_KEPT_CONNECTIONS = 1024  # each costs memory here and patience there
MIN_KEEPALIVE_S, MAX_KEEPALIVE_S = 15.0, 75.0
READ_BUFFER_BYTES = 256 * 1024  # aiohttp holds twice this of a body that is not read, then TCP holds the peer back
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

CREDENTIAL_FIELDS = frozenset({"authorization", "cookie"})
PUBLIC_FIELDS = frozenset({"user-agent", "from", "accept", "accept-language", "accept-encoding", "dnt", "sec-gpc"})
_OURS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "expect",
        "upgrade",
        "te",
        "trailer",
        "proxy-authorization",
    }
)
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """What fits below the open-file limit. `kept_connections` counts those in use that will be kept, and the idle."""

    workers: int
    kept_connections: int


def fit_concurrency(wanted: int, soft_limit: int) -> Concurrency:
    """As many workers as are wanted, or as fit below `soft_limit` open files; what they leave is for idle connections.

    A worker needs the sockets of its connect, and room for its connection to be kept.
    """
    available = max(soft_limit - RESERVED_FILES, SOCKETS_PER_CONNECT + 1)
    workers = max(1, min(wanted, available // (SOCKETS_PER_CONNECT + 1)))
    return Concurrency(
        workers=workers, kept_connections=min(available - workers * SOCKETS_PER_CONNECT, MAX_KEPT_CONNECTIONS)
    )


def open_file_limit() -> int:
    """The soft limit of descriptors that this process may hold."""
    soft_limit, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft_limit == resource.RLIM_INFINITY else soft_limit


@asynccontextmanager
async def open_session(
    network: NetworkConfig,
    politeness: PolitenessConfig,
    *,
    resolver: Resolver,
    guard: AddressGuard,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """The session, closed in every way out. `ssl_context` replaces the default trust in the system's CAs; where
    `network.insecure`, nobody is asked. (Old protocols are refused in either case.)

    Raises `UsageError` where a header of the user's cannot be sent.
    """
    headers = common_headers(network)
    options: dict[str, Any] = {
        "limit": politeness.concurrency,
        "limit_per_host": politeness.per_host,
        "keepalive_timeout": min(max(MIN_KEEPALIVE_S, 2 * politeness.delay_s), MAX_KEEPALIVE_S),
        "resolver": resolver,
        "use_dns_cache": False,
        "socket_factory": guard.socket_factory,
        "ssl": tls_context(insecure=network.insecure) if network.insecure or ssl_context is None else ssl_context,
    }
    proxy = network.proxy_server
    connector = ProxyConnector(proxy, guard, **options) if proxy else aiohttp.TCPConnector(**options)
    parsing = parser_options(READ_BUFFER_BYTES if network.max_rate is None else buffer_bytes(network.max_rate))
    use_bounded_protocol(connector, parsing)
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=request_timeout(network),
            request_class=WatchedRequest,
            response_class=WatchedResponse,
            requote_redirect_url=False,
            trust_env=False,
            **parsing,
        ) as session:
            yield session
    finally:
        await guard.close()


class ConnectionEndedError(aiohttp.ClientError):
    """The connection ended before an answer came.

    aiohttp sends a GET again, unpaced and uncounted, after the errors of its own that say so. It knows nothing of this
    one.
    """


class WatchedResponse(aiohttp.ClientResponse):
    """Tells the attempt under way that its request was sent.

    aiohttp calls `start` in the same step of the event loop in which it wrote the request, with the connection at hand.
    That is the one place that sees every connection, also a reused one whose answer comes at once. (Trace hooks see no
    connection, and cost 13 % of the requests per second; this costs 3 %.)
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Wait for the head of the answer. Raises `ConnectionEndedError` where the connection ended first."""
        attempt, protocol = current_attempt.get(), connection.protocol
        if attempt is not None and isinstance(protocol, BoundedProtocol):
            protocol.expect_answer()
            attempt.record_sent(protocol)
        try:
            await super().start(connection)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise ConnectionEndedError from error
        if attempt is not None:
            attempt.answered = True
            if attempt.exchange is not None:
                attempt.exchange.has_ended = self.content.is_eof
        return self


def request_timeout(network: NetworkConfig) -> aiohttp.ClientTimeout:
    """The deadline of connecting. The others are the fetcher's (see `deadlines`)."""
    return aiohttp.ClientTimeout(total=None, sock_connect=network.connect_timeout_s)


def common_headers(network: NetworkConfig) -> dict[str, str]:
    """What every request carries: ours, then those of the user's that tell nothing. aiohttp adds the Accept-Encoding
    that it can decode. No Accept-Language: a crawler wants what a page says by default.
    """
    users = {name: value for name, value in _checked(network.headers) if name.lower() in PUBLIC_FIELDS}
    replaced = {name.lower() for name in users}
    ours = {"User-Agent": network.user_agent, "Accept": ACCEPT}
    return {name: value for name, value in ours.items() if name.lower() not in replaced} | users


def private_headers(network: NetworkConfig) -> dict[str, str]:
    """The user's headers that every site of the crawl may see, and no stranger: any of them may hold a secret."""
    others = PUBLIC_FIELDS | CREDENTIAL_FIELDS
    return {name: value for name, value in network.headers.items() if name.lower() not in others}


def credential_headers(network: NetworkConfig) -> dict[str, str]:
    """The user's headers that only the seeds' origins may see."""
    return {name.title(): value for name, value in network.headers.items() if name.lower() in CREDENTIAL_FIELDS}


def header_flaw(name: str, value: str) -> str | None:
    """Why this header field cannot be sent; None if it can."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        return f"{name!r} is not a valid header name"
    if name.lower() in _OURS:
        return f"{name} cannot be set; the connection manages it"
    if not isinstance(value, str):
        return f"the value of {name} is not a text"
    return None if value.isprintable() else f"the value of {name} contains control characters"


def _checked(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    for name, value in headers.items():
        if flaw := header_flaw(name, value):
            raise UsageError(f"--header: {flaw}")
    return list(headers.items())
