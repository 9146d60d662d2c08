"""What passed over the wire for one request, gathered while it is under way, for the WARC files (`--warc`).

Invariants: the bytes are those of the connection, inside TLS and inside a tunnel; they count in the memory budget until
they are given back; nothing is added once the request is over.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from crawler.memory import Share
from crawler.statically_frozen import dataclass


class Cut(StrEnum):
    """Why a response is not all there. The words are the standard's (ISO 28500:2017, 5.13)."""

    LENGTH = "length"  # it is longer than may be read
    TIME = "time"
    DISCONNECT = "disconnect"
    UNSPECIFIED = "unspecified"  # the rest was not wanted


class Exchange:
    """One request and its response. Times are Unix seconds, durations seconds.

    `peer` is the address at the other end, None through a proxy. `protocols` are what it was spoken in below HTTP, as
    'tls/1.3'. `body_bytes` is the length of a body that is all there and not chunked: what came behind it belongs to
    no response. `has_ended` tells whether the body is all there. `failure` says, for people, why the response was no
    use.
    """

    __slots__ = (
        "_is_over",
        "_room",
        "body_bytes",
        "cut",
        "elapsed_s",
        "failure",
        "first_byte_s",
        "has_ended",
        "method",
        "peer",
        "protocols",
        "request",
        "response",
        "size",
        "started_at",
        "url",
    )

    def __init__(self, url: str, method: str, room: Share) -> None:
        self._room = room
        self._is_over = False
        self.url = url
        self.method = method
        self.request = b""
        self.response: list[bytes] = []  # interim ones included
        self.size = 0  # bytes of the response
        self.peer: str | None = None
        self.protocols: tuple[str, ...] = ()
        self.started_at = 0.0
        self.elapsed_s = 0.0
        self.first_byte_s: float | None = None
        self.has_ended: Callable[[], bool] = lambda: False
        self.body_bytes: int | None = None
        self.cut: Cut | None = None
        self.failure: str | None = None

    def say(self, data: bytes) -> None:
        """Bytes of the request were handed to the connection."""
        self.request += data

    def hear(self, data: bytes) -> None:
        """Bytes have come."""
        if not self._is_over:
            self.response.append(data)
            self.size += len(data)
            self._room.charge(len(data))

    def end(self) -> None:
        """The request is over; what came waits to be written."""
        self._is_over = True
        self._room.keep()

    def give_back(self) -> None:
        """It has been written, or is not wanted: nothing is held in memory any more."""
        self._is_over = True
        self.request, self.response = b"", []
        self._room.give_back()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What DNS said of a name: `records` as (name, TTL in seconds, type, data), at `at` (Unix seconds)."""

    name: str
    at: float
    records: tuple[tuple[str, int, str, str], ...]
