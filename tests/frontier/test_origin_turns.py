"""Hosts with several origins in virtual time, as a state machine: a bad origin takes no more than its own turns."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crawler.frontier.hosts import HostState
from crawler.frontier.workbench import FIRST_ANSWER_S, Workbench
from crawler.records import Blame, Claim

ADDRESS = "192.0.2.1"
HOSTS = (1, 2)
ORIGINS = 4  # of a host


@dataclass(slots=True)
class ModelOrigin:
    """What must be true of an origin, kept apart from the workbench."""

    waiting: list[Claim] = field(default_factory=list)
    paused_until: float = 0.0
    answered: bool = False
    passed_over: int = 0  # lends of others since it could have lent


@dataclass(slots=True)
class ModelHost:
    state: HostState
    origins: dict[str, ModelOrigin] = field(default_factory=dict)
    lent: dict[Claim, bool] = field(default_factory=dict)  # and whether the request was sent
    probes: set[Claim] = field(default_factory=set)  # lent while its origin had not answered, or no more
    turns: dict[Claim, float] = field(default_factory=dict)  # of what is not sent: when it loses its turn to others
    last_sent: float | None = None
    delay_s: float = 0.0  # that held when the last request was sent


class OriginsMachine(RuleBasedStateMachine):
    """Random origins, answers, refusals, dead ports and time."""

    @initialize(
        delay_s=st.sampled_from([0.0, 0.0, 1.0]),
        per_host=st.integers(1, 3),
        adaptive=st.sampled_from([True, True, False]),
    )
    def open(self, delay_s: float, per_host: int, adaptive: bool) -> None:
        self.now, self.number, self.delay_s, self.per_host = 0.0, 0, delay_s, per_host
        self.bench = Workbench(delay_s=delay_s, per_host=per_host, per_ip=99, concurrency=99, adaptive=adaptive)
        self.hosts = {
            host_id: ModelHost(state=self.bench.add_host(host_id, f"h{host_id}.test", ready_at=0.0))
            for host_id in HOSTS
        }

    # --- what happens -----------------------------------------------------------------------------------------------

    @rule(host_id=st.sampled_from(HOSTS), port=st.integers(1, ORIGINS), count=st.integers(1, 4), first=st.booleans())
    def offer(self, host_id: int, port: int, count: int, first: bool) -> None:
        host = self.hosts[host_id]
        claims = [self.a_claim(host_id, port) for _ in range(count)]
        origin = host.origins.setdefault(claims[0].origin, ModelOrigin())
        at = 0 if first else len(origin.waiting)
        origin.waiting[at:at] = claims
        self.bench.offer(host.state, claims, first=first)

    @rule(times=st.integers(1, 4))
    def take(self, times: int) -> None:
        for _ in range(times):
            self.take_one()

    @precondition(lambda self: self.unsent())
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self.send_one(data.draw(st.sampled_from(self.unsent()), label="claim"))

    @precondition(lambda self: self.sent())
    @rule(data=st.data())
    def redirect(self, data: st.DataObject) -> None:
        """A visit makes one more request, and takes another turn for it."""
        claim = data.draw(st.sampled_from(self.sent()), label="claim")
        host = self.hosts[claim.host_id]
        while (wait_s := self.bench.turn_in_s(claim, self.now)) is not None:
            self.hold_turn(host, claim, wait_s)
            if not wait_s:
                return
            self.now += wait_s
            self.take_one()
        assert host.origins[claim.origin].paused_until > self.now

    @precondition(lambda self: self.lent())
    @rule(
        data=st.data(),
        ending=st.sampled_from(["answered", "answered", "refused", "hung", "dead"]),
        pause_s=st.sampled_from([None, 0.0, 2.0, 50.0]),
    )
    def finish(self, data: st.DataObject, ending: str, pause_s: float | None) -> None:
        self.finish_one(data.draw(st.sampled_from(self.lent()), label="claim"), ending, pause_s)

    @rule(seconds=st.sampled_from([0.125, 1.0, 4.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(host_id=st.sampled_from(HOSTS), port=st.integers(1, ORIGINS))
    def withdraw_origin(self, host_id: int, port: int) -> None:
        """It is closed for longer than a run waits."""
        host = self.hosts[host_id]
        name = f"http://h{host_id}.test:{port}"
        model = host.origins.setdefault(name, ModelOrigin())
        assert self.bench.withdraw_origin(host.state, host.state.claims.origin(name)) == model.waiting
        model.waiting.clear()

    # --- what must hold ---------------------------------------------------------------------------------------------

    def a_claim(self, host_id: int, port: int) -> Claim:
        self.number += 1
        origin = f"http://h{host_id}.test:{port}"
        url = f"{origin}/{self.number}"
        return Claim(url_id=self.number, url=url, host_id=host_id, host=f"h{host_id}.test", origin=origin)

    def lent(self) -> list[Claim]:
        return [claim for host in self.hosts.values() for claim in host.lent]

    def unsent(self) -> list[Claim]:
        return [claim for host in self.hosts.values() for claim, sent in host.lent.items() if not sent]

    def sent(self) -> list[Claim]:
        return [claim for host in self.hosts.values() for claim, sent in host.lent.items() if sent]

    def may_lend(self, origin: ModelOrigin) -> bool:
        """Whether nothing of the origin's own speaks against it."""
        return bool(origin.waiting) and origin.paused_until <= self.now

    def take_one(self) -> Claim | None:
        claim = self.bench.lend(self.now)
        for each in self.hosts.values():
            if each.state.delay_s:
                each.turns = {one: until for one, until in each.turns.items() if until > self.now}
        if claim is None:
            return None
        host = self.hosts[claim.host_id]
        origin = host.origins[claim.origin]
        assert claim is origin.waiting.pop(0), "lent twice, never offered, or out of its origin's order"
        assert origin.paused_until <= self.now, "lent while its origin pauses"
        assert len(host.lent) < self.per_host, "beyond the host's limit"
        probes = host.probes & host.lent.keys()
        if len(host.origins) > 1 and not origin.answered:
            assert not probes, "two requests to origins that have not answered"
            assert self.bench.patience_s(claim) in (None, FIRST_ANSWER_S)
            others = any(other.waiting for other in host.origins.values() if other is not origin)
            if self.per_host == 1 and others:
                assert self.bench.patience_s(claim) == FIRST_ANSWER_S, "it may hold the only slot for too long"
        if host.last_sent is not None:
            assert self.now >= host.last_sent + host.delay_s, "lent too early"
        unsent = [one for one, sent in host.lent.items() if not sent]
        if host.state.delay_s:
            assert not host.turns, "the last one is not sent yet"
            assert all(one.origin != claim.origin for one in unsent), "it can hardly be connected to"
        self.count_turns(host, origin)
        host.lent[claim] = False
        host.turns[claim] = self.now + self.turn_s(host)
        if not origin.answered:
            host.probes.add(claim)
        return claim

    def hold_turn(self, host: ModelHost, claim: Claim, wait_s: float) -> None:
        """The claim has the next turn, unless another has it: then it asks again after that time."""
        if claim not in host.turns and not (host.turns and host.state.delay_s):
            host.lent[claim] = False
            host.turns[claim] = self.now + wait_s + self.turn_s(host)

    def turn_s(self, host: ModelHost) -> float:
        """For how long others wait until a request is sent, where there is a delay."""
        return min(max(host.state.delay_s, 1.0), FIRST_ANSWER_S)

    def count_turns(self, host: ModelHost, lent: ModelOrigin) -> None:
        """Who could have lent, has nothing out and did not is passed over: by each other once in a round, and once when
        that joins.
        """
        for name, origin in host.origins.items():
            if (
                origin is lent
                or not self.may_lend(origin)
                or any(host.origins[one.origin] is origin for one in host.lent)
            ):
                origin.passed_over = 0
            elif host.state.claims.origin(name).is_quick:
                origin.passed_over += 1
                assert origin.passed_over <= 2 * ORIGINS, "an origin takes more than its turns"

    def send_one(self, claim: Claim) -> None:
        host = self.hosts[claim.host_id]
        asked = 0
        while wait_s := self.bench.sending_in_s(claim, self.now):  # it is connected by now, and waits for a turn
            asked += 1
            assert asked < 1000, "its turn never comes"
            self.hold_turn(host, claim, wait_s)
            self.now += wait_s
            self.take_one()
        if host.last_sent is not None:
            assert self.now - host.last_sent >= self.delay_s - 1e-6, "two requests start too close to each other"
        host.last_sent, host.delay_s = self.now, self.delay_s
        host.lent[claim] = True
        host.turns.pop(claim, None)
        assert self.bench.admit(claim, ADDRESS)
        self.bench.sent(claim, self.now)

    def finish_one(self, claim: Claim, ending: str, pause_s: float | None = None) -> None:
        host = self.hosts[claim.host_id]
        origin = host.origins[claim.origin]
        if ending in ("answered", "refused"):
            if not host.lent[claim]:
                self.send_one(claim)
            origin.answered = True
        elif ending == "dead" and not host.lent[claim]:
            origin.answered = False
        blame = {"answered": None, "refused": Blame.ORIGIN, "hung": Blame.URL, "dead": Blame.ORIGIN}[ending]
        self.bench.hear(
            claim,
            answered=ending in ("answered", "refused"),
            refused=ending == "refused",
            succeeded=ending == "answered",
            latency_s=0.1,
            blame=blame,
        )
        pause = None if pause_s is None or blame is not Blame.ORIGIN else (self.now + pause_s, "http 503")
        self.bench.take_back(claim, self.now, timed_out=ending == "hung", pause=pause)
        if pause is not None:
            origin.paused_until = max(origin.paused_until, pause[0])
        del host.lent[claim]
        host.turns.pop(claim, None)

    @invariant()
    def nothing_is_lost(self) -> None:
        for host in getattr(self, "hosts", {}).values():
            waiting = [claim for origin in host.origins.values() for claim in origin.waiting]
            assert sorted(claim.url_id for claim in host.state.claims) == sorted(claim.url_id for claim in waiting)
            assert len(host.state.claims) == len(waiting)
            assert host.state.lent == len(host.lent)
            assert host.state.unsent == len(host.turns), "the others of its host wait for too long, or do not wait"
            assert host.state.delay_s >= self.delay_s
            open_ones = [origin for origin in host.state.claims.origins() if not origin.parked]
            assert host.state.claims.available == sum(len(origin.claims) for origin in open_ones)

    def teardown(self) -> None:
        """Whatever happened before: each pause ends, and everything is lent."""
        while hasattr(self, "hosts") and self.lent():
            self.finish_one(self.lent()[0], "answered")
        while any(origin.waiting for host in getattr(self, "hosts", {}).values() for origin in host.origins.values()):
            taken = self.take_one()
            if taken is None:
                ready_at = self.bench.next_ready_at()
                assert ready_at is not None, "stuck"
                assert ready_at > self.now, "it says that there is something now, and there is not"
                self.now = ready_at
                continue
            self.finish_one(taken, "answered")


def claims_of(port: int, count: int) -> list[Claim]:
    origin = f"http://h1.test:{port}"
    return [
        Claim(url_id=10 * port + n, url=f"{origin}/{n}", host_id=1, host="h1.test", origin=origin) for n in range(count)
    ]


def a_bench(per_host: int, *ports: int) -> Workbench:
    """A host that has proven quick, with five claims of each of these origins, which have all answered."""
    bench = Workbench(delay_s=0.0, per_host=per_host, per_ip=99, concurrency=99)
    host = bench.add_host(1, "h1.test", ready_at=0.0)
    host.proven = host.answered = True
    for port in ports:
        bench.offer(host, claims_of(port, 5))
        host.claims.origin(f"http://h1.test:{port}").answered = True
    return bench


def lent_port(bench: Workbench) -> tuple[Claim, str]:
    claim = bench.lend(0.0)
    assert claim is not None
    return claim, claim.origin[-1]


def test_the_origins_of_a_host_take_turns() -> None:
    bench, ports = a_bench(1, 1, 2, 3), []
    for _ in range(9):
        claim, port = lent_port(bench)
        bench.take_back(claim, 0.0)
        ports.append(port)
    assert "".join(ports) == "123123123"


def test_what_hangs_at_one_origin_leaves_the_other_slots_to_the_others() -> None:
    bench, ports = a_bench(2, 1, 2), []
    _hanging, first = lent_port(bench)
    for _ in range(5):
        claim, port = lent_port(bench)
        bench.take_back(claim, 0.0)
        ports.append(port)
    assert (first, "".join(ports)) == ("1", "22222")


# --- who is about to send a request -----------------------------------------------------------------------------------


def a_slow_bench(delay_s: float, *ports: int) -> Workbench:
    """As `a_bench`, with three slots, and a delay."""
    bench = a_bench(3, *ports)
    bench.host(1).slow_down(delay_s)
    bench.host(1).ready_at = 0.0
    return bench


def taken(bench: Workbench, now: float) -> Claim:
    claim = bench.lend(now)
    assert claim is not None
    return claim


def test_who_is_connected_late_waits_for_those_that_are_about_to_send_and_then_has_a_turn_of_its_own() -> None:
    bench = a_slow_bench(0.25, 1, 2, 3)
    late, second = taken(bench, 0.0), taken(bench, 1.0)
    assert bench.sending_in_s(late, 1.5) == 0.25, "the second one is about to be sent"
    third = taken(bench, 2.0)
    assert bench.sending_in_s(late, 2.0) == 0.25, "and now the third one, since the second is late, too"
    bench.sent(third, 2.25)
    bench.take_back(third, 2.25)
    assert bench.sending_in_s(late, 2.25) == 0.25, "the delay"
    assert bench.lend(2.5) is None, "the turn is its own"
    assert bench.sending_in_s(late, 2.5) == 0.0
    bench.sent(late, 2.5)
    assert bench.sending_in_s(second, 2.5) == 0.25


def test_who_is_about_to_send_when_its_host_gets_a_delay_loses_its_turn_in_time() -> None:
    """A refusal slows a host that had no delay; a port that does not answer held all its others for a time-out."""
    bench = a_bench(3, 1, 2)
    hanging, refused = taken(bench, 0.0), taken(bench, 0.0)
    bench.host(1).claims.origin(refused.origin).served = True
    bench.sent(refused, 0.0)
    bench.hear(refused, answered=True, refused=True)
    bench.take_back(refused, 0.5)
    assert bench.lend(0.75) is None, "the first one is about to be sent"
    assert bench.next_ready_at() == 1.0
    assert taken(bench, 1.0).origin == refused.origin
    assert bench.sending_in_s(hanging, 1.0) > 0.0


def test_a_crawl_delay_begins_the_turns_as_well() -> None:
    bench = a_bench(3, 1, 2)
    hanging = taken(bench, 0.0)
    bench.slow_down(bench.host(1), 0.5)
    assert bench.lend(0.75) is None
    assert taken(bench, 1.0).origin != hanging.origin


def test_the_second_request_of_a_visit_has_a_whole_turn_of_its_own() -> None:
    """Else it would end with that of the first."""
    bench = a_slow_bench(2.0, 1, 2)
    claim = taken(bench, 0.0)
    bench.sent(claim, 0.0)
    assert bench.turn_in_s(claim, 1.0) == 1.0
    assert bench.lend(2.0) is None, "the others have to wait until it is sent"
    assert bench.turn_in_s(claim, 2.0) == 0.0
    assert bench.lend(3.9) is None
    assert taken(bench, 4.0).origin != claim.origin, "but no longer than for a first one"
    assert bench.sending_in_s(claim, 4.0) == 2.0


TestOrigins = OriginsMachine.TestCase
TestOrigins.settings = settings(
    max_examples=int(os.environ.get("ORIGINS_EXAMPLES", "80")),
    stateful_step_count=int(os.environ.get("ORIGINS_STEPS", "50")),
    deadline=None,
    report_multiple_bugs=False,
)
