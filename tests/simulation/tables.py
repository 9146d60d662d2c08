"""The tables, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from crawler.storage.postgres.ids import MAX_PARTS, PARTS
from tests.simulation import capacity
from tests.simulation.capacity import Costs
from tests.simulation.cluster import Cluster
from tests.simulation.web import Host, WebShape, limited
from tests.simulation.worker import Pace, Progress

WORKERS = (1, 3, 10, 30, 100)
_PARTS = (256, PARTS, MAX_PARTS)
_CHANGED = 10  # workers, of which one comes or goes; and of the tail
_MOMENTS_S = (60.0, 900.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is simulated. `lease_s` is the TTL."""

    shape: WebShape
    pace: Pace
    lease_s: float
    costs: Costs


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


def changes(setting: Setting) -> str:
    """What it costs that a worker joins, is drained or dies: while all are busy, and when hosts are at their delay.
    With a quarter of the hosts, so that both come soon.
    """
    web = replace(setting.shape, hosts=setting.shape.hosts // 4).make()
    names = ("nothing", "join", "drain", "death")
    rows = [_change(web, setting, name, moment_s) for moment_s in _MOMENTS_S for name in names]
    head = ("what happens", "when", "hosts that move", "pages again", "between two requests, median", "longest")
    return table(head, rows)


def tail(setting: Setting) -> str:
    """How long the end of the crawl is, with and without `--max-pages-per-host`."""
    web = setting.shape.make()
    rows = [_tail(limited(web, most), setting, most) for most in (None, 10_000, 1_000, 100)]
    return table(("`--max-pages-per-host`", "pages", "half of the pages", "nine tenths", "all"), rows)


def ends(setting: Setting) -> str:
    """Where one process, machine and primary end."""
    return table(("one crawl on", "pages a second", "what ends it"), capacity.ends(setting.costs))


def servers(setting: Setting) -> str:
    """What some rates take."""
    head = ("pages a second", "cores of the server", "cores of the workers", "write-ahead log")
    return table(head, [capacity.server(rate, setting.costs) for rate in capacity.RATES])


def plans(setting: Setting) -> str:
    """Of very large crawls, through one primary."""
    costs = setting.costs
    head = ("pages", "time", f"machines of {costs.cores} cores", "processes", "hosts at a time", "log", "URLs", "rows")
    return table(head, [capacity.plan(pages, costs) for pages in capacity.PLANS])


def _change(web: Sequence[Host], setting: Setting, name: str, moment_s: float) -> list[str]:
    cluster = Cluster(web, workers=_CHANGED, parts=PARTS, pace=setting.pace, lease_s=setting.lease_s)
    progress = cluster.progress
    cluster.work(until=moment_s)
    changes = {"nothing": cluster.watch, "join": cluster.join, "drain": cluster.drain, "death": cluster.die}
    changes[name]()
    cluster.work(until=moment_s + 3 * setting.lease_s)
    stalls = progress.stalls
    gaps = [f"{gap:.1f} s" for gap in (statistics.median(stalls), max(stalls))] if stalls else ["–", "–"]
    moved = "–" if name == "nothing" else f"{len(stalls):,}"
    return [name, f"after {_duration(moment_s)}", moved, str(progress.again), *gaps]


def _tail(web: Sequence[Host], setting: Setting, most: int | None) -> list[str]:
    result = _crawled(web, setting, _CHANGED, setting.pace)
    times = [_duration(seconds) for seconds in (result.reached_s(0.5), result.reached_s(0.9), result.end_s)]
    return ["none" if most is None else f"{most:,}", f"{result.pages:,}", *times]


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
