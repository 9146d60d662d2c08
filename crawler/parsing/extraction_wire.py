"""What goes between a command that wants Markdown and the processes that make it: both ends' encoding.

A request is a header, then JSON (`Document`) and the body. An answer is one of `wire` with JSON alone: the Markdown,
and whether it is that of the whole page, or a text that says what went wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import orjson

from crawler.content.markdown import Content, Markdown
from crawler.parsing.wire import Answer, encode_json

_REQUEST = struct.Struct("<II")  # lengths: JSON, body


class Document(NamedTuple):
    """A page's body, how it was read, and what of it is wanted."""

    url: str
    encoding: str
    content_type: str | None
    content: Content
    body: bytes


def encode_document(document: Document) -> tuple[bytes, ...]:
    """The parts of a message, the body as it is: it may be large."""
    *about, body = document
    json = orjson.dumps(about)
    return _REQUEST.pack(len(json), len(body)), json, body


def receive_document(take: Callable[[int], bytes]) -> Document | None:
    """The next document; None where there will be none. `take` reads that many bytes, or fewer at the end."""
    header = take(_REQUEST.size)
    if len(header) < _REQUEST.size:
        return None
    json_length, body_length = _REQUEST.unpack(header)
    url, encoding, content_type, content = orjson.loads(take(json_length))
    return Document(url, encoding, content_type, Content(content), take(body_length))


def encode_markdown(made: Markdown | str, grown_bytes: int) -> bytes:
    """A message with what was made, or why nothing was."""
    found = made if isinstance(made, str) else [made.text, made.is_whole]
    return encode_json(orjson.dumps(found), grown_bytes)


def decode_markdown(answer: Answer) -> Markdown | str:
    """What was encoded. Raises `ValueError` or `TypeError` for nonsense."""
    found = orjson.loads(answer.json)
    if isinstance(found, str):
        return found
    text, is_whole = found
    return Markdown(text=text, is_whole=is_whole)
