"""Runs `crawler crawl` in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Usage, run

LOOPBACK = ("--allow-private", "127.0.0.0/8")


def command(arguments: Sequence[str], *, db: Path | str, summary: Path, python: str = sys.executable) -> list[str]:
    """The command line. `-P`: what that Python has installed, and not what lies in the current folder."""
    files = ("--db", str(db), "--summary", str(summary))
    fixed = ("--quiet", "--no-guess-sitemap")  # a guess would be one more request to each host
    return [python, "-P", "-m", "crawler", "crawl", *fixed, *files, *arguments]


def crawl(
    folder: Path,
    arguments: Sequence[str],
    *,
    db: Path | str | None = None,
    timeout_s: float = 3600,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> tuple[Usage, dict[str, Any]]:
    """Crawl into a new database in `folder`, or on in `db`; what it used, and its summary."""
    summary = folder / "summary.json"
    line = command(arguments, db=db or folder / "crawl.db", summary=summary, python=python)
    usage = run(line, folder, timeout_s=timeout_s, environment=environment)
    return usage, json.loads(summary.read_text())
