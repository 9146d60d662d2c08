"""Reads the body of an answer as far as it is wanted.

Invariants: no body is ever read whole (one of a few kilobytes may decode to gigabytes): it is taken chunk by chunk, and
left at the limit; while there is no room in the memory budget, or our own rate limit is reached, nothing is read, so
that TCP holds the peer back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from crawler.memory import Share
from crawler.network.attempt import Attempt
from crawler.network.decoding import BodyDecoder
from crawler.network.rate import RateLimit

DRAINED_BYTES = 64 * 1024  # up to here, reading what nobody wants is cheaper than a new connection
DRAIN_PATIENCE_S = 2.0


async def read_body(
    answer: aiohttp.ClientResponse, codings: Sequence[str], attempt: Attempt, share: Share, rate: RateLimit | None
) -> tuple[bytes, bool]:
    """The decoded body up to the limit, and whether that is not all; then the connection is closed, not drained."""
    decoder = BodyDecoder(*codings, max_bytes=attempt.max_bytes) if codings else None
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
                await share.take(len(piece), attempt.deadline.suspended_for)
            pieces.append(piece)
            size += len(piece)
            if size > attempt.max_bytes:
                return pieces, True
        if rate is not None:
            await attempt.throttle(rate.charge(len(chunk)))
        if received > attempt.max_bytes or (decoder is not None and decoder.overrun):
            return pieces, True
    return pieces, decoder is not None and not decoder.finish()


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
    with suppress(
        aiohttp.ClientError, HttpProcessingError, OSError
    ):  # the answer is known already, whatever becomes of its connection
        async with attempt.patience(DRAIN_PATIENCE_S):
            while size <= DRAINED_BYTES and (chunk := await answer.content.readany()):
                size += len(chunk)
    if rate is not None:
        rate.charge(answer.content.total_raw_bytes)  # the next one to read a body waits for it
