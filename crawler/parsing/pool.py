"""Reads documents in a few processes that can be killed, and starts another for one that died.

Processes, because a thread that reads markup fights the event loop for the GIL (two threads halve the pages per
second), and because nothing else bounds a parser: 100,000 nested elements keep it busy for 13 s, uninterruptible. A
document that takes longer than its time, or that crashes its process twice, is a `Failure`; the crawl goes on.
Where processes cannot be started, or end before they can read, no document is to blame: that is a `CrawlerError`.

Invariants: every `read` ends, whatever dies; the processes share no file with the crawl and end with it, also after a
`kill -9`; each has a few documents at most, so that it need not wait for the next one and little is to be done again
when it dies. Nothing is sent to wait behind a document that takes long. Large documents are read one at a time, and a
process that has grown is replaced after its document: so the processes together hold little more than one document
takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from crawler.errors import CrawlerError
from crawler.parsing.job import Job, ReadingJob
from crawler.parsing.parser import Reading, unreadable
from crawler.parsing.process import Process, start_process
from crawler.parsing.settings import ReaderSettings
from crawler.parsing.spawning import PARSER, Spawned, command
from crawler.records import Failure, Response, UrlKind

_MAX_PROCESSES = 8  # more than one event loop can feed
_FAILED_STARTS_PER_PROCESS = 100  # in a row, killed by others: it is not chance
_OWN_EXIT_WEIGHT = 20  # a process that ends by itself counts for so many: it will do so again
_Outcome = TypeVar("_Outcome")


class ProcessPool:
    """A few processes that run the `main` of `module` with this argument, and do jobs."""

    def __init__(self, module: str, argument: str, timeout_s: float, processes: int | None = None) -> None:
        self._module = module
        self._command = command(argument, module)
        self._timeout_s = timeout_s
        self._max_processes = processes or min(_processors(), _MAX_PROCESSES)
        self._processes: list[Process] = []
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: deque[Job[Any]] = deque()
        self._failed_starts = 0
        self._ended: CrawlerError | None = None  # why nothing is read any more

    async def do(self, job: Job[_Outcome]) -> _Outcome | str:
        """What becomes of the job, or a text that says why nothing did.

        Raises `CrawlerError` where no process can be had, and once the pool is closed.
        """
        if self._ended is not None:
            raise self._ended
        self._jobs.append(job)
        self._dispatch()
        return await job.done

    def warm_up(self, spawned: Spawned | None = None) -> None:
        """Start what every crawl will need: a process takes a tenth of a second to come up. `spawned` is one that is
        coming up already, and is used if it is of the same kind.
        """
        if spawned is not None and spawned.arguments != self._command:
            spawned.end()
            spawned = None
        self._start(spawned)

    async def close(self) -> None:
        """End the processes; documents that are still being read are given up."""
        self._end(CrawlerError("the parser is closed"))
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _dispatch(self) -> None:
        """Give waiting documents to processes; where none takes one, and those that come up will not do, start another.

        The first that has room gets them, so that a few processes are busy and not all of them half asleep; a large
        one goes where the fewest are before it.
        """
        while (job := self._next_job()) is not None:
            now = self._loop.time()
            ready = (process for process in self._processes if process.may_take(now))
            free = min(ready, key=_jobs_of, default=None) if job.is_large else next(ready, None)
            if free is None:
                coming_up = len(self._tasks) - sum(process.ready for process in self._processes)
                if coming_up < len(self._jobs) and len(self._tasks) < self._max_processes:
                    self._start()
                return
            self._jobs.remove(job)
            free.send(job)

    def _next_job(self) -> Job[Any] | None:
        """The first document that waits, a large one only while no other is being read."""
        if self._jobs and self._jobs[0].is_large and any(map(_reads_large, self._processes)):
            return next((job for job in self._jobs if not job.is_large), None)
        return self._jobs[0] if self._jobs else None

    def _start(self, spawned: Spawned | None = None) -> None:
        task = asyncio.create_task(self._run(spawned))
        self._tasks.add(task)
        task.add_done_callback(self._retire)

    async def _run(self, spawned: Spawned | None) -> None:
        """One process from start to end; what it leaves undone is for another one."""
        if spawned is None:
            process = await start_process(self._command, self._timeout_s, self._dispatch)
        else:
            process = Process(spawned, self._timeout_s, self._dispatch)
        self._processes.append(process)
        try:
            if self._ended is None and await process.wait_ready():
                self._failed_starts = 0
                self._dispatch()
                await process.wait_ended()
        finally:
            process.kill()
            self._processes.remove(process)
            self._jobs.extendleft(reversed(process.unfinished()))
            await process.wait_closed()
        if not process.ready:
            self._count_failed_start(process)

    def _count_failed_start(self, process: Process) -> None:
        self._failed_starts += 1 if process.was_killed() else _OWN_EXIT_WEIGHT
        if self._failed_starts >= _FAILED_STARTS_PER_PROCESS * self._max_processes:
            raise CrawlerError(
                f"parser processes crash at start ({process.exit_description()});"
                f" see whether `{sys.executable} -c 'import {self._module}'` works here, then crawl again"
            )

    def _retire(self, task: asyncio.Task[None]) -> None:
        """A process is gone: another one takes over, or those that are left, or nothing can be read any more."""
        self._tasks.discard(task)
        error = asyncio.CancelledError("the event loop shuts down") if task.cancelled() else task.exception()
        if isinstance(error, CrawlerError) and self._tasks:
            self._max_processes = len(self._tasks)
        elif error is not None:
            self._end(error)
        self._dispatch()

    def _end(self, reason: BaseException) -> None:
        """Kill the processes, without waiting, and let every `read` raise."""
        if self._ended is None:
            self._ended = reason if isinstance(reason, CrawlerError) else CrawlerError(f"the parser failed: {reason!r}")
            self._ended.__cause__ = None if reason is self._ended else reason
        jobs = [*self._jobs]
        self._jobs.clear()
        for process in self._processes:
            process.kill()
            jobs += process.jobs
            process.jobs.clear()
        for job in jobs:
            if not job.done.done():
                job.done.set_exception(self._ended)


class ParserPool(ProcessPool):
    """A `Parser` with a few processes, which read by these settings."""

    def __init__(self, settings: ReaderSettings, timeout_s: float, processes: int | None = None) -> None:
        super().__init__(PARSER, settings.as_argument(), timeout_s, processes)

    async def read(self, kind: UrlKind, response: Response, *, keep_body: bool) -> Reading | Failure:
        """See `Parser.read`. Raises `CrawlerError` where no process can be had, and once the parser is closed."""
        outcome = await self.do(ReadingJob(kind, response, keep_body=keep_body))
        return unreadable(response, outcome) if isinstance(outcome, str) else outcome


@asynccontextmanager
async def open_parser(
    settings: ReaderSettings, timeout_s: float, *, eager: bool = True, spawned: Spawned | None = None
) -> AsyncIterator[ParserPool]:
    """A `ParserPool` in the running event loop; its processes are gone when the context is left.

    `eager`: one is started at once, for there will be something to read. `spawned`: see `coming_up`.
    """
    parser = ParserPool(settings, timeout_s)
    if eager or spawned is not None:
        parser.warm_up(spawned)
    try:
        yield parser
    finally:
        await parser.close()


def _reads_large(process: Process) -> bool:
    return bool(process.jobs) and process.jobs[-1].is_large  # nothing waits behind one


def _jobs_of(process: Process) -> int:
    return len(process.jobs)


def _processors() -> int:
    """How many this process may use, at least one."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1
