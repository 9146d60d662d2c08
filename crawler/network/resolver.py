"""Names to addresses: aiodns behind a cache that keeps what DNS says for as long as DNS says.

Invariants: one query under way for a name however many ask for it; a caller that gives up takes nothing from the
others; the addresses of a name keep their order, so that its first address, which politeness counts, stays the same.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeAlias

import aiodns
import pycares
from aiohttp.abc import AbstractResolver, ResolveResult

from crawler.counters import Counters
from crawler.errors import UsageError
from crawler.exchange import Lookup
from crawler.fetching import Unresolved
from crawler.network.guard import is_localhost, parse_address

MIN_TTL_S = 5.0  # a connect follows its politeness look-up within this; shorter TTLs would ask twice for each request
MAX_TTL_S = 3600.0
ABSENT_TTL_S = 60.0  # the name does not exist
TROUBLE_TTL_S = 5.0  # the servers did not answer, or not properly
MAX_NAMES = 10_000
MAX_LOOKUPS = 64
MAX_ADDRESSES_PER_FAMILY = 8  # a name with thousands would be tried until the deadline
TRIES = 2
TRY_S = 5.0  # c-ares waits no longer for the first answer, whatever it is told, and up to twice as long for the second
LOOKUP_S = 20.0  # two tries each of two channels, where an answer takes a little more than 5 s

_ABSENT = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME})


Answer: TypeAlias = tuple[str, ...] | Unresolved


class Resolver(AbstractResolver):
    """The resolver of one session; made inside a running event loop, closed with `close`.

    `dns_server` is asked instead of the system's: 'IP', 'IP:port' or '[IPv6]:port'; `UsageError` where it is none. A
    lookup ends within `timeout_s` seconds. `clock` counts seconds, for the lifetime of answers. `on_lookup` hears what
    DNS says, each time that it is asked.
    """

    def __init__(
        self,
        counters: Counters,
        dns_server: str | None = None,
        *,
        timeout_s: float = LOOKUP_S,
        max_names: int = MAX_NAMES,
        clock: Callable[[], float] = time.monotonic,
        on_lookup: Callable[[Lookup], None] | None = None,
    ) -> None:
        self._servers = [parse_dns_server(dns_server)] if dns_server else None
        self._dns = self._open_channel()
        self._patient: set[aiodns.DNSResolver] = set()
        self._counters = counters
        self._timeout_s = timeout_s
        self._max_names = max_names
        self._clock = clock
        self._on_lookup = on_lookup
        self._known: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Answer]] = {}
        self._slots = asyncio.Semaphore(MAX_LOOKUPS)
        self._closed = False

    async def address_of(self, host: str) -> str | Unresolved:
        """The address that politeness counts requests to `host` under: its first. An IP literal is its own."""
        answer = await self.lookup(host)
        return answer if isinstance(answer, Unresolved) else answer[0]

    async def lookup(self, host: str) -> Answer:
        """The addresses of a name, in a stable order, never empty; or why there are none. A literal's is itself."""
        literal = _literal(host)
        if literal is not None:
            return literal
        name = host.lower().rstrip(".")
        if is_localhost(name):
            return ("127.0.0.1", "::1")
        known = self._recall(name)
        if known is not None:
            return known
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.create_task(self._find(name))
        return await asyncio.shield(task)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """aiohttp's way to ask. Raises `socket.gaierror`, with a message for people."""
        answer = await self.lookup(host)
        if isinstance(answer, Unresolved):
            raise socket.gaierror(socket.EAI_NONAME, answer.message)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family_of(address), proto=0, flags=0)
            for address in answer
            if family in (socket.AF_UNSPEC, family_of(address))
        ]

    async def close(self) -> None:
        """Ends the lookups under way, each with a failure, and gives back sockets and threads."""
        self._closed = True
        for channel in (self._dns, *self._patient):
            await channel.close()
        await asyncio.gather(*self._under_way.values())

    def _recall(self, name: str) -> Answer | None:
        known = self._known.get(name)
        if known is None or known[0] <= self._clock():
            return None
        self._known.move_to_end(name)
        self._counters.dns_cache_hits += 1
        return known[1]

    async def _find(self, name: str) -> Answer:
        try:
            async with self._slots:
                ttl_s, answer = await self._ask(name)
            self._remember(name, ttl_s, answer)
        finally:
            del self._under_way[name]
        return answer

    async def _ask(self, name: str) -> tuple[float, Answer]:
        if self._closed:
            return TROUBLE_TTL_S, Unresolved(host=name, message="the resolver is closed")
        self._counters.dns_lookups += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._ask_again_where_late(name)
        except TimeoutError:
            return TROUBLE_TTL_S, Unresolved(host=name, message=f"no DNS answer for {name}: timed out")
        except (aiodns.error.DNSError, UnicodeError) as error:
            return _trouble(name, error)
        ttl_s = min([node.ttl for node in found.nodes] + [alias.ttl for alias in found.cnames], default=0)
        addresses = in_stable_order(node.addr[0].decode() for node in found.nodes)
        if not addresses:
            return ABSENT_TTL_S, Unresolved(host=name, message=f"{name} has no address")
        if self._on_lookup is not None:
            self._on_lookup(_as_lookup(name, found))
        return min(max(ttl_s, MIN_TTL_S), MAX_TTL_S), addresses

    async def _ask_again_where_late(self, name: str) -> pycares.AddrInfoResult:
        """c-ares learns from quick answers not to wait for late ones: where most come at once, it gives up after 0.6 s,
        and what comes later is not heard. A channel of its own has learned nothing yet.
        """
        try:
            return await self._dns.getaddrinfo(name, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            if error.args[0] != pycares.errno.ARES_ETIMEOUT or self._closed:
                raise
        channel = self._open_channel()
        self._patient.add(channel)
        try:
            return await channel.getaddrinfo(name, type=socket.SOCK_STREAM)
        finally:
            self._patient.discard(channel)
            await channel.close()

    def _open_channel(self) -> aiodns.DNSResolver:
        return aiodns.DNSResolver(nameservers=self._servers, timeout=TRY_S, tries=TRIES)

    def _remember(self, name: str, ttl_s: float, answer: Answer) -> None:
        self._known[name] = (self._clock() + ttl_s, answer)
        self._known.move_to_end(name)
        if len(self._known) > self._max_names:
            self._known.popitem(last=False)


def parse_dns_server(text: str) -> str:
    """`text` as c-ares takes it. Raises `UsageError` where it is not 'IP', 'IP:port' or '[IPv6]:port'."""
    bracketed = re.fullmatch(r"\[(.*)\](?::(.+))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2] or "53"
    elif text.count(":") == 1:
        host, port = text.split(":")
    else:
        host, port = text, "53"
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise UsageError(
            f"--dns-server {text!r} is not an IP address; write it like 9.9.9.9, 127.0.0.1:5353 or [::1]:53"
        )
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def in_stable_order(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses without repeats: the family that c-ares puts first stays first (RFC 6724: what this machine can
    reach), and within a family they are sorted, since servers rotate their answers.
    """
    families: dict[int, set[str]] = {}
    for address in addresses:
        families.setdefault(family_of(address), set()).add(address)
    return tuple(
        address
        for family in families.values()
        for address in sorted(family, key=lambda text: int(ip_address(text)))[:MAX_ADDRESSES_PER_FAMILY]
    )


def family_of(address: str) -> socket.AddressFamily:
    """AF_INET6 for what has a colon, AF_INET for the rest."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _as_lookup(name: str, found: pycares.AddrInfoResult) -> Lookup:
    """The aliases first, then the addresses, each under the name that it belongs to."""
    aliases = [(one.alias, one.ttl, "CNAME", one.name) for one in found.cnames]
    owner = aliases[-1][3] if aliases else name
    addresses = [(node.addr[0].decode(), node.ttl) for node in found.nodes]
    records = [(owner, ttl, "AAAA" if ":" in address else "A", address) for address, ttl in addresses]
    return Lookup(name=name, at=time.time(), records=(*aliases, *dict.fromkeys(records)))


@lru_cache(maxsize=1024)
def _literal(host: str) -> tuple[str] | None:
    address = parse_address(host)
    return None if address is None else (str(address),)


def _trouble(name: str, error: Exception) -> tuple[float, Answer]:
    code = error.args[0] if isinstance(error, aiodns.error.DNSError) else pycares.errno.ARES_EBADNAME
    if code in _ABSENT:
        return ABSENT_TTL_S, Unresolved(host=name, message=f"{name} does not exist in DNS")
    return TROUBLE_TTL_S, Unresolved(host=name, message=f"no DNS answer for {name}: {_explain(code)}")


def _explain(code: int) -> str:
    text = pycares.errno.strerror(code)
    return text.decode() if isinstance(text, bytes) else text
