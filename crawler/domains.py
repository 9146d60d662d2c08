"""Whose host is it? Registrable domains, by the bundled Public Suffix List (https://publicsuffix.org/list/).

Both its parts count: below a suffix of its private part (github.io, blogspot.com) each name is a domain of its own.
The list takes 60 ms to load, so that it is loaded when it is asked for the first time.
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_network

from publicsuffixlist import PublicSuffixList

_IPV6_SITE = 64  # bits; whoever has IPv6 at all has so many addresses (RFC 6177)


def registrable_domain(host: str) -> str | None:
    """'example.co.uk' of 'a.b.example.co.uk'; None for an address, a single label and a public suffix itself."""
    if host.startswith("[") or host.replace(".", "").isdigit():
        return None
    return _suffixes().privatesuffix(host)


def owner_of(host: str) -> str:
    """What a host's owner may have any number of hosts in: its registrable domain, of an IPv6 address the network of
    64 bits ('2001:db8::/64'). Where there is neither, the host alone.
    """
    if host.startswith("["):
        return str(ip_network((host[1:-1], _IPV6_SITE), strict=False))
    return registrable_domain(host) or host


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
