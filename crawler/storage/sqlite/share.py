"""The share of the one process that crawls into a file: all of the crawl."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from crawler.clock import Clock
from crawler.counters import ShareState
from crawler.records import EndReason, SeedMark
from crawler.storage.interface import News


class Whole:
    """Nobody else takes part; see `interface.Share` for what each operation is for."""

    workers = 1
    draws_pages = False

    def state(self) -> ShareState | None:
        """All there is."""
        return None

    def clock(self, own: Clock) -> Clock:
        """Its own."""
        return own

    def may_send(self) -> bool:
        """Always."""
        return True

    def keeps(self, host_id: int) -> bool:
        """Every host."""
        return True

    def taken_over_at(self, host_id: int) -> float | None:
        """None ever was."""
        return None

    async def draw(self, pages: int) -> int:
        """Grant all of them: the only process counts its pages itself."""
        return pages

    async def give_back(self, pages: int) -> None:
        """Nobody wants them."""

    async def are_pages_spent(self) -> bool:
        """The process knows for itself."""
        return True

    async def opened(self) -> None:
        """Nobody waits for it."""

    async def is_over(self, has_nothing_left: Callable[[], Awaitable[bool]]) -> bool:
        """What has nothing left is all there is."""
        return True

    async def news(self) -> News | None:
        """There is nobody to have any of."""
        return None

    def tell_root(self, url: str, mark: SeedMark) -> None:
        """Nobody listens."""

    async def publish(self) -> None:
        """Nobody listens."""

    def count(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Nobody asks."""

    async def tell_end(self, reason: EndReason) -> None:
        """Nobody listens."""

    def attach(self, held: Callable[[], Collection[int]]) -> None:
        """Nothing is given away."""
