"""The simulator shares partitions out as leases in a real database do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from crawler.clock import since_boot
from crawler.storage.postgres.control import Control
from crawler.storage.postgres.leases import Leases
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.workers import Identity, Workers
from tests.postgres.crawls import PARTS
from tests.simulation.cluster import Cluster
from tests.simulation.web import WebShape
from tests.simulation.worker import Pace

_LEASE_S = 60.0


@pytest.mark.parametrize("workers", [3, 10])
async def test_owners_are_as_equal_as_those_of_leases(crawl_database: str, workers: int) -> None:
    """Also when one more has joined."""
    cluster = Cluster(WebShape(hosts=100).make(), workers=workers, parts=PARTS, pace=Pace())
    control = Control(crawl_database, "test", _LEASE_S)
    try:
        owners = [await _entered(control, number) for number in range(1, workers + 1)]
        await _even_out(owners)
        assert _sizes(cluster.owned()) == _sizes([ownership.owned() for ownership, _leases in owners])
        cluster.join()
        cluster.work(until=60.0)
        owners.append(await _entered(control, workers + 1))
        await _even_out(owners)
        assert _sizes(cluster.owned()) == _sizes([ownership.owned() for ownership, _leases in owners])
    finally:
        control.close()


async def _entered(control: Control, number: int) -> tuple[Ownership, Leases]:
    await Workers(control, Identity(id=number, name=f"w{number}", program="test"), _LEASE_S).enter(alone=False)
    ownership = Ownership(number, PARTS, since_boot, _LEASE_S)
    return ownership, Leases(control, ownership, asyncio.Lock(), since_boot)


async def _even_out(owners: Sequence[tuple[Ownership, Leases]]) -> None:
    """One look of each, twice: who gives away comes before who takes."""
    for _ in range(2):
        for before, (ownership, leases) in enumerate(owners):
            lacking = ownership.even_out(len(owners), before)
            await leases.release(ownership.leaving())
            await leases.claim(lacking)


def _sizes(owned: Sequence[Sequence[int]]) -> list[int]:
    parts = [part for worker in owned for part in worker]
    assert sorted(parts) == list(range(PARTS))  # each has one owner
    return sorted(map(len, owned))
