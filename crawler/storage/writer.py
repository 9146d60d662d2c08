"""The one writer: collects finished results and commits many of them in one transaction.

Invariant: what `put` took is committed, in order, before `run` returns; `run` is never cancelled. When a commit fails,
`run` raises and every later or waiting `put` raises the same error, so that nobody waits for a writer that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain

from crawler.records import HostRecord, Page, Result
from crawler.storage.delivery import delivered
from crawler.storage.interface import Commits, WarcWriter
from crawler.storage.page_fields import text_size

MAX_BATCH = 256  # results
MAX_WAIT_S = 0.25  # what a kill can cost: the results of this long, and those that arrive while a commit runs
MAX_WAITING_BYTES = 32 * 1024 * 1024


class Writer:
    """Group commit with back-pressure: `put` waits while too much is waiting, which slows the fetching."""

    def __init__(
        self,
        store: Commits,
        wall_clock: Callable[[], float],
        on_commit: Callable[[Sequence[Result], Sequence[HostRecord]], None],
    ) -> None:
        self._store = store
        self._wall_clock = wall_clock
        self._on_commit = on_commit
        self._waiting: list[Result] = []
        self._batch: Sequence[Result] = ()  # that is being committed
        self._waiting_bytes = 0
        self._waiting_parts = 0  # of long sitemaps
        self._arrived = asyncio.Event()  # something is waiting, or nothing more will come
        self._full = asyncio.Event()  # a batch is complete, or someone waits for what there is
        self._room = asyncio.Event()
        self._closing = False
        self._error: BaseException | None = None
        self._reader: asyncio.Queue[Page | None] | None = None
        self._committed: Callable[[Sequence[Page]], Awaitable[None]] | None = None
        self._warc: WarcWriter | None = None

    def deliver_to(self, reader: asyncio.Queue[Page | None]) -> None:
        """Put each page on this queue once it is committed; when it is full, the crawl waits."""
        self._reader = reader

    def tell(self, committed: Callable[[Sequence[Page]], Awaitable[None]]) -> None:
        """Call this with the pages of each commit, and wait for it."""
        self._committed = committed

    def record_in(self, warc: WarcWriter) -> None:
        """Have what the visits said and heard written there before it is committed."""
        self._warc = warc

    async def put(self, result: Result) -> None:
        """Hand over a finished result. Once `run` has failed, raises its error, usually `DatabaseFailedError`."""
        while not self._has_room():
            self._room.clear()
            await self._room.wait()
        if self._error is not None:
            raise self._error
        self._waiting.append(result)
        self._waiting_bytes += _weight(result)
        self._waiting_parts += result.is_part
        self._arrived.set()
        if self._is_batch():
            self._full.set()

    def flush(self) -> None:
        """Commit what is waiting without delay, because someone has nothing to do until then."""
        if self._waiting:
            self._full.set()

    def uncommitted(self) -> Iterator[Result]:
        """What it took and has not committed yet."""
        return chain(self._batch, self._waiting)

    def close(self) -> None:
        """No more results will come: commit what is waiting, then let `run` return."""
        self._closing = True
        self._full.set()
        self._arrived.set()

    async def run(self) -> None:
        """Commit batches until closed. Raises `DatabaseFailedError` when one cannot be committed."""
        try:
            while await self._commit(await self._next_batch()):
                pass
        except BaseException as error:  # a mistake of ours must not leave others waiting, either
            self._error = error
            self._room.set()
            raise

    async def _commit(self, batch: Sequence[Result]) -> bool:
        """Whether there was one; nothing keeps it from here on."""
        if batch:
            self._batch = batch
            archived = None if self._warc is None else await self._warc.write(batch)
            hosts = await self._store.commit(batch, self._wall_clock(), archived)
            if self._warc is not None:
                await self._warc.committed()
            self._on_commit(batch, hosts)
            self._batch = ()
            await self._deliver(batch)
        return bool(batch)

    async def _deliver(self, batch: Sequence[Result]) -> None:
        if self._reader is None and self._committed is None:
            return
        run_id, page_ids = self._store.stored_pages()
        stored = [result for result in batch if result.page is not None]
        pairs = zip(stored, page_ids, strict=True)
        pages = [delivered(result, page_id=page_id, run_id=run_id) for result, page_id in pairs]
        if self._committed is not None and pages:
            await self._committed(pages)
        if self._reader is not None:
            for page in pages:
                await self._reader.put(page)

    async def _next_batch(self) -> list[Result]:
        await self._arrived.wait()
        if not self._closing and not self._is_batch():
            await self._linger()
        batch = self._waiting[: self._batch_size()]
        del self._waiting[: len(batch)]
        self._waiting_bytes = sum(map(_weight, self._waiting))  # as a rule nothing is left
        self._waiting_parts = sum(result.is_part for result in self._waiting)
        self._room.set()
        if not self._closing:
            self._full.clear()
            if not self._waiting:
                self._arrived.clear()
        return batch

    async def _linger(self) -> None:
        """Let a batch fill up, for a moment."""
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await self._full.wait()
        except TimeoutError:
            pass

    def _batch_size(self) -> int:
        """A part of a long sitemap ends its batch: two would hold up the event loop for as long as two."""
        if not self._waiting_parts:
            return MAX_BATCH
        first = next(place for place, result in enumerate(self._waiting, start=1) if result.is_part)
        return min(first, MAX_BATCH)

    def _is_batch(self) -> bool:
        is_full = len(self._waiting) >= MAX_BATCH or self._waiting_bytes >= MAX_WAITING_BYTES // 2
        return is_full or self._waiting_parts > 0

    def _has_room(self) -> bool:
        few = len(self._waiting) < 2 * MAX_BATCH and self._waiting_bytes < MAX_WAITING_BYTES
        return few or self._error is not None


def _weight(result: Result) -> int:
    """About what a visit holds in memory, in bytes."""
    kept = len(result.body.zstd) if result.body is not None else 0
    text = text_size(result.page) if result.page is not None else 0
    raw = sum(exchange.size for exchange in result.exchanges) if result.exchanges else 0
    return raw + kept + text + 400 * (len(result.link_targets) + len(result.targets) + len(result.listed))
