"""Standard streams that may be closed, or lose their readers, without harm to the crawl.

Imports nothing heavy: `open_closed_streams` runs before anything else does.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES = {0: "stdin", 1: "stdout", 2: "stderr"}


def open_closed_streams() -> None:
    """Open the null device in the place of each standard stream that is closed (`>&-`).

    Otherwise the next socket or pipe would get its number, and a child that inherits it would take it for a stream.
    """
    for number, name in _NAMES.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def lasting_stream(number: int) -> TextIO:
    """Standard output (1) or error (2) for what is only told, not asked for: what cannot be written is lost in silence.

    So a reader that has gone or a full disk neither ends the crawl nor changes its result.
    """
    raw = _Lasting(number, "w", closefd=False)
    encoding = getattr(getattr(sys, _NAMES[number]), "encoding", None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=True)


def flush_output(more: str = "") -> OSError | None:
    """Write out what standard output and error still hold; returns why standard output cannot take it, or `more`.

    Such a stream leads to the null device from then on, so that the interpreter has nothing to complain of when it
    flushes it once more at its end.
    """
    write_out(sys.stderr)
    return write_out(sys.stdout, more)


def write_out(stream: TextIO, text: str = "") -> OSError | None:
    """The same for one stream."""
    try:
        if text:  # even an empty one would be written, and fail
            stream.write(text)
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        return error
    return None


class _Lasting(io.FileIO):
    """A file that never fails: once it cannot be written, nobody reads it any more."""

    _lost = False

    def write(self, data: ReadableBuffer) -> int:
        if not self._lost:
            try:
                return super().write(data) or memoryview(data).nbytes  # None: somebody made it non-blocking
            except OSError:
                self._lost = True
        return memoryview(data).nbytes
