"""Takes up what `crawler add` leaves for a crawl while it runs.

Invariant: a note is removed only after its URLs are committed, and is never taken up by two tasks at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crawler.fetching import OriginAccess
from crawler.frontier.frontier import Frontier
from crawler.output.figures import counted
from crawler.start import grant_access, tell_readmitted
from crawler.storage.interface import Inbox

_POLL_S = 1.0


class InboxWatcher:
    """Adds the seeds in `inbox` to the frontier, and gives their origins access. `close` ends `watch`."""

    def __init__(self, inbox: Inbox, frontier: Frontier, access: OriginAccess, notify: Callable[[str], None]) -> None:
        self._inbox = inbox
        self._frontier = frontier
        self._access = access
        self._notify = notify
        self._taking_notes = asyncio.Lock()
        self._closed = asyncio.Event()
        self._is_paused = False

    async def watch(self) -> None:
        """Look into the inbox every second. Not to be cancelled: that would leave a write's transaction open."""
        while not self._closed.is_set():
            try:
                async with asyncio.timeout(_POLL_S):
                    await self._closed.wait()
            except TimeoutError:
                await self.take_notes()

    async def take_notes(self) -> bool:
        """Add the seeds that were left beside the database; whether there were any."""
        found = False
        if self._is_paused:
            return found
        async with self._taking_notes:
            async for note in self._inbox.notes():
                for seed in note.seeds:
                    grant_access(seed, self._access)
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
