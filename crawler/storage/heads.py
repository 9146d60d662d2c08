"""Header fields as they are kept: what responses have in common once, beside each response what it shares with none.

A head of a content delivery network has 20 fields, of which five differ each time (Date, ETag, the id of the request
...): whole, it would be stored anew with every response. So a head is parted in a template, in which the values that
differ are places, and these values. A value that was seen before with its name is one of the template's; those that are
known to differ never are. Both parts are JSON, which anybody's SQL reads (see the view `response_headers`).

Measured on made-up heads, bytes a response: nginx 288 as JSON, 95 parted; GitHub's pages 754 and 174; Cloudflare's with
a nonce and a reporting URL of 150 characters each 1,248 and about 600. Compressed with a dictionary of these very sites
they would take half of that and five times as long, and no other program could read them.

Invariant: of a cookie no value is kept, of a URL no credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from crawler.records import Response, Result
from crawler.storage.values import storable

_MAX_SEEN = 16_384  # values; about 4 MB

# What differs from one response to the next of the same server, though two of them may agree by chance.
_DIFFERING = frozenset(
    b"date last-modified etag content-length age expires location link set-cookie x-cache x-cache-hits x-timer".split()
)
_CREDENTIALS = re.compile(r"(?<=//)[^/?#\s\"'<>]*@")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")

Template: TypeAlias = tuple[tuple[str, str | int], ...]


class PartedHead(NamedTuple):
    """A head as it is kept: names with their values, or with the places of their values in `values`."""

    template: Template
    values: list[str]


class Heads:
    """Splits heads into templates and values, and remembers the values seen. `ids`: row ids of the stored templates."""

    def __init__(self, max_seen: int = _MAX_SEEN) -> None:
        self._max_seen = max_seen
        self._seen: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        self._names: dict[bytes, tuple[str, bool, bool]] = {}  # as text; whether its values differ, and are cookies
        self.ids: dict[Template, int] = {}

    def part(self, head: Sequence[tuple[bytes, bytes]]) -> PartedHead:
        """Part a head."""
        if len(self._seen) > self._max_seen:
            self._seen.clear()
            self._names.clear()
        template: list[tuple[str, str | int]] = []
        values: list[str] = []
        for field in head:
            seen = self._seen.get(field)
            if seen is not None:
                template.append(seen)
                continue
            name, value = field
            text, differs, is_cookie = self._names.get(name) or self._learn(name)
            kept = _kept(value, is_cookie=is_cookie)
            template.append((text, len(values)))
            values.append(kept)
            if not differs:
                self._seen[field] = (text, kept)
        return PartedHead(tuple(template), values)

    def _learn(self, name: bytes) -> tuple[str, bool, bool]:
        known = self._names[name] = _text(name), name.lower() in _DIFFERING, _is_cookie(name)
        return known

    def forget(self) -> None:
        """Forget the ids: after a rollback, their rows may not exist."""
        self.ids.clear()


def readable(head: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    """The names and values of a head, as they are kept."""
    return ((_text(name), _kept(value, is_cookie=_is_cookie(name))) for name, value in head)


def _is_cookie(name: bytes) -> bool:
    return name.lower() == b"set-cookie"


def _kept(value: bytes, *, is_cookie: bool) -> str:
    text = value.decode() if value.isascii() else _text(value)
    if not text.isprintable():
        text = _text(value)
    if is_cookie:
        text = _without_cookie(text)
    return _CREDENTIALS.sub("", text) if "@" in text else text


def _without_cookie(text: str) -> str:
    """'id; Path=/; HttpOnly' of 'id=abc; Path=/; HttpOnly'."""
    cookie, *attributes = text.split(";")
    return ";".join([cookie.partition("=")[0].strip(), *attributes])


def _text(raw: bytes) -> str:
    """As UTF-8 if it is that, else as Latin-1 (RFC 9110, 5.5), control characters as spaces."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text if text.isprintable() else storable(_CONTROL.sub(" ", text))


def head_of(result: Result) -> Sequence[tuple[bytes, bytes]]:
    """The header fields of a result's response; empty where it has none."""
    return result.attempt.head if isinstance(result.attempt, Response) else ()
