"""The `Link` header (RFC 8288): what a document says by it that a page says by `<link>`.

Invariant: what the page says itself holds; the header adds what it leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from crawler.content.metadata import MAX_ALTERNATES, read_alternates, relations_of, salted_hash, url_of
from crawler.records import HREFLANG, Page

_MAX_CHARS = 16 * 1024
_VALUE = re.compile(r"<([^<>]*)>([^<]*)")  # a target, and its parameters up to the next one
_PARAMETER = re.compile(r';\s*([\w!#$&*+.^`|~-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')


def with_link_header(page: Page, fields: Iterable[str]) -> Page:
    """The page with what its response's `Link` fields add: canonical, next and previous URL, alternates."""
    relations = relations_of(_links(fields))
    if not relations:
        return page
    alternates = dict.fromkeys((*page.alternates, *read_alternates(relations, page.url)))
    said = replace(
        page,
        canonical_url=page.canonical_url or url_of("canonical", relations, page.url),
        next_url=page.next_url or url_of("next", relations, page.url),
        prev_url=page.prev_url or url_of("prev", relations, page.url),
        alternates=tuple(alternates)[:MAX_ALTERNATES],
    )
    translations = [tuple(one) for one in said.alternates[len(page.alternates) :] if one.kind == HREFLANG]
    if said.canonical_url == page.canonical_url and not translations:
        return said
    return replace(said, metadata_hash=salted_hash(page.metadata_hash, (said.canonical_url, translations)))


def _links(fields: Iterable[str]) -> Iterator[dict[str, str | None]]:
    """The links as `<link>` would have them; of a parameter that is repeated, the first counts (RFC 8288, 3.3)."""
    for target, parameters in _VALUE.findall(", ".join(fields)[:_MAX_CHARS]):
        attributes: dict[str, str | None] = {"href": target.strip()}
        for name, quoted, plain in _PARAMETER.findall(parameters):
            attributes.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
        if "anchor" not in attributes:  # else it speaks of another document
            yield attributes
