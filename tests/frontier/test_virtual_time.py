"""The loop that the tests of this folder stand on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from crawler.storage.location import database_at
from tests.frontier.virtual_time import VirtualLoop, in_virtual_time, watched


def test_a_night_passes_in_a_moment_and_in_order() -> None:
    async def night(loop: VirtualLoop) -> list[tuple[str, float]]:
        told: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            told.append((name, loop.time()))

        await asyncio.gather(sleeper("long", 36_000.0), sleeper("short", 2.5), sleeper("middle", 100.0))
        return told

    assert in_virtual_time(night) == [("short", 2.5), ("middle", 100.0), ("long", 36_000.0)]


def test_time_stands_still_while_a_thread_works() -> None:
    """Else a time-out would come before the answer of a thread that takes no virtual time."""

    async def night(loop: VirtualLoop) -> float:
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(time.sleep, 0.2)
        return loop.time()

    assert in_virtual_time(night) == 0.0


def test_time_stands_still_while_the_store_works(tmp_path: Path) -> None:
    async def night(loop: VirtualLoop) -> float:
        async with database_at(tmp_path / "crawl.db").open_store() as store:
            async with asyncio.timeout(0.000_001):
                for _ in range(50):
                    await watched(store, loop).last_options()
        return loop.time()

    assert in_virtual_time(night) == 0.0


def test_a_story_that_never_ends_is_told() -> None:
    """Else a crawl that waits for what never comes would keep a test busy until its time is up."""

    async def endless(_loop: VirtualLoop) -> None:
        while True:
            await asyncio.sleep(3600.0)

    with pytest.raises(AssertionError, match="it does not end"):
        in_virtual_time(endless)


def test_a_story_in_which_no_time_passes_is_told_too() -> None:
    """No timer can end it: what always has something ready keeps the time from passing."""

    async def endless(_loop: VirtualLoop) -> None:
        async with asyncio.timeout(1.0):
            while True:
                await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="no time has passed"):
        in_virtual_time(endless, most_turns=1_000)
