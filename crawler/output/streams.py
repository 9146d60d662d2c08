"""Standard streams that may be closed, or lose their readers, without harm to the crawl.

Imports nothing heavy, because `open_closed_streams` runs before everything else.
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
    """Open the null device in place of each standard stream that is closed (`>&-`).

    Otherwise the next socket or pipe would get its number, and a child would inherit it as a standard stream.
    """
    for number, name in _NAMES.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def lasting_stream(number: int) -> TextIO:
    """Standard output (1) or error (2) for progress and notices: what cannot be written is dropped silently.

    So neither a reader that has gone nor a full disk ends the crawl or changes its exit status.
    """
    raw = _Lasting(number, "w", closefd=False)
    encoding = getattr(getattr(sys, _NAMES[number]), "encoding", None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=True)


def flush_output(more: str = "") -> OSError | None:
    """Flush standard output and error, after writing `more` to standard output; returns why standard output failed.

    A stream that failed is redirected to the null device, so that the interpreter does not complain when it flushes
    once more at exit.
    """
    write_out(sys.stderr)
    return write_out(sys.stdout, more)


def write_out(stream: TextIO, text: str = "") -> OSError | None:
    """Write `text` to one stream and flush it, as `flush_output` does."""
    try:
        if text:  # writing an empty text may fail, too
            stream.write(text)
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        return error
    return None


class _Lasting(io.FileIO):
    """A file whose writes never fail: after the first that does, everything is dropped."""

    _lost = False

    def write(self, data: ReadableBuffer) -> int:
        if not self._lost:
            try:
                return super().write(data) or memoryview(data).nbytes  # None: the stream is non-blocking and full
            except OSError:
                self._lost = True
        return memoryview(data).nbytes
