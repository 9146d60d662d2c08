"""Searching the current pages of a crawl by their words, in the index of the derived file (search_index.py).

Invariant: whatever the index says, a page is an answer only if its newest version, as the crawl's file has it now,
matches; titles and excerpts are of that version.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import orjson

from crawler.archive.answers import SearchHit, SearchResults
from crawler.archive.attached import Attached
from crawler.archive.derived import discard, is_damage
from crawler.archive.deriving import Deriver
from crawler.archive.filters import Condition, UrlFilter
from crawler.archive.main_index import MainIndex
from crawler.archive.markdown import check_extra
from crawler.archive.matching import Match, Matcher
from crawler.archive.search_index import SearchIndex, normalized_language
from crawler.content.markdown import Content
from crawler.errors import UsageError
from crawler.statically_frozen import dataclass

UPDATE_S = 20.0  # for bringing the index up to date, before a search answers from what is there

_INDEX = SearchIndex()
_LANGUAGE = re.compile(r"[a-z]{1,8}(-[a-z0-9]{1,8})*")

# To rank a page costs 1.4 us, so of a word that nearly all pages have, the first are ranked. Ids are given in the
# order in which pages were stored: those near the seeds come first.
_RANKED = 200_000
_BEST = f"""
WITH ranked AS MATERIALIZED (SELECT {{matching}}{{more}} LIMIT {_RANKED})
SELECT url_id, rank, (SELECT count(*) FROM ranked) FROM ranked ORDER BY rank, url_id LIMIT ?
"""  # noqa: S608 - our own names
_MATCHING = """
d.url_id, s.rank AS rank FROM derived.search AS s CROSS JOIN derived.documents AS d ON d.id = s.rowid
WHERE s.search MATCH ? AND d.digest IS NOT NULL
"""
_MATCHING_MAIN = """
d.id AS url_id, s.rank AS rank FROM derived.main_search AS s CROSS JOIN derived.main_documents AS d ON d.id = s.rowid
    CROSS JOIN urls AS u ON u.id = d.id AND u.page_id = d.page_id
WHERE s.main_search MATCH ? AND u.status IN ('fetched', 'failed', 'pending')
"""

_CURRENT = """
FROM json_each(?) AS wanted CROSS JOIN urls AS u ON u.id = wanted.value CROSS JOIN pages AS p ON p.id = u.page_id
WHERE u.status IN ('fetched', 'failed', 'pending')
"""
_TITLES = f"SELECT u.id, p.title {_CURRENT}"
_PAGES = f"SELECT u.id, u.url, p.language, p.id, p.title, p.headings, p.text {_CURRENT}"
_MAIN_PAGES = """
SELECT u.id, u.url, p.language, p.id, p.title, d.headings, d.text
FROM json_each(?) AS wanted CROSS JOIN urls AS u ON u.id = wanted.value CROSS JOIN pages AS p ON p.id = u.page_id
    CROSS JOIN derived.main_documents AS d ON d.id = u.id AND d.page_id = p.id
WHERE u.status IN ('fetched', 'failed', 'pending')
"""
_RERANKED = 200  # of the best, by how much of their titles is asked for
_TITLE_WEIGHT = 2.0  # for all of it
_READ = 10  # pages together: their texts may be large


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    matcher: Matcher
    host: str | None
    language: str | None
    limit: int
    content: Content


class Search:
    """Searches through one reader of a crawl's file. Several tasks may ask at once."""

    def __init__(self, attached: Attached, deriver: Deriver) -> None:
        self._attached = attached
        self._deriver = deriver
        self._main = MainIndex(attached.db)

    async def ask(
        self, query: str, *, host: str | None, language: str | None, limit: int, content: Content, update_s: float
    ) -> SearchResults:
        """See `Archive.search`."""
        if content is Content.MAIN:
            check_extra()
        if language is not None:
            language = checked_language(language)
        with closing(Matcher(query)) as matcher:
            question = _Question(matcher=matcher, host=host, language=language, limit=limit, content=content)
            async with self._attached.turn:
                try:
                    return await self._answered(question, update_s)
                except sqlite3.Error as error:
                    if not is_damage(error):
                        raise
                await discard(self._attached.db)
                return await self._answered(question, update_s)

    async def _answered(self, question: _Question, update_s: float) -> SearchResults:
        derivation = self._main if question.content is Content.MAIN else _INDEX
        async with self._deriver.brought_up_to_date(derivation, update_s) as index:
            behind = await self._deriver.behind(index, derivation)
            if await index.upto(derivation) is None:
                return SearchResults(hits=(), total=0, is_total_known=False, behind=behind)
            return await _Answering(index, question).results(behind)


class _Answering:
    """One question, to an index that is attached."""

    def __init__(self, index: Attached, question: _Question) -> None:
        self._index = index
        self._question = question
        self._matcher = question.matcher
        is_main = question.content is Content.MAIN
        self._matching, self._pages = (_MATCHING_MAIN, _MAIN_PAGES) if is_main else (_MATCHING, _PAGES)
        more = _conditions(question)
        self._more = "".join(f" AND {one.sql}" for one in more)
        self._parameters = (self._matcher.expression.fts, *(value for one in more for value in one.parameters))

    async def results(self, behind: int) -> SearchResults:
        hits: list[SearchHit] = []
        total, seen, limit = 0, 0, max(_RERANKED, 2 * self._question.limit)
        while len(hits) < self._question.limit:
            best = await self._index.fetch(
                _BEST.format(matching=self._matching, more=self._more), *self._parameters, limit
            )
            total = best[0][2] if best else 0
            hits += await self._hits(await self._reranked(best[seen:]), self._question.limit - len(hits))
            if len(best) < limit:
                break
            limit, seen = limit * 4, limit
        return SearchResults(hits=tuple(hits), total=total, is_total_known=total < _RANKED, behind=behind)

    async def _reranked(self, best: Sequence[Any]) -> list[tuple[int, float]]:
        """URL ids and scores, the best first: a page whose title is what was asked for is more than one that has it."""
        titles = await self._index.fetch(_TITLES, orjson.dumps([row[0] for row in best[:_RERANKED]]).decode())
        shares = await asyncio.to_thread(self._matcher.in_titles, {key: title for key, title in titles if title})
        scores = [(url_id, -rank * (1 + _TITLE_WEIGHT * shares.get(url_id, 0.0))) for url_id, rank, _total in best]
        return sorted(scores, key=lambda one: (-one[1], one[0]))

    async def _hits(self, ranked: Sequence[tuple[int, float]], limit: int) -> list[SearchHit]:
        """The first that match, as they are now."""
        hits: list[SearchHit] = []
        for begin in range(0, len(ranked), _READ):
            some = dict(ranked[begin : begin + _READ])
            rows = await self._index.fetch(self._pages, orjson.dumps(list(some)).decode())
            matches = await asyncio.to_thread(self._matcher.matches, [(row[0], *row[4:]) for row in rows])
            pages = {row[0]: row for row in rows}
            hits += [_hit(pages[url_id], matches[url_id], some[url_id]) for url_id in some if url_id in matches]
            if len(hits) >= limit:
                break
        return hits[:limit]


def _hit(row: Sequence[Any], match: Match, score: float) -> SearchHit:
    _url_id, url, language, page_id, *_texts = row
    return SearchHit(url=url, title=match.title, snippet=match.snippet, language=language, score=score, page_id=page_id)


def _conditions(question: _Question) -> list[Condition]:
    found = []
    if question.host is not None:
        [name] = UrlFilter(host=question.host).conditions("", "h.name")
        found.append(Condition(f"d.host_id IN (SELECT h.id FROM hosts AS h WHERE {name.sql})", name.parameters))  # noqa: S608
    if question.language is not None:
        found.append(Condition("(d.language = ? OR d.language GLOB ?)", (question.language, f"{question.language}-*")))
    return found


def checked_language(given: str) -> str:
    """A language tag as we compare them, in lower case. Raises `UsageError` for what is none."""
    language = normalized_language(given) or ""
    if not _LANGUAGE.fullmatch(language):
        raise UsageError(f"{given!r} is no language; give a tag such as de or pt-BR")
    return language
