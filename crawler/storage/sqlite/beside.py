"""The files that belong to a database and lie beside it: its lock, its inbox, what is derived, and SQLite's own.

Invariant: a database that has several names, by symbolic links, has one lock and one inbox, where SQLite puts its
write-ahead log, too: beside the file itself.
"""

from __future__ import annotations

import os
from pathlib import Path

COMPANIONS = ("-wal", "-shm", ".lock", ".derived", ".derived-wal", ".derived-shm", ".derived.lock")  # files, by suffix


def beside(database: Path, suffix: str) -> Path:
    """The path of the database's companion: `beside(Path("crawl.db"), ".lock")`, links followed."""
    return Path(os.path.realpath(database) + suffix)
