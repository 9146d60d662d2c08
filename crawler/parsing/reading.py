"""Reads one document by the settings: what the readers make of it and, where there are rules, what these find in it."""

from __future__ import annotations

from dataclasses import replace

from crawler.content.media_type import essence
from crawler.content.reader import read
from crawler.content.walk import Walk, walk
from crawler.parsing.parser import Content, Unread
from crawler.parsing.settings import ReaderSettings
from crawler.records import Page, UrlKind


def read_document(
    settings: ReaderSettings, kind: UrlKind, body: bytes, url: str, content_type: str | None, walk: Walk = walk
) -> Content:
    """See `content.reader.read`; the page has its `extracts`, too. A reader of the user's comes before ours."""
    content: Content
    if settings.readers and kind is UrlKind.PAGE and (media_type := essence(content_type)) in settings.readers:
        content = _read_by_own(settings, media_type, body, url, content_type)
    else:
        content = read(kind, body, url, content_type, product_token=settings.product_token, walk=walk)
    if settings.rules and isinstance(content, Page):
        from crawler.content.extracting import extracts  # most crawls have no rules

        return replace(content, extracts=extracts(settings.rules, content, body))
    return content


def _read_by_own(
    settings: ReaderSettings, media_type: str, body: bytes, url: str, content_type: str | None
) -> Page | Unread | None:
    """What a reader of the user's makes of it; what it raises is told."""
    from crawler.content import own_reader  # most crawls have none
    from crawler.own_code import in_a_line, load

    name = settings.readers[media_type]
    try:
        return own_reader.page_of(load(name, name, settings.folders)(body, url, content_type), url, media_type)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is none of ours
        return Unread(f"{name}: {in_a_line(error)}")
