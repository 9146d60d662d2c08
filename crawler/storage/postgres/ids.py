"""Ids that a worker makes without asking: of hosts and URLs from their texts, of rows from their partition's epoch.

They can never change: they are stored, and those of hosts say in which partition all of a host stands.

- A host's and a URL's: the signed 64-bit BLAKE2b of its text; never 0, which stands for "no row yet". Among 10^9 URLs
  two share one within a host once in 30,000 crawls; whoever finds them compares the texts.
- An attempt's, a version's and a change's: 20 bits of the partition's epoch, 12 of the partition, 31 of a counter. So
  they differ over all partitions, and grow within one, whoever owns it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

MAX_PARTS = 4096
PARTS = 1024  # of a new database: enough to share among about 40 workers evenly
_COUNTER_BITS = 31
_PART_BITS = 12


def id_of(text: str) -> int:
    """Of a host's name or of a URL."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big", signed=True) or 1


def part_of(host_id: int, parts: int) -> int:
    """The partition of a host, of so many."""
    return host_id & (parts - 1)


def head_id_of(digest: bytes) -> int:
    """Of header fields, from their hash: the first half of it."""
    return int.from_bytes(digest[:8], "big", signed=True) or 1


def row_id(part: int, epoch: int, count: int) -> int:
    """Of the row that its partition's owner makes as its `count`th since it claimed it.

    Epoch 0 is nobody's: it has what was copied from SQLite, whose ids are the counts.
    """
    return epoch << (_COUNTER_BITS + _PART_BITS) | part << _COUNTER_BITS | count


def part_of_row(row: int) -> int:
    """The partition of a row that has such an id."""
    return row >> _COUNTER_BITS & (MAX_PARTS - 1)


class HostKeys:
    """Partitions and ids of hosts by name, as they are needed again and again; and which are known to be stored."""

    def __init__(self, parts: int, max_names: int = 131_072) -> None:
        self._parts = parts
        self._max_names = max_names
        self._keys: dict[str, tuple[int, int]] = {}
        self.stored: set[str] = set()

    def __getitem__(self, name: str) -> tuple[int, int]:
        """The partition and the id of a host."""
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= self._max_names:
                self._keys.clear()
                self.stored.clear()
            host_id = id_of(name)
            key = self._keys[name] = (part_of(host_id, self._parts), host_id)
        return key

    def ids_of(self, names: Iterable[str]) -> list[int]:
        """The ids of these hosts, in their order."""
        get = self._keys.get
        return [(get(name) or self[name])[1] for name in names]


def copied_count(row: int) -> int | None:
    """The count of a row that was copied from SQLite: its id there; None: it was made here."""
    return row & (COPIED_MOST - 1) if row >> (_COUNTER_BITS + _PART_BITS) == 0 else None


COPIED_MOST = 1 << _COUNTER_BITS  # such a count is below it
