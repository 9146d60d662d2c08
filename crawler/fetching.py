"""What a crawl asks of whatever fetches for it: aiohttp (see `network`), or the fake web without sockets.

Invariant: nothing here fetches, and nothing here imports what does; so a visit runs over any fetcher that keeps to
these protocols. `tests/contract/test_fetchers.py` holds all of them to the same answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from crawler.exchange import Exchange
from crawler.memory import Share
from crawler.records import Failure, Response
from crawler.statically_frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A name without an address, and why, for people."""

    host: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the rest of a body is taken. `max_bytes`, decoded, None: the configured limit. `more_time_s` is added to the
    request's deadline. `is_packed`: the body comes back as a zstd frame, takes up little memory, and at most
    `MAX_PACKED_BYTES` of it; before its second MiB is read, `wait` is awaited, once.
    """

    max_bytes: int | None = None
    more_time_s: float = 0.0
    is_packed: bool = False
    wait: Callable[[], Awaitable[None]] | None = None


LISTING_PATIENCE = 4.0  # a sitemap may be five times as long as a page: it has so many times --timeout, --parse-timeout
MAX_PACKED_BYTES = 16 * 1024 * 1024  # a sitemap of 50 MiB takes 5
LONG_BYTES = 1024 * 1024

Look: TypeAlias = Callable[[str | None, bytes], Terms | None]


def any_type(content_type: str | None) -> bool:
    """Every type is readable."""
    return True


def no_type(content_type: str | None) -> bool:
    """No body is wanted, whatever its type."""
    return False


class Fetcher(Protocol):
    """What a visit asks: an address to count politeness under, room for a body, and one answer to one request."""

    def address_of(self, host: str) -> Awaitable[str | Unresolved]:
        """The address that politeness counts requests to `host` (a name or an IP literal) under."""

    def share(self) -> Share:
        """The share of one body in the memory that all bodies have, empty at first."""

    async def fetch(
        self,
        url: str,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        readable: Callable[[str | None], bool] = any_type,
        look: Look | None = None,
        max_bytes: int | None = None,
        on_sent: Callable[[], None] | None = None,
        sending_in_s: Callable[[], float] | None = None,
        fresh: bool = False,
        share: Share | None = None,
        method: str = "GET",
        as_stranger: bool = False,
        record: Callable[[Exchange], None] | None = None,
    ) -> Response | Failure:
        """The answer to one GET of `url` (normalized), or why there is none. Raises nothing but `CancelledError`.

        No redirect is followed and no request is repeated. The body is read where the status is 2xx and
        `readable(content_type)` says so, up to `max_bytes` decoded bytes; elsewhere `read` is False. `look` is asked
        once, with the type and the first `LOOK_BYTES` of the body (all, of a shorter one), on what terms the rest is
        taken; None: the body is not wanted, as if its type had said so. `timeout_s` replaces the configured deadline of
        the whole request. `headers` go with this request alone. `on_sent` is called once, at the moment in which the
        request was sent, and not at all where none was. `sending_in_s` is asked before that, once there is a
        connection: the request is not sent before it says 0, and what it waits for that does not count in its time.
        Where `fresh`, the request goes out on no connection that was kept. The body of a `Response` holds its memory
        until `share` is given back, or, without one, until this returns. `method` may be HEAD, whose answer has no
        body. `as_stranger`: nothing goes along that the user meant for the crawl's own sites: no cookie, no header but
        those that tell nothing (`session.PUBLIC_FIELDS`) and those that were given for this very host. `record` is
        called, at the end, with what passed over the wire; its response is empty where nothing came.
        """


class OriginAccess(Protocol):
    """What the start of a run asks: what the origins that the user named may see and reach."""

    def open_origin(self, origin: str) -> None:
        """Let requests to `origin` reach the private address that it names, being a seed's."""

    def trust_origin(self, origin: str) -> None:
        """Send the user's `Authorization` and `Cookie` headers to `origin`, being a seed's, and to no other."""

    def authorize(self, origin: str, user: str, password: str) -> None:
        """Send these credentials with every request to `origin`, and to no other (RFC 7617)."""


class RunFetcher(Fetcher, OriginAccess, Protocol):
    """All that a run asks of its fetcher."""

    def divide_rate(self, processes: int) -> None:
        """So many share what `--max-rate` allows; this one has its part of it."""
