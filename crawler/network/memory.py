"""One memory budget for all bodies in flight.

A body reserves each chunk as it is read and gives everything back when its fetch returns. Where the budget is used up
the others wait, and as they don't read meanwhile, TCP holds their peers back.

Invariant: no deadlock. If every body in flight waited for the others to finish, none would; so one at a time may
overdraw and run to its end, which is at most the largest permitted body away.
"""

from __future__ import annotations

import asyncio


class MemoryBudget:
    """`limit_bytes` shared by bodies that read at the same time; what is taken exceeds it by at most one body."""

    def __init__(self, limit_bytes: int) -> None:
        self._free = limit_bytes
        self._overdrawn_by: Share | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def free(self) -> int:
        """Bytes that nobody holds; negative while one body overdraws."""
        return self._free

    def share(self) -> Share:
        """The part of one body, empty at first."""
        return Share(self)

    def grant(self, share: Share, size: int) -> bool:
        """Whether `share` may have `size` bytes more now."""
        if size > self._free:
            if self._overdrawn_by not in (None, share):
                return False
            self._overdrawn_by = share
        self._free -= size
        return True

    def take_back(self, share: Share, size: int) -> None:
        """`share` is done with its `size` bytes. Whoever waits looks again, in the order in which they came."""
        self._free += size
        if self._overdrawn_by is share:
            self._overdrawn_by = None
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Returns when something was given back."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter


class Share:
    """What one body holds of the budget."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size = 0

    def try_take(self, size: int) -> bool:
        """Reserve `size` bytes more if that is possible at once."""
        granted = self._budget.grant(self, size)
        if granted:
            self._size += size
        return granted

    async def take(self, size: int) -> None:
        """Reserve `size` bytes more, as soon as that is possible."""
        while not self.try_take(size):
            await self._budget.changed()

    def give_back(self) -> None:
        """Return everything; the share is empty again."""
        self._budget.take_back(self, self._size)
        self._size = 0
