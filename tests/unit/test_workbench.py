"""The workbench in virtual time: politeness as a property of what is handed out, tested as a state machine."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crawler.frontier.hosts import HostState
from crawler.frontier.requests import Requests
from crawler.frontier.workbench import Workbench
from crawler.policy.pace import SLOW_AFTER_S
from crawler.records import Blame, Claim, UrlKind

ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
NAMES = 5


def a_claim(host_id: int, number: int = 1, kind: UrlKind = UrlKind.PAGE) -> Claim:
    host = f"h{host_id}.test"
    return Claim(
        url_id=number, url=f"http://{host}/{number}", host_id=host_id, host=host, origin=f"http://{host}", kind=kind
    )


def a_workbench(
    *, delay_s: float = 0.0, per_host: int = 2, per_ip: int = 16, concurrency: int = 64, hosts: int = 1, claims: int = 3
) -> Workbench:
    """`hosts` hosts (ids from 1) that have proven quick, each with `claims` claims, all ready at 0."""
    bench = Workbench(delay_s=delay_s, per_host=per_host, per_ip=per_ip, concurrency=concurrency)
    for host_id in range(1, hosts + 1):
        host = a_quick_host(bench, host_id)
        bench.offer(host, [a_claim(host_id, number) for number in range(1, claims + 1)])
    return bench


def a_quick_host(bench: Workbench, host_id: int, allowance: int | None = None) -> HostState:
    host = bench.add_host(host_id, f"h{host_id}.test", ready_at=0.0, allowance=allowance)
    host.proven = True
    return host


def take(bench: Workbench, now: float) -> Claim:
    claim = bench.lend(now)
    assert claim is not None
    return claim


def fetch(bench: Workbench, claim: Claim, address: str, now: float) -> None:
    assert bench.admit(claim, address)
    bench.sent(claim, now)


# --- one thing at a time --------------------------------------------------------------------------------------------


def test_an_empty_workbench_lends_nothing() -> None:
    bench = a_workbench(hosts=0)
    assert (bench.lend(1e9), bench.next_ready_at(), len(bench), bench.lent) == (None, None, 0, 0)


def test_claims_of_one_host_are_lent_in_the_order_in_which_they_were_offered() -> None:
    bench = a_workbench(per_host=3)
    assert [take(bench, 0.0).url_id for _ in range(3)] == [1, 2, 3]


def test_claims_offered_first_are_lent_first_and_in_their_order() -> None:
    bench = a_workbench(per_host=5)
    bench.offer(bench.host(1), [a_claim(1, 8), a_claim(1, 9)], first=True)
    assert [take(bench, 0.0).url_id for _ in range(5)] == [8, 9, 1, 2, 3]


def test_the_next_request_waits_until_the_last_one_was_sent_and_the_delay_has_passed() -> None:
    bench = a_workbench(delay_s=2.0)
    first = take(bench, 0.0)
    assert bench.lend(4.0) is None  # lent, but nobody knows yet when it starts
    assert bench.admit(first, ADDRESSES[0])
    bench.sent(first, 4.0)
    assert bench.next_ready_at() == 6.0
    bench.take_back(first, 4.5)
    assert bench.lend(5.9) is None
    assert bench.lend(6.0) is not None


def test_a_claim_that_was_never_sent_delays_the_host_from_its_end() -> None:
    bench = a_workbench(delay_s=2.0)
    bench.take_back(take(bench, 0.0), 1.0)
    assert bench.lend(2.9) is None
    assert bench.lend(3.0) is not None


def test_a_second_request_of_one_claim_delays_the_host_again() -> None:
    bench = a_workbench(delay_s=2.0)
    claim = take(bench, 0.0)
    fetch(bench, claim, ADDRESSES[0], 0.0)
    bench.sent(claim, 1.5)  # a redirect of a robots.txt
    assert bench.lend(3.4) is None
    assert bench.lend(3.5) is not None


def test_a_second_request_of_a_visit_keeps_the_host_s_next_turn() -> None:
    bench = a_workbench(delay_s=2.0)
    claim = take(bench, 0.0)
    fetch(bench, claim, ADDRESSES[0], 0.0)  # the host is in the heap again, for 2.0
    assert bench.turn_in_s(claim, 0.5) == 1.5
    assert bench.lend(2.0) is None
    assert bench.turn_in_s(claim, 2.0) == 0.0
    bench.sent(claim, 2.0)
    assert bench.lend(3.9) is None
    assert bench.lend(4.0) is not None


def test_a_second_request_waits_for_one_that_is_about_to_be_sent() -> None:
    bench = a_workbench(delay_s=2.0)
    first = take(bench, 0.0)
    fetch(bench, first, ADDRESSES[0], 0.0)
    second = take(bench, 2.0)
    assert bench.turn_in_s(first, 2.0) == 2.0
    fetch(bench, second, ADDRESSES[0], 2.5)
    assert bench.turn_in_s(first, 4.0) == 0.5
    assert bench.lend(4.5) is None
    bench.take_back(first, 4.5)
    assert bench.next_ready_at() == 6.5


def test_there_is_no_second_request_while_the_host_is_left_alone() -> None:
    bench = a_workbench()
    first, second = take(bench, 0.0), take(bench, 0.0)
    fetch(bench, first, ADDRESSES[0], 0.0)
    bench.take_back(second, 0.0, back_off_until=60.0)
    assert bench.turn_in_s(first, 59.0) is None
    assert bench.turn_in_s(first, 60.0) == 0.0


def test_a_host_that_asks_for_more_delay_gets_it() -> None:
    bench = a_workbench(delay_s=1.0)
    bench.host(1).delay_s = 10.0
    fetch(bench, take(bench, 0.0), ADDRESSES[0], 0.0)
    assert bench.next_ready_at() == 10.0


def test_a_host_that_is_taken_in_while_it_backs_off_lends_nothing_before_its_time() -> None:
    bench = a_workbench(hosts=0)
    bench.offer(bench.add_host(1, "h1.test", ready_at=50.0), [a_claim(1)])
    assert bench.lend(49.9) is None
    assert bench.lend(50.0) is not None


def test_no_more_pages_are_lent_than_the_host_is_allowed() -> None:
    bench = a_workbench(hosts=0, per_host=9)
    bench.offer(a_quick_host(bench, 1, allowance=2), [a_claim(1, number) for number in range(5)])
    first, second = take(bench, 0.0), take(bench, 0.0)
    assert bench.lend(0.0) is None
    bench.take_back(first, 0.0, stored=True)
    assert bench.lend(0.0) is None
    bench.take_back(second, 0.0, stored=False)
    assert bench.lend(0.0) is not None


def test_no_more_pages_are_lent_than_the_run_is_allowed_whichever_hosts_have_them() -> None:
    bench = Workbench(delay_s=0.0, per_host=9, per_ip=16, concurrency=64, max_pages=3)
    bench.allowance.spend(1)
    for host_id in (1, 2):
        bench.offer(a_quick_host(bench, host_id), [a_claim(host_id, number) for number in range(3)])
    first, _second = take(bench, 0.0), take(bench, 0.0)
    assert bench.allowance.is_spent
    assert (bench.lend(0.0), bench.next_ready_at()) == (None, None)
    bench.take_back(first, 0.0, stored=False)
    assert bench.next_ready_at() == 0.0
    assert [bench.lend(0.0) is not None for _ in range(2)] == [True, False]


def test_a_page_that_is_turned_away_from_its_address_is_given_back_to_both_allowances() -> None:
    bench = Workbench(delay_s=0.0, per_host=9, per_ip=1, concurrency=64, max_pages=2)
    for host_id in (1, 2):
        bench.offer(a_quick_host(bench, host_id, allowance=1), [a_claim(host_id)])
    first, second = take(bench, 0.0), take(bench, 0.0)
    fetch(bench, first, ADDRESSES[0], 0.0)
    assert not bench.admit(second, ADDRESSES[0])
    assert not bench.allowance.is_spent
    bench.take_back(first, 0.0)
    assert bench.lend(0.0) is second
    assert bench.allowance.is_spent


def test_robots_txt_and_sitemaps_do_not_count_against_the_allowance() -> None:
    bench = a_workbench(hosts=0, per_host=9)
    host = a_quick_host(bench, 1, allowance=1)
    bench.offer(host, [a_claim(1, 1, UrlKind.ROBOTS), a_claim(1, 2, UrlKind.SITEMAP), a_claim(1, 3)])
    assert [take(bench, 0.0).url_id for _ in range(3)] == [1, 2, 3]


def test_a_claim_for_a_busy_address_is_given_back_and_lent_again_when_there_is_room() -> None:
    bench = a_workbench(hosts=2, per_ip=1, claims=1)
    first, second = take(bench, 0.0), take(bench, 0.0)
    fetch(bench, first, ADDRESSES[0], 0.0)
    assert not bench.admit(second, ADDRESSES[0])
    assert (bench.lend(0.0), bench.lent) == (None, 1)
    bench.take_back(first, 0.0)
    assert bench.lend(0.0) is second


def test_a_host_withdrawn_while_it_waits_for_an_address_leaves_its_turn_to_the_next() -> None:
    bench = a_workbench(hosts=3, per_ip=1, claims=1)
    first, second, third = (take(bench, 0.0) for _ in range(3))
    fetch(bench, first, ADDRESSES[0], 0.0)
    assert not bench.admit(second, ADDRESSES[0])
    assert not bench.admit(third, ADDRESSES[0])
    assert bench.lend(0.0) is None
    bench.take_back(first, 0.0)
    assert bench.withdraw(2) == [second]
    assert bench.lend(0.0) is third


def test_a_host_that_backs_off_does_not_keep_the_turn_of_one_that_is_ready() -> None:
    bench = a_workbench(hosts=3, per_ip=1, per_host=2, claims=0)
    for host_id, claims in ((1, 1), (2, 3), (3, 1)):
        bench.offer(bench.host(host_id), [a_claim(host_id, number) for number in range(claims)])
    first, second, third, unresolved = (take(bench, 0.0) for _ in range(4))
    assert [claim.host_id for claim in (first, second, third, unresolved)] == [1, 2, 3, 2]
    fetch(bench, first, ADDRESSES[0], 0.0)
    assert not bench.admit(second, ADDRESSES[0])
    assert not bench.admit(third, ADDRESSES[0])
    assert bench.lend(0.0) is None  # hosts 2 and 3 wait for the address, in this order
    bench.take_back(unresolved, 0.0, back_off_until=3600.0)
    bench.take_back(first, 0.0)
    assert bench.lend(0.0) is third


def test_a_host_stays_backed_off_when_an_earlier_request_ends_well() -> None:
    bench = a_workbench()
    first, second = take(bench, 0.0), take(bench, 0.0)
    bench.take_back(first, 0.0, back_off_until=3600.0)
    bench.take_back(second, 1.0)
    assert bench.host(1).backing_off
    assert bench.lend(3599.0) is None


def test_a_host_backs_off_no_more_once_it_is_asked_again() -> None:
    bench = a_workbench(delay_s=100.0)
    bench.take_back(take(bench, 0.0), 0.0, back_off_until=3600.0)
    claim = take(bench, 3600.0)
    fetch(bench, claim, ADDRESSES[0], 3600.0)
    bench.take_back(claim, 3600.1)
    assert not bench.host(1).backing_off


def test_failures_in_a_row_are_counted_until_something_speaks_for_the_host() -> None:
    bench = a_workbench(claims=4)
    counted = []
    for answered, blame in ((False, Blame.HOST), (False, Blame.HOST), (False, None), (True, None)):
        claim = take(bench, 0.0)
        bench.hear(claim, answered=answered, blame=blame)
        bench.take_back(claim, 0.0)
        counted.append(bench.host(1).failures)
    assert counted == [1, 2, 2, 0]


def test_a_time_out_makes_a_host_slow_and_a_quick_answer_makes_it_quick_again() -> None:
    bench = a_workbench(per_host=2)
    bench.take_back(take(bench, 0.0), 0.0, timed_out=True)
    alone = take(bench, 0.0)
    assert bench.lend(0.0) is None
    bench.take_back(alone, 1.0)
    assert [bench.lend(1.0) is not None, bench.lend(1.0)] == [True, None]  # one claim is left


def test_a_host_is_slow_while_its_request_is_still_out() -> None:
    bench = a_workbench(per_host=2)
    take(bench, 0.0)
    assert bench.lend(SLOW_AFTER_S + 0.1) is None
    assert bench.host(1).slow


def test_a_request_that_stays_out_makes_its_host_slow_once() -> None:
    bench = a_workbench()
    take(bench, 0.0)
    quick = take(bench, SLOW_AFTER_S)
    assert bench.lend(SLOW_AFTER_S + 0.1) is None
    assert bench.host(1).slow
    bench.take_back(quick, SLOW_AFTER_S + 0.2)
    take(bench, 4 * SLOW_AFTER_S)
    assert not bench.host(1).slow


def test_slow_hosts_together_get_at_most_half_of_the_workers() -> None:
    bench = a_workbench(hosts=5, per_host=1, concurrency=4)
    for _ in range(5):
        bench.take_back(take(bench, 0.0), 0.0, timed_out=True)
    assert [bench.lend(0.0) is not None for _ in range(3)] == [True, True, False]


def test_a_host_that_is_quick_again_leaves_its_share() -> None:
    bench = a_workbench(per_host=3, concurrency=4)
    loans = [take(bench, 0.0) for _ in range(3)]
    for loan, timed_out in zip(loans, (True, False, False), strict=True):
        bench.take_back(loan, 1.0, timed_out=timed_out)
    for host_id in (2, 3):
        bench.offer(a_quick_host(bench, host_id), [a_claim(host_id, number) for number in range(2)])
        bench.take_back(take(bench, 1.0), 1.0, timed_out=True)
    assert [take(bench, 1.0).host_id for _ in range(2)] == [2, 3]


def test_a_new_host_gets_one_claim_until_that_is_over() -> None:
    bench = a_workbench(hosts=0, per_host=3)
    bench.offer(bench.add_host(1, "h1.test", ready_at=0.0), [a_claim(1, number) for number in range(4)])
    first = take(bench, 0.0)
    assert bench.lend(0.0) is None
    bench.take_back(first, 1.0)
    assert [bench.lend(1.0) is not None for _ in range(4)] == [True, True, True, False]


def test_new_and_slow_hosts_together_leave_a_quarter_of_the_workers_to_the_others() -> None:
    bench = a_workbench(hosts=0, concurrency=8)
    for host_id in range(1, 11):
        bench.offer(bench.add_host(host_id, f"h{host_id}.test", ready_at=0.0), [a_claim(host_id)])
    lent = [take(bench, 0.0) for _ in range(6)]
    assert bench.lend(0.0) is None
    assert bench.lend(SLOW_AFTER_S + 0.1) is None  # they are slow now, and more than half of the workers
    bench.offer(a_quick_host(bench, 11), [a_claim(11, number) for number in range(2)])
    assert [take(bench, 6.0).host_id for _ in range(2)] == [11, 11]
    bench.take_back(lent[0], 7.0, timed_out=True)
    assert take(bench, 7.0).host_id == 7
    assert bench.lend(7.0) is None


def test_a_withdrawn_host_lends_nothing_and_returns_its_claims() -> None:
    bench = a_workbench()
    assert [claim.url_id for claim in bench.withdraw(1)] == [1, 2, 3]
    assert (bench.lend(0.0), len(bench), 1 in bench) == (None, 0, False)


def test_a_host_may_come_back_after_it_was_withdrawn() -> None:
    bench = a_workbench()
    claims = bench.withdraw(1)
    bench.offer(bench.add_host(1, "h1.test", ready_at=5.0), claims)
    assert bench.lend(4.0) is None
    assert take(bench, 5.0) is claims[0]


def test_a_host_that_is_not_in_memory_is_an_error() -> None:
    with pytest.raises(KeyError):
        a_workbench().host(7)


# --- all of it at once ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Loan:
    claim: Claim
    lent_at: float
    address: str | None  # the one that it is counted on
    admitted: bool = False
    sent: bool = False
    again: bool = False  # it is to be sent once more
    may_send: bool = True  # a request that counts
    noticed: bool = False  # as one that takes long


@dataclass(slots=True)
class ModelHost:
    """What must be true of a host, kept apart from the workbench."""

    state: HostState
    ready_at: float
    allowance: int | None
    requests: int | None = None  # that may be sent to it
    slow: bool = False
    proven: bool = False
    last_sent: float | None = None
    address: str | None = None
    addresses: set[str] = field(default_factory=set)  # that it ever had
    waiting: set[Claim] = field(default_factory=set)
    loans: dict[Claim, Loan] = field(default_factory=dict)

    @property
    def may_lend(self) -> bool:
        return bool(self.waiting) and self.allowance != 0 and self.requests != 0


class WorkbenchMachine(RuleBasedStateMachine):
    """Random hosts, claims, answers and time, against a model that only knows the promises."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.hosts: dict[int, ModelHost] = {}
        self.next_number = 1

    @initialize(
        delay_s=st.sampled_from([0.0, 0.0, 1.0, 7.0]),
        per_host=st.integers(1, 3),
        per_ip=st.integers(1, 3),
        concurrency=st.integers(1, 8),
        addresses=st.integers(1, 2),
        pages=st.sampled_from([None, None, 4, 20]),
        requests=st.sampled_from([None, None, 5, 40]),
    )
    def open(
        self,
        delay_s: float,
        per_host: int,
        per_ip: int,
        concurrency: int,
        addresses: int,
        pages: int | None,
        requests: int | None,
    ) -> None:
        self.delay_s, self.per_host, self.per_ip, self.concurrency = delay_s, per_host, per_ip, concurrency
        self.addresses = addresses  # that hosts usually have: few, so that they wait for each other
        self.pages = pages  # that the run may still lend
        self.requests = requests  # that the run may still send
        self.bench = Workbench(
            delay_s=delay_s,
            per_host=per_host,
            per_ip=per_ip,
            concurrency=concurrency,
            max_pages=pages,
            max_requests=requests,
        )
        for host_id in range(1, NAMES):
            self.offer(host_id, 0.0, None, None, 3, False, UrlKind.PAGE)

    # --- what happens -----------------------------------------------------------------------------------------------

    @rule(
        host_id=st.integers(1, NAMES),
        ready_in=st.sampled_from([0.0, 0.0, 3.0]),
        allowance=st.sampled_from([None, None, None, 0, 1, 3]),
        requests=st.sampled_from([None, None, None, 0, 1, 3, 40]),
        count=st.integers(1, 4),
        first=st.booleans(),
        kind=st.sampled_from([UrlKind.PAGE, UrlKind.PAGE, UrlKind.ROBOTS]),
    )
    def offer(
        self,
        host_id: int,
        ready_in: float,
        allowance: int | None,
        requests: int | None,
        count: int,
        first: bool,
        kind: UrlKind,
    ) -> None:
        if host_id not in self.hosts:
            ready_at = self.now + ready_in
            own = None if requests is None else Requests.of(requests)
            state = self.bench.add_host(
                host_id, f"h{host_id}.test", ready_at=ready_at, allowance=allowance, requests=own
            )
            self.hosts[host_id] = ModelHost(state=state, ready_at=ready_at, allowance=allowance, requests=requests)
        numbers = range(self.next_number, self.next_number + count)
        claims = [a_claim(host_id, number, kind) for number in numbers]
        self.next_number += count
        self.hosts[host_id].waiting.update(claims)
        self.bench.offer(self.hosts[host_id].state, claims, first=first)

    @rule(times=st.integers(1, 6))
    def take(self, times: int) -> None:
        for _ in range(times):
            if len(self.loans()) < self.concurrency:
                self.take_one()

    @precondition(lambda self: self.loans())
    @rule(data=st.data(), address=st.sampled_from(ADDRESSES), moves=st.integers(0, 3))
    def admit(self, data: st.DataObject, address: str, moves: int) -> None:
        """Hosts keep their address most of the time: that is what makes them wait for one."""
        choices = [loan for loan in self.loans() if not loan.admitted]
        if choices:
            loan = data.draw(st.sampled_from(choices), label="loan")
            host = self.hosts[loan.claim.host_id]
            self.admit_one(loan, address if moves == 0 else self.usual_address(host))

    @rule(times=st.integers(1, 6))
    def take_and_admit(self, times: int) -> None:
        self.take(times)
        for loan in self.loans():
            if not loan.admitted:
                self.admit_one(loan, self.usual_address(self.hosts[loan.claim.host_id]))

    @precondition(lambda self: self.sendable())
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self.send_one(data.draw(st.sampled_from(self.sendable()), label="loan"))

    @precondition(lambda self: any(loan.sent for loan in self.loans()))
    @rule(data=st.data())
    def ask_for_another_turn(self, data: st.DataObject) -> None:
        loan = data.draw(st.sampled_from([loan for loan in self.loans() if loan.sent]), label="loan")
        host = self.hosts[loan.claim.host_id]
        self.note_requests()
        wait_s = self.bench.turn_in_s(loan.claim, self.now)
        if wait_s is None:
            none_left = not loan.may_send and 0 in (self.requests, host.requests)
            assert none_left or (host.state.backing_off and host.ready_at > self.now)
            return
        if not loan.may_send:
            self.count_request(host, -1)
            loan.may_send = True
        if self.delay_s and any(not other.sent for other in host.loans.values()):
            assert wait_s == self.delay_s
        else:
            assert wait_s == max(0.0, host.ready_at - self.now)
            loan.sent, loan.again = False, True

    @precondition(lambda self: self.loans())
    @rule(
        data=st.data(),
        stored=st.booleans(),
        timed_out=st.sampled_from([False, False, True]),
        back_off_s=st.sampled_from([None, None, None, 2.0, 30.0]),
    )
    def finish(self, data: st.DataObject, stored: bool, timed_out: bool, back_off_s: float | None) -> None:
        loan = data.draw(st.sampled_from(self.loans()), label="loan")
        self.finish_one(loan, stored=stored, timed_out=timed_out, back_off_s=back_off_s)

    @rule(seconds=st.sampled_from([0.125, 1.0, 1.0, 4.0, 6.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def sleep(self) -> None:
        ready_at = self.bench.next_ready_at()
        if ready_at is not None:
            self.now = max(self.now, ready_at)

    @precondition(lambda self: any(not host.loans for host in self.hosts.values()))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        choices = sorted(host_id for host_id, host in self.hosts.items() if not host.loans)
        host_id = data.draw(st.sampled_from(choices), label="host")
        host = self.hosts.pop(host_id)
        assert set(self.bench.withdraw(host_id)) == host.waiting

    # --- what must hold ---------------------------------------------------------------------------------------------

    def loans(self) -> list[Loan]:
        return [loan for host in self.hosts.values() for loan in host.loans.values()]

    def sendable(self) -> list[Loan]:
        """A visit sends its second request when its turn has come."""
        return [
            loan
            for loan in self.loans()
            if loan.admitted
            and not loan.sent
            and not (loan.again and self.hosts[loan.claim.host_id].ready_at > self.now)
        ]

    def usual_address(self, host: ModelHost) -> str:
        return host.address or ADDRESSES[host.state.host_id % self.addresses]

    def on_address(self, address: str | None) -> int:
        return sum(loan.address == address for loan in self.loans())

    def slow_lent(self) -> int:
        return sum(len(host.loans) for host in self.hosts.values() if host.slow)

    def no_room_for_unproven(self, host: ModelHost) -> bool:
        """Whether the host has to wait because it is slow, or has not been quick yet."""
        if host.slow and self.slow_lent() >= max(1, self.concurrency // 2):
            return True
        lent = sum(len(other.loans) for other in self.hosts.values() if not other.proven)
        return not host.proven and lent >= max(1, self.concurrency - self.concurrency // 4)

    def limit(self, host: ModelHost) -> int:
        return self.per_host if host.proven else 1

    def note_requests(self) -> None:
        """As the store would."""
        if self.bench.requests.are_lacking:
            part = self.bench.requests.next_part()
            run, hosts = self.bench.requests.notes(part)
            assert run is None or run > 0
            assert all(noted > 0 for _host_id, noted in hosts)
            self.bench.add_ready(part)
        assert not self.bench.requests.are_lacking

    def count_request(self, host: ModelHost, change: int) -> None:
        if host.requests is not None:
            host.requests += change
        if self.requests is not None:
            self.requests += change

    def take_one(self) -> Claim | None:
        self.note_requests()
        claim = self.bench.lend(self.now)
        for loan in self.loans():
            if not loan.noticed and self.now - loan.lent_at > SLOW_AFTER_S:
                loan.noticed = self.hosts[loan.claim.host_id].slow = True
                self.hosts[loan.claim.host_id].proven = False
        if claim is None:
            if self.pages != 0 and self.requests != 0:
                self.nobody_could_have_been_served()
            return None
        assert self.pages != 0, "more pages than the run is allowed"
        assert self.requests != 0, "more requests than the run is allowed"
        host = self.hosts[claim.host_id]
        assert claim in host.waiting, "lent twice, or never offered"
        assert host.ready_at <= self.now, "lent too early"
        assert len(host.loans) < self.limit(host), "beyond the host's limit"
        assert not (self.delay_s and any(not loan.sent for loan in host.loans.values())), "the last one is not sent yet"
        assert not self.no_room_for_unproven(host), "too many slow or new ones"
        assert host.allowance != 0, "more pages than allowed"
        assert host.requests != 0, "more requests than allowed"
        assert host.address is None or self.on_address(host.address) < self.per_ip, "no room at its address"
        self.allow(claim, -1)
        self.count_request(host, -1)
        host.waiting.remove(claim)
        host.loans[claim] = Loan(claim=claim, lent_at=self.now, address=host.address)
        return claim

    def nobody_could_have_been_served(self) -> None:
        for host in self.hosts.values():
            if not host.may_lend or host.ready_at > self.now or len(host.loans) >= self.limit(host):
                continue
            if self.delay_s and any(not loan.sent for loan in host.loans.values()):
                continue
            if self.no_room_for_unproven(host):
                continue
            # A host that moves while it waits for room at its old address may wait for that all the same.
            full = any(self.on_address(address) >= self.per_ip for address in host.addresses)
            assert full, f"{host.state.name} was passed over"

    def admit_one(self, loan: Loan, address: str) -> bool:
        host = self.hosts[loan.claim.host_id]
        host.address = address
        host.addresses.add(address)
        admitted = self.bench.admit(loan.claim, address)
        if admitted:
            loan.address, loan.admitted = address, True
            there = sum(other.admitted and other.address == address for other in self.loans())
            assert there <= self.per_ip, "too many on one address"
            return True
        del host.loans[loan.claim]
        self.count_request(host, 1)
        assert self.on_address(address) >= self.per_ip, "turned away from an address that has room"
        self.allow(loan.claim, 1)
        host.waiting.add(loan.claim)
        return False

    def allow(self, claim: Claim, change: int) -> None:
        host = self.hosts[claim.host_id]
        if claim.kind is not UrlKind.PAGE:
            return
        if host.allowance is not None:
            host.allowance += change
        if self.pages is not None:
            self.pages += change

    def send_one(self, loan: Loan) -> None:
        host = self.hosts[loan.claim.host_id]
        if host.last_sent is not None:
            assert self.now - host.last_sent >= self.delay_s, "two requests start too close to each other"
        host.last_sent = self.now
        host.ready_at = max(host.ready_at, self.now + self.delay_s)
        loan.sent = True
        loan.may_send = False
        self.bench.sent(loan.claim, self.now)

    def finish_one(
        self, loan: Loan, *, stored: bool = True, timed_out: bool = False, back_off_s: float | None = None
    ) -> None:
        host = self.hosts[loan.claim.host_id]
        until = None if back_off_s is None else self.now + back_off_s
        self.bench.take_back(loan.claim, self.now, stored=stored, timed_out=timed_out, back_off_until=until)
        del host.loans[loan.claim]
        if loan.may_send:
            self.count_request(host, 1)
        if not loan.sent:
            host.ready_at = max(host.ready_at, self.now + self.delay_s)
        host.ready_at = max(host.ready_at, until or 0.0)
        host.slow = timed_out or self.now - loan.lent_at > SLOW_AFTER_S
        host.proven = not host.slow
        if not stored:
            self.allow(loan.claim, 1)

    @invariant()
    def nothing_is_lost(self) -> None:
        for host in self.hosts.values():
            assert set(host.state.claims) == host.waiting
            assert len(host.state.claims) == len(host.waiting)
            assert host.state.lent == len(host.loans)
            assert host.state.allowance == host.allowance
            left = host.state.requests_left
            assert host.requests == (None if left is None else left.ready + left.unnoted)
            assert (host.state.slow, host.state.proven) == (host.slow, host.proven)
        if self.hosts:
            assert self.bench.lent == len(self.loans())

    @invariant()
    def every_host_is_in_one_place(self) -> None:
        """Else its entries would pile up as long as it waits."""
        if self.hosts:
            shares = self.bench._shares
            queues = [shares._waiting_slow, shares._waiting_new, *shares._waiting_for_address.values()]
            places = Counter([host for *_, host in self.bench._heap] + [host for queue in queues for host in queue])
            assert all(places[host.state] <= 1 for host in self.hosts.values())

    def teardown(self) -> None:
        """Whatever happened before: everything that may be lent is lent in the end, nothing is stuck in a queue."""
        for loan in self.loans():
            self.finish_one(loan)
        self.now += 1000.0
        while 0 not in (self.pages, self.requests) and any(host.may_lend for host in self.hosts.values()):
            lent = 0
            while len(self.loans()) < self.concurrency and self.take_one() is not None:
                lent += 1
            if not lent:
                ready_at = self.bench.next_ready_at()
                assert ready_at is not None, "stuck"
                assert ready_at > self.now, "it says that there is something now, and there is not"
                self.now = ready_at
                continue
            for loan in self.loans():
                if self.admit_one(loan, self.usual_address(self.hosts[loan.claim.host_id])):
                    self.send_one(loan)
                    self.finish_one(loan, stored=loan.claim.kind is UrlKind.PAGE)


TestWorkbench = WorkbenchMachine.TestCase
TestWorkbench.settings = settings(
    max_examples=int(os.environ.get("WORKBENCH_EXAMPLES", "60")),
    stateful_step_count=int(os.environ.get("WORKBENCH_STEPS", "50")),
    deadline=None,
    report_multiple_bugs=False,
)
