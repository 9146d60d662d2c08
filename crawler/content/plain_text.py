"""Plain text: a document's bytes in, a `Page` with its text out; and the `Page` of any document that is text alone.

Invariant: equal bytes give an equal `Page`, and none make reading fail. Text has no links: no standard says what a URL
in it is, and browsers follow none.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from crawler.content.encoding import decode, sniffed
from crawler.content.html import CONTENT_HASH_BYTES, MAX_FIELD_CHARS, READER_VERSION
from crawler.content.invisible import without_invisible
from crawler.content.metadata import Metadata, metadata_hash
from crawler.content.visible_text import collapse
from crawler.records import Page

TEXT_TYPE = "text/plain"

_BOM = re.compile(rb"\xfe\xff|\xff\xfe|\xef\xbb\xbf")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_SNIFFED_BYTES = 1445


def read_text(body: bytes, url: str, content_type: str | None = None) -> Page | None:
    """Read the text `body`, which was fetched from `url` (normalized) with the header `content_type`; None where it is
    no text, whatever the server says: many call what they do not know so.

    Lines and their indentation stay, without characters that nobody sees and what is blank at the end of a line or of
    the text.
    Source: WHATWG MIME Sniffing, 7.2, "rules for distinguishing if a resource is text or binary".
    """
    if not _BOM.match(body) and _BINARY.search(body, 0, _SNIFFED_BYTES):
        return None
    encoding, source = sniffed(body.replace(b"<", b" "), content_type)  # markup in a text declares nothing
    lines = (line.rstrip() for line in without_invisible(decode(body, encoding)).splitlines())
    text = "\n".join(lines).strip("\n")
    return page_of_text(text, url, encoding=encoding, encoding_source=source, content_type=TEXT_TYPE)


def page_of_text(text: str, url: str, *, title: str | None = None, author: str | None = None, **known: Any) -> Page:
    """The page of a document that has no more than this; `known` are further fields, none of them metadata."""
    title = collapse(title, MAX_FIELD_CHARS) or None
    content = f"{title or ''}\0{text}"
    return Page(
        url=url,
        title=title,
        text=text,
        author=author,
        metadata_hash=metadata_hash(Metadata(title=title, author=author), (), ()),
        content_hash=blake2b(content.encode(), digest_size=CONTENT_HASH_BYTES).digest(),
        reader_version=READER_VERSION,
        **known,
    )
