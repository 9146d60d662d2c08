"""The composition root: opens everything, starts the workers, stops cleanly.

Invariants: one session for the run, closed after the workers have drained, in every way out; the writer lives outside
the workers' task group, is never cancelled, and its last commit is awaited before anything is closed.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from crawler.clock import Clock
from crawler.config import CrawlConfig, NetworkConfig
from crawler.counters import Counters
from crawler.errors import CrawlerError, DatabaseBusyError, UsageError
from crawler.frontier.frontier import Frontier
from crawler.inbox import Inbox
from crawler.network.cookies import CookieFile, read_cookies
from crawler.network.fetcher import Fetcher, check_network, open_fetcher
from crawler.network.session import fit_concurrency, open_file_limit
from crawler.output.ending import nothing_due
from crawler.output.figures import counted
from crawler.output.summary import Summary, summarize
from crawler.parsing.pool import Parser, open_parser
from crawler.policy.recrawl import Rhythm, rhythm
from crawler.records import Failure, FailureKind, Page, SeedMark
from crawler.seeds import Seed, parse_seeds
from crawler.storage.database import check_file
from crawler.storage.lock import database_lock
from crawler.storage.store import Store, open_store, stored_options
from crawler.urls import origin_of
from crawler.visit import Visitor

_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated"}
_LOCK_POLL_S = 0.25
_INBOX_POLL_S = 1.0


class Observer(Protocol):
    """Who is told what happens: the live view, plain lines, or nobody."""

    def started(self, frontier: Frontier, counters: Counters) -> None:
        """The crawl begins; both objects are live."""

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Something that a person should know, in one line; what is `urgent`, even one who wants no news."""

    def finished(self, summary: Summary) -> None:
        """The crawl has ended and everything is committed."""


class Silent:
    """Nobody is told anything."""

    def started(self, frontier: Frontier, counters: Counters) -> None:
        """Nothing to show."""

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Nothing to show."""

    def finished(self, summary: Summary) -> None:
        """Nothing to show."""


class Crawl:
    """One run. Await it for its `Summary`, or iterate it for each `Page` as it is committed; either way, once.

    To leave the iteration early, use `async with crawl(...) as run`: then what was finished is committed when the block
    is left, and the rest stays pending. Raises `UsageError` (for seeds and cookies when it is made),
    `DatabaseBusyError` or `DatabaseFailedError`.
    """

    def __init__(
        self,
        seeds: Iterable[str],
        config: CrawlConfig,
        *,
        observer: Observer | None = None,
        handle_signals: bool = False,
        clock: Clock | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """`given`: without seeds, the options of the last run are used again, but for these (see `resumed`)."""
        self._seeds = parse_seeds(seeds)
        self._cookies = read_cookies(config.network.cookies) if config.network.cookies else None
        check_network(config.network)
        self._config = config
        self._observer = observer or Silent()
        self._handle_signals = handle_signals
        self._clock = clock or Clock()
        self._given = given
        self._task: asyncio.Task[Summary] | None = None  # of an iteration
        self._pages: asyncio.Queue[Page | None] = asyncio.Queue()
        self._active: _Run | None = None
        self.summary: Summary | None = None

    def __await__(self) -> Generator[Any, None, Summary]:
        return self._run(None).__await__()

    async def __aiter__(self) -> AsyncIterator[Page]:
        pages: asyncio.Queue[Page | None] = asyncio.Queue(maxsize=256)  # a slow reader slows the crawl
        self._pages = pages
        self._task = task = asyncio.create_task(self._run_into(pages))
        task.add_done_callback(lambda task: _wake_reader(task, pages))
        try:
            while (page := await pages.get()) is not None:
                yield page
            await task
        finally:
            await self.aclose()

    async def __aenter__(self) -> Crawl:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop an iteration that was left early: what is finished is committed, and `summary` says so.

        A bare `break` leaves this to the event loop, which does it some time later.
        """
        if self._task is None or self._task.done():
            return
        if self._active is not None:
            self._active.stop("stopped", at_once=True)
        else:
            self._task.cancel()
        while not self._task.done():
            _empty(self._pages)  # the writer may be waiting to deliver to a reader who has left
            await asyncio.wait({self._task}, timeout=0.05)

    async def _run_into(self, pages: asyncio.Queue[Page | None]) -> Summary:
        summary = await self._run(pages)
        await pages.put(None)
        return summary

    async def _run(self, pages: asyncio.Queue[Page | None] | None) -> Summary:
        if self._active is not None:
            raise UsageError("this crawl has run; make another one with crawl()")
        async with AsyncExitStack() as stack:
            await self._lock(stack)
            config = await self._options()
            run = await stack.enter_async_context(_open_run(config, self._cookies, self._observer, self._clock))
            self._active = run
            await run.begin(self._seeds)
            if pages is not None:
                run.frontier.writer.deliver_to(pages)
            if self._handle_signals:
                stack.enter_context(_signals_handled(run))
            self._observer.started(run.frontier, run.counters)
            self.summary = await run.crawl()
        self._observer.finished(self.summary)
        return self.summary

    async def _lock(self, stack: AsyncExitStack) -> None:
        """Hold the database, once whoever holds it lets go; then look whether it may be used."""
        config = self._config
        deadline, told = self._clock.monotonic() + config.start.lock_wait_s, False
        while True:
            try:
                stack.enter_context(database_lock(config.db))
                break
            except DatabaseBusyError as busy:
                if self._clock.monotonic() >= deadline:
                    raise
                if not told:
                    self._observer.notify(f"waiting: {busy}")
                told = True
            await asyncio.sleep(_LOCK_POLL_S)
        if config.start.fresh and check_file(config.db):
            raise UsageError(f"--fresh: {config.db} exists; move it away, name another --db, or go on without --fresh")

    async def _options(self) -> CrawlConfig:
        earlier = None
        if self._given is not None and not self._seeds:
            earlier = await stored_options(self._config.db)
        if earlier is None:
            return self._config
        config, changes = self._config.resumed(earlier, self._given or {})
        if changes:
            self._observer.notify(f"other options than in the last run: {', '.join(changes)}", urgent=True)
        return config


def crawl(seeds: Iterable[str], config: CrawlConfig | None = None) -> Crawl:
    """Crawl from these URLs (a bare host name is tried by https, then http) into `config.db`.

    `await crawl(...)` gives a `Summary`; `async for page in crawl(...)` gives each `Page` once it is committed.
    Without seeds, the crawl in `config.db` goes on. Raises `UsageError` for a seed that is no http(s) URL.
    """
    return Crawl(seeds, config or CrawlConfig())


class _Run:
    """One run's parts, open."""

    def __init__(
        self,
        config: CrawlConfig,
        store: Store,
        fetcher: Fetcher,
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
        self._visitor = Visitor(config, fetcher, parser, self.frontier, counters, clock)
        self._stop_reason: str | None = None
        self._out_of_grace = asyncio.Event()
        self._started = clock.monotonic()
        self._run_pages_before = 0
        self._proxy_blamed = False
        self._inbox = Inbox(config.db, partial(observer.notify, urgent=True))
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
            _check_secrets(options, earlier, self._config.network)
        if self._config.politeness.ignore_robots:
            self._observer.notify("--ignore-robots: robots.txt is neither fetched nor kept to; only for your own sites")
        if self._config.network.insecure:
            self._observer.notify("--insecure: TLS certificates are not verified; what is stored may come from anybody")
        set_back_s = await self._store.follow_clock(self._clock.wall())
        if set_back_s:
            self._observer.notify(f"the clock is {set_back_s:.0f} s behind the last run: what is due follows it")
        run_id, self._run_pages_before = await self._store.begin_run(options, self._clock.wall())
        if self._run_pages_before:
            self._observer.notify(f"going on with run {run_id}, which was stopped after {self._run_pages_before} pages")
        widened = await self.frontier.open(seeds, self._run_pages_before, await self._rhythm())
        await self._open_doors(seeds)
        if earlier is not None and (widened or _scope_rules(earlier) != _scope_rules(options)):
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
        if summary.complete and not summary.requests and not summary.pending:
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
            for note, seeds in self._inbox.notes():
                for seed in seeds:
                    self._open_door(seed)
                readmitted = await self.frontier.join(seeds)
                self._inbox.remove(note)
                self._observer.notify(f"{counted(len(seeds), 'URL')} added from {note}")
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
        return summarize(
            self.counters,
            run_id=self._store.run_id,
            complete=end_reason == "complete",
            end_reason=end_reason,
            seeds_failed=end_reason == "complete" and not await self._store.any_seed_fetched(),
            elapsed_s=round(self._clock.monotonic() - self._started, 3),
            run_pages=self._run_pages_before + self.counters.pages,
            excluded=await self._store.exclusions(),
            urls=counts,
            pending=counts["pending"],
            insecure=self._config.network.insecure,
            backing_off=tuple(await self._store.barred_hosts(self._clock.wall(), limit=20)),
        )


@asynccontextmanager
async def _open_run(
    config: CrawlConfig, cookies: CookieFile | None, observer: Observer, clock: Clock
) -> AsyncIterator[_Run]:
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
        open_store(config.db) as store,
        open_fetcher(
            _sendable(config.network),
            config.politeness,
            counters,
            concurrency=fitting,
            cookies=cookies,
            wall_clock=clock.wall,
        ) as fetcher,
    ):
        yield _Run(config, store, fetcher, parser, counters, observer, clock)


def _sendable(network: NetworkConfig) -> NetworkConfig:
    """A header without a value is not sent: it was given to say that it is not wanted any more."""
    return replace(network, headers={name: value for name, value in network.headers.items() if value})


@contextmanager
def _signals_handled(run: _Run) -> Iterator[None]:
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


def _check_secrets(options: dict[str, Any], earlier: dict[str, Any], given: NetworkConfig) -> None:
    """Secrets are stored nowhere, so a run that goes on needs them again; going on without would fetch other pages.

    What is `given` without a value is what the user does not want any more.
    """
    missing = sorted(set(earlier["network"]["headers"]) - {name.lower() for name in given.headers})
    if missing:
        again = " ".join(f"--header '{name}: VALUE'" for name in missing)
        raise UsageError(
            f"the last run sent headers whose values are not stored: {', '.join(missing)}; give them again ({again}),"
            " or with no VALUE to go on without"
        )
    if earlier["network"].get("cookies") and given.cookies is None:
        raise UsageError(
            "the last run sent cookies from a file, which are not stored; give it again (--cookies FILE),"
            " or --cookies '' to go on without"
        )
    proxy = given.proxy_server
    if earlier.get("proxy_credentials") and proxy is not None and proxy.credentials is None:
        raise UsageError(
            f"the last run used a user and password for the proxy {proxy.name}, which are not stored;"
            " give --proxy with them again"
        )
    origins = sorted(set(earlier.get("credentials", ())) - set(options["credentials"]))
    if origins:
        raise UsageError(
            f"the last run used a user and password that are not stored, for {', '.join(origins)};"
            " give the seed with user:password@ again"
        )


def _scope_rules(options: dict[str, Any]) -> dict[str, Any]:
    """What decides about a URL, as it is after a round trip through JSON; the numbers of pages exclude nothing."""
    rules = json.loads(json.dumps(options["scope"]))
    return {name: value for name, value in rules.items() if not name.startswith("max_pages")}


def _wake_reader(run: asyncio.Task[Summary], pages: asyncio.Queue[Page | None]) -> None:
    """A run that failed sends no last word; what it has not delivered is in the database."""
    if run.cancelled() or run.exception() is not None:
        _empty(pages)
        pages.put_nowait(None)


def _empty(pages: asyncio.Queue[Page | None]) -> None:
    while not pages.empty():
        pages.get_nowait()
