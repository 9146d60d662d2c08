"""Content-Encoding undone piece by piece."""

from __future__ import annotations

import gzip
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
from aiohttp.http_exceptions import ContentEncodingError
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from crawler.network.decoding import PIECE_BYTES, BodyDecoder
from tests.fuzz.answers import check_decoding

_COMPRESS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda text: brotli.compress(text, quality=1),
    "zstd": zstd.compress,
}


def decoded(coding: str, *chunks: bytes) -> bytes:
    decoder = BodyDecoder(coding)
    body = b"".join(piece for chunk in chunks for piece in decoder.decode(chunk))
    decoder.finish()
    return body


@given(
    coding=st.sampled_from(sorted(_COMPRESS)),
    texts=st.lists(st.binary(max_size=200), min_size=1, max_size=3),
    damage=st.tuples(st.integers(0, 300), st.binary(max_size=3)),
    places=st.lists(st.integers(0, 300), max_size=3),
)
def test_a_body_is_the_same_however_it_is_cut(
    coding: str, texts: list[bytes], damage: tuple[int, bytes], places: list[int]
) -> None:
    whole = _COMPRESS[coding](texts[0])
    assert decoded(coding, whole) == texts[0]
    check_decoding(coding, whole, places)
    at, put = damage
    body = b"".join(map(_COMPRESS[coding], texts))
    check_decoding(coding, body[:at] + put + body[at + len(put) :], places)


@pytest.mark.parametrize("coding", sorted(_COMPRESS))
def test_what_comes_out_in_several_pieces_is_whole(coding: str) -> None:
    text = b"many of these " * (PIECE_BYTES // 5)
    body = _COMPRESS[coding](text)
    assert decoded(coding, body) == text
    check_decoding(coding, body, [9, len(body) - 9])


@pytest.mark.parametrize("chunks", [(b"\6\6",), (b"\6", b"\6")])
def test_nothing_may_stand_behind_brotli_in_whatever_chunk(chunks: tuple[bytes, ...]) -> None:
    assert decoded("br", b"\6") == b""
    with pytest.raises(ContentEncodingError):
        decoded("br", *chunks)
