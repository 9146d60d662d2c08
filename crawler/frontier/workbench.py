"""Hosts by next permitted time: which claim may be lent now, and when the next one may.

Synchronous and without a clock: `now` (seconds, monotonic) is passed in. Invariants, tested as a state machine:

- of one host, at most `per_host` claims are lent, and their requests start at least its delay apart;
- of one address, at most `per_ip` claims that were admitted are lent;
- slow hosts (a request over 5 s, or a time-out) get one claim each and together at most half of the workers;
- hosts that have not proven quick (the slow, and those whose first request is not over) get one claim each and together
  at most three quarters of the workers, so that some are always there for the others, however many hosts only hang;
- every claim offered is lent until it is done, given back, or withdrawn with its host; none is lent twice.

A host is in exactly one place: the heap (it may lend at `ready_at`), a queue of those that wait for room at an address
or among the unproven ones, or none (nothing to lend, at its limit, or its last request has not been sent yet). Room is
counted, never handed on: whatever happens to a host that was woken for it, `take` wakes another while there is some.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from crawler.records import Claim, UrlKind

SLOW_AFTER_S = 5.0


@dataclass(slots=True, eq=False)
class HostState:
    """What the workbench knows of a host."""

    host_id: int
    name: str
    delay_s: float
    ready_at: float = 0.0
    failures: int = 0  # in a row
    claims: deque[Claim] = field(default_factory=deque)
    lent: int = 0
    unsent: int = 0  # lent, and the request not yet sent: with a delay, the next one waits for that moment
    address: str | None = None  # the last one known
    slow: bool = False
    proven: bool = False  # quick: its last request was over in time; never both this and slow
    queued: bool = False  # in the heap or in a waiting queue
    more: bool = True  # the store may hold more due URLs than `claims`
    backing_off: bool = False  # until something is lent again
    allowance: int | None = None  # pages that may still be lent in this run; None: any number
    waiting: int = 0  # claims that wait for rules, outside of the workbench
    requests: int = 0


@dataclass(slots=True)
class _Loan:
    host: HostState
    claim: Claim
    lent_at: float
    sent: bool = False
    address: str | None = None  # the one that it is counted on: it was admitted there, or is expected there


class Workbench:
    """The hosts in memory and their claims."""

    def __init__(self, *, delay_s: float, per_host: int, per_ip: int, concurrency: int) -> None:
        self._delay_s = delay_s
        self._per_host = per_host
        self._per_ip = per_ip
        self._max_slow = max(1, concurrency // 2)
        self._max_unproven = max(1, concurrency - concurrency // 4)
        self._hosts: dict[int, HostState] = {}
        self._heap: list[tuple[float, int, HostState]] = []
        self._sequence = 0
        self._loans: dict[Claim, _Loan] = {}
        self._young: OrderedDict[Claim, _Loan] = OrderedDict()  # loans not yet old enough to call their host slow
        self._on_address: Counter[str] = Counter()
        self._waiting_for_address: dict[str, deque[HostState]] = {}
        self._left: dict[str, None] = {}  # addresses that a loan left since, and that hosts wait for, in order
        self._slow_lent = 0
        self._unproven_lent = 0
        self._waiting_slow: deque[HostState] = deque()
        self._waiting_new: deque[HostState] = deque()  # neither slow nor proven

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
        return not any(host.claims for host in self._hosts.values())

    def host(self, host_id: int) -> HostState:
        """A host that is in memory. Raises `KeyError` where it is not."""
        return self._hosts[host_id]

    def hosts(self) -> Iterator[HostState]:
        """All hosts in memory."""
        return iter(self._hosts.values())

    def add_host(
        self, host_id: int, name: str, *, ready_at: float, failures: int = 0, allowance: int | None = None
    ) -> HostState:
        """Take a host into memory; nothing is lent before `ready_at`, nor more pages than `allowance`."""
        host = HostState(
            host_id=host_id,
            name=name,
            delay_s=self._delay_s,
            ready_at=ready_at,
            failures=failures,
            allowance=allowance,
        )
        self._hosts[host_id] = host
        return host

    def slow_down(self, host: HostState, delay_s: float) -> None:
        """Its robots.txt asks for this delay; it counts from the request that brought it, and is never lowered."""
        if delay_s > host.delay_s:
            host.ready_at += delay_s - host.delay_s
            host.delay_s = delay_s

    def offer(self, host: HostState, claims: Iterable[Claim], *, first: bool = False) -> None:
        """Add claims to a host's queue; `first` puts them in front."""
        if first:
            host.claims.extendleft(reversed(list(claims)))
        else:
            host.claims.extend(claims)
        self._queue(host)

    def withdraw(self, host_id: int) -> list[Claim]:
        """Forget a host that has nothing lent; returns its claims."""
        host = self._hosts.pop(host_id)
        claims = list(host.claims)
        host.claims.clear()  # its entry in the heap is passed over by `take`
        return claims

    def take(self, now: float) -> Claim | None:
        """Lend the next claim that may start now; None where there is none."""
        self._notice_slow(now)
        while self._wake_waiting() or (self._heap and self._heap[0][0] <= now):
            if not self._heap or self._heap[0][0] > now:
                continue  # who was woken has to wait for its time as well
            ready_at, _sequence, host = heapq.heappop(self._heap)
            host.queued = False
            if host.ready_at > ready_at:
                self._queue(host)  # it was put off since
            elif host.claims and not self._must_wait(host):
                return self._lend(host, now)
        return None

    def next_ready_at(self) -> float | None:
        """When `take`, which had nothing, may have something though no loan ends; None where it will not."""
        return self._heap[0][0] if self._heap else None

    def admit(self, claim: Claim, address: str) -> bool:
        """The claim's host has this address: False gives the claim back, since too many requests go there already."""
        loan = self._loans[claim]
        loan.host.address = address
        if loan.address != address:
            self._leave_address(loan)
            if self._on_address[address] >= self._per_ip:
                self._return(loan)
                _allow(loan.host, claim, 1)
                loan.host.claims.appendleft(claim)
                self._queue(loan.host)
                return False
            self._enter_address(loan, address)
        return True

    def sent(self, claim: Claim, now: float) -> None:
        """The claim's request was sent: its host's delay counts from now."""
        loan = self._loans[claim]
        loan.host.ready_at = max(loan.host.ready_at, now + loan.host.delay_s)
        if not loan.sent:
            loan.sent = True
            loan.host.unsent -= 1
        loan.host.requests += 1
        self._queue(loan.host)

    def done(
        self,
        claim: Claim,
        now: float,
        *,
        stored: bool = True,
        timed_out: bool = False,
        back_off_until: float | None = None,
    ) -> None:
        """The claim is finished, with or without an answer; `stored` says whether it counts against the allowance."""
        loan = self._loans[claim]
        host = loan.host
        if not stored:
            _allow(host, claim, 1)
        slow = timed_out or now - loan.lent_at > SLOW_AFTER_S
        if not loan.sent:
            host.ready_at = max(host.ready_at, now + host.delay_s)
        self._return(loan)
        self._set_slow(host, slow=slow)
        if back_off_until is not None:
            host.backing_off = True
            host.ready_at = max(host.ready_at, back_off_until)
        self._queue(host)

    def _lend(self, host: HostState, now: float) -> Claim:
        claim = host.claims.popleft()
        loan = self._loans[claim] = self._young[claim] = _Loan(host=host, claim=claim, lent_at=now)
        if host.address is not None:
            self._enter_address(loan, host.address)
        host.backing_off = False
        host.lent += 1
        host.unsent += 1
        _allow(host, claim, -1)
        self._slow_lent += host.slow
        self._unproven_lent += not host.proven
        self._queue(host)
        return claim

    def _return(self, loan: _Loan) -> None:
        host = loan.host
        del self._loans[loan.claim]
        self._young.pop(loan.claim, None)
        host.lent -= 1
        host.unsent -= not loan.sent
        self._slow_lent -= host.slow
        self._unproven_lent -= not host.proven
        self._leave_address(loan)

    def _enter_address(self, loan: _Loan, address: str) -> None:
        loan.address = address
        self._on_address[address] += 1

    def _leave_address(self, loan: _Loan) -> None:
        address, loan.address = loan.address, None
        if address is None:
            return
        self._on_address[address] -= 1
        if not self._on_address[address]:
            del self._on_address[address]
        if address in self._waiting_for_address:
            self._left[address] = None

    def _wake_waiting(self) -> bool:
        """Take out of its queue one host for each address that has room again, and for each share of the unproven."""
        if not (self._waiting_slow or self._waiting_new or self._left):
            return False
        woken = []
        if self._unproven_lent < self._max_unproven:
            if self._waiting_slow and self._slow_lent < self._max_slow:
                woken.append(self._waiting_slow.popleft())
            if self._waiting_new:
                woken.append(self._waiting_new.popleft())
        for address in list(self._left):
            if self._on_address[address] >= self._per_ip:
                del self._left[address]
                continue
            waiting = self._waiting_for_address[address]
            woken.append(waiting.popleft())
            if not waiting:
                del self._waiting_for_address[address], self._left[address]
        for host in woken:
            host.queued = False
            self._queue(host)
        return bool(woken)

    def _queue(self, host: HostState) -> None:
        """Put the host where it belongs, if it is not there."""
        if host.queued or not host.claims or host.lent >= self._limit(host) or host.allowance == 0:
            return
        if host.unsent and host.delay_s > 0:
            return
        host.queued = True
        self._sequence += 1
        heapq.heappush(self._heap, (host.ready_at, self._sequence, host))

    def _must_wait(self, host: HostState) -> bool:
        """Whether a host whose time has come has to wait for others; then it is where it waits."""
        if host.lent >= self._limit(host):
            return True  # it became slow while in the heap; `done` queues it again
        if host.slow and self._slow_lent >= self._max_slow:
            self._park(host, self._waiting_slow)
        elif not host.proven and self._unproven_lent >= self._max_unproven:
            self._park(host, self._waiting_slow if host.slow else self._waiting_new)
        elif host.address is not None and self._on_address[host.address] >= self._per_ip:
            self._park(host, self._waiting_for_address.setdefault(host.address, deque()))
        else:
            return False
        return True

    def _park(self, host: HostState, waiting: deque[HostState]) -> None:
        host.queued = True
        waiting.append(host)

    def _limit(self, host: HostState) -> int:
        return self._per_host if host.proven else 1

    def _notice_slow(self, now: float) -> None:
        """Hosts whose oldest loan has been out for too long are slow from now on, not only once it comes back."""
        while self._young:
            loan = next(iter(self._young.values()))
            if now - loan.lent_at <= SLOW_AFTER_S:
                return
            del self._young[loan.claim]
            self._set_slow(loan.host, slow=True)

    def _set_slow(self, host: HostState, *, slow: bool) -> None:
        if host.slow != slow:
            host.slow = slow
            self._slow_lent += host.lent if slow else -host.lent
        if host.proven is slow:
            host.proven = not slow
            self._unproven_lent += host.lent if slow else -host.lent


def _allow(host: HostState, claim: Claim, change: int) -> None:
    if host.allowance is not None and claim.kind is UrlKind.PAGE:
        host.allowance += change
