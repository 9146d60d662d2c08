"""aiohttp's end of a connection, with two bounds that it lacks: no answer without a request, no end of answers.

A server may send any number of interim answers (1xx) before its answer (RFC 9110, 15.2), and aiohttp reads on, busy at
the full speed of the network, until the deadline of the request. A few are all that a client can have any use for. And
what a server sends before there is a request would be taken for the answer to the next one, whatever that asks for.
"""

from __future__ import annotations

import asyncio
from fcntl import ioctl
from functools import partial
from termios import FIONREAD

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from crawler.network.attempt import current_attempt

MAX_INTERIM_ANSWERS = 16

_UNREAD = bytearray(1028)  # an int at its front; `ioctl` keeps the GIL for what exceeds its own KiB: 0.3 us, not 1.7


class BoundedProtocol(ResponseHandler):
    """Ends the connection at the interim answer that is one too many.

    `peer` is the address at its other end; `plain_fd` the socket's descriptor, None under TLS, which may speak first.
    Both are asked for at each request, and asking the transport takes 3 us. `heard_at` is when bytes came last.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interim_answers = 0
        self.peer: str | None = None
        self.plain_fd: int | None = None
        self.heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once the connection is there, with TLS if it is to have that."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if name else None
        if transport.get_extra_info("sslcontext") is None:
            self.plain_fd = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Called with what has come."""
        self.heard_at = self._loop.time()
        super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called for the head of each answer."""
        if data[0].code >= 200:
            self._interim_answers = 0
        else:
            self._interim_answers += 1
        if self._interim_answers <= MAX_INTERIM_ANSWERS:
            super().feed_data(data, size)
        elif self._interim_answers == MAX_INTERIM_ANSWERS + 1:
            self.set_exception(HttpProcessingError(message=f"more than {MAX_INTERIM_ANSWERS} interim responses"))
            self.abort()


class WatchedRequest(aiohttp.ClientRequest):
    """Is not sent where something came before it."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request. Raises `ServerDisconnectedError` for a connection that was kept: aiohttp makes a new one,
        which is fine as nothing was sent. On a new one it is the server's answer, `ClientPayloadError`.
        """
        if _has_answered(conn):
            attempt = current_attempt.get()
            if attempt is not None and not attempt.sockets:
                raise aiohttp.ServerDisconnectedError
            raise aiohttp.ClientPayloadError from BadHttpMessage("the response came before the request")
        return await super().send(conn)


def bound_interim_answers(connector: aiohttp.BaseConnector) -> None:
    """Let the connector make its connections with `BoundedProtocol`.

    There is no public way to say so; should the attribute go, the test of endless interim answers fails.
    """
    protocol: type[ResponseHandler] = BoundedProtocol
    connector._factory = partial(protocol, loop=asyncio.get_running_loop())


def _has_answered(connection: Connection) -> bool:
    """Whether bytes of an answer are there: with the parser, or with the kernel."""
    protocol = connection.protocol
    if protocol:  # a queue of answers: true unless empty
        return True
    if not isinstance(protocol, BoundedProtocol) or protocol.transport is None or protocol.plain_fd is None:
        return False
    ioctl(protocol.plain_fd, FIONREAD, _UNREAD)
    return any(_UNREAD[:4])
