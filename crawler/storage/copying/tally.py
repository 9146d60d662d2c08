"""Rows, counted and hashed, whatever their order: two tallies are equal if the rows are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from crawler.statically_frozen import dataclass

_MODULUS = 1 << 64


@dataclass(frozen=True, slots=True)
class Tally:
    """So many rows, and the sum of their hashes."""

    rows: int = 0
    digest: int = 0

    def with_rows(self, rows: Iterable[Sequence[Any]]) -> Tally:
        """With these, too."""
        hashes = [_hash(row) for row in rows]
        return Tally(self.rows + len(hashes), (self.digest + sum(hashes)) % _MODULUS)


EMPTY = Tally()


def _hash(row: Sequence[Any]) -> int:
    text = orjson.dumps(row, default=_as_text)
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def _as_text(value: Any) -> str:
    """Bytes, in a row of JSON."""
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)
