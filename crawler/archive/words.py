"""Texts as the search index is told them, for what SQLite's tokenizer cannot do by itself.

It parts words at spaces, so a Chinese or Thai sentence would be one word. It is told 全文検索 as 全文, 文検, 検索 and
索 instead: any two characters that follow each other are then a word, and more of them a phrase. And it knows the
accents of Latin letters alone. Invariant: `joined` puts together again what was cut, whatever part of it is
highlighted; all else leaves every character of a `clean` text in its place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby, pairwise

MARK_BEGIN, MARK_END = "\x02", "\x03"  # around what is highlighted
LEFT_OUT = "\x04"  # before and behind an excerpt
PAIR = "\x1f"  # between two pairs: what follows repeats the character before it
EDGE = "\x1e"  # where a run of pairs begins and ends

# Han, Kana, Hangul; then Thai, Lao, Myanmar and Khmer, of which a vowel or tone mark belongs to the letter before it.
_LETTERS = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e50-\u0e59\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd\u0ec0-\u0ec6\u0ed0-\u0edf"
    "\u1000-\u102a\u103f-\u1049\u1050-\u1055\u105a-\u105d\u1061\u1065\u1066\u106e-\u1070\u1075-\u1081\u108e"
    "\u1090-\u1099\u1780-\u17b3\u17d7\u17dc\u17e0-\u17e9"
)
_MARKS = (
    "\u3099\u309a\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059"
    "\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd"
)
_UNIT = re.compile(f"[{_LETTERS}][{_MARKS}]*")
_RUN = re.compile(f"(?:{_UNIT.pattern})+")
_PIECE = re.compile(f"[{MARK_BEGIN}{MARK_END}{PAIR}{EDGE}]|{_UNIT.pattern}|.", re.DOTALL)
_FOLDS = {
    code: unicodedata.normalize("NFD", chr(code))[0]
    for code in (0x401, 0x451, *range(0x386, 0x3CF), *range(0x1F00, 0x2000))
    if unicodedata.category(chr(code)).startswith("L")
}
_ACCENTED = re.compile("[\u0386-\u03ce\u0401\u0451\u1f00-\u1fff]")
_RESERVED = re.compile(f"[\0{MARK_BEGIN}{MARK_END}{LEFT_OUT}{PAIR}{EDGE}]")


def words(text: str | None) -> str:
    """A text as it is indexed."""
    return _cut(folded(clean(text))) if text else ""


def clean(text: str) -> str:
    """Normalized (NFKC), and without the characters that mean something here."""
    return _RESERVED.sub(" ", text if text.isascii() else unicodedata.normalize("NFKC", text))


def folded(text: str) -> str:
    """Without accents where people leave them out: those of Greek letters, and the two dots of a Russian one."""
    return text.translate(_FOLDS) if not text.isascii() and _ACCENTED.search(text) else text


def joined(text: str) -> tuple[str, list[tuple[int, int]]]:
    """What was cut, together again, and where it is highlighted: pairs of places, from and up to."""
    whole, spans = "", []
    for is_marked, pieces in groupby(_pieces(text), key=lambda piece: piece[1]):
        begin = len(whole)
        whole += "".join(piece[0] for piece in pieces)
        if is_marked:
            spans.append((begin, len(whole)))
    return whole, spans


def _cut(text: str) -> str:
    """With the letters that no space parts as pairs."""
    return text if text.isascii() else _RUN.sub(_paired, text)


def _paired(run: re.Match[str]) -> str:
    units = _UNIT.findall(run[0])
    return EDGE + PAIR.join([*(first + second for first, second in pairwise(units)), units[-1]]) + EDGE


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Each letter, and whether it is highlighted: in one pair or the other."""
    last: tuple[str, bool] | None = None
    is_marked = repeats = False
    for piece in _PIECE.findall(text):
        if piece in (MARK_BEGIN, MARK_END):
            is_marked = piece == MARK_BEGIN
        elif piece == PAIR:
            repeats = True
        elif piece != EDGE:
            if last is not None and repeats and piece == last[0]:
                last = (piece, last[1] or is_marked)
            else:
                if last is not None:
                    yield last
                last = (piece, is_marked)
            repeats = False
    if last is not None:
        yield last
