"""What a prune of the crawl's file does to the derived file (derived.py).

Both steps are for size alone: without them every answer is right, but the file holds what no answer needs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from crawler.archive.derived import UnavailableError, bring_up_to_date, derived_file, discard, drop, inode_of
from crawler.archive.indexes import ATTEMPTS_OF_URL, LINK_SOURCES
from crawler.archive.search_index import SearchIndex
from crawler.storage.sqlite.database import read_only_uri

_UPDATE_S = 600.0  # as long as a prune itself may take

_INDEX = SearchIndex()


async def before_prune(db: Path) -> None:
    """Remove old versions from the search index, if there is one, while their words can still be read."""
    if _can_search(db):
        with suppress(UnavailableError):
            await bring_up_to_date(db, _INDEX, patience_s=0.0, limit_s=_UPDATE_S)


async def after_prune(db: Path) -> None:
    """Remove the lists of what is gone now: the whole file, unless a search index is in it, which took long."""
    if _can_search(db):
        await drop(db, LINK_SOURCES, ATTEMPTS_OF_URL)
    else:
        await discard(db)


def _can_search(db: Path) -> bool:
    path = derived_file(db)
    if inode_of(path) is None:
        return False
    try:
        with closing(sqlite3.connect(read_only_uri(path), uri=True)) as connection:
            found = connection.execute(
                "SELECT 1 FROM indexes WHERE name = ? AND version = ?", (_INDEX.name, _INDEX.version)
            )
            return found.fetchone() is not None
    except sqlite3.Error:
        return False
