"""The encodings of one to four bytes a character: gbk, gb18030, big5, euc-jp, shift_jis, euc-kr.

Python's codecs, which are in C, do the work; `differences` holds where they are not the standard. Where such a codec
meets bytes that it does not know, it hands over, and the next few bytes are read by the standard's own rules.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache

from crawler.charsets.differences import INDISTINCT, REPLACED, sequences_of

CODECS = {  # Python's nearest
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
}

# What the standard takes in one go, whether it knows the character or not.
_PAIR_OR_BYTE = rb"(?s)[%s].|."
_TOKENS = {
    "gb18030": rb"(?s)[\x81-\xfe][0-9](?:[\x81-\xfe](?:[0-9]|\Z)|\Z)|[\x81-\xfe][^0-9]|.",
    "big5": _PAIR_OR_BYTE % rb"\x81-\xfe",
    "euc-jp": rb"(?s)\x8f[\xa1-\xfe](?:.|\Z)|[\x8e\x8f\xa1-\xfe].|.",
    "shift_jis": _PAIR_OR_BYTE % rb"\x81-\x9f\xe0-\xfc",
    "euc-kr": _PAIR_OR_BYTE % rb"\x81-\xfe",
}
_RECOVERY_BYTES = 256  # a page with a few wrong bytes is read by the codec, one in another encoding mostly by the rules
_PART_BYTES = 64 * 1024


def decode_multi_byte(body: bytes, encoding: str) -> str:
    """The text of `body` in one of `CODECS`, a U+FFFD for each sequence that the standard calls an error."""
    return _decoder("gb18030" if encoding == "gbk" else encoding).decode(body)  # these two decode alike


class _Decoder:
    def __init__(self, encoding: str) -> None:
        self._codec = CODECS[encoding]
        self._token = re.compile(_TOKENS[encoding])
        self._characters = _Characters(encoding)
        self._replaced = REPLACED.get(encoding, ())
        self._indistinct = INDISTINCT.get(encoding, ())
        self._errors = f"crawler.charsets.{encoding}"
        codecs.register_error(self._errors, self._recover)

    def decode(self, body: bytes) -> str:
        if any(sequence in body for sequence in self._indistinct):
            return "".join(self._decode_by_the_rules(body))
        text = body.decode(self._codec, self._errors)
        for theirs, ours in self._replaced:
            text = text.replace(theirs, ours)
        return text

    def _recover(self, error: UnicodeError) -> tuple[str, int]:
        """The codec's error handler: the text of the next bytes, and where the codec goes on."""
        assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - registered for decoding only
        text, end = self._read(error.object, error.start, _RECOVERY_BYTES)
        for theirs, ours in reversed(self._replaced):  # will be replaced with the rest of the text
            text = text.replace(ours, theirs)
        return text, end

    def _decode_by_the_rules(self, body: bytes) -> Iterator[str]:
        position = 0
        while position < len(body):
            text, position = self._read(body, position, _PART_BYTES)
            yield text

    def _read(self, body: bytes, start: int, size: int) -> tuple[str, int]:
        tokens: list[bytes] = self._token.findall(body, start, start + size)
        if len(tokens) > 1:
            tokens.pop()  # it may have been cut
        return "".join(map(self._characters.__getitem__, tokens)), start + sum(map(len, tokens))


_decoder = cache(_Decoder)


class _Characters(dict[bytes, str]):
    """Maps each token (the bytes of one character) to its text, computed on first use."""

    def __init__(self, encoding: str) -> None:
        super().__init__(sequences_of(encoding))
        self._encoding = encoding

    def __missing__(self, token: bytes) -> str:
        text = self._text_of(token)
        if len(token) <= 2:  # there are too many longer ones
            self[token] = text
        return text

    def _text_of(self, token: bytes) -> str:
        try:
            return token.decode(CODECS[self._encoding])
        except UnicodeDecodeError:
            return "\ufffd" + token[-1:].decode("ascii", "ignore") if self._ends_before_ascii(token) else "\ufffd"

    def _ends_before_ascii(self, token: bytes) -> bool:
        """Whether the last byte is read again, as what it is in ASCII: not if it is part of four bytes of gb18030."""
        return len(token) > 1 and not (self._encoding == "gb18030" and token[1:2].isdigit())
