"""The command: `python -m tests.simulation [TABLE...]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from crawler.storage.postgres.ownership import DEFAULT_LEASE_S
from tests.simulation import tables
from tests.simulation.capacity import Costs
from tests.simulation.tables import Setting
from tests.simulation.web import WebShape
from tests.simulation.worker import Pace

_TABLES: dict[str, tuple[str, Callable[[Setting], str]]] = {
    "speed-up": ("Speed-up by workers", tables.speed_up),
    "imbalance": ("Imbalance of equal numbers of partitions", tables.imbalance),
    "changes": ("A worker joins, is drained, or dies", tables.changes),
    "tail": ("The end of the crawl", tables.tail),
    "ends": ("Where one process, one machine and one primary end", tables.ends),
    "servers": ("What some rates take", tables.servers),
    "plans": ("Very large crawls, through one primary", tables.plans),
}

_FEWEST_HOSTS = 1_000  # fewer say nothing
_DIVISORS = (
    *("alpha", "latency", "concurrency", "lease"),
    *("client_ms", "loop_ms", "server_ms", "log_kb", "cores", "server_cores", "log_mb"),
)


def main() -> None:
    """Print the tables."""
    options = _options()
    setting = _setting(options)
    for name in options.tables or _TABLES:
        title, made = _TABLES[name]
        print(f"## {title}\n\n{made(setting)}\n", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="One crawl by many workers, in virtual time; and what measured costs say of larger ones.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(_TABLES) + "; all of them")
    web, pace, costs = WebShape(hosts=200_000), Pace(), Costs()

    def number(name: str, default: float, text: str) -> None:
        parser.add_argument(name, type=type(default), default=default, help=text)

    number("--hosts", web.hosts, "of the web")
    number("--alpha", web.alpha, "of their sizes (Pareto)")
    number("--latency", web.latency_s, "median, seconds")
    number("--failing", web.failing, "share of the hosts that do not answer")
    number("--seed", web.seed, "of chance")
    number("--delay", pace.delay_s, "between two requests to a host, seconds")
    number("--concurrency", pace.concurrency, "requests under way of each worker")
    number("--lease", DEFAULT_LEASE_S, "of partitions (TTL), seconds")
    number("--client-ms", costs.client_ms, "CPU of a worker a page; a simulated one has one core")
    number("--loop-ms", costs.loop_ms, "the part of it that one thread has to do")
    number("--server-ms", costs.server_ms, "CPU of the database server a page")
    number("--log-kb", costs.log_kb, "of write-ahead log a page")
    number("--cores", costs.cores, "of a machine")
    number("--server-cores", costs.server_cores, "of the database server")
    number("--log-mb", costs.log_mb_s, "of log a second that the server's disk and standby can take")
    options = parser.parse_args()
    if unknown := [name for name in options.tables if name not in _TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(_TABLES)}")
    if min(value for value in vars(options).values() if not isinstance(value, list)) < 0 or options.failing >= 1:
        parser.error("no number may be negative, and --failing is below 1")
    if options.hosts < _FEWEST_HOSTS or not all(getattr(options, name) for name in _DIVISORS):
        parser.error(f"--hosts is {_FEWEST_HOSTS} at least, and nothing but --failing, --seed and --delay may be 0")
    return options


def _setting(options: argparse.Namespace) -> Setting:
    shape = WebShape(
        hosts=options.hosts,
        alpha=options.alpha,
        latency_s=options.latency,
        failing=options.failing,
        seed=options.seed,
    )
    pace = Pace(delay_s=options.delay, page_s=options.client_ms / 1e3, concurrency=options.concurrency)
    costs = Costs(
        client_ms=options.client_ms,
        loop_ms=options.loop_ms,
        server_ms=options.server_ms,
        log_kb=options.log_kb,
        cores=options.cores,
        server_cores=options.server_cores,
        log_mb_s=options.log_mb,
        delay_s=options.delay,
    )
    return Setting(shape=shape, pace=pace, lease_s=options.lease, costs=costs)


if __name__ == "__main__":
    main()
