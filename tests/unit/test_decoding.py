"""Content-Encoding undone piece by piece."""

from __future__ import annotations

import gzip
import random
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
    assert decoder.finish()
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
def test_garbage_behind_brotli_in_any_chunk(chunks: tuple[bytes, ...]) -> None:
    """What stands behind a brotli stream is passed over, in whatever chunk it comes.

    The library refuses it, with all that came with it.
    """
    assert decoded("br", b"\6") == b""
    assert decoded("br", *chunks) == b""


@pytest.mark.parametrize("size", [10, 5000, 2 * PIECE_BYTES + 5000])
@pytest.mark.parametrize("at_once", [1024, 4096, 10**9])
def test_brotli_is_whole_before_garbage(size: int, at_once: int) -> None:
    """A brotli stream is decoded whole, whatever stands behind it and however much."""
    text = b"".join(b"%d " % (number * number) for number in range(size // 8 + 2))[:size]
    body = brotli.compress(text, quality=5) + b"garbage" * 1000
    assert decoded("br", *(body[at : at + at_once] for at in range(0, len(body), at_once))) == text


def test_members_follow_each_other_and_what_is_none_ends_them() -> None:
    one, two = gzip.compress(b"one"), gzip.compress(b"two")
    assert decoded("gzip", one + two) == b"onetwo"
    assert decoded("gzip", one + b"x" + two) == b"one"
    assert decoded("gzip", one + b"x", two) == b"one"
    assert decoded("gzip", one + b"\x1f", b"\x8b" + two) == b"one"
    assert decoded("gzip", one + two[:1], two[1:2], two[2:]) == b"onetwo"
    skippable = b"\x50\x2a\x4d\x18\x02\0\0\0hi"
    assert decoded("zstd", zstd.compress(b"one") + skippable[:2], skippable[2:] + zstd.compress(b"two")) == b"onetwo"
    assert decoded("deflate", zlib.compress(b"one") + zlib.compress(b"two")) == b"one"  # as all clients do
    with pytest.raises(ContentEncodingError):
        decoded("gzip", one + two[:-8] + bytes(8))


def test_several_codings_are_undone_in_reverse_order() -> None:
    decoder = BodyDecoder("gzip", "br")
    body = brotli.compress(gzip.compress(b"text"))
    assert b"".join(piece for at in range(len(body)) for piece in decoder.decode(body[at : at + 1])) == b"text"
    assert decoder.finish()


@pytest.mark.parametrize(("spare", "overrun"), [(0, False), (-1, True)])
def test_what_a_lower_coding_brings_is_bounded(spare: int, overrun: bool) -> None:
    text = random.Random(1).randbytes(5000)
    inner = gzip.compress(text)
    decoder = BodyDecoder("gzip", "gzip", max_bytes=len(inner) + spare)
    body = b"".join(decoder.decode(gzip.compress(inner)))
    assert (body, decoder.overrun) == (b"" if overrun else text, overrun)


def test_a_body_that_is_cut_is_known_to_be() -> None:
    packed = gzip.compress(b"text")
    for codings, body in ((("gzip",), packed[:-1]), (("gzip", "gzip"), gzip.compress(packed[:-1]))):
        decoder = BodyDecoder(*codings)
        assert b"".join(decoder.decode(body)) == b"text"
        assert not decoder.finish()


def test_a_body_that_is_cut_before_it_says_anything_is_none() -> None:
    decoder = BodyDecoder("gzip")
    assert list(decoder.decode(gzip.compress(b"text")[:5])) == []
    with pytest.raises(ContentEncodingError, match="middle of its gzip data"):
        decoder.finish()
    assert BodyDecoder("gzip").finish()
