"""aiohttp's parser of answers, made as forgiving as the clients that every site knows.

The parser in C is quick and strict. What it accepts goes through it untouched. Where it refuses a head, that head is
repaired (see `heads`) and goes to another parser of the same kind, followed by the rest. Invariant: an answer that
needed a repair, or had bytes behind its end, is the last one on its connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp.http_exceptions import BadHttpMessage, PayloadEncodingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from crawler.network.chunks import ChunkedBody
from crawler.network.fields import framing_problem
from crawler.network.heads import Head, repaired

_Messages = Sequence[tuple[RawResponseMessage, StreamReader]]
_Parsed = tuple[_Messages, bool, bytes]  # the latter two: whether another protocol follows, and its first bytes

_NOTHING: _Parsed = ((), False, b"")


class AnswerParser(Protocol):
    """What a connection of aiohttp's asks of its parser."""

    def feed_data(self, data: bytes) -> _Parsed:
        """The answers whose heads are complete with `data`; more of a body goes to its stream."""

    def feed_eof(self) -> Any:
        """The connection has ended."""

    def pause_reading(self) -> None:
        """Give no more of the body until `feed_data(b"")`."""


class ParsedConnection(Protocol):
    """What the parser asks of its connection."""

    def another_parser(self) -> AnswerParser:
        """A parser of aiohttp's, set as this answer needs it."""

    def force_close(self) -> None:
        """Close it once the answer has been read."""

    def end(self) -> None:
        """Close it now: the answer is complete."""


class LenientParser:
    """Parses one answer, beginning with `parser`, which is aiohttp's."""

    __slots__ = ("_body", "_chunks", "_connection", "_head", "_parser", "_refusal")

    def __init__(self, connection: ParsedConnection, parser: AnswerParser) -> None:
        self._connection = connection
        self._parser = parser
        self._head: Head | None = None  # kept while a head is incomplete, which few are when their first bytes come
        self._refusal: Exception | None = None
        self._body: StreamReader | None = None  # once the head is complete
        self._chunks: ChunkedBody | None = None  # that it has

    def feed_data(self, data: bytes) -> _Parsed:
        """Called with what has come. Raises what aiohttp's parser raised over a head that is beyond repair. Where it is
        the body, that is told: aiohttp would close the connection alone, and the reader would wait for its deadline.
        """
        if self._body is not None:
            return self._feed_body(data, self._body)
        if self._refusal is None:
            try:
                parsed = self._parser.feed_data(data)
                for message, _body in parsed[0]:
                    if problem := framing_problem(message.headers):
                        raise BadHttpMessage(problem)
            except Exception as error:  # noqa: BLE001 - what hostile bytes make parsers raise cannot be listed
                self._refusal = error
                self._connection.force_close()
                self._parser = self._connection.another_parser()
            else:
                if len(parsed[0]) == 1 and self._head is None and message.code >= 200 and not message.chunked:
                    self._body = parsed[0][0][1]  # as a rule
                    return parsed
                return self._accepted(data, parsed)
        return self._repair(data, self._refusal)

    def feed_eof(self) -> Any:
        """Called when the connection has ended."""
        return self._parser.feed_eof()

    def pause_reading(self) -> None:
        """Called where more of the body has come than was read."""
        self._parser.pause_reading()

    def _accepted(self, data: bytes, parsed: _Parsed) -> _Parsed:
        """The parser had nothing against `data`: a head, or several, the last of them with a part of its body."""
        if self._head is not None:
            self._head.add(data)
        answered = self._note_answer(parsed[0])
        if not answered:
            if self._head is None:
                self._head = Head()
                self._head.add(data)
            for _interim in parsed[0]:
                self._head.take()
            return parsed
        head, self._head = self._head, None
        if self._chunks is not None:
            raw = data if head is None else head.rest()
            begun = _body_in(raw, answered)
            if self._chunks.feed(begun) != begun:
                return self._parse_again(raw)
        if answered < len(parsed[0]):
            self._connection.end()  # another answer stands behind it
            return parsed[0][:answered], False, b""
        return parsed

    def _note_answer(self, messages: _Messages) -> int:
        """Which of the messages is the answer, counted from 1; 0 where all are interim (RFC 9110, 15.2)."""
        for number, (message, body) in enumerate(messages, 1):
            if not 100 <= message.code < 200 or message.code == 101:  # as aiohttp has it
                self._body = body
                self._chunks = ChunkedBody() if message.chunked else None
                return number
        return 0

    def _parse_again(self, raw: bytes) -> _Parsed:
        """`raw` has come from the first head on: the body in it is not what the parser took it for."""
        self._head, self._body = Head(), None
        self._parser = self._connection.another_parser()
        return self._repair(raw, BadHttpMessage("the body's framing is broken"))

    def _repair(self, data: bytes, refusal: Exception) -> _Parsed:
        """Give the heads to another parser one by one, each once it is complete."""
        if self._head is None:
            self._head = Head()
        self._head.add(data)
        messages: list[tuple[RawResponseMessage, StreamReader]] = []
        while self._body is None and (raw := self._head.take()) is not None:
            parsed_head = self._parse_head(raw, refusal)
            messages += parsed_head
            self._note_answer(parsed_head)
        if self._body is not None:
            rest, self._head = self._head.rest(), None
            self._feed_body(rest, self._body)
        elif not self._head.is_promising():
            raise refusal
        return messages, False, b""

    def _parse_head(self, raw: bytes, refusal: Exception) -> _Messages:
        """Repair it only where it is refused alone, too: the parser loses a good head for what stands behind it."""
        try:
            messages = self._parser.feed_data(raw)[0]
            for message, _body in messages:
                _check_framing(message)
        except Exception:  # noqa: BLE001 - as above
            messages = ()
        if messages:
            return messages
        head = repaired(raw)
        if head is None:
            raise refusal
        self._parser = self._connection.another_parser()
        return self._parser.feed_data(head)[0]

    def _feed_body(self, data: bytes, body: StreamReader) -> _Parsed:
        if self._chunks is not None and data and not body.is_eof():
            data = self._chunks.feed(data)
            if self._chunks.is_repaired:
                self._connection.force_close()
            return self._feed_framed(data, body) if data else _NOTHING
        return self._feed_framed(data, body)

    def _feed_framed(self, data: bytes, body: StreamReader) -> _Parsed:
        if not body.is_eof():
            try:
                parsed = self._parser.feed_data(data)
            except Exception:  # noqa: BLE001 - as above
                if not body.is_eof():
                    body.set_exception(PayloadEncodingError("the body's framing is broken"))
            else:
                if not parsed[0]:
                    return parsed
        elif not data:
            return _NOTHING
        self._connection.end()  # there are bytes behind the answer, or a chunk is broken
        if not body.is_eof() and body.exception() is None:
            body.feed_eof()
        return _NOTHING


def _body_in(raw: bytes, heads: int) -> bytes:
    """What stands behind the heads."""
    head = Head()
    head.add(raw)
    for _ in range(heads):
        head.take()
    return head.rest()


def _check_framing(message: RawResponseMessage) -> None:
    if problem := framing_problem(message.headers):
        raise BadHttpMessage(problem)
