"""What goes between the crawl and a parser process: both ends' encoding, and nothing else.

A process writes `READY` once it can read, and is sent nothing before. A request is a header, then the URL, the
Content-Type and the body. An answer is a header, then JSON (the fields of a `Page` in a fixed order, a sitemap's
entries, or null; what extraction rules have found comes behind a page's fields, so that without rules nothing does) and
the body compressed with zstd, which is empty where it is not kept. The header also says by how much the process has
grown. Links and entries are columns, which makes a message small and quickly decoded: one event loop decodes those of
all processes. So what a crawl does not decide by follows a page's JSON as it is to be stored, and is decoded only for
whoever looks at it.

Invariant: what decodes to a record was encoded from an equal one. Both ends are the same version of this file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from crawler.parsing.parser import Content, Unread
from crawler.records import (
    OF_DELIVERY,
    Extract,
    Links,
    Listing,
    Page,
    Response,
    SitemapEntry,
    StoredBody,
    UrlKind,
    columns_of,
)
from crawler.storage.page_fields import ENCODED, EncodedFields, encode_fields

READY = b"ready\n"
_REQUEST = struct.Struct("<BBHHI")  # kind, keep the body, lengths: URL, Content-Type + 1 (0: none), body
_ANSWER = struct.Struct("<?II16sQ")  # more follows; lengths: JSON, compressed body; hash of the body; memory grown
_KINDS = (UrlKind.PAGE, UrlKind.SITEMAP, UrlKind.FEED)
_ENTRIES_AT_ONCE = 2_000  # in one message: to decode 50,000 would hold up the event loop for 0.2 s
_MAX_TYPE_LENGTH = 1000
_HASHES = ("images_hash", "content_hash", "metadata_hash")  # JSON has no bytes
_SENT_OTHERWISE = {"url", "links", "extracts", "fields", *_HASHES, *ENCODED, *OF_DELIVERY}
_PAGE_FIELDS = tuple(field.name for field in fields(Page) if field.name not in _SENT_OTHERWISE)
_page_fields = attrgetter(*_PAGE_FIELDS)
_hashes = attrgetter(*_HASHES)
_ENTRY_FIELDS = ("url", "lastmod", "is_sitemap", "facts")


class Request(NamedTuple):
    """A document to be read, as a process receives it."""

    kind: UrlKind
    keep_body: bool
    url: str
    content_type: str | None
    body: bytes


class Answer(NamedTuple):
    """What a process has made of a document, as the crawl receives it; where `more`, a part of its entries."""

    more: bool
    json: bytes
    zstd: bytes
    digest: bytes
    grown_bytes: int


def encode_request(kind: UrlKind, response: Response, *, keep_body: bool) -> tuple[bytes, ...]:
    """The parts of a message, the body as it is: it may be large."""
    url = response.url.encode()
    content_type = (
        None if response.content_type is None else response.content_type[:_MAX_TYPE_LENGTH].encode(errors="replace")
    )
    type_length = 0 if content_type is None else len(content_type) + 1
    header = _REQUEST.pack(_KINDS.index(kind), keep_body, len(url), type_length, len(response.body))
    return header, url, content_type or b"", response.body


def receive_request(take: Callable[[int], bytes]) -> Request | None:
    """The next request; None where there will be none. `take` reads that many bytes, or fewer at the end."""
    header = take(_REQUEST.size)
    if len(header) < _REQUEST.size:
        return None
    kind, keep_body, url_length, type_length, body_length = _REQUEST.unpack(header)
    url = take(url_length).decode()
    content_type = take(type_length - 1).decode(errors="replace") if type_length else None
    return Request(_KINDS[kind], bool(keep_body), url, content_type, take(body_length))


def encode_answer(content: Content, body: StoredBody | None, grown_bytes: int = 0) -> Iterator[bytes]:
    """Messages with what the reader made of a document and, if it is kept, its body; the process has grown so much.
    It is one, but for a long listing.
    """
    zstd, digest = (body.zstd, body.digest) if body is not None else (b"", bytes(16))
    *parts, last = _parts(content)
    for part in parts:
        yield _message(_encoded(part), more=True)
    yield _message(_encoded(last), zstd, digest, grown_bytes)


def _message(
    json: Sequence[bytes], zstd: bytes = b"", digest: bytes = bytes(16), grown_bytes: int = 0, *, more: bool = False
) -> bytes:
    """The parts of the JSON are copied once, into the message."""
    header = _ANSWER.pack(more, sum(map(len, json)), len(zstd), digest, grown_bytes)
    return b"".join((header, *json, zstd))


def encode_json(json: bytes, grown_bytes: int) -> bytes:
    """A message with this JSON and nothing else."""
    return _message([json], grown_bytes=grown_bytes)


def _parts(content: Content) -> Sequence[Content]:
    if not isinstance(content, Listing):
        return [content]
    starts = range(0, len(content.entries), _ENTRIES_AT_ONCE) or (0,)
    return [replace(content, entries=content.entries[start : start + _ENTRIES_AT_ONCE]) for start in starts]


def answer_at(start: int, received: bytes | bytearray) -> tuple[Answer, int] | None:
    """The answer that begins there and where it ends; None where the rest of it has not come yet."""
    json_start = start + _ANSWER.size
    if len(received) < json_start:
        return None
    more, json_length, body_length, digest, grown_bytes = _ANSWER.unpack_from(received, start)
    json_end = json_start + json_length
    end = json_end + body_length
    if len(received) < end:
        return None
    json, zstd = bytes(received[json_start:json_end]), bytes(received[json_end:end])
    return Answer(more, json, zstd, digest, grown_bytes), end


def decode_answer(answer: Answer, url: str, size: int) -> tuple[Content, StoredBody | None]:
    """The content of the document at `url`, of `size` bytes, and its body if that is kept.

    Raises `ValueError`, `TypeError` or `LookupError` for nonsense.
    """
    body = StoredBody(digest=answer.digest, size=size, zstd=answer.zstd) if answer.zstd else None
    return decode_content(answer.json, url), body


def encode_content(content: Content) -> bytes:
    """Encode it as JSON. For a page, a line break follows, then the texts of its fields as stored."""
    return b"".join(_encoded(content))


def _encoded(content: Content) -> Sequence[bytes]:
    if not isinstance(content, Page):
        return [orjson.dumps(_columns(content))]
    encoded = encode_fields(content)
    columns = orjson.dumps(_page_columns(content, encoded), default=tuple)  # of those with names
    return [columns, b"\n", *encoded.texts.values()]


def decode_content(encoded: bytes, url: str) -> Content:
    """The record that was encoded, of the document at `url`. Raises as `decode_answer`."""
    line_end = encoded.find(b"\n")
    if line_end >= 0:
        return _page(orjson.loads(memoryview(encoded)[:line_end]), encoded, line_end + 1, url)
    columns = orjson.loads(encoded)
    if columns is None:
        return None
    if isinstance(columns, str):
        return Unread(columns)
    rows = zip(*(columns[name] for name in _ENTRY_FIELDS), strict=True)
    entries = tuple(
        SitemapEntry(url=entry, lastmod=lastmod, is_sitemap=is_sitemap, facts=facts)
        for entry, lastmod, is_sitemap, facts in rows
    )
    return Listing(kind=UrlKind(columns["kind"]), entries=entries, cut=columns["cut"])


def _columns(content: Listing | Unread | None) -> Any:
    if not isinstance(content, Listing):
        return content
    own = {"kind": content.kind, "cut": content.cut}
    return own | {name: [getattr(entry, name) for entry in content.entries] for name in _ENTRY_FIELDS}


def _page_columns(page: Page, encoded: EncodedFields) -> list[Any]:
    links = columns_of(page.links)
    return [
        *_page_fields(page),
        [*map(bytes.hex, _hashes(page))],
        (links.urls, links.anchors, links.rels, links.nofollows),
        encoded.linked,
        [*map(len, encoded.texts.values())],
        *page.extracts,
        *filter(None, [page.fields]),
    ]


def _page(columns: Sequence[Any], encoded: bytes, start: int, url: str) -> Page:
    """The page with these columns; its texts begin at `start`. They may be long: none is copied twice."""
    found = dict(zip(_PAGE_FIELDS, columns, strict=False))
    hashes, links, linked, lengths, *extracts = columns[len(_PAGE_FIELDS) :]
    found |= zip(_HASHES, map(bytes.fromhex, hashes), strict=True)
    if extracts and isinstance(extracts[-1], dict):
        found["fields"] = extracts.pop()
    if extracts:
        found["extracts"] = tuple(
            Extract(rule, tuple(rows), tuple(lacking), cut) for rule, rows, lacking, cut in extracts
        )
    ends = list(accumulate(lengths, initial=start))
    texts = dict(zip(ENCODED, [encoded[start:end] for start, end in pairwise(ends)], strict=True))
    texts["text"].decode()  # stored as it is: if it were no UTF-8, nobody could read it again
    page = Page(url=url, links=Links(*links), **found)
    page.leave_encoded(EncodedFields(texts, linked))
    return page
