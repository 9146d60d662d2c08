"""Runs `crawler crawl` in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Usage, run

LOOPBACK = ("--allow-private", "127.0.0.0/8")


def crawl(
    folder: Path, arguments: Sequence[str], *, db: Path | None = None, timeout_s: float = 3600
) -> tuple[Usage, dict[str, Any]]:
    """Crawl into a new database in `folder`, or on in `db`; what it used, and its summary."""
    summary = folder / "summary.json"
    files = ("--db", str(db or folder / "crawl.db"), "--summary", str(summary))
    fixed = ("--quiet", "--no-guess-sitemap")  # a guess would be one more request to each host
    usage = run([sys.executable, "-m", "crawler", "crawl", *fixed, *files, *arguments], folder, timeout_s=timeout_s)
    return usage, json.loads(summary.read_text())
