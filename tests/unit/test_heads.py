"""Heads of answers that are not to the grammar, made so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.network.heads import MAX_FIELDS, MAX_HEAD_BYTES, Head, HeadTooLargeError, repaired
from tests.fuzz.answers import check_repaired

_LINES = [
    b"", b"A: b", b"A : b", b": b", b"A", b" b", b"\tb: c", b"A: b\rc", b"A:\xe9", b"\xe9: a", b"A: \0",
    b"Content-Length: 5", b"content-length:5 bytes", b"Content-Length: +5, 5", b"Content-Length: 6", b"Content-Length:",
    b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity, CHUNKED",
    b"Transfer-Encoding: gzip", b"Transfer-Encoding:", b"Connection: close", b"Upgrade: x", b"Sec-WebSocket-Key1: x",
]  # fmt: skip
_STATUSES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0  404",
    b"HTTP/1.1 304\r",
    b"HTTP/1.1 103 a\rb",
    b"HTTP/1.1 101 x",
    b"x",
    b"",
]


@given(
    status=st.sampled_from(_STATUSES),
    lines=st.lists(st.sampled_from(_LINES), max_size=6),
    end=st.sampled_from([b"\r\n", b"\n", b"\r\r\n"]),
)
def test_a_repaired_head_is_to_the_grammar_and_needs_no_repair(status: bytes, lines: list[bytes], end: bytes) -> None:
    check_repaired(end.join([status, *lines, b"", b""]))


@given(st.binary(max_size=300).map(lambda noise: b"HTTP/1.1 200 OK\r\n" + noise + b"\r\n\r\n"))
def test_whatever_the_bytes(head: bytes) -> None:
    check_repaired(head)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", b"HTTP/1.1 200 \r\nA: b\r\n\r\n"),
        (b"HTTP/1.1  200 OK\nA:b \n\n", b"HTTP/1.1 200 \r\nA: b\r\n\r\n"),
        (b"HTTP/1.1 200\r\nA: b\r\n  c\r\n\td\r\nB\r\n e\r\n\r\n", b"HTTP/1.1 200 \r\nA: b c d\r\n\r\n"),
        (b"HTTP/1.1 200\r\n c\r\nA:\r\n\r\n", b"HTTP/1.1 200 \r\nA: \r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\nA: b\r\nCONTENT-LENGTH: 05\r\n\r\n",
         b"HTTP/1.1 200 \r\nA: b\r\nContent-Length: 5\r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\nTransfer-Encoding: Chunked\r\n\r\n",
         b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: identity\r\nContent-Length: 7\r\n\r\n",
         b"HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n"),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: identity\r\n\r\n", b"HTTP/1.1 200 \r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 000000000000000000000000000000057\r\n\r\n",
         b"HTTP/1.1 200 \r\nContent-Length: 57\r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 00\r\n\r\n", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 0222222222222222222222222222 b\r\n\r\n", b"HTTP/1.1 200 \r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: " + b"9" * 18 + b"\r\n\r\n",
         b"HTTP/1.1 200 \r\nContent-Length: " + b"9" * 18 + b"\r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 5, 6\r\n\r\n", None),
        (b"HTTP/1.1 200\r\nContent-Length: about 5\r\n\r\n", None),
        (b"HTTP/1.1 200\r\nContent-Length:\r\n\r\n", None),
        (b"HTTP/1.1 200\r\nContent-Length: 5 bytes, 5\r\n\r\n", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: gzip\r\n\r\n", None),
        (b"HTTP/1.1 2000\r\n\r\n", None),
        (b"x HTTP/1.1 200\r\n\r\n", None),
        (b"HTTP/1.1 200\r\nA: \0\r\n\r\n", None),
        (b"HTTP/1.1 200\r\n" + b"A: b\r\n" * MAX_FIELDS + b"\r\n",
         b"HTTP/1.1 200 \r\n" + b"A: b\r\n" * MAX_FIELDS + b"\r\n"),
        (b"HTTP/1.1 200\r\n" + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n", None),
    ],
)  # fmt: skip
def test_what_is_meant(head: bytes, expected: bytes | None) -> None:
    assert repaired(head) == expected


def test_heads_are_taken_one_by_one_however_they_come() -> None:
    raw = b"\r\n\nHTTP/1.1 103\r\nA: b\r\n\r\n\r\nHTTP/1.1 200\nA: b\n\r\n\r\n\nbody"
    for size in range(1, len(raw)):
        head, taken = Head(), list[bytes]()
        for at in range(0, len(raw), size):
            head.add(raw[at : at + size])
            while len(taken) < 2 and (one := head.take()):
                taken.append(one)
        assert taken == [b"HTTP/1.1 103\r\nA: b\r\n\r\n", b"HTTP/1.1 200\nA: b\n\r\n"]
        assert head.rest() == b"\r\n\nbody"


def test_a_head_is_as_large_as_the_bound_and_no_larger() -> None:
    fitting = b"HTTP/1.1 200\r\n".ljust(MAX_HEAD_BYTES - 4, b"x") + b"\r\n\r\n"
    head = Head()
    for part in (fitting[:-1], fitting[-1:] + b"body" * MAX_HEAD_BYTES):
        head.add(part)
    assert head.take() == fitting
    for too_large in (b"x" + fitting, b"x" * (MAX_HEAD_BYTES + 1)):
        with pytest.raises(HeadTooLargeError):
            Head().add(too_large)


@pytest.mark.parametrize(
    "beginning", [b"", b"H", b"HTTP/", b"HTTP/1.1  2", b"HTTP/1.1  200\n", b"\r\nHTTP/1.1 200 OK\r\nx"]
)
def test_what_may_become_a_head(beginning: bytes) -> None:
    head = Head()
    head.add(beginning)
    head.take()
    assert head.is_promising()


@pytest.mark.parametrize(
    "beginning", [b"x", b"<", b"HTTQ", b"\0HTTP/", b"HTTP/1.1 20 OK\n", b"HTTP/x\r\n", b" HTTP/1.1 200\n"]
)
def test_what_may_not(beginning: bytes) -> None:
    head = Head()
    head.add(beginning)
    head.take()
    assert not head.is_promising()
