"""Virtual time: an event loop in which nobody waits, so that a night of crawling takes the time that it computes.

    async def night(loop: VirtualLoop) -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert in_virtual_time(night) == 3600.0

When nothing is ready to run, the loop's clock jumps to its next timer. Only real work in another thread is waited for:
SQLite's, which `awaits_thread` announces operation by operation (see `WatchedStore`), and whatever goes through
`run_in_executor`. While some is outstanding the clock stands still, for its result comes first: in virtual time a store
takes no time at all. So a run does the same in each repetition, however busy the machine is.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from crawler.storage.interface import DueQueue, Store

T = TypeVar("T")

_STUCK_AFTER_S = 60.0  # real seconds in which nothing happens although nothing is waited for
_LONGEST_S = 2 * 86_400.0  # virtual; a run that takes longer never ends: it looks for work each second
_MOST_TURNS = 1_000_000  # of the loop while no time passes; what takes more never ends, and no timer can end it


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which starts at 0."""

    def __init__(self, most_turns: int = _MOST_TURNS) -> None:
        self._now = 0.0
        self._in_threads = 0  # operations
        super().__init__(_Selector(self, most_turns))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let so much time pass. Raises `AssertionError`, once, where the story goes on and on."""
        before, self._now = self._now, self._now + seconds
        if before < _LONGEST_S <= self._now:
            raise AssertionError("it does not end: two virtual days have passed")

    @property
    def is_waiting_for_thread(self) -> bool:
        """Whether the time may not pass now."""
        return self._in_threads > 0

    @contextmanager
    def awaits_thread(self) -> Iterator[None]:
        """Inside, a thread works, which knows no virtual time."""
        self._in_threads += 1
        try:
            yield
        finally:
            self._in_threads -= 1

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As ever; the time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(lambda _future: self._thread_is_done())
        return future

    def _thread_is_done(self) -> None:
        self._in_threads -= 1


class _Selector(selectors.DefaultSelector):
    """Asks what is ready, and instead of waiting for a timer lets the clock jump there."""

    def __init__(self, loop: VirtualLoop, most_turns: int) -> None:
        super().__init__()
        self._loop = loop
        self._most_turns = most_turns
        self._turns = 0  # since time has passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector`; `timeout` is how long until the next timer, None where there is none."""
        self._turns += 1
        if self._turns == self._most_turns:
            raise AssertionError(f"it does not end: {self._turns:,} turns of the loop, and no time has passed")
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self._loop.is_waiting_for_thread:
            ready = super().select(_STUCK_AFTER_S)  # a thread wakes the loop through its pipe
            if not ready:
                raise AssertionError("nothing is ready, no timer is set, and no thread has answered for a minute")
            return ready
        ready = super().select(0)
        if not ready:
            self._turns = 0
            self._loop.jump(timeout)
        return ready


def in_virtual_time(story: Callable[[VirtualLoop], Awaitable[T]], most_turns: int = _MOST_TURNS) -> T:
    """What the story returns, told in a loop of its own, which takes at most so many turns while no time passes."""
    loop = VirtualLoop(most_turns)

    async def tell() -> T:
        return await story(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(tell())


class WatchedStore:
    """A store, whose operations the loop knows to be outstanding while they are."""

    def __init__(self, store: Store | DueQueue, loop: VirtualLoop) -> None:
        self._store = store
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("due_checks", "due_pages_and_checks"):  # parts of the store, with operations of their own
            return lambda: WatchedStore(found(), self._loop)
        if not inspect.iscoroutinefunction(found):
            return found

        @wraps(found)
        async def operation(*arguments: Any, **named: Any) -> Any:
            with self._loop.awaits_thread():
                return await found(*arguments, **named)

        return operation


def watched(store: Store, loop: VirtualLoop) -> Store:
    """The store, for use in virtual time."""
    return cast(Store, WatchedStore(store, loop))
