"""Files that others may read while we write them: a reader sees the whole old file or the whole new one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import UsageError
from crawler.temporary import temporary_file

_PREFIX = ".crawler."  # of a temporary file, without the file's own name, which may be as long as the system allows


def check_writable(flag: str, path: Path) -> None:
    """Raise `UsageError` if `write_file` could not write there: better at the start of a crawl than at its end."""
    with _explained(flag, path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder; name a file")
        if not _takes_the_place_of_a_file(path):
            return
        with temporary_file(path.parent, _PREFIX):
            pass


def write_file(flag: str, path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a temporary file and rename it to `path`; `durable`: that holds across a power cut, too.

    A device or a pipe, such as /dev/stdout, is written to directly. Raises `UsageError`, which names the `flag`, if the
    file cannot be written.
    """
    with _explained(flag, path):
        if not _takes_the_place_of_a_file(path):
            path.write_bytes(data)
            return
        with temporary_file(path.parent, _PREFIX) as temporary:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)


def _takes_the_place_of_a_file(path: Path) -> bool:
    return path.is_file() or not path.exists()


@contextmanager
def _explained(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror or error}") from error
