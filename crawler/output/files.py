"""Files that others may read while we write them: a reader sees the whole old file or the whole new one.

Invariant: where `check_writable` was asked first, none of them takes the place of a database.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crawler.errors import UsageError
from crawler.temporary import temporary_file

_SQLITE_MAGIC = b"SQLite format 3\0"
PREFIX = ".crawler."  # of a temporary file, without the file's own name, which may be as long as the system allows


def check_writable(flag: str, path: Path) -> None:
    """Raise `UsageError` if `write_file` could not write there: better at the start of a crawl than at its end.

    A SQLite file is refused, too: it was probably meant as `--db`, and it may hold a crawl of months.
    """
    with explained(flag, path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder; name a file")
        if is_database(path):
            raise FileExistsError(errno.EEXIST, "is a SQLite database; name another file")
        if not takes_the_place_of_a_file(path):
            return
        with temporary_file(path.parent, PREFIX):
            pass


def write_file(flag: str, path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a temporary file and rename it to `path`; `durable`: that holds across a power cut, too.

    A device or a pipe, such as /dev/stdout, is written to directly. Raises `UsageError`, which names the `flag`, if the
    file cannot be written.
    """
    with replacing(flag, path, durable=durable) as file:
        file.write(data)


@contextmanager
def replacing(flag: str, path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` once the block has ended without an error; see `write_file`.

    If we are killed, a temporary file is left beside the old one, until a file is written to that folder again.
    """
    with explained(flag, path):
        if not takes_the_place_of_a_file(path):
            with path.open("wb") as file:
                yield file
            return
        with temporary_file(path.parent, PREFIX) as temporary:
            with written(temporary, durable=durable) as file:
                yield file
            temporary.replace(path)


@contextmanager
def written(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write to; `durable`: what stands in it at the end of the block outlives a power cut."""
    with path.open("wb") as file:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())


def is_database(path: Path) -> bool:
    """Whether it is a SQLite file."""
    try:
        if not path.is_file():  # a pipe would give its first bytes to us
            return False
        with path.open("rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except (OSError, ValueError):
        return False


def takes_the_place_of_a_file(path: Path) -> bool:
    """Whether `write_file` makes a new file there, rather than write to a device or a pipe."""
    return path.is_file() or not path.exists()


@contextmanager
def explained(flag: str, path: Path) -> Iterator[None]:
    """Turn an error of the file system into a `UsageError` that names the `flag` and the path."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror or error}") from error
