"""The tables, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from crawler.storage.postgres.ids import MAX_PARTS, PARTS
from tests.simulation.cluster import Cluster
from tests.simulation.web import Host, WebShape
from tests.simulation.worker import Pace, Progress

WORKERS = (1, 3, 10, 30, 100)
_PARTS = (256, PARTS, MAX_PARTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is simulated. `lease_s` is the TTL."""

    shape: WebShape
    pace: Pace
    lease_s: float


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def speed_up(setting: Setting) -> str:
    """By workers, against the politeness bound."""
    web = setting.shape.make()
    bound = _crawled(web, setting, 1, replace(setting.pace, page_s=0.0, concurrency=len(web)))
    results = {workers: _crawled(web, setting, workers, setting.pace) for workers in WORKERS}
    first = results[WORKERS[0]]
    rows = [(f"{workers}", *_times(result, first)) for workers, result in results.items()]
    head = ("workers", "pages/s in the first minute", "half of the pages", "nine tenths", "all")
    return table(head, [*rows, ("politeness alone", *_times(bound, first))])


def imbalance(setting: Setting) -> str:
    """Of hosts and of pages, over partitions and workers."""
    web = setting.shape.make()
    rows = [_balance(web, setting, parts, workers) for parts in _PARTS for workers in WORKERS[1:]]
    head = ("partitions", "workers", "without any", "most hosts / mean", "most pages / mean")
    return table(head, rows)


def _crawled(web: Sequence[Host], setting: Setting, workers: int, pace: Pace) -> Progress:
    cluster = Cluster(web, workers=workers, parts=PARTS, pace=pace, lease_s=setting.lease_s)
    cluster.work()
    return cluster.progress


def _times(result: Progress, first: Progress) -> list[str]:
    pairs = [(result.reached_s(share), first.reached_s(share)) for share in (0.5, 0.9)]
    times = [f"{_duration(own)} (×{one / own:.1f})" for own, one in [*pairs, (result.end_s, first.end_s)]]
    return [f"{sum(result.stored[second] for second in range(60)) / 60:,.0f}", *times]


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _balance(web: Sequence[Host], setting: Setting, parts: int, workers: int) -> list[str]:
    cluster = Cluster(web, workers=workers, parts=parts, pace=setting.pace)
    shares = [cluster.hosts_of(owned) for owned in cluster.owned()]
    hosts = [len(share) for share in shares]
    pages = [sum(web[host].pages for host in share) for share in shares]
    ratios = [f"{max(counts) / statistics.fmean(counts):.2f}" for counts in (hosts, pages)]
    return [f"{parts:,}", str(workers), str(hosts.count(0)), *ratios]
