"""Bytes to text, exactly as the WHATWG Encoding Standard has it for every sequence of bytes.

Invariant: nothing raises, whatever the bytes; the text holds Unicode scalar values only, and no NUL. SQLite and JSON
tools would cut it at a NUL and fail on a lone surrogate.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from functools import cache

from crawler.charsets.differences import sequences_of
from crawler.charsets.iso_2022_jp import decode_iso_2022_jp
from crawler.charsets.labels import NAMES
from crawler.charsets.multi_byte import CODECS as MULTI_BYTE_CODECS
from crawler.charsets.multi_byte import decode_multi_byte

UNICODE_CODECS = {"utf-8": "utf-8", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
SINGLE_BYTE_CODECS = {  # Python's, where it has another name
    "ibm866": "cp866",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}
_WHOLE = {"iso-2022-jp", "replacement"}


def decode(body: bytes, encoding: str) -> str:
    """The text of `body`; `encoding` is a name of the standard's, lower case. What cannot be decoded becomes U+FFFD.

    A byte-order mark of that encoding is dropped. An unknown name is read as windows-1252. NUL becomes U+FFFD, too.
    Source: WHATWG Encoding Standard, "decode" and "The encodings".
    """
    text = _decode(body, encoding).replace("\0", "\ufffd")
    return text[1:] if text[:1] == "\ufeff" and encoding in UNICODE_CODECS else text


def decode_pieces(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    """`decode` for a body that comes in pieces: the same text, in pieces of about the same size.

    In a legacy encoding, a piece is held back from its last line end, space or slash on: no sequence of bytes goes
    across one. What is in iso-2022-jp, where an escape reaches further, comes in one piece.
    """
    if encoding in UNICODE_CODECS:
        yield from _decode_unicode(pieces, encoding)
        return
    held: list[bytes] = []
    for piece in pieces:
        end = 0 if encoding in _WHOLE else max(map(piece.rfind, (b"\n", b" ", b"/"))) + 1
        if end:
            yield decode(b"".join([*held, piece[:end]]), encoding)
            held = []
        held.append(piece[end:])
    yield decode(b"".join(held), encoding)


def _decode_unicode(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(UNICODE_CODECS[encoding])("replace")
    mark = "\ufeff"
    for piece in pieces:
        if text := decoder.decode(piece).replace("\0", "\ufffd"):
            yield text.removeprefix(mark)
            mark = ""
    yield decoder.decode(b"", True).removeprefix(mark)


def _decode(body: bytes, encoding: str) -> str:
    if codec := UNICODE_CODECS.get(encoding):
        return body.decode(codec, "replace")
    if encoding in MULTI_BYTE_CODECS:
        return decode_multi_byte(body, encoding)
    if encoding == "iso-2022-jp":
        return decode_iso_2022_jp(body)
    if encoding == "replacement":
        return "\ufffd" if body else ""
    return codecs.charmap_decode(body, "replace", single_byte_table(encoding))[0]


@cache
def single_byte_table(encoding: str) -> str:
    """The character for each byte, U+FFFD for none. An unknown name has the table of windows-1252."""
    if encoding == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    if encoding not in NAMES:
        encoding = "windows-1252"
    table = bytes(range(256)).decode(SINGLE_BYTE_CODECS.get(encoding, encoding), "replace")
    differences = sequences_of(encoding)
    return "".join(differences.get(bytes([byte]), char) for byte, char in enumerate(table))
