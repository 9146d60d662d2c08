"""The entry point: a `Crawl` takes the database's lock, opens a run, and lets it work; or gives its pages one by one.

Invariant: the database is held by one crawl at a time, from before it is looked at until everything is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.errors import DatabaseBusyError, LeaseLostError, NoCrawlError, NoRunError, UsageError
from crawler.hooks import Hooks
from crawler.location import Location
from crawler.network.cookies import read_cookies
from crawler.network.fetcher import check_network
from crawler.output.observer import Observer
from crawler.output.summary import Summary
from crawler.own_code import OwnCode, check_own_code, check_readers
from crawler.parsing.spawning import Spawned
from crawler.records import EndReason, Page
from crawler.run import Run, open_run, signals_handled, stop_handled
from crawler.seeds import Seed, parse_seeds
from crawler.storage.location import database_at
from crawler.taking_part import check_versions, process_name

_NO_CODE = OwnCode()
_LOCK_POLL_S = 0.25
_WAITING_PAGES = 256  # that are committed, for a reader who is slower than the crawl


class Crawl:
    """One run. Await it for its `Summary`, or iterate it for each `Page` as it is committed; either way, once.

    To leave the iteration early, use `async with crawl(...) as run`: then what was finished is committed when the block
    is left, and the rest stays pending. Raises `UsageError` (for seeds and cookies when it is made),
    `DatabaseBusyError` or `DatabaseFailedError`.
    """

    def __init__(
        self,
        seeds: Iterable[str | Seed],
        config: CrawlConfig,
        *,
        observer: Observer | None = None,
        handle_signals: bool = False,
        clock: Clock | None = None,
        given: Mapping[str, str] | None = None,
        code: OwnCode = _NO_CODE,
        joins_as: str | None = None,
        parser: Spawned | None = None,
    ) -> None:
        """`given`: without seeds, the options of the last run are used again, but for these (see `resumed`). `code` are
        the hooks and readers of whoever crawls. `joins_as`: it takes part in a run that another process has begun, and
        is called that; then its options are the run's but for those `given`, and seeds only bring their credentials.
        `parser`: a parser process that is coming up for it.
        """
        self._seeds = parse_seeds(seeds)
        self._cookies = read_cookies(config.network.cookies) if config.network.cookies else None
        check_network(config.network, config.hosts)
        self._config = config
        self._observer = observer or Observer()
        self._handle_signals = handle_signals
        self._clock = clock or Clock()
        self._given = given
        check_readers(code)
        self._code = code
        self._joins_as = joins_as
        self._parser = parser
        self._joined: dict[str, Any] = {}  # the options of the run that it takes part in
        self._task: asyncio.Task[Summary] | None = None  # of an iteration
        self._pages: asyncio.Queue[Page | None] = asyncio.Queue()
        self._active: Run | None = None
        self._stop_asked: EndReason | None = None
        self.summary: Summary | None = None

    def __await__(self) -> Generator[Any, None, Summary]:
        return self._run(None).__await__()

    async def finished(self) -> Summary:
        """The same as awaiting it, as a coroutine: for `asyncio.run` and `asyncio.create_task`."""
        return await self

    async def __aiter__(self) -> AsyncIterator[Page]:
        async with aclosing(self.batches(1)) as batches:
            async for (page,) in batches:
                yield page

    async def batches(self, most: int = _WAITING_PAGES) -> AsyncGenerator[list[Page], None]:
        """The same pages in the same order, as many at once as have been committed by then, but at most so many."""
        pages: asyncio.Queue[Page | None] = asyncio.Queue(maxsize=_WAITING_PAGES)  # a slow reader slows the crawl
        self._pages = pages
        self._task = task = asyncio.create_task(self._run_into(pages))
        task.add_done_callback(lambda task: _wake_reader(task, pages))
        page: Page | None
        try:
            while (page := await pages.get()) is not None:
                batch = [page]
                while page is not None and len(batch) < most and not pages.empty():
                    if (page := pages.get_nowait()) is not None:
                        batch.append(page)
                yield batch
                if page is None:
                    break
            await task
        finally:
            await self.aclose()

    @property
    def db(self) -> Location:
        """The database that it crawls into."""
        return self._config.db

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
            self._active.stop(EndReason.STOPPED, at_once=True)
        else:
            self._task.cancel()
        while not self._task.done():
            _empty(self._pages)  # the writer may be waiting to deliver to a reader who has left
            await asyncio.wait({self._task}, timeout=0.05)

    def stop(self, reason: EndReason = EndReason.STOPPED, *, at_once: bool = False) -> None:
        """End the run cleanly, from the loop it runs in: nothing more is begun, requests in flight get some seconds
        (`at_once`: none), and what is finished is committed. It may be asked for before there is a run to stop.
        """
        if self._active is None:
            self._stop_asked = reason
        else:
            self._active.stop(reason, at_once=at_once)

    @property
    def ends_at_once(self) -> bool:
        """Whether a run that is being stopped waits for nothing more, as after a second signal."""
        return self._active is not None and self._active.ends_at_once

    @property
    def signalled(self) -> EndReason | None:
        """Which signal has told this process to end, whatever came of the run; None: none did."""
        return None if self._active is None else self._active.signalled

    async def _run_into(self, pages: asyncio.Queue[Page | None]) -> Summary:
        summary = await self._run(pages)
        await pages.put(None)
        return summary

    async def _run(self, pages: asyncio.Queue[Page | None] | None) -> Summary:
        if self._active is not None:
            raise UsageError("this crawl has already run; create another one with crawl()")
        async with AsyncExitStack() as stack:
            if self._handle_signals:  # before there is a lock by which others find us
                stack.enter_context(stop_handled(self.stop))
            if self._joins_as is None:
                await self._lock(stack)
            while (summary := await self._run_once(pages)) is None:
                self._joins_as = self._joins_as or process_name()
        self.summary = summary
        self._observer.finished(summary)
        return summary

    async def _run_once(self, pages: asyncio.Queue[Page | None] | None) -> Summary | None:
        """None: it has lost its share of the crawl to others, and is to begin anew as another of them: nothing that it
        has in memory counts any more.
        """
        try:
            async with AsyncExitStack() as stack:
                config = await self._options()
                parser, self._parser = self._parser, None
                run = await stack.enter_async_context(
                    open_run(config, self._cookies, self._observer, self._clock, self._code, self._joins_as, parser)
                )
                self._active = run
                if self._stop_asked is not None:
                    run.stop(self._stop_asked)
                if self._handle_signals:
                    stack.enter_context(signals_handled(run))
                await self._begin(run)
                if pages is not None:
                    run.frontier.writer.deliver_to(pages)
                self._observer.started(run.frontier, run.counters)
                return await run.crawl()
        except LeaseLostError as error:
            self._stop_asked = self._stop_asked or self.signalled
            self._observer.restarts()
            self._observer.notify(f"{error}; this process begins anew", urgent=True)
            return None

    async def _begin(self, run: Run) -> None:
        if self._joins_as is not None:
            await run.take_part(self._seeds, self._joined)
        else:
            await run.begin(self._seeds, db_named=self._given is None or "db" in self._given)

    async def _lock(self, stack: AsyncExitStack) -> None:
        """Hold the database, once whoever holds it lets go; then look whether it may be used."""
        config, database = self._config, database_at(self._config.db)
        deadline, told = self._clock.monotonic() + config.start.lock_wait_s, False
        while True:
            try:
                stack.enter_context(database.hold())
                break
            except DatabaseBusyError as busy:
                if self._clock.monotonic() >= deadline:
                    raise
                if not told:
                    self._observer.notify(f"waiting: {busy}")
                told = True
            await asyncio.sleep(_LOCK_POLL_S)
        if config.start.fresh and database.exists():
            raise UsageError(
                f"--fresh: {config.db} already exists; move it away, choose another --db, or resume without --fresh"
            )

    async def _options(self) -> CrawlConfig:
        if self._joins_as is not None:
            return await self._options_of_run()
        if self._given is None:
            return self._config
        try:
            earlier = await database_at(self._config.db).last_options()
        except NoCrawlError:
            if not self._seeds:
                raise
            earlier = None  # such as what a disk has left that was full from the start
        if earlier is None:
            return self._config
        check_own_code(earlier, self._code, self._given)
        if self._seeds:
            return self._config
        config, changes = self._config.resumed(earlier, self._given or {})
        if changes:
            self._observer.notify(f"options changed since the last run: {', '.join(changes)}", urgent=True)
        if limits := config.limits_but(self._given or {}):
            still = ", ".join(f"{flag} {value}" for flag, value in limits.items())
            self._observer.notify(
                f"options of the last run still apply: {still} (lift one with none: {next(iter(limits))} none)"
            )
        return config

    async def _options_of_run(self) -> CrawlConfig:
        """Those of the run that it takes part in. Raises `NoRunError` if there is none."""
        run = await database_at(self._config.db).run_under_way()
        if run is None:
            raise NoRunError(f"no run is under way in {self._config.db}")
        check_versions(run.programs)
        given = self._given or {}
        if "hosts" in given and [host.stored() for host in self._config.hosts] != run.options.get("hosts", []):
            raise UsageError("the [[host]] tables of this crawl file are not those of the run; give that of the run")
        check_own_code(run.options, self._code, ())
        self._joined = run.options
        config, _changes = self._config.resumed(run.options, given)
        return config


def crawl(
    seeds: Iterable[str],
    config: CrawlConfig | None = None,
    *,
    hooks: Hooks | None = None,
    readers: Mapping[str, str] | None = None,
) -> Crawl:
    """Crawl from these URLs (a bare host name is tried by https, then http) into `config.db`.

    `hooks` take part in it (see `Hooks`). `readers` read further content types: by media type, the name of a function
    as 'module:function' (see `crawler help hooks`), which runs in the parser processes.

    `await crawl(...)` gives a `Summary`; `async for page in crawl(...)` gives each `Page` once it is committed.
    Without seeds, the crawl in `config.db` is resumed. Raises `UsageError` for a seed that is no http(s) URL.
    """
    return Crawl(
        seeds, config or CrawlConfig(), code=OwnCode(hooks=hooks, readers=readers or {}, folders=[str(Path.cwd())])
    )


def _wake_reader(run: asyncio.Task[Summary], pages: asyncio.Queue[Page | None]) -> None:
    """A run that failed does not mark the end of its pages; what it has not delivered is in the database."""
    if run.cancelled() or run.exception() is not None:
        _empty(pages)
        pages.put_nowait(None)


def _empty(pages: asyncio.Queue[Page | None]) -> None:
    while not pages.empty():
        pages.get_nowait()
