"""What the writer knows of stored URLs without asking the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from crawler.records import Target

_MAX_KNOWN = 131_072  # URLs; about 30 MB


class KnownUrls:
    """A bounded cache of stored URLs in front of the unique index: most links on a page are known already.

    Only the writer fills it, so it never disagrees with what the next transaction will find. 'Liftable' rows are
    excluded for another reason than robots.txt or a domain that is full.
    """

    def __init__(self, max_rows: int = _MAX_KNOWN) -> None:
        self._max_rows = max_rows
        self._rows: dict[str, tuple[int, int, bool]] = {}  # url -> depth, seed, liftable
        self._settled: dict[int, Target] = {}  # by their identity; kept, so that no other gets it
        self.id_of: dict[str, int] = {}  # the row of each known URL

    def ids(self, urls: Iterable[str]) -> dict[str, int]:
        """The row ids of those URLs that are known."""
        id_of = self.id_of
        return {url: id_of[url] for url in urls if url in id_of}

    def unsettled(self, targets: Iterable[Target]) -> list[Target]:
        """Those of the targets that would change something if they were stored.

        They are many, and most of them the same ones again: such a one needs no look-up.
        """
        row_of, settled = self._rows.get, self._settled
        unsettled = []
        for target in [target for target in targets if id(target) not in settled]:
            row = row_of(target.url)
            if row is None or target.depth < row[0] or target.seed > row[1] or (row[2] and target.reason is None):
                unsettled.append(target)
            else:
                settled[id(target)] = target
        if len(settled) > self._max_rows // 2:
            settled.clear()
        return unsettled

    def learn(self, rows: Iterable[Sequence[Any]]) -> None:
        """Remember rows of url, id, depth, seed, liftable; the oldest are forgotten when there are too many."""
        for url, row_id, depth, seed, liftable in rows:
            self._rows[url] = (depth, seed, bool(liftable))
            self.id_of[url] = row_id
        excess = len(self._rows) - self._max_rows
        if excess > 0:
            self.forget(list(islice(self._rows, excess + self._max_rows // 4)))

    def forget(self, urls: Iterable[str]) -> None:
        """Ask the database about these again."""
        for url in urls:
            self._rows.pop(url, None)
            self.id_of.pop(url, None)
            self._settled.clear()

    def clear(self) -> None:
        """Forget everything: a transaction was rolled back, or rows were changed past this cache."""
        self._rows.clear()
        self._settled.clear()
        self.id_of.clear()


def nearest(targets: Iterable[Target]) -> list[Target]:
    """One target per URL: by seed mark, then an admitted one, then the nearest."""
    best: dict[str, Target] = {}
    for target in targets:
        known = best.get(target.url)
        if known is None or _rank(target) < _rank(known):
            best[target.url] = target
    return list(best.values())


def _rank(target: Target) -> tuple[int, bool, int]:
    return -target.seed, target.reason is not None, target.depth
