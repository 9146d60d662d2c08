"""HTTP messages as they came over the wire: where their heads end, what their bodies hold, and what must not be kept.

Pure. Invariant: the value of no field that may hold a secret leaves `redacted`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from crawler.statically_frozen import dataclass

REPLACED = b"[removed]"

_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/(\d(?:\.\d)?) +(\d{3})(?!\d)")
_NAME = re.compile(rb"([^\s:]+)[ \t]*:")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[^\n]*\n")
_USERINFO = re.compile(rb"(?<=//)[^/?#\s\"'<>@]*@")

# What we say that tells nothing; of all else that the user has us say, any may be a secret.
_HARMLESS = frozenset(
    b"host connection user-agent from accept accept-language accept-encoding dnt sec-gpc"
    b" if-none-match if-modified-since".split()
)
_SECRET_ANSWERS = frozenset({b"set-cookie", b"set-cookie2"})
_WITH_URLS = frozenset({b"location", b"content-location", b"refresh", b"link"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A response: `head` with its blank line, `status` None where there is no complete head that begins as HTTP does.
    `interim` counts the interim responses before it, which are left out.
    """

    head: bytes
    body: bytes
    status: int | None = None
    version: str = ""
    interim: int = 0

    def field(self, name: bytes) -> str | None:
        """The first value of a field, given in lower case."""
        for line in self.head.split(b"\n")[1:]:
            found = _NAME.match(line)
            if found and found[1].lower() == name:
                return line[found.end() :].strip().decode("latin-1")
        return None

    @property
    def is_chunked(self) -> bool:
        """Whether the body is in chunks."""
        return "chunked" in (self.field(b"transfer-encoding") or "").lower()


def read_message(raw: bytes) -> Message:
    """The response in what came on a connection."""
    at = interim = 0
    while True:
        at = len(raw) - len(raw[at:].lstrip(b"\r\n")) if raw[at : at + 1] in (b"\r", b"\n") else at
        line, end = _STATUS_LINE.match(raw, at), _END.search(raw, at)
        if line is None or end is None:
            return Message(head=raw[at:], body=b"", interim=interim)
        status = int(line[2])
        if not 100 <= status < 200 or status == 101:
            head, body = raw[at : end.end()], raw[end.end() :]
            return Message(head=head, body=body, status=status, version=line[1].decode(), interim=interim)
        interim += 1
        at = end.end()


def unchunked(body: bytes) -> bytes:
    """What the chunks hold, as far as they can be told apart."""
    pieces, at = [], 0
    while (size := _CHUNK_SIZE.match(body, at)) is not None:
        end = size.end() + int(size[1], 16)
        if end == size.end():
            break
        pieces.append(body[size.end() : end])
        if end >= len(body):
            break
        at = end + (2 if body[end : end + 2] == b"\r\n" else body[end : end + 1] == b"\n")
    return b"".join(pieces)


def redacted_request(head: bytes) -> tuple[bytes, list[str]]:
    """The request without what may be secret, and the names of the fields whose values were replaced."""
    return _redacted(head, lambda name: name not in _HARMLESS)


def redacted_response(head: bytes) -> tuple[bytes, list[str]]:
    """The same for the head of a response: cookies, and the user and password in a URL."""
    return _redacted(head, _SECRET_ANSWERS.__contains__)


def _redacted(head: bytes, is_secret: Callable[[bytes], bool]) -> tuple[bytes, list[str]]:
    first, *lines = head.split(b"\n")
    kept, names, inside = [_USERINFO.sub(b"", first)], dict[str, None](), False
    for line in lines:
        if line[:1] in (b" ", b"\t") and inside:
            continue  # it goes on with the value
        found = _NAME.match(line)
        name = found[1].lower() if found is not None else b""
        inside = found is not None and is_secret(name)
        if found is not None and inside:
            ending = b"\r" if line.endswith(b"\r") else b""
            line = line[: found.end()] + b" " + REPLACED + ending
        elif name in _WITH_URLS and (bare := _USERINFO.sub(b"", line)) != line:
            line, inside = bare, False
        else:
            kept.append(line)
            continue
        kept.append(line)
        names[(found[1] if found is not None else b"").decode("latin-1")] = None
    return b"\n".join(kept), list(names)
