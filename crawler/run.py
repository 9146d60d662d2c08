"""The composition root: opens everything, starts the workers, stops cleanly.

Invariants: one session for the run, closed after the workers have drained, in every way out; the writer lives outside
the workers' task group, is never cancelled, and its last commit is awaited before anything is closed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.errors import CrawlerError, UsageError
from crawler.fetching import RunFetcher
from crawler.frontier.frontier import Frontier
from crawler.network.cookies import CookieFile
from crawler.network.fetcher import open_fetcher
from crawler.network.session import fit_concurrency, open_file_limit
from crawler.output.ending import nothing_due
from crawler.output.figures import counted
from crawler.output.observer import Observer
from crawler.output.summary import Summary, summarize
from crawler.parsing.parser import Parser
from crawler.parsing.pool import open_parser
from crawler.policy.recrawl import Rhythm, rhythm
from crawler.records import Failure, FailureKind, SeedMark
from crawler.resumption import check_secrets, scope_rules, sendable
from crawler.seeds import Seed
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from crawler.urls import origin_of
from crawler.visit import Visitor

_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated"}
_INBOX_POLL_S = 1.0


class Run:
    """One run's parts, open."""

    def __init__(
        self,
        config: CrawlConfig,
        store: Store,
        fetcher: RunFetcher,
        parser: Parser,
        counters: Counters,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self.counters = counters
        self.frontier = Frontier(config, store, counters, clock, observer.notify)
        self._config = config
        self._store = store
        self._fetcher = fetcher
        self._observer = observer
        self._clock = clock
        self._visitor = Visitor(config, fetcher, parser, self.frontier, clock)
        self._stop_reason: str | None = None
        self._out_of_grace = asyncio.Event()
        self._started = clock.monotonic()
        self._run_pages_before = 0
        self._proxy_blamed = False
        self._inbox = database_at(config.db).inbox(partial(observer.notify, urgent=True))
        self._taking_notes = asyncio.Lock()
        self._over = asyncio.Event()

    async def begin(self, seeds: Sequence[Seed]) -> None:
        """Record the run and add the seeds. Raises `UsageError` where there are none, or a header is missing."""
        options = self._config.storable()
        options["credentials"] = sorted({origin_of(seed.url) for seed in seeds if seed.credentials})
        proxy = self._config.network.proxy_server
        options["proxy_credentials"] = proxy is not None and proxy.credentials is not None
        earlier = await self._store.last_options()
        if earlier is None and not seeds:
            raise UsageError(f"nothing to crawl: {self._config.db} is new; name a seed, such as https://example.com/")
        if earlier is not None and (
            self._config.recrawl.max_age_s is not None or (await self._store.counts())["pending"]
        ):
            check_secrets(options, earlier, self._config.network)
        if self._config.politeness.ignore_robots:
            self._observer.notify("--ignore-robots: robots.txt is neither fetched nor kept to; only for your own sites")
        if self._config.network.insecure:
            self._observer.notify("--insecure: TLS certificates are not verified; what is stored may come from anybody")
        options["decided"] = earlier is None or (
            bool(earlier.get("decided", True)) and scope_rules(earlier) == scope_rules(options)
        )
        set_back_s = await self._store.follow_clock(self._clock.wall())
        if set_back_s:
            self._observer.notify(f"the clock is {set_back_s:.0f} s behind the last run: what is due follows it")
        run_id, self._run_pages_before = await self._store.begin_run(options, self._clock.wall())
        if self._run_pages_before:
            self._observer.notify(f"going on with run {run_id}, which was stopped after {self._run_pages_before} pages")
        widened = await self.frontier.open(seeds, self._run_pages_before, await self._rhythm())
        await self._open_doors(seeds)
        if widened or not options["decided"]:
            readmitted = await self.frontier.readmit()
            self._tell_readmitted(readmitted)
        await self._take_notes()

    async def _rhythm(self) -> Rhythm:
        """Only a budget makes the order matter, and only then is it worth its cost."""
        started_at, before = await self._store.run_times()
        has_budget = self._config.scope.max_pages is not None or self._config.run.max_runtime_s is not None
        return rhythm(
            self._config.recrawl, started_at=started_at, before=before, now=self._clock.wall(), by_value=has_budget
        )

    async def crawl(self) -> Summary:
        """Work until nothing is left, a limit is reached, or somebody stops it; then drain, commit and report."""
        loop = asyncio.get_running_loop()
        if self._config.run.max_runtime_s is not None:
            loop.call_later(self._config.run.max_runtime_s, self.stop, "max_runtime")
        writer = loop.create_task(self.frontier.writer.run())
        writer.add_done_callback(lambda _writer: self.frontier.stop())
        inbox = loop.create_task(self._watch_inbox())
        inbox.add_done_callback(lambda _inbox: self.frontier.stop())
        end_reason = "failed"
        try:
            end_reason = await self._work()
        except asyncio.CancelledError:
            end_reason = "stopped"
            raise
        finally:
            self._over.set()
            self.frontier.writer.close()
            await self._last_commit(writer, inbox)
            summary = await self._summarize(self._stop_reason or end_reason)
            await self.frontier.keep_pauses()
            await self._store.end_run(summary.end_reason, summary.as_dict(), self._clock.wall())
        if summary.complete and not self.frontier.any_tried and not summary.pending and not summary.backing_off:
            told = nothing_due(*await self._store.freshness(), now=self._clock.wall())
            self._observer.notify(told, urgent=True)  # a person has to change the command, or be content
        return summary

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

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """No new claims, a few seconds for those under way; a second call, or `at_once`, ends those, too."""
        if at_once or self._stop_reason is not None:
            self._out_of_grace.set()
        if self._stop_reason is None:
            self._stop_reason = reason
            if reason in _SIGNALS.values():
                self._observer.notify("stopping: finishing what is under way; the same again stops at once")
            self.frontier.stop()

    async def _work(self) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._worker()) for _ in range(self._config.politeness.concurrency)]
                while (end_reason := await self.frontier.feed()) == "complete":
                    if not await asyncio.shield(self._take_notes()):  # a write must not be cancelled
                        break
                await self._drain()
                for worker in workers:
                    worker.cancel()
        except BaseExceptionGroup as errors:
            expected, _others = errors.split(CrawlerError)
            raise (expected.exceptions[0] if expected is not None else errors) from None
        return end_reason

    async def _worker(self) -> None:
        while True:
            claim = await self.frontier.claim()
            visit = await self._visitor.visit(claim)
            if visit is not None:
                if isinstance(visit.attempt, Failure) and visit.attempt.kind is FailureKind.PROXY:
                    self._blame_proxy(visit.attempt.message)
                await self.frontier.finish(visit)

    def _blame_proxy(self, message: str) -> None:
        """Say it once: it concerns every URL, and none of them is to blame."""
        if not self._proxy_blamed:
            self._proxy_blamed = True
            self._observer.notify(f"{message}; what is not fetched stays pending")

    async def _drain(self) -> None:
        """Give what is under way a few seconds, but not past a second signal."""
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(event.wait()) for event in (self.frontier.all_idle, self._out_of_grace)]
        await asyncio.wait(waits, timeout=self._config.run.grace_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _watch_inbox(self) -> None:
        """Take up what `crawler add` leaves. Never cancelled: a write that is cancelled leaves its transaction open."""
        while not self._over.is_set():
            try:
                async with asyncio.timeout(_INBOX_POLL_S):
                    await self._over.wait()
            except TimeoutError:
                if self._stop_reason is None:
                    await self._take_notes()

    async def _take_notes(self) -> bool:
        """Add the seeds that were left beside the database; whether there were any."""
        found = False
        async with self._taking_notes:
            async for note in self._inbox.notes():
                for seed in note.seeds:
                    self._open_door(seed)
                readmitted = await self.frontier.join(note.seeds)
                await self._inbox.remove(note)
                self._observer.notify(f"{counted(len(note.seeds), 'URL')} added from {note.name}")
                self._tell_readmitted(readmitted)
                found = True
        return found

    def _tell_readmitted(self, number: int) -> None:
        if number:
            self._observer.notify(f"{number} URLs that were excluded may be fetched now")

    async def _open_doors(self, seeds: Sequence[Seed]) -> None:
        """The origins that the user named may see the user's credentials, and be on a private address."""
        named = [Seed(url=url, bare=mark is SeedMark.BARE) for url, mark in await self._store.named_seeds()]
        for seed in named:
            self._open_door(seed)
        for seed in seeds:
            if seed.credentials:
                self._fetcher.authorize(origin_of(seed.url), *seed.credentials)

    def _open_door(self, seed: Seed) -> None:
        self._fetcher.trust_origin(origin_of(seed.url))
        self._fetcher.open_origin(origin_of(seed.url))
        if seed.twin is not None:  # opened, but not trusted: what was meant for https is not sent by http
            self._fetcher.open_origin(origin_of(seed.twin))

    async def _summarize(self, end_reason: str) -> Summary:
        counts = await self._store.counts()
        now = self._clock.wall()
        stale_until = None if self._config.recrawl.max_age_s is None else now + self._config.run.max_wait_s
        return summarize(
            self.counters,
            run_id=self._store.run_id,
            complete=end_reason == "complete",
            end_reason=end_reason,
            seeds_failed=end_reason == "complete"
            and not await self._store.any_seed_fetched(ever=not self.frontier.any_tried),
            elapsed_s=round(self._clock.monotonic() - self._started, 3),
            run_pages=self._run_pages_before + self.counters.pages,
            excluded=await self._store.exclusions(),
            urls=counts,
            pending=counts["pending"],
            insecure=self._config.network.insecure,
            backing_off=tuple(await self._store.barred_hosts(now, limit=20, stale_until=stale_until)),
        )


@asynccontextmanager
async def open_run(
    config: CrawlConfig, cookies: CookieFile | None, observer: Observer, clock: Clock
) -> AsyncIterator[Run]:
    """A `Run` with all that it needs, opened inside the running event loop and closed in every way out.

    Raises `CrawlerError` where something cannot be opened.
    """
    counters = Counters()
    fitting = fit_concurrency(config.politeness.concurrency, open_file_limit())
    if fitting.workers < config.politeness.concurrency:
        observer.notify(f"--concurrency lowered to {fitting.workers}: more does not fit below `ulimit -n`")
        config = replace(config, politeness=replace(config.politeness, concurrency=fitting.workers))
    async with (
        # First: it takes longest. Where pages are fetched again, most answers are expected to be 304.
        open_parser(
            config.network.product_token, config.run.parse_timeout_s, eager=config.recrawl.max_age_s is None
        ) as parser,
        database_at(config.db).open_store() as store,
        open_fetcher(
            sendable(config.network),
            config.politeness,
            counters,
            concurrency=fitting,
            cookies=cookies,
            wall_clock=clock.wall,
        ) as fetcher,
    ):
        yield Run(config, store, fetcher, parser, counters, observer, clock)


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
