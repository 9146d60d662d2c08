"""The lines between the chunks of a body, where they are not to the grammar: what every client makes of them.

The parser in C refuses a last chunk whose line ends with LF alone (that of another chunk ends so for browsers and curl,
but not for wget2), and the one in Python forgets a body whose trailers are none. Both read what comes out of here (RFC
9112, 7.1).

Invariant: bytes of chunks are passed on as they are, and so is a body that is to the grammar; where the lines make no
sense, everything is, and the parser judges.
"""

from __future__ import annotations

import re

from crawler.network.heads import is_field

_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})(?![0-9A-Fa-f])")
_MAX_LINE_BYTES = 64 * 1024  # held back until its end comes


# Where the next line stands: plain numbers, since members of an Enum take a third of the time that all this takes.
_SIZE_LINE, _CHUNK_END, _TRAILERS, _BEHIND = range(4)  # the last also where nobody knows


class ChunkedBody:
    """A chunked body, followed as it comes in. `is_repaired`: some line was not to the grammar."""

    __slots__ = ("_left", "_line", "_place", "is_repaired")

    def __init__(self) -> None:
        self.is_repaired = False
        self._place = _SIZE_LINE
        self._left = 0  # bytes of the chunk
        self._line = b""  # its beginning, held back

    def feed(self, data: bytes) -> bytes:
        """`data` as the parsers are to read it. A line that has not ended is held back until it has."""
        pieces: list[bytes] = []
        at = done = 0
        while at < len(data) and self._place != _BEHIND:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                if not self._left and data[at : at + 2] == b"\r\n":  # as a rule
                    self._place = _SIZE_LINE
                    at += 2
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            line = self._line + data[at:end]
            meant = self._meant(line)
            if meant is not line or self._line:
                pieces += (data[done:at], meant)
                done = end
            self._line = b"" if meant else line
            at = end
        return b"".join([*pieces, data[done:]]) if done else data

    def _meant(self, line: bytes) -> bytes:
        """A line as the parsers understand it, with what may have to stand before it; nothing until it is complete."""
        if line[-1:] != b"\n":
            return b"" if len(line) <= _MAX_LINE_BYTES else self._give_up(line)
        if self._place == _SIZE_LINE:
            return self._size(line)
        is_empty = line in (b"\n", b"\r\n")
        if self._place == _CHUNK_END:
            self._place = _SIZE_LINE
            return line if is_empty else self._give_up(line)
        if is_empty:
            self._place = _BEHIND
            return line
        return line if is_field(line) else self._end_before(line)

    def _size(self, line: bytes) -> bytes:
        found = _SIZE.match(line)
        if found is None:
            return self._give_up(line)
        self._left = int(found[1], 16)
        self._place = _CHUNK_END if self._left else _TRAILERS
        if self._left or line[-2:] == b"\r\n":
            return line
        self.is_repaired = True
        return line[:-1] + b"\r\n"

    def _end_before(self, line: bytes) -> bytes:
        """The body is complete: what should be its trailers is something else."""
        self.is_repaired = True
        return b"\r\n" + self._give_up(line)

    def _give_up(self, line: bytes) -> bytes:
        self._place = _BEHIND
        return line
