"""What a document is by its first bytes: a sitemap, a feed, or neither. Pure, and quick: every page is looked at."""

from __future__ import annotations

import re
import zlib

from crawler.records import LOOK_BYTES, UrlKind

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)

_BLANK = b" \t\r\n\xef\xbb\xbf\xff\xfe"  # and byte order marks
_ROOT = re.compile(rb"<(?:[\w.-]+:)?(?:(urlset|sitemapindex)|(rss|feed|rdf))(?=[\s>/])", re.IGNORECASE)
_OTHER_ROOT = re.compile(rb"<(?:!doctype\s+html|html|head|body|svg|math|script)\b", re.IGNORECASE)
_RSS_1 = re.compile(rb"purl\.org/(?:net/)?rss|my\.netscape\.com/rdf", re.IGNORECASE)  # else RDF holds anything
_JSON_FEED = re.compile(rb'"version"\s*:\s*"https?:\\?/\\?/(?:www\.)?jsonfeed\.org\\?/version')
_URL = re.compile(rb"https?://\S+", re.IGNORECASE)
_BEGINS_AS_XML = re.compile(rb"<(?:\?xml|!--|(?:[\w.-]+:)?(?:urlset|sitemapindex|rss|feed|rdf)[\s>/])", re.IGNORECASE)


def listing_kind(head: bytes, *, as_html: bool = False, as_text: bool = False) -> UrlKind | None:
    """SITEMAP (also an index, and a list of URLs) or FEED; None for anything else. `head` is the beginning, at least
    `LOOK_BYTES` where there are so many.

    `as_html`: it was sent as HTML, so that it must begin as XML; WHATWG MIME Sniffing, 7.3, looks into it for feeds
    likewise. `as_text`: it may be a list of URLs, one a line and nothing else but comments.
    """
    text = _plain(head)
    if as_html and not _BEGINS_AS_XML.match(text):
        return None
    if text.startswith(b"{"):
        return UrlKind.FEED if _JSON_FEED.search(text) else None
    if as_text and _is_list(text, whole=len(head) < LOOK_BYTES):
        return UrlKind.SITEMAP
    bare = COMMENT.sub(b"", text)
    root = _ROOT.search(bare)
    if root is None or _OTHER_ROOT.search(bare, 0, root.start()):
        return None
    if root[1]:
        return UrlKind.SITEMAP
    return UrlKind.FEED if root[2].lower() != b"rdf" or _RSS_1.search(bare) else None


def _plain(head: bytes) -> bytes:
    """Unpacked, and markup in ASCII: what it is made of is enough here, also of UTF-16."""
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, LOOK_BYTES)
        except zlib.error:
            return b""
    return head.replace(b"\0", b"").lstrip(_BLANK)


def _is_list(text: bytes, *, whole: bool) -> bool:
    lines = re.split(rb"[\r\n]+", text)
    if not whole:
        lines.pop()  # it goes on
    named = [line for line in map(bytes.strip, lines) if line and not line.startswith(b"#")]
    return bool(named) and all(map(_URL.fullmatch, named))
