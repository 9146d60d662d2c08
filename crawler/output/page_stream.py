"""Pages as JSON lines while a crawl runs (`crawl --jsonl`): at the end of a file, or on standard output.

Invariants: a page is written after it was committed, in the order of commits. In a file each version of a page stands
once, whatever was killed and when: what is missing after its last line is read from the database first.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import mmap
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import orjson

from crawler.archive.archive import Archive, open_crawl
from crawler.errors import DatabaseFailedError, NoCrawlError, UsageError
from crawler.location import Location
from crawler.output.page_lines import page_line
from crawler.records import Page
from crawler.storage.location import database_at

_FLAG = "--jsonl"
_BEGINS = b'{"url":'  # every line
_LOOK_S = 0.2  # how often to look whether a reader who does not read is still to be waited for
_AT_ONCE = 64  # pages, from the database; and lines to look at for one of its pages
_STDOUT = 1


class PageStream(Protocol):
    """Where pages go."""

    async def check(self) -> None:
        """Raises `UsageError` where it is plain that nothing can be written: to be asked before anything is fetched."""

    async def write(self, pages: Sequence[Page]) -> bool:
        """Write pages that were just committed; False: nobody wants any more. Raises `UsageError`."""

    async def finish(self, run_id: int) -> None:
        """The run is over: write what is missing."""

    def has_reader(self) -> bool:
        """Whether anybody may still read it."""

    def close(self) -> None:
        """Nothing more will come."""


def page_stream(path: Path, db: Location, given_up: Callable[[], bool]) -> PageStream:
    """For `path`, '-' being standard output; `given_up` says whether to wait for its reader no longer."""
    if str(path) == "-":
        return _Pipe(path, given_up, _STDOUT)
    if path.exists() and not path.is_file():
        return _Pipe(path, given_up)
    return _File(path, db) if isinstance(db, Path) else _Lines(path, db)


class _File:
    """A file that lines are appended to. It is mended when the first page comes: by then, the database is this crawl's.
    Its lock keeps out a crawl that has another database.
    """

    def __init__(self, path: Path, db: Location) -> None:
        self._path = path
        self._db = db
        self._file: BinaryIO | None = None
        self._last = 0  # the version in the last line, or before the first

    async def check(self) -> None:
        """Raises `UsageError` where the file holds something else than pages of this database."""
        if not self._path.exists():
            return
        if not database_at(self._db).exists():
            if any(_lines_from_end(self._path)):
                raise _foreign(self._path, self._db)
            return
        try:
            async with open_crawl(self._db) as archive:
                await self._end(archive)
        except DatabaseFailedError:
            return  # it is one of an earlier release, which the crawl brings up to date, or the crawl says what it is

    async def write(self, pages: Sequence[Page]) -> bool:
        """Append them, and before them what is missing."""
        first, run_id = pages[0].page_id or 0, pages[0].run_id or 0
        if self._file is None:
            self._file = await self._begin(run_id, newest=first - 1)
        if first != self._last + 1:
            await self._catch_up(before=first)
        await asyncio.to_thread(self._append, pages)
        return True

    async def finish(self, run_id: int) -> None:
        """A run without a page of its own may still have to complete the file."""
        if self._file is None:
            self._file = await self._begin(run_id, newest=None)
        await self._catch_up(before=None)

    def has_reader(self) -> bool:
        """A file needs none."""
        return True

    def close(self) -> None:
        """And unlock it."""
        if self._file is not None:
            self._file.close()

    async def _begin(self, run_id: int, *, newest: int | None) -> BinaryIO:
        """Open and mend the file: a line that a kill has cut goes, and so does what the database has lost since.
        `newest` is the version that was stored before what this run has (None: the newest).

        A file without a line begins with this run, also with what it stored before it was killed.
        """
        with _explained(self._path):
            file = self._path.open("ab", buffering=0)
        try:
            with _explained(self._path):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            async with open_crawl(self._db) as archive:
                end = await self._end(archive, newest)
                self._last = end.page_id or await archive.last_version(before_run=run_id)
            with _explained(self._path):
                file.truncate(end.at)
        except BaseException:
            file.close()
            raise
        return file

    async def _end(self, archive: Archive, newest: int | None = None) -> _Line:
        """The last line that the database knows. Raises `UsageError` where there are lines, and it knows none."""
        if newest is None:
            newest = await archive.last_version()
        line = None
        for line in _lines_from_end(self._path):
            if line.page_id <= newest:  # else a power cut has taken it from the database: it will come again
                if await _is_of(archive, line):
                    return line
                break
        if line is not None:
            raise _foreign(self._path, self._db)
        return _Line(0, 0, "", None)

    async def _catch_up(self, *, before: int | None) -> None:
        """Append what the database holds after the last line, and before that version."""
        async with open_crawl(self._db) as archive:
            batch: list[Page] = []
            async for page in archive.versions(after=self._last, before=before):
                batch.append(page)
                if len(batch) == _AT_ONCE:
                    await asyncio.to_thread(self._append, batch)
                    batch = []
            await asyncio.to_thread(self._append, batch)

    def _append(self, pages: Sequence[Page]) -> None:
        for page in pages:
            rest = memoryview(page_line(page))
            with _explained(self._path):
                while rest and self._file is not None:
                    rest = rest[self._file.write(rest) :]
            self._last = page.page_id or 0


class _Lines:
    """A file to which each process appends the pages that it has committed itself, of a crawl that several may share:
    no version is the next of another, so what a kill cuts off is missing. `crawler export` has all.
    """

    def __init__(self, path: Path, db: Location) -> None:
        self._path = path
        self._db = db
        self._file: BinaryIO | None = None

    async def check(self) -> None:
        """Raises `UsageError` where the file holds something else than pages of this crawl. A server that failed may
        have lost some of the last, so that one of them is enough.
        """
        if not self._path.exists():
            return
        last = list(islice(_lines_from_end(self._path), _AT_ONCE))
        if last and not await self._knows_any(last):
            raise _foreign(self._path, self._db)

    async def _knows_any(self, lines: Sequence[_Line]) -> bool:
        try:
            async with open_crawl(self._db) as archive:
                for line in lines:
                    state = await archive.state(line.url)
                    if state is not None and state.has_page:
                        return True
        except NoCrawlError:
            pass
        return False

    async def write(self, pages: Sequence[Page]) -> bool:
        """Append them."""
        await asyncio.to_thread(self._append, pages)
        return True

    async def finish(self, run_id: int) -> None:
        """Do nothing: it cannot tell which pages a file lacks."""

    def has_reader(self) -> bool:
        """A file needs none."""
        return True

    def close(self) -> None:
        """And unlock it."""
        if self._file is not None:
            self._file.close()

    def _append(self, pages: Sequence[Page]) -> None:
        with _explained(self._path):
            if self._file is None:
                self._file = self._opened()
            self._file.writelines(map(page_line, pages))
            self._file.flush()

    def _opened(self) -> BinaryIO:
        """Locked, and without a line that a kill has cut."""
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            last = next(_lines_from_end(self._path), None)
            file.truncate(0 if last is None else last.at)
        except BaseException:
            file.close()
            raise
        return file


class _Pipe:
    """Standard output, or a pipe or device by its name: who reads it gets what comes from now on."""

    def __init__(self, path: Path, given_up: Callable[[], bool], number: int | None = None) -> None:
        self._path = path
        self._given_up = given_up
        self._number = number

    async def check(self) -> None:
        """It is opened when the first page comes, for that waits for a reader."""

    async def write(self, pages: Sequence[Page]) -> bool:
        """Write them; False where the reader has left, or is to be waited for no longer."""
        return await asyncio.to_thread(self._write_all, pages)

    async def finish(self, run_id: int) -> None:
        """Nothing is missing."""

    def has_reader(self) -> bool:
        """False once whoever read a pipe has closed it."""
        return self._number is None or not _poll(self._number, 0, 0) & select.POLLERR

    def close(self) -> None:
        """Standard output stays open."""
        if self._number not in (None, _STDOUT):
            os.close(self._number)

    def _write_all(self, pages: Sequence[Page]) -> bool:
        with _explained(self._path):
            if self._number is None:
                self._number = self._opened()
            return self._number is not None and all(self._write(self._number, page_line(page)) for page in pages)

    def _opened(self) -> int | None:
        """None where no reader has come in time."""
        while not self._given_up():
            try:
                return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            time.sleep(_LOOK_S)
        return None

    def _write(self, number: int, line: bytes) -> bool:
        """In pieces for which there is room in any pipe that takes something at all, so that no write blocks."""
        rest = memoryview(line)
        while rest:
            if _poll(number, select.POLLOUT, _LOOK_S):
                try:
                    rest = rest[os.write(number, rest[: select.PIPE_BUF]) :]
                except BrokenPipeError:
                    return False
            elif self._given_up():
                return False
        return True


class _Line(NamedTuple):
    """A line of the file: where it ends, and what page it is."""

    at: int
    page_id: int
    url: str
    fetched_at: float | None


def _lines_from_end(path: Path) -> Iterator[_Line]:
    """The whole lines, the last one first. Raises `UsageError` for what none of ours is."""
    with _explained(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            end = text.rfind(b"\n") + 1
            cut = text[end : end + len(_BEGINS)]
            if not _BEGINS.startswith(cut):
                raise _no_page_line(path)
            while end:
                start = text.rfind(b"\n", 0, end - 1) + 1
                yield _line(path, end, text[start:end])
                end = start


def _line(path: Path, end: int, text: bytes) -> _Line:
    try:
        page = orjson.loads(text)
        return _Line(end, int(page["page_id"]), str(page["url"]), page["fetched_at"])
    except (ValueError, TypeError, LookupError):
        raise _no_page_line(path) from None


def _foreign(path: Path, db: Location) -> UsageError:
    return UsageError(f"{_FLAG} {path} does not end with pages of {db}; move it away, or name another file")


def _no_page_line(path: Path) -> UsageError:
    return UsageError(f"{_FLAG} {path} holds something else than pages of a crawl; name another file")


async def _is_of(archive: Archive, line: _Line) -> bool:
    """Whether the page of the line is stored; or, where it was pruned, a later version of it."""
    stored = [page async for page in archive.versions(after=line.page_id - 1, before=line.page_id + 1)]
    if stored:
        return stored[0].url == line.url and stored[0].fetched_at in (None, line.fetched_at)
    state = await archive.state(line.url)
    return state is not None and state.has_page


def _poll(number: int, events: int, timeout_s: float) -> int:
    """What has happened to the file by then; 0: nothing."""
    poll = select.poll()
    poll.register(number, events)
    return next((happened for _number, happened in poll.poll(1000 * timeout_s)), 0)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise UsageError(f"{_FLAG} {path}: another crawl is writing to it; name another file") from None
    except OSError as error:
        raise UsageError(f"{_FLAG} {path}: {error.strerror or error}") from error
