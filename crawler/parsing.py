"""Runs the readers of `content/` in processes of their own, that can be killed.

Processes, because a thread that reads markup fights the event loop for the GIL (two threads halve the pages per
second), and because nothing else bounds a parser: 100,000 nested elements keep it busy for 13 s, uninterruptible. A
document that takes longer than its time, or that costs its process the life twice, is a `Failure`; the crawl goes on.
Where processes cannot be started, or end before they can read, no document is to blame: that is a `CrawlerError`.

Invariants: every `read` ends, whatever dies; the processes share no file with the crawl and end with it, also after a
`kill -9`; each has at most two documents, so that it need not wait for the next one and little is to be done again when
it dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

import orjson

from crawler.errors import CrawlerError
from crawler.parser_process import ANSWER, KINDS, READY, REQUEST, command, rebuild
from crawler.records import Failure, FailureKind, Page, Response, SitemapEntry, StoredBody, UrlKind

Content: TypeAlias = Page | list[SitemapEntry] | None

_EAGER_PROCESSES = 2
_MAX_PROCESSES = 8  # more than one event loop can feed
_DOCUMENTS_PER_PROCESS = 2
_DEATHS_PER_DOCUMENT = 2
_LARGE_BYTES = 1 << 20  # a document that may take seconds: none waits behind it, and one process is kept for the others
_STILLBIRTHS_PER_PROCESS = 100  # in a row, killed by others: it is not chance
_BY_ITSELF = 20  # a process that ends by itself counts for so many: it will do so again
_START_TIMEOUT_S = 30.0
_REAP_S = 0.002
_RETRY_PAUSES_S = (0.1, 0.3, 1.0)
_MAX_TYPE_LENGTH = 1000
_BUFFER_BYTES = 1 << 20
_PIPE_BYTES = 1 << 16
_LAST_WORDS_BYTES = 2048
_BROKEN = (EOFError, OSError, ValueError, TypeError, LookupError)  # how an answer fails: none, or nonsense


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

    def settle(self, outcome: tuple[Content, StoredBody | None] | str) -> None:
        """Answer who asked, or say why there is no answer; who asked may have been cancelled."""
        if not self.done.done():
            self.done.set_result(outcome)


class Parser:
    """Reads documents in a few processes. `product_token` is the name that robots directives may speak to."""

    def __init__(self, product_token: str, timeout_s: float, processes: int | None = None) -> None:
        self._product_token = product_token
        self._timeout_s = timeout_s
        self._most = processes or min(_processors(), _MAX_PROCESSES)
        self._processes: list[_Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: deque[_Job] = deque()
        self._stillbirths = 0
        self._ended: CrawlerError | None = None  # why nothing is read any more

    async def read(
        self, kind: UrlKind, response: Response, *, keep_body: bool
    ) -> tuple[Content, StoredBody | None] | Failure:
        """What the body says (None where it is no document) and, if it is to be kept, the body; or why not.

        Raises `CrawlerError` where no process can be had, and once the parser is closed.
        """
        if self._ended is not None:
            raise self._ended
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
        self._end(CrawlerError("the parser is closed: nothing can be read any more"))
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _send(self) -> None:
        """Give waiting documents to processes that have room, the emptiest first; start one where there is none."""
        while self._jobs:
            ready = (process for process in self._processes if process.ready and not self._is_kept_busy(process))
            free = min(ready, key=lambda process: len(process.jobs), default=None)
            if (free is None or free.jobs) and len(self._tasks) < self._most:
                self._start()
            if free is None or len(free.jobs) >= _DOCUMENTS_PER_PROCESS:
                return
            job = self._next_job()
            if job is None:
                return
            free.give(job)

    def _is_kept_busy(self, process: _Process) -> bool:
        """Whether the process reads something large, and there are others."""
        return self._most > 1 and any(job.size > _LARGE_BYTES for job in process.jobs)

    def _next_job(self) -> _Job | None:
        """The first document that waits, a large one only where a process remains for the others."""
        no_large = self._most > 1 and sum(map(self._is_kept_busy, self._processes)) >= self._most - 1
        for index, job in enumerate(self._jobs):
            if not (no_large and job.size > _LARGE_BYTES):
                del self._jobs[index]
                return job
        return None

    def _start(self) -> None:
        task = asyncio.create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._retire)

    async def _run(self) -> None:
        """One process from start to end; what it leaves undone is for another one."""
        process = await _start(command(self._product_token), self._timeout_s)
        self._processes.append(process)
        try:
            if self._ended is None and await process.comes_up():
                self._stillbirths = 0
                self._send()
                await process.run(self._send)
        finally:
            process.kill()
            self._processes.remove(process)
            self._jobs.extendleft(reversed(process.undone()))
            await process.gone()
        if not process.ready:
            self._count_stillbirth(process)

    def _count_stillbirth(self, process: _Process) -> None:
        self._stillbirths += 1 if process.was_killed() else _BY_ITSELF
        if self._stillbirths >= _STILLBIRTHS_PER_PROCESS * self._most:
            raise CrawlerError(
                f"parser processes end before they can read ({process.obituary()});"
                f" see whether `{sys.executable} -c 'import crawler.parser_process'` works here, then crawl again"
            )

    def _retire(self, task: asyncio.Task[None]) -> None:
        """A process is gone: another one takes over, or those that are left, or nothing can be read any more."""
        self._tasks.discard(task)
        error = asyncio.CancelledError("the event loop shuts down") if task.cancelled() else task.exception()
        if isinstance(error, CrawlerError) and self._tasks:
            self._most = len(self._tasks)
        elif error is not None:
            self._end(error)
        self._send()

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


class _Process:
    """One parser process, on the other end of a socket.

    Not asyncio's own kind: cancelled while it starts one, asyncio waits for ever, and uvloop leaves the process behind.
    Raises `OSError` where there is no room for one.
    """

    def __init__(self, arguments: list[str], timeout_s: float) -> None:
        self._process, self._socket, self._stderr = _spawn(arguments)
        self._answers: asyncio.StreamReader
        self._requests: asyncio.StreamWriter | None = None
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._too_slow = False
        self._last_words = b""
        self.ready = False
        self.jobs: deque[_Job] = deque()  # the first is being read

    async def comes_up(self) -> bool:
        """Wait until the process can read; whether it can."""
        with suppress(*_BROKEN):
            async with asyncio.timeout(_START_TIMEOUT_S):
                self._answers, self._requests = await asyncio.open_unix_connection(
                    sock=self._socket, limit=_BUFFER_BYTES
                )
                self.ready = await self._answers.readexactly(len(READY)) == READY
        return self.ready

    def give(self, job: _Job) -> None:
        """Send a document."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._start_timer()
        if self._requests is not None:
            with suppress(OSError, RuntimeError):  # it has just died, and `run` will notice; uvloop: RuntimeError
                self._requests.writelines(job.request)

    async def run(self, has_room: Callable[[], None]) -> None:
        """Receive answers, until the process ends or answers nonsense."""
        while await self._receive():
            has_room()

    def undone(self) -> list[_Job]:
        """The documents that another process has to read, now that this one has ended; the guilty one is given up."""
        self._stop_timer()
        if self.jobs:
            first = self.jobs[0]
            first.deaths += 1
            if self._too_slow:
                self.jobs.popleft().settle(f"reading took longer than {self._timeout_s:g} s")
            elif first.deaths >= _DEATHS_PER_DOCUMENT:
                self.jobs.popleft().settle("the parser process died while reading it")
        return list(self.jobs)

    def kill(self) -> None:
        """End the process, whatever it is doing: it holds nothing that could be lost."""
        self._process.kill()

    async def gone(self) -> None:
        """Wait for the end of the process, which has been killed, and close what it leaves."""
        try:
            while self._process.poll() is None:  # noqa: ASYNC110 - nothing tells both kinds of event loop
                await asyncio.sleep(_REAP_S)
        finally:
            self._process.wait()  # at once; where we are cancelled, the end is near
            with self._stderr:
                self._last_words = (self._stderr.read(_PIPE_BYTES) or b"")[-_LAST_WORDS_BYTES:]
            await self._hang_up()

    def was_killed(self) -> bool:
        """Whether the process, which has ended, did not do so by itself."""
        return self._process.returncode == -signal.SIGKILL

    def obituary(self) -> str:
        """How the process ended and what it said last, in one line."""
        status = self._process.returncode
        ending = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        words = self._last_words.decode(errors="replace").splitlines()
        return " | ".join([ending, *words])

    async def _hang_up(self) -> None:
        if self._requests is None:
            self._socket.close()
            return
        self._requests.transport.abort()
        with suppress(OSError):
            await self._requests.wait_closed()

    async def _receive(self) -> bool:
        try:
            json_length, body_length, digest = ANSWER.unpack(await self._answers.readexactly(ANSWER.size))
            columns = orjson.loads(await self._answers.readexactly(json_length))
            kept = await self._answers.readexactly(body_length)
            job = self.jobs[0]
            content = rebuild(columns, job.url)
        except _BROKEN:
            return False
        self._stop_timer()
        self.jobs.popleft()
        if self.jobs:
            self._start_timer()
        job.settle((content, StoredBody(digest=digest, size=job.size, zstd=kept) if kept else None))
        return True

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _give_up(self) -> None:
        self._too_slow = True
        self.kill()


@asynccontextmanager
async def open_parser(product_token: str, timeout_s: float, *, eager: bool = True) -> AsyncIterator[Parser]:
    """A `Parser` in the running event loop; its processes are gone when the context is left.

    `eager`: some are started at once, for there will be much to read.
    """
    parser = Parser(product_token, timeout_s)
    if eager:
        parser.warm_up()
    try:
        yield parser
    finally:
        await parser.close()


async def _start(arguments: list[str], timeout_s: float) -> _Process:
    """A new process. Raises `CrawlerError` where there is no room for one, also after a while."""
    for pause_s in _RETRY_PAUSES_S:
        with suppress(OSError):
            return _Process(arguments, timeout_s)
        await asyncio.sleep(pause_s)
    try:
        return _Process(arguments, timeout_s)
    except OSError as error:
        raise CrawlerError(
            f"cannot start a parser process ({error.strerror}): make room with `ulimit -n`, `ulimit -u` or memory,"
            " then crawl again"
        ) from error


def _spawn(arguments: list[str]) -> tuple[subprocess.Popen[bytes], socket.socket, BinaryIO]:
    """A process, our end of its input and output, and what it says on standard error: never more than a pipe holds.

    It inherits no file of ours, and so keeps no lock of ours when we are killed.
    """
    with ExitStack() as ours, ExitStack() as its:
        end, its_end = socket.socketpair()
        ours.enter_context(end).setblocking(False)
        its.enter_context(its_end)
        read_fd, write_fd = os.pipe()
        stderr = ours.enter_context(os.fdopen(read_fd, "rb", buffering=0))
        its.callback(os.close, write_fd)
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)  # nobody empties the pipe: what does not fit is lost
        both = its_end.fileno()
        process = subprocess.Popen(arguments, stdin=both, stdout=both, stderr=write_fd)  # noqa: S603 - all our own
        ours.pop_all()
    return process, end, stderr


def _processors() -> int:
    """How many this process may use, at least one."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def _request(kind: UrlKind, response: Response, keep_body: bool) -> tuple[bytes, ...]:
    url = response.url.encode()
    content_type = (
        None if response.content_type is None else response.content_type[:_MAX_TYPE_LENGTH].encode(errors="replace")
    )
    type_length = 0 if content_type is None else len(content_type) + 1
    header = REQUEST.pack(KINDS.index(kind), keep_body, len(url), type_length, len(response.body))
    return header, url, content_type or b"", response.body
