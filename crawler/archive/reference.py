"""The reference of the views: `python -m crawler.archive.reference` makes crawler/manual/views.md from views.sql.

Invariant: what the manual says of a view is what the database says of it, and what a test holds it to.
"""

from __future__ import annotations

from pathlib import Path

from crawler.storage.views import View, views

MANUAL = Path(__file__).parents[1] / "manual" / "views.md"

_HEAD = """# Views

What a crawl database answers, in plain SQL: for the `sqlite3` shell, Datasette, pandas, or this program's commands.
They are there from the first run on, also while a crawl runs, and name the columns that a query may rely on.

```sh
sqlite3 -box example.db "SELECT page_url, anchor, target_url, cause FROM broken_links LIMIT 20"
sqlite3 -box example.db ".schema broken_links"     # what a view is made of, and this text
```

A page is *current* while its URL stands: it is not gone (404, 410), redirected or excluded. A page that failed, or is
to be asked again, still stands: an outage takes no page away. A page's links are those of its newest version. Times are
Unix seconds (UTC): `datetime(fetched_at, 'unixepoch')` shows one. Rows come in no promised order.

A database of an older version has no views yet; `crawler crawl` or `crawler prune` adds them. Views that read all links
or all attempts take some seconds for ten million of them; each says so.
"""


def reference() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *(_section(view) for view in views().values())])


def _section(view: View) -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in view.columns.items()]
    return "\n".join([f"## `{view.name}`", "", view.description, "", "| column | what it is |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    MANUAL.parent.mkdir(exist_ok=True)
    MANUAL.write_text(reference(), encoding="utf-8")
