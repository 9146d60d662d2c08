"""Picks the reader for a response: by what the URL was fetched for, then by what the answer says or looks like."""

from __future__ import annotations

import re

from crawler.content.html import read_page
from crawler.content.listing_type import listing_kind
from crawler.records import LISTINGS, Listing, Page, UrlKind
from crawler.user_agent import DEFAULT_PRODUCT_TOKEN

_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_UNTYPED = frozenset({"", "*/*", "unknown/unknown", "application/unknown"})  # WHATWG MIME Sniffing, 7
_LISTING_TYPES = frozenset(
    {
        *("application/xml", "text/xml", "application/rss+xml", "application/atom+xml", "application/rdf+xml"),
        *("application/feed+json", "application/json", "text/plain"),
        *("application/gzip", "application/x-gzip", "application/octet-stream"),  # a packed one, as a rule
    }
)
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_HTTP_WHITESPACE = "\t\n\r "
_LOOKS_LIKE_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*(?:<\?xml[^>]*>[\t\n\f\r ]*)?"  # what XHTML may begin with
    rb"<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[ >])",
    re.IGNORECASE,
)


def readable(content_type: str | None) -> bool:
    """Whether a response of this type (a Content-Type header) is a page; without a type, or with one that is none
    ('html'), it may be.
    """
    return _essence(content_type) in _HTML_TYPES | _UNTYPED


def may_be_read(content_type: str | None) -> bool:
    """Whether a response of this type may be a page, or a sitemap or feed: its first bytes tell (`kind_of`)."""
    return _essence(content_type) in _HTML_TYPES | _UNTYPED | _LISTING_TYPES


def kind_of(kind: UrlKind, content_type: str | None, head: bytes) -> UrlKind | None:
    """What to read a document as that was fetched as a `kind`, and of which these are the first `HEAD_BYTES`; None
    where it is nothing that we read. What was fetched as a sitemap or feed is read as one, whatever it says.
    """
    if kind is not UrlKind.PAGE:
        return kind
    essence = _essence(content_type)
    is_html, is_untyped = essence in _HTML_TYPES, essence in _UNTYPED
    found = listing_kind(head, as_html=is_html, as_text=is_untyped or essence == "text/plain")
    if found is not None:
        return found
    return kind if is_html or is_untyped else None


def read(
    kind: UrlKind,
    body: bytes,
    url: str,
    content_type: str | None,
    *,
    product_token: str = DEFAULT_PRODUCT_TOKEN,
) -> Page | Listing | None:
    """What the reader for this `kind` makes of `body`; None where it is no document that we read.

    `product_token` is as for `read_page`. A page without a type is read where it begins like HTML (WHATWG MIME
    Sniffing, 7.1).
    """
    if kind in LISTINGS:
        from crawler.content.sitemap import read_listing  # 9 of the 65 ms of a parser process's start; few read any

        return read_listing(body, url, content_type)
    essence = _essence(content_type)
    if kind is UrlKind.PAGE and (essence in _HTML_TYPES or (essence in _UNTYPED and _LOOKS_LIKE_HTML.match(body))):
        return read_page(body, url, content_type, product_token=product_token)
    return None


def _essence(content_type: str | None) -> str:
    """The media type without its parameters, the first of several; empty where there is none.

    Source: WHATWG MIME Sniffing, 4.4, "parsing a MIME type".
    """
    for value in (content_type or "").split(","):
        essence = value.partition(";")[0].strip(_HTTP_WHITESPACE).lower()
        if essence in _HTML_TYPES or _MEDIA_TYPE.fullmatch(essence):
            return essence
    return ""
