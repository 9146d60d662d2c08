"""A folder of exported files, with a manifest: a line of JSON for each file, `file` and what it is of.

One export at a time writes to a folder: it holds the lock of the journal, in which a line stands for each file before
that is begun. Invariants: a file is whole or is not there; nothing is removed but what the manifest or the journal
names, and whose name is one that we give; a folder that we have not made, and that is not empty, is left alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from crawler.errors import UsageError
from crawler.output.exports.target import FLAG
from crawler.output.files import explained, replacing

MANIFEST, JOURNAL = "_manifest.jsonl", "_unfinished.jsonl"  # no folder of a host has such a name
_TEMPORARY = ".crawler-export.tmp"
_MAX_MADE = 10_000  # folders that are known to be there

Entry = Mapping[str, Any]


class Folder:
    """A folder that is being filled. Files are named as in the manifest: by their path in the folder, with slashes."""

    def __init__(self, root: Path, journal: int) -> None:
        self._root, self._journal = root, journal
        self._earlier = os.fstat(journal).st_size  # bytes of the journal that are not of this export
        self._temporary = root / _TEMPORARY
        self._made: set[str] = set()  # folders that are there

    @property
    def is_complete(self) -> bool:
        """Whether an earlier export has been finished here."""
        return (self._root / MANIFEST).exists()

    def write(self, entry: Entry, data: bytes) -> None:
        """Write the file `entry["file"]`, unless it says that already."""
        path = self._announced(entry)
        if not _holds(path, data):
            self._temporary.write_bytes(data)
            os.replace(self._temporary, path)  # noqa: PTH105 - a million times

    @contextmanager
    def temporary(self, entry: Entry) -> Iterator[Path]:
        """A file to write to, which becomes `entry["file"]` once the block has ended without an error."""
        path = self._announced(entry)
        yield self._temporary
        self._temporary.replace(path)

    def adopt(self, entry: Entry, temporary: Path) -> None:
        """A whole file, in the folder by another name, becomes `entry["file"]`."""
        temporary.replace(self._announced(entry))

    def remove(self, file: str) -> None:
        """Remove a file, if it is there, and the folders that are empty then."""
        path = self._root / file
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            self._made.clear()
            with suppress(OSError):
                for folder in path.relative_to(self._root).parents[:-1]:
                    (self._root / folder).rmdir()

    def holds(self, file: str) -> bool:
        """Whether it is there."""
        return os.path.isfile(self._path(file))  # noqa: PTH113 - a million times

    def known(self) -> Iterator[Entry]:
        """What earlier exports have written here, as far as they have come; some of it twice."""
        for path, length in ((self._root / MANIFEST, None), (self._root / JOURNAL, self._earlier)):
            with suppress(FileNotFoundError), path.open("rb") as lines:
                while (length is None or lines.tell() < length) and (line := lines.readline()):
                    yield from _entry_of(line)

    async def finish(self, entries: AsyncIterator[Entry]) -> None:
        """These are all the files of the export: write the manifest."""
        with replacing(FLAG, self._root / MANIFEST) as file:
            async for entry in entries:
                file.write(orjson.dumps(entry) + b"\n")
        (self._root / JOURNAL).unlink()

    def _announced(self, entry: Entry) -> str:
        """The file's path, whose folder is there; the journal has it from now on."""
        os.write(self._journal, orjson.dumps(entry) + b"\n")
        path = self._path(entry["file"])
        folder = os.path.dirname(path)  # noqa: PTH120 - a million times
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            if len(self._made) == _MAX_MADE:
                self._made.clear()
            self._made.add(folder)
        return path

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"


def _holds(path: str, data: bytes) -> bool:
    """Whether the file says exactly that."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a million times
            return os.fstat(file.fileno()).st_size == len(data) and file.read() == data
    except FileNotFoundError:
        return False


def _entry_of(line: bytes) -> Iterator[Entry]:
    """Nothing, where it is none: the last line of a process that was killed, or somebody else's."""
    with suppress(ValueError):
        entry = orjson.loads(line)
        if isinstance(entry, dict) and isinstance(entry.get("file"), str):
            yield entry


@contextmanager
def open_folder(root: Path) -> Iterator[Folder]:
    """Fill a folder, which is made if it is missing.

    Raises `UsageError` if it is none of ours, if another export writes to it, and if it cannot be written to.
    """
    with explained(FLAG, root):
        _check(root)
        root.mkdir(parents=True, exist_ok=True)
        journal = _locked(root)
        try:
            yield Folder(root, journal)
        finally:
            (root / _TEMPORARY).unlink(missing_ok=True)
            os.close(journal)


def _check(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UsageError(f"{FLAG} {root} is a file, and this export needs a folder; name another one")
    ours = (MANIFEST, JOURNAL)
    if root.is_dir() and any(root.iterdir()) and not any((root / name).exists() for name in ours):
        raise UsageError(f"{FLAG} {root} is a folder that `crawler export` has not made, and not empty; name a new one")


def _locked(root: Path) -> int:
    """The journal, to be appended to. What an export that was killed has written to it stays."""
    while True:
        journal = os.open(root / JOURNAL, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(journal)
            raise UsageError(
                f"{FLAG} {root}: another export is writing to this folder; wait until it is done"
            ) from None
        except OSError:
            pass  # a file system without locks
        if os.fstat(journal).st_nlink:
            os.write(journal, b"\n")  # the last line may have been cut off
            return journal
        os.close(journal)  # that export has ended meanwhile, and has removed it
