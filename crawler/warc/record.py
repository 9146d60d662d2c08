"""One WARC record as bytes: named fields, a block, and a gzip member of its own around both (ISO 28500, Annex D).

Pure. Our own writer, since writing a record is little more than this; what libraries bring is reading.
"""

from __future__ import annotations

import zlib
from base64 import b32encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha1

from crawler.statically_frozen import dataclass

GZIP_LEVEL = 4  # HTML: a third less work than 6, for 7 % more bytes; what is compressed already does not care

HTTP_REQUEST = "application/http;msgtype=request"
HTTP_RESPONSE = "application/http;msgtype=response"
WARC_FIELDS = "application/warc-fields"
TEXT_DNS = "text/dns"
BYTES = "application/octet-stream"  # no HTTP, though it was to be

CONFORMS_TO = "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"
IDENTICAL_PAYLOAD = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record. `fields` are all but Content-Length and the block's digest, which follow from the block."""

    fields: Sequence[tuple[str, str]]
    block: bytes

    def member(self) -> bytes:
        """The record, compressed."""
        fields = [*self.fields, ("WARC-Block-Digest", labelled(digest_of(self.block)))]
        fields.append(("Content-Length", str(len(self.block))))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        pieces = (f"WARC/1.1\r\n{head}\r\n".encode(), self.block, b"\r\n\r\n")
        return b"".join([*map(gzip.compress, pieces), gzip.flush()])


def warc_date(at: float) -> str:
    """Unix seconds as in WARC-Date, with microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def digest_of(data: bytes) -> bytes:
    """The hash by which archives know payloads."""
    return sha1(data, usedforsecurity=False).digest()


def labelled(digest: bytes) -> str:
    """'sha1:' and the digest in base 32, as all tools write it."""
    return f"sha1:{b32encode(digest).decode()}"


def fields_block(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block of `application/warc-fields`."""
    return "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in fields).encode()
