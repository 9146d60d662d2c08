"""What is known of the origins' robots.txt in this run, and which claims wait for one.

Invariants: a claim is either judged by rules that have not expired, or it waits here for its origin's robots.txt; what
is kept is bounded in bytes too, since a web may have any number of hosts and each a robots.txt of 512 KiB.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from crawler.policy.robots import RobotsRules
from crawler.records import Claim, RobotsCopy, SeedMark, UrlKind
from crawler.urls import host_of

_MAX_ORIGINS = 8192
_MAX_BYTES = 16 * 1024 * 1024  # of robots.txt, all origins together; the rules in memory take up to 20 times as much
_LONG_BYTES = 4 * 1024  # reading takes 0.3 ms a KiB at most, and many may arrive at once
MAX_CRAWL_DELAY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    rules: RobotsRules
    expires_at: float
    size: int  # bytes


class RulesBook:
    """Rules by origin, for one user agent."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._known: dict[str, _Known] = {}
        self._size = 0  # bytes
        self._reading = asyncio.Lock()
        self._delays_s: dict[str, float] = {}  # by host
        self._waiting: dict[str, list[Claim]] = {}
        self._ready: list[str] = []  # origins whose claims waited and need to wait no more

    async def learn(self, copy: RobotsCopy) -> RobotsRules:
        """Believe this copy until it expires. A body that is no longer wanted (4xx) is an empty one: all is allowed.

        A long one is read in a thread, one at a time: more would leave the event loop little of the interpreter.
        """
        if len(copy.body) < _LONG_BYTES:
            return self.learn_now(copy)
        async with self._reading:
            return self._keep(copy, await asyncio.to_thread(self._read, copy.body))

    def learn_now(self, copy: RobotsCopy) -> RobotsRules:
        """The same, at once."""
        return self._keep(copy, self._read(copy.body))

    def _read(self, body: bytes) -> RobotsRules:
        rules = RobotsRules.parse(body)
        rules.allows(self._user_agent, "/")  # the first question prepares the rules, which takes longest
        return rules

    def _keep(self, copy: RobotsCopy, rules: RobotsRules) -> RobotsRules:
        self._forget(copy.origin)
        while self._known and (len(self._known) >= _MAX_ORIGINS or self._size + len(copy.body) > _MAX_BYTES):
            for origin in list(self._known)[: len(self._known) // 4 + 1]:
                self._forget(origin)
                self._delays_s.pop(host_of(f"{origin}/"), None)
        self._known[copy.origin] = _Known(rules=rules, expires_at=copy.expires_at, size=len(copy.body))
        self._size += len(copy.body)
        if copy.origin in self._waiting:
            self._ready.append(copy.origin)
        delay_s = min(rules.crawl_delay(self._user_agent) or 0.0, MAX_CRAWL_DELAY_S)
        host = host_of(f"{copy.origin}/")
        self._delays_s[host] = max(delay_s, self._delays_s.get(host, 0.0))
        return rules

    def _forget(self, origin: str) -> None:
        known = self._known.pop(origin, None)
        self._size -= 0 if known is None else known.size

    def knows(self, origin: str, now: float) -> bool:
        """Whether the origin's rules are known and fresh (`now` in Unix seconds)."""
        known = self._known.get(origin)
        return known is not None and known.expires_at > now

    def forbids(self, claim: Claim) -> str | None:
        """The reason why the claim may not be fetched, with the rule and its line; None where it may."""
        verdict = self._known[claim.origin].rules.verdict(self._user_agent, claim.url)
        if verdict is None or verdict.allowed:
            return None
        return f"robots: line {verdict.line}: {verdict.text}"

    def crawl_delay_s(self, host: str) -> float:
        """The longest Crawl-delay that this host's origins asked for, up to a minute; 0 where none did."""
        return self._delays_s.get(host, 0.0)

    def await_rules(self, claim: Claim) -> Claim | None:
        """Keep the claim until its origin's rules arrive; the robots.txt to fetch, where nobody asked for it yet."""
        origin = claim.origin
        first = origin not in self._waiting
        self._waiting.setdefault(origin, []).append(claim)
        if not first:
            return None
        return replace(claim, url_id=0, url=f"{origin}/robots.txt", kind=UrlKind.ROBOTS, attempts=0, seed=SeedMark.NO)

    def waiting(self, origin: str) -> list[Claim]:
        """The claims that wait for this origin's rules."""
        return self._waiting.get(origin, [])

    def take_ready(self) -> list[Claim]:
        """The claims whose origins' rules have arrived; they wait no more."""
        claims = [claim for origin in self._ready for claim in self.release(origin)]
        self._ready.clear()
        return claims

    def release(self, origin: str) -> list[Claim]:
        """The claims that waited for this origin's rules; they wait no more."""
        return self._waiting.pop(origin, [])

    def release_host(self, host: str) -> list[Claim]:
        """The same for all origins of a host."""
        origins = [origin for origin, claims in self._waiting.items() if claims and claims[0].host == host]
        return [claim for origin in origins for claim in self.release(origin)]
