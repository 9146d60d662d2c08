"""Ends requests that take too long, with one timer for all that are under way.

A request ends at its deadline, and before it where the server, once it was asked, says nothing for longer than the
read timeout. Timers of their own (`asyncio.timeout`, aiohttp's `sock_read`, which is set anew with every packet) cost
10 of the 200 us that a request takes.

Invariant: nobody's time is up more than a moment before the timer goes off.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

_GRAIN_S = 0.02  # from one look at all to the next: thousands may fall silent one after the other


class Hearing(Protocol):
    """A connection."""

    heard_at: float  # when bytes came last, by the event loop's clock


class Deadlines:
    """The deadlines of the requests under way. To be made inside the running loop."""

    def __init__(self, read_timeout_s: float) -> None:
        self.read_timeout_s = read_timeout_s
        self.loop = asyncio.get_running_loop()
        self._under_way: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self.now = self.loop.time  # seconds, by the event loop's clock

    def after(self, seconds: float) -> Deadline:
        """A deadline so long from now, for `with`."""
        return Deadline(self, self.now() + seconds)

    def enter(self, deadline: Deadline, ends_at: float) -> None:
        """Watch it from now on."""
        self._under_way.add(deadline)
        self.look_by(ends_at)

    def look_by(self, at: float) -> None:
        """The time of one of them may be up then, earlier than was known."""
        if at < self._timer_at:
            self._arm(at)

    def leave(self, deadline: Deadline) -> None:
        """Its request is over."""
        self._under_way.discard(deadline)

    def close(self) -> None:
        """Nothing is under way any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, at: float) -> None:
        self.close()
        self._timer, self._timer_at = self.loop.call_at(at, self._look), at

    def _look(self) -> None:
        self._timer_at, now, next_at = math.inf, self.loop.time(), math.inf
        for deadline in self._under_way:
            up_at = deadline.up_at(self.read_timeout_s)
            if up_at <= now:
                deadline.strike()
            else:
                next_at = min(next_at, up_at)
        if next_at < math.inf:
            self._arm(max(next_at, now + _GRAIN_S))


class Deadline:
    """Cancels the task that runs in its `with`, as `asyncio.timeout` does: there, this is a `TimeoutError`, unless
    somebody else has cancelled the task as well.
    """

    __slots__ = ("_cancelling", "_deadlines", "_ends_at", "_hearing", "_struck", "_task")

    def __init__(self, deadlines: Deadlines, ends_at: float) -> None:
        self._deadlines = deadlines
        self._ends_at = ends_at
        self._hearing: Hearing | None = None
        self._struck = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._deadlines.loop)  # without the loop, Python makes a system call
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._task, self._cancelling = task, task.cancelling()
        self._deadlines.enter(self, self._ends_at)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.leave(self)
        if self._struck and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def up_at(self, read_timeout_s: float) -> float:
        """When the time is up, as far as is known now."""
        if self._struck:
            return math.inf
        if self._hearing is None:
            return self._ends_at
        silent_at = self._hearing.heard_at + read_timeout_s
        return min(self._ends_at, silent_at)

    def strike(self) -> None:
        """The time is up."""
        self._struck = True
        self._task.cancel()

    def put_off(self, seconds: float) -> None:
        """The request may take so much longer."""
        self._ends_at += seconds

    def listen(self, connection: Hearing) -> None:
        """From now on the server must not be silent for too long."""
        self._hearing = connection
        connection.heard_at = now = self._deadlines.now()
        self._deadlines.look_by(now + self._deadlines.read_timeout_s)

    @contextmanager
    def suspended(self, put_off_s: float = 0.0) -> Iterator[None]:
        """Inside, it is we who wait and may read nothing: that is no silence. The deadline is put off by so much."""
        self._ends_at += put_off_s
        hearing, self._hearing = self._hearing, None
        yield
        if hearing is not None:
            self.listen(hearing)

    @contextmanager
    def suspended_for(self, ours: bool) -> Iterator[None]:
        """As `suspended`; where the whole wait is `ours`, being for our own parsers, the deadline waits, too."""
        ends_at, since = self._ends_at, self._deadlines.now()
        if ours:
            self._ends_at = math.inf
        with self.suspended():
            yield
        if ours:
            self._ends_at = ends_at + self._deadlines.now() - since
            self._deadlines.look_by(self._ends_at)

    def give_up(self) -> float:
        """Never end the request; returns when its deadline would have come, by the event loop's clock."""
        ends_at, self._ends_at, self._hearing = self._ends_at, math.inf, None
        return ends_at
