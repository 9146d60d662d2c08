"""The words of main content, for `crawler search --content main`: an index of its own in the derived file.

A page's main content is made (markdown.py), kept, and indexed; the index stands beside that of whole pages
(search_index.py), is made on first use, and costs nothing where nobody asks for it. A page without main content, or of
which none can be made, is indexed with all of its text: better found once too often than not at all.

Invariants: a row of `main_documents` has the text whose words stand in `main_search`, so they can be taken out again.
What became of pages since is not looked after: whoever searches leaves out a row that is not of a URL's newest version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import aiosqlite
import orjson

from crawler.archive.current import NEWEST, PAGE_MARK, STATE
from crawler.archive.derived import Progress, create
from crawler.archive.markdown import Kept, MarkdownMaker, PageMarkdown, open_markdown
from crawler.archive.search_index import FTS_COLUMNS, RANK, TOKENIZER, heading_words, normalized_language
from crawler.archive.words import words
from crawler.bodies import decompress_or_none
from crawler.content.markdown import Content, extractor, outline_of
from crawler.records import Page

_PAGES = 64  # whose main content is made together, and indexed in a transaction

_CREATE = f"""
DROP TABLE IF EXISTS main.main_search;
DROP TABLE IF EXISTS main.main_documents;
DROP TABLE IF EXISTS main.main_search_state;
CREATE TABLE main.main_documents (
    id INTEGER PRIMARY KEY,     -- the row in `main_search`, and that of the URL
    page_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    language TEXT,
    title TEXT,
    headings TEXT NOT NULL,     -- JSON, as pages have them
    text TEXT NOT NULL          -- of the main content
);
CREATE VIRTUAL TABLE main.main_search USING fts5({FTS_COLUMNS}, content='', tokenize='{TOKENIZER}');
INSERT INTO main_search (main_search, rank) VALUES ('rank', '{RANK}');
INSERT INTO main_search (main_search, rank) VALUES ('pgsz', 4050);
CREATE TABLE main.main_search_state (checked TEXT);
INSERT INTO main.main_search_state VALUES (NULL);
"""  # noqa: S608 - our own names
_NEW = """
SELECT p.id, u.id, u.url, u.host_id, u.page_id = p.id, p.content_type, p.encoding, p.language, p.title, p.headings,
    p.text, b.zstd
FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id LEFT JOIN bodies AS b ON b.hash = p.body_hash
WHERE p.id > ? ORDER BY p.id LIMIT ?
"""
_OLD = "SELECT id, title, headings, text FROM main.main_documents WHERE id IN (SELECT value FROM json_each(?))"
_FORGET = f"INSERT INTO main.main_search (main_search, rowid, {FTS_COLUMNS}) VALUES ('delete', ?, ?, ?, ?)"  # noqa: S608
_ADD = f"INSERT INTO main.main_search (rowid, {FTS_COLUMNS}) VALUES (?, ?, ?, ?)"  # noqa: S608 - our own names
_KEEP = "INSERT OR REPLACE INTO main.main_documents VALUES (?, ?, ?, ?, ?, ?, ?)"


class MainIndex:
    """The derivation (derived.py). Another version of the extractor has it built anew."""

    name = "main_search"
    mark = PAGE_MARK
    doing = "extracting and indexing the main content of"

    def __init__(self, db: Path) -> None:
        self._db = db

    @property
    def version(self) -> int:
        """See `Derivation`."""
        return crc32(f"1 {extractor()}".encode())

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """See `Derivation`."""
        await create(connection, _CREATE)

    async def take_in(self, progress: Progress, until: float) -> None:
        """See `Derivation`."""
        upto, newest = await progress.upto(), await progress.value(NEWEST) or 0
        state = await progress.value(STATE)
        async with open_markdown(self._db, Content.MAIN, kept=Kept(self._db, progress)) as maker:
            while upto < newest and time.monotonic() < until:
                upto = await _take_in(progress, maker, upto)
        if upto >= newest:
            async with progress.transaction():
                await progress.connection.execute("UPDATE main.main_search_state SET checked = ?", (state,))


async def _take_in(progress: Progress, maker: MarkdownMaker, after: int) -> int:
    """Index the pages after this row; returns the last one."""
    rows = list(await progress.connection.execute_fetchall(_NEW, (after, _PAGES)))
    newest = [row for row in rows if row[4]]
    made = await maker.of([(_page_of(row), decompress_or_none(row[11])) for row in newest])
    documents = await asyncio.to_thread(lambda: [_document(row, one) for row, one in zip(newest, made, strict=True)])
    async with progress.transaction():
        await _forget(progress.connection, [row[1] for row in newest])
        await progress.connection.executemany(_KEEP, documents)
        await progress.connection.executemany(_ADD, [_indexed(row[0], *row[4:]) for row in documents])
        await progress.come_to(rows[-1][0])
    return int(rows[-1][0])


def _document(row: Sequence[Any], made: PageMarkdown) -> tuple[Any, ...]:
    """A row of `main_documents`."""
    page_id, url_id, _url, host_id, _is, _type, _encoding, language, title, headings, text, _zstd = row
    if made.text is not None and not made.is_whole:
        outline, text = outline_of(made.text)
        headings = orjson.dumps(outline).decode()
    return url_id, page_id, host_id, normalized_language(language), title, headings, text


async def _forget(connection: aiosqlite.Connection, url_ids: Sequence[int]) -> None:
    old = await connection.execute_fetchall(_OLD, (orjson.dumps(url_ids).decode(),))
    await connection.executemany(_FORGET, [_indexed(*row) for row in old])


def _indexed(url_id: int, title: str | None, headings: str, text: str) -> tuple[Any, ...]:
    return url_id, words(title), heading_words(headings), words(text)


def _page_of(row: Sequence[Any]) -> Page:
    """As much of it as the maker of Markdown needs."""
    return Page(url=row[2], content_type=row[5], encoding=row[6], title=row[8], text=row[10])
