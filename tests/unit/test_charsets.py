"""The encodings against the whole tables of the standard, as an independent library has them.

`tests/oracle/hashes.json` holds a hash of each table; `python -m tests.oracle` makes it anew.
`tests/acceptance/test_browser.py` asks a browser the same.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.charsets import multi_byte
from crawler.charsets.decoder import decode, decode_pieces
from crawler.charsets.encoder import encode
from tests.fuzz.documents import ENCODINGS, check_encoder, check_encoding, cut
from tests.oracle.__main__ import HASHES
from tests.oracle.tables import LEGACY, MULTI_BYTE, SINGLE_BYTE, characters, sequences, table_hash

_HASHES = json.loads(HASHES.read_bytes())
_LETTERS = "aé<ß日本語한국어中文Приветע×①㈱〜／∕¥‾−ｱ€Ê̄😀\ue5e5\ue7c7ḿ︐"
_BYTES = st.lists(
    st.sampled_from(
        [b"\x1b(B", b"\x1b(J", b"\x1b(I", b"\x1b$B", b"\x1b", b"\x8f\xa2\xb7", b"\xa2A", b"\x81\x35\xf4\x37"]
    )
    | st.sampled_from(_LETTERS).flatmap(lambda char: st.sampled_from([encode(char, name) for name in MULTI_BYTE]))
    | st.binary(max_size=4),
    max_size=12,
).map(b"".join)


@pytest.mark.thorough
@pytest.mark.parametrize("encoding", SINGLE_BYTE + MULTI_BYTE)
def test_decoder_is_the_standards_for_every_sequence(encoding: str) -> None:
    assert table_hash(decode(body, encoding) for body in sequences(encoding)) == _HASHES["decoders"][encoding]


@pytest.mark.thorough
@pytest.mark.parametrize("encoding", LEGACY)
def test_encoder_is_the_standards_for_every_character(encoding: str) -> None:
    queries = (as_query(encode(text, encoding, "%26%23{}%3B")) for text in characters(encoding))
    assert table_hash(queries) == _HASHES["encoders"][encoding]


def as_query(body: bytes) -> str:
    """With the bytes escaped that a URL's query escapes (WHATWG URL, 'special-query percent-encode set')."""
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"\"#<>'" else f"%{byte:02X}" for byte in body)


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (b"\x80", "gbk", "€"),
        (b"\xa8\xbc\x81\x35\xf4\x37", "gb18030", "ḿ\ue7c7"),
        (b"\xa6\xd9\xa3\xa0", "gb18030", "︐\u3000"),
        (b"\x81\x30\x81", "gb18030", "\ufffd"),
        (b"\x81\x30\x81<", "gb18030", "\ufffd0\ufffd<"),
        (b"\xca", "windows-1255", "\u05ba"),
        (b"\xa1\xfe\xa2\x41", "big5", "／∕"),
        (b"\x88\x62\x88\xa5", "big5", "Ê̄ê̌"),
        (b"\x8f\xa2\xb7~\xa1\xc1", "euc-jp", "～~～"),
        (b"\xa0\xfd\x80", "shift_jis", "\ufffd\ufffd\x80"),
        (b"\x1b$B\x46\x7c\x1b(J\\~\x1b(I1", "iso-2022-jp", "日¥‾ｱ"),
        (b"\x1b(B\x1b(B", "iso-2022-jp", "\ufffd"),
        (b"\x1b$B\x46\x1b(B<", "iso-2022-jp", "\ufffd<"),
        (b"\x0e\x1b$\x46", "iso-2022-jp", "\ufffd\ufffd$F"),
    ],
)
def test_what_python_reads_otherwise(body: bytes, encoding: str, text: str) -> None:
    assert decode(body, encoding) == text


@pytest.mark.parametrize(
    ("text", "encoding", "body"),
    [
        ("да", "windows-1251", b"\xe4\xe0"),
        ("日", "windows-1251", b"&#26085;"),
        ("日本", "shift_jis", b"\x93\xfa\x96\x7b"),
        ("日<", "iso-2022-jp", b"\x1b$B\x46\x7c\x1b(B<"),
        ("日é", "iso-2022-jp", b"\x1b$B\x46\x7c\x1b(B&#233;"),
        ("€", "gbk", b"\x80"),
        ("€", "gb18030", b"\xa2\xe3"),
        ("😀", "gbk", b"&#128512;"),
        ("😀", "gb18030", b"\x94\x39\xfc\x36"),
        ("да", "utf-16le", "да".encode()),
        ("да", "replacement", "да".encode()),
        ("\ud800", "gb18030", b"\x84\x31\xa4\x37"),
    ],
)
def test_encoding(text: str, encoding: str, body: bytes) -> None:
    assert encode(text, encoding) == body


@settings(deadline=None)  # a table is made when it is first needed
@given(_BYTES, st.sampled_from(ENCODINGS), st.lists(st.integers(0, 60), max_size=5))
@example(b"\xef\xbb\xbfx", "utf-8", [1])
@example(b"\x1b$B\x46 \x7c", "iso-2022-jp", [4])
@example(b" \xef\xbb\xbf", "utf-8", [1])
def test_what_comes_in_pieces_is_the_same_text(body: bytes, encoding: str, places: list[int]) -> None:
    check_encoding(body, None, encoding)
    assert "".join(decode_pieces(cut(body, places), encoding)) == decode(body, encoding)


@settings(deadline=None)  # a table is made when it is first needed
@given(_BYTES, st.sampled_from(sorted(set(multi_byte.CODECS) - {"gbk"})), st.integers(0, 600))
def test_the_codec_and_the_rules_agree(body: bytes, encoding: str, length: int) -> None:
    """Two ways to the same text: Python's codec, corrected, and the standard's rules; over the rules' bounds, too."""
    body = b"\xff" * length + body
    decoder = multi_byte._decoder(encoding)
    assert "".join(decoder._decode_by_the_rules(body)) == decoder.decode(body)


@settings(deadline=None)  # a table is made when it is first needed
@given(
    st.text(st.sampled_from(_LETTERS) | st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(ENCODINGS),
)
def test_what_is_written_is_read_as_it_was(text: str, encoding: str) -> None:
    check_encoder(text, encoding)
