"""Characters that nobody sees and that part a word in the middle: soft hyphens, zero-width spaces and joiners.

They go, so that a search for the word finds it, except where they are part of how a language is written: the joiners
(U+200C, U+200D) in Arabic, Persian, the Indic scripts and their relatives, and in emoji; the zero-width space in Thai,
Lao, Khmer, Burmese and Tibetan, which put it between words instead of a space. Marks of direction stay: they say how to
show what is written from right to left.

Invariant: `without_invisible` is linear and leaves everything else as it is.
"""

from __future__ import annotations

import re

_ANYWHERE = "\xad\u2060\ufeff"
_OF_FORMULAS = "\u2061\u2062\u2063\u2064"  # application, times, comma, plus
_WRITTEN_WITHOUT_SPACES = re.compile("[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\uaa7f]")
_JOINED = re.compile(
    "[\u0600-\u109f\u1700-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f"
    "\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]"  # emoji
)
_KEPT_AFTER = {"\u200b": _WRITTEN_WITHOUT_SPACES, "\u200c": _JOINED, "\u200d": _JOINED}


def without_invisible(text: str, *, has_formulas: bool = False) -> str:
    """`text` without the characters that nobody sees; invisible operators only where it `has_formulas`."""
    if text.isascii():
        return text
    # One by one: looking for any of them at once takes ten times as long, and most texts have none. Operators take as
    # long, because the lower byte of each is that of a letter.
    for character in _ANYWHERE + _OF_FORMULAS if has_formulas else _ANYWHERE:
        if character in text:
            text = text.replace(character, "")
    for character, kept_after in _KEPT_AFTER.items():
        if character in text:
            text = _kept_only_after(kept_after, character, text)
    return text


def _kept_only_after(wanted: re.Pattern[str], character: str, text: str) -> str:
    *pieces, last = text.split(character)
    return "".join([piece + character if wanted.match(piece[-1:]) else piece for piece in pieces]) + last
