"""Hosts by next permitted time: which claim may be lent now, and when the next one may.

Synchronous and without a clock: `now` (seconds, monotonic) is passed in. Invariants, tested as a state machine:

- of one host, at most `per_host` claims are lent, and their requests start at least its delay apart (see hosts.py);
- slow hosts (a request over 5 s, or a time-out) and those that have not proven quick get one claim each;
- what hosts share stays within its bounds (see shares.py), and so do the pages of the run and of a host (allowance.py);
- every claim offered is lent until it is taken back, turned away, or withdrawn with its host; none is lent twice.

A host is in exactly one place: the heap (it may lend at `ready_at`), a queue of those that wait for room (`Shares`), or
none (nothing to lend, at its limit, or its last request has not been sent yet).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from crawler.frontier.allowance import PageAllowance
from crawler.frontier.hosts import HostState, Loan
from crawler.frontier.shares import Shares
from crawler.records import Claim

SLOW_AFTER_S = 5.0


class Workbench:
    """The hosts in memory and their claims."""

    def __init__(
        self, *, delay_s: float, per_host: int, per_ip: int, concurrency: int, max_pages: int | None = None
    ) -> None:
        self.allowance = PageAllowance(max_pages)
        self._delay_s = delay_s
        self._per_host = per_host
        self._shares = Shares(per_ip=per_ip, concurrency=concurrency)
        self._hosts: dict[int, HostState] = {}
        self._heap: list[tuple[float, int, HostState]] = []
        self._sequence = 0
        self._loans: dict[Claim, Loan] = {}
        self._recent: OrderedDict[Claim, Loan] = OrderedDict()  # loans not yet old enough to call their host slow

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

    # --- what comes in and goes out ------------------------------------------------------------------------------

    def add_host(
        self,
        host_id: int,
        name: str,
        *,
        ready_at: float,
        crawl_delay_s: float = 0.0,
        failures: int = 0,
        allowance: int | None = None,
        delay_s: float | None = None,
        per_host: int | None = None,
    ) -> HostState:
        """Take a host into memory; nothing is lent before `ready_at`, nor more pages than `allowance`.

        `delay_s` and `per_host` are its own; None: those of all hosts.
        """
        host = HostState(
            host_id=host_id,
            name=name,
            delay_s=max(self._delay_s if delay_s is None else delay_s, crawl_delay_s),
            per_host=self._per_host if per_host is None else per_host,
            ready_at=ready_at,
            failures=failures,
            allowance=allowance,
        )
        self._hosts[host_id] = host
        return host

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
        host.claims.clear()  # its entry in the heap is passed over by `lend`
        return claims

    def set_aside(self, host: HostState, claims: int) -> None:
        """So many more claims of the host wait for their origin's rules; where negative, so many fewer."""
        host.waiting += claims

    def expect_more(self, host: HostState, *, more: bool = True) -> None:
        """Whether the store may hold more due URLs of the host than are here."""
        host.more = more

    def slow_down(self, host: HostState, delay_s: float) -> None:
        """Its robots.txt asks for this delay."""
        host.slow_down(delay_s)

    # --- lend and take back --------------------------------------------------------------------------------------

    def lend(self, now: float) -> Claim | None:
        """The next claim that may start now; None where there is none."""
        self._notice_slow(now)
        if self.allowance.is_spent:
            return None
        while self._wake() or (self._heap and self._heap[0][0] <= now):
            if not self._heap or self._heap[0][0] > now:
                continue  # who was woken has to wait for its time as well
            ready_at, _sequence, host = heapq.heappop(self._heap)
            host.queued = False
            if host.ready_at > ready_at:
                self._queue(host)  # it was put off since
            elif host.must_hear_first:
                continue  # its turn was kept for a second request while it was in the heap; `sent` queues it again
            elif host.claims and host.lent < self._limit(host):  # else it became slow while in the heap
                if not self._shares.must_wait(host):
                    return self._lend_of(host, now)
                host.queued = True
        return None

    def next_ready_at(self) -> float | None:
        """When `lend`, which had nothing, may have something though no loan ends; None where it will not."""
        return self._heap[0][0] if self._heap and not self.allowance.is_spent else None

    def admit(self, claim: Claim, address: str) -> bool:
        """The claim's host has this address: False takes the claim back, since too many requests go there already."""
        loan = self._loans[claim]
        loan.host.address = address
        if self._shares.move(loan, address):
            return True
        self._end(loan)
        self.allowance.give_back(loan.host, claim)
        loan.host.claims.appendleft(claim)
        self._queue(loan.host)
        return False

    def sent(self, claim: Claim, now: float) -> None:
        """The claim's request was sent: its host's delay counts from now."""
        loan = self._loans[claim]
        loan.host.pace_from(now)
        if not loan.sent:
            loan.sent = True
            loan.host.unsent -= 1
        loan.host.requests += 1
        self._queue(loan.host)

    def turn_in_s(self, claim: Claim, now: float) -> float | None:
        """Seconds until the claim's visit may make one more request; None where its host is left alone for now.

        The first answer, as soon as no other request of the host is about to be sent, keeps the host's next turn for
        this claim: nothing else of it is lent until the request is sent, or the claim taken back.
        """
        loan = self._loans[claim]
        host = loan.host
        if host.backing_off and host.ready_at > now:
            return None
        if loan.sent:
            if host.must_hear_first:
                return host.delay_s
            loan.sent = False
            host.unsent += 1
        return max(0.0, host.ready_at - now)

    def take_back(
        self,
        claim: Claim,
        now: float,
        *,
        stored: bool = True,
        timed_out: bool = False,
        host_failed: bool | None = None,
        back_off_until: float | None = None,
    ) -> None:
        """The claim is finished, with or without an answer; `stored` says whether it counts against the allowance.

        `host_failed` says whether it speaks against the host; None: it says nothing either way.
        """
        loan = self._loans[claim]
        host = loan.host
        if not stored:
            self.allowance.give_back(host, claim)
        if not loan.sent:
            host.pace_from(now)
        if host_failed is not None:
            host.failures = host.failures + 1 if host_failed else 0
        self._end(loan)
        self._shares.set_slow(host, slow=timed_out or now - loan.lent_at > SLOW_AFTER_S)
        if back_off_until is not None:
            host.back_off(back_off_until)
        self._queue(host)

    def _lend_of(self, host: HostState, now: float) -> Claim:
        claim = host.claims.popleft()
        loan = self._loans[claim] = self._recent[claim] = Loan(host=host, claim=claim, lent_at=now)
        self._shares.enter(loan)
        self.allowance.lend(host, claim)
        host.backing_off = False
        host.lent += 1
        host.unsent += 1
        self._queue(host)
        return claim

    def _end(self, loan: Loan) -> None:
        del self._loans[loan.claim]
        self._recent.pop(loan.claim, None)
        self._shares.leave(loan)
        loan.host.lent -= 1
        loan.host.unsent -= not loan.sent

    def _wake(self) -> bool:
        woken = self._shares.wake()
        for host in woken:
            host.queued = False
            self._queue(host)
        return bool(woken)

    def _queue(self, host: HostState) -> None:
        """Put the host into the heap, if it belongs there and is nowhere yet."""
        if host.queued or not host.claims or host.lent >= self._limit(host) or host.allowance == 0:
            return
        if host.must_hear_first:
            return
        host.queued = True
        self._sequence += 1
        heapq.heappush(self._heap, (host.ready_at, self._sequence, host))

    def _limit(self, host: HostState) -> int:
        return host.per_host if host.proven else 1

    def _notice_slow(self, now: float) -> None:
        """Hosts whose oldest loan has been out for too long are slow from now on, not only once it comes back."""
        while self._recent:
            loan = next(iter(self._recent.values()))
            if now - loan.lent_at <= SLOW_AFTER_S:
                return
            del self._recent[loan.claim]
            self._shares.set_slow(loan.host, slow=True)
