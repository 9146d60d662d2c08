"""The one clock that a crawl reads, and what keeps long work within its time. Tests of long waits pass another one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_TURN_S = 0.025  # that one step of our work may compute while everybody else waits for the event loop

if sys.platform == "linux":

    def _since_boot() -> float:
        """Seconds, those included for which the machine slept: there, `monotonic` leaves them out."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    _since_boot = time.monotonic


def _steady_wall() -> Callable[[], float]:
    """The system's time, read once and counted on by a clock that nobody sets.

    What is due is found by the times that are stored: when somebody sets the clock back, what was planned an hour ago
    must not wait for tomorrow.
    """
    start = time.time() - _since_boot()
    return lambda: start + _since_boot()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`monotonic` paces; `wall` (Unix seconds, UTC) is only for what is stored. Neither jumps. Both in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = field(default_factory=_steady_wall)


class Turn:
    """Work in many small parts, from now on: `pause` between them lets the others run once it has taken long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends_at = clock.monotonic() + MAX_TURN_S

    async def pause(self) -> bool:
        """Give way to the others where it is time to; returns whether it was."""
        if self._clock.monotonic() < self._ends_at:
            return False
        await asyncio.sleep(0)
        self._ends_at = self._clock.monotonic() + MAX_TURN_S
        return True
