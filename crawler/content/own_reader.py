"""What a reader of the user's gives for a document, made a `Page`. It may give

- None: it is no page;
- a text, which is the page's text;
- a mapping of some of `FIELDS`, `links` being URLs, or pairs of a URL and an anchor;
- a `Page`, such as `crawler.content.html.read_page` makes of HTML that it was turned into.

Invariant: whatever it gives, what comes out of here can be stored; else there is an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import orjson

from crawler.content.html import CONTENT_HASH_BYTES, MAX_FIELD_CHARS
from crawler.content.hyperlinks import MAX_LINKS
from crawler.content.metadata import Metadata, metadata_hash
from crawler.content.pdf import MAX_TEXT_CHARS
from crawler.content.plain_text import page_of_text
from crawler.content.visible_text import collapse
from crawler.records import Link, Page
from crawler.urls import normalize, without_credentials

_LINES = ("title", "description", "language", "author")
_TIMES = ("published_at", "modified_at")
FIELDS = ("text", *_LINES, *_TIMES, "links", "fields")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def page_of(found: Any, url: str, media_type: str) -> Page | None:
    """The page at `url` of a document of this type; None if it is none. Raises `TypeError` or `ValueError`."""
    if found is None:
        return None
    if isinstance(found, Page):
        return replace(found, url=url, fields=_json(found.fields))
    if isinstance(found, str):
        found = {"text": found}
    if not isinstance(found, Mapping):
        raise TypeError(f"a reader gives a text, a mapping, a Page or None, not {type(found).__name__}")
    if unknown := [name for name in found if name not in FIELDS]:
        raise ValueError(f"a page has no {unknown[0]!r}; there are {', '.join(FIELDS)}")
    return _page(found, url, media_type)


def _page(found: Mapping[str, Any], url: str, media_type: str) -> Page:
    said: dict[str, Any] = {name: collapse(_text(found.get(name)), MAX_FIELD_CHARS) or None for name in _LINES}
    times: dict[str, Any] = {name: None if found.get(name) is None else float(found[name]) for name in _TIMES}
    links = _links(found.get("links", ()), url)
    text = _text(found.get("text"))[:MAX_TEXT_CHARS]
    page = page_of_text(text, url, title=said["title"], encoding="", content_type=media_type)
    content = "\0".join((page.title or "", text, *(link.url for link in links)))
    return replace(
        page,
        **said,
        **times,
        links=links,
        links_total=len(links),
        fields=_json(found.get("fields", {})),
        content_hash=blake2b(content.encode(), digest_size=CONTENT_HASH_BYTES).digest(),
        metadata_hash=metadata_hash(Metadata(**said, **times), (), ()),
    )


def _links(found: Iterable[Any], base: str) -> tuple[Link, ...]:
    """Each target once; what is no http(s) URL is left out."""
    links: dict[str, Link] = {}
    for one in found:
        href, anchor = (one, "") if isinstance(one, str) else one
        url = normalize(href, base)
        if url is not None and len(links) < MAX_LINKS:
            url = without_credentials(url)
            links.setdefault(url, Link(url, collapse(_text(anchor), MAX_FIELD_CHARS)))
    return tuple(links.values())


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"a text is wanted, not {value!r:.60}")
    return _UNSTORABLE.sub("\ufffd", value or "")


def _json(fields: Any) -> dict[str, Any]:
    if not isinstance(fields, Mapping):
        raise TypeError(f"fields is a mapping, not {fields!r:.60}")
    known: dict[str, Any] = orjson.loads(orjson.dumps(dict(fields)))
    return known
