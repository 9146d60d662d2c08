"""Reads a running crawl: rates, what is pending, the busiest hosts.

Invariant: only reads what the engine holds in memory, on the event loop's thread; never touches disk or network. It
knows the frontier only as a Protocol, since neither of the packages frontier and output imports the other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sized
from typing import Protocol

from crawler.clock import Clock
from crawler.counters import Counters
from crawler.statically_frozen import dataclass

SHOWN_HOSTS = 8
_RECENT_S = 10.0
_REPICK_S = 2.0  # the busiest hosts are picked again at most this often: rows that keep moving cannot be read


class OriginView(Protocol):
    """What the screen asks of a host's origin; see `frontier.origins.OriginState`."""

    @property
    def name(self) -> str:
        """Scheme, host and port."""

    @property
    def paused_until(self) -> float:
        """No request may start before this time (monotonic seconds)."""


class Claims(Sized, Protocol):
    """A host's URLs that wait in memory for a worker, by origin; see `frontier.origins.Turns`."""

    @property
    def available(self) -> int:
        """The number of these URLs whose origin is not paused."""

    def origins(self) -> Iterable[OriginView]:
        """All known origins of the host."""


class HostView(Protocol):
    """What the screen asks of a host; see `frontier.hosts.HostState`, which explains each."""

    @property
    def name(self) -> str:
        """Lower-case host name."""

    @property
    def ready_at(self) -> float:
        """Monotonic seconds."""

    @property
    def claims(self) -> Claims:
        """URLs in memory that may be lent."""

    @property
    def lent(self) -> int:
        """URLs that workers have."""

    @property
    def waiting(self) -> int:
        """URLs that wait for robots.txt."""

    @property
    def more(self) -> bool:
        """The database may hold more."""

    @property
    def slow(self) -> bool:
        """It takes long to answer."""

    @property
    def backing_off(self) -> bool:
        """It asked to be left alone, or fails."""

    @property
    def slowed_s(self) -> float | None:
        """Seconds between two requests to which it was slowed; None: it was not."""

    @property
    def reached_limit(self) -> str | None:
        """The limit for which it gets no more requests in this run ("page", "request"); None: it may."""

    @property
    def requests(self) -> int:
        """Requests sent since it is in memory."""


class HostSource(Protocol):
    """Where the hosts come from: the frontier."""

    def hosts(self) -> Iterable[HostView]:
        """The hosts in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A crawl at one moment. `now` is monotonic seconds; `recent_per_s` covers the last ten seconds or so.

    `pending` counts the URLs in memory; with `pending_more`, the database holds others.
    """

    now: float
    elapsed_s: float
    pages: int
    recent_per_s: float
    overall_per_s: float
    pending: int
    pending_more: bool
    host_count: int
    busiest: tuple[HostView, ...]


class Meter:
    """Reads one crawl, from its start to its end."""

    def __init__(self, source: HostSource, counters: Counters, clock: Clock) -> None:
        self.counters = counters
        self._source = source
        self._clock = clock
        self._started = clock.monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._started, counters.pages)])
        self._busiest: list[HostView] = []
        self._pick_at = self._started

    def read(self) -> Reading:
        """The crawl now."""
        now = self._clock.monotonic()
        hosts = list(self._source.hosts())
        elapsed_s = now - self._started
        return Reading(
            now=now,
            elapsed_s=elapsed_s,
            pages=self.counters.pages,
            recent_per_s=self._recent_per_s(now),
            overall_per_s=self.counters.pages / elapsed_s if elapsed_s > 0 else 0.0,
            pending=sum(queued(host) for host in hosts),
            pending_more=any(host.more for host in hosts),
            host_count=len(hosts),
            busiest=self._pick(hosts, now),
        )

    def _recent_per_s(self, now: float) -> float:
        """Since the newest sample that is at least ten seconds old, or else the oldest one."""
        self._samples.append((now, self.counters.pages))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _RECENT_S:
            self._samples.popleft()
        then, pages = self._samples[0]
        return (self.counters.pages - pages) / (now - then) if now > then else 0.0

    def _pick(self, hosts: list[HostView], now: float) -> tuple[HostView, ...]:
        if now >= self._pick_at or len(self._busiest) < min(SHOWN_HOSTS, len(hosts)):
            self._pick_at = now + _REPICK_S
            self._busiest = heapq.nsmallest(SHOWN_HOSTS, hosts, key=lambda host: (-host.requests, host.name))
        return tuple(self._busiest)


def queued(host: HostView) -> int:
    """The host's URLs in memory, including those that workers have."""
    return len(host.claims) + host.waiting + host.lent
