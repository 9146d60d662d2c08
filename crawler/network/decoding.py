"""Undoes the Content-Encoding of a body, piece by piece.

aiohttp could do this, but it takes a compressed body that is cut short for a whole one. Invariants: a piece is about
`PIECE_BYTES` at most, however little it came from; the work for a chunk is in proportion to its size and that of its
pieces; a body that is none of its coding is a `ContentEncodingError`, one that ends early is known to be cut.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]
from aiohttp.http_exceptions import ContentEncodingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 256 * 1024
MAX_ZSTD_WINDOW_LOG = 23  # 8 MiB, all that RFC 9659 permits in HTTP; a frame may ask for more than 64 MiB

_WINDOW_BYTES = 4096  # each member copies the input behind its end: of tiny ones in a large chunk, the square of it
_MAX_REPLAYED_BYTES = 256 * 1024  # of brotli, kept to find its end where something follows; few pages are as large


class BodyDecoder:
    """Decodes one body of 'gzip', 'deflate', 'br' or 'zstd', or of several in the order in which they were applied.

    `max_bytes` bounds what comes out of each of them. The last may exceed it by a piece; where one below it does,
    nothing more comes and `overrun` is set.
    """

    def __init__(self, *codings: str, max_bytes: int = sys.maxsize) -> None:
        self._layers = [_Layer(coding) for coding in reversed(codings)]
        self.max_bytes = max_bytes
        self.overrun = False

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """What the next chunk decodes to. Raises `ContentEncodingError`."""
        return self._undo(chunk, 0)

    def finish(self) -> bool:
        """The body has ended: whether all of it was there. Raises `ContentEncodingError` where nothing of it could be
        decoded. An empty one is fine.
        """
        whole = all(layer.is_whole for layer in self._layers)
        if not whole and not self._layers[-1].decoded:
            raise ContentEncodingError(f"the body ends in the middle of its {self._layers[0].coding} data")
        return whole

    def _undo(self, data: bytes, depth: int) -> Iterator[bytes]:
        layer = self._layers[depth]
        if layer is self._layers[-1]:
            yield from layer.decode(data)
            return
        for piece in layer.decode(data):
            if layer.decoded > self.max_bytes:
                self.overrun = True
            if self.overrun:
                return
            yield from self._undo(piece, depth + 1)


class _Layer:
    """One coding. Members of gzip and frames of zstd follow each other; what else stands behind the end is passed over,
    as all clients do.
    """

    def __init__(self, coding: str) -> None:
        self.coding = coding
        self.decoded = 0  # bytes
        self._open, self._beginnings = _CODINGS[coding]
        self._stream: _Stream | None = None
        self._unclear = b""  # what stands behind an end, as long as it is too little to tell what it is
        self._is_over = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing where nothing more comes."""
        return self._stream is None or self._stream.ended

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """What the next chunk decodes to. Raises `ContentEncodingError`."""
        data, at, window = memoryview(self._unclear + chunk), 0, 0
        self._unclear = b""
        try:
            while at < len(data) and not self._is_over:
                if self._stream is None or self._stream.ended:
                    if self._stream is not None and not self._goes_on(bytes(data[at : at + 4])):
                        break
                    window = 0 if self._stream is None else _WINDOW_BYTES
                    self._stream = self._open(data[at])
                end = min(at + (window or len(data)), len(data))
                for piece in self._stream.decode(data[at:end]):
                    self.decoded += len(piece)
                    yield piece
                at = end - len(self._stream.leftover)
        except (zlib.error, zstd.ZstdError, brotli.error):
            raise ContentEncodingError(f"the body cannot be decoded as {self.coding}") from None

    def _goes_on(self, beginning: bytes) -> bool:
        """Whether another stream begins so behind the end of one."""
        if beginning.startswith(self._beginnings):
            return True
        if any(magic.startswith(beginning) for magic in self._beginnings):
            self._unclear = beginning
        else:
            self._is_over = True
        return False


class _Stream(Protocol):
    """One gzip member, zstd frame, zlib or brotli stream. Once it has `ended`, `leftover` is the input behind it."""

    ended: bool
    leftover: bytes

    def decode(self, data: memoryview) -> Iterator[bytes]:
        """What `data` decodes to. Raises what the library raises."""


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
    leftover = b""  # nothing can follow

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self._given: bytearray | None = bytearray()
        self._decoded = 0
        self.ended = False

    def decode(self, data: memoryview) -> Iterator[bytes]:
        if self._given is not None:
            self._given += data
            if len(self._given) > _MAX_REPLAYED_BYTES:
                self._given = None
        try:
            for piece in _brotli_pieces(self._decompressor, data):
                self._decoded += len(piece)
                yield piece
        except brotli.error:
            if self._given is None:
                raise
            yield from self._before_the_end(bytes(self._given))
        else:
            self.ended = self._decompressor.is_finished()

    def _before_the_end(self, given: bytes) -> Iterator[bytes]:
        """What is missing yet of a stream behind whose end something stands: the library refuses both together.
        Raises `brotli.error` where it is the stream that is wrong.
        """
        stream, skipped = given[: _end_of_brotli(given)], 0
        for piece in _brotli_pieces(brotli.Decompressor(), stream):
            if more := piece[max(self._decoded - skipped, 0) :]:
                yield more
            skipped += len(piece)
        self.ended = True


def _end_of_brotli(given: bytes) -> int:
    """How long the stream is that `given` begins with. It is tried, since the library tells only whether it is over."""
    end = 0
    for step in (1024, 1):
        decompressor = brotli.Decompressor()
        for _piece in _brotli_pieces(decompressor, given[:end]):
            pass
        while not decompressor.is_finished():
            try:
                for _piece in _brotli_pieces(decompressor, given[end : end + step]):
                    pass
            except brotli.error:
                if step == 1:
                    raise
                break
            end += step
    return end


def _brotli_pieces(decompressor: Any, data: bytes | memoryview) -> Iterator[bytes]:
    while piece := decompressor.process(data, output_buffer_limit=PIECE_BYTES):
        yield piece
        data = b""


def _deflate(first_byte: int) -> _Stream:
    """A zlib stream (RFC 9110, 8.4.1.2), or the raw data that some servers send: the method, 8, tells."""
    return _Zlib(zlib.MAX_WBITS if first_byte & 0x0F == 8 else -zlib.MAX_WBITS)


# How to open a stream, given its first byte, and what begins another one behind it.
_CODINGS: dict[str, tuple[Callable[[int], _Stream], tuple[bytes, ...]]] = {
    "gzip": (lambda _first_byte: _Zlib(zlib.MAX_WBITS | 16), (b"\x1f\x8b\x08",)),
    "deflate": (_deflate, ()),
    "br": (lambda _first_byte: _Brotli(), ()),
    "zstd": (
        lambda _first_byte: _Zstd(),
        (b"\x28\xb5\x2f\xfd", *(bytes((byte, 0x2A, 0x4D, 0x18)) for byte in range(0x50, 0x60))),  # RFC 8878, 3.1
    ),
}
