"""A client that does nothing but fetch: `python -m tests.benchmarks.session_client MODE URL ...`; prints JSON.

`shared`: one `aiohttp.ClientSession` for all requests. `per-request`: a new one for each, as one finds it in many
scripts. `again`: the shared one, once as it is and then, which alone counts, with the validators of those answers.
`fetcher`: the crawler's own network room, that is its shared session with address guard, limits and counters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import TypeAlias

import aiohttp

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.network.fetcher import open_fetcher
from crawler.records import Response

Get: TypeAlias = Callable[[str], Awaitable[int]]

MODES = ("shared", "per-request", "again", "fetcher")


@asynccontextmanager
async def _shared(concurrency: int, trust: ssl.SSLContext | bool) -> AsyncIterator[Get]:
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def get(url: str) -> int:
            async with session.get(url) as answer:
                await answer.read()
                return answer.status

        yield get


@asynccontextmanager
async def _again(concurrency: int, trust: ssl.SSLContext | bool) -> AsyncIterator[Get]:
    """Whoever asks for a URL for the second time has its validators."""
    validators: dict[str, dict[str, str]] = {}
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def get(url: str) -> int:
            async with session.get(url, headers=validators.get(url)) as answer:
                await answer.read()
                if url in validators:
                    return 200 if answer.status == 304 else 0
                headers = answer.headers
                validators[url] = {"If-None-Match": headers["ETag"], "If-Modified-Since": headers["Last-Modified"]}
                return answer.status

        yield get


@asynccontextmanager
async def _per_request(_concurrency: int, trust: ssl.SSLContext | bool) -> AsyncIterator[Get]:
    async def get(url: str) -> int:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=trust) as answer:
            await answer.read()
            return answer.status

    yield get


@asynccontextmanager
async def _fetcher(concurrency: int, trust: ssl.SSLContext | bool) -> AsyncIterator[Get]:
    network = NetworkConfig(allow_private=("127.0.0.0/8",))
    politeness = PolitenessConfig(concurrency=concurrency, per_host=concurrency, per_ip=concurrency)
    context = trust if isinstance(trust, ssl.SSLContext) else None
    async with open_fetcher(network, politeness, Counters(), ssl_context=context) as fetcher:

        async def get(url: str) -> int:
            answer = await fetcher.fetch(url)
            return answer.status_code if isinstance(answer, Response) else 0

        yield get


_CLIENTS = {"shared": _shared, "per-request": _per_request, "again": _again, "fetcher": _fetcher}


async def _measure(mode: str, urls: list[str], concurrency: int, trust: ssl.SSLContext | bool) -> dict[str, float]:
    latencies: list[float] = []
    failed = 0

    async def work(waiting: Iterator[str], get: Get) -> None:
        nonlocal failed
        for url in waiting:
            started = time.perf_counter()
            failed += await get(url) != 200
            latencies.append(time.perf_counter() - started)

    async with _CLIENTS[mode](concurrency, trust) as get:
        if mode == "again":
            await asyncio.gather(*(work(part, get) for part in [iter(urls)] * concurrency))
            latencies.clear()
        waiting = iter(urls)
        started = time.perf_counter()
        await asyncio.gather(*(work(waiting, get) for _ in range(concurrency)))
        elapsed_s = time.perf_counter() - started
    centiles = quantiles(latencies, n=100)
    return {
        "requests": len(latencies),
        "failed": failed,
        "elapsed_s": elapsed_s,
        "requests_per_s": len(latencies) / elapsed_s,
        "p50_ms": centiles[49] * 1000,
        "p99_ms": centiles[98] * 1000,
    }


def main() -> None:
    """Fetch `URL/p/0`, `URL/p/1`, ... and print the figures."""
    from uvloop import new_event_loop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--ca", type=Path)
    options = parser.parse_args()
    trust = ssl.create_default_context(cafile=options.ca) if options.ca else True
    urls = [f"{options.url}/p/{number}" for number in range(options.requests)]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(json.dumps(runner.run(_measure(options.mode, urls, options.concurrency, trust))))


if __name__ == "__main__":
    main()
