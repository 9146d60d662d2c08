"""Every sequence of bytes that a legacy encoding may begin with: what is decoded to compare two decoders whole.

All single bytes and all pairs; all triples of euc-jp's third set; all four bytes of gb18030, 1,260 in a
row; iso-2022-jp's pairs after
each escape. And of each encoding the sequences of four bytes that stand at the bounds of its ranges, right and wrong:
they show how many bytes an error takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import product

_SINGLE_BYTE = """
    ibm866 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i iso-8859-10
    iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh windows-874 windows-1250 windows-1251
    windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 x-mac-cyrillic
    x-user-defined
"""
_MULTI_BYTE = "gbk gb18030 big5 euc-jp iso-2022-jp shift_jis euc-kr utf-8 utf-16le utf-16be"
SINGLE_BYTE = _SINGLE_BYTE.split()
MULTI_BYTE = _MULTI_BYTE.split()
LEGACY = [name for name in SINGLE_BYTE + MULTI_BYTE if not name.startswith("utf")]

_ESCAPES = (b"\x1b(B", b"\x1b(J", b"\x1b(I", b"\x1b$@", b"\x1b$B")
_BOUNDS = {
    "gbk": b"\x00\x30\x39\x3a\x40\x7f\x80\x81\xfe\xff",
    "gb18030": b"\x00\x2f\x30\x39\x3a\x40\x7f\x80\x81\xfe\xff",
    "big5": b"\x00\x3f\x40\x62\x7e\x7f\x80\x81\x88\xa0\xa1\xfe\xff",
    "euc-jp": b"\x00\x40\x7f\x80\x8e\x8f\xa0\xa1\xa2\xb0\xb7\xdf\xe0\xfe\xff",
    "iso-2022-jp": b"\x0e\x1b\x21\x24\x28\x29\x30\x40\x42\x43\x44\x48\x49\x4a\x5c\x7e\x80",
    "shift_jis": b"\x00\x3f\x40\x7e\x7f\x80\x81\xa0\xa1\xdf\xe0\xfc\xfd\xff",
    "euc-kr": b"\x00\x40\x41\x5b\x7f\x80\x81\xa1\xc6\xfe\xff",
    "utf-8": b"\x00\x7f\x80\x8f\x90\x9f\xa0\xbb\xbf\xc1\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff",
    "utf-16le": b"\x00\x41\xd7\xd8\xdb\xdc\xdf\xe0\xfe\xff",
    "utf-16be": b"\x00\x41\xd7\xd8\xdb\xdc\xdf\xe0\xfe\xff",
}


def sequences(encoding: str) -> list[bytes]:
    """What to decode, one by one, each as a document of its own."""
    return list(_sequences(encoding))


def _sequences(encoding: str) -> Iterator[bytes]:
    every = range(256)
    yield from map(bytes, product(every))
    if encoding in SINGLE_BYTE:
        return
    pairs = [bytes(pair) for pair in product(every, repeat=2)]
    yield from pairs
    yield from map(bytes, product(_BOUNDS[encoding], repeat=4))
    if encoding == "euc-jp":
        yield from (b"\x8f" + pair for pair in pairs)
    if encoding == "gb18030":
        halves = [bytes(half) for half in product(range(0x81, 0xFF), range(0x30, 0x3A))]
        yield from (b"".join(first + second for second in halves) for first in halves)
        yield b"\x81\x35\xf4\x37"  # the one exception from the ranges, in the standard's words
    if encoding == "iso-2022-jp":
        yield from (escape + pair for escape in _ESCAPES for pair in pairs)
        yield from map(b"".join, product(_ESCAPES, (b"", b"!", b"!!"), _ESCAPES))


def table_hash(texts: Iterable[str]) -> str:
    """Equal for equal texts in the same order; NUL is U+FFFD in all that is stored, and so parts them."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.replace("\0", "\ufffd").encode() + b"\0")
    return digest.hexdigest()[:32]


def characters(encoding: str) -> list[str]:
    """What to encode, each as a document of its own: as many scalar values as an encoding of this kind may have, 1,024
    lines of one at a time; and every three of what stands at the bounds of iso-2022-jp's character sets.
    """
    end = 0x110000 if encoding == "gb18030" else 0x30000 if encoding in MULTI_BYTE else 0x10000
    lines = [chr(code) for code in range(1, end) if not 0xD800 <= code <= 0xDFFF]
    pages = ["\n".join(lines[start : start + 1024]) for start in range(0, len(lines), 1024)]
    return pages + ["".join(text) for text in product("a\\~¥‾日ｱ−\x0e\x1b😀é", repeat=3)]
