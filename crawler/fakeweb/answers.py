"""The response of a declared web to a request, whatever carries it. Invariant: nothing here touches a connection."""

from __future__ import annotations

import gzip
import inspect
from collections.abc import Iterator

from crawler.fakeweb.directory import Directory
from crawler.fakeweb.sites import Answer, Fault, Handler, Raw, Reply, Request, Site, pairs
from crawler.statically_frozen import dataclass

_BODILESS = (204, 304)  # RFC 9110, 6.4.1
_NOT_FOUND = Answer(status=404, body="Not found\n", content_type="text/plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An answer as it is sent, without its framing. `body` is compressed if the answer says so."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_chunked: bool


def route_of(site: Site | None, target: str) -> Reply | Handler | Raw:
    """What is declared for a request's target: for exactly that target, for its path, or for any path."""
    if site is None:
        return _NOT_FOUND
    candidates = (target, target.partition("?")[0], "*")
    return next((site.routes[path] for path in candidates if path in site.routes), _NOT_FOUND)


async def reply_to(request: Request, route: Reply | Handler) -> Reply:
    """The declared answer or fault, or the one that the handler returns. Raises what the handler raises."""
    if isinstance(route, Answer | Fault):
        return route
    reply = route(request)
    return await reply if inspect.isawaitable(reply) else reply


def status_of(request: Request, answer: Answer) -> int:
    """The declared status, or 304 if the request shows that the client already has this answer."""
    return 304 if _is_unchanged(request, answer) else answer.status


def message_of(answer: Answer, status: int, directory: Directory, scheme: str) -> Message:
    """What is sent. It depends on the scheme, because URLs that begin with '//' do."""
    has_body = status not in _BODILESS
    body = _content(answer, directory, scheme) if has_body else b""
    headers = _headers(answer, len(body) if has_body else None)
    if not answer.verbatim:
        headers = ((name, directory.with_ports(value, scheme)) for name, value in headers)
    return Message(status=status, headers=tuple(headers), body=body, is_chunked=answer.chunked and has_body)


def _is_unchanged(request: Request, answer: Answer) -> bool:
    if answer.status != 200 or not answer.headers:
        return False
    declared = {name.lower(): value for name, value in pairs(answer.headers)}
    asked = request.headers.get("if-none-match")
    if asked is not None:  # it has precedence (RFC 9110, 13.2.2)
        return asked == declared.get("etag")
    asked = request.headers.get("if-modified-since")
    return asked is not None and asked == declared.get("last-modified")


def _content(answer: Answer, directory: Directory, scheme: str) -> bytes:
    body = answer.body
    if isinstance(body, str):
        body = (body if answer.verbatim else directory.with_ports(body, scheme)).encode(answer.encoding)
    return gzip.compress(body, mtime=0) if answer.gzip else body


def _headers(answer: Answer, length: int | None) -> Iterator[tuple[str, str]]:
    """The declared headers, then the server's own unless declared; `length` is None for an answer without a body."""
    declared = pairs(answer.headers)
    yield from declared
    own = {}
    if length is not None:
        own["Content-Type"] = answer.content_type
        if answer.content_type is None:
            own["Content-Type"] = f"text/html; charset={answer.encoding}"
        own["Content-Encoding"] = "gzip" if answer.gzip else ""
        own["Transfer-Encoding" if answer.chunked else "Content-Length"] = "chunked" if answer.chunked else str(length)
    names = {name.lower() for name, _value in declared}
    yield from ((name, value) for name, value in own.items() if value and name.lower() not in names)
