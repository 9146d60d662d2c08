"""Reads the body of an answer as far as it is wanted.

Invariants: no body is ever read whole (one of a few kilobytes may decode to gigabytes): it is taken chunk by chunk, and
left at the limit; while there is no room in the memory budget, or our own rate limit is reached, nothing is read, so
that TCP holds the peer back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import aiohttp
from aiohttp.http_exceptions import PayloadEncodingError

from crawler.network.attempt import Attempt
from crawler.network.decoding import BodyDecoder
from crawler.network.memory import Share
from crawler.network.rate import RateLimit

DRAINED_BYTES = 64 * 1024  # up to here, reading what nobody wants is cheaper than a new connection
DRAIN_PATIENCE_S = 2.0


async def read_body(
    answer: aiohttp.ClientResponse, coding: str | None, attempt: Attempt, share: Share, rate: RateLimit | None
) -> tuple[bytes, bool]:
    """The decoded body up to the limit, and whether there was more; then the connection is closed, not drained."""
    decoder = None if coding is None else BodyDecoder(coding)
    if answer.content.is_eof():
        pieces, truncated = await _read_pieces(answer, decoder, attempt, share, rate)
    else:
        with _noticing_the_end(answer):
            pieces, truncated = await _read_pieces(answer, decoder, attempt, share, rate)
    if truncated:
        answer.close()
    body = (pieces[0] if len(pieces) == 1 else b"".join(pieces))[: attempt.max_bytes]
    attempt.counters.bytes += len(body)
    return body, truncated


async def _read_pieces(
    answer: aiohttp.ClientResponse,
    decoder: BodyDecoder | None,
    attempt: Attempt,
    share: Share,
    rate: RateLimit | None,
) -> tuple[list[bytes], bool]:
    """What was read, and whether that is not all. The limit holds for the compressed bytes too: they may decode to
    nothing, without end.
    """
    pieces: list[bytes] = []
    size = received = 0
    while chunk := await answer.content.readany():
        received += len(chunk)
        for piece in (chunk,) if decoder is None else decoder.decode(chunk):
            if not share.try_take(len(piece)):
                with attempt.deadline.suspended():
                    await share.take(len(piece))
            pieces.append(piece)
            size += len(piece)
            if size > attempt.max_bytes:
                return pieces, True
        if rate is not None:
            await attempt.throttle(rate.charge(len(chunk)))
        if received > attempt.max_bytes:
            return pieces, True
    if decoder is not None:
        decoder.finish()
    return pieces, False


async def drain_body(answer: aiohttp.ClientResponse, attempt: Attempt, rate: RateLimit | None) -> None:
    """Read away a small body that nobody wants, so that the connection lives on; with a large one it is closed.

    An error page or a redirect often declares no length, but is seldom large; a document without one may be a stream.
    """
    if answer.content.at_eof():  # a 304, as a rule: many of them come in a row
        return
    declared = answer.content_length
    if (declared is None and answer.status < 300) or (declared or 0) > DRAINED_BYTES:
        return
    size = 0
    with suppress(aiohttp.ClientError, OSError):  # the answer is known already, whatever becomes of its connection
        async with attempt.patience(DRAIN_PATIENCE_S):
            while size <= DRAINED_BYTES and (chunk := await answer.content.readany()):
                size += len(chunk)
    if rate is not None:
        rate.charge(answer.content.total_raw_bytes)  # the next one to read a body waits for it


@contextmanager
def _noticing_the_end(answer: aiohttp.ClientResponse) -> Iterator[None]:
    """Ends the reading when the connection is gone and nothing more can come.

    aiohttp closes the connection over a broken chunk but does not tell the body, which would wait for its deadline.
    Where the peer ended the connection, aiohttp has told the body before this looks.
    """
    content = answer.content
    protocol = answer.connection.protocol if answer.connection is not None else None
    gone = protocol.closed if protocol is not None else None  # `is not None`: with nothing to read, it is falsy
    if gone is None:
        yield
        return

    def end(_gone: asyncio.Future[None]) -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(PayloadEncodingError("the body's framing is broken"))

    gone.remove_done_callback(_retrieve)  # one is enough, however often the connection is used again
    gone.add_done_callback(_retrieve)
    gone.add_done_callback(end)
    try:
        yield
    finally:
        gone.remove_done_callback(end)


def _retrieve(gone: asyncio.Future[None]) -> None:
    """A connection that is reset, in the pool too, is no news; asyncio would log what nobody has looked at."""
    if not gone.cancelled():
        gone.exception()
