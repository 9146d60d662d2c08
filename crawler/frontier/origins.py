"""The origins that claims wait for: nothing of an origin is fetched before its rules are known.

Invariant: a claim that waits is kept here until its origin's rules arrive (`take_ready`) or it is released, and each
origin's robots.txt is asked for once however many wait for it. Hosts own pacing; what concerns one scheme and port of a
host alone belongs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from crawler.records import Claim, SeedMark, UrlKind


@dataclass(slots=True)
class OriginState:
    """An origin (scheme, host, port) whose rules are not known."""

    waiting: list[Claim] = field(default_factory=list)


class Origins:
    """The origins that something waits for."""

    def __init__(self) -> None:
        self._origins: dict[str, OriginState] = {}
        self._ready: list[str] = []  # origins whose rules have arrived

    def wait(self, claim: Claim) -> Claim | None:
        """Keep the claim until its origin's rules arrive; the robots.txt to fetch, where nobody asked for it yet."""
        state = self._origins.setdefault(claim.origin, OriginState())
        state.waiting.append(claim)
        if len(state.waiting) > 1:
            return None
        url = f"{claim.origin}/robots.txt"
        return replace(claim, url_id=0, url=url, kind=UrlKind.ROBOTS, attempts=0, seed=SeedMark.NO)

    def waiting(self, origin: str) -> Sequence[Claim]:
        """The claims that wait for this origin's rules."""
        state = self._origins.get(origin)
        return () if state is None else state.waiting

    def rules_arrived(self, origin: str) -> None:
        """The claims that wait for this origin's rules can be judged now."""
        if origin in self._origins:
            self._ready.append(origin)

    def take_ready(self) -> list[Claim]:
        """The claims that can be judged; they wait no more."""
        claims = [claim for origin in self._ready for claim in self.release(origin)]
        self._ready.clear()
        return claims

    def release(self, origin: str) -> list[Claim]:
        """The claims that waited for this origin's rules; they wait no more."""
        state = self._origins.pop(origin, None)
        return [] if state is None else state.waiting

    def release_host(self, host: str) -> list[Claim]:
        """The same for all origins of a host."""
        origins = [origin for origin, state in self._origins.items() if state.waiting[0].host == host]
        return [claim for origin in origins for claim in self.release(origin)]
