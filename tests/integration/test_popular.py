"""Links to a page that every other page leads to: the first of them cost no look at all of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from crawler.archive.archive import open_crawl
from tests.benchmarks.million import make

PAGES = 1000
HOME = 5  # its row in urls


async def popular(db: Path) -> tuple[str, list[str]]:
    """Every page but the first fifty links to one URL: that, and the pages."""
    await make(db, PAGES)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM links WHERE target_id = ?", (HOME,))
        connection.execute(
            "INSERT INTO links SELECT page_id, ?, '', '', 0 FROM urls WHERE page_id IS NOT NULL AND id > 50", (HOME,)
        )
        [(url,)] = connection.execute("SELECT url FROM urls WHERE id = ?", (HOME,))
        sources = connection.execute("SELECT url FROM urls WHERE page_id IS NOT NULL AND id > 50 ORDER BY id")
        return url, [row[0] for row in sources]


async def test_the_first_links_are_those_of_the_whole_list_whatever_is_asked_for(tmp_path: Path) -> None:
    url, sources = await popular(tmp_path / "crawl.db")
    async with open_crawl(tmp_path / "crawl.db") as archive:
        assert [link.page_url async for link in archive.links_to(url)] == sources
        for limit in (1, 10, len(sources) - 1, len(sources), len(sources) + 1):
            found = [link.page_url async for link in archive.links_to(url, limit=limit)]
            assert found == sources[:limit], limit


async def test_links_that_have_gone_since_are_made_up_for(tmp_path: Path) -> None:
    """The index goes on listing them, here the first 800."""
    db = tmp_path / "crawl.db"
    url, sources = await popular(db)
    async with open_crawl(db) as archive:
        assert len([None async for _link in archive.links_to(url)]) == len(sources)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "DELETE FROM links WHERE target_id = ?1 AND page_id IN (SELECT page_id FROM urls WHERE id <= 850)", (HOME,)
        )
    async with open_crawl(db) as archive:
        found = [link.page_url async for link in archive.links_to(url, limit=10)]
    assert found == sources[800:810]
