"""The large made-up crawl of the benchmarks is what a crawl would leave: here a small one of its kind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from crawler.archive.archive import open_crawl
from tests.benchmarks.million import LINKS, make

PAGES = 3000
FILLED = [
    "all_urls",
    "attempts",
    "broken_fragments",
    "broken_links",
    "changes",
    "current_pages",
    "duplicate_pages",
    "duplicate_titles",
    "excluded_urls",
    "exclusions",
    "failed_urls",
    "failing_urls",
    "gone_urls",
    "host_overview",
    "inlinks",
    "large_pages",
    "link_details",
    "missing_descriptions",
    "missing_titles",
    "noindex",
    "outlinks",
    "page_versions",
    "pending_urls",
    "redirect_chains",
    "resources",
    "response_headers",
    "robots_blocked",
    "run_overview",
    "slow_pages",
    "stored_pages",
    "traps",
]


async def test_its_rows_belong_together_and_the_views_have_something_to_tell(tmp_path: Path) -> None:
    db = tmp_path / "made.db"
    await make(db, PAGES)
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        [(pages, links)] = connection.execute("SELECT count(*), sum(links_total) FROM current_pages")
        assert pages == PAGES
        assert 0.9 * LINKS * PAGES < links <= LINKS * PAGES
        [(counted,)] = connection.execute("SELECT sum(fetched) FROM hosts")
        assert counted == PAGES
    async with open_crawl(db) as archive:
        empty = [name for name in FILLED if not [row async for row in archive.rows(name, limit=1)]]
    assert empty == []
