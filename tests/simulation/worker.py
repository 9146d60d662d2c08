"""One worker in virtual time: which host it asks next, and when.

The rule of the workbench, restated for hosts of one origin each: the host whose time has come first is asked first; its
requests start a delay apart; of a host that has answered, and does not take too long, `SLOTS` may be under way.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from crawler.policy.pace import SLOW_AFTER_S
from crawler.storage.postgres.ownership import Ownership
from tests.simulation.web import Host

SLOTS = 2  # --per-host
_ROUNDING_S = 1e-6
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a worker is able to do, and what it may. `page_s` is what a page takes of it; `commit_s`: until a page that
    has come is stored.
    """

    delay_s: float = 1.0
    page_s: float = 0.002
    concurrency: int = 256
    commit_s: float = 0.25


@dataclass(slots=True)
class Progress:
    """Of all hosts, whoever owns them: by their places in the web."""

    web: Sequence[Host]
    left: list[int] = field(init=False)  # requests
    asked_at: list[float] = field(init=False)  # the last time
    stored: Counter[int] = field(default_factory=Counter)  # pages, by second
    moved: dict[int, float] = field(default_factory=dict)  # when a host that has changed hands was last asked before
    stalls: list[float] = field(default_factory=list)  # seconds between these two requests
    again: int = 0  # pages that were fetched once more
    too_early: int = 0  # requests within the delay
    end_s: float = 0.0

    def __post_init__(self) -> None:
        self.left = [host.requests for host in self.web]
        self.asked_at = [_NEVER] * len(self.web)

    @property
    def pages(self) -> int:
        """That are stored."""
        return self.stored.total()

    def reached_s(self, share: float) -> int:
        """By when so much of all was stored."""
        wanted, so_far = share * self.pages, 0
        for second in sorted(self.stored):
            so_far += self.stored[second]
            if so_far >= wanted:
                return second + 1
        return 0

    def move(self, host: int) -> None:
        """It has another owner."""
        if self.asked_at[host] > _NEVER:
            self.moved.setdefault(host, self.asked_at[host])

    def has_stalled(self, host: int, until: float) -> None:
        """It is asked again."""
        self.stalls.append(until - self.moved.pop(host))


class Worker:
    """One process: `ownership` is the real one."""

    def __init__(self, ownership: Ownership, progress: Progress, pace: Pace) -> None:
        self.ownership = ownership
        self._progress = progress
        self._pace = pace
        self._ready: list[tuple[float, int]] = []
        self._ends: list[float] = []  # of what is under way, and of some that is over
        self._sent: deque[tuple[float, int]] = deque()  # what may not be stored yet
        self._free_at = 0.0

    def add(self, hosts: Collection[int], ready_at: float) -> None:
        """Own these as well; nothing is asked for before, nor within a delay of what was asked last."""
        asked_at, left = self._progress.asked_at, self._progress.left
        for host in hosts:
            if left[host]:
                heapq.heappush(self._ready, (max(ready_at, asked_at[host] + self._pace.delay_s), host))

    def drop(self, leaves: Callable[[int], bool]) -> None:
        """Ask nothing more of these."""
        self._ready = [entry for entry in self._ready if not leaves(entry[1])]
        heapq.heapify(self._ready)

    def is_busy_with(self, hosts: Collection[int], now: float) -> bool:
        """Whether something of these is under way, or not stored yet."""
        return any(self._stored_at(*sent) > now for sent in self._sent if sent[1] in hosts)

    def stored_all_at(self) -> float:
        """When nothing is under way any more, if nothing more is sent, and all is stored."""
        return max((self._stored_at(*sent) for sent in self._sent), default=0.0)

    def die(self, now: float) -> None:
        """What was under way, or not stored, is to be fetched again."""
        progress = self._progress
        for sent_at, host in self._sent:
            if self._stored_at(sent_at, host) > now:
                progress.left[host] += 1
                if progress.web[host].pages:
                    progress.stored[int(sent_at)] -= 1
                    progress.again += 1

    def work(self, until: float) -> None:
        """Ask what may be asked before then."""
        ready, ends, sent, progress, pace = self._ready, self._ends, self._sent, self._progress, self._pace
        web, left, asked_at, stored, moved = (
            progress.web,
            progress.left,
            progress.asked_at,
            progress.stored,
            progress.moved,
        )
        delay_s, page_s, free_at = pace.delay_s, pace.page_s, self._free_at
        while ready:
            now = max(ready[0][0], free_at, ends[0] if len(ends) >= pace.concurrency else 0.0)
            if now >= until:
                break
            _ready_at, host = heapq.heappop(ready)
            latency_s, before = web[host].latency_s, asked_at[host]
            if now < before + delay_s - _ROUNDING_S:
                progress.too_early += 1
            if moved and host in moved:
                progress.has_stalled(host, now)
            asked_at[host] = now
            sent.append((now, host))
            (heapq.heapreplace if len(ends) >= pace.concurrency else heapq.heappush)(ends, now + latency_s)
            if web[host].pages:
                stored[int(now)] += 1
            left[host] -= 1
            if left[host]:
                one_at_once = before == _NEVER or latency_s > SLOW_AFTER_S
                heapq.heappush(ready, (max(now + delay_s, (now if one_at_once else before) + latency_s), host))
            progress.end_s = max(progress.end_s, now + latency_s)
            free_at = now + page_s
            while sent and sent[0][0] < now - _KEPT_S:
                sent.popleft()
        self._free_at = free_at

    def _stored_at(self, sent_at: float, host: int) -> float:
        return sent_at + self._progress.web[host].latency_s + self._pace.commit_s


_KEPT_S = 30.0  # longer than any request, with its commit, takes
