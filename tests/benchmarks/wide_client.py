"""A crawl that watches its own event loop: `python -m tests.benchmarks.wide_client DB SEEDS CONCURRENCY DNS`; JSON.

It is the library's crawl, on the loop and with the collector of the command. Beside it, a task sleeps for a moment
again and again: what it wakes up late, any callback of the loop is late.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from statistics import quantiles

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, ScopeConfig, crawl

_NAP_S = 0.02


async def _measure(db: Path, seeds: list[str], concurrency: int, dns_server: str) -> dict[str, float]:
    config = CrawlConfig(
        db=db,
        network=NetworkConfig(dns_server=dns_server, allow_private=("127.0.0.0/8",)),
        politeness=PolitenessConfig(delay_s=0.0, concurrency=concurrency),
        scope=ScopeConfig(guess_sitemap=False, max_depth=0),
    )
    late: list[float] = []
    watch = asyncio.create_task(_watch(late))
    started, cpu = time.monotonic(), time.thread_time()
    summary = await crawl(seeds, config)
    elapsed_s, loop_cpu_s = time.monotonic() - started, time.thread_time() - cpu
    watch.cancel()
    centiles = quantiles(late, n=100)
    return {
        "pages": summary.pages,
        "loop_percent": 100 * loop_cpu_s / elapsed_s,
        "loop_us": 1e6 * loop_cpu_s / summary.requests,
        "late_p50_ms": centiles[49] * 1000,
        "late_p99_ms": centiles[98] * 1000,
        "late_most_ms": max(late) * 1000,
    }


async def _watch(late: list[float]) -> None:
    """By how many seconds each nap was too long."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(_NAP_S)
        late.append(time.perf_counter() - started - _NAP_S)


def main() -> None:
    """Crawl, and print the figures."""
    from uvloop import new_event_loop

    db, seeds, concurrency, dns_server = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(json.dumps(runner.run(_measure(db, seeds.read_text().split(), concurrency, dns_server))))


if __name__ == "__main__":
    main()
