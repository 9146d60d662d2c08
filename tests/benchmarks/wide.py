"""What one process can hold open: thousands of hosts that answer late, with as many requests in flight as it may.

All hosts have a name and an address of their own, and one server. The shorter they take, the more requests a second
2,000 connections carry, until the event loop has no more time: that is where one process ends, whatever the cores.
"""

from __future__ import annotations

import json
import resource
import sys
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.latency import steady_rate
from tests.benchmarks.measure import run
from tests.benchmarks.servers import host_name, late_server, name_server

_HOSTS, _QUICK_HOSTS = 10_000, 1_000
_CONNECTIONS, _QUICK_CONNECTIONS = 2_000, 200
_FILES_A_CONNECTION = 3  # that a crawl reserves
_LATENCIES_S = (4.0, 2.0, 1.0)
_TIMEOUT_S = 300
_FIGURES = (
    Figure(key="requests_per_s", title="requests/s", panel="requests a second, steady state"),
    Figure(key="share", title="share of the possible", digits=2),
    Figure(key="most_waiting", title="in flight"),
    Figure(key="most_open", title="open"),
    Figure(key="loop_percent", title="loop's CPU %", panel="the event loop's thread, per cent of a core"),
    Figure(key="loop_us", title="loop's CPU us per request"),
    Figure(key="late_p50_ms", title="late p50 ms", digits=1),
    Figure(key="late_p99_ms", title="late p99 ms", digits=1, panel="a callback's delay, 99th percentile, ms"),
    Figure(key="peak_mb", title="peak MB", panel="peak memory, all processes, MB"),
    Figure(key="late_most_ms", title="late at most ms", digits=1, published=False),
    Figure(key="wall_s", title="seconds", digits=1, published=False),
    Figure(key="cpu_s", title="CPU s", digits=1, published=False),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    hosts, connections = (_QUICK_HOSTS, _QUICK_CONNECTIONS) if setup.quick else (_HOSTS, _CONNECTIONS)
    contenders = [
        Contender(
            name=f"answers after {latency_s:g} s",
            settings=f"--delay 0 --concurrency {connections}, through the library",
            run=partial(_crawl, hosts, connections, latency_s),
            missing=_lacks_files(connections),
        )
        for latency_s in _LATENCIES_S
    ]
    notes = [
        f"{hosts:,} hosts, each with an address of its own, for robots.txt and a page of 2 KB; {connections:,} requests"
        " in flight, a look-up and a new connection for each host. Everything is stored.",
        "In flight: the most requests that waited for their answer. Open: the most connections, idle ones included.",
        "Possible: connections divided by latency. Late: how much later than it was due a timer of the event"
        " loop is served, fifty times a second.",
        "The server and the parser processes share the machine with the loop.",
    ]
    return [
        Outcome(
            case="wide",
            subject="hosts",
            title=f"{hosts:,} hosts, {connections:,} connections",
            notes=notes,
            figures=_FIGURES,
            scores=in_turn(setup, "wide", contenders),
        )
    ]


def _crawl(hosts: int, connections: int, latency_s: float, folder: Path) -> Figures:
    seeds = folder / "seeds.txt"
    with late_server(folder, delay_s=latency_s, wildcard=True) as server, name_server() as dns:
        seeds.write_text("".join(f"http://{host_name(number)}:{server.port}/\n" for number in range(hosts)))
        program = [sys.executable, "-m", "tests.benchmarks.wide_client", str(folder / "crawl.db")]
        usage = run([*program, str(seeds), str(connections), dns], folder, timeout_s=_TIMEOUT_S)
    watched = json.loads(usage.out)
    if watched["pages"] != hosts:
        raise ContenderFailedError(f"{watched['pages']:,} of {hosts:,} pages were stored")
    seen = server.seen()
    rate = steady_rate(seen["times"])
    return {
        **usage.figures(),
        **watched,
        "requests_per_s": rate,
        "share": rate * latency_s / connections,
        "most_waiting": seen["most_waiting"],
        "most_open": seen["most_open"],
    }


def _lacks_files(connections: int) -> str | None:
    needed = _FILES_A_CONNECTION * connections + 100
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"ulimit -n {needed}" if soft != resource.RLIM_INFINITY and soft < needed else None
