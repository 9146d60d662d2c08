"""The command: `python -m tests.simulation [TABLE...]`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from crawler.storage.postgres.ownership import DEFAULT_LEASE_S
from tests.simulation import tables
from tests.simulation.tables import Setting
from tests.simulation.web import WebShape
from tests.simulation.worker import Pace

_TABLES: dict[str, tuple[str, Callable[[Setting], str]]] = {
    "speed-up": ("Speed-up by workers", tables.speed_up),
    "imbalance": ("Imbalance of equal numbers of partitions", tables.imbalance),
}


def main() -> None:
    """Print the tables."""
    options = _options()
    setting = _setting(options)
    for name in options.tables or _TABLES:
        title, made = _TABLES[name]
        started = time.process_time()
        print(f"## {title}\n\n{made(setting)}\n\n{time.process_time() - started:.0f} s of CPU\n", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="One crawl by many workers.")
    parser.add_argument("tables", nargs="*", metavar="TABLE", choices=[[], *_TABLES], help=", ".join(_TABLES))
    web, pace = WebShape(hosts=50_000), Pace()
    parser.add_argument("--hosts", type=int, default=web.hosts)
    parser.add_argument("--alpha", type=float, default=web.alpha, help="of the hosts' sizes (Pareto)")
    parser.add_argument("--latency", type=float, default=web.latency_s, help="median, seconds")
    parser.add_argument("--failing", type=float, default=web.failing, help="share of the hosts that do not answer")
    parser.add_argument("--seed", type=int, default=web.seed)
    parser.add_argument("--delay", type=float, default=pace.delay_s, help="seconds")
    parser.add_argument("--concurrency", type=int, default=pace.concurrency, help="of each worker")
    parser.add_argument("--page-ms", type=float, default=1e3 * pace.page_s, help="what a page takes of a worker")
    parser.add_argument("--lease", type=float, default=DEFAULT_LEASE_S, help="TTL, seconds")
    return parser.parse_args()


def _setting(options: argparse.Namespace) -> Setting:
    shape = WebShape(
        hosts=options.hosts,
        alpha=options.alpha,
        latency_s=options.latency,
        failing=options.failing,
        seed=options.seed,
    )
    pace = Pace(delay_s=options.delay, page_s=options.page_ms / 1e3, concurrency=options.concurrency)
    return Setting(shape=shape, pace=pace, lease_s=options.lease)


if __name__ == "__main__":
    main()
