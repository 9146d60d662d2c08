"""JSON Feed (jsonfeed.org, 1.0 and 1.1) -> entries. Pure; nothing raises, whatever the text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from crawler.content.encoding import scalar_text
from crawler.content.entry_dates import entry_time
from crawler.content.xml_listing import MAX_TITLE_CHARS, Found
from crawler.urls import normalize

_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/")


def json_feed_entries(text: str, url: str) -> Iterator[Found]:
    """The items of the feed, URLs resolved against its own; none where the text is something else."""
    try:
        feed = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(feed, dict) or not _VERSION.match(_text(feed, "version")):
        return
    items = feed.get("items")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and (found := _found(item, url)):
            yield found


def _found(item: dict[str, Any], base: str) -> Found | None:
    href = _text(item, "url") or _text(item, "external_url")
    url = normalize(href, base) if href else None
    if url is None:
        return None
    dates = (entry_time(_text(item, name)) for name in ("date_modified", "date_published"))
    title = " ".join(_text(item, "title").split())[:MAX_TITLE_CHARS]
    image = normalize(_text(item, "image"), base) if _text(item, "image") else None
    facts = {"title": title, "images": [image] if image else None}
    return Found(
        url=url,
        lastmod=next((date for date in dates if date is not None), None),
        facts={name: value for name, value in facts.items() if value},
    )


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return scalar_text(value).strip() if isinstance(value, str) else ""
