"""The rules of the origins' robots.txt, as far as they are known in this run.

Invariant: what is kept is bounded in bytes too, since a web may have any number of hosts and each a robots.txt of
512 KiB. What a robots.txt that arrived, or did not, means for its origin is `policy.outcome.decide_robots`'s to say.
"""

from __future__ import annotations

import asyncio

from crawler.policy.robots import MAX_CRAWL_DELAY_S, RobotsRules
from crawler.records import Claim, ExclusionReason, Reason, RobotsCopy
from crawler.statically_frozen import dataclass
from crawler.urls import host_of

MAX_AGE_S = 86400.0  # for which a copy is believed (RFC 9309, 2.4)
_MAX_ORIGINS = 8192
_MAX_BYTES = 16 * 1024 * 1024  # of robots.txt, all origins together; the rules in memory take up to 20 times as much
_LONG_BYTES = 4 * 1024  # reading takes 0.3 ms a KiB at most, and many may arrive at once
_MAX_RECALLED_BYTES = 32 * 1024  # which take 10 ms to read; hardly any site has more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    rules: RobotsRules
    expires_at: float
    size: int  # bytes


class RobotsCache:
    """Rules by origin, for one user agent. Times are Unix seconds."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._known: dict[str, _Known] = {}
        self._size = 0  # bytes
        self._reading = asyncio.Lock()
        self._delays_s: dict[str, float] = {}  # by host

    async def learn(self, copy: RobotsCopy) -> RobotsRules:
        """Believe this copy until it expires. A body that is no longer wanted (4xx) is an empty one: all is allowed.

        A long one is read in a thread, one at a time: more would leave the event loop little of the interpreter.
        """
        body = copy.body or b""
        if len(body) < _LONG_BYTES:
            return self._keep(copy, self._read(copy))
        async with self._reading:
            return self._keep(copy, await asyncio.to_thread(self._read, copy))

    def recall(self, copy: RobotsCopy, now: float) -> bool:
        """Believe a copy from the store, unless it has expired or another is believed; returns whether it is now.

        Long ones are asked for again when they are needed: the worker who does so can wait for them to be read, while
        all others wait for this.
        """
        if (
            copy.body is None
            or copy.expires_at <= now
            or len(copy.body) > _MAX_RECALLED_BYTES
            or self.knows(copy.origin, now)
        ):
            return False
        self._keep(copy, self._read(copy))
        return True

    def knows(self, origin: str, now: float) -> bool:
        """Whether the origin's rules are known and fresh."""
        known = self._known.get(origin)
        return known is not None and known.expires_at > now

    def forbids(self, claim: Claim) -> Reason | None:
        """The reason why the claim may not be fetched, with the rule and its line; None where it may.

        To be asked only where its origin's rules are known.
        """
        rule = self._known[claim.origin].rules.deciding_rule(self._user_agent, claim.url)
        if rule is None or rule.allowed:
            return None
        return Reason(ExclusionReason.ROBOTS, f"line {rule.line}: {rule.text}")

    def crawl_delay_s(self, host: str) -> float:
        """The longest Crawl-delay that this host's origins asked for, up to a minute; 0 where none did."""
        return self._delays_s.get(host, 0.0)

    def _read(self, copy: RobotsCopy) -> RobotsRules:
        rules = RobotsRules.parse(copy.body or b"", f"{copy.origin}/robots.txt")
        rules.allows(self._user_agent, "/")  # the first question prepares the rules, which takes longest
        return rules

    def _keep(self, copy: RobotsCopy, rules: RobotsRules) -> RobotsRules:
        self._forget(copy.origin)
        size = len(copy.body or b"")
        while self._known and (len(self._known) >= _MAX_ORIGINS or self._size + size > _MAX_BYTES):
            for origin in list(self._known)[: len(self._known) // 4 + 1]:
                self._forget(origin)
                self._delays_s.pop(host_of(f"{origin}/"), None)
        self._known[copy.origin] = _Known(rules=rules, expires_at=copy.expires_at, size=size)
        self._size += size
        delay_s = min(rules.crawl_delay(self._user_agent) or 0.0, MAX_CRAWL_DELAY_S)
        host = host_of(f"{copy.origin}/")
        self._delays_s[host] = max(delay_s, self._delays_s.get(host, 0.0))
        return rules

    def _forget(self, origin: str) -> None:
        known = self._known.pop(origin, None)
        self._size -= 0 if known is None else known.size
