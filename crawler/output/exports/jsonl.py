"""JSON lines: an object for each page, with the keys of `Page.asdict`, or the columns that were asked for.

In an increment, a line `{"url": ..., "removed": ...}` stands for each page that is to be taken away, and the last line
is `{"cursor": ...}`, to go on from: so whoever has it has all of it.
"""

from __future__ import annotations

import json
from typing import Any

from crawler.output.exports.columns import NEEDS_BODY, values_of
from crawler.output.exports.export import Export
from crawler.storage.values import as_json


async def write(export: Export) -> None:
    """Write the pages as they come."""
    names = export.options.columns
    line = _for_terminals if export.target.is_terminal else _line
    with export.target.stream() as file:
        async for removed in export.removed():
            file.write(line({"url": removed.url, "removed": removed.why}))
        async for page in export.pages(names, with_bodies=NEEDS_BODY in names):
            file.write(line(values_of(page, names)))
        if export.is_increment:
            file.write(line({"cursor": export.reader.cursor}))


def _line(values: dict[str, Any]) -> bytes:
    return f"{as_json(values)}\n".encode()


def _for_terminals(values: dict[str, Any]) -> bytes:
    """ASCII, which no terminal obeys."""
    return f"{json.dumps(values)}\n".encode()
