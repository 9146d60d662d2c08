"""Files that others read while we write them: whoever opens one sees the old or the new one, whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import UsageError


def check_writable(flag: str, path: Path) -> None:
    """Raises `UsageError` where `write_file` could not write there: found out before the crawl, not after it."""
    with _explained(flag, path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder; name a file")
        if not _takes_the_place_of_a_file(path):
            return
        temporary = _temporary(path)
        temporary.touch()
        temporary.unlink()


def write_file(flag: str, path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write it beside its place and rename it; `durable`: a power cut leaves the old or the new one, too.

    A device or a pipe, such as /dev/stdout, is written to as it is. Raises `UsageError` where it cannot be written,
    with the `flag` that named the file.
    """
    with _explained(flag, path):
        if not _takes_the_place_of_a_file(path):
            path.write_bytes(data)
            return
        temporary = _temporary(path)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _takes_the_place_of_a_file(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _temporary(path: Path) -> Path:
    """In the same folder; its length does not depend on the name, which may be as long as names can be."""
    return path.parent / f".crawler.{os.getpid()}.tmp"


@contextmanager
def _explained(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror or error}") from error
