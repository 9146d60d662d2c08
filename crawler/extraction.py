"""Applies extraction rules to the bodies that a crawl has stored, without fetching anything.

The bodies are read in the same processes as in a crawl. Invariants: what is held in memory does not grow with the
database; each batch of pages is committed as a whole, and a start after a kill goes on behind the last one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field

from crawler.bodies import decompress_or_none
from crawler.extraction_rules import Rule
from crawler.frontier.extracts import count_extract
from crawler.parsing.parser import Parser
from crawler.parsing.pool import open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.records import EarlierBody, Extract, Page, Response, UrlKind
from crawler.statically_frozen import dataclass
from crawler.storage.interface import Extraction, StoredPage
from crawler.user_agent import DEFAULT_PRODUCT_TOKEN

_PAGES = 512  # in one transaction
_AT_ONCE = 64  # bodies in memory
_BYTES_AT_ONCE = 32 * 1024 * 1024


@dataclass(slots=True)
class Extracted:
    """What was done: versions of `pages` looked at, those `without_body` that was kept, those that could not be read in
    time or at all, and by rule what was found (see `count_extract`).
    """

    pages: int = 0
    without_body: int = 0
    unreadable: int = 0
    rules: dict[str, Counter[str]] = field(default_factory=dict)


async def extract_stored(
    extraction: Extraction,
    rules: Sequence[Rule],
    timeout_s: float,
    progress: Callable[[int], None] = lambda _pages: None,
) -> Extracted:
    """Read all stored pages that the rules have not read, oldest first. `progress` is told how many are done."""
    done = Extracted(rules={rule.name: Counter() for rule in rules})
    names = [rule.name for rule in rules]
    settings = ReaderSettings(product_token=DEFAULT_PRODUCT_TOKEN, rules=tuple(rules))
    async with open_parser(settings, timeout_s) as parser:
        while pages := await extraction.unread(names, _PAGES):
            found = await _read_all(pages, rules, extraction, parser, done)
            await extraction.store(names, pages, found)
            done.pages += len(pages)
            progress(done.pages)
    return done


async def _read_all(
    pages: Sequence[StoredPage], rules: Sequence[Rule], extraction: Extraction, parser: Parser, done: Extracted
) -> dict[int, Sequence[Extract]]:
    """By version; a page that no rule is for has no rows, and one that could not be read is missing."""
    found: dict[int, Sequence[Extract]] = {}
    wanted = []
    for page in pages:
        if not any(rule.is_for(page.url) for rule in rules):
            found[page.page_id] = ()
        elif page.size is None:
            done.without_body += 1
        else:
            wanted.append(page)
    for part in _parts(wanted):
        bodies = await extraction.bodies(part)
        readings = await asyncio.gather(*(_read(page, bodies, parser) for page in part))
        for page, extracts in zip(part, readings, strict=True):
            if extracts is None:
                done.unreadable += 1
                continue
            found[page.page_id] = extracts
            for one in extracts:
                count_extract(one, done.rules)
    return found


def _parts(pages: Sequence[StoredPage]) -> Iterator[list[StoredPage]]:
    """Some at once, as many as fit into memory."""
    part: list[StoredPage] = []
    room = _BYTES_AT_ONCE
    for page in pages:
        size = page.size or 0
        if part and (len(part) == _AT_ONCE or size > room):
            yield part
            part, room = [], _BYTES_AT_ONCE
        part.append(page)
        room -= size
    if part:
        yield part


async def _read(page: StoredPage, bodies: Mapping[int, EarlierBody], parser: Parser) -> Sequence[Extract] | None:
    """None where the body is damaged, or cannot be read in time."""
    stored = bodies.get(page.page_id)
    if stored is None or (body := decompress_or_none(stored.zstd)) is None:
        return None
    answer = Response(url=page.url, status_code=200, content_type=stored.content_type, body=body, size=len(body))
    reading = await parser.read(UrlKind.PAGE, answer, keep_body=False)
    content = reading[0] if isinstance(reading, tuple) else None
    return content.extracts if isinstance(content, Page) else None
