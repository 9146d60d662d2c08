"""The memory budget of bodies: who waits for what, and that never all of them wait for each other."""

from __future__ import annotations

import asyncio

from crawler.config import MIB
from crawler.memory import MemoryBudget


async def test_who_waits_for_a_turn_leaves_overdrawing_to_the_one_whose_turn_it_is() -> None:
    """Else each waits for the other: of two long sitemaps, one has the turn, and the other has overdrawn."""
    budget = MemoryBudget(4 * MIB)
    first, second = budget.share(), budget.share()
    await first.take(3 * MIB)
    await second.take(MIB + 1)
    assert budget.free < 0
    more = asyncio.ensure_future(first.take(MIB))
    await asyncio.sleep(0)
    assert not more.done()
    second.stand_by()  # for its turn
    await asyncio.wait_for(more, timeout=5)
    first.give_back()
    second.give_back()
    assert budget.free == 4 * MIB


async def test_one_overdraws_at_a_time() -> None:
    budget = MemoryBudget(MIB)
    first, second = budget.share(), budget.share()
    await first.take(2 * MIB)
    second.stand_by()  # which has overdrawn nothing
    assert not second.try_take(1)
    assert first.try_take(MIB)
    first.give_back()
    assert second.try_take(1)
