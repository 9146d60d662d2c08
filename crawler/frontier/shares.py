"""What hosts share: requests to one address, and the workers that slow hosts, and hosts not proven quick, may hold.

Invariants: of one address, at most `per_ip` loans that were admitted are out; slow hosts together hold at most half of
the workers; hosts that have not proven quick (the slow, and those whose first request is not over) together at most
three quarters, so that some are always there for the others, however many hosts only hang. Room is counted, never
handed on: whatever happens to a host that was woken for it, `wake` names another while there is some.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from crawler.frontier.hosts import HostState, Loan


class Shares:
    """Counts loans, and keeps the hosts that wait for room in queues."""

    def __init__(self, *, per_ip: int, concurrency: int) -> None:
        self.per_ip = per_ip  # may be changed at any time
        self._max_slow = max(1, concurrency // 2)
        self._max_unproven = max(1, concurrency - concurrency // 4)
        self._slow_lent = 0
        self._unproven_lent = 0
        self._on_address: defaultdict[str, int] = defaultdict(int)
        self._waiting_slow: deque[HostState] = deque()
        self._waiting_new: deque[HostState] = deque()  # neither slow nor proven
        self._waiting_for_address: dict[str, deque[HostState]] = {}
        self._left: dict[str, None] = {}  # addresses that a loan left since, and that hosts wait for, in order

    def enter(self, loan: Loan) -> None:
        """The loan is out; until it is admitted, it is expected at its host's last address."""
        host = loan.host
        self._slow_lent += host.slow
        self._unproven_lent += not host.proven
        if host.address is not None:
            self._enter_address(loan, host.address)

    def leave(self, loan: Loan) -> None:
        """The loan is over."""
        self._slow_lent -= loan.host.slow
        self._unproven_lent -= not loan.host.proven
        self._leave_address(loan)

    def move(self, loan: Loan, address: str) -> bool:
        """The loan goes to this address; False, and it is counted nowhere, where that is full."""
        if loan.address == address:
            return True
        self._leave_address(loan)
        if self._on_address[address] >= self.per_ip:
            return False
        self._enter_address(loan, address)
        return True

    def set_slow(self, host: HostState, *, slow: bool) -> None:
        """The host takes long, or has proven quick; its loans count as such from now on."""
        if host.slow != slow:
            host.slow = slow
            self._slow_lent += host.lent if slow else -host.lent
        if host.proven is slow:
            host.proven = not slow
            self._unproven_lent += host.lent if slow else -host.lent

    def must_wait(self, host: HostState) -> bool:
        """Whether a host whose time has come has to wait for others; then it is where it waits."""
        if host.slow and self._slow_lent >= self._max_slow:
            self._waiting_slow.append(host)
        elif not host.proven and self._unproven_lent >= self._max_unproven:
            (self._waiting_slow if host.slow else self._waiting_new).append(host)
        elif host.address is not None and self._on_address.get(host.address, 0) >= self.per_ip:
            self._waiting_for_address.setdefault(host.address, deque()).append(host)
        else:
            return False
        return True

    def wake(self) -> Sequence[HostState]:
        """Take out of its queue one host for each address that has room again, and for each share of the unproven."""
        if not (self._waiting_slow or self._waiting_new or self._left):
            return ()
        woken = []
        if self._unproven_lent < self._max_unproven:
            if self._waiting_slow and self._slow_lent < self._max_slow:
                woken.append(self._waiting_slow.popleft())
            if self._waiting_new:
                woken.append(self._waiting_new.popleft())
        for address in list(self._left):
            if self._on_address.get(address, 0) >= self.per_ip:
                del self._left[address]
                continue
            waiting = self._waiting_for_address[address]
            woken.append(waiting.popleft())
            if not waiting:
                del self._waiting_for_address[address], self._left[address]
        return woken

    def _enter_address(self, loan: Loan, address: str) -> None:
        loan.address = address
        self._on_address[address] += 1

    def _leave_address(self, loan: Loan) -> None:
        address, loan.address = loan.address, None
        if address is None:
            return
        self._on_address[address] -= 1
        if not self._on_address[address]:
            del self._on_address[address]
        if address in self._waiting_for_address:
            self._left[address] = None
