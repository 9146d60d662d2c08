"""A slow server: how much of the possible throughput (concurrency / latency) is reached."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import linear_regression

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.measure import Usage, run
from tests.benchmarks.ours import crawl
from tests.benchmarks.servers import LOOPBACK, LateServer, late_server

_LATENCY_S = 0.2
_CONCURRENCIES = (64, 128, 256, 512)
_STEADY_S, _QUICK_STEADY_S = 8.0, 4.0
_FIGURES = (
    Figure(key="share", title="share of the possible", digits=3, panel="share of concurrency / latency"),
    Figure(key="requests_per_s", title="requests/s", panel="requests a second, steady state"),
    Figure(key="requests", title="requests"),
    Figure(key="wall_s", title="seconds", digits=1),
    Figure(key="cpu_s", title="CPU s", digits=1),
    Figure(key="peak_mb", title="peak MB"),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    steady_s = _QUICK_STEADY_S if setup.quick else _STEADY_S
    contenders = [
        contender
        for concurrency in _CONCURRENCIES
        for contender in (
            Contender(
                name=f"crawler, {concurrency} at once",
                settings=" ".join(_arguments(concurrency)),
                run=partial(_crawl, concurrency, steady_s),
                against=f"bare session, {concurrency} at once",
            ),
            Contender(
                name=f"bare session, {concurrency} at once",
                settings="aiohttp's shared session, which reads the body and stores nothing",
                run=partial(_fetch, concurrency, steady_s),
            ),
        )
    ]
    notes = [
        f"One host, in its own process, answers every request after {_LATENCY_S * 1000:g} ms;"
        f" enough requests for {steady_s:g} s, given as seeds.",
        "Steady state: the slope of the server's request count over time, without its first and last fifth.",
        "The bare session shows what client and server can do at best on this machine.",
    ]
    return [
        Outcome(
            case="latency",
            title=f"A server that answers after {_LATENCY_S * 1000:g} ms",
            notes=notes,
            figures=_FIGURES,
            scores=in_turn(setup, "latency", contenders),
        )
    ]


def _arguments(concurrency: int) -> list[str]:
    limit = str(concurrency)
    return ["--delay", "0", "--concurrency", limit, "--per-host", limit, "--per-ip", limit]


def _crawl(concurrency: int, steady_s: float, folder: Path) -> Figures:
    seeds = folder / "seeds.txt"
    with late_server(folder, delay_s=_LATENCY_S) as server:
        paths = range(_requests(concurrency, steady_s))
        seeds.write_text("".join(f"http://{LOOPBACK}:{server.port}/p/{number}\n" for number in paths))
        usage, _summary = crawl(folder, [*_arguments(concurrency), str(seeds)])
    return _figures(concurrency, usage, server)


def _fetch(concurrency: int, steady_s: float, folder: Path) -> Figures:
    amount = ("--requests", str(_requests(concurrency, steady_s)), "--concurrency", str(concurrency))
    with late_server(folder, delay_s=_LATENCY_S) as server:
        url = f"http://{LOOPBACK}:{server.port}"
        command = [sys.executable, "-m", "tests.benchmarks.session_client", "shared", url, *amount]
        usage = run(command, folder, timeout_s=900)
        if failed := json.loads(usage.out)["failed"]:
            raise ContenderFailedError(f"{failed} requests failed")
    return _figures(concurrency, usage, server)


def _requests(concurrency: int, steady_s: float) -> int:
    return round(concurrency / _LATENCY_S * steady_s)


def _figures(concurrency: int, usage: Usage, server: LateServer) -> Figures:
    times = server.seen()["times"]
    rate = steady_rate(times)
    return {
        **usage.figures(),
        "requests": len(times),
        "requests_per_s": rate,
        "share": rate / (concurrency / _LATENCY_S),
    }


def steady_rate(times: Sequence[float]) -> float:
    """Requests a second, by the slope of their number over time, without the first and the last fifth."""
    steady = range(len(times) // 5, len(times) * 4 // 5)
    return linear_regression([times[number] for number in steady], steady).slope
