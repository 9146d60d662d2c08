"""The lines between chunks: what is to the grammar is left alone, however it comes in."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.network.chunks import ChunkedBody

PARTS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
SIZES = st.sampled_from([b"%x", b"0%x", b"%x ", b"%X;a=b"])
TRAILERS = st.sampled_from([b"", b"X: y\r\n", b"X: y\nA:\r\n"])
ENDS = st.sampled_from([b"\r\n", b"\n"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """To the grammar, but that a chunk may end with LF alone, as every parser has it."""
    chunks = [(draw(SIZES) % len(part)) + b"\r\n" + part + draw(ENDS) for part in draw(PARTS)]
    return b"".join([*chunks, b"0\r\n", draw(TRAILERS), draw(ENDS)])


def fed(body: ChunkedBody, data: bytes, cuts: list[int]) -> bytes:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return b"".join(body.feed(data[start:end]) for start, end in pairwise(places))


@given(bodies(), st.binary(max_size=20), st.lists(st.integers(0, 300), max_size=8))
def test_what_is_to_the_grammar_is_left_alone_and_so_is_what_stands_behind_it(
    data: bytes, behind: bytes, cuts: list[int]
) -> None:
    body = ChunkedBody()
    assert fed(body, data + behind, cuts) == data + behind
    assert not body.is_repaired
    assert ChunkedBody().feed(data) is data


@given(bodies(), st.lists(st.integers(0, 300), max_size=8))
def test_a_last_chunk_that_ends_with_lf_is_one(data: bytes, cuts: list[int]) -> None:
    body = ChunkedBody()
    last = data.rindex(b"0\r\n")
    assert fed(body, data[: last + 1] + data[last + 2 :], cuts) == data
    assert body.is_repaired


@pytest.mark.parametrize("line", [b"nonsense\r\n", b"X : y\r\n", b"X: \0\r\n", b"Content-Length: 5\r\n", b" folded\n"])
@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_a_trailer_that_is_none_stands_behind_the_body(line: bytes, cuts: list[int]) -> None:
    body = ChunkedBody()
    assert (
        fed(body, b"1\r\nx\r\n0\r\nA: b\r\n" + line + b"\r\n", cuts) == b"1\r\nx\r\n0\r\nA: b\r\n\r\n" + line + b"\r\n"
    )
    assert body.is_repaired


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes_mean_the_same_however_they_come_in(data: bytes, cuts: list[int]) -> None:
    """But for a line that has no end yet."""
    whole, cut = ChunkedBody(), ChunkedBody()
    meant = whole.feed(data)
    assert fed(cut, data, cuts) == meant
    assert cut.is_repaired == whole.is_repaired
    if not whole.is_repaired:
        assert data.startswith(meant)


def test_a_line_without_end_is_not_kept() -> None:
    body = ChunkedBody()
    given_back = sum(len(body.feed(b"5;" + b"x" * 10_000)) for _ in range(50))
    assert given_back > 400_000
    assert re.fullmatch(b"x+", body.feed(b"xxx"))
