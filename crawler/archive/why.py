"""Why a URL is, or is not, in a crawl: how it was found, what decided, and what the rules of now say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.archive.answers import Attempt, Step, UrlState, Why
from crawler.archive.dialect import Sql
from crawler.archive.ruling import (
    Facts,
    Rules,
    address_refusal,
    in_words,
    judged,
    limit_of_last_run,
    pauses_of,
    read_facts,
    robots_word,
    settings_for,
)
from crawler.config import CrawlConfig
from crawler.records import UrlStatus
from crawler.urls import drop_params

if TYPE_CHECKING:
    from crawler.archive.archive import Archive
    from crawler.archive.reading import Reader

_MAX_STEPS = 1000  # back to a seed
_CHAIN = Sql(
    f"""
WITH RECURSIVE back (id, place) AS (
    SELECT ?, 0 UNION ALL
    SELECT u.found_on, b.place + 1 FROM back AS b JOIN urls AS u ON u.id = b.id
    WHERE u.found_on IS NOT NULL AND b.place < {_MAX_STEPS}
)
SELECT u.url, u.found_by, u.discovered_at FROM back AS b JOIN urls AS u ON u.id = b.id ORDER BY b.place DESC
""",  # noqa: S608 - our own number
    f"""
WITH RECURSIVE back (url, found_by, discovered_at, found_on_host, found_on, place) AS (
    SELECT url, found_by, discovered_at, found_on_host, found_on, 0 FROM urls WHERE (part, host_id, id) = (?, ?, ?)
    UNION ALL
    SELECT u.url, u.found_by, u.discovered_at, u.found_on_host, u.found_on, b.place + 1
    FROM back AS b JOIN urls AS u ON u.part = (b.found_on_host & (SELECT parts - 1 FROM meta))::int
        AND (u.host_id, u.id) = (b.found_on_host, b.found_on)
    WHERE b.place < {_MAX_STEPS}
)
SELECT url, found_by, discovered_at FROM back ORDER BY place DESC
""",  # noqa: S608 - our own number
)
_LAST_OPTIONS = "SELECT options FROM runs ORDER BY id DESC LIMIT 1"


def foretold(url: str, rules: Rules) -> Why:
    """What the rules say before any crawl: no robots.txt is known."""
    url, facts = drop_params(url, rules.config.scope.drop_param), Facts()
    robots = robots_word(url, rules.config, facts)
    ruling = judged(url, rules, facts, robots)
    return Why(
        url=url,
        ruling=ruling,
        ruling_explained=ruling and in_words(url, ruling.cause, ruling.detail, rules, facts),
        address_refused=address_refusal(url, rules, facts),
        robots=robots,
        settings=settings_for(url, rules, facts, robots),
        is_foretold=True,
    )


async def why_of(archive: Archive, reader: Reader, url: str, rules: Rules | None, now: float) -> Why:
    """All that decides about a URL, which need not be known. `rules` None: those of the last run."""
    rules = rules or await _rules_of_last_run(reader)
    if await archive.state(url) is None:
        url = drop_params(url, rules.config.scope.drop_param)  # as it would be stored
    facts = await read_facts(reader, url)
    robots = robots_word(url, rules.config, facts)
    ruling = judged(url, rules, facts, robots)
    why = Why(
        url=url,
        ruling=ruling,
        ruling_explained=ruling and in_words(url, ruling.cause, ruling.detail, rules, facts),
        address_refused=address_refusal(url, rules, facts),
        robots=robots,
        pauses=pauses_of(url, facts, now),
        settings=settings_for(url, rules, facts, robots),
        unstored_links=facts.host[4],
        last_limit=limit_of_last_run(rules, facts),
    )
    state = await archive.state(url)
    return why if state is None else await _with_its_story(archive, reader, why, state, rules, facts)


async def _rules_of_last_run(reader: Reader) -> Rules:
    rows = await reader.fetch(_LAST_OPTIONS)
    stored = json.loads(rows[0][0]) if rows else {}
    config, _changes = CrawlConfig().resumed(stored, ())
    return Rules(config=config, source="the last run")


async def _with_its_story(
    archive: Archive, reader: Reader, why: Why, state: UrlState, rules: Rules, facts: Facts
) -> Why:
    key = reader.key_of(state.url) or (facts.url_id,)
    chain = [Step(url=row[0], found_by=row[1], discovered_at=row[2]) for row in await reader.fetch(_CHAIN, *key)]
    attempts = await archive.attempts(state.url)
    cause = facts.cause if state.status == UrlStatus.EXCLUDED else None
    return replace(
        why,
        state=state,
        explanation=cause and in_words(state.url, cause, facts.detail, rules, facts),
        chain=chain,
        linked_from=await _linked_from(archive, state.url) if chain[0].found_by is None and not facts.seed else None,
        attempts=attempts,
        redirected_to=await _redirected_to(archive, attempts) if state.status == UrlStatus.REDIRECTED else None,
    )


async def _linked_from(archive: Archive, url: str) -> str | None:
    """A page that links to it: version 0.1.0 did not keep what named a URL first."""
    links = [link async for link in archive.links_to(url, limit=1)]
    return links[0].page_url if links else None


async def _redirected_to(archive: Archive, attempts: list[Attempt]) -> UrlState | None:
    ends = [one.redirect_url for one in attempts if one.redirect_url is not None]
    return await archive.state(ends[-1]) if ends else None
