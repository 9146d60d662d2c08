"""What the archive costs on a large crawl: `python -m tests.benchmarks.archive --links 1000000`.

Makes a database by SQL alone, of pages with 100 links each, as a crawl leaves it; then asks it.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from crawler.archive.archive import Archive, open_crawl
from crawler.archive.derived import derived_file
from crawler.archive.report import read_report
from crawler.storage.sqlite.database import open_writer

LINKS = 100  # a page; of these a tenth lead to one of a hundred pages that all know, as menus do
URLS_A_PAGE = 2  # half of the URLs are pages

FILL = """
INSERT INTO runs (started_at, options) VALUES (1, '{}');
INSERT INTO hosts (name) SELECT 'h' || value || '.test' FROM generated WHERE value < 100;
INSERT INTO urls (url, host_id, kind, status, reason, depth, discovered_at, fetched_at, page_id)
SELECT 'https://h' || (value % 100) || '.test/section/' || (value % 97) || '/an-article-of-some-length-' || value,
    1 + value % 100, 'page',
    CASE WHEN value % 2 = 0 THEN 'fetched' WHEN value % 20 = 1 THEN 'gone' WHEN value % 20 = 3 THEN 'failed'
        WHEN value % 4 = 1 THEN 'pending' ELSE 'excluded' END,
    CASE WHEN value % 20 = 3 AND value % 2 THEN 'http 403' WHEN value % 4 = 3 THEN 'scope' END,
    3, value, value, CASE WHEN value % 2 = 0 THEN 1 + value / 2 END
FROM generated;
INSERT INTO fetches (url_id, run_id, started_at, elapsed_s, status_code, content_type, bytes)
SELECT 1 + 2 * value, 1, value, 0.1, 200, 'text/html', 20000
FROM generated WHERE value < (SELECT count(*) FROM generated) / 2;
INSERT INTO pages (url_id, fetch_id, title, text, encoding, headings, open_graph, json_ld, links_total, content_hash)
SELECT 1 + 2 * value, 1 + value, 'Article ' || value, printf('%.3000c', 'x'), 'utf-8', '[]', '{}', '[]', 100,
    randomblob(16)
FROM generated WHERE value < (SELECT count(*) FROM generated) / 2;
INSERT OR IGNORE INTO links (page_id, target_id, anchor, rel)
SELECT p.id, CASE WHEN n.value < 10 THEN 1 + (p.id * 7 + n.value * 13) % 100
    ELSE 1 + abs(random()) % (SELECT count(*) FROM generated) END, 'the text of the link ' || n.value, ''
FROM pages AS p CROSS JOIN generated AS n WHERE n.value < 100 ORDER BY p.id;
"""


async def make(path: Path, links: int) -> None:
    """A finished crawl with about so many links."""
    urls = links // LINKS * URLS_A_PAGE
    async with open_writer(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TEMP TABLE generated (value INTEGER PRIMARY KEY)")
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
            " INSERT INTO generated SELECT i FROM n",
            (urls,),
        )
        connection.executescript(f"BEGIN; {FILL} COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")


async def timed(what: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Do it and print how long it took, and what it found."""
    began = time.perf_counter()
    found = await work()
    print(f"{what:<58} {time.perf_counter() - began:8.3f} s  {found}", flush=True)


async def measure(db: Path) -> None:
    """The questions, one after the other."""

    async def rows(sql: str) -> int:
        with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
            return sum(1 for _row in connection.execute(sql))

    async def links_to(archive: Archive, url: str) -> int:
        return len([link async for link in archive.links_to(url)])

    with closing(sqlite3.connect(db)) as connection:
        popular, rare = (
            connection.execute("SELECT url FROM urls WHERE id = ?", (number,)).fetchone()[0] for number in (50, 1001)
        )
    await timed("inlinks, the view, of one URL", lambda: rows(f"SELECT * FROM inlinks WHERE target_url = '{rare}'"))
    async with open_crawl(db, notify=print) as archive:
        await timed("links_to a URL, the index being built", lambda: links_to(archive, rare))
        await timed("links_to it again", lambda: links_to(archive, rare))
        await timed("links_to a page that many lead to", lambda: links_to(archive, popular))
        await timed("attempts of a URL, the index being built", lambda: archive.attempts(rare))
        await timed("links_from a page", lambda: _count(archive.links_from(rare)))
        await timed("pages, all of them", lambda: _stream(archive))
    for file in (derived_file(db), db):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    await timed("the figures of `crawler status`", lambda: _nothing(read_report(db, time.time())))
    for view in ("broken_links", "orphan_pages", "duplicate_pages", "canonical_problems", "changes", "current_pages"):
        columns = "url" if view == "current_pages" else "*"
        await timed(f"{view}, the first 100", lambda: rows(f"SELECT {columns} FROM {view} LIMIT 100"))  # noqa: B023
        await timed(f"{view}, whole", lambda: rows(f"SELECT {columns} FROM {view}"))  # noqa: B023


async def _count(found: Coroutine[Any, Any, list[Any]]) -> int:
    return len(await found)


async def _nothing(work: Coroutine[Any, Any, Any]) -> str:
    await work
    return ""


async def _stream(archive: Archive) -> int:
    return len([None async for _page in archive.pages()])


async def main() -> None:
    """Make the database where it is not there yet, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the database here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        db = (options.folder or Path(scratch)) / f"{options.links}.db"
        if not db.exists():
            await timed("making the database", lambda: _nothing(make(db, options.links)))
        derived_file(db).unlink(missing_ok=True)
        await measure(db.absolute())


if __name__ == "__main__":
    asyncio.run(main())
