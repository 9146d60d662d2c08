"""What is known of an origin (scheme, host, port) while it is in memory, and the turns that a host's origins take.

Hosts own their pacing; what one scheme and port of a host asks for (a pause) or does wrong (a closed port, a robots.txt
that cannot be had) is its own, and costs the host's other origins no more than the turns of its own requests.
Invariants: a claim is in its origin's queue and nowhere else; an origin that may be lent from stands in line once, one
that waits for the end of its pause nowhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import field

from crawler.records import Claim
from crawler.statically_frozen import dataclass


@dataclass(slots=True, eq=False)
class OriginState:
    """An origin. Times are monotonic seconds."""

    name: str
    claims: deque[Claim] = field(default_factory=deque)
    lent: int = 0
    slow: bool = False  # its last request took long: it gets one at a time
    late: int = 0  # lent, and not sent in its turn: it can hardly be connected to
    answered: bool = False  # an answer of it began, since it is in memory and since a connection failed
    served: bool = False  # and not by refusing
    failures: int = 0  # connections in a row
    refusals: int = 0  # 429 and 503 in a row; those of requests that were under way together count once
    paused_at: float = float("-inf")  # when its last pause began
    paused_until: float = float("-inf")
    pause_reason: str = ""
    failing: bool = False  # what the store has of it fails, as soon as that is committed
    parked: bool = False  # it waits for the end of its pause

    @property
    def is_quick(self) -> bool:
        """Whether it answers, by all that is known, and soon."""
        return self.answered and not self.slow

    def pause(self, now: float, until: float, reason: str) -> None:
        """Start nothing before."""
        self.paused_at = now
        if until >= self.paused_until:
            self.paused_until, self.pause_reason = until, reason


class Turns:
    """The claims of a host, by origin: each lends one in its turn. As a collection, it is all of them.

    `several`: there is more than one origin.
    """

    __slots__ = ("_by_name", "_count", "_line", "several")

    def __init__(self) -> None:
        self.several = False
        self._by_name: dict[str, OriginState] = {}
        self._line: deque[OriginState] = deque()  # that have claims and are not parked
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Claim]:
        for origin in self._by_name.values():
            yield from origin.claims

    def origin(self, name: str) -> OriginState:
        """The origin of this name, known from now on."""
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = OriginState(name)
            self.several = len(self._by_name) > 1
        return found

    def origins(self) -> Iterable[OriginState]:
        """All known origins of the host."""
        return self._by_name.values()

    @property
    def available(self) -> int:
        """Claims of origins that are not parked."""
        if len(self._line) == len(self._by_name):
            return self._count
        return sum(len(origin.claims) for origin in self._line)

    def add(self, claims: Iterable[Claim], *, first: bool = False) -> None:
        """Put each at the end of its origin's queue; `first`: in front, in their order, as its origin in the line."""
        for claim in reversed(list(claims)) if first else claims:
            origin = self.origin(claim.origin)
            joins = not origin.claims and not origin.parked
            if first:
                origin.claims.appendleft(claim)
                if joins:
                    self._line.appendleft(origin)
            else:
                origin.claims.append(claim)
                if joins:
                    self._line.append(origin)
            self._count += 1

    @property
    def doubtful(self) -> int:
        """Requests under way that may hang: to origins that have not answered, or are slow."""
        return sum(origin.lent for origin in self._by_name.values() if not origin.is_quick)

    def next(self, *, probing: bool, quick_first: bool = False) -> OriginState | None:
        """Whose turn it is, brought to the front: of those that have the fewest requests under way, the first in line.

        So what hangs at one origin leaves the slots of the host to the others. `probing`: none that has not answered.
        `quick_first`: one that is quick, if there is any.
        """
        line = self._line
        if len(line) > 1:
            able = [origin for origin in line if _may_lend(origin, probing)]
            if quick_first:
                able = [origin for origin in able if origin.is_quick] or able
            chosen = min(able, key=_lent, default=None)
            while chosen is not None and line[0] is not chosen:
                line.rotate(-1)
            return chosen
        return line[0] if line and _may_lend(line[0], probing) else None  # nearly always

    def take(self) -> Claim:
        """The first claim of the origin whose turn it is, which goes to the end of the line."""
        origin = self._line[0]
        claim = origin.claims.popleft()
        self._count -= 1
        if not origin.claims:
            self._line.popleft()
        elif len(self._line) > 1:
            self._line.rotate(-1)
        return claim

    def park(self, origin: OriginState) -> None:
        """Give its turns to the others."""
        if origin.claims and not origin.parked:
            self._line.remove(origin)
        origin.parked = True

    def unpark(self, origin: OriginState) -> None:
        """It is back at the end of the line."""
        if origin.claims and origin.parked:
            self._line.append(origin)
        origin.parked = False

    def withdraw(self, origin: OriginState) -> list[Claim]:
        """Take out the claims of one origin."""
        claims = list(origin.claims)
        if claims and not origin.parked:
            self._line.remove(origin)
        origin.claims.clear()
        self._count -= len(claims)
        return claims

    def clear(self) -> list[Claim]:
        """Take out all claims."""
        return [claim for origin in self._by_name.values() for claim in self.withdraw(origin)]


def _may_lend(origin: OriginState, probing: bool) -> bool:
    if (origin.slow and origin.lent) or origin.late:
        return False
    return origin.answered or not probing


def _lent(origin: OriginState) -> int:
    return origin.lent
