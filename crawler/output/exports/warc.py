"""A WARC file of what the database holds of pages: a response for each, put together again as far as that goes.

It is no record of what was on the wire: there is no request, the names of the fields are in lower case and grouped, and
the body has no coding any more. Each record says so. `crawl --warc` keeps the real thing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from http import HTTPStatus
from uuid import uuid4

from crawler.archive.stored_pages import StoredPage
from crawler.errors import UsageError
from crawler.output.exports.export import Export
from crawler.output.exports.target import FLAG
from crawler.release import VERSION
from crawler.warc.message import redacted_response
from crawler.warc.record import (
    CONFORMS_TO,
    HTTP_RESPONSE,
    WARC_FIELDS,
    Record,
    digest_of,
    fields_block,
    labelled,
    warc_date,
)

_SUFFIX = ".warc.gz"
_REBUILT = "Crawler-Rebuilt", "from a crawl database; body decoded, field names in lower case, no request"
_OF_CODING = frozenset({"content-encoding", "transfer-encoding", "content-length"})
_ORIGINAL = "x-archive-orig-"  # as archives call fields that no longer fit the body


async def write(export: Export) -> None:
    """Write the records as the pages come. Raises `UsageError` for a file with another ending."""
    path = export.target.path
    if path is not None and not path.name.endswith(_SUFFIX):
        raise UsageError(f"{FLAG} {path}: name a file that ends with {_SUFFIX}")
    with export.target.stream(is_packed=True) as file:
        file.write(_info(path.name if path is not None else None).member())
        async for page in export.pages(["headers"], with_bodies=True):
            body = page.body()
            if body is None:
                export.leave_out("no body is stored")
            elif page.page.fetched_at is None:
                export.leave_out("the attempt was pruned")
            else:
                file.write(_response(page, body, page.page.fetched_at).member())


def _info(name: str | None) -> Record:
    told = {
        "software": f"crawler/{VERSION}",
        "format": "WARC File Format 1.1",
        "conformsTo": CONFORMS_TO,
        "description": f"Rebuilt {_REBUILT[1]}",
    }
    fields = (
        ("WARC-Type", "warcinfo"),
        ("WARC-Record-ID", f"<{uuid4().urn}>"),
        ("WARC-Date", warc_date(time.time())),
        *([("WARC-Filename", name)] if name is not None else ()),
        ("Content-Type", WARC_FIELDS),
    )
    return Record(fields=fields, block=fields_block(told.items()))


def _response(page: StoredPage, body: bytes, fetched_at: float) -> Record:
    fields = (
        ("WARC-Type", "response"),
        ("WARC-Record-ID", f"<{uuid4().urn}>"),
        ("WARC-Date", warc_date(fetched_at)),
        ("WARC-Target-URI", page.page.url),
        ("WARC-Payload-Digest", labelled(digest_of(body))),
        *([("WARC-Truncated", "length")] if page.page.truncated else ()),
        _REBUILT,
        ("Content-Type", HTTP_RESPONSE),
    )
    return Record(fields=fields, block=_head(page, len(body)) + body)


def _head(page: StoredPage, length: int) -> bytes:
    status = page.page.status or 200
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    lines = [f"HTTP/1.1 {status} {reason}", *_fields(page), f"content-length: {length}", "", ""]
    head, _names = redacted_response("\r\n".join(lines).encode("utf-8", "replace"))
    return head


def _fields(page: StoredPage) -> Iterator[str]:
    headers = page.page.headers or {"content-type": _content_type(page)}
    for name, values in headers.items():
        shown = f"{_ORIGINAL}{name}" if name in _OF_CODING else name
        for value in values if isinstance(values, list) else [values]:
            yield f"{shown}: {value}"


def _content_type(page: StoredPage) -> str:
    """Of a page whose header fields were not kept."""
    return f"{page.page.content_type or 'text/html'}; charset={page.page.encoding}"
