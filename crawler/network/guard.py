"""Which addresses may be connected to: the last word, at the socket.

Names are no protection: any name may resolve to any address, and an IP literal is never resolved. So the guard makes
the sockets (`TCPConnector(socket_factory=...)`) and judges the final address of every connect.

Invariant: no connection is made to an address outside the public Internet unless the user opened it, by network
(`--allow-private`) or by naming it as a seed. And every socket made here is counted until it is really closed.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias

from crawler.counters import Counters
from crawler.network.attempt import current_attempt
from crawler.urls import host_of

if TYPE_CHECKING:
    from aiohttp import AddrInfoType  # `crawler why` asks the guard, and connects to nothing

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class BlockedAddressError(OSError):
    """The guard refused to connect. An `OSError`, since aiohttp takes nothing else from a socket factory."""


class AddressGuard:
    """Judges and makes the sockets of one session.

    `allowed_networks` are open to every request. `open_origin` opens what a seed names, to requests for its origin.
    `receive_buffer_bytes` bounds what the kernel takes from a peer ahead of us, where it shall not decide itself.
    """

    def __init__(
        self, allowed_networks: Iterable[Network], counters: Counters, receive_buffer_bytes: int | None = None
    ) -> None:
        self._allowed = tuple(allowed_networks)
        self._opened: dict[str, tuple[Network, ...]] = {}
        self._counters = counters
        self._receive_buffer_bytes = receive_buffer_bytes
        self._sockets: set[CountedSocket] = set()
        self._all_closed = asyncio.Event()

    def open_origin(self, origin: str) -> None:
        """Let requests to `origin` ('http://127.0.0.1:8000') reach what it names: the very address of an IP literal,
        loopback for localhost. A public name opens nothing, whatever it resolves to.
        """
        host = host_of(f"{origin}/")
        if is_localhost(host):
            self._opened[origin] = LOOPBACK
        elif (address := parse_address(host)) is not None:
            self._opened[origin] = (ip_network(effective(address)),)

    def open_connections(self) -> int:
        """How many of the sockets made here are still open."""
        return len(self._sockets)

    def refusal(self, text: str, origin: str | None = None) -> str | None:
        """Why the address `text` may not be connected to for a request to `origin`; None where it may."""
        address = parse_address(text)
        if address is None:
            return f"{text} is not an IP address"
        purpose = special_purpose(address)
        if purpose is None:
            return None
        networks = (*self._allowed, *self._opened.get(origin or "", ()))
        if any(address in network or effective(address) in network for network in networks):
            return None
        return f"{text} is {purpose}, not public; allow it with --allow-private {ip_network(effective(address))}"

    def socket_factory(self, addr_info: AddrInfoType) -> socket.socket:
        """A socket for one connect, judged by the address that it will be connected to.

        Raises `BlockedAddressError` where it may not, `OSError` where no descriptor is left.
        """
        family, kind, proto, _canonical_name, sockaddr = addr_info
        attempt = current_attempt.get()
        refused = self.refusal(sockaddr[0], attempt.origin if attempt else None)
        if attempt:
            attempt.address, attempt.refused = sockaddr[0], refused
        if refused:
            raise BlockedAddressError(errno.EACCES, refused)
        return self.make_socket(family, kind, proto)

    def make_socket(
        self, family: int, kind: int = socket.SOCK_STREAM, proto: int = socket.IPPROTO_TCP
    ) -> socket.socket:
        """A socket that is counted and closed with the others, for an address that has been judged or that the user has
        named as the proxy's. It does not block. Raises `OSError` where no descriptor is left.
        """
        attempt = current_attempt.get()
        made = CountedSocket(family, kind, proto, self._closed)
        made.setblocking(False)
        self._opened_socket(made)
        if self._receive_buffer_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        if attempt:
            attempt.sockets += 1
        return made

    async def close(self, patience_s: float = 1.0) -> None:
        """Ends the sockets that are still open and waits until the event loop has closed them, at most `patience_s`.

        aiohttp does not wait for a TLS connection that says goodbye, which takes as long as the peer likes.
        """
        for lingering in tuple(self._sockets):
            with suppress(OSError):
                lingering.shutdown(socket.SHUT_RDWR)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._sockets:
                    self._all_closed.clear()
                    await self._all_closed.wait()

    def _opened_socket(self, made: CountedSocket) -> None:
        self._sockets.add(made)
        self._counters.connections_open = len(self._sockets)
        self._counters.connections_peak = max(self._counters.connections_peak, len(self._sockets))

    def _closed(self, gone: CountedSocket) -> None:
        self._sockets.discard(gone)
        self._counters.connections_open = len(self._sockets)
        if not self._sockets:
            self._all_closed.set()


class CountedSocket(socket.socket):
    """A socket that reports once, when its descriptor is really gone.

    asyncio closes the socket object. uvloop lets libuv close the descriptor and detaches the object from it. While a
    loop still refers to the object, `close` is put off and called again: the descriptor tells.
    """

    __slots__ = ("_report",)

    def __init__(self, family: int, kind: int, proto: int, report: Callable[[CountedSocket], None]) -> None:
        self._report: Callable[[CountedSocket], None] | None = None
        super().__init__(family, kind, proto)
        self._report = report

    def close(self) -> None:
        """Close, and report if that was the end of the descriptor."""
        super().close()
        if self.fileno() == -1:
            self._report_once()

    def detach(self) -> int:
        """Give the descriptor away: to uvloop, which closes it at once."""
        descriptor = super().detach()
        self._report_once()
        return descriptor

    def _report_once(self) -> None:
        report, self._report = self._report, None
        if report is not None:
            report(self)


def is_localhost(host: str) -> bool:
    """Whether `host` is 'localhost' or below it; such names mean loopback and are never asked for (RFC 6761, 6.3)."""
    name = host.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """The IP address that `text` is, IPv6 with or without brackets, without its zone; None where it is none."""
    try:
        return ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def special_purpose(address: Address) -> str | None:
    """What an address is reserved for; None where it is public. One that embeds an IPv4 address is judged by that."""
    judged = effective(address)
    if isinstance(judged, IPv6Address) and judged not in _GLOBAL_UNICAST:
        return _purpose(judged) or "unassigned"
    return _purpose(judged)


def effective(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, where it embeds one; otherwise the address itself.

    Sources: RFC 4291 2.5.5 (compatible, mapped), RFC 6052 2.1 (NAT64), RFC 3056 (6to4). Teredo addresses (RFC 4380)
    embed two, neither of which a web server is known by: they are left as they are, and blocked as a whole.
    """
    if isinstance(address, IPv4Address):
        return address
    low_32_bits = int(address) & 0xFFFFFFFF
    if any(address in network for network in _EMBEDDING) and int(address) > 1:
        return IPv4Address(low_32_bits)
    return address.sixtofour or address


def _purpose(address: Address) -> str | None:
    return next((purpose for network, purpose in _SPECIAL_PURPOSE if address in network), None)


LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that IANA hands out; nothing else is public, named below or not

_EMBEDDING = tuple(IPv6Network(text) for text in ("::ffff:0:0/96", "::/96", "64:ff9b::/96"))

# IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates), multicast and broadcast. The few
# entries there that are globally reachable (anycast relays of protocols) serve no web pages and are left blocked.
_SPECIAL_PURPOSE: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), purpose)
    for text, purpose in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier's NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "for protocol assignments"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "for AS112"),
        ("192.52.193.0/24", "for AMT"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "for AS112"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "for local NAT64"),
        ("100::/64", "discarded"),
        ("100:0:0:1::/64", "a dummy prefix"),
        ("2001::/23", "for protocol assignments"),  # Teredo, benchmarks, ORCHID and more
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("2620:4f:8000::/48", "for AS112"),
        ("5f00::/16", "for segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
