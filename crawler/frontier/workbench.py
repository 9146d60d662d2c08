"""Hosts by next permitted time: which claim may be lent now, and when the next one may.

Synchronous and without a clock: `now` (seconds, monotonic) is passed in. Invariants, tested as a state machine:

- of one host, at most `per_host` claims are lent, and their requests start at least its delay apart (see hosts.py);
- slow hosts, and those that have not proven quick, get one claim each (see policy/pace.py), and one
  more for an origin that has not answered yet;
- within a host origins take turns (see origins.py); one that pauses lends nothing and holds up none of the others, and
  one that cannot be connected to holds a slot, but not the turns of the others;
- what hosts share stays within its bounds (see shares.py), and so do the pages and requests of the run and of a host
  (allowance.py);
- every claim offered is lent until it is taken back, turned away, or withdrawn with its host; none is lent twice.

A host is in exactly one place: the heap (it may lend at `ready_at`), a queue of those that wait for room (`Shares`), or
none (nothing to lend, at its limit, or its last request has not been sent yet). Its origins that pause are in a heap of
their own.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from crawler.frontier.allowance import PageAllowance, Part, RequestAllowance
from crawler.frontier.hosts import HostState, Loan
from crawler.frontier.origins import OriginState
from crawler.frontier.requests import Requests
from crawler.frontier.shares import Shares
from crawler.policy.habits import Habits
from crawler.policy.outcome import NOTHING_YET, InARow
from crawler.policy.pace import AT_REST, SLOW_AFTER_S, HostPace, after_refusal, after_success
from crawler.records import Blame, Claim

FIRST_ANSWER_S = 5.0  # for which an origin that has not answered yet may hold up the others of its host
_TURN_S = 1.0  # at least, before a request that cannot be sent yet loses its turn to other origins
_NOTING_S = 0.05  # until more requests are noted, about
_HURRIED_ATTEMPTS = 2  # even where it only holds one slot of several; after that, whoever is slow gets its chance


class Workbench:
    """The hosts in memory and their claims."""

    def __init__(
        self,
        *,
        delay_s: float,
        per_host: int,
        per_ip: int,
        concurrency: int,
        max_pages: int | None = None,
        max_requests: int | None = None,
        adaptive: bool = True,
    ) -> None:
        self.allowance = PageAllowance(max_pages)
        self.requests = RequestAllowance(max_requests)
        self._delay_s = delay_s
        self._per_host = per_host
        self._adaptive = adaptive
        self._shares = Shares(per_ip=per_ip, concurrency=concurrency)
        self._hosts: dict[int, HostState] = {}
        self._heap: list[tuple[float, int, HostState]] = []
        self._pauses: list[tuple[float, int, HostState, OriginState]] = []  # origins that are parked
        self._sequence = 0
        self._loans: dict[Claim, Loan] = {}  # the oldest first
        self._slow_at = 0.0  # before this time, no loan makes a host slow that is not slow already
        self._turns: list[tuple[float, int, Loan]] = []  # of hosts with a delay: when what is not sent loses its turn

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, host_id: int) -> bool:
        return host_id in self._hosts

    @property
    def lent(self) -> int:
        """Claims that are out."""
        return len(self._loans)

    def is_empty(self) -> bool:
        """Whether no claim is left to lend; a host at its limit, or whose time has not come, may still hold some."""
        return not any(host.claims.available for host in self._hosts.values())

    def host(self, host_id: int) -> HostState:
        """A host that is in memory. Raises `KeyError` where it is not."""
        return self._hosts[host_id]

    def hosts(self) -> Iterator[HostState]:
        """All hosts in memory."""
        return iter(self._hosts.values())

    # --- what comes in and goes out ------------------------------------------------------------------------------

    def add_host(
        self,
        host_id: int,
        name: str,
        *,
        ready_at: float,
        asked_at: float | None = None,
        crawl_delay_s: float = 0.0,
        pace_s: float | None = None,
        allowance: int | None = None,
        requests: Requests | None = None,
        habits: Habits | None = None,
        delay_s: float | None = None,
        per_host: int | None = None,
    ) -> HostState:
        """Take a host into memory; nothing is lent before `ready_at`, nor more pages than `allowance`, nor more
        `requests`; nor before its delay has passed since `asked_at`, when somebody else has sent it a request.

        `pace_s` is the delay to which it was slowed when it was here last. `delay_s` and `per_host` are its own; None:
        those of all hosts.
        """
        base_s = max(self._delay_s if delay_s is None else delay_s, crawl_delay_s)
        slowed = self._adaptive and pace_s is not None and pace_s > base_s
        pace = HostPace(delay_s=pace_s) if slowed and pace_s is not None else AT_REST
        host = HostState(
            host_id=host_id,
            name=name,
            base_s=base_s,
            delay_s=max(base_s, pace.delay_s),
            per_host=self._per_host if per_host is None else per_host,
            pace=pace,
            ready_at=ready_at,
            allowance=allowance,
            requests_left=requests,
            habits=habits,
        )
        if asked_at is not None:
            host.pace_from(asked_at)
        self._hosts[host_id] = host
        self.requests.watch(host)
        return host

    def offer(self, host: HostState, claims: Iterable[Claim], *, first: bool = False) -> None:
        """Add claims to a host's queue; `first` puts them in front."""
        host.claims.add(claims, first=first)
        self._queue(host)

    def withdraw(self, host_id: int) -> list[Claim]:
        """Forget a host that has nothing lent; returns its claims."""
        host = self._hosts.pop(host_id)
        self.requests.forget(host)
        if any(origin.parked for origin in host.claims.origins()):
            self._pauses = [entry for entry in self._pauses if entry[2] is not host]
            heapq.heapify(self._pauses)
        return host.claims.clear()  # its entry in the heap is passed over by `lend`

    def withdraw_origin(self, host: HostState, origin: OriginState) -> list[Claim]:
        """Take out the claims of an origin; what is lent of it stays out."""
        return host.claims.withdraw(origin)

    def set_aside(self, host: HostState, claims: int) -> None:
        """So many more claims of the host wait for their origin's rules; where negative, so many fewer."""
        host.waiting += claims

    def set_failing(self, host: HostState, name: str, *, failing: bool) -> None:
        """Whether all of this origin is about to fail in the store."""
        host.claims.origin(name).failing = failing

    def expect_more(self, host: HostState, *, more: bool = True) -> None:
        """Whether the store may hold more due URLs of the host than are here."""
        host.more = more

    def slow_down(self, host: HostState, delay_s: float) -> None:
        """Its robots.txt asks for this delay."""
        had_delay = host.delay_s > 0
        host.slow_down(delay_s)
        if not had_delay and host.delay_s > 0:
            self._begin_turns(host)

    # --- lend and take back --------------------------------------------------------------------------------------

    def lend(self, now: float) -> Claim | None:
        """The next claim that may start now; None where there is none."""
        if now > self._slow_at:
            self._notice_slow(now)
        if self._turns:
            self._end_turns(now)
        if self._pauses:
            self._end_pauses(now)
        if self.allowance.is_spent or self.requests.none_ready:
            return None
        while self._wake() or (self._heap and self._heap[0][0] <= now):
            if not self._heap or self._heap[0][0] > now:
                continue  # who was woken has to wait for its time as well
            ready_at, _sequence, host = heapq.heappop(self._heap)
            host.queued = False
            if host.ready_at > ready_at:
                self._queue(host)  # it was put off since
                continue
            origin = host.next_origin()
            if origin is None:
                continue  # it became slow in the heap, or a visit keeps its turn: what ends that queues it again
            if not self._shares.must_wait(host):
                return self._lend_of(host, origin, now)
            host.queued = True
        return None

    def next_ready_at(self) -> float | None:
        """When `lend`, which had nothing, may have something though no loan ends; None where it will not."""
        if self.allowance.is_spent or self.requests.none_ready:
            return None
        while self._turns and not _ends_turn(self._turns[0]):
            heapq.heappop(self._turns)
        return min((entries[0][0] for entries in (self._heap, self._pauses, self._turns) if entries), default=None)

    def admit(self, claim: Claim, address: str) -> bool:
        """The claim's host has this address: False takes the claim back, since too many requests go there already."""
        loan = self._loans[claim]
        loan.host.address = address
        if self._shares.move(loan, address):
            return True
        self.turn_away(claim)
        return False

    def turn_away(self, claim: Claim) -> None:
        """The claim's request may not be sent now: it goes back to the front, as if it had not been lent."""
        loan = self._loans[claim]
        self._end(loan)
        self.allowance.give_back(loan.host, claim)
        loan.host.claims.add([claim], first=True)
        self._queue(loan.host)

    def dry_up(self, host: HostState) -> None:
        """Lend nothing more of the host: it is about to be another process's."""
        host.leaves = True
        host.allowance = 0

    def share_addresses(self, per_ip: int) -> None:
        """So many requests may be under way to an address from now on."""
        self._shares.per_ip = per_ip

    def sent(self, claim: Claim, now: float) -> None:
        """The claim's request was sent: its host's delay counts from now."""
        loan = self._loans[claim]
        loan.host.pace_from(now)
        loan.sent = True
        loan.may_send = False
        loan.requests += 1
        self._leave_turn(loan)
        loan.host.requests += 1
        self._queue(loan.host)

    def turn_in_s(self, claim: Claim, now: float) -> float | None:
        """Seconds until the claim's visit may make one more request; None where it is left alone for now, or has no
        request left.

        The first answer, as soon as no other request of the host is about to be sent, keeps the host's next turn for
        this claim: nothing else of it is lent until the request is sent, or the claim taken back.
        """
        loan = self._loans[claim]
        host = loan.host
        if (host.backing_off and host.ready_at > now) or loan.origin.paused_until > now:
            return None
        if not loan.may_send and not self.requests.lend(host):
            return None if self.requests.are_spent_by(host) else _NOTING_S
        loan.may_send = True
        return self._turn_in_s(loan, now)

    def sending_in_s(self, claim: Claim, now: float) -> float:
        """Seconds until the claim's request may be sent, now that there is a connection: 0 unless it took so long that
        others had its turn. To be asked again after they have passed.
        """
        loan = self._loans[claim]
        return self._turn_in_s(loan, now) if loan.late else 0.0

    def _turn_in_s(self, loan: Loan, now: float) -> float:
        host = loan.host
        if not loan.holds_turn:
            if host.must_hear_first:
                return host.delay_s
            self._leave_turn(loan)
            self._enter_turn(loan, max(now, host.ready_at))
            loan.sent = False
        return max(0.0, host.ready_at - now)

    def patience_s(self, claim: Claim) -> float | None:
        """For how long the claim's request may take at most, where it holds up others; None: as long as any."""
        loan = self._loans[claim]
        host, origin = loan.host, loan.origin
        if not loan.is_probe or len(host.claims) == len(origin.claims):
            return None
        return FIRST_ANSWER_S if host.per_host == 1 or claim.attempts < _HURRIED_ATTEMPTS else None

    def before(self, claim: Claim) -> InARow:
        """What had happened in a row when the claim was lent."""
        loan = self._loans[claim]
        origin = loan.origin
        if not (origin.refusals or origin.failures or loan.host.failures):
            return NOTHING_YET
        return InARow(
            refusals=max(0, origin.refusals - (loan.lent_at < origin.paused_at)),
            origin_failures=origin.failures,
            host_failures=loan.host.failures,
        )

    def hear(
        self,
        claim: Claim,
        *,
        answered: bool,
        refused: bool = False,
        succeeded: bool = False,
        latency_s: float | None = None,
        blame: Blame | None = None,
    ) -> None:
        """What the claim's attempt says about its origin and host; to be told before it is taken back.

        `answered`: an answer began; `refused`: it was a 429 or 503; `blame`: whom a failure speaks against.
        """
        loan = self._loans[claim]
        host, origin = loan.host, loan.origin
        if answered or blame is Blame.URL:
            origin.failures = host.failures = 0
        elif blame is Blame.HOST:
            host.failures += 1
        elif blame is Blame.ORIGIN and not loan.sent:
            origin.failures += 1
            origin.answered = False
        had_delay = host.delay_s > 0
        is_first = refused and not origin.refusals and (origin.served or not host.claims.several)
        if answered and loan.lent_at >= origin.paused_at:  # else the pause that rules was not known when it was sent
            origin.refusals = origin.refusals + 1 if refused else 0
        if self._adaptive and is_first:
            host.keep_pace(after_refusal(host.pace, host.base_s))
        elif self._adaptive and succeeded and (host.pace.delay_s or (host.base_s and latency_s is not None)):
            host.keep_pace(after_success(host.pace, host.base_s, latency_s))
        if not had_delay and host.delay_s > 0:
            self._begin_turns(host)
        if answered:
            origin.answered = host.answered = True
            origin.served |= not refused

    def take_back(
        self,
        claim: Claim,
        now: float,
        *,
        stored: bool = True,
        timed_out: bool = False,
        back_off_until: float | None = None,
        pause: tuple[float, str] | None = None,
        asked: bool = True,
    ) -> Loan:
        """The claim is finished, with or without an answer; `stored` says whether it counts against the allowance.
        Returns the loan, which is over. `asked`: it was to be asked for, which costs the host's turn.

        `back_off_until` is for its host; `pause` for its origin: until when, and why.
        """
        loan = self._loans[claim]
        host, origin = loan.host, loan.origin
        if not stored:
            self.allowance.give_back(host, claim)
        if (
            asked and not loan.sent and (loan.holds_turn or host.last_lent is claim)
        ):  # nothing else was asked for in its stead
            host.pace_from(now)
        self._end(loan)
        self._set_slow(loan, slow=timed_out or now - loan.lent_at > SLOW_AFTER_S)
        if back_off_until is not None:
            host.back_off(back_off_until)
        if pause is not None:
            self.pause(host, origin, now, *pause)
        self._queue(host)
        return loan

    def add_ready(self, part: Part) -> None:
        """The store has noted these requests."""
        self.requests.add_ready(part)
        for host, _size in part.hosts:
            self._queue(host)

    def pause(self, host: HostState, origin: OriginState, now: float, until: float, reason: str) -> None:
        """Lend nothing of this origin before."""
        origin.pause(now, until, reason)
        if not origin.parked and until > now:
            host.claims.park(origin)
            self._sequence += 1
            heapq.heappush(self._pauses, (origin.paused_until, self._sequence, host, origin))

    def _end_turns(self, now: float) -> None:
        """What could not be sent in its turn leaves that to the other origins of its host."""
        while self._turns and self._turns[0][0] <= now:
            entry = heapq.heappop(self._turns)
            if _ends_turn(entry):
                loan = entry[2]
                self._leave_turn(loan)
                loan.late = True
                loan.origin.late += 1
                self._queue(loan.host)

    def _begin_turns(self, host: HostState) -> None:
        """Where the host has a delay now, and had none, what is about to be sent holds up others for its turn only."""
        if host.unsent:
            for loan in self._loans.values():
                if loan.host is host and loan.holds_turn:
                    self._limit_turn(loan)

    def _enter_turn(self, loan: Loan, start: float) -> None:
        """The loan is about to be sent, from then on."""
        loan.holds_turn = True
        loan.turn_until = start + min(max(loan.host.delay_s, _TURN_S), FIRST_ANSWER_S)
        loan.host.unsent += 1
        if loan.host.delay_s > 0:
            self._limit_turn(loan)

    def _limit_turn(self, loan: Loan) -> None:
        self._sequence += 1
        heapq.heappush(self._turns, (loan.turn_until, self._sequence, loan))

    def _leave_turn(self, loan: Loan) -> None:
        """The loan is sent, over, or late."""
        loan.host.unsent -= loan.holds_turn
        loan.origin.late -= loan.late
        loan.holds_turn = loan.late = False

    def _end_pauses(self, now: float) -> None:
        while self._pauses and self._pauses[0][0] <= now:
            _until, sequence, host, origin = heapq.heappop(self._pauses)
            if origin.paused_until > now:  # it was made longer since
                heapq.heappush(self._pauses, (origin.paused_until, sequence, host, origin))
                continue
            host.claims.unpark(origin)
            host.more = True  # what was not read while it paused
            self._queue(host)

    def _lend_of(self, host: HostState, origin: OriginState, now: float) -> Claim:
        claim = host.claims.take()
        loan = Loan(host, origin, claim, now, not origin.answered)  # with names, Python makes a dict of them first
        self._loans[claim] = loan
        self._shares.enter(loan)
        self.allowance.lend(host, claim)
        self.requests.lend(host)
        host.backing_off = False
        host.last_lent = claim
        host.lent += 1
        origin.lent += 1
        host.probes += loan.is_probe
        self._enter_turn(loan, now)
        self._queue(host)
        return claim

    def _end(self, loan: Loan) -> None:
        del self._loans[loan.claim]
        self._shares.leave(loan)
        if loan.may_send:
            self.requests.give_back(loan.host)
        loan.host.lent -= 1
        loan.origin.lent -= 1
        if not loan.sent:
            self._leave_turn(loan)
        loan.host.probes -= loan.is_probe

    def _wake(self) -> bool:
        woken = self._shares.wake()
        for host in woken:
            host.queued = False
            self._queue(host)
        return bool(woken)

    def _queue(self, host: HostState) -> None:
        """Put the host into the heap, if it has something to lend and is nowhere yet."""
        if host.queued or host.next_origin() is None:
            return
        host.queued = True
        self._sequence += 1
        heapq.heappush(self._heap, (host.ready_at, self._sequence, host))

    def _notice_slow(self, now: float) -> None:
        """Call a host slow as soon as a loan of it has been out for too long, not only when the loan comes back."""
        self._slow_at = now + SLOW_AFTER_S
        for loan in self._loans.values():
            if loan.noticed:
                continue
            slow_at = loan.lent_at + SLOW_AFTER_S
            if now <= slow_at:
                self._slow_at = slow_at
                return
            loan.noticed = True
            self._set_slow(loan, slow=True)

    def _set_slow(self, loan: Loan, *, slow: bool) -> None:
        """Its origin, and its host: but one that only hangs says nothing about those that answer."""
        loan.origin.slow = slow
        if loan.origin.answered or not loan.host.answered:
            self._shares.set_slow(loan.host, slow=slow)


def _ends_turn(entry: tuple[float, int, Loan]) -> bool:
    """Whether the loan still has the turn that ends then, and others wait for it: without a delay none does."""
    ends_at, _sequence, loan = entry
    return loan.holds_turn and loan.turn_until == ends_at and loan.host.delay_s > 0
