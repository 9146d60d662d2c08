"""The one clock that a crawl reads. Tests of long waits pass another one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

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
