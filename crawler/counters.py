"""Running totals of this process, written by the engine's parts and read by the output package.

A plain mutable object on purpose: one event loop writes it, nobody needs a lock, and reading it costs nothing.
Invariant: nothing is decided by what stands here; whoever decides keeps figures of their own.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import field

from crawler.statically_frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareState:
    """What this process has of a crawl that several share: the partitions that it owns, how long ago it renewed them
    (seconds), and how many processes crawl.
    """

    partitions: int
    renewed_s: float
    workers: int


@dataclass(slots=True)
class Counters:
    """Totals since the process started; `connections_open` and `in_flight` are gauges."""

    requests: int = 0  # request headers sent, robots.txt and sitemaps included
    pages: int = 0  # documents committed
    bytes: int = 0  # decoded body bytes read
    in_flight: int = 0
    connections_opened: int = 0
    connections_reused: int = 0
    connections_open: int = 0
    connections_peak: int = 0
    dns_lookups: int = 0
    dns_cache_hits: int = 0
    retries: int = 0
    cut_sitemaps: int = 0  # sitemaps and feeds of which not all was read
    by_status: Counter[int] = field(default_factory=Counter)
    by_failure: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)  # URLs that were only checked, by `CheckVerdict`
    changes: Counter[str] = field(default_factory=Counter)  # what commits have changed, by `Change`
    extracts: dict[str, Counter[str]] = field(default_factory=dict)  # by rule; see `count_extracts`
    share: ShareState | None = None  # as it was a second ago; None: all of the crawl is this process's
    latest_errors: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=5))  # (url, what happened)

    @property
    def connections_per_request(self) -> float:
        """Connections opened for each request sent: near zero is what the shared session is for."""
        return self.connections_opened / self.requests if self.requests else 0.0
