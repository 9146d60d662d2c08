"""Who owns a host: registrable domains, by the bundled Public Suffix List (https://publicsuffix.org/list/).

Both sections of the list count: each name directly below a private suffix (github.io, blogspot.com) is a domain of its
own. Loading the list takes 60 ms, so it is loaded on first use.
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_network

from publicsuffixlist import PublicSuffixList

_IPV6_SITE = 64  # bits of prefix: anyone with IPv6 has at least such a network (RFC 6177)


def registrable_domain(host: str) -> str | None:
    """'example.co.uk' of 'a.b.example.co.uk'; None for an address, a single label and a public suffix itself."""
    if host.startswith("[") or host.replace(".", "").isdigit():
        return None
    return _suffixes().privatesuffix(host)


def owner_of(host: str) -> str:
    """The space in which the host's owner can create any number of hosts: its registrable domain, or the /64 network of
    an IPv6 address ('2001:db8::/64'). The host itself if it has neither.
    """
    if host.startswith("["):
        return str(ip_network((host[1:-1], _IPV6_SITE), strict=False))
    return registrable_domain(host) or host


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
