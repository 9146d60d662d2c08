"""CSV (RFC 4180, but for line feeds at the ends of lines) in UTF-8, for spreadsheets and what reads nothing better.

A text that a spreadsheet would take for a formula has an apostrophe before it; what is not text, number or flag is
JSON. In an increment, the column `removed` says why a page is to be taken away; it is empty for those that are there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from crawler.output.exports.columns import NEEDS_BODY, REMOVED, values_of
from crawler.output.exports.export import Export
from crawler.output.tables import harmless
from crawler.storage.values import as_json


async def write(export: Export) -> None:
    """Write a line with the names, then the pages as they come."""
    names = export.options.columns
    head = [*names, REMOVED] if export.is_increment else names
    with export.target.stream() as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        try:
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(head)
            async for removed in export.removed():
                known = {"url": removed.url, REMOVED: removed.why}
                rows.writerow([_cell(known.get(name)) for name in head])
            async for page in export.pages(names, with_bodies=NEEDS_BODY in names):
                rows.writerow(_cells(list(values_of(page, names).values()), len(head)))
            text.flush()
        finally:
            text.detach()  # the file is closed by whoever opened it


def _cells(values: Sequence[Any], number: int) -> list[Any]:
    return [*map(_cell, values), *[None] * (number - len(values))]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return harmless(as_json(value)) if isinstance(value, list | dict) else value
