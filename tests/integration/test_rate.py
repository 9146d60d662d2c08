"""`--max-rate`: all bodies together, by what the servers could send and when; nobody starves, no deadline suffers."""

from __future__ import annotations

import asyncio
import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import MIB
from crawler.network.rate import BURST_S, RateLimit
from crawler.records import Failure, FailureKind, Response
from tests.integration.rawserver import RawServer, drip, ok, opened_fetcher

KIB = 1024


@pytest.mark.thorough
async def test_all_hosts_together_keep_to_the_rate_and_all_arrive() -> None:
    body = bytes(100 * KIB)
    async with RawServer(ok(body), host="0.0.0.0") as server, opened_fetcher(max_rate=400 * KIB) as fetcher:
        started = time.monotonic()
        hosts = [f"http://127.0.0.{number}:{server.port}/" for number in (1, 1, 1, 2, 3, 4, 5, 6)]
        answers = await asyncio.gather(*(fetcher.fetch(host) for host in hosts))
        elapsed_s = time.monotonic() - started
    assert [isinstance(answer, Response) and answer.size for answer in answers] == [len(body)] * 8
    assert elapsed_s >= 0.95 * 2.0


async def test_the_servers_are_held_back() -> None:
    sent = 0

    async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        while True:
            writer.write(bytes(64 * KIB))
            await writer.drain()
            sent += 64 * KIB

    async with RawServer(endless) as server, opened_fetcher(max_rate=100 * KIB, max_bytes=1024 * MIB) as fetcher:
        fetching = asyncio.create_task(fetcher.fetch(f"{server.url}/"))
        await asyncio.sleep(1.5)
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)
    assert 100 * KIB < sent < 20 * MIB  # what the kernel's buffers hold; unthrottled it is hundreds


@pytest.mark.thorough
async def test_a_small_page_does_not_wait_for_large_ones() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"small") if b"/small" in head else ok(bytes(MIB)))

    async with RawServer(answer) as server, opened_fetcher(max_rate=200 * KIB) as fetcher:
        large = [asyncio.create_task(fetcher.fetch(f"{server.url}/large")) for _ in range(3)]
        await asyncio.sleep(0.3)
        for _ in range(3):
            assert isinstance(await fetcher.fetch(f"{server.url}/small"), Response)
        assert not any(task.done() for task in large)
        for task in large:
            task.cancel()
        await asyncio.gather(*large, return_exceptions=True)


@pytest.mark.thorough
async def test_our_own_throttle_counts_in_no_deadline_and_is_no_slowness_of_the_host() -> None:
    async with RawServer(ok(bytes(200 * KIB))) as server, opened_fetcher(max_rate=100 * KIB, timeout_s=1) as fetcher:
        started = time.monotonic()
        answer = await fetcher.fetch(f"{server.url}/")
        assert time.monotonic() - started >= 0.95 * 2.0
    assert isinstance(answer, Response), answer
    assert answer.elapsed_s < 1


async def test_a_drip_still_meets_its_deadline() -> None:
    async with RawServer(drip) as server, opened_fetcher(max_rate=100 * KIB, timeout_s=0.5) as fetcher:
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.TIMEOUT


async def test_what_counts_is_what_comes_over_the_wire() -> None:
    body = gzip.compress(bytes(4 * MIB))
    async with RawServer(ok(body, "Content-Encoding: gzip")) as server, opened_fetcher(max_rate=10 * KIB) as fetcher:
        async with asyncio.timeout(30):  # decoded it would take seven minutes
            answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response)
    assert answer.size == 4 * MIB


async def test_bodies_that_nobody_wants_are_paid_for_by_the_next() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(bytes(50 * KIB), status="404 Not Found") if b"/gone" in head else ok(bytes(KIB)))

    async with RawServer(answer) as server, opened_fetcher(max_rate=50 * KIB) as fetcher:
        started = time.monotonic()
        await fetcher.fetch(f"{server.url}/gone")
        await fetcher.fetch(f"{server.url}/")
        assert time.monotonic() - started >= 0.9


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 200_000)), min_size=1, max_size=50))
def test_no_span_of_time_carries_more_than_the_rate_and_one_burst(steps: list[tuple[float, int]]) -> None:
    """Each reader waits until its bytes are paid for: by then no more than the rate has been read since any moment."""
    now = 0.0
    limit = RateLimit(100_000, clock=lambda: now)
    paid: list[tuple[float, int]] = []
    for pause_s, size in steps:
        now += pause_s
        paid.append((now + max(limit.charge(size), 0.0), size))
    for first in range(len(paid)):
        for last in range(first, len(paid)):
            span_s = paid[last][0] - paid[first][0]
            carried = sum(size for _moment, size in paid[first + 1 : last + 1])
            assert carried <= 100_000 * (span_s + BURST_S) + 1
