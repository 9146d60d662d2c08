"""Resolves declared names without a DNS server, with the lifetimes and the messages of `network.resolver`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeAlias

from crawler.clock import Clock
from crawler.counters import Counters
from crawler.fakeweb.names import dns_answer
from crawler.fakeweb.sites import Site, site_named
from crawler.fetching import Unresolved
from crawler.network.guard import is_localhost, parse_address
from crawler.network.resolver import ABSENT_TTL_S, LOOKUP_S, MIN_TTL_S, TROUBLE_TTL_S, in_stable_order

Found: TypeAlias = tuple[str, ...] | Unresolved


class Names:
    """The addresses of declared hosts; each answer is cached for as long as the real resolver would cache it."""

    def __init__(self, sites: Mapping[str, Site], counters: Counters, clock: Clock) -> None:
        self._sites = sites
        self._counters = counters
        self._clock = clock
        self._known: dict[str, tuple[float, Found]] = {}

    async def lookup(self, host: str) -> Found:
        """The addresses of a name, never empty, or why there are none. An IP literal is its own address."""
        if (address := parse_address(host)) is not None:
            return (str(address),)
        name = host.lower().rstrip(".")
        if is_localhost(name):
            return ("127.0.0.1", "::1")
        until, found = self._known.get(name, (0.0, ()))
        if found and self._clock.monotonic() < until:
            self._counters.dns_cache_hits += 1
            return found
        self._counters.dns_lookups += 1
        ttl_s, found = await self._ask(name)
        self._known[name] = self._clock.monotonic() + ttl_s, found
        return found

    async def _ask(self, name: str) -> tuple[float, Found]:
        site = site_named(self._sites, name)
        answer = "nxdomain" if site is None else dns_answer(site)
        if site is None or answer == "nxdomain":
            return ABSENT_TTL_S, Unresolved(host=name, message=f"{name} does not exist in DNS")
        if answer == "silent":
            await asyncio.sleep(LOOKUP_S)
            return TROUBLE_TTL_S, Unresolved(host=name, message=f"no DNS answer for {name}: timed out")
        if answer == "servfail":
            reason = "DNS server returned general failure"
            return TROUBLE_TTL_S, Unresolved(host=name, message=f"no DNS answer for {name}: {reason}")
        addresses = in_stable_order(answer)
        if not addresses:
            return ABSENT_TTL_S, Unresolved(host=name, message=f"{name} has no address")
        return max(site.ttl_s, MIN_TTL_S), addresses
