"""The words of current pages, for `crawler search`: a full-text index (SQLite's FTS5) in the derived file.

It holds the words but no text (a contentless table), so it takes about half of what the texts take. To remove a page's
words, SQLite 3.40 has to be told them again. They are read from the version in the crawl's file, which stays there
until it is pruned; a digest tells whether it still says what was indexed. If it does not, because the version was
pruned first or corrected in place, its words stay behind under an id that no page has any more, so that no search finds
them; once they are a fifth of all, the index is built anew.

Invariants: a row of `documents` with a digest has its words in `search`, one without has none. No id is used twice.
"""

from __future__ import annotations

import time
from hashlib import blake2b

import aiosqlite
import orjson

from crawler.archive.current import IS_CURRENT, PAGE_MARK, STATE, BatchSize, take_in_versions
from crawler.archive.derived import Progress, create
from crawler.archive.words import words

# Marks are letters here: Thai, Khmer and Indian scripts write vowels by them.
FTS_COLUMNS = "title, headings, text"
TOKENIZER = "porter unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''"
RANK = "bm25(10.0, 4.0, 1.0)"

_OVERLAP_S = 3600.0  # a response is committed some time after it came
_LAST_RESPONSE = f"coalesce((SELECT started_at FROM fetches ORDER BY id DESC LIMIT 1), 0) - {_OVERLAP_S}"  # noqa: S608

_CREATE = f"""
DROP TABLE IF EXISTS main.search;
DROP TABLE IF EXISTS main.documents;
DROP TABLE IF EXISTS main.search_state;
CREATE TABLE main.documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the row in `search`
    url_id INTEGER NOT NULL UNIQUE,
    page_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    language TEXT,
    reader_version INTEGER,
    digest BLOB     -- of what was indexed; NULL: nothing was, since its page is not current
);
CREATE VIRTUAL TABLE main.search USING fts5({FTS_COLUMNS}, content='', tokenize='{TOKENIZER}');
INSERT INTO search (search, rank) VALUES ('rank', '{RANK}');
INSERT INTO search (search, rank) VALUES ('pgsz', 4050);
CREATE TABLE main.search_state (
    checked TEXT,               -- the state of the crawl in which every document was last compared with its URL
    fetched_at REAL NOT NULL,   -- the responses until then were known to that comparison
    cursor INTEGER NOT NULL,    -- the URL that the comparison under way has come to
    lost INTEGER NOT NULL       -- documents whose words are left behind
);
INSERT INTO main.search_state SELECT NULL, {_LAST_RESPONSE}, 0, 0;
"""  # noqa: S608 - our own names

_SCRATCH = "CREATE TEMP TABLE IF NOT EXISTS stale (url_id INTEGER PRIMARY KEY)"
_NEW = """
INSERT INTO temp.stale SELECT u.id FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id
WHERE p.id > ? AND p.id <= ?
"""
_WINDOW = "SELECT max(url_id) FROM (SELECT url_id FROM main.documents WHERE url_id > ? ORDER BY url_id LIMIT ?)"
_CHANGED = f"""
INSERT INTO temp.stale SELECT d.url_id FROM main.documents AS d CROSS JOIN urls AS u ON u.id = d.url_id
WHERE d.url_id > ?1 AND d.url_id <= ?2 AND (
    ({IS_CURRENT}) <> (d.digest IS NOT NULL) OR u.page_id <> d.page_id
    OR u.fetched_at >= ?3 AND (SELECT reader_version FROM pages WHERE id = u.page_id) IS NOT d.reader_version
) LIMIT ?4
"""  # noqa: S608 - our own names

_WORDS = "words(p.title), heading_words(p.headings), words(p.text)"
_FORGET = f"""
INSERT INTO main.search (search, rowid, {FTS_COLUMNS}) SELECT 'delete', d.id, {_WORDS}
FROM temp.stale AS s CROSS JOIN main.documents AS d ON d.url_id = s.url_id CROSS JOIN pages AS p ON p.id = d.page_id
WHERE d.digest = digest(p.title, p.headings, p.text)
"""  # noqa: S608 - our own names
_INDEXED = """
SELECT count(*) FROM temp.stale AS s CROSS JOIN main.documents AS d ON d.url_id = s.url_id WHERE d.digest IS NOT NULL
"""
_FORGET_DOCUMENTS = "DELETE FROM main.documents WHERE url_id IN (SELECT url_id FROM temp.stale)"
_LAST = "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = 'documents'"
_ADD_DOCUMENTS = f"""
INSERT INTO main.documents (url_id, page_id, host_id, language, reader_version, digest)
SELECT u.id, p.id, u.host_id, language(p.language), p.reader_version,
    CASE WHEN {IS_CURRENT} THEN digest(p.title, p.headings, p.text) END
FROM temp.stale AS s CROSS JOIN urls AS u ON u.id = s.url_id CROSS JOIN pages AS p ON p.id = u.page_id
ORDER BY s.url_id
"""  # noqa: S608 - our own names
_ADD = f"""
INSERT INTO main.search (rowid, {FTS_COLUMNS}) SELECT d.id, {_WORDS}
FROM main.documents AS d CROSS JOIN pages AS p ON p.id = d.page_id WHERE d.id > ? AND d.digest IS NOT NULL
"""  # noqa: S608 - our own names

_COMPARED = 100_000  # documents, in a transaction: they are looked at, and few have changed
_MAX_LOST = 0.2  # of all documents


class SearchIndex:
    """The derivation (derived.py)."""

    name = "search"
    version = 1
    mark = PAGE_MARK
    doing = "indexing"

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """See `Derivation`."""
        await create(connection, _CREATE)

    async def take_in(self, progress: Progress, until: float) -> None:
        """See `Derivation`. New versions come first, then what has become of the pages that are known."""
        await Update(progress, until).run()


class Update:
    """One update of the index, which ends at `until` (monotonic seconds) if it is not complete before."""

    def __init__(self, progress: Progress, until: float, size: BatchSize | None = None) -> None:
        self._progress = progress
        self._connection = progress.connection
        self._until = until
        self._size = size or BatchSize()

    async def run(self) -> None:
        """All of it."""
        await _register(self._connection)
        await self._progress.upto()
        if await _has_lost_much(self._progress):
            await self._progress.begin_anew()
        await take_in_versions(self._progress, self._size, self._until, self._take_in_new)
        await self._compare()

    async def _take_in_new(self, after: int, upto: int) -> None:
        await self._connection.execute(_NEW, (after, upto))
        await self._renew()

    async def _compare(self) -> None:
        """Each document with its URL, unless nothing can have changed since that was done."""
        state, last = await self._progress.value(STATE), await self._progress.value(f"SELECT {_LAST_RESPONSE}")
        [(checked, fetched_at, cursor)] = await self._connection.execute_fetchall(
            "SELECT checked, fetched_at, cursor FROM main.search_state"
        )
        while checked != state and self._has_time():
            began = time.monotonic()
            async with self._progress.transaction():
                bound = await self._progress.value(_WINDOW, cursor, _COMPARED)
                if bound is None:
                    await self._note(state, last, 0)
                    checked = state
                    continue
                changed = await self._connection.execute(_CHANGED, (cursor, bound, fetched_at, self._size.rows))
                if changed.rowcount < self._size.rows:
                    cursor = bound
                await self._renew()
                await self._note(checked, fetched_at, cursor)
            if changed.rowcount == self._size.rows:
                self._size.adapt(began)

    async def _renew(self) -> None:
        """Forget the pages in `stale`, and index those that are current, in their newest versions."""
        indexed = await self._progress.value(_INDEXED)
        forgotten = (await self._connection.execute(_FORGET)).rowcount if indexed else 0
        await self._connection.execute(_FORGET_DOCUMENTS)
        last = await self._progress.value(_LAST)
        await self._connection.execute(_ADD_DOCUMENTS)
        await self._connection.execute(_ADD, (last,))
        await self._connection.execute("UPDATE main.search_state SET lost = lost + ?", (indexed - forgotten,))
        await self._connection.execute("DELETE FROM temp.stale")

    async def _note(self, checked: str | None, fetched_at: float, cursor: int) -> None:
        await self._connection.execute(
            "UPDATE main.search_state SET checked = ?, fetched_at = ?, cursor = ?", (checked, fetched_at, cursor)
        )

    def _has_time(self) -> bool:
        return time.monotonic() < self._until


async def _has_lost_much(progress: Progress) -> bool:
    lost = await progress.value("SELECT lost FROM main.search_state")
    return bool(lost) and lost > _MAX_LOST * await progress.value("SELECT count(*) FROM main.documents")


async def _register(connection: aiosqlite.Connection) -> None:
    """The functions of the statements above: texts go from one file to the other without a detour."""
    await connection.execute(_SCRATCH)
    for name, number, function in (
        ("words", 1, words),
        ("heading_words", 1, heading_words),
        ("digest", 3, _digest),
        ("language", 1, normalized_language),
    ):
        await connection.create_function(name, number, function, deterministic=True)


def heading_words(headings: str) -> str:
    """The headings (JSON), as they are indexed."""
    return words("\n".join(text for _level, text in orjson.loads(headings)))


def normalized_language(language: str | None) -> str | None:
    """A language tag as `documents` has it: de_AT is de-at."""
    return language.strip().lower().replace("_", "-") if language else None


def _digest(title: str | None, headings: str, text: str) -> bytes:
    return blake2b("\0".join((title or "", headings, text)).encode(), digest_size=8).digest()
