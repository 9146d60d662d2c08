"""The large made-up crawl of the benchmarks is what a crawl would leave: here a small one of its kind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from crawler.archive.archive import open_crawl
from crawler.archive.listing import LISTINGS
from tests.benchmarks.million import LINKS, make

PAGES = 3000
# It has none of these.
EMPTY = {"alternates", "canonical_problems", "hreflang_problems", "orphan_pages", "sitemap_urls"}


async def test_its_rows_belong_together_and_every_view_has_something_to_tell(tmp_path: Path) -> None:
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
        empty = {name for name in LISTINGS if not [row async for row in archive.rows(name, limit=1)]}
    assert empty == EMPTY
