"""One request to a declared web, in flight, and how its response is read.

Invariant: an answer's declaration gives the same record or failure here that its bytes give in `network`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp.http_exceptions import ContentEncodingError
from multidict import CIMultiDict

from crawler.bodies import compress
from crawler.clock import Clock
from crawler.fakeweb.answers import Message
from crawler.fetching import LONG_BYTES, Look, Terms
from crawler.network.body import DRAINED_BYTES
from crawler.network.decoding import BodyDecoder
from crawler.network.fields import CONTENT_TYPE, codings_of, field, response_of
from crawler.records import LOOK_BYTES, Failure, FailureKind, Response
from crawler.statically_frozen import dataclass
from crawler.urls import host_of, origin_of, port_of, scheme_of


class FetchError(Exception):
    """Why there is no response; turned into a `Failure`."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class Connection:
    """Takes the place of a socket. `number` counts from 1, in the order of creation."""

    address: str
    number: int
    reused: bool = False


class Exchange:
    """The state of one request in flight."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.scheme, self.host, self.port, self.origin = scheme_of(url), host_of(url), port_of(url), origin_of(url)
        self.connection: Connection | None = None
        self.address: str | None = None  # tried last
        self.sent = False
        self.answered = False
        self.keep = False  # the connection
        self.first_byte_s: float | None = None
        self._clock = clock
        self.record_start()

    def record_start(self) -> None:
        """Measure times from now on: called at the start, and again once the request has been sent."""
        self._started_at, self._started = self._clock.wall(), self._clock.monotonic()

    def record_answer(self) -> None:
        """The first byte of an answer has come."""
        self.first_byte_s = self._clock.monotonic() - self._started

    def failure(self, kind: FailureKind, message: str) -> Failure:
        """The record of a request that got no response."""
        return Failure(kind=kind, message=message, sent=self.sent, answered=self.answered, **self._facts())

    def response(self, head: Head, **found: Any) -> Response:
        """The record of a response; `found` are the fields that its body fills."""
        return response_of(head.headers, head.fields, status_code=head.status, **self._facts(), **found)

    def _facts(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "address": self.address,
            "started_at": self._started_at,
            "elapsed_s": self._clock.monotonic() - self._started,
            "first_byte_s": self.first_byte_s,
            "reused": self.connection is not None and self.connection.reused,
        }


class Head:
    """The head of an answer, as it is read; `body` is all that follows it. To a HEAD, nothing does."""

    def __init__(self, message: Message, *, closes: bool, has_body: bool = True) -> None:
        self.fields = tuple((name.encode(), value.encode("latin-1")) for name, value in message.headers)
        self.headers = CIMultiDict(
            (name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in self.fields
        )
        self.status = message.status
        self.closes = closes
        declared = self.headers.get("Content-Length", "")
        self.length = int(declared) if declared.isdecimal() and not message.is_chunked else None
        self.has_body = has_body
        self.body = message.body[: self.length] if has_body else b""

    @property
    def is_cut(self) -> bool:
        """Whether the body is shorter than the head says."""
        return self.has_body and self.length is not None and len(self.body) < self.length


def unread(exchange: Exchange, head: Head) -> Response:
    """A response without its body. A small body is drained and the connection kept (see `network.body.drain_body`)."""
    small = head.length is not None or head.status >= 300
    drained = small and (head.length or len(head.body)) <= DRAINED_BYTES
    exchange.keep = (drained or not head.has_body) and not (head.closes or head.is_cut)
    return exchange.response(head, read=False, size=head.length)


async def read(exchange: Exchange, head: Head, max_bytes: int, look: Look | None = None) -> Response:
    """The response with its body, up to the limit. Raises `FetchError` if that ends early or cannot be decoded."""
    terms: Terms | None = Terms()
    try:
        if look is not None:
            terms = look(field(head.headers, CONTENT_TYPE), _decoded(head, LOOK_BYTES)[0])
        if terms is None:
            return unread(exchange, head)
        body, truncated = _decoded(head, terms.max_bytes or max_bytes)
    except ContentEncodingError as error:
        raise FetchError(FailureKind.BAD_RESPONSE, error.message) from None
    if head.is_cut and not truncated:
        if not head.closes:
            await asyncio.Event().wait()
        raise FetchError(FailureKind.DISCONNECTED, "the connection closed within the body")
    if terms.wait is not None and len(body) > LONG_BYTES:
        await terms.wait()
    exchange.keep = not (head.closes or truncated)
    data = compress(body) if terms.is_packed else body
    return exchange.response(head, body=data, truncated=truncated or head.status == 206, size=len(body))


def _decoded(head: Head, max_bytes: int) -> tuple[bytes, bool]:
    """The body up to the limit, and whether that is not all of it."""
    codings = codings_of(head.headers)
    if not codings:
        return head.body[:max_bytes], len(head.body) > max_bytes
    decoder, body = BodyDecoder(*codings, max_bytes=max_bytes), bytearray()
    for piece in decoder.decode(head.body):
        body += piece
        if len(body) > max_bytes:
            return bytes(body[:max_bytes]), True
    if decoder.overrun or len(head.body) > max_bytes:
        return bytes(body), True
    return bytes(body), not (head.is_cut or decoder.finish())
