"""One process that reads documents, seen from the crawl: spawned, given jobs, timed, killed, and its answers read.

`child` is its other end, or another module with a `main` (see `spawning`). Invariants: a process is gone, and what it
said last is known, when `wait_closed` returns; it answers no document that `unfinished` has named.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from crawler.errors import CrawlerError
from crawler.parsing.job import Job
from crawler.parsing.spawning import PIPE_BYTES, Spawned
from crawler.parsing.wire import READY, answer_at

MAX_GROWN_BYTES = 1 << 26  # since it was started: what a document of 5 MB leaves behind is never given back
_MAX_JOBS = 8  # so that it need not wait for the next one, nor be woken for each
_SLOW_S = 0.1  # a document that takes longer than nearly all
_CRASHES_PER_DOCUMENT = 2
_START_TIMEOUT_S = 30.0
_REAP_S = 0.002
_RETRY_PAUSES_S = (0.1, 0.3, 1.0)
_STDERR_TAIL_BYTES = 2048
_NONSENSE = (ValueError, TypeError, LookupError)  # how an answer fails


class Process(asyncio.Protocol):
    """One parser process, on the other end of a socket.

    Not asyncio's own kind: cancelled while it starts one, asyncio waits for ever, and uvloop leaves the process behind.
    """

    def __init__(self, spawned: Spawned, timeout_s: float, has_room: Callable[[], None]) -> None:
        """`has_room` is called whenever documents have been read."""
        self._process, self._socket, self._stderr = spawned.process, spawned.socket, spawned.stderr
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()  # the beginning of an answer
        self._came_up: asyncio.Future[bool] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()  # no more answers are taken
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._began_at = 0.0  # the document that is being read, by the loop's clock
        self._too_slow = False
        self._is_retired = False
        self._stderr_tail = b""
        self.ready = False
        self.jobs: deque[Job[Any]] = deque()  # the first is being read

    async def wait_ready(self) -> bool:
        """Wait until the process can read; whether it can."""
        with suppress(OSError):
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._loop.create_unix_connection(lambda: self, sock=self._socket)
                self.ready = await self._came_up
        return self.ready

    def may_take(self, now: float) -> bool:
        """Whether it has room for another document: none waits behind a large one, nor behind one that takes long."""
        if not self.ready or self._ended.done():
            return False
        if not self.jobs:
            return True
        return len(self.jobs) < _MAX_JOBS and not self.jobs[-1].is_large and now - self._began_at < _SLOW_S

    def send(self, job: Job[Any]) -> None:
        """Send a document."""
        if not self.jobs:
            self._began_at = self._loop.time()
        job.begin()
        self.jobs.append(job)
        if self._timer is None:
            self._timer = self._loop.call_at(self._began_at + self._timeout_s, self._look)
        if self._transport is not None:
            with suppress(OSError, RuntimeError):  # it has just died, as will be noticed; uvloop: RuntimeError
                self._transport.writelines(job.request)

    async def wait_ended(self) -> None:
        """Wait until the process ends, answers nonsense, or has grown too large after a document."""
        await self._ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self._end()
        self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take what the process has written: part of an answer, or several answers."""
        if self._ended.done():
            return
        try:
            if self._received or not self._came_up.done():
                self._received += data
                del self._received[: self._take(self._received)]
            elif (end := self._take(data)) < len(data):  # as a rule, answers come whole
                self._received += data[end:]
        except _NONSENSE:
            self._end()
        else:
            self._has_room()

    def _take(self, received: bytes | bytearray) -> int:
        """Settle the documents whose answers are complete; returns how many bytes that were."""
        end = 0
        if not self._came_up.done():
            end = len(READY)
            if len(received) < end:
                return 0
            self._came_up.set_result(received[:end] == READY)
        while not self._ended.done() and (found := answer_at(end, received)) is not None:
            answer, end = found
            job = self.jobs[0]
            if not job.take(answer):
                continue
            self.jobs.popleft()
            self._began_at = self._loop.time()
            if answer.grown_bytes > MAX_GROWN_BYTES:
                self._is_retired = True
                self._end()
        return end

    def unfinished(self) -> list[Job[Any]]:
        """The documents for another process, now that this one has ended; one that is to blame twice is given up."""
        self._end()
        if self._timer is not None:
            self._timer.cancel()
        if self.jobs and not self._is_retired:
            first = self.jobs[0]
            first.crashes += 1
            if self._too_slow:
                self.jobs.popleft().give_up(f"reading took longer than {self._timeout_s * first.patience:g} s")
            elif first.crashes >= _CRASHES_PER_DOCUMENT:
                self.jobs.popleft().give_up("the parser process died while reading it")
        return list(self.jobs)

    def kill(self) -> None:
        """End the process, whatever it is doing: it holds nothing that could be lost."""
        self._process.kill()

    async def wait_closed(self) -> None:
        """Wait for the end of the process, which has been killed, and close what it leaves."""
        try:
            while self._process.poll() is None:  # noqa: ASYNC110 - nothing tells both kinds of event loop
                await asyncio.sleep(_REAP_S)
        finally:
            self._process.wait()  # at once; where we are cancelled, the end is near
            with self._stderr:
                self._stderr_tail = (self._stderr.read(PIPE_BYTES) or b"")[-_STDERR_TAIL_BYTES:]
            await self._close_connection()

    def was_killed(self) -> bool:
        """Whether the process, which has ended, did not do so by itself."""
        return self._process.returncode == -signal.SIGKILL

    def exit_description(self) -> str:
        """How the process ended and what it said last, in one line."""
        status = self._process.returncode
        ending = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        lines = self._stderr_tail.decode(errors="replace").splitlines()
        return " | ".join([ending, *lines])

    async def _close_connection(self) -> None:
        if self._transport is None:
            self._socket.close()
            return
        self._transport.abort()
        await self._closed

    def _end(self) -> None:
        """Take no more answers."""
        if not self._came_up.done():
            self._came_up.set_result(False)
        if not self._ended.done():
            self._ended.set_result(None)

    def _look(self) -> None:
        """End the process where the document that is being read takes too long: one timer goes on for all of them."""
        self._timer = None
        if not self.jobs:
            return
        ends_at = self._began_at + self._timeout_s * self.jobs[0].patience
        if self._loop.time() < ends_at:
            self._timer = self._loop.call_at(ends_at, self._look)
        else:
            self._too_slow = True
            self.kill()


async def start_process(arguments: list[str], timeout_s: float, has_room: Callable[[], None]) -> Process:
    """A new process. Raises `CrawlerError` where there is no room for one, also after a while."""
    for pause_s in _RETRY_PAUSES_S:
        with suppress(OSError):
            return Process(Spawned(arguments), timeout_s, has_room)
        await asyncio.sleep(pause_s)
    try:
        return Process(Spawned(arguments), timeout_s, has_room)
    except OSError as error:
        raise CrawlerError(
            f"cannot start a parser process ({error.strerror}); raise `ulimit -n` or `ulimit -u`, or free some"
            " memory, then crawl again"
        ) from error
