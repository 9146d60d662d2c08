"""How fast `crawler export` is, and what memory it takes: `python -m tests.benchmarks.exports DB FOLDER`.

DB is the database that `tests.benchmarks.million` makes, FOLDER a new one for what is exported. Each export is
a process of its own, whose CPU time is told beside the wall's.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

EXPORTS: tuple[tuple[str, ...], ...] = (
    ("sitemap", "sitemap.xml"),
    ("csv", "pages.csv"),
    ("graphml", "links.graphml"),
    ("jsonl", "pages.jsonl"),
    ("jsonl", "texts.jsonl", "--columns", "url,title,text"),
    ("parquet", "pages.parquet"),
    ("parquet", "parted", "--by", "host,date"),
    ("text", "all.txt"),
    ("text", "texts"),
)


def main() -> None:
    """Run each export and print a line of the manual's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("db", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=1_000_000, help="how many there are in it")
    parser.add_argument("--only", help="the formats to measure, with commas between")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    print("| export | pages/s | pages per CPU second | peak MB | size MB |\n|---|---|---|---|---|")
    for form, file, *more in EXPORTS:
        if options.only is None or form in options.only.split(","):
            path = options.folder / file
            wall_s, cpu_s, peak_bytes = _measured([form, str(path), *more, "--db", str(options.db)])
            figures = (options.pages / wall_s, options.pages / cpu_s, peak_bytes / 1e6, _size(path) / 1e6)
            print(f"| `{' '.join([form, file, *more])}` | {' | '.join(f'{one:,.0f}' for one in figures)} |", flush=True)


def _measured(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds that passed, seconds of CPU, and the peak of resident memory in bytes."""
    began = time.monotonic()
    process = os.posix_spawn(sys.executable, [sys.executable, "-m", "crawler", "export", *arguments], os.environ)
    _pid, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"crawler export {' '.join(arguments)} has failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * unit


def _size(path: Path) -> int:
    """Of a file, with those that are numbered beside it; or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.stem}*{path.suffix}")
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    main()
