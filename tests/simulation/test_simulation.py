"""What the tables stand on: the simulator repeats itself, keeps the rules, and paces hosts as the workbench does."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count

import pytest

from crawler.frontier.workbench import Workbench
from crawler.records import Claim
from tests.simulation.cluster import Cluster
from tests.simulation.web import Host, WebShape, limited
from tests.simulation.worker import SLOTS, Pace, Progress

_SMALL = WebShape(hosts=300)
_MOST = 60  # pages of a host
_FAR_S = 1e6


def crawled(workers: int = 3, seed: int = 7, pace: Pace | None = None) -> Progress:
    """The small web, with one worker killed, one drained and one that joins."""
    cluster = Cluster(limited(_SMALL.make(), _MOST), workers=workers, parts=64, pace=pace or Pace(), seed=seed)
    cluster.work(until=5.3)
    cluster.die()
    cluster.work(until=12.0)
    cluster.join()
    cluster.work(until=20.0)
    cluster.drain()
    cluster.work()
    return cluster.progress


def test_the_same_numbers_make_the_same_crawl() -> None:
    one, other = crawled(), crawled()
    assert (one.stored, one.stalls, one.again, one.end_s) == (other.stored, other.stalls, other.again, other.end_s)
    assert crawled(seed=8).stalls != one.stalls


@pytest.mark.parametrize("pace", [Pace(), Pace(page_s=0.05), Pace(delay_s=0.2, concurrency=16), Pace(delay_s=5.0)])
def test_all_is_stored_once_and_politely_whatever_happens(pace: Pace) -> None:
    progress = crawled(pace=pace)
    assert progress.pages == sum(host.pages for host in limited(_SMALL.make(), _MOST))
    assert not any(progress.left)
    assert progress.too_early == 0
    assert progress.again > 0
    assert max(progress.stalls) < 30.0 + 12.0  # a lease, a look, and the longest host's own pace


def test_what_joins_or_leaves_in_order_costs_no_page() -> None:
    cluster = Cluster(_SMALL.make(), workers=3, parts=64, pace=Pace())
    cluster.work(until=5.0)
    cluster.join()
    cluster.work(until=10.0)
    cluster.drain()
    cluster.work(until=40.0)
    assert cluster.progress.again == 0
    assert sorted(map(len, cluster.owned())) == [21, 21, 22]


def test_a_drain_cuts_off_what_takes_longer_than_the_grace() -> None:
    web = [Host(id=number, pages=3, requests=3, latency_s=15.0) for number in (2, 3)]
    cluster = Cluster(web, workers=2, parts=2, pace=Pace())
    cluster.work(until=1.0)
    cluster.drain()
    cluster.work(until=9.0)
    assert cluster.owned() == [[0, 1]]
    assert cluster.progress.again == 1
    cluster.work()
    assert cluster.progress.pages == 6


def test_more_workers_are_quicker_until_hosts_are_at_their_delay() -> None:
    web = limited(_SMALL.make(), _MOST)
    one, three, thirty = (_alone(web, workers, Pace(page_s=0.05)) for workers in (1, 3, 30))
    bound = _alone(web, 1, Pace(page_s=0.0, concurrency=len(web)))
    assert 2.5 < one.reached_s(0.5) / three.reached_s(0.5) < 3.5
    assert bound.end_s <= thirty.end_s < 1.1 * bound.end_s
    assert bound.end_s >= _MOST - 1  # the delay is a second


@pytest.mark.parametrize(
    ("pace", "longest_s"),
    [(Pace(page_s=1e-7, concurrency=1000), 20.0), (Pace(page_s=0.01), 0.9), (Pace(delay_s=0.1), 0.09)],
)
def test_a_worker_paces_hosts_as_the_workbench_does(pace: Pace, longest_s: float) -> None:
    """Where it has time for all: hosts that take long; where it has not: those that are back before their delay has
    passed, since the workbench has the others pass before who has only waited for a slot.
    """
    web = [host for host in limited(_SMALL.make(), 20) if host.pages and host.latency_s < longest_s]
    cluster = Cluster(web, workers=1, parts=1, pace=pace)
    told = cluster.progress
    sent = _of_the_workbench(web, pace)
    cluster.work()
    assert told.end_s == pytest.approx(max(at + web[host].latency_s for at, host in sent))
    for host in range(len(web)):
        assert told.asked_at[host] == pytest.approx(max(at for at, asked in sent if asked == host), abs=1e-4)


def _alone(web: Sequence[Host], workers: int, pace: Pace) -> Progress:
    """Nobody joins or leaves."""
    cluster = Cluster(web, workers=workers, parts=64, pace=pace)
    cluster.work()
    return cluster.progress


def _of_the_workbench(web: Sequence[Host], pace: Pace) -> list[tuple[float, int]]:
    """When it asks whom."""
    bench = Workbench(delay_s=pace.delay_s, per_host=SLOTS, per_ip=SLOTS, concurrency=4 * len(web), adaptive=False)
    for place, host in enumerate(web):
        name = f"host{place}.example"
        claims = [_claim(place, name, number) for number in range(host.pages)]
        bench.offer(bench.add_host(place, name, ready_at=0.0), claims)
    sent: list[tuple[float, int]] = []
    answers: list[tuple[float, int, Claim]] = []
    order, now = count(), 0.0
    while True:
        while answers and answers[0][0] <= now:
            at, _order, answered = heapq.heappop(answers)
            bench.hear(answered, answered=True, succeeded=True)
            bench.take_back(answered, at)
        claim = bench.lend(now)
        if claim is not None:
            bench.sent(claim, now)
            sent.append((now, claim.host_id))
            heapq.heappush(answers, (now + web[claim.host_id].latency_s, next(order), claim))
            now += pace.page_s
        elif answers:
            now = max(now, min(answers[0][0], bench.next_ready_at() or _FAR_S))
        elif bench.is_empty():
            return sent
        else:
            now = max(now, bench.next_ready_at() or 0.0)


def _claim(host: int, name: str, number: int) -> Claim:
    origin = f"http://{name}"
    return Claim(url_id=number + 1, url=f"{origin}/{number}", host_id=host, host=name, origin=origin)
