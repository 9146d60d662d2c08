"""What is asked of one request, and what is learnt about it while it is under way.

The fetcher makes an `Attempt`, the guard asks it for whom a socket is wanted, the session's response class tells it
when the request was really sent. A `ContextVar` carries it, because neither aiohttp's socket factory nor its response
class is told which call it works for; the object is mutable because a connect runs in child tasks with copied contexts.

Invariant: exactly one `Attempt` a fetch, and it is sent at most once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

from crawler.counters import Counters
from crawler.exchange import Exchange
from crawler.fetching import Look
from crawler.network.deadlines import Deadline, Hearing
from crawler.network.lag import LoopLag
from crawler.statically_frozen import dataclass

current_attempt: ContextVar[Attempt | None] = ContextVar("current_attempt", default=None)


class OpenConnection(Hearing, Protocol):
    """The connection that a request was sent on."""

    peer: str | None  # the address at its other end
    on_first_bytes: Callable[[], None] | None  # called once, when bytes come

    def force_close(self) -> None:
        """Close it once the answer is there."""


class KeptConnections:
    """Bounds the connections that outlive their request.

    aiohttp's `limit` counts connections in use only: with many hosts the idle ones would eat every descriptor. A new
    connection beyond the bound is marked, when its request is sent, to be closed by its answer: after the answer is too
    late, aiohttp has returned it to the pool by then. Those that are kept already stay: when more hosts take turns
    than there is room for, keeping some beats replacing all of them in turn.
    """

    __slots__ = ("_limit", "_marked", "_open_connections")

    def __init__(self, open_connections: Callable[[], int], limit: int) -> None:
        self._open_connections = open_connections
        self._limit = limit
        self._marked = 0

    def mark_if_full(self) -> bool:
        """Whether a new connection has to be closed after its first answer; if so, `unmark` follows then."""
        if self._open_connections() - self._marked <= self._limit:
            return False
        self._marked += 1
        return True

    def unmark(self) -> None:
        """The marked connection's request is over."""
        self._marked -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all attempts of a fetcher have in common. `proxy` is the name of the proxy that they go through."""

    counters: Counters
    kept: KeptConnections
    lag: LoopLag
    proxy: str | None = None
    wall_clock: Callable[[], float] = time.time


@dataclass(slots=True)
class Attempt:
    """One request, from the call of `fetch` to its result. Times are Unix seconds, durations seconds."""

    url: str
    origin: str
    common: Common
    deadline: Deadline
    max_bytes: int
    readable: Callable[[str | None], bool]
    look: Look | None = None
    on_sent: Callable[[], None] | None = None
    sending_in_s: Callable[[], float] | None = None  # asked once there is a connection
    fresh: bool = False  # no connection that was kept will do
    exchange: Exchange | None = None  # where what passes over the wire is written down
    sockets: int = 0  # made for this request: none means that a connection was reused
    refused: str | None = None  # why the guard refused the address tried last
    address: str | None = None  # tried last; once sent, the peer's; through a proxy, the target's as DNS has it
    sent: bool = False
    answered: bool = False  # the head of an answer is there
    marked: bool = False
    throttled_s: float = 0.0  # waited for our own rate limit
    started_at: float = 0.0
    first_byte_s: float | None = None  # from the sent request to the first byte, without what our loop was late
    _lost_s: float = 0.0  # by our loop, when the request was sent
    _started: float = 0.0

    def __post_init__(self) -> None:
        self.started_at = self.common.wall_clock()
        self._started = time.perf_counter()

    @property
    def reused(self) -> bool:
        """Whether the request went out on a connection that was open already."""
        return self.sent and not self.sockets

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request was sent; since the fetch began where it has not been. What our own rate limit
        took is no slowness of the host's.
        """
        return time.perf_counter() - self._started - self.throttled_s

    def wait_s(self) -> float:
        """Seconds until the request may be sent: others may have used the host's turn while this one was connecting."""
        return 0.0 if self.sending_in_s is None else self.sending_in_s()

    async def throttle(self, wait_s: float) -> None:
        """Wait for a limit of our own, if there is something to wait for; the deadline waits, too."""
        if wait_s <= 0:
            return
        self.throttled_s += wait_s
        with self.deadline.suspended(put_off_s=wait_s):
            await asyncio.sleep(wait_s)

    def patience(self, limit_s: float) -> asyncio.Timeout:
        """A deadline `limit_s` from now, but not after the attempt's, which it replaces: the answer is known."""
        return asyncio.timeout_at(min(self.deadline.give_up(), asyncio.get_running_loop().time() + limit_s))

    def record_sent(self, connection: OpenConnection) -> None:
        """The bytes of the request have been handed to the kernel on `connection`."""
        self.sent = True
        common = self.common
        self.started_at = common.wall_clock()
        self._started = time.perf_counter()
        self._lost_s = common.lag.lost_s()
        connection.on_first_bytes = self._record_first_bytes
        common.counters.requests += 1
        if self.sockets:
            common.counters.connections_opened += 1
        else:
            common.counters.connections_reused += 1
        self.deadline.listen(connection)
        if connection.peer and common.proxy is None:
            self.address = connection.peer
        if self.sockets and common.kept.mark_if_full():
            self.marked = True
            connection.force_close()
        if self.on_sent is not None:
            self.on_sent()

    def _record_first_bytes(self) -> None:
        waited_s = time.perf_counter() - self._started + self._lost_s - self.common.lag.lost_s()
        self.first_byte_s = waited_s if waited_s > 0 else 0.0

    def finish(self) -> None:
        """The request is over, in whatever way."""
        if self.marked:
            self.common.kept.unmark()
