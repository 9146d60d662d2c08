"""What a worker has heard of the others, until the crawl takes it up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crawler.records import EndReason, HostRecord, SeedMark
from crawler.storage.interface import News
from crawler.storage.postgres.notices import Word


class Heard:
    """Gathered by one task, taken by another. What was taken is in hand until the next call of `take`."""

    def __init__(self) -> None:
        self._hosts: dict[int, HostRecord] = {}
        self._roots: list[tuple[str, SeedMark]] = []
        self._gained = False
        self._end: EndReason | None = None
        self._workers = self._workers_told = 1
        self._in_hand = False

    @property
    def may_be_work(self) -> bool:
        """Whether something was heard that the crawl has not taken up, or may still be at."""
        return self._in_hand or self._is_unread

    def hosts(self, hosts: Iterable[HostRecord]) -> None:
        """Others found URLs of these."""
        self._hosts.update({host.host_id: host for host in hosts})

    def gained(self) -> None:
        """Partitions were added to its own."""
        self._gained = True

    def told(self, word: Word, data: Any) -> None:
        """A notice."""
        match word:
            case Word.ROOT:
                self._roots.append((data[0], SeedMark(data[1])))

    def end(self, reason: str | None) -> None:
        """Why the run is to end."""
        self._end = None if reason is None else EndReason(reason)

    def workers(self, number: int) -> None:
        """So many live."""
        self._workers = number

    def take(self) -> News | None:
        """All of it; None: there is nothing."""
        self._in_hand = self._is_unread
        if not (self._in_hand or self._end or self._workers != self._workers_told):
            return None
        news = News(
            hosts=tuple(self._hosts.values()),
            gained=self._gained,
            roots=tuple(self._roots),
            end=self._end,
            workers=self._workers,
        )
        self._hosts, self._roots = {}, []
        self._gained, self._workers_told = False, self._workers
        return news

    @property
    def _is_unread(self) -> bool:
        return bool(self._hosts or self._roots or self._gained)
