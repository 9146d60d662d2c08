"""The media type that a Content-Type header names."""

from __future__ import annotations

import re

HTML = "text/html"
XHTML = "application/xhtml+xml"
XML_TYPES = frozenset({XHTML, "application/xml", "text/xml"})  # of which XHTML may be sent as
FEED_TYPES = frozenset({"application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/feed+json"})

_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_HTTP_WHITESPACE = "\t\n\r "


def essence(content_type: str | None) -> str:
    """The media type without its parameters, the first of several; empty where there is none.

    Source: WHATWG MIME Sniffing, 4.4, "parsing a MIME type".
    """
    if content_type is None or content_type == HTML:
        return content_type or ""
    for value in content_type.split(","):
        media_type = value.partition(";")[0].strip(_HTTP_WHITESPACE).lower()
        if media_type == HTML or _MEDIA_TYPE.fullmatch(media_type):
            return media_type
    return ""
