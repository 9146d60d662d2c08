"""The bytes of a sitemap or feed -> its text, unpacked, in pieces.

Invariants: nothing raises; no more than `MAX_DECODED_BYTES` are unpacked, whatever the body; a body gives the same text
however it is packed.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator

from crawler.bodies import decompressed, is_packed
from crawler.charsets.decoder import decode_pieces
from crawler.content.encoding import sniffed
from crawler.content.listing_type import COMMENT, GZIP_MAGIC

MAX_DECODED_BYTES = 50 * 1024 * 1024  # what sitemaps.org allows, unpacked
TOO_LONG = f"it is longer than {MAX_DECODED_BYTES // 1024**2} MiB"
MAX_GZIP_MEMBERS = 10_000  # each costs a new decompressor, however short it is

_PIECE_BYTES = 64 * 1024
_GZIP_INPUT_BYTES = 4 * 1024  # small, because the input after the end of a member is copied each time
_HEAD_BYTES = 1024  # within which an XML declaration ends
_BLANK = " \t\r\n\ufeff"
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DECLARATION = re.compile(rb"<\?xml[^>]*>")


class DocumentText:
    """A body as text, decoded anew by each call of `pieces`. `content_type` may name its encoding. `cut` says why some
    of the body was left out.
    """

    def __init__(self, body: bytes, content_type: str | None = None) -> None:
        self._body = body
        self._content_type = content_type
        self.cut: str | None = None

    def pieces(self) -> Iterator[str]:
        """The text in pieces, without blanks before it: XML allows nothing before its declaration, yet many sites send
        an empty line there. U+FFFD for invalid bytes: one bad byte in a title must not stop the parser.
        """
        begun = False
        for text in _decoded(self._capped(_unpacked(self._body)), self._content_type):
            if stripped := (text if begun else text.lstrip(_BLANK)):
                begun = True
                yield stripped

    def _capped(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pieces of `_PIECE_BYTES` or a little more, however small they come."""
        left, waiting, size = MAX_DECODED_BYTES, [], 0
        for piece in pieces:
            waiting.append(piece[:left])
            size += len(waiting[-1])
            left -= len(piece)
            if left < 0:
                self.cut = TOO_LONG
                break
            if size >= _PIECE_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)


def _unpacked(body: bytes) -> Iterator[bytes]:
    """As it was sent, which may be gzip, too."""
    pieces = decompressed(body) if is_packed(body) else _cut_up(body)
    first = next(pieces, b"")
    return _gunzipped(_then(first, pieces)) if first.startswith(GZIP_MAGIC) else _then(first, pieces)


def _then(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _cut_up(body: bytes, size: int = _PIECE_BYTES) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What can be unpacked, member by member (RFC 1952), up to the first error or at most 4 KiB before it."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    members_left = MAX_GZIP_MEMBERS
    for packed in (part for piece in pieces for part in _cut_up(piece, _GZIP_INPUT_BYTES)):
        while packed:
            try:
                yield inflater.decompress(packed, _PIECE_BYTES)
            except zlib.error:
                return
            packed = inflater.unconsumed_tail
            if inflater.eof:
                members_left -= 1
                if not members_left:
                    return
                packed = inflater.unused_data
                inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _decoded(pieces: Iterator[bytes], content_type: str | None) -> Iterator[str]:
    first = next(pieces, b"")
    yield from decode_pieces(_then(first, pieces), _encoding_of(first[:_HEAD_BYTES], content_type))


def _encoding_of(head: bytes, content_type: str | None) -> str:
    """By the byte order mark, as HTTP says, by the zeros of UTF-16, or as the XML declares; UTF-8 otherwise.

    Sources: RFC 7303, 3; XML 1.0, appendix F. The names are those of the Encoding Standard, as in HTML.
    """
    bom = next((mark for mark in _BOMS if head.startswith(mark)), b"")
    said = sniffed(bom, content_type)
    if said.source in ("bom", "header"):
        return said.name
    if head[:1] == b"\0":
        return "utf-16be"
    if head[1:2] == b"\0":
        return "utf-16le"
    declared = _DECLARATION.search(COMMENT.sub(b"", head))
    said = sniffed(declared[0] if declared else b"", content_type)
    return said.name if said.source == "xml" else "utf-8"
