"""Temporary files beside the file whose name they will get, without those of dead processes.

A process that is killed cannot remove its file. So each is locked for as long as it is written, and whoever makes the
next one in that folder removes those that nobody holds.
Invariant: what a living process writes is not removed, whatever its process id: those repeat, and containers that share
a folder have the same ones. Where a file system has no locks, nothing is removed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".tmp"


@contextmanager
def temporary_file(folder: Path, prefix: str, mode: int = 0o666) -> Iterator[Path]:
    """An empty file in `folder`, which is gone afterwards unless it has got another name. Raises `OSError`.

    `prefix` begins its name, and those of its kind that are removed; `mode`: who may read it, as for `os.open`.
    """
    remove_leftovers(folder, prefix)
    path, descriptor = _made(folder, prefix, mode)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove the files of that kind that nobody writes any more; one that cannot be removed stays."""
    with suppress(OSError):
        for path in folder.glob(f"{prefix}*{_SUFFIX}"):
            with suppress(OSError):
                _remove_unless_held(path)


def _made(folder: Path, prefix: str, mode: int) -> tuple[Path, int]:
    while True:
        path = folder / f"{prefix}{os.getpid()}-{os.urandom(4).hex()}{_SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # somebody took it for a leftover before it was locked


def _remove_unless_held(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)
