"""Sitemaps, sitemap indexes, RSS, Atom, JSON Feed and lists of URLs -> entries. Pure: bytes in, records out.

Invariants: nothing raises, whatever the bytes; an error in the middle of a file loses no entry before it, and none
behind it where it can be told how the document goes on; what was left out is said (`Listing.cut`). Bodies are unpacked,
decoded and parsed in pieces, so that memory is bounded by the entries. No entity is expanded, no external one opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from crawler.content.document_text import MAX_DECODED_BYTES, MAX_GZIP_MEMBERS, DocumentText
from crawler.content.json_feed import json_feed_entries
from crawler.content.xml_events import (
    MAX_TOKEN_BYTES,
    NotWellFormedError,
    StopScanningError,
    scan_leniently,
    scan_strictly,
)
from crawler.content.xml_listing import MAX_DEPTH, MAX_FIELD_CHARS, MAX_NODES, Found, XmlListing
from crawler.records import Listing, SitemapEntry, UrlKind
from crawler.urls import normalize

__all__ = [
    "MAX_DECODED_BYTES",
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "MAX_FIELD_CHARS",
    "MAX_GZIP_MEMBERS",
    "MAX_NODES",
    "MAX_TOKEN_BYTES",
    "read_listing",
    "read_sitemap",
]

MAX_ENTRIES = 50_000  # what sitemaps.org allows in one file
MAX_JSON_BYTES = 10 * 1024 * 1024  # of a JSON Feed, which is not read in pieces
MAX_FACTS_CHARS = 16 * 1024  # of what is said of one URL

_BLANK = " \t\r\n\ufeff"
_LISTED_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_LINE_ENDS = re.compile(r"[\r\n]+")
_TOO_MANY = f"it has more than {MAX_ENTRIES:,} entries"


def read_sitemap(body: bytes, url: str) -> list[SitemapEntry]:
    """The entries of the sitemap, sitemap index, feed or list of URLs in `body`; none if it is something else.

    `body` may be gzipped, whatever its name. URLs are resolved against `url` (in a list they must be absolute) and
    normalized; what is not an http(s) URL is left out. Returns at most `MAX_ENTRIES`, from at most `MAX_DECODED_BYTES`.
    Sources: the sitemaps.org protocol 0.9, RSS 2.0 and 1.0, RFC 4287 (Atom), JSON Feed 1.1.
    """
    return list(read_listing(body, url).entries)


def read_listing(body: bytes, url: str, content_type: str | None = None) -> Listing:
    """The same, with the kind of what was read and what was left out. `content_type` may name the encoding, as RFC 7303
    has it; `body` may also be a zstd frame, as long ones are kept.
    """
    document = DocumentText(body, content_type)
    head = next(document.pieces(), "")
    entries = _Entries(url)
    kind, stopped = UrlKind.SITEMAP, None
    try:
        if _begins_with_url(head):
            entries.add_listed(document.pieces())
        elif head.startswith("{"):
            kind = UrlKind.FEED
            entries.add_json(document.pieces())
        elif "<" in head:
            kind = entries.add_xml(document.pieces)
    except StopScanningError as stop:
        kind, stopped = entries.kind or kind, stop.why
    return Listing(kind=kind, entries=tuple(entries.entries), cut=stopped or document.cut)


class _Entries:
    """Collects entries, at most `MAX_ENTRIES`. The methods raise `StopScanningError` where there is more."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.entries: list[SitemapEntry] = []
        self.kind: UrlKind | None = None

    def add_xml(self, pieces: Callable[[], Iterable[str]]) -> UrlKind:
        """By the book, or, where it is not well-formed, as it was meant."""
        listing = XmlListing(self._url, self._add, lenient=False)
        try:
            scan_strictly(pieces(), listing)
        except NotWellFormedError:
            self.entries.clear()
            listing = XmlListing(self._url, self._add, lenient=True)
            scan_leniently(pieces(), listing)
        finally:
            self.kind = listing.kind
        return listing.kind

    def add_json(self, pieces: Iterable[str]) -> None:
        """A JSON Feed, whole."""
        size, parts = 0, []
        for piece in pieces:
            size += len(piece)
            if size > MAX_JSON_BYTES:
                raise StopScanningError(f"a JSON Feed is not read beyond {MAX_JSON_BYTES // 1024**2} MiB")
            parts.append(piece)
        for found in json_feed_entries("".join(parts), self._url):
            self._add(found)

    def add_listed(self, pieces: Iterable[str]) -> None:
        """One absolute URL a line."""
        for line in _lines(pieces):
            if _LISTED_URL.fullmatch(line) and (url := normalize(line)):
                self._add(Found(url=url))

    def _add(self, found: Found) -> None:
        if found.url is None:
            return
        if len(self.entries) >= MAX_ENTRIES:
            raise StopScanningError(_TOO_MANY)
        entry = SitemapEntry(
            url=found.url, lastmod=found.lastmod, is_sitemap=found.is_sitemap, facts=_as_json(found.facts)
        )
        self.entries.append(entry)


def _as_json(facts: dict[str, Any]) -> str | None:
    """What is said of a URL; its longest part is left out where that is too much."""
    while facts:
        text = orjson.dumps(facts).decode()
        if len(text) <= MAX_FACTS_CHARS:
            return text
        del facts[max(facts, key=lambda name: len(str(facts[name])))]
    return None


def _begins_with_url(head: str) -> bool:
    """Whether the first line is a URL, but for comments: else it is some other text, without entries."""
    lines = (line.strip(_BLANK) for line in _LINE_ENDS.split(head))
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return _LISTED_URL.fullmatch(first) is not None


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    rest, lines_left = "", MAX_NODES
    for piece in pieces:
        *lines, rest = _LINE_ENDS.split(rest + piece)
        lines_left -= len(lines)
        yield from (line.strip(_BLANK) for line in lines)
        if len(rest) > MAX_FIELD_CHARS:
            raise StopScanningError(f"a line is longer than {MAX_FIELD_CHARS:,} characters")
        if lines_left < 0:
            raise StopScanningError(f"it has more than {MAX_NODES:,} lines")
    yield rest.strip(_BLANK)
