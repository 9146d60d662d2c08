"""iso-2022-jp, both ways: the one encoding in which an escape says what the bytes after it mean."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator, Mapping

from crawler.charsets.multi_byte import decode_multi_byte

_ESCAPE = re.compile(rb"\x1b(\([BIJ]|\$[@B])")
_IN_ASCII, _IN_ROMAN, _IN_KANJI = b"(B", b"(J", b"$B"
_KANJI = (b"$@", _IN_KANJI)
_KANJI_RUN = re.compile(rb"((?:[\x21-\x7e]{2})+)|[\x21-\x7e][^\x1b\x21-\x7e]?|([^\x21-\x7e]+)")
_AS_EUC_JP = bytes(byte | 0x80 for byte in range(256))  # JIS X 0208 is in both; in EUC-JP with the high bit set

_ASCII = "".join("\ufffd" if byte in (0x0E, 0x0F, 0x1B) or byte >= 0x80 else chr(byte) for byte in range(256))
_TABLES = {
    _IN_ASCII: _ASCII,
    _IN_ROMAN: _ASCII.replace("\\", "¥").replace("~", "‾"),
    b"(I": "".join(chr(0xFF40 + byte) if 0x21 <= byte <= 0x5F else "\ufffd" for byte in range(256)),
}
_SHIFTS = "\x0e\x0f\x1b"  # would be read as something else
_SOUND_MARKS = {"ﾞ": "゛", "ﾟ": "゜"}  # Unicode's full-width ones are the combining ones


def decode_iso_2022_jp(body: bytes) -> str:
    """The text of `body`. An escape right after another is an error, as is whatever its character set lacks."""
    return "".join(_decoded(body))


def _decoded(body: bytes) -> Iterator[str]:
    first, *parts = _ESCAPE.split(body)
    yield _text_of(first, _IN_ASCII)
    escaped = False
    for escape, part in zip(parts[::2], parts[1::2], strict=True):
        if escaped:
            yield "\ufffd"
        yield _text_of(part, escape)
        escaped = not part


def _text_of(part: bytes, escape: bytes) -> str:
    if escape in _KANJI:
        return "".join(_kanji(part))
    return codecs.charmap_decode(part, "replace", _TABLES[escape])[0]


def _kanji(part: bytes) -> Iterator[str]:
    for found in _KANJI_RUN.finditer(part):
        pairs, strays = found.groups()
        yield decode_multi_byte(pairs.translate(_AS_EUC_JP), "euc-jp") if pairs else "\ufffd" * len(strays or b"1")


def encode_iso_2022_jp(text: str, euc_jp: Mapping[str, bytes], reference: str) -> Iterator[bytes]:
    """`text`, with `reference` for each character that is missing; `euc_jp` has the bytes of characters in euc-jp."""
    state = _IN_ASCII
    for character in map(_full_width, text):
        wanted = _state_for(character, state, euc_jp)
        if wanted != state:
            yield b"\x1b" + wanted
            state = wanted
        yield _bytes_of(character, euc_jp, reference)
    if state != _IN_ASCII:
        yield b"\x1b" + _IN_ASCII


def _full_width(character: str) -> str:
    if not "｡" <= character <= "ﾟ":
        return character
    return _SOUND_MARKS.get(character) or unicodedata.normalize("NFKC", character)


def _state_for(character: str, state: bytes, euc_jp: Mapping[str, bytes]) -> bytes:
    """The character set to write it in; the present one if it is as good, or if no set has the character."""
    if character in "¥‾":
        return _IN_ROMAN
    if character in _SHIFTS or (not character.isascii() and character not in euc_jp):
        return _IN_ASCII if state == _IN_KANJI else state
    if not character.isascii():
        return _IN_KANJI
    return _IN_ROMAN if state == _IN_ROMAN and character not in "\\~" else _IN_ASCII


def _bytes_of(character: str, euc_jp: Mapping[str, bytes], reference: str) -> bytes:
    if character in _SHIFTS:
        return reference.format(0xFFFD).encode()
    if character in euc_jp:  # '¥' and '‾', too: they are one byte there
        return bytes(byte & 0x7F for byte in euc_jp[character])
    return character.encode() if character.isascii() else reference.format(ord(character)).encode()
