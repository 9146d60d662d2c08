"""The composition root: opens everything, starts the workers, stops cleanly.

Invariants: one session for the run, closed after the workers have drained, in every way out; the writer lives outside
the workers' task group, is never cancelled, and its last commit is awaited before anything is closed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.content.reader import is_unread_pdf
from crawler.counters import Counters
from crawler.errors import CrawlerError, LeaseLostError, NoRunError
from crawler.fetching import RunFetcher
from crawler.frontier.frontier import Frontier
from crawler.frontier.supply import most_pages_of_any
from crawler.hooking import HookCalls
from crawler.inbox_watcher import InboxWatcher
from crawler.location import file_at
from crawler.network.cookies import CookieFile
from crawler.network.fetcher import open_fetcher
from crawler.network.session import fit_concurrency, open_file_limit
from crawler.output.ending import not_stored, nothing_due
from crawler.output.observer import Observer
from crawler.output.summary import Summary, figures, summarize
from crawler.own_code import OwnCode
from crawler.parsing.parser import Parser
from crawler.parsing.pool import open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.parsing.spawning import Spawned
from crawler.records import Claim, EndReason, Failure, FailureKind, UrlKind, Visit
from crawler.resumption import sendable, sendable_by
from crawler.seeds import Seed
from crawler.start import Start, other_sites
from crawler.statically_frozen import dataclass
from crawler.storage.interface import STOP_SIGNAL, Inbox, Store
from crawler.storage.location import database_at
from crawler.visit import Visitor

if TYPE_CHECKING:
    from crawler.warc.archive import WarcArchive

_NO_CODE = OwnCode()
_MAX_WAITING = 20  # hosts and origins that a summary names
_SIGNALS = {
    signal.SIGINT: EndReason.INTERRUPTED,
    signal.SIGTERM: EndReason.TERMINATED,
    signal.SIGHUP: EndReason.TERMINATED,
}

_NAMED_SEEDS = 20  # that failed, in the summary
_DECIDED = "decided"  # of the options that are stored, the one that changes while a run lasts
_ASKED = {*_SIGNALS.values(), EndReason.STOPPED}
_OF_ALL = {EndReason.COMPLETE, EndReason.MAX_PAGES, EndReason.MAX_REQUESTS, EndReason.MAX_RUNTIME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run works with, open; whoever opened it closes it. `counters` are those of the fetcher, too."""

    store: Store
    fetcher: RunFetcher
    parser: Parser
    counters: Counters
    warc: WarcArchive | None = None
    inbox: Inbox | None = None  # None: that of the database


class Run:
    """One run: `begin` it, then let it `crawl`."""

    def __init__(
        self,
        config: CrawlConfig,
        parts: Parts,
        observer: Observer,
        clock: Clock,
        code: OwnCode = _NO_CODE,
    ) -> None:
        self.counters = parts.counters
        calls = _calls(code, observer)
        tell = observer.visited if observer.follows_visits else None
        self.frontier = Frontier(config, parts.store, parts.counters, clock, observer.notify, tell, calls)
        if calls is not None and calls.awaits_commits:
            self.frontier.writer.tell(calls.committed)
        if parts.warc is not None:
            self.frontier.writer.record_in(parts.warc)
        self._config = config
        self._code = code
        self._store = parts.store
        self._observer = observer
        self._clock = clock
        self._start = Start(config, parts.store, self.frontier, parts.fetcher, observer.notify, clock)
        self._visitor = Visitor(
            config, parts.fetcher, parts.parser, self.frontier, clock, calls, frozenset(code.readers)
        )
        self._share = parts.store.share
        inbox = parts.inbox or database_at(config.db).inbox(partial(observer.notify, urgent=True))
        self._inbox = InboxWatcher(
            inbox,
            self._share,
            self.frontier,
            parts.fetcher,
            parts.counters,
            observer.notify,
            self._stop_with_others,
        )
        self._stop_reason: EndReason | None = None
        self.signalled: EndReason | None = None  # a signal came, if only after the run had found its end
        self._out_of_grace = asyncio.Event()
        self._started = clock.monotonic()
        self._pages_before = 0
        self._unstored_before = 0
        self._nothing_left_at: float | None = None  # to be fetched now, or soon enough to wait for
        self._proxy_blamed = False
        self._pdf_told = False

    async def begin(self, seeds: Sequence[Seed], *, db_named: bool = True) -> None:
        """Record the run, add the seeds and what waits in the inbox. Raises `UsageError`: see `Start.begin`.

        `db_named`: the user chose the database, and knows what is in it.
        """
        if not db_named and (told := other_sites(await self._store.roots(), seeds, self._config.db)):
            self._observer.notify(told, urgent=True)
        self._pages_before = await self._start.begin(seeds, self._code.record())
        self._unstored_before = await self._store.unstored_links()
        await self._inbox.take_notes()
        await self._share.opened()

    async def take_part(self, seeds: Sequence[Seed], run: dict[str, Any]) -> None:
        """Join the `run` (by its options) that another process has begun: see `Start.take_part`. Raises `NoRunError`
        where it is over, or another has begun since.
        """
        joined = await self._store.join_run()
        if joined is None or joined | {_DECIDED: None} != run | {_DECIDED: None}:
            raise NoRunError(f"the run in {self._config.db} that was to be joined is over")
        await self._start.take_part(seeds, run, self._code.record())
        self._unstored_before = await self._store.unstored_links()

    async def crawl(self) -> Summary:
        """Work until nothing is left, a limit is reached, or somebody stops it; then drain, commit and report."""
        loop = asyncio.get_running_loop()
        self._share.count(self._figures)
        if self._config.run.max_runtime_s is not None:
            loop.call_later(self._config.run.max_runtime_s, self.stop, EndReason.MAX_RUNTIME)
        writer = loop.create_task(self.frontier.writer.run())
        writer.add_done_callback(self._end_with)
        inbox = loop.create_task(self._inbox.watch())
        inbox.add_done_callback(self._end_with)
        end_reason = EndReason.FAILED
        try:
            end_reason = await self._work()
        except asyncio.CancelledError:
            end_reason = EndReason.STOPPED
            raise
        finally:
            self._inbox.close()
            self.frontier.writer.close()
            await self._last_commit(writer, inbox)
            summary = await self._end(self._stop_reason or end_reason)
        if summary.unstored_links > self._unstored_before:
            self._observer.notify(not_stored(summary.unstored_links))
        if summary.complete and not self.frontier.any_tried and not summary.pending:
            told = nothing_due(*await self._store.freshness(), now=self._clock.wall())
            self._observer.notify(told, urgent=True)  # a person has to change the command, or be content
        return summary

    async def _end(self, reason: EndReason) -> Summary:
        await self.frontier.give_back_pages()
        if reason in _OF_ALL:
            await self._share.tell_end(reason)
        summary = await self._summarize(reason)
        await self.frontier.keep_pauses()
        recorded = await self._store.end_run(EndReason(summary.end_reason), summary.as_dict(), self._clock.wall())
        return replace(summary, goes_on=True) if recorded is None else summary.recorded_as(recorded)

    def _figures(self) -> dict[str, Any]:
        """What this process has counted so far, for those who crawl along and for `crawler status`."""
        elapsed_s = round(self._clock.monotonic() - self._started, 3)
        return {**figures(self.counters, elapsed_s), "elapsed_s": elapsed_s, "under_way": self.frontier.under_way}

    def _end_with(self, task: asyncio.Task[None]) -> None:
        """One that the run cannot do without is over. Where its share is lost, nothing that is under way counts."""
        self.frontier.stop()
        if not task.cancelled() and isinstance(task.exception(), LeaseLostError):
            self._out_of_grace.set()

    async def _last_commit(self, writer: asyncio.Task[None], inbox: asyncio.Task[None]) -> None:
        """Wait for it even while being cancelled; where a closing loop has cancelled the writer too, take its place."""
        cancelled: asyncio.CancelledError | None = None
        while not (writer.done() and inbox.done()):
            try:
                await asyncio.wait({writer, inbox})
            except asyncio.CancelledError as error:
                cancelled = error
        if writer.cancelled():
            await self.frontier.writer.run()
        else:
            writer.result()
        if cancelled is not None:
            raise cancelled
        inbox.result()

    def stop(self, reason: EndReason, *, at_once: bool = False) -> None:
        """No new claims, a few seconds for those under way; a second call, or `at_once`, ends those, too."""
        if reason in _SIGNALS.values():
            self.signalled = self.signalled or reason
        if at_once or self._stop_reason is not None:
            self._out_of_grace.set()
        if self._stop_reason is None:
            self._stop_reason = reason
            if not at_once and reason in _ASKED:
                self._observer.notify("stopping: finishing requests in flight; the same signal again stops at once")
            self._inbox.close()
            self.frontier.stop()

    def _stop_with_others(self, reason: EndReason) -> None:
        """Somebody else has found that the run is to end."""
        if self._stop_reason is None:
            self.stop(reason)

    @property
    def ends_at_once(self) -> bool:
        """Whether it waits for nothing that is under way any more."""
        return self._out_of_grace.is_set()

    async def _work(self) -> EndReason:
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._worker()) for _ in range(self._config.politeness.concurrency)]
                if self._config.check.check:
                    await self.frontier.check_what_is_known()
                while (end_reason := await self.frontier.feed()) is EndReason.COMPLETE:
                    self._nothing_left_at = self._clock.wall()
                    found = await asyncio.shield(self._inbox.take_notes())  # a write must not be cancelled
                    if not found and await self._share.is_over(self._has_nothing_left):
                        break
                    self.frontier.look_again()
                if self._config.check.check and end_reason is not EndReason.STOPPED:
                    end_reason = await self._check(end_reason)
                await self._drain()
                for worker in workers:
                    worker.cancel()
        except BaseExceptionGroup as errors:
            expected, _others = errors.split(CrawlerError)
            raise (expected.exceptions[0] if expected is not None else errors) from None
        return end_reason

    async def _has_nothing_left(self) -> bool:
        return not self._inbox.is_busy and await self.frontier.has_nothing_left()

    async def _check(self, end_reason: EndReason) -> EndReason:
        """Ask for what the pages lead to and load. Seeds that are left for the crawl meanwhile are for the next run."""
        self._inbox.pause()
        checked = await self.frontier.check()
        return end_reason if checked is EndReason.COMPLETE else checked

    async def _worker(self) -> None:
        while True:
            await self._make_visit(await self.frontier.claim())

    async def _make_visit(self, claim: Claim) -> None:
        """A call of its own, so that a worker without a claim has no variable that holds its last page: megabytes."""
        visit = await self._visitor.visit(claim)
        if visit is not None:
            if isinstance(visit.attempt, Failure) and visit.attempt.kind is FailureKind.PROXY:
                self._blame_proxy(visit.attempt.message)
            elif not self._pdf_told and _is_unread_pdf(visit):
                self._tell_of_pdf(visit.claim.url)
            await self.frontier.finish(visit)

    def _blame_proxy(self, message: str) -> None:
        """Say it once: it concerns every URL, and none of them is to blame."""
        if not self._proxy_blamed:
            self._proxy_blamed = True
            self._observer.notify(f"{message}; unfetched URLs stay pending")

    def _tell_of_pdf(self, url: str) -> None:
        """Say once how they can be read: few crawls want to."""
        self._pdf_told = True
        self._observer.notify(f"{url} is a PDF, which is not read; to read PDFs: pip install pypdfium2")

    async def _drain(self) -> None:
        """Give what is under way a few seconds, but not past a second signal."""
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(event.wait()) for event in (self.frontier.all_idle, self._out_of_grace)]
        await asyncio.wait(waits, timeout=self._config.run.grace_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _summarize(self, end_reason: EndReason) -> Summary:
        counts = await self._store.counts()
        now = self._clock.wall()
        ended_by_itself = end_reason is EndReason.COMPLETE
        stale_until = None if self._config.recrawl.max_age_s is None else now + self._config.run.max_wait_s
        seeds_failed = ended_by_itself and not await self._store.any_seed_fetched(ever=not self.frontier.any_tried)
        failed, seeds = await self._store.failed_seeds(_NAMED_SEEDS) if seeds_failed else (0, [])
        retried_after = self._nothing_left_at if ended_by_itself else None
        waiting = await self._store.closures(
            now,
            _MAX_WAITING,
            stale_until=stale_until,
            retried_after=retried_after,
            max_pages_per_host=most_pages_of_any(self._config),
        )
        if ended_by_itself and waiting:
            end_reason = EndReason.WAITING
        return summarize(
            self.counters,
            lost_extracts=await self._store.lost_extracts() if self.counters.extracts else {},
            run_id=self._store.run_id,
            complete=end_reason is EndReason.COMPLETE,
            end_reason=end_reason,
            seeds_failed=seeds_failed,
            failed_seeds=tuple({"url": seed.url, "reason": seed.why} for seed in seeds),
            failed_seeds_total=failed,
            elapsed_s=round(self._clock.monotonic() - self._started, 3),
            run_pages=self._pages_before + self.counters.pages,
            excluded=await self._store.exclusions(),
            unstored_links=await self._store.unstored_links(),
            checks=await self._store.check_tally() if self._config.check.check else {},
            urls=counts,
            failing=await self._store.failing_urls(),
            pending=counts["pending"],
            insecure=self._config.network.insecure,
            waiting=tuple(waiting),
        )


def _calls(code: OwnCode, observer: Observer) -> HookCalls | None:
    return None if code.hooks is None else HookCalls(code.hooks, observer.notify)


def _is_unread_pdf(visit: Visit) -> bool:
    attempt = visit.attempt
    if isinstance(attempt, Failure) or attempt.read or attempt.content_type is None:
        return False
    return visit.claim.kind is UrlKind.PAGE and is_unread_pdf(attempt.content_type)


@asynccontextmanager
async def open_run(
    config: CrawlConfig,
    cookies: CookieFile | None,
    observer: Observer,
    clock: Clock,
    code: OwnCode = _NO_CODE,
    joins_as: str | None = None,
    spawned: Spawned | None = None,
) -> AsyncIterator[Run]:
    """A `Run` with all that it needs, opened inside the running event loop and closed in every way out. `joins_as`: it
    takes part in the run of another process, and is called that; None: it has the database for itself. `spawned`: see
    `open_parser`.

    Raises `CrawlerError` where something cannot be opened.
    """
    counters, database = Counters(), database_at(config.db)
    fitting = fit_concurrency(config.politeness.concurrency, open_file_limit())
    if fitting.workers < config.politeness.concurrency:
        observer.notify(f"--concurrency lowered to {fitting.workers} to fit `ulimit -n`")
        config = replace(config, politeness=replace(config.politeness, concurrency=fitting.workers))
    async with (
        # First: it takes longest. Where pages are fetched again, most answers are expected to be 304.
        open_parser(
            ReaderSettings(
                product_token=config.network.product_token,
                rules=config.all_rules,
                readers=code.readers,
                folders=tuple(code.folders),
            ),
            config.run.parse_timeout_s,
            eager=config.recrawl.max_age_s is None,
            spawned=spawned,
        ) as parser,
        database.open_store() if joins_as is None else database.open_share(joins_as) as store,
        _open_warc(config, store, observer.notify) as warc,
    ):
        clock = store.share.clock(clock)
        async with open_fetcher(
            sendable(config.network),
            config.politeness,
            counters,
            concurrency=fitting,
            cookies=cookies,
            hosts=sendable_by(config.hosts),
            on_lookup=None if warc is None else warc.note_lookup,
            wall_clock=clock.wall,
        ) as fetcher:
            inbox = database.inbox(partial(observer.notify, urgent=True))
            parts = Parts(store=store, fetcher=fetcher, parser=parser, counters=counters, warc=warc, inbox=inbox)
            yield Run(config, parts, observer, clock, code)


def _open_warc(
    config: CrawlConfig, store: Store, notify: Callable[[str], None]
) -> AbstractAsyncContextManager[WarcArchive | None]:
    if config.run.warc is None:
        return nullcontext()
    from crawler.warc.archive import open_warc  # most runs have no use for it
    from crawler.warc.warcinfo import About

    about = About(user_agent=config.network.user_agent, robots="ignore" if config.politeness.ignore_robots else "obey")
    db = file_at(config.db, "--warc").absolute()
    return open_warc(Path(config.run.warc), config.run.warc_bytes, store, about, str(db), notify)


@contextmanager
def stop_handled(stop: Callable[[], None]) -> Iterator[None]:
    """`crawler stop` calls `stop`, however often it comes."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(STOP_SIGNAL, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(STOP_SIGNAL)


@contextmanager
def signals_handled(run: Run) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops the run cleanly, the second one at once."""
    loop = asyncio.get_running_loop()
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores one
    for number in handled:
        loop.add_signal_handler(number, run.stop, _SIGNALS[number])
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
