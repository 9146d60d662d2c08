"""The WARC files of one crawl in a folder: cut to what is committed, appended to, rotated by size, and closed.

Invariants: `write` returns once its bytes are on the disk; what `committed` was not called for is cut off by the next
run; the names of two crawls differ.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import ArchiveFailedError
from crawler.storage.interface import WarcFile
from crawler.warc.capture import Indexed
from crawler.warc.open_file import OPEN, SUFFIX, OpenFile, forget_lines, sync_folder
from crawler.warc.record import Record

Group = Iterable[tuple[Record, Indexed | None]]  # records that stand in one file


class WarcFiles:
    """The files in `folder`, whose names begin with `crawl_id`. To be used by one thread at a time; each call may take
    a while, and raises `ArchiveFailedError`.

    `first` makes the record with which a file begins, given the file's name.
    """

    def __init__(self, folder: Path, max_bytes: int, first: Callable[[str], Record]) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._first = first
        self._open: list[OpenFile] = []  # the last is written to, the others are full
        self._serial = 0
        self.crawl_id = ""

    def resume(self, files: Sequence[WarcFile]) -> tuple[list[str], list[str]]:
        """Cut what was left open to what is committed, and go on with the newest of these if it is here.

        Returns the names of the others, which are closed now, and of those that are lost: they are neither here nor
        where they were made, and this folder is a new one.
        """
        closed: list[str] = []
        lost: list[str] = []
        for file in files:
            self.crawl_id, serial = file.name.removesuffix(SUFFIX).rsplit("-", 1)
            self._serial = int(serial)
            if file.is_closed:
                continue
            folder = self._folder_of(file)
            if folder is None:
                lost.append(file.name)
            elif not (folder / (file.name + OPEN)).exists():
                forget_lines(folder, file.name)
                closed.append(file.name)  # a moment before it was killed
            else:
                self._take_up(folder, file, closed, is_newest=file is files[-1])
        return closed, lost

    def write(self, groups: Iterable[Group]) -> list[WarcFile]:
        """Append the records; returns the files that are open, as they are now."""
        with _explained(self._folder):
            for group in groups:
                self._current().append(group)
            for file in self._open:
                file.flush()
        return [file.state() for file in self._open]

    def committed(self) -> list[str]:
        """What was written last is committed. Closes the files that are full; returns their names."""
        for file in self._open:
            file.note_committed()
        full, self._open = self._open[:-1], self._open[-1:]
        with _explained(self._folder):
            return [file.finish() for file in full]

    def close(self) -> list[str]:
        """The run is over, and all is committed: close the files; returns their names."""
        last, self._open = self._open, []
        with _explained(self._folder):
            return [file.finish() for file in last]

    def abandon(self) -> None:
        """The run has failed: what is committed waits for the next one."""
        with _explained(self._folder):
            for file in self._open:
                file.abandon()

    def _current(self) -> OpenFile:
        if not self._open or self._open[-1].is_full(self._max_bytes):
            name = self._next_name()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open.append(OpenFile(self._folder, WarcFile(name=name, folder=str(self._folder))))
            sync_folder(self._folder)
            self._open[-1].append([(self._first(name), None)])
        return self._open[-1]

    def _next_name(self) -> str:
        """A name that no closed file has. An open one is what a run has left that was killed before its commit."""
        while True:
            self._serial += 1
            name = f"{self.crawl_id}-{self._serial:05}{SUFFIX}"
            if not (self._folder / name).exists():
                return name

    def _take_up(self, folder: Path, file: WarcFile, closed: list[str], *, is_newest: bool) -> None:
        with _explained(folder):
            found = OpenFile(folder, file)
            if is_newest and folder == self._folder:
                self._open.append(found)
            else:
                closed.append(found.finish())

    def _folder_of(self, file: WarcFile) -> Path | None:
        """Where the file is by now; None where it is lost."""
        made_in = Path(file.folder)
        for folder in (self._folder, made_in):
            if any((folder / name).exists() for name in (file.name + OPEN, file.name)):
                return folder
        if self._folder != made_in and not any(self._folder.glob(f"{self.crawl_id}-*")):
            return None
        raise ArchiveFailedError(
            f"--warc {self._folder}: {file.name}{OPEN}, which the last run was writing to, is not there; move it back,"
            " or name an empty folder to go on without it"
        )


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "put that right"
        raise ArchiveFailedError(
            f"--warc {folder}: {error.strerror or error}; {advice} and run the same command again: what was committed"
            " is safe"
        ) from error
