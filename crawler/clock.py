"""The one clock that a crawl reads, and turns, which split long work. Tests of long waits pass a clock of their own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import field
from functools import partial

from crawler.statically_frozen import dataclass

MAX_TURN_S = 0.025  # for which one step of our work may occupy the event loop

# Seconds since boot, including suspension, which `monotonic` leaves out on Linux.
since_boot: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic
)


def _steady_wall() -> Callable[[], float]:
    """The system's time, read once and then advanced by a clock that nobody can set.

    What is due is decided by stored times: if somebody sets the clock back by a day, what was planned an hour ago must
    not wait until tomorrow.
    """
    start = time.time() - since_boot()
    return lambda: start + since_boot()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`monotonic` is for pacing; `wall` (Unix time, UTC) is only for what is stored. Both in seconds; neither jumps."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = field(default_factory=_steady_wall)


class Turn:
    """Splits long work: call `pause` between its small parts, and other tasks run whenever a turn is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_at = clock.monotonic() + MAX_TURN_S

    @property
    def is_over(self) -> bool:
        """Whether `pause` lets other tasks run: asked first by those whose parts take microseconds."""
        return self._clock.monotonic() >= self._ends_at

    async def pause(self) -> bool:
        """Let other tasks run if the turn is over; returns whether it was."""
        if not self.is_over:
            return False
        await asyncio.sleep(0)
        self._ends_at = self._clock.monotonic() + MAX_TURN_S
        return True
