"""How late our own event loop is: what a server is not to be blamed for.

Bytes that come while the loop computes are seen when it is done. A tick that is due every so often is as late as they
are, so what all ticks were late in between is taken off a time that was measured on the loop.
"""

from __future__ import annotations

import asyncio

_TICK_S = 0.05
_GRAIN_S = 0.005  # timers are no more exact


class LoopLag:
    """To be made inside the running loop, and closed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost_s = 0.0
        self._due_at = 0.0
        self._arm()

    def lost_s(self) -> float:
        """Seconds by which the loop has been late so far, all in all."""
        late_s = self._loop.time() - self._due_at
        return self._lost_s + late_s if late_s > _GRAIN_S else self._lost_s

    def close(self) -> None:
        """Tick no more."""
        self._timer.cancel()

    def _arm(self) -> None:
        self._due_at = self._loop.time() + _TICK_S
        self._timer = self._loop.call_at(self._due_at, self._tick)

    def _tick(self) -> None:
        self._lost_s = self.lost_s()
        self._arm()
