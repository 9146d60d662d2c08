"""One rate for all bodies together: `--max-rate`.

Whoever has read bytes waits until they are paid for, and does not read meanwhile, so that TCP holds the peers back.
Turns come in the order of asking, and a turn is one chunk: no host starves another.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 1.0  # what was left unused for longer than this is lost
TURN_S = 1 / 16  # a chunk is about so much of the rate
MIN_BUFFER_BYTES, MAX_BUFFER_BYTES = 16 * 1024, 256 * 1024


def buffer_bytes(bytes_per_s: int) -> int:
    """How much of one body may wait for its turn, here and again in the kernel: what comes in one lump is one turn."""
    return min(max(int(bytes_per_s * TURN_S), MIN_BUFFER_BYTES), MAX_BUFFER_BYTES)


class RateLimit:
    """A token bucket of `bytes_per_s`, kept as the moment up to which everything is paid for; it starts empty."""

    def __init__(self, bytes_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes_per_s = bytes_per_s  # may be changed at any time
        self._clock = clock
        self._paid_until = clock()

    def charge(self, size: int) -> float:
        """Count `size` bytes that were read; returns the seconds to wait before more are, none where not positive."""
        now = self._clock()
        self._paid_until = max(self._paid_until, now - BURST_S) + size / self.bytes_per_s
        return self._paid_until - now
