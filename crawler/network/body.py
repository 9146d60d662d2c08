"""Reads the body of an answer as far as it is wanted.

Invariants: no body is ever read whole (one of a few kilobytes may decode to gigabytes): it is taken chunk by chunk, and
left at the limit; while there is no room in the memory budget, or our own rate limit is reached, nothing is read, so
that TCP holds the peer back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from crawler.bodies import Packer
from crawler.fetching import LONG_BYTES, MAX_PACKED_BYTES
from crawler.memory import Share
from crawler.network.attempt import Attempt
from crawler.network.decoding import BodyDecoder
from crawler.network.fields import CONTENT_TYPE, field
from crawler.network.rate import RateLimit
from crawler.records import LOOK_BYTES
from crawler.statically_frozen import dataclass

DRAINED_BYTES = 64 * 1024  # up to here, reading what nobody wants is cheaper than a new connection
DRAIN_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it was taken: `data` may be packed, `size` counts the decoded bytes. `truncated`: that is not all."""

    data: bytes
    size: int
    truncated: bool


async def read_body(
    answer: aiohttp.ClientResponse, codings: Sequence[str], attempt: Attempt, share: Share, rate: RateLimit | None
) -> Body | None:
    """Read the decoded body up to the limit, and close the connection if it is longer. None: it is not wanted."""
    decoder = BodyDecoder(*codings, max_bytes=attempt.max_bytes) if codings else None
    taken = _Taken(attempt, share, field(answer.headers, CONTENT_TYPE))
    truncated = await _read_pieces(answer, decoder, attempt, taken, rate)
    if not taken.is_wanted():
        return None
    if truncated:
        answer.close()
    body = taken.finish(truncated=truncated)
    attempt.common.counters.bytes += body.size
    return body


async def _read_pieces(
    answer: aiohttp.ClientResponse,
    decoder: BodyDecoder | None,
    attempt: Attempt,
    taken: _Taken,
    rate: RateLimit | None,
) -> bool:
    """Take what comes; returns whether some of the body was left out. The limit holds for the compressed bytes too:
    they may decode to nothing, without end.
    """
    received, content = 0, answer.content
    while not content.at_eof() and (chunk := await content.readany()):
        received += len(chunk)
        for piece in (chunk,) if decoder is None else decoder.decode(chunk):
            if not await taken.add(piece):
                return True
            if decoder is not None:
                decoder.max_bytes = taken.max_bytes
        if rate is not None:
            await attempt.throttle(rate.charge(len(chunk)))
        if received > taken.max_bytes or (decoder is not None and decoder.overrun):
            return True
    return decoder is not None and not decoder.finish()


class _Taken:
    """What is taken of a body, on terms that its first bytes decide; they may be that it is not wanted."""

    def __init__(self, attempt: Attempt, share: Share, content_type: str | None) -> None:
        self._attempt = attempt
        self._share = share
        self._content_type = content_type
        self._pieces: list[bytes] = []
        self._size = 0
        self._kept = 0  # bytes in memory
        self._packer: Packer | None = None
        self._wait: Callable[[], Awaitable[None]] | None = None
        self._is_looked_at = attempt.look is None
        self._is_wanted = True
        self.max_bytes = attempt.max_bytes

    async def add(self, piece: bytes) -> bool:
        """Take one more; False where that is enough."""
        self._size += len(piece)
        await self._keep(piece if self._packer is None else self._packer.pack(piece))
        if not self._is_looked_at and self._size >= LOOK_BYTES:
            self._look()
        if self._wait is not None and self._size > LONG_BYTES:
            await self._wait_for_turn(self._wait)
        return self._is_wanted and self._size <= self.max_bytes and self._kept <= self._most_kept()

    def is_wanted(self) -> bool:
        """Whether the body, which is over, is wanted."""
        if not self._is_looked_at:
            self._look()
        return self._is_wanted

    def finish(self, *, truncated: bool) -> Body:
        """The body."""
        pieces, self._pieces = self._pieces, []
        if self._packer is not None:
            return Body(b"".join([*pieces, self._packer.finish()]), self._size, truncated)
        data = (pieces[0] if len(pieces) == 1 else b"".join(pieces))[: self.max_bytes]
        return Body(data, len(data), truncated)

    async def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        if not self._share.try_take(len(piece)):
            await self._share.take(len(piece), self._attempt.deadline.suspended_for)
        self._pieces.append(piece)
        self._kept += len(piece)

    def _most_kept(self) -> int:
        return self.max_bytes if self._packer is None else MAX_PACKED_BYTES

    def _look(self) -> None:
        self._is_looked_at = True
        head = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        terms = self._attempt.look(self._content_type, head[:LOOK_BYTES]) if self._attempt.look is not None else None
        if terms is None:
            self._is_wanted = False
            return
        self.max_bytes = terms.max_bytes or self.max_bytes
        self._attempt.deadline.put_off(terms.more_time_s)
        self._wait = terms.wait
        if terms.is_packed:
            self._packer = Packer()
            self._pieces = [self._packer.pack(head)]

    async def _wait_for_turn(self, wait: Callable[[], Awaitable[None]]) -> None:
        self._wait = None
        self._share.stand_by()
        with self._attempt.deadline.suspended_for(ours=True):
            await wait()


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
