"""What the head of an answer says: header fields as clean text, and whether its framing can be trusted.

Invariant: no string leaves this module with control characters or lone surrogates in it.
"""

from __future__ import annotations

import re

from aiohttp.http_exceptions import ContentEncodingError
from multidict import MultiMapping, istr

from crawler.network.heads import MAX_LENGTH_DIGITS
from crawler.records import Response

# Made once: a look-up by plain text folds its case each time.
CONTENT_TYPE = istr("Content-Type")
_DATE = istr("Date")
_ETAG = istr("ETag")
_LAST_MODIFIED = istr("Last-Modified")
_LINK = istr("Link")
_LOCATION = istr("Location")
_REFRESH = istr("Refresh")
_RETRY_AFTER = istr("Retry-After")
_X_ROBOTS_TAG = istr("X-Robots-Tag")
_CACHE_CONTROL = istr("Cache-Control")
_CONTENT_ENCODING = istr("Content-Encoding")
_CONTENT_LENGTH = istr("Content-Length")
_TRANSFER_ENCODING = istr("Transfer-Encoding")

MAX_KEPT_FIELDS = 200  # of a head as it is kept, and
MAX_KEPT_BYTES = 16 * 1024  # of all of them; real ones have a tenth of that
MAX_CODINGS = 5  # one on top of the other, as with curl

_DECODED = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}  # RFC 9110, 8.4.1.3
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
_MAX_AGE = re.compile(r'(?:^|,)\s*max-age="?(\d{1,10})"?\s*(?=,|$)', re.IGNORECASE)

_COMPRESSIONS = {*_DECODED, "compress", "x-compress", "dcb", "dcz"}


def response_of(
    headers: MultiMapping[str],
    head: tuple[tuple[bytes, bytes], ...],
    *,
    url: str,
    status_code: int,
    body: bytes = b"",
    read: bool = True,
    truncated: bool = False,
    size: int | None,
    address: str | None,
    started_at: float,
    elapsed_s: float,
    first_byte_s: float | None,
    reused: bool,
) -> Response:
    """The answer: what its head says, and what else is given. `head` are the `headers` as they came."""
    value = headers.get  # most are not there, and of those a look-up is all that is to be done
    response = Response.__new__(Response)
    # `Response(...)` takes 2.5 times as long: it makes a dict of its 22 arguments, and takes it apart again.
    response.__init__(  # type: ignore[misc]
        url=url,
        status_code=status_code,
        body=body,
        read=read,
        truncated=truncated,
        size=size,
        content_type=None if (text := value(CONTENT_TYPE)) is None else clean(text),
        location=reference(headers, _LOCATION) if _LOCATION in headers else None,
        refresh=reference(headers, _REFRESH) if _REFRESH in headers else None,
        retry_after=field(headers, _RETRY_AFTER) if _RETRY_AFTER in headers else None,
        etag=None if (text := value(_ETAG)) is None else clean(text),
        last_modified=None if (text := value(_LAST_MODIFIED)) is None else clean(text),
        date=None if (text := value(_DATE)) is None else clean(text),
        max_age_s=max_age_s(headers) if _CACHE_CONTROL in headers else None,
        robots_tags=fields(headers, _X_ROBOTS_TAG) if _X_ROBOTS_TAG in headers else (),
        link_fields=fields(headers, _LINK) if _LINK in headers else (),
        head=kept_head(head),
        address=address,
        started_at=started_at,
        elapsed_s=elapsed_s,
        first_byte_s=first_byte_s,
        reused=reused,
    )
    return response


def kept_head(head: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of a head, as they came, as far as they are kept: whole fields from the first on."""
    head = head[:MAX_KEPT_FIELDS]
    size = 0
    for name, value in head:  # takes half as long as `sum` of a `map`
        size += len(name) + len(value)
    while size > MAX_KEPT_BYTES:  # hardly ever
        size -= sum(map(len, head[-1]))
        head = head[:-1]
    return head


def field(headers: MultiMapping[str], name: str) -> str | None:
    """The first value of a field, None where it is absent."""
    value = headers.get(name)
    return None if value is None else clean(value)


def fields(headers: MultiMapping[str], name: str) -> tuple[str, ...]:
    """All the values of a field that may be repeated."""
    return tuple(map(clean, headers.getall(name))) if name in headers else ()


def reference(headers: MultiMapping[str], name: str) -> str | None:
    """The first value of a field that holds a URL, None where it is absent. A URL is bytes: what is no UTF-8 is
    percent-encoded, and so are control characters but for tabs, which are dropped (WHATWG URL Standard, 4.4).
    """
    if name not in headers:
        return None
    value = headers[name]
    if value.isascii() and value.isprintable():
        return value
    raw = value.replace("\t", "").encode("utf-8", "surrogateescape")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)
    return _CONTROL.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)


def max_age_s(headers: MultiMapping[str]) -> float | None:
    """Cache-Control's max-age in seconds; None where there is none, or 'no-cache' takes it back (RFC 9111, 5.2.2)."""
    value = headers.get(_CACHE_CONTROL)
    if value is None or (found := _MAX_AGE.search(value)) is None or "no-cache" in value.lower():
        return None
    return float(found[1])


def clean(value: str) -> str:
    """A value as aiohttp decodes it (UTF-8 with surrogate escapes), made proper text: as UTF-8 if it is that, else as
    Latin-1 (RFC 9110, 5.5). Control characters become spaces.
    """
    if value.isascii() and value.isprintable():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return "".join(" " if character < " " or "\x7f" <= character < "\xa0" else character for character in text).strip(
        " "
    )


def framing_problem(headers: MultiMapping[str]) -> str | None:
    """What is odd about how the body is delimited; None where nothing is.

    Not every parser agrees on an answer with an unknown coding, so aiohttp's reading of it is not to be trusted
    (RFC 9112, 6.1 and 6.3).
    """
    lengths = headers.getall(_CONTENT_LENGTH, ())
    if len(lengths) > 1:  # the parser in C refuses it, that in Python does not
        return f"{len(lengths)} Content-Length fields"
    if lengths and len(lengths[0]) > MAX_LENGTH_DIGITS:
        return "Content-Length overflow"
    if _TRANSFER_ENCODING not in headers:
        return None
    values = headers.getall(_TRANSFER_ENCODING)
    if len(values) == 1 and values[0].lower() == "chunked":
        return None
    return f"Transfer-Encoding is {clean(', '.join(values).lower())!r}, not chunked"


def codings_of(headers: MultiMapping[str]) -> tuple[str, ...]:
    """The compressions of the body in the order in which they were applied, for `BodyDecoder`.

    A coding that is no compression at all ('utf-8') is a server's mistake, and passed over as browsers do. Raises
    `ContentEncodingError` where the body is compressed in a way that cannot be undone.
    """
    if _CONTENT_ENCODING not in headers:
        return ()
    named = [coding.strip().lower() for coding in ",".join(headers.getall(_CONTENT_ENCODING)).split(",")]
    codings = tuple(_DECODED.get(coding, coding) for coding in named if coding not in ("", "identity"))
    if _COMPRESSIONS.isdisjoint(codings):
        return ()
    if len(codings) <= MAX_CODINGS and all(coding in _DECODED for coding in codings):
        return codings
    raise ContentEncodingError(f"Content-Encoding is {clean(', '.join(named))!r}, which cannot be decoded")
