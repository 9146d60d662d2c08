"""What an `Exchange` is told when its request is over: how long it took, and whether all of the response came.

Invariant: nothing here changes what becomes of the request.
"""

from __future__ import annotations

import aiohttp

from crawler.exchange import Cut, Exchange
from crawler.network.attempt import Attempt
from crawler.network.body import Body
from crawler.records import FailureKind

_CUT_BY = {FailureKind.TIMEOUT: Cut.TIME, FailureKind.DISCONNECTED: Cut.DISCONNECT}


def note_response(exchange: Exchange, attempt: Attempt, answer: aiohttp.ClientResponse, body: Body | None) -> None:
    """There is one, read as far as it is wanted."""
    _note_times(exchange, attempt)
    if not exchange.has_ended():
        exchange.cut = Cut.LENGTH if body is not None and body.truncated else Cut.UNSPECIFIED
    elif "chunked" not in answer.headers.get("Transfer-Encoding", "").lower():
        exchange.body_bytes = answer.content.total_bytes


def note_failure(exchange: Exchange, attempt: Attempt, kind: FailureKind, message: str) -> None:
    """What came, if anything, is of no use."""
    _note_times(exchange, attempt)
    exchange.failure = f"{kind}: {message}"
    exchange.cut = None if exchange.has_ended() else _CUT_BY.get(kind, Cut.UNSPECIFIED)


def _note_times(exchange: Exchange, attempt: Attempt) -> None:
    exchange.started_at = attempt.started_at
    exchange.elapsed_s = attempt.elapsed_s
    exchange.first_byte_s = attempt.first_byte_s
