"""What the head of an answer means where it is not to the grammar: what the clients that every site knows make of it.

Invariant: every parser reads a repaired head alike. It says at most once how its body is delimited; where what it says
contradicts itself, there is no repaired head. (Browsers, curl, wget and wget2 agree on what is repaired here.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MAX_HEAD_BYTES = 256 * 1024
MAX_LENGTH_DIGITS = 18  # of a body: beyond, its end is that of the connection
MAX_FIELDS = 4096  # a parser takes a microsecond for each; real answers have a few hundred at most

_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"(HTTP/(?:0\.9|1\.[01]|2\.0)) +(\d{3})(?!\d)")  # the versions that aiohttp's parser takes
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\0]*)\r?")  # RFC 9112, 5
_LENGTH = re.compile(rb"\+?0*(\d+)(?!\w)")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_DROPPED = _FRAMING | {b"sec-websocket-key1"}  # aiohttp refuses the latter, for the sake of a protocol long gone


class HeadTooLargeError(Exception):
    """The head exceeds `MAX_HEAD_BYTES`."""


class Head:
    """The bytes of a head, or of several, as they come in."""

    __slots__ = ("_bytes", "_searched")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0

    def add(self, data: bytes) -> None:
        """Add what has come. Raises `HeadTooLargeError`."""
        self._bytes += data
        if len(self._bytes) > MAX_HEAD_BYTES and (self._end() or MAX_HEAD_BYTES + 1) > MAX_HEAD_BYTES:
            raise HeadTooLargeError

    def take(self) -> bytes | None:
        """Remove the first head, with its blank line, and return it; None where its end has not come yet."""
        end = self._end()
        if end is None:
            return None
        head = bytes(self._bytes[:end])
        del self._bytes[:end]
        self._searched = 0
        return head

    def rest(self) -> bytes:
        """What stands behind the heads that were taken."""
        return bytes(self._bytes)

    def is_promising(self) -> bool:
        """Whether this may be repaired once it is complete, as far as its first line tells."""
        begins_well = _STATUS_LINE.match(self._bytes) if b"\n" in self._bytes else self._bytes[:5] == b"HTTP/"
        return bool(begins_well) or b"HTTP/".startswith(self._bytes)

    def _end(self) -> int | None:
        if not self._searched:
            self._bytes = self._bytes.lstrip(b"\r\n")  # RFC 9112, 2.2
        found = _END.search(self._bytes, self._searched)
        if found is not None:
            return found.end()
        self._searched = max(len(self._bytes) - 2, 0)
        return None


def repaired(head: bytes) -> bytes | None:
    """The head as it is meant, to the grammar; None where nobody can tell how it is meant.

    Lines that are no fields are dropped. A line that begins with a space continues the one before it (RFC 9112, 5.2).
    """
    status, *lines = head.rstrip(b"\r\n").split(b"\n")
    version_and_code = _STATUS_LINE.match(status)
    if version_and_code is None or b"\0" in head or len(lines) > MAX_FIELDS:
        return None
    fields = [(found[1], found[2].strip(b" \t")) for found in map(_FIELD.fullmatch, _unfolded(lines)) if found]
    framing = _framing(_values(fields, b"content-length"), _values(fields, b"transfer-encoding"))
    if framing is None:
        return None
    kept = [field for field in fields if field[0].lower() not in _DROPPED]
    return b"\r\n".join([b"%b %b " % version_and_code.groups(), *map(b": ".join, [*kept, *framing]), b"", b""])


def is_field(line: bytes) -> bool:
    """Whether the line is a field, and none that delimits a body: such a trailer may stand behind one."""
    found = _FIELD.fullmatch(line.removesuffix(b"\n"))
    return found is not None and found[1].lower() not in _FRAMING


def _unfolded(lines: Iterable[bytes]) -> list[bytes]:
    whole: list[bytes] = []
    for line in lines:
        if line[:1] not in (b" ", b"\t"):
            whole.append(line)
        elif whole:
            whole[-1] = whole[-1].removesuffix(b"\r") + b" " + line.strip(b" \t")
    return whole


def _values(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    """The elements of a field that is a list, wherever they stand (RFC 9110, 5.6.1); one that is empty where it is."""
    values = [value for name, value in fields if name.lower() == wanted]
    elements = [element.strip(b" \t") for element in b",".join(values).split(b",")]
    return [element for element in elements if element] or values[:1]


def _framing(lengths: Sequence[bytes], codings: Sequence[bytes]) -> list[tuple[bytes, bytes]] | None:
    """The field that delimits the body, if it needs one; None where nobody can tell.

    Source: RFC 9112, 6.3: where there is both a coding and a length, the coding counts.
    """
    if applied := {coding.lower() for coding in codings} - {b"identity"}:
        return [(b"Transfer-Encoding", b"chunked")] if applied == {b"chunked"} else None
    numbers = {number[1] if (number := _LENGTH.match(length)) else None for length in lengths}
    if len(numbers) > 1 or None in numbers:
        return None
    return [(b"Content-Length", number) for number in numbers if number and len(number) <= MAX_LENGTH_DIGITS]
