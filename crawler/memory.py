"""One memory budget for all bodies in flight, from the first byte until a parser has read the last.

A body reserves each chunk as it is fetched and gives everything back once it has been read. Where the budget is used up
the others wait, and as they don't fetch meanwhile, TCP holds their peers back.

Large bodies leave a quarter of the budget to the others, so that small pages pass while large ones wait for parsers.

Invariant: no deadlock. If every body in flight waited for the others to finish, none would; so one at a time may
overdraw and run to its end, which is at most the largest permitted body away. What is read needs no more of the budget.
A body that waits for something else, such as its turn, gives up its right to overdraw: the body that it waits for may
need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

Pausing: TypeAlias = Callable[[bool], AbstractContextManager[bool | None]]

_LARGE_BYTES = 1 << 20
_SPARED = 4  # the part of the budget that large bodies leave alone


class MemoryBudget:
    """`limit_bytes` shared by bodies that read at the same time; what is taken exceeds it by at most one body."""

    def __init__(self, limit_bytes: int) -> None:
        self._free = limit_bytes
        self._spared = limit_bytes // _SPARED
        self._fetched = 0
        self._overdrawn_by: Share | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def free(self) -> int:
        """Bytes that are not reserved; negative while one body exceeds the budget."""
        return self._free

    def share(self) -> Share:
        """The part of one body, empty at first."""
        return Share(self)

    @property
    def waits_for_parsers(self) -> bool:
        """Whether some of the memory is held by bodies that have been fetched."""
        return self._fetched > 0

    def grant(self, share: Share, size: int) -> bool:
        """Whether `share` may have `size` bytes more now."""
        if size > self._free - (self._spared if share.size + size > _LARGE_BYTES else 0):
            if self._overdrawn_by not in (None, share):
                return False
            self._overdrawn_by = share
        self._free -= size
        return True

    def charge(self, size: int) -> None:
        """`size` bytes have come unasked; whoever asks next waits until there is room again."""
        self._free -= size

    def take_back(self, share: Share) -> None:
        """`share` is done with its memory."""
        self._free += share.size
        self._fetched -= share.is_fetched
        if self._overdrawn_by is share:
            self._overdrawn_by = None
        self._wake()

    def end_overdraft(self, share: Share) -> None:
        """`share` takes no more memory for now, so another may overdraw."""
        if self._overdrawn_by is share:
            self._overdrawn_by = None
            self._wake()

    def note_fetched(self) -> None:
        """One body more holds its memory for a parser."""
        self._fetched += 1
        self._wake()

    def _wake(self) -> None:
        """Whoever waits looks again, in the order in which they came."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Returns when something was given back, or when those that hold the memory have been fetched."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter


class Share:
    """What one body holds of the budget; as a context manager, until the context is left."""

    __slots__ = ("_budget", "is_fetched", "size")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size = 0  # bytes
        self.is_fetched = False  # it waits for a parser, or is being read

    def try_take(self, size: int) -> bool:
        """Reserve `size` bytes more if that is possible at once."""
        granted = self._budget.grant(self, size)
        if granted:
            self.size += size
        return granted

    async def take(self, size: int, pausing: Pausing = nullcontext) -> None:
        """Reserve `size` bytes more, as soon as that is possible. Each wait is inside a `pausing`, which is told
        whether parsers are waited for: some memory is held by bodies that they have yet to read.
        """
        while not self.try_take(size):
            with pausing(self._budget.waits_for_parsers):
                await self._budget.changed()

    def charge(self, size: int) -> None:
        """Count `size` bytes more, which are there already."""
        self._budget.charge(size)
        self.size += size

    def stand_by(self) -> None:
        """The body waits for something other than memory. It keeps what it has, and another may overdraw meanwhile."""
        self._budget.end_overdraft(self)

    def keep(self) -> None:
        """The body has been fetched; it holds its memory until it is given back."""
        if self.size:
            self.is_fetched = True
            self._budget.note_fetched()

    def give_back(self) -> None:
        """Return everything; the share is empty again."""
        if self.size:
            self._budget.take_back(self)
            self.size, self.is_fetched = 0, False
