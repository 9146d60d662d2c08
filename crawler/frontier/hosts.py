"""What is known of a host while it is in memory, and the rule that paces its requests.

Invariant: `Workbench` alone writes here, and `Shares` and the allowances, which are its parts; others only read.
Hosts own their pacing; what belongs to one scheme and port of a host is `OriginState`'s.
"""

from __future__ import annotations

from dataclasses import field

from crawler.frontier.origins import OriginState, Turns
from crawler.frontier.requests import Requests
from crawler.policy.habits import Habits
from crawler.policy.pace import AT_REST, HostPace, slots
from crawler.records import Claim
from crawler.statically_frozen import dataclass


@dataclass(slots=True, eq=False)
class HostState:
    """A host. Times are monotonic seconds."""

    host_id: int
    name: str
    base_s: float  # the shortest delay: the user's, or a Crawl-delay
    delay_s: float  # between the starts of two requests: the base, or the pace to which the host was slowed
    per_host: int  # claims that may be lent at once, as soon as it has proven quick
    pace: HostPace = AT_REST
    ready_at: float = 0.0  # no request may start before
    backing_off: bool = False  # `ready_at` is a pause that its failures cost; until it lends again
    answered: bool = False  # since it is in memory: an answer of one of its origins began
    failures: int = 0  # look-ups in a row
    claims: Turns = field(default_factory=Turns)
    lent: int = 0
    probes: int = 0  # lent, of origins that had not answered yet
    unsent: int = 0  # lent, about to be sent: with a delay, the next one waits for that moment
    waiting: int = 0  # claims that wait for their origin's rules, outside of the workbench
    last_lent: Claim | None = None
    more: bool = True  # the store may hold more due URLs than `claims`
    allowance: int | None = None  # pages that may still be lent in this run; None: any number
    requests_left: Requests | None = None  # that may still be sent to it in this run; None: any number
    requests: int = 0
    habits: Habits | None = None  # how its pages change; None where the run fetches nothing again
    address: str | None = None  # the last one known
    slow: bool = False
    proven: bool = False  # quick: its last request was over in time; never both this and slow
    queued: bool = False  # in the heap or in a waiting queue
    finishing: int = 0  # claims that are back, and of which not all is handed to the writer yet
    leaves: bool = False  # it is about to be another process's: its allowance is 0, and stays so

    def next_origin(self) -> OriginState | None:
        """The origin whose turn it is to lend; None where the host may lend nothing now, whatever the time.

        Those that have not answered yet have one request under way together: they may hang. Where one of several has
        answered, what is slow is one of them (see `Turns.next`), and not the host. The last slot beside such requests
        is for the others.
        """
        claims = self.claims
        several = claims.several
        quick = self.proven or (several and self.answered)
        if self.lent >= slots(quick=quick, per_host=self.per_host) or self.allowance == 0 or self.must_hear_first:
            return None
        if self.requests_left is not None and not self.requests_left.ready:
            return None
        if not several:
            return claims.next(probing=False)
        is_last = 1 < self.per_host <= claims.doubtful + 1
        return claims.next(probing=self.probes > 0, quick_first=is_last)

    @property
    def reached_limit(self) -> str | None:
        """The limit for which it lends nothing more in this run ("page", "request"); None where it may."""
        if self.allowance == 0:
            return "page"
        return "request" if self.requests_left is not None and self.requests_left.are_spent else None

    @property
    def slowed_s(self) -> float | None:
        """The delay to which adaptive pacing has slowed it; None where it has not."""
        return self.pace.delay_s or None

    @property
    def next_pause_end(self) -> float | None:
        """When the first of its origins that are left alone for now may be asked again; None where there is none."""
        return min((origin.paused_until for origin in self.claims.origins() if origin.parked), default=None)

    # --- pacing: all that moves `ready_at` ----------------------------------------------------------------------

    @property
    def must_hear_first(self) -> bool:
        """Whether the next request has to wait until it is known when the last one was sent."""
        return self.unsent > 0 and self.delay_s > 0

    def pace_from(self, now: float) -> None:
        """A request started now, or ended now without having been sent: the delay counts from here."""
        earliest = now + self.delay_s
        if earliest > self.ready_at:
            self.ready_at = earliest

    def slow_down(self, delay_s: float) -> None:
        """Keep at least this delay; it is never lowered."""
        self.base_s = max(self.base_s, delay_s)
        self._keep(max(self.delay_s, delay_s))

    def keep_pace(self, pace: HostPace) -> None:
        """Ask at this pace from now on."""
        if pace is not self.pace:
            self.pace = pace
            self._keep(max(self.base_s, pace.delay_s))

    def _keep(self, delay_s: float) -> None:
        """A longer delay counts from the request that brought it, a shorter one from the next."""
        self.ready_at += max(0.0, delay_s - self.delay_s)
        self.delay_s = delay_s

    def back_off(self, until: float) -> None:
        """Start nothing before."""
        self.backing_off = True
        self.ready_at = max(self.ready_at, until)


@dataclass(slots=True)
class Loan:
    """A claim that a worker has."""

    host: HostState
    origin: OriginState
    claim: Claim
    lent_at: float
    is_probe: bool = False  # its origin had not answered yet
    holds_turn: bool = False  # it is about to be sent: nothing else of a host with a delay may start before
    turn_until: float = 0.0  # for so long at most, where the host has a delay
    late: bool = False  # it lost that turn to others, and needs another one before it may be sent
    sent: bool = False
    noticed: bool = False  # it was out for so long that its host was called slow
    may_send: bool = True  # a request that counts against the limits, and was not sent yet
    requests: int = 0  # that were sent for it
    address: str | None = None  # the one that it is counted on: it was admitted there, or is expected there
