"""What a baseline already had: an earlier report as JSON, or a crawl database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from crawler.archive.audit.questions import QUESTIONS
from crawler.archive.audit.reading import Known, read_known
from crawler.errors import UsageError

_DATABASE = b"SQLite format 3\0"  # how its file begins (https://sqlite.org/fileformat.html, 1.3)
_FORMAT = 1


async def read_baseline(path: Path, names: Sequence[str]) -> Known:
    """What the file has of these sections. Raises `UsageError` if it is neither, or lacks some of what it found.

    Raises `DatabaseFailedError` for a database that cannot be read.
    """
    report = _report_in(path)
    if report is None:
        return await read_known(path, names)
    sections = {one["name"]: one for one in report["sections"]}
    return {name: _known(path, name, sections.get(name)) for name in names}


def _report_in(path: Path) -> Mapping[str, Any] | None:
    """None if it is a database. Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            if file.read(len(_DATABASE)) == _DATABASE:
                return None
        report = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--baseline {path}: {error.strerror or error}") from error
    except ValueError:
        report = None
    if not isinstance(report, dict) or not isinstance(report.get("sections"), list):
        raise UsageError(f"--baseline {path} is no report; give one made with --format json, or a crawl database")
    if report.get("format") != _FORMAT:
        raise UsageError(f"--baseline {path} was made by another version of crawler; make it anew")
    return report


def _known(path: Path, name: str, section: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """The rows' keys, as they stand in a report."""
    if section is None:
        raise UsageError(f"--baseline {path} knows nothing of {name}; make it anew")
    rows, total = section["rows"], section["total"]
    if len(rows) < total:
        raise UsageError(
            f"--baseline {path} has {len(rows):,} of {total:,} rows of {name}; recreate it with --limit {total},"
            " or give the crawl database itself"
        )
    return [{column: row[column] for column in QUESTIONS[name].key} for row in rows]
