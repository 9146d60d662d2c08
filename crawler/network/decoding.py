"""Undoes the Content-Encoding of a body, piece by piece.

aiohttp could do this, but it takes a compressed body that is cut short for a whole one. Invariants: a piece is about
`PIECE_BYTES` at most, however little it came from; the work for a chunk is in proportion to its size and that of its
pieces; a body that ends early, or that is none of its coding, is a `ContentEncodingError`.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]
from aiohttp.http_exceptions import ContentEncodingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 256 * 1024
MAX_ZSTD_WINDOW_LOG = 23  # 8 MiB, all that RFC 9659 permits in HTTP; a frame may ask for more than 64 MiB

_WINDOW_BYTES = 4096  # each member copies the input behind its end: of tiny ones in a large chunk, the square of it


class _Stream(Protocol):
    """One gzip member, zstd frame, zlib or brotli stream. Once it has `ended`, `leftover` is the input behind it."""

    ended: bool
    leftover: bytes

    def decode(self, data: memoryview) -> Iterator[bytes]:
        """What `data` decodes to. Raises what the library raises."""


class BodyDecoder:
    """Decodes one body of the coding 'gzip', 'deflate', 'br' or 'zstd'."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._open = _STREAMS[coding]
        self._stream: _Stream | None = None
        self._window = 0  # bytes given to the stream at once; 0: all

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """What the next chunk decodes to; members and frames follow each other (brotli has no such thing)."""
        data, at = memoryview(chunk), 0
        try:
            while at < len(data):
                if self._stream is None or (self._stream.ended and self._coding != "br"):
                    self._window = 0 if self._stream is None else _WINDOW_BYTES
                    self._stream = self._open(data[at])
                end = min(at + (self._window or len(data)), len(data))
                yield from self._stream.decode(data[at:end])
                at = end - len(self._stream.leftover)
        except (zlib.error, zstd.ZstdError, brotli.error):
            raise ContentEncodingError(f"the body cannot be decoded as {self._coding}") from None

    def finish(self) -> None:
        """The body has ended: raises `ContentEncodingError` where its coding has not. An empty one is fine."""
        if self._stream is not None and not self._stream.ended:
            raise ContentEncodingError(f"the body ends in the middle of its {self._coding} data")


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)
        self.ended, self.leftover = False, b""

    def decode(self, data: memoryview) -> Iterator[bytes]:
        rest: memoryview | bytes = data
        while piece := self._inflater.decompress(rest, PIECE_BYTES):
            yield piece
            rest = self._inflater.unconsumed_tail
        self.ended, self.leftover = self._inflater.eof, self._inflater.unused_data


class _Zstd:
    def __init__(self) -> None:
        options = {int(zstd.DecompressionParameter.window_log_max): MAX_ZSTD_WINDOW_LOG}
        self._decompressor = zstd.ZstdDecompressor(options=options)
        self.ended, self.leftover = False, b""

    def decode(self, data: memoryview) -> Iterator[bytes]:
        rest: memoryview | bytes = data
        while piece := self._decompressor.decompress(rest, PIECE_BYTES):
            yield piece
            if self._decompressor.eof:
                break
            rest = b""
        self.ended, self.leftover = self._decompressor.eof, self._decompressor.unused_data


class _Brotli:
    leftover = b""  # what stands behind the end is an error, in another chunk too

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self.ended = False

    def decode(self, data: memoryview) -> Iterator[bytes]:
        rest: memoryview | bytes = data
        while piece := self._decompressor.process(rest, output_buffer_limit=PIECE_BYTES):
            yield piece
            rest = b""
        self.ended = self._decompressor.is_finished()


def _deflate(first_byte: int) -> _Stream:
    """A zlib stream (RFC 9110, 8.4.1.2), or the raw data that some servers send: the method, 8, tells."""
    return _Zlib(zlib.MAX_WBITS if first_byte & 0x0F == 8 else -zlib.MAX_WBITS)


_STREAMS: dict[str, Callable[[int], _Stream]] = {
    "gzip": lambda _first_byte: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": _deflate,
    "br": lambda _first_byte: _Brotli(),
    "zstd": lambda _first_byte: _Zstd(),
}
