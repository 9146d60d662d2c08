"""The claims that wait for their origin's rules: nothing of an origin is fetched before those are known.

Invariant: a claim that waits is kept here until its origin's rules arrive (`take_ready`) or it is released, and each
origin's robots.txt is asked for once however many wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crawler.records import Claim, SeedMark, UrlKind


class AwaitingRules:
    """The claims that wait, by origin."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Claim]] = {}
        self._ready: list[str] = []  # origins whose rules have arrived
        self._attempts: dict[str, int] = {}  # by origin, that have not brought its rules

    def wait(self, claim: Claim) -> Claim | None:
        """Keep the claim until its origin's rules arrive; the robots.txt to fetch, where nobody asked for it yet."""
        waiting = self._waiting.setdefault(claim.origin, [])
        waiting.append(claim)
        if len(waiting) > 1:
            return None
        url, attempts = f"{claim.origin}/robots.txt", self._attempts.get(claim.origin, 0)
        return replace(claim, url_id=0, url=url, kind=UrlKind.ROBOTS, attempts=attempts, refusals=0, seed=SeedMark.NO)

    def waiting(self, origin: str) -> Sequence[Claim]:
        """The claims that wait for this origin's rules."""
        return self._waiting.get(origin, ())

    def again(self, robots: Claim) -> Claim:
        """The robots.txt that did not come, to be fetched once more; the attempt counts as long as the run lasts."""
        attempts = self._attempts[robots.origin] = robots.attempts + 1
        return replace(robots, attempts=attempts)

    def rules_arrived(self, origin: str) -> None:
        """The claims that wait for this origin's rules can be judged now."""
        self._attempts.pop(origin, None)
        if origin in self._waiting:
            self._ready.append(origin)

    def take_ready(self) -> list[Claim]:
        """The claims that can be judged; they wait no more."""
        claims = [claim for origin in self._ready for claim in self.release(origin)]
        self._ready.clear()
        return claims

    def release(self, origin: str) -> list[Claim]:
        """The claims that waited for this origin's rules; they wait no more."""
        return self._waiting.pop(origin, [])

    def release_host(self, host: str) -> list[Claim]:
        """The same for all origins of a host."""
        origins = [origin for origin, waiting in self._waiting.items() if waiting[0].host == host]
        return [claim for origin in origins for claim in self.release(origin)]
