"""Picks the reader for a response: by what the URL was fetched for, then by what the answer says or looks like."""

from __future__ import annotations

import re
from collections.abc import Container

from crawler.content.encoding import decode, sniff
from crawler.content.html import read_page
from crawler.content.listing_type import listing_kind
from crawler.content.media_type import FEED_TYPES, HTML, XHTML, XML_TYPES, essence
from crawler.content.pdf import PDF_START, PDF_TYPES, can_read_pdf, read_pdf
from crawler.content.plain_text import TEXT_TYPE, read_text
from crawler.content.walk import Walk, walk
from crawler.records import LISTINGS, LOOK_BYTES, Listing, Page, UrlKind
from crawler.user_agent import DEFAULT_PRODUCT_TOKEN

_HTML_TYPES = frozenset({HTML, XHTML})
_UNTYPED = frozenset({"", "*/*", "unknown/unknown", "application/unknown"})  # WHATWG MIME Sniffing, 7
_MAYBE_READ = _HTML_TYPES | XML_TYPES | _UNTYPED | {TEXT_TYPE}
_PACKED_TYPES = frozenset({"application/gzip", "application/x-gzip", "application/octet-stream"})
_LISTING_TYPES = XML_TYPES | FEED_TYPES | _PACKED_TYPES | {"application/json", TEXT_TYPE}
_LOOKS_LIKE_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*(?:<\?xml[^>]*>[\t\n\f\r ]*)?"  # what XHTML may begin with
    rb"<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[ >])",
    re.IGNORECASE,
)


def readable(content_type: str | None) -> bool:
    """Whether a response of this type (a Content-Type header) is a page; without a type, or with one that is none
    ('html'), it may be.
    """
    media_type = essence(content_type)
    return media_type in _MAYBE_READ or (media_type in PDF_TYPES and can_read_pdf())


def is_unread_pdf(content_type: str | None) -> bool:
    """Whether it is a document that would be read if the extra for that were installed."""
    return essence(content_type) in PDF_TYPES and not can_read_pdf()


def may_be_read_by_now(content_type: str | None, own: Container[str] = ()) -> bool:
    """Whether a document of this type that nobody could read may be one that is read today: a PDF, once the extra for
    that is installed, or one that is read by the user's `own` readers.
    """
    return essence(content_type) in own or (essence(content_type) in PDF_TYPES | _UNTYPED and can_read_pdf())


def may_be_read(content_type: str | None, own: Container[str] = ()) -> bool:
    """Whether a response of this type may be a page, or a sitemap or feed: its first bytes tell (`kind_of`). `own` are
    the types that readers of the user's read.
    """
    return readable(content_type) or essence(content_type) in _LISTING_TYPES or essence(content_type) in own


def kind_of(kind: UrlKind, content_type: str | None, head: bytes, own: Container[str] = ()) -> UrlKind | None:
    """What to read a document as that was fetched as a `kind`, and of which these are the first `LOOK_BYTES`; None
    where it is nothing that we read. What was fetched as a sitemap or feed is read as one, whatever it says. What is of
    one of the user's `own` types is a page.
    """
    if kind is not UrlKind.PAGE:
        return kind
    media_type = essence(content_type)
    if media_type in own:
        return kind
    is_html, is_untyped = media_type in _HTML_TYPES, media_type in _UNTYPED
    found = listing_kind(head, as_html=is_html, as_text=is_untyped or media_type == TEXT_TYPE)
    if found is not None:
        return found
    if media_type in XML_TYPES and not is_html:
        return kind if _is_xhtml(head, content_type, whole=len(head) < LOOK_BYTES) else None
    return kind if readable(content_type) else None


def read(
    kind: UrlKind,
    body: bytes,
    url: str,
    content_type: str | None,
    *,
    product_token: str = DEFAULT_PRODUCT_TOKEN,
    walk: Walk = walk,
) -> Page | Listing | None:
    """What the reader for this `kind` makes of `body`; None where it is no document that we read.

    `product_token` and `walk` are as for `read_page`. A page without a type is read where it begins like HTML or a PDF
    (WHATWG MIME Sniffing, 7.1), and XML where its root element is XHTML's.
    """
    if kind in LISTINGS:
        from crawler.content.sitemap import read_listing  # 9 of the 65 ms of a parser process's start; few read any

        return read_listing(body, url, content_type)
    if kind is not UrlKind.PAGE:
        return None
    media_type = essence(content_type)
    if _is_page(body, media_type, content_type):
        return read_page(body, url, content_type, product_token=product_token, walk=walk)
    if media_type == TEXT_TYPE:
        return read_text(body, url, content_type)
    if (media_type in PDF_TYPES or (media_type in _UNTYPED and body.startswith(PDF_START))) and can_read_pdf():
        return read_pdf(body, url)
    return None


def _is_page(body: bytes, media_type: str, content_type: str | None) -> bool:
    if media_type in _HTML_TYPES:
        return True
    if media_type in XML_TYPES:
        return _is_xhtml(body, content_type)
    return media_type in _UNTYPED and _LOOKS_LIKE_HTML.match(body) is not None


def _is_xhtml(body: bytes, content_type: str | None, *, whole: bool = True) -> bool:
    from crawler.content.xhtml import HEAD_BYTES, begins_as_xhtml  # few processes ever read any

    head = body[:HEAD_BYTES]
    return begins_as_xhtml(decode(head, sniff(head, content_type)), whole=whole)
