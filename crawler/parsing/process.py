"""One parser process, seen from the crawl: spawned, given documents, timed, killed, and its answers read.

`child` is its other end. Invariant: a process is gone, and what it said last is known, when `wait_closed` returns.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from crawler.errors import CrawlerError
from crawler.fetching import LISTING_PATIENCE
from crawler.parsing.parser import Reading
from crawler.parsing.wire import READY, decode_answer, encode_request, receive_answer
from crawler.records import LISTINGS, Listing, Response, SitemapEntry, UrlKind

MAX_GROWN_BYTES = 1 << 26  # since it was started: what a document of 5 MB leaves behind is never given back
_CRASHES_PER_DOCUMENT = 2
_START_TIMEOUT_S = 30.0
_REAP_S = 0.002
_RETRY_PAUSES_S = (0.1, 0.3, 1.0)
_BUFFER_BYTES = 1 << 20
_PIPE_BYTES = 1 << 16
_STDERR_TAIL_BYTES = 2048
_START = (
    "import gc, sys; gc.disable();"  # a document's objects hold no cycles: collecting costs 5 %, and 5 ms of a start
    " sys.path[:] = sys.argv[2:]; from crawler.parsing.child import main; main()"
)
_BROKEN = (EOFError, OSError, ValueError, TypeError, LookupError)  # how an answer fails: none, or nonsense


class Job:
    """A document that waits, or is being read."""

    def __init__(self, kind: UrlKind, response: Response, *, keep_body: bool) -> None:
        self.request = encode_request(kind, response, keep_body=keep_body)
        self.url = response.url
        self.size = len(response.body) if response.size is None else response.size  # a sitemap's body is packed
        self.patience = LISTING_PATIENCE if kind in LISTINGS else 1.0
        self.done: asyncio.Future[Reading | str] = asyncio.get_running_loop().create_future()
        self.crashes = 0

    def settle(self, outcome: Reading | str) -> None:
        """Answer who asked, or say why there is no answer; who asked may have been cancelled."""
        if not self.done.done():
            self.done.set_result(outcome)


class Process:
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
        self._is_retired = False
        self._stderr_tail = b""
        self._entries: list[SitemapEntry] = []  # of the document that is being read
        self.ready = False
        self.jobs: deque[Job] = deque()  # the first is being read

    async def wait_ready(self) -> bool:
        """Wait until the process can read; whether it can."""
        with suppress(*_BROKEN):
            async with asyncio.timeout(_START_TIMEOUT_S):
                self._answers, self._requests = await asyncio.open_unix_connection(
                    sock=self._socket, limit=_BUFFER_BYTES
                )
                self.ready = await self._answers.readexactly(len(READY)) == READY
        return self.ready

    def send(self, job: Job) -> None:
        """Send a document."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._start_timer()
        if self._requests is not None:
            with suppress(OSError, RuntimeError):  # it has just died, and `run` will notice; uvloop: RuntimeError
                self._requests.writelines(job.request)

    async def run(self, has_room: Callable[[], None]) -> None:
        """Receive answers, until the process ends, answers nonsense, or has grown too large after a document."""
        while await self._receive():
            if self._is_retired:
                return
            has_room()

    def unfinished(self) -> list[Job]:
        """The documents for another process, now that this one has ended; one that is to blame twice is given up."""
        self._stop_timer()
        if self.jobs and not self._is_retired:
            first = self.jobs[0]
            first.crashes += 1
            if self._too_slow:
                self.jobs.popleft().settle(f"reading took longer than {self._timeout_s * first.patience:g} s")
            elif first.crashes >= _CRASHES_PER_DOCUMENT:
                self.jobs.popleft().settle("the parser process died while reading it")
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
                self._stderr_tail = (self._stderr.read(_PIPE_BYTES) or b"")[-_STDERR_TAIL_BYTES:]
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
        if self._requests is None:
            self._socket.close()
            return
        self._requests.transport.abort()
        with suppress(OSError):
            await self._requests.wait_closed()

    async def _receive(self) -> bool:
        try:
            answer = await receive_answer(self._answers.readexactly)
            job = self.jobs[0]
            content, body = decode_answer(answer, job.url, job.size)
        except _BROKEN:
            return False
        if isinstance(content, Listing):
            self._entries += content.entries
            if answer.more:
                await asyncio.sleep(0)  # what follows may be here already: other tasks come first
                return True
            content, self._entries = replace(content, entries=tuple(self._entries)), []
        self._stop_timer()
        self.jobs.popleft()
        if self.jobs:
            self._start_timer()
        job.settle((content, body))
        self._is_retired = answer.grown_bytes > MAX_GROWN_BYTES
        return True

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s * self.jobs[0].patience, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _time_out(self) -> None:
        self._too_slow = True
        self.kill()


async def start_process(arguments: list[str], timeout_s: float) -> Process:
    """A new process. Raises `CrawlerError` where there is no room for one, also after a while."""
    for pause_s in _RETRY_PAUSES_S:
        with suppress(OSError):
            return Process(arguments, timeout_s)
        await asyncio.sleep(pause_s)
    try:
        return Process(arguments, timeout_s)
    except OSError as error:
        raise CrawlerError(
            f"cannot start a parser process ({error.strerror}); raise `ulimit -n` or `ulimit -u`, or free some"
            " memory, then crawl again"
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


def command(product_token: str) -> list[str]:
    """The command line of a process. It imports from where its parent does, except from the current folder.

    `python -c` looks there first: a file `orjson.py` in the folder where somebody crawls would be run (`-P`: it does
    not). The folder of this package stays, wherever it is, so that `python -m crawler` works in a checkout.
    """
    home = str(Path(__file__).parents[2])
    path = [entry for entry in sys.path if entry == home or (Path(entry).is_absolute() and not _is_here(entry))]
    return [sys.executable, "-P", "-c", _START, product_token, *([] if home in path else [home]), *path]


def _is_here(folder: str) -> bool:
    try:
        return Path(folder).samefile(Path())
    except OSError:  # one of them does not exist
        return False
