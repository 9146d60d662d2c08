"""Runs the readers of `content/` in processes of their own, that can be killed.

Processes, because a thread that reads markup fights the event loop for the GIL (two threads halve the pages per
second), and because nothing else bounds a parser: 100,000 nested elements keep it busy for 13 s, uninterruptible. A
document that takes longer than its time, or that costs its process the life twice, is a `Failure`; the crawl goes on.

Invariants: the processes share no file with the crawl and end when their input does, also after a `kill -9`; each has
at most two documents, so that it need not wait for the next one and little is to be done again when it dies.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from crawler.parser_process import ANSWER, KINDS, REQUEST, rebuild
from crawler.records import Failure, FailureKind, Page, Response, SitemapEntry, StoredBody, UrlKind

Content: TypeAlias = Page | list[SitemapEntry] | None

_EAGER_PROCESSES = 2
_MAX_PROCESSES = 8  # more than one event loop can feed
_DOCUMENTS_PER_PROCESS = 2
_DEATHS_PER_DOCUMENT = 2
_MAX_TYPE_BYTES = 1000
_PIPE_BYTES = 1 << 20


@dataclass(slots=True, eq=False)
class _Job:
    """A document that waits, or is being read."""

    request: tuple[bytes, ...]
    url: str
    size: int
    done: asyncio.Future[tuple[Content, StoredBody | None] | str] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    deaths: int = 0


class Parser:
    """Reads documents in a few processes. `product_token` is the name that robots directives may speak to."""

    def __init__(self, product_token: str, timeout_s: float, processes: int | None = None) -> None:
        self._product_token = product_token
        self._timeout_s = timeout_s
        self._most = processes or min(_processors(), _MAX_PROCESSES)
        self._processes: list[_Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: deque[_Job] = deque()
        self._closing = False

    async def read(
        self, kind: UrlKind, response: Response, *, keep_body: bool
    ) -> tuple[Content, StoredBody | None] | Failure:
        """What the body says (None where it is no document) and, if it is to be kept, the body; or why not."""
        job = _Job(_request(kind, response, keep_body), response.url, len(response.body))
        self._jobs.append(job)
        self._send()
        outcome = await job.done
        if isinstance(outcome, str):
            return Failure(
                url=response.url,
                kind=FailureKind.PARSE_TIMEOUT,
                message=outcome,
                address=response.address,
                started_at=response.started_at,
                elapsed_s=response.elapsed_s,
                reused=response.reused,
                sent=True,
            )
        return outcome

    def warm_up(self) -> None:
        """Start what a busy crawl will need at once: a process takes a tenth of a second to come up."""
        for _ in range(min(_EAGER_PROCESSES, self._most)):
            self._start()

    async def close(self) -> None:
        """End the processes; documents that are still being read are given up."""
        self._closing = True
        for process in self._processes:
            process.end()
        await asyncio.gather(*self._tasks)

    def _send(self) -> None:
        """Give waiting documents to processes that have room, the emptiest first; start one where there is none."""
        while self._jobs:
            free = min(self._processes, key=lambda process: len(process.jobs), default=None)
            if (free is None or free.jobs) and len(self._tasks) < self._most:
                self._start()
            if free is None or len(free.jobs) >= _DOCUMENTS_PER_PROCESS:
                return
            free.give(self._jobs.popleft())

    def _start(self) -> None:
        task = asyncio.create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        """One process from start to end; what it leaves undone is done by another one."""
        process = await _Process.start(self._product_token, self._timeout_s)
        if self._closing:
            process.end()
        self._processes.append(process)
        self._send()
        try:
            await process.run(self._send)
        finally:
            self._processes.remove(process)
        if not self._closing:
            self._jobs.extendleft(reversed(process.undone()))
            self._start()


class _Process:
    """One parser process."""

    def __init__(self, process: asyncio.subprocess.Process, timeout_s: float) -> None:
        self._process = process
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._too_slow = False
        self.jobs: deque[_Job] = deque()  # the first is being read

    @classmethod
    async def start(cls, product_token: str, timeout_s: float) -> _Process:
        """A new process; it does not inherit our files, and keeps no lock of ours when we are killed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from crawler.parser_process import main; main()", product_token),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_PIPE_BYTES,
        )
        return cls(process, timeout_s)

    def give(self, job: _Job) -> None:
        """Send a document."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._start_timer()
        if self._process.stdin is not None:  # one that has just died loses the document, and then says so
            self._process.stdin.writelines(job.request)

    async def run(self, has_room: Callable[[], None]) -> None:
        """Receive answers, until the process ends."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._receive()
                has_room()
        await self._process.wait()
        self._stop_timer()

    def undone(self) -> list[_Job]:
        """The documents that another process has to read, now that this one has ended; the guilty one is given up."""
        if self.jobs:
            first = self.jobs[0]
            first.deaths += 1
            if self._too_slow:
                self._settle(self.jobs.popleft(), f"reading took longer than {self._timeout_s:g} s")
            elif first.deaths >= _DEATHS_PER_DOCUMENT:
                self._settle(self.jobs.popleft(), f"reading it ended the parser process {first.deaths} times")
        return list(self.jobs)

    def end(self) -> None:
        """End the process, whatever it is doing: it holds nothing that could be lost."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _receive(self) -> None:
        stream = self._process.stdout
        if stream is None:
            raise AssertionError("the process was started with a pipe")
        json_length, body_length, digest = ANSWER.unpack(await stream.readexactly(ANSWER.size))
        columns = orjson.loads(await stream.readexactly(json_length))
        kept = await stream.readexactly(body_length)
        self._stop_timer()
        job = self.jobs.popleft()
        if self.jobs:
            self._start_timer()
        body = StoredBody(digest=digest, size=job.size, zstd=kept) if kept else None
        self._settle(job, (rebuild(columns, job.url), body))

    def _settle(self, job: _Job, outcome: tuple[Content, StoredBody | None] | str) -> None:
        if not job.done.done():  # who asked may have been cancelled
            job.done.set_result(outcome)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _give_up(self) -> None:
        self._too_slow = True
        self.end()


@asynccontextmanager
async def open_parser(product_token: str, timeout_s: float) -> AsyncIterator[Parser]:
    """A `Parser` in the running event loop; its processes are gone when the context is left."""
    parser = Parser(product_token, timeout_s)
    parser.warm_up()
    try:
        yield parser
    finally:
        await parser.close()


def _processors() -> int:
    """How many this process may use, at least one."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def _request(kind: UrlKind, response: Response, keep_body: bool) -> tuple[bytes, ...]:
    url = response.url.encode()
    content_type = None if response.content_type is None else response.content_type.encode()[:_MAX_TYPE_BYTES]
    type_length = 0 if content_type is None else len(content_type) + 1
    header = REQUEST.pack(KINDS.index(kind), keep_body, len(url), type_length, len(response.body))
    return header, url, content_type or b"", response.body
