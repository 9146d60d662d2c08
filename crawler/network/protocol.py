"""aiohttp's end of a connection, with a bound that aiohttp lacks.

A server may send any number of interim answers (1xx) before its answer (RFC 9110, 15.2), and aiohttp reads on, busy at
the full speed of the network, until the deadline of the request. A few are all that a client can have any use for.
"""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

MAX_INTERIM_ANSWERS = 16


class BoundedProtocol(ResponseHandler):
    """Ends the connection at the interim answer that is one too many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interim_answers = 0

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called for the head of each answer."""
        if data[0].code >= 200:
            self._interim_answers = 0
        else:
            self._interim_answers += 1
        if self._interim_answers <= MAX_INTERIM_ANSWERS:
            super().feed_data(data, size)
        elif self._interim_answers == MAX_INTERIM_ANSWERS + 1:
            self.set_exception(HttpProcessingError(message=f"more than {MAX_INTERIM_ANSWERS} interim answers"))
            self.abort()


def bound_interim_answers(connector: aiohttp.BaseConnector) -> None:
    """Let the connector make its connections with `BoundedProtocol`.

    There is no public way to say so; should the attribute go, the test of endless interim answers fails.
    """
    factory: partial[ResponseHandler] = partial(BoundedProtocol, loop=asyncio.get_running_loop())
    connector._factory = factory
