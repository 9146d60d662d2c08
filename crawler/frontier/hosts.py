"""What is known of a host while it is in memory, and the rule that paces its requests.

Invariant: `Workbench` alone writes here, and `Shares` and `PageAllowance`, which are its parts; the other rooms read.
Hosts own their pacing; what belongs to one scheme and port (robots.txt and who waits for it) is `OriginState`'s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from crawler.records import Claim


@dataclass(slots=True, eq=False)
class HostState:
    """A host. Times are monotonic seconds."""

    host_id: int
    name: str
    delay_s: float
    per_host: int  # claims that may be lent at once, as soon as it has proven quick
    ready_at: float = 0.0  # no request may start before
    backing_off: bool = (
        False  # `ready_at` is a pause that it asked for, or that its failures cost; until it lends again
    )
    failures: int = 0  # in a row
    claims: deque[Claim] = field(default_factory=deque)
    lent: int = 0
    unsent: int = 0  # lent, and the request not yet sent: with a delay, the next one waits for that moment
    waiting: int = 0  # claims that wait for their origin's rules, outside of the workbench
    more: bool = True  # the store may hold more due URLs than `claims`
    allowance: int | None = None  # pages that may still be lent in this run; None: any number
    requests: int = 0
    address: str | None = None  # the last one known
    slow: bool = False
    proven: bool = False  # quick: its last request was over in time; never both this and slow
    queued: bool = False  # in the heap or in a waiting queue

    # --- pacing: all that moves `ready_at` ----------------------------------------------------------------------

    @property
    def must_hear_first(self) -> bool:
        """Whether the next request has to wait until it is known when the last one was sent."""
        return self.unsent > 0 and self.delay_s > 0

    def pace_from(self, now: float) -> None:
        """A request started now, or ended now without having been sent: the delay counts from here."""
        self.ready_at = max(self.ready_at, now + self.delay_s)

    def slow_down(self, delay_s: float) -> None:
        """Keep at least this delay; it counts from the request that brought it, and is never lowered."""
        if delay_s > self.delay_s:
            self.ready_at += delay_s - self.delay_s
            self.delay_s = delay_s

    def back_off(self, until: float) -> None:
        """Start nothing before."""
        self.backing_off = True
        self.ready_at = max(self.ready_at, until)


@dataclass(slots=True)
class Loan:
    """A claim that a worker has."""

    host: HostState
    claim: Claim
    lent_at: float
    sent: bool = False
    address: str | None = None  # the one that it is counted on: it was admitted there, or is expected there
