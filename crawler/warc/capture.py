"""An exchange -> the records that tell of it: response (or revisit), request and metadata.

Pure but for the ids of records, which are random. Invariant: a record refers to a payload only where that is in the
archive whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from crawler.exchange import Exchange, Lookup
from crawler.statically_frozen import dataclass
from crawler.storage.interface import WarcPayload
from crawler.warc.message import Message, read_message, redacted_request, redacted_response, unchunked
from crawler.warc.record import (
    BYTES,
    HTTP_REQUEST,
    HTTP_RESPONSE,
    IDENTICAL_PAYLOAD,
    NOT_MODIFIED,
    TEXT_DNS,
    WARC_FIELDS,
    Record,
    digest_of,
    fields_block,
    labelled,
    warc_date,
)

REPLACED_FIELDS = "Crawler-Replaced-Fields"  # of a record: the header fields whose values are not those of the wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What an index says of a record, but for where it stands."""

    url: str
    at: float
    mime: str
    status: str | None
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """An exchange whose response has been looked at.

    `digest` is that of the body as it was sent, chunks included: so all validators have it. `key` tells equal payloads
    whatever their chunks, None where the payload is none that others may refer to. `url_id` is the row of a page's URL,
    0 for all else; `depth` how far from a seed that is.
    """

    exchange: Exchange
    message: Message
    digest: bytes
    key: bytes | None
    url_id: int
    depth: int


def read_capture(exchange: Exchange, *, url_id: int, depth: int) -> Capture:
    """Look at what came. It takes its time: it is for a thread."""
    message = read_message(b"".join(exchange.response))
    if exchange.body_bytes is not None and message.status is not None and exchange.body_bytes < len(message.body):
        message = replace(message, body=message.body[: exchange.body_bytes])
    digest = digest_of(message.body)
    key = None
    if message.body and message.status is not None and exchange.cut is None:
        of_payload = digest_of(unchunked(message.body)) if message.is_chunked else digest
        key = digest_of(f"{message.is_chunked} {message.field(b'content-encoding')} ".encode() + of_payload)
    return Capture(exchange=exchange, message=message, digest=digest, key=key, url_id=url_id, depth=depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The records of a capture, each with what the index says of it; and the payload that is in the archive now."""

    records: tuple[tuple[Record, Indexed | None], ...]
    payload: WarcPayload | None = None


def records_of(capture: Capture, earlier: WarcPayload | None) -> Captured:
    """`earlier` is the payload that the response repeats, or for which it says that nothing has changed."""
    record_id = uuid4()
    response, indexed = _response(capture, earlier, record_id)
    records = [(response, indexed), *((record, None) for record in _beside(capture, record_id))]
    payload = None
    if capture.key is not None and earlier is None:
        payload = WarcPayload(
            key=capture.key,
            digest=capture.digest,
            record_id=record_id.bytes,
            url=capture.exchange.url,
            at=capture.exchange.started_at,
        )
    return Captured(records=tuple(records), payload=payload)


def lookup_record(lookup: Lookup) -> Record:
    """The record of a DNS lookup, as crawlers write them (RFC 4501, RFC 4027)."""
    lines = [f"{datetime.fromtimestamp(lookup.at, UTC):%Y%m%d%H%M%S}"]
    lines += [f"{name}.\t{ttl}\tIN\t{kind}\t{data}" for name, ttl, kind, data in lookup.records]
    return Record(
        fields=(
            ("WARC-Type", "response"),
            ("WARC-Record-ID", _uri(uuid4())),
            ("WARC-Date", warc_date(lookup.at)),
            ("WARC-Target-URI", f"dns:{lookup.name}"),
            ("Content-Type", TEXT_DNS),
        ),
        block="".join(f"{line}\n" for line in lines).encode(),
    )


def _response(capture: Capture, earlier: WarcPayload | None, record_id: UUID) -> tuple[Record, Indexed | None]:
    exchange, message = capture.exchange, capture.message
    head, replaced = redacted_response(message.head)
    is_revisit = earlier is not None or message.status == 304
    digest = earlier.digest if earlier is not None else capture.digest
    fields = _fields("revisit" if is_revisit else "response", exchange, record_id)
    if exchange.peer is not None:
        fields.append(("WARC-IP-Address", exchange.peer))
    fields += [("WARC-Protocol", protocol) for protocol in _protocols(exchange, message)]
    if message.status is not None and (earlier is not None or not is_revisit):
        fields.append(("WARC-Payload-Digest", labelled(digest)))
    fields += _revisiting(message, earlier) if is_revisit else ()
    if exchange.cut is not None and not (is_revisit and message.status != 304):
        fields.append(("WARC-Truncated", exchange.cut))
    if replaced:
        fields.append((REPLACED_FIELDS, ", ".join(replaced)))
    fields.append(("Content-Type", BYTES if message.status is None else HTTP_RESPONSE))
    block = head if is_revisit else head + message.body
    return Record(fields=fields, block=block), _indexed(capture, digest, earlier)


def _revisiting(message: Message, earlier: WarcPayload | None) -> Iterator[tuple[str, str]]:
    """Which record holds the payload. What a 304 speaks of may be from before there was an archive."""
    yield "WARC-Profile", NOT_MODIFIED if message.status == 304 else IDENTICAL_PAYLOAD
    if earlier is not None:
        yield "WARC-Refers-To", _uri(UUID(bytes=earlier.record_id))
        yield "WARC-Refers-To-Target-URI", earlier.url
        yield "WARC-Refers-To-Date", warc_date(earlier.at)
    if message.status != 304:
        yield "WARC-Truncated", "length"  # its payload is left out (6.7.2)


def _indexed(capture: Capture, digest: bytes, earlier: WarcPayload | None) -> Indexed | None:
    """An index is for replay: answers to HEAD have no body, what is no HTTP cannot be shown, and for a 304 the capture
    before it stands (pywb would show the 304 itself).
    """
    exchange, message = capture.exchange, capture.message
    if message.status in (None, 304) or exchange.method != "GET":
        return None
    mime = (message.field(b"content-type") or "").partition(";")[0].partition(" ")[0]
    return Indexed(
        url=exchange.url,
        at=exchange.started_at,
        mime="warc/revisit" if earlier is not None else mime or "unk",
        status=None if earlier is not None else str(message.status),
        digest=digest,
    )


def _beside(capture: Capture, record_id: UUID) -> Iterator[Record]:
    """What goes with the response."""
    exchange = capture.exchange
    concurrent = ("WARC-Concurrent-To", _uri(record_id))
    request, replaced = redacted_request(exchange.request)
    fields = [*_fields("request", exchange, uuid4()), concurrent]
    if replaced:
        fields.append((REPLACED_FIELDS, ", ".join(replaced)))
    yield Record(fields=[*fields, ("Content-Type", HTTP_REQUEST)], block=request)
    yield Record(
        fields=[*_fields("metadata", exchange, uuid4()), concurrent, ("Content-Type", WARC_FIELDS)],
        block=fields_block(_told(capture)),
    )


def _told(capture: Capture) -> Iterator[tuple[str, str]]:
    """What is known of the exchange beside its bytes."""
    exchange = capture.exchange
    yield "fetchTimeMs", str(round(exchange.elapsed_s * 1000))
    if exchange.first_byte_s is not None:
        yield "firstByteMs", str(round(exchange.first_byte_s * 1000))
    yield "depth", str(capture.depth)
    if capture.message.interim:
        yield "interimResponses", str(capture.message.interim)
    if exchange.failure is not None:
        yield "failure", exchange.failure


def _fields(kind: str, exchange: Exchange, record_id: UUID) -> list[tuple[str, str]]:
    return [
        ("WARC-Type", kind),
        ("WARC-Record-ID", _uri(record_id)),
        ("WARC-Date", warc_date(exchange.started_at)),
        ("WARC-Target-URI", exchange.url),
    ]


def _protocols(exchange: Exchange, message: Message) -> Iterator[str]:
    if message.version:
        yield f"http/{message.version}"
    yield from exchange.protocols


def _uri(record_id: UUID) -> str:
    return f"<{record_id.urn}>"
