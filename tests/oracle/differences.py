"""Writes `crawler/charsets/differences.py`: how the standard's tables differ from Python's codecs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import count

from crawler.charsets.decoder import SINGLE_BYTE_CODECS
from crawler.charsets.multi_byte import CODECS
from tests.oracle.tables import SINGLE_BYTE

_HEAD = '''"""Where Python's codecs are not the WHATWG Encoding Standard. Made by `python -m tests.oracle`; do not edit.

`_SEQUENCES` has, by encoding, the text of runs of byte sequences: the first one in hexadecimal, a character for it and
for each that follows it. `REPLACED` has, in order, what to replace in the text that Python's codec gives: it reads some
sequences as other characters. A lone surrogate stands for one of two that change places. `INDISTINCT` has the sequences
whose wrong character can also be a right one, so that only the bytes tell.
"""

from __future__ import annotations

'''
_TAIL = '''

def sequences_of(encoding: str) -> dict[bytes, str]:
    """The text of each byte sequence of that encoding that Python's codec does not know, or knows otherwise."""
    return {
        (int(first, 16) + offset).to_bytes(len(first) // 2): character
        for first, run in _SEQUENCES.get(encoding, {}).items()
        for offset, character in enumerate(run)
    }
'''

_RUN_CHARACTERS = 10  # fit on a line

_Table = Mapping[bytes, str]


def source_of(tables: Mapping[str, _Table]) -> str:
    """The module, for the standard's tables by encoding, from each byte sequence to its text."""
    sequences: dict[str, dict[str, str]] = {}
    replaced: dict[str, tuple[tuple[str, str], ...]] = {}
    indistinct: dict[str, tuple[bytes, ...]] = {}
    for encoding in [*SINGLE_BYTE, *CODECS]:
        if encoding in ("gbk", "x-user-defined"):  # gbk decodes like gb18030; the other one is a formula
            continue
        table = {body: text for body, text in tables[encoding].items() if _is_one_character(encoding, body, text)}
        codec = CODECS.get(encoding) or SINGLE_BYTE_CODECS.get(encoding, encoding)
        if runs := dict(_runs({body: text for body, text in table.items() if _decoded(body, codec) != text})):
            sequences[encoding] = runs
        if encoding not in CODECS:
            continue
        if found := tuple(_indistinct(table, codec)):
            indistinct[encoding] = found
        if pairs := tuple(_replacements(table, codec, found)):
            replaced[encoding] = pairs
    literals = (
        f"_SEQUENCES = {sequences!a}\n"
        f"REPLACED: dict[str, tuple[tuple[str, str], ...]] = {replaced!a}\n"
        f"INDISTINCT: dict[str, tuple[bytes, ...]] = {indistinct!a}\n"
    )
    return _HEAD + literals + _TAIL


def _is_one_character(encoding: str, body: bytes, text: str) -> bool:
    """Whether all of `body` is one character or one single byte, so that there is nothing about it but its text."""
    return len(body) == 1 or (
        len(text) == 1 and text != "\ufffd" and body[0] >= 0x80 and not (encoding == "euc-jp" and body[0] == 0x8E)
    )


def _decoded(body: bytes, codec: str) -> str:
    return body.decode(codec, "replace").replace("\0", "\ufffd")


def _runs(differences: Mapping[bytes, str]) -> Iterator[tuple[str, str]]:
    run: list[bytes] = []
    for body in [*sorted(differences, key=lambda body: (len(body), body)), b""]:
        follows = run and body[:-1] == run[-1][:-1] and [*body[-1:]] == [run[-1][-1] + 1]
        if run and (not follows or len(run) == _RUN_CHARACTERS):
            yield run[0].hex(), "".join(differences[each] for each in run)
            run = []
        run.append(body)


def _indistinct(table: _Table, codec: str) -> Iterator[bytes]:
    """The sequences for which the codec gives a wrong character that it gives rightly for another."""
    right = {text for body, text in table.items() if _strictly(body, codec) == text}
    for body, text in table.items():
        if (theirs := _strictly(body, codec)) != text and theirs in right:
            yield body


def _replacements(table: _Table, codec: str, indistinct: Collection[bytes]) -> Iterator[tuple[str, str]]:
    """In an order in which each replacement finds only what the codec gave."""
    pending = {
        theirs: table[body]
        for body, theirs in ((body, _strictly(body, codec)) for body in table if body not in indistinct)
        if theirs not in (None, table[body])
    }
    surrogates = map(chr, count(0xDC00))
    while pending:
        free = next((theirs for theirs, ours in pending.items() if ours not in pending), None)
        if free is None:
            free, ours = next(iter(pending.items()))
            surrogate = next(surrogates)
            del pending[free]
            pending[surrogate] = ours
            yield free, surrogate
        else:
            yield free, pending.pop(free)


def _strictly(body: bytes, codec: str) -> str | None:
    try:
        return body.decode(codec).replace("\0", "\ufffd")
    except UnicodeDecodeError:
        return None
