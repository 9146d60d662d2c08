"""Texts of a few pages against a query, in memory: which match, what is highlighted, how much of their titles.

The index of the derived file (search_index.py) knows no texts. Here the same tokenizer reads them, so that what is
highlighted is what was found.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from crawler.archive.answers import Excerpt
from crawler.archive.query import Expression, plain, structured
from crawler.archive.search_index import FTS_COLUMNS, TOKENIZER, heading_words
from crawler.archive.words import LEFT_OUT, MARK_BEGIN, MARK_END, clean, folded, joined, words
from crawler.errors import UsageError

_EXCERPT_WORDS = 30
_MAX_LENGTH = 500  # characters of a title or excerpt; a word may be as long as a page
_ON_ONE_LINE = str.maketrans("\n\t", "  ")
_TABLES = f"""
CREATE VIRTUAL TABLE page USING fts5({FTS_COLUMNS}, tokenize='{TOKENIZER}');
CREATE VIRTUAL TABLE heading USING fts5(title, tokenize='{TOKENIZER}');
"""
_HIGHLIGHTED = f"""
SELECT rowid, highlight(page, 0, '{MARK_BEGIN}', '{MARK_END}'),
    snippet(page, 2, '{MARK_BEGIN}', '{MARK_END}', '{LEFT_OUT}', {_EXCERPT_WORDS})
FROM page WHERE page MATCH ?
"""  # noqa: S608 - our own names
_TITLES = f"SELECT rowid, highlight(heading, 0, '{MARK_BEGIN}', '{MARK_END}') FROM heading WHERE heading MATCH ?"  # noqa: S608


class Match(NamedTuple):
    """What is shown of a page that matches. `title` is empty where it has none."""

    title: Excerpt
    snippet: Excerpt


class Matcher:
    """A query, as SQLite understands it: with FTS5's syntax, or else as plain words. Raises `UsageError`."""

    def __init__(self, query: str) -> None:
        self._memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._memory.executescript(_TABLES)
        query = query.encode(errors="replace").decode()  # lone surrogates: a shell's bytes that are no UTF-8
        self.expression = self._understood(query)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()

    def matches(self, pages: Iterable[tuple[int, str | None, str, str]]) -> dict[int, Match]:
        """Those of the pages (id, title, headings as JSON, text) that match, by id."""
        given = {key: (title or "", headings, text) for key, title, headings, text in pages}
        rows = [
            (key, words(title), heading_words(headings), words(text)) for key, (title, headings, text) in given.items()
        ]
        self._memory.execute("DELETE FROM page")
        self._memory.executemany(f"INSERT INTO page (rowid, {FTS_COLUMNS}) VALUES (?, ?, ?, ?)", rows)  # noqa: S608
        found = self._memory.execute(_HIGHLIGHTED, (self.expression.fts,))
        return {
            key: Match(_excerpt(title, given[key][0]), _excerpt(snippet, given[key][2]))
            for key, title, snippet in found
        }

    def in_titles(self, titles: Mapping[int, str]) -> dict[int, float]:
        """How much of a title is words of the query, from 0 to 1; none where that is nothing."""
        if not self.expression.words:
            return {}
        self._memory.execute("DELETE FROM heading")
        rows = [(key, words(title)) for key, title in titles.items()]
        self._memory.executemany("INSERT INTO heading (rowid, title) VALUES (?, ?)", rows)
        found = self._memory.execute(_TITLES, (self.expression.any_word,))
        return {key: _marked_share(*joined(title)) for key, title in found}

    def _understood(self, query: str) -> Expression:
        for expression in (structured(query), plain(query)):
            with suppress(sqlite3.Error):
                self._memory.execute("SELECT 1 FROM page WHERE page MATCH ?", (expression.fts,)).fetchall()
                return expression
        raise UsageError("this query is too long; search for fewer words")


def _excerpt(highlighted: str, whole: str) -> Excerpt:
    """What SQLite has cut from the `whole` text, with the accents that it was not told of."""
    text, marks = joined(highlighted.strip(LEFT_OUT))
    whole = clean(whole)
    if (told := folded(whole)) != whole:
        begin = told.index(text)
        text = whole[begin : begin + len(text)]
    text = text[:_MAX_LENGTH].translate(_ON_ONE_LINE)
    marks = [(begin, min(end, _MAX_LENGTH)) for begin, end in marks if begin < _MAX_LENGTH]
    before = "…" if highlighted.startswith(LEFT_OUT) else ""
    behind = "…" if highlighted.endswith(LEFT_OUT) else ""
    return Excerpt(
        text=f"{before}{text}{behind}", marks=tuple((begin + len(before), end + len(before)) for begin, end in marks)
    )


def _marked_share(title: str, marks: Sequence[tuple[int, int]]) -> float:
    """By letters and digits."""
    marked = sum(character.isalnum() for begin, end in marks for character in title[begin:end])
    return marked / max(1, sum(map(str.isalnum, title)))
