"""The files that lie beside a database: its lock, its inbox, the derived database, and SQLite's own.

Invariant: a database with several names, through symbolic links, has one lock and one inbox. They lie beside the file
itself, where SQLite also puts its write-ahead log.
"""

from __future__ import annotations

import os
from pathlib import Path

COMPANIONS = ("-wal", "-shm", ".lock", ".derived", ".derived-wal", ".derived-shm", ".derived.lock")  # files, by suffix


def companion(database: Path, suffix: str) -> Path:
    """The path of one of them, with symbolic links resolved: `companion(Path("crawl.db"), ".lock")`."""
    return Path(os.path.realpath(database) + suffix)
