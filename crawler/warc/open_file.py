"""A WARC file that is written, with the lines of its index, which are sorted at its end.

While it is open, `.open` stands behind both names. Invariants: what is not committed can be cut off at any time; a file
without `.open` is complete, has its index beside it, and is never touched again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path

from crawler.errors import ArchiveFailedError, UsageError
from crawler.storage.interface import WarcFile
from crawler.warc.capture import Indexed
from crawler.warc.index import index_line, write_index
from crawler.warc.record import Record

SUFFIX = ".warc.gz"
OPEN = ".open"
_MAX_INDEX_BYTES = 32 * 1024 * 1024  # is sorted in memory


class OpenFile:
    """The file `name` in `folder`, held as long as it is open. `state`: as it is, once all of it is flushed."""

    def __init__(self, folder: Path, file: WarcFile) -> None:
        """Open the file as it was when it was committed last: a new one is empty. Raises `OSError`, `UsageError` where
        somebody else writes to it, and `ArchiveFailedError` where it is shorter than that.
        """
        self.name = file.name
        self.folder = folder
        self._path = folder / (file.name + OPEN)
        self._lines_path = _lines_path(folder, file.name)
        self._unwritten: list[bytes] = []
        self._unwritten_lines: list[bytes] = []
        self._committed = self._size, self._index_size = file.size, file.index_size
        with ExitStack() as unless_opened:
            self._data = unless_opened.enter_context(_opened(self._path))
            self._lines = unless_opened.enter_context(_opened(self._lines_path))
            _check_size(self._path, file.size)
            _check_size(self._lines_path, file.index_size)
            self._cut()
            unless_opened.pop_all()

    def append(self, records: Iterable[tuple[Record, Indexed | None]]) -> None:
        """Take the records, with a line of the index for each that has one."""
        for record, indexed in records:
            member = record.member()
            if indexed is not None:
                line = index_line(indexed, name=self.name, offset=self._size, length=len(member))
                self._unwritten_lines.append(line)
                self._index_size += len(line)
            self._unwritten.append(member)
            self._size += len(member)

    def flush(self) -> None:
        """Have it all on the disk: a power cut must not leave less than the database says. Raises `OSError`."""
        for file, pieces in ((self._data, self._unwritten), (self._lines, self._unwritten_lines)):
            _write(file, b"".join(pieces))
            os.fdatasync(file.fileno())
            pieces.clear()

    def is_full(self, max_bytes: int) -> bool:
        """Whether the next records go into another one."""
        return self._size >= max_bytes or self._index_size >= _MAX_INDEX_BYTES

    def state(self) -> WarcFile:
        """As it is now."""
        return WarcFile(name=self.name, folder=str(self.folder), size=self._size, index_size=self._index_size)

    def note_committed(self) -> None:
        """What was written so far stays."""
        self._committed = self._size, self._index_size

    def finish(self) -> str:
        """Sort the index and give the file its name, which is returned. Raises `OSError`. After a kill in between, it
        can be done again.
        """
        self._close()
        write_index(self._lines_path, self.folder / f"{self.name.removesuffix(SUFFIX)}.cdxj")
        self._path.rename(self.folder / self.name)
        sync_folder(self.folder)
        self._lines_path.unlink()
        return self.name

    def abandon(self) -> None:
        """Leave it for the next run, without what is not committed; if that is nothing, remove it. Raises `OSError`."""
        self._cut()
        self._close()
        if not self._committed[0]:
            self._path.unlink()
            self._lines_path.unlink()

    def _cut(self) -> None:
        for file, size in zip((self._data, self._lines), self._committed, strict=True):
            os.ftruncate(file.fileno(), size)
            file.seek(size)

    def _close(self) -> None:
        self._lines.close()
        self._data.close()


def forget_lines(folder: Path, name: str) -> None:
    """Remove the unsorted lines of a file that is closed, if a kill came before that. Raises `OSError`."""
    _lines_path(folder, name).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names of its files on the disk. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines_path(folder: Path, name: str) -> Path:
    return folder / f"{name.removesuffix(SUFFIX)}.cdxj{OPEN}"


def _check_size(path: Path, committed: int) -> None:
    found = path.stat().st_size
    if found < committed:
        raise ArchiveFailedError(
            f"{path} has {found:,} bytes, but {committed:,} were committed; restore it from a copy, or delete it and"
            " name an empty folder with --warc to go on without it"
        )


def _write(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _opened(path: Path) -> FileIO:
    """The file, made where it is missing; a copy of the database may be crawled at the same time. It has no buffer,
    which would be written once more, in vain, when the file is closed on a full disk.
    """
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(
            f"--warc {path.parent}: another crawl is writing to {path.name}; name another folder"
        ) from None
    return file
