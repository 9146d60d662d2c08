"""Picks the reader for a response: by what the URL was fetched for, then by what the answer says or looks like."""

from __future__ import annotations

import re

from crawler.content.html import read_page
from crawler.records import Page, SitemapEntry, UrlKind
from crawler.user_agent import DEFAULT_PRODUCT_TOKEN

_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_UNTYPED = frozenset({"", "*/*", "unknown/unknown", "application/unknown"})  # WHATWG MIME Sniffing, 7
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_HTTP_WHITESPACE = "\t\n\r "
_LOOKS_LIKE_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*(?:<\?xml[^>]*>[\t\n\f\r ]*)?"  # what XHTML may begin with
    rb"<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[ >])",
    re.IGNORECASE,
)


def readable(content_type: str | None) -> bool:
    """Whether a response of this type (a Content-Type header) is a document that we read; without a type, or with one
    that is none ('html'), it may be.
    """
    return _essence(content_type) in _HTML_TYPES | _UNTYPED


def read(
    kind: UrlKind,
    body: bytes,
    url: str,
    content_type: str | None,
    *,
    product_token: str = DEFAULT_PRODUCT_TOKEN,
) -> Page | list[SitemapEntry] | None:
    """What the reader for this `kind` makes of `body`; None where it is no document that we read.

    `product_token` is as for `read_page`. A page without a type is read where it begins like HTML (WHATWG MIME
    Sniffing, 7.1).
    """
    if kind is UrlKind.SITEMAP:
        from crawler.content.sitemap import read_sitemap  # 9 of the 65 ms of a parser process's start; few read any

        return read_sitemap(body, url)
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
