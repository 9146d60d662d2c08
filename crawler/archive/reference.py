"""The reference of the views: `python -m crawler.archive.reference` makes crawler/manual/views.md from views.sql.

Invariant: what the manual says of a view is what the database says of it, and what a test holds it to.
"""

from __future__ import annotations

from pathlib import Path

from crawler.archive.listing import all_views
from crawler.storage.sqlite.views import View

MANUAL = Path(__file__).parents[1] / "manual" / "views.md"

_HEAD = """# Views

Broken links, duplicates, orphans, changes and more, in SQL.

Every crawl database has these views, also during a crawl. They are plain SQLite, for the `sqlite3` shell, Datasette or
pandas; their names and columns stay.

```sh
crawler list broken --db example.db
sqlite3 -box example.db "SELECT page_url, anchor, target_url, cause FROM broken_links LIMIT 20"
```

A page is *current* unless its URL is gone (404, 410), redirected or excluded. A page that failed, or is due again, is
still current: an outage removes nothing. A URL that fails once keeps its status (see `failing_urls`). A page's
links are those of its newest version. Times are Unix seconds (UTC); `datetime(fetched_at, 'unixepoch')` makes one
readable. Rows come in no particular order.

A database of an older version lacks some views; the next `crawler crawl` on it adds them. A few views read all
links or all attempts, which takes some seconds per ten million; they say so.
"""


def reference() -> str:
    """The page, in Markdown."""
    sections = [_HEAD]
    first: dict[tuple[tuple[str, str], ...], str] = {}  # of the views with these columns
    for view in all_views().values():
        columns = tuple(view.columns.items())
        sections.append(_section(view, like=first.setdefault(columns, view.name)))
    return "\n".join(sections)


def _section(view: View, *, like: str) -> str:
    """`like`: the first view with these columns, whose table is not printed again."""
    if like != view.name:
        return "\n".join([f"## `{view.name}`", "", view.description, "", f"Columns: those of `{like}`.", ""])
    rows = [f"| `{name}` | {meaning} |" for name, meaning in view.columns.items()]
    return "\n".join([f"## `{view.name}`", "", view.description, "", "| column | what it is |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    MANUAL.parent.mkdir(exist_ok=True)
    MANUAL.write_text(reference(), encoding="utf-8")
