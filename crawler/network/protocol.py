"""aiohttp's end of a connection, with two bounds that it lacks: no answer without a request, no end of answers. And it
reads the answers that every client reads (see `parser`).

A server may send any number of interim answers (1xx) before its answer (RFC 9110, 15.2), and aiohttp reads on, busy at
the full speed of the network, until the deadline of the request. A few are all that a client can have any use for. And
what a server sends before there is a request would be taken for the answer to the next one, whatever that asks for.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import ioctl
from functools import partial
from termios import FIONREAD
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from crawler.exchange import Exchange
from crawler.network.attempt import current_attempt
from crawler.network.heads import MAX_FIELDS, MAX_HEAD_BYTES
from crawler.network.parser import AnswerParser, LenientParser

MAX_INTERIM_ANSWERS = 16

# The first is meant. `ioctl` keeps the GIL for what exceeds its own KiB: 0.3 us, not 1.7.
_UNREAD = array("i", bytes(1028))


class BoundedProtocol(ResponseHandler):
    """Ends the connection at the interim answer that is one too many, and parses with a `LenientParser`.

    aiohttp has no public way to set a parser; should its attribute go, the tests of `test_replies` fail.

    `peer` is the address at its other end; `plain_fd` the socket's descriptor, None under TLS, which may speak first.
    Both are asked for at each request, and asking the transport takes 3 us. `heard_at` is when bytes came last;
    `on_first_bytes` is called once, with the next that come. `exchange` is where what passes is written down, if
    somebody wants it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, parser_options: Mapping[str, Any]) -> None:
        super().__init__(loop)
        self._interim_answers = 0
        self._parser_options = parser_options
        self.peer: str | None = None
        self.plain_fd: int | None = None
        self.heard_at = 0.0
        self.on_first_bytes: Callable[[], None] | None = None
        self.exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once the connection is there, with TLS if it is to have that."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if name else None
        if transport.get_extra_info("sslcontext") is None:
            self.plain_fd = transport.get_extra_info("socket").fileno()

    def is_connected(self) -> bool:
        """Asked by the pool before it gives out a connection that was kept; one that is not is closed. No connection
        will do on which the server has said something since, or where a fresh one is wanted.
        """
        if self.transport is None or self.transport.is_closing():
            return False
        attempt = current_attempt.get()
        wants_another = attempt is not None and attempt.fresh and not attempt.sent
        return not wants_another and not self._has_unread()

    def has_answered(self) -> bool:
        """Whether bytes of an answer are there: with the parser, or with the kernel."""
        return bool(self) or self._has_unread()  # a queue of answers: true unless empty

    def expect_answer(self) -> None:
        """Called when the request has been sent, and aiohttp has made a parser for its answer."""
        self._parser = LenientParser(self, self._parser)  # type: ignore[arg-type, assignment]

    def another_parser(self) -> AnswerParser:
        """A new parser of aiohttp's for the answer that is being parsed."""
        current = self._parser
        has_no_body = self._skip_payload  # it was asked for by HEAD
        self.set_response_params(read_until_eof=True, skip_payload=has_no_body, **self._parser_options)
        another, self._parser = self._parser, current
        return cast(AnswerParser, another)

    def end(self) -> None:
        """Close the connection: its last answer is complete."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Called with what has come."""
        self.heard_at = self._loop.time()
        if self.on_first_bytes is not None:
            self.on_first_bytes()
            self.on_first_bytes = None
        if self.exchange is not None:
            self.exchange.hear(data)
        super().data_received(data)

    @contextmanager
    def written_down(self, exchange: Exchange) -> Iterator[None]:
        """Inside, what is sent goes into the exchange; and from now on all that comes, until there is another one."""
        self.exchange = exchange
        transport = self.transport
        if transport is None:
            yield
            return
        tls = transport.get_extra_info("ssl_object")
        exchange.protocols = () if tls is None else (str(tls.version()).lower().replace("tlsv", "tls/"),)
        self.transport = cast(asyncio.Transport, _Tapped(transport, exchange))
        try:
            yield
        finally:
            if self.transport is not None:  # else it was lost meanwhile
                self.transport = transport

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called for the head of each answer."""
        if data[0].code >= 200:
            self._interim_answers = 0
        else:
            self._interim_answers += 1
        if self._interim_answers <= MAX_INTERIM_ANSWERS:
            super().feed_data(data, size)
        elif self._interim_answers == MAX_INTERIM_ANSWERS + 1:
            self.abort()  # before the exception, which it would take away
            self.set_exception(HttpProcessingError(message=f"more than {MAX_INTERIM_ANSWERS} interim responses"))

    def _has_unread(self) -> bool:
        if self.plain_fd is None:
            return False
        ioctl(self.plain_fd, FIONREAD, _UNREAD)
        return _UNREAD[0] != 0


class _Tapped:
    """A transport whose bytes go into an exchange, too."""

    def __init__(self, transport: asyncio.Transport, exchange: Exchange) -> None:
        self._transport = transport
        self._exchange = exchange

    def write(self, data: bytes) -> None:
        """Send it."""
        self._exchange.say(data)
        self._transport.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send them."""
        self.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class WatchedRequest(aiohttp.ClientRequest):
    """Is not sent where the answer is there before it."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request. Raises `ClientPayloadError` on a new connection on which the server spoke first. (One that
        was kept has been looked at when the pool gave it out.)
        """
        attempt = current_attempt.get()
        while attempt is not None and (wait_s := attempt.wait_s()):
            await attempt.throttle(wait_s)
        is_new = attempt is not None and attempt.sockets
        if is_new and isinstance(conn.protocol, BoundedProtocol) and conn.protocol.has_answered():
            raise aiohttp.ClientPayloadError from BadHttpMessage("the response came before the request")
        if attempt is not None and attempt.exchange is not None and isinstance(conn.protocol, BoundedProtocol):
            attempt.exchange.peer = conn.protocol.peer if attempt.common.proxy is None else None
            with conn.protocol.written_down(attempt.exchange):
                return await super().send(conn)
        return await super().send(conn)


def parser_options(read_buffer_bytes: int) -> dict[str, Any]:
    """How aiohttp is to parse an answer: the session is told, and so are the connections."""
    return {
        "read_bufsize": read_buffer_bytes,
        "auto_decompress": False,  # `decoding` does it
        "max_line_size": MAX_HEAD_BYTES,
        "max_field_size": MAX_HEAD_BYTES,
        "max_headers": MAX_FIELDS,
    }


def use_bounded_protocol(connector: aiohttp.BaseConnector, options: Mapping[str, Any]) -> None:
    """Let the connector make its connections with `BoundedProtocol`; `options` are `parser_options`.

    There is no public way to say so; should the attribute go, the test of endless interim answers fails.
    """
    protocol: Callable[..., ResponseHandler] = BoundedProtocol
    connector._factory = partial(protocol, asyncio.get_running_loop(), options)
