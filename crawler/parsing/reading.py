"""Reads one document by the settings: what the readers make of it and, where there are rules, what these find in it."""

from __future__ import annotations

from dataclasses import replace

from crawler.content.reader import read
from crawler.content.walk import Walk, walk
from crawler.parsing.parser import Content
from crawler.parsing.settings import ReaderSettings
from crawler.records import Page, UrlKind


def read_document(
    settings: ReaderSettings, kind: UrlKind, body: bytes, url: str, content_type: str | None, walk: Walk = walk
) -> Content:
    """See `content.reader.read`; the page has its `extracts`, too."""
    content = read(kind, body, url, content_type, product_token=settings.product_token, walk=walk)
    if settings.rules and isinstance(content, Page):
        from crawler.content.extracting import extracts  # most crawls have no rules

        return replace(content, extracts=extracts(settings.rules, content, body))
    return content
