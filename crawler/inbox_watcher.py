"""Takes up what `crawler add` leaves for a crawl while it runs, and what those who crawl along have to tell.

Invariant: a note is removed only after its URLs are committed, and is never taken up by two tasks at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crawler.counters import Counters
from crawler.fetching import RunFetcher
from crawler.frontier.frontier import Frontier
from crawler.output.figures import counted
from crawler.records import EndReason, SeedMark
from crawler.seeds import Seed
from crawler.start import grant_access, tell_readmitted
from crawler.storage.interface import Inbox, News, Share

_POLL_S = 1.0


class InboxWatcher:
    """Adds the seeds in `inbox` to the frontier, and gives their origins access. `close` ends `watch`."""

    def __init__(
        self,
        inbox: Inbox,
        share: Share,
        frontier: Frontier,
        fetcher: RunFetcher,
        counters: Counters,
        notify: Callable[[str], None],
        stop: Callable[[EndReason], None],
    ) -> None:
        """`stop` is called where somebody else has found that the run is to end."""
        self._inbox = inbox
        self._share = share
        self._frontier = frontier
        self._fetcher = fetcher
        self._counters = counters
        self._notify = notify
        self._stop = stop
        self._turn = asyncio.Lock()
        self._closed = asyncio.Event()
        self._is_paused = False

    @property
    def is_busy(self) -> bool:
        """Whether it is about to bring something that may have to be fetched."""
        return self._turn.locked()

    async def watch(self) -> None:
        """Look into the inbox every second. Not to be cancelled: that would leave a write's transaction open."""
        while not self._closed.is_set():
            try:
                async with asyncio.timeout(_POLL_S):
                    await self._closed.wait()
            except TimeoutError:
                await self.hear()
                await self.take_notes()

    async def hear(self) -> None:
        """Take up what the others have told. Raises `LeaseLostError` once they own what was this process's."""
        self._counters.share = self._share.state()
        async with self._turn:
            if (news := await self._share.news()) is not None:
                await self._take_up(news)

    async def _take_up(self, news: News) -> None:
        for url, mark in news.roots:
            if mark in (SeedMark.YES, SeedMark.BARE):
                grant_access(Seed(url=url, bare=mark is SeedMark.BARE), self._fetcher)
        self._fetcher.divide_rate(news.workers)
        tell_readmitted(await self._frontier.hear(news), self._notify)
        if news.end is not None:
            self._stop(news.end)

    async def take_notes(self) -> bool:
        """Add the seeds that were left beside the database; whether there were any."""
        found = False
        if self._is_paused:
            return found
        async with self._turn:
            async for note in self._inbox.notes():
                for seed in note.seeds:
                    grant_access(seed, self._fetcher)
                readmitted = await self._frontier.join(note.seeds)
                await self._inbox.remove(note)
                self._notify(f"{counted(len(note.seeds), 'URL')} added from {note.name}")
                tell_readmitted(readmitted, self._notify)
                found = True
        return found

    def pause(self) -> None:
        """Leave what comes from now on to the next run: this one fetches no more pages."""
        self._is_paused = True

    def close(self) -> None:
        """Take nothing up any more: the run is stopping."""
        self._closed.set()
