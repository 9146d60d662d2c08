"""Ports on which no web server is to be expected: what speaks there could take a request for one of its own.

A page may name any port. A mail or chat server that is sent a URL's path may act on it, so browsers ask none of these.
Source: WHATWG Fetch Standard, "Port blocking".
"""

from __future__ import annotations

from functools import lru_cache

from crawler.urls import port_of

BAD_PORTS = frozenset(
    {
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
        110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
        531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
        5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    }
)  # fmt: skip
_AUTHORITY = len("https:")  # at most so long is what stands before it


def has_bad_port(url: str) -> bool:
    """Whether this (normalized) URL names such a port."""
    return ":" in url[_AUTHORITY:] and _is_bad(url[: url.index("/", _AUTHORITY + 2)])  # for speed: most have no colon


@lru_cache(maxsize=1024)
def _is_bad(origin: str) -> bool:
    return port_of(f"{origin}/") in BAD_PORTS
