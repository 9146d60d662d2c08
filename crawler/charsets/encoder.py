"""Text to bytes, exactly as the WHATWG Encoding Standard has it: for the queries of links, which are in the encoding of
the document that they stand in.

The tables are those of the decoders turned round, with the standard's exceptions: where several byte sequences give one
character, it says which of them is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from crawler.charsets.decoder import decode, single_byte_table
from crawler.charsets.differences import REPLACED
from crawler.charsets.iso_2022_jp import encode_iso_2022_jp
from crawler.charsets.multi_byte import CODECS

HTML_REFERENCE = "&#{};"
_HALF_WIDTH_KATAKANA = range(0xFF61, 0xFFA0)
_LAST_OF_SEVERAL = "═╞╡╪十卅"  # big5 writes these as the last sequence that gives them, all others as the first
_LEADS = {  # that are written; the others are only read
    "gbk": range(0x81, 0xFF),
    "gb18030": range(0x81, 0xFF),
    "big5": range(0xA1, 0xFF),
    "euc-jp": range(0xA1, 0xFF),
    "shift_jis": [*range(0x81, 0xA0), *range(0xE0, 0xED), *range(0xFA, 0xFD)],
    "euc-kr": range(0x81, 0xFF),
}
_NOT_FORMER = "\ue5e5\ue7c7\u1e3f\udc00"  # all others that Python's gb18030 has otherwise are from before 2022
_TRAILS = range(0x40, 0xFF)


def encode(text: str, encoding: str, reference: str = HTML_REFERENCE) -> bytes:
    """`text` in `encoding`, a name of the standard's, lower case; `reference`, with the character's number in it, for
    each character that the encoding lacks.

    What the standard only reads, UTF-16 and the replacement encoding, is written as UTF-8. A lone surrogate is written
    as U+FFFD.
    Source: WHATWG Encoding Standard, "get an encoder" and "encode".
    """
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if encoding in ("utf-8", "utf-16le", "utf-16be", "replacement"):
        return text.encode()
    if encoding == "iso-2022-jp":
        return b"".join(encode_iso_2022_jp(text, _table("euc-jp"), reference))
    known = _table(encoding)
    return b"".join(known.get(character) or _unknown(character, encoding, reference) for character in text)


def _unknown(character: str, encoding: str, reference: str) -> bytes:
    if character.isascii():
        return character.encode()
    if encoding == "gb18030" and character != "\ue5e5":  # it has four bytes for all else
        return character.encode("gb18030")
    return reference.format(ord(character)).encode()


@cache
def _table(encoding: str) -> dict[str, bytes]:
    """The bytes of each character beyond ASCII; gb18030's of four bytes are left to Python's codec."""
    if encoding not in CODECS:
        table = single_byte_table(encoding)
        return {char: bytes([byte]) for byte, char in enumerate(table) if byte >= 0x80 and char != "\ufffd"}
    known: dict[str, bytes] = {}
    for sequence, text in _pairs(encoding):
        if encoding == "big5" and text in _LAST_OF_SEVERAL:
            known[text] = sequence
        else:
            known.setdefault(text, sequence)
    return known | _exceptions(encoding, known)


def _pairs(encoding: str) -> Iterator[tuple[bytes, str]]:
    """Each sequence of two bytes that may be written, with its character, in order."""
    sequences = [bytes((lead, trail)) for lead in _LEADS[encoding] for trail in _TRAILS]
    texts = decode(b"\n".join(sequences), encoding).split("\n")
    for sequence, text in zip(sequences, texts, strict=True):
        if len(text) == 1 and text != "\ufffd":
            yield sequence, text


def _exceptions(encoding: str, known: dict[str, bytes]) -> dict[str, bytes]:
    if encoding in ("euc-jp", "shift_jis"):
        lead = b"\x8e" if encoding == "euc-jp" else b""
        katakana = {chr(code): lead + bytes([code - 0xFEC0]) for code in _HALF_WIDTH_KATAKANA}
        c1 = {"\x80": b"\x80"} if encoding == "shift_jis" else {}
        return {**katakana, **c1, "¥": b"\\", "‾": b"~", "−": known["－"]}
    if encoding in ("gbk", "gb18030"):
        former = {theirs: known[ours] for theirs, ours in REPLACED["gb18030"] if theirs not in _NOT_FORMER}
        return former | ({"€": b"\x80"} if encoding == "gbk" else {"\ue7c7": b"\x81\x35\xf4\x37"})
    return {}
