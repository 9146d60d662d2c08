"""Markdown of stored pages: made in processes when it is asked for, and kept in the derived file.

Invariants: Markdown is kept with the versions of all that made it, and under a key of all else that it is a function of
(body, URL, encoding, media type, and what of the page is wanted), so what is kept is what would be made now. A page
that fails costs itself only. Where the derived file cannot be used, everything is made each time.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import aiosqlite
import orjson

from crawler.archive.current import PAGE_MARK
from crawler.archive.derived import Progress, UnavailableError, bring_up_to_date, create, derived_file, inode_of
from crawler.bodies import body_hash, decompress, stored_body
from crawler.content.markdown import Content, Markdown, can_extract, extractor
from crawler.content.media_type import HTML, XML_TYPES
from crawler.errors import UsageError
from crawler.location import Location
from crawler.parsing.extraction_wire import Document
from crawler.records import Page
from crawler.storage.sqlite.database import connect, read_only_uri

if TYPE_CHECKING:
    from crawler.parsing.extraction import ExtractionPool

TIMEOUT_S = 20.0  # for a page: nearly all take a twentieth of a second
_PATIENCE_S = 0.5  # for another process that writes the derived file: what cannot be kept is only made again
_KEY_BYTES = 16
_MARKUP = XML_TYPES | {HTML, None}  # None: HTML, by a version that kept no media type

_CREATE = """
DROP TABLE IF EXISTS main.markdown;
CREATE TABLE main.markdown (
    key BLOB NOT NULL UNIQUE,   -- BLAKE2b, 16 bytes, of body hash, URL, encoding, media type, and what is wanted
    extractor TEXT NOT NULL,    -- the versions of all that made it
    is_whole INTEGER NOT NULL,  -- 1: all of the page, because that was wanted, or no main content was found
    zstd BLOB,                  -- NULL: there is none
    why_not TEXT                -- NULL: there is some
);
"""
_KEPT = "SELECT key, extractor, is_whole, zstd, why_not FROM markdown WHERE key IN ({marks})"
_KEEP = "INSERT OR REPLACE INTO main.markdown (key, extractor, is_whole, zstd, why_not) VALUES (?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMarkdown:
    """The Markdown of a page; `text` is None where there is none, and `why_not` says why.

    `is_whole`: it is that of all of the page, which was wanted, or in which no main content was found. `extractor` are
    the versions of what made it, empty where a page was no markup, and its text is taken as it is. `body_hash` names
    the body; None: none is stored.
    """

    text: str | None
    is_whole: bool = True
    extractor: str = ""
    body_hash: bytes | None = None
    why_not: str | None = None


class Kept:
    """The Markdown that is kept in the derived file of `db`, if any; `progress`: for whoever is writing it."""

    def __init__(self, db: Path | None, progress: Progress | None = None) -> None:
        self._db = db
        self._progress = progress

    async def read(self, keys: Sequence[bytes]) -> Mapping[bytes, _Row]:
        """What is kept under these; nothing where it cannot be read: whoever writes it finds out, and repairs it."""
        path = None if self._db is None else derived_file(self._db)
        if not keys or path is None or inode_of(path) is None:
            return {}
        with suppress(sqlite3.Error):
            connection = await connect(read_only_uri(path), uri=True, patience_s=_PATIENCE_S)
            try:
                sql = _KEPT.format(marks=", ".join("?" * len(keys)))
                rows = await connection.execute_fetchall(sql, list(keys))
            finally:
                await connection.close()
            return {row[0]: _Row(*row) for row in rows}
        return {}

    async def write(self, rows: Sequence[_Row]) -> None:
        """Keep these, if that is possible."""
        if self._progress is not None:
            keeping = _Keeping(rows)
            await keeping.take_in(Progress(self._progress.connection, keeping), math.inf)
            return
        if self._db is None:
            return
        with suppress(UnavailableError):
            await bring_up_to_date(self._db, _Keeping(rows), patience_s=_PATIENCE_S)


class MarkdownMaker:
    """Makes Markdown of a crawl's pages. See `open_markdown`."""

    def __init__(
        self, kept: Kept, content: Content, pool: ExtractionPool, notify: Callable[[str], None], *, retry: bool
    ) -> None:
        self._kept = kept
        self._content = content
        self._pool = pool
        self._notify = notify
        self._retry = retry
        self._has_told = False

    async def of(self, pages: Sequence[tuple[Page, bytes | None]]) -> list[PageMarkdown]:
        """The Markdown of pages with their bodies (as received), which are None where none is stored."""
        asked = [_Asked.of(page, body, self._content) for page, body in pages]
        kept = await self._kept.read([one.key for one in asked if one.is_markup])
        kept = {key: row for key, row in kept.items() if self._is_good(row)}
        missing = [one for one in asked if one.is_markup and one.key not in kept]
        made = await asyncio.gather(*(self._pool.markdown(one.document) for one in missing))
        rows = {one.key: _row(one.key, found) for one, found in zip(missing, made, strict=True)}
        if rows:
            await self._kept.write(list(rows.values()))
        return [one.answer((kept | rows).get(one.key)) for one in asked]

    def _is_good(self, row: _Row) -> bool:
        if row.extractor == extractor():
            return row.why_not is None or not self._retry
        if not self._has_told:
            self._notify(f"Markdown is made anew by {extractor()}; what is kept was made by {row.extractor}")
            self._has_told = True
        return False


@asynccontextmanager
async def open_markdown(
    db: Location,
    content: Content,
    *,
    notify: Callable[[str], None] = lambda _message: None,
    kept: Kept | None = None,
    retry: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> AsyncIterator[MarkdownMaker]:
    """Make Markdown of pages of the crawl in `db`, in processes that are gone when this is left; `kept` is where it is
    kept, in the derived file of `db` unless whoever asks is writing that; beside PostgreSQL there is none.

    `notify` gets a line for people when what was kept is made anew, because the extractor is another version. `retry`:
    what failed is tried again. A page may take `timeout_s` seconds. Raises `UsageError` if the extra is missing.
    """
    from crawler.parsing.extraction import open_extraction  # which every command that reads a crawl would load

    check_extra()
    async with open_extraction(timeout_s) as pool:
        yield MarkdownMaker(kept or Kept(db if isinstance(db, Path) else None), content, pool, notify, retry=retry)


def check_extra() -> None:
    """Raise `UsageError` if there is nothing to make Markdown with."""
    if not can_extract():
        raise UsageError("Markdown needs the extra `markdown`: pip install 'crawler[markdown]'")


class _Row(NamedTuple):
    """Of the table."""

    key: bytes
    extractor: str
    is_whole: int
    zstd: bytes | None
    why_not: str | None


class _Asked(NamedTuple):
    """A page whose Markdown is wanted."""

    page: Page
    document: Document
    body_hash: bytes | None
    key: bytes

    @classmethod
    def of(cls, page: Page, body: bytes | None, content: Content) -> _Asked:
        """See `MarkdownMaker.of`."""
        document = Document(page.url, page.encoding, page.content_type, content, body or b"")
        digest = None if body is None else body_hash(body)
        *about, _body = document
        key = blake2b(orjson.dumps([*about, (digest or b"").hex()]), digest_size=_KEY_BYTES).digest()
        return cls(page, document, digest, key)

    @property
    def is_markup(self) -> bool:
        """Whether there is something to be extracted."""
        return self.body_hash is not None and self.page.content_type in _MARKUP

    def answer(self, row: _Row | None) -> PageMarkdown:
        """From the table's row; of what is no markup, its text."""
        if row is None:
            if self.page.content_type not in _MARKUP:
                return PageMarkdown(text=f"{self.page.text}\n", body_hash=self.body_hash)
            return PageMarkdown(text=None, why_not="no body is stored (--no-bodies)")
        text = None if row.zstd is None else decompress(row.zstd).decode()
        return PageMarkdown(
            text=text,
            is_whole=bool(row.is_whole),
            extractor=row.extractor,
            body_hash=self.body_hash,
            why_not=row.why_not,
        )


def _row(key: bytes, made: Markdown | str) -> _Row:
    if isinstance(made, str):
        return _Row(key, extractor(), 1, None, made)
    return _Row(key, extractor(), made.is_whole, stored_body(made.text.encode("utf-8", "replace")).zstd, None)


class _Keeping:
    """The derivation (derived.py) that adds rows. It does not follow the crawl: a key says what a row is right for."""

    name = "markdown"
    version = 1
    mark = PAGE_MARK

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """See `Derivation`."""
        await create(connection, _CREATE)

    async def take_in(self, progress: Progress, until: float) -> None:
        """See `Derivation`."""
        await progress.upto()
        async with progress.transaction():
            await progress.connection.executemany(_KEEP, self._rows)
