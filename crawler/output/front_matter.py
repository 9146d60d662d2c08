"""A page's Markdown with front matter: what is needed to cite the page, and to tell whether it is still the same.

Front matter is YAML in which every value is a JSON string, which every YAML parser reads as that string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from crawler.archive.markdown import PageMarkdown
from crawler.records import Page

_SPECIAL = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def markdown_document(page: Page, made: PageMarkdown) -> str | None:
    """Both; None where there is no Markdown of the page."""
    if made.text is None:
        return None
    lines = (f"{name}: {_quoted(value)}\n" for name, value in _said(page, made) if value)
    return f"---\n{''.join(lines)}---\n\n{made.text}"


def _said(page: Page, made: PageMarkdown) -> Iterator[tuple[str, str | None]]:
    yield "url", page.url
    yield "title", page.title
    yield "description", page.description
    yield "language", page.language
    yield "author", page.author
    yield "published_at", _time(page.published_at)
    yield "modified_at", _time(page.modified_at)
    yield "fetched_at", _time(page.fetched_at)
    yield "content_hash", page.content_hash.hex()
    yield "body_hash", made.body_hash.hex() if made.body_hash else None
    yield "content", "all" if made.is_whole else "main"
    yield "extractor", made.extractor


def _quoted(text: str) -> str:
    """A JSON string without what YAML would take for the end of a line, or not at all."""
    return _SPECIAL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _time(at: float | None) -> str | None:
    """ISO 8601, in seconds (UTC); None also for a time that no calendar has."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(int(at), tz=UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
