"""All that a SQLite crawl database holds, without the ids of its rows: equal for a crawl and for its copy."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_URL = "(SELECT url FROM urls WHERE id = t.{})"
_NAMED = {
    "host_id": "(SELECT name FROM hosts WHERE id = t.host_id)",
    "head_id": "(SELECT hash FROM heads WHERE id = t.head_id)",
    **{column: _URL.format(column) for column in ("url_id", "target_id", "sitemap_id", "found_on")},
}
# Whose ids are texts' own, or nobody's; those of attempts, versions and changes are numbers that a copy keeps.
_WITHOUT_IDS = ("hosts", "origins", "urls", "heads")
# What PostgreSQL has no place for.
_LEFT_OUT = {"hosts": {"next_check_at"}}
TABLES = (
    *("runs", "hosts", "origins", "urls", "places", "heads", "bodies", "fetches", "pages", "links", "sitemap_entries"),
    *("change_log", "change_log_pruned", "extraction_rules", "extracts", "extract_misses"),
)


def contents(db: Path) -> dict[str, list[Any]]:
    """The rows of each table, sorted; and the views and other things that there are."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        found = {table: sorted(map(repr, _rows(connection, table))) for table in TABLES}
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        found["schema"] = sorted(schema.fetchall())
        for pragma in ("application_id", "user_version"):
            found[pragma] = connection.execute(f"PRAGMA {pragma}").fetchall()
        return found


def _rows(connection: sqlite3.Connection, table: str) -> list[Sequence[Any]]:
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    names = [name for name in names if name not in _LEFT_OUT.get(table, ())]
    if table in _WITHOUT_IDS:
        names.remove("id")
    columns = ", ".join(_NAMED.get(name, f"t.{name}") for name in names)
    rows: list[Sequence[Any]] = connection.execute(f"SELECT {columns} FROM {table} AS t").fetchall()
    if table == "pages":
        place = names.index("link_details")
        rows = [(*row[:place], _details(connection, row[place]), *row[place + 1 :]) for row in rows]
    return rows


def _details(connection: sqlite3.Connection, text: str | None) -> Any:
    """With URLs in the place of their ids."""
    if text is None:
        return None
    url = "SELECT url FROM urls WHERE id = ?"
    return [[*connection.execute(url, (one[0],)).fetchone(), *one[1:]] for one in json.loads(text)]
