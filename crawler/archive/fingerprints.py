"""Fingerprints of texts, by which near-duplicates are told without comparing texts: simhash.

Source: Moses Charikar, "Similarity Estimation Techniques from Rounding Algorithms" (2002); for web pages: Manku, Jain
and Das Sarma, "Detecting Near-Duplicates for Web Crawling" (2007). Each pair of words that follow each other votes on
each of 64 bits; texts that share most pairs differ in few bits. Invariant: the same on every machine and in every
process, since fingerprints are stored.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from crawler.archive.words import words

BITS = 64
FEWEST_WORDS = 20  # of shorter texts, a single other word changes too many bits

_WORD = re.compile(r"\w+")
_MOST_WORDS = 20_000  # more tell nothing new
_KNOWN_WORDS = 1 << 16  # whose hashes are remembered, about 10 MB


class Fingerprint(NamedTuple):
    """`bits` (signed, as SQLite has integers) is None for a text that is too short."""

    words: int
    bits: int | None


@lru_cache(maxsize=1)
def fingerprint(text: str) -> Fingerprint:
    """Of a page's text. In scripts without spaces, two letters are a word."""
    found = _WORD.findall(words(text).lower())
    return Fingerprint(len(found), _simhash(found[:_MOST_WORDS]) if len(found) >= FEWEST_WORDS else None)


def _simhash(found: Sequence[str]) -> int:
    """All at once, in large numbers that have 64 bits for each pair of words: many times faster than one by one."""
    pairs = set(pairwise(found))  # each once: a menu's words are many
    number = len(pairs)
    hashes = _hashes(map(itemgetter(0), pairs)) ^ _rotated(_hashes(map(itemgetter(1), pairs)), number)
    lanes, bits = _ones(number), 0
    for bit in range(BITS):
        if 2 * ((hashes >> bit) & lanes).bit_count() > number:
            bits |= 1 << bit
    return bits - (1 << BITS) if bits >> (BITS - 1) else bits


def _hashes(some: Iterable[str]) -> int:
    return int.from_bytes(array("Q", map(_hash, some)).tobytes(), "little")


def _rotated(hashes: int, number: int) -> int:
    """Each by one bit: so a pair of words is not the same the other way round, nor nothing if they are the same."""
    ones = _ones(number)
    return ((hashes & (ones * ((1 << (BITS - 1)) - 1))) << 1) | ((hashes >> (BITS - 1)) & ones)


@lru_cache(maxsize=1024)
def _ones(number: int) -> int:
    """A one at the beginning of every 64 bits."""
    return ((1 << BITS * number) - 1) // ((1 << BITS) - 1)


@lru_cache(maxsize=_KNOWN_WORDS)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest(), "little")
