"""What a person types into a search, as an expression of SQLite's FTS5 (https://sqlite.org/fts5.html, 3).

Phrases, prefixes, AND, OR, NOT, NEAR and columns are those of FTS5. Invariant: every word is handed on as a quoted
string, so that nothing in a query can be anything but that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from crawler.archive.words import EDGE, PAIR, words
from crawler.statically_frozen import dataclass

MAX_WORDS = 100  # of a query that is read as plain words; FTS5 has a limit, too

_PART = re.compile(r'"(?P<phrase>(?:[^"]|"")*)"|(?P<sign>[(){}:^*+,])|(?P<word>[^\s"(){}:^*+,]+)|\s+|(?P<stray>")')
_NOTHING = '""'
_OPERATORS = frozenset({"AND", "OR", "NOT"})
_LAST_RUN = re.compile(f"{EDGE}([^{EDGE}]*){EDGE}([^\\w{EDGE}]*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """`fts` is for MATCH; `words` are its phrases, also those behind a NOT."""

    fts: str
    words: tuple[str, ...]

    @property
    def any_word(self) -> str:
        """For MATCH: what has one of the words."""
        return " OR ".join(self.words)


def structured(query: str) -> Expression:
    """The query as the FTS5 syntax that it may be; SQLite finds out."""
    parts = list(_parts(query))
    fts = " ".join(part for part, _is_word in parts).replace(" AND NOT ", " NOT ")  # there is no other NOT
    return Expression(fts=fts or _NOTHING, words=tuple(part for part, is_word in parts if is_word))


def plain(query: str) -> Expression:
    """The query as words that a page must have, all of them; signs are nothing."""
    given = tuple(_quoted(word) for word in query.replace('"', " ").split()[:MAX_WORDS] if _has_word(word))
    return Expression(fts=" ".join(given) or _NOTHING, words=given)


def _parts(query: str) -> Iterator[tuple[str, bool]]:
    """Each part for FTS5, and whether it is a word or phrase."""
    before = ""  # the part before this one
    for found in _PART.finditer(query):
        text = found[0]
        if found["sign"]:
            if text == "*" and (before.endswith("*") or _is_short(before)):
                continue
            yield text, False
        elif found["word"] and (text in _OPERATORS or _is_of_near(query, found, before)):
            yield text, False
        elif found["stray"]:
            yield '"', False  # SQLite will call it an error
        elif _has_word(text):
            phrase = found["phrase"]
            text = _quoted(text if phrase is None else phrase.replace('""', '"'))
            yield text, True
        else:
            continue
        before = text


def _has_word(text: str) -> bool:
    """A phrase of signs alone would match nothing."""
    return any(map(str.isalnum, text))


def _is_of_near(query: str, found: re.Match[str], before: str) -> bool:
    """NEAR before its bracket, or its number."""
    if found[0] == "NEAR":
        return query[found.end() : found.end() + 1] == "("
    return before == "," and found[0].isdecimal()


def _is_short(before: str) -> bool:
    """A prefix of one letter would be half of all words."""
    return len(before) <= len('"x"')


def _quoted(text: str) -> str:
    """A string of FTS5. Letters that no space parts are pairs there, too; the last pair may go on as it likes."""
    told, star = words(text), ""
    if last := _LAST_RUN.search(told):
        pairs, _, rest = last[1].rpartition(PAIR)
        told = f"{told[: last.start()]}{EDGE}{pairs or rest}{last[2]}"
        star = "" if pairs else "*"
    quoted = told.replace('"', '""').replace(EDGE, " ").replace(PAIR, " ")
    return f'"{quoted.strip()}"{star}'
