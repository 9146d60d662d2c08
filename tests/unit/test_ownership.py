"""The parts that workers take: equal ones, and as they were wherever they can stay."""

from __future__ import annotations

from random import Random

import pytest

from crawler.storage.postgres.ids import PARTS
from crawler.storage.postgres.ownership import Ownership


def part(live: int, before: int) -> int:
    """How many partitions a worker has where so many live, of whom so many were there before it."""
    return Ownership(1, PARTS, lambda: 0.0).even_out(live, before)


@pytest.mark.parametrize("live", [1, 3, 10, 41, 60, 100, 999, 1024])
def test_each_worker_has_some_and_none_is_more_than_one_above_another(live: int) -> None:
    parts = [part(live, before) for before in range(live)]
    assert sum(parts) == PARTS
    assert max(parts) - min(parts) <= 1
    assert min(parts) >= 1


@pytest.mark.parametrize("live", [1, 2, 3, 10, 41, 60, 100, 999])
def test_nothing_changes_hands_among_those_who_stay(live: int) -> None:
    """Wherever in the order another comes or goes: all give to the one, or all take from it."""
    for place in {0, 1, live // 2, live - 1, live}:
        without = [part(live, before) for before in range(live)]
        among = [part(live + 1, before) for before in range(live + 1) if before != place]
        assert all(one >= other for one, other in zip(without, among, strict=True))


def test_what_is_more_than_its_part_leaves() -> None:
    ownership = Ownership(1, PARTS, lambda: 0.0)
    ownership.gain(dict.fromkeys(range(PARTS), 1))
    assert ownership.even_out(3, 1, Random(7)) == 0
    assert len(ownership.leaving()) == PARTS - 341
    assert len(ownership.active()) == 341
