"""The `Database` on a PostgreSQL server. Each question that is asked without a store has a short connection of its own.

Some of these are asked where an event loop is running already: they have one in a thread, which they wait for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from crawler.errors import NoCrawlError, UsageError
from crawler.location import DatabaseUrl
from crawler.records import EndReason
from crawler.seeds import Seed
from crawler.storage.interface import Extraction, Inbox, Pruned, RunUnderWay, Store, WorkerState
from crawler.storage.postgres.connection import Connection, connect, explained
from crawler.storage.postgres.database import checked
from crawler.storage.postgres.extraction import PostgresExtraction
from crawler.storage.postgres.notes import leave_note
from crawler.storage.postgres.prune import prune
from crawler.storage.postgres.store import PostgresStore, open_worker
from crawler.storage.postgres.workers import busy_with, live_workers
from crawler.storage.run_options import still_to_do

T = TypeVar("T")

_HAS_RUNS = "SELECT EXISTS (SELECT 1 FROM runs)"
_UNENDED = "SELECT id FROM runs WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1"
_STOP = "UPDATE runs SET stop = $1 WHERE ended_at IS NULL AND stop IS NULL"
_LAST_OPTIONS = "SELECT options, end_reason FROM runs ORDER BY id DESC LIMIT 1"
_OPEN = "SELECT options FROM runs WHERE ended_at IS NULL AND is_open = 1 ORDER BY id DESC LIMIT 1"
_PROGRAMS = "SELECT DISTINCT program FROM workers WHERE run_id IS NOT NULL AND alive_until > now()"
_WORKERS = """
SELECT w.name, w.program, w.run_id, w.figures, w.leaves, w.alive_until > now() AS lives,
    extract(epoch FROM now() - w.seen_at)::float8 AS seen_s,
    (SELECT count(*) FROM parts AS p WHERE p.owner = w.id) AS partitions
FROM workers AS w ORDER BY w.started_at, w.name
"""
_SIZE = "SELECT pg_database_size(current_database())"


class PostgresDatabase:
    """A crawl database on a server; see `interface.Database` for what each operation is for."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._url = url
        self._db = url.with_password
        self._store: PostgresStore | None = None

    def exists(self) -> bool:
        """Whether a run was ever begun there."""
        return _waited_for(self._exists())

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Raise `DatabaseBusyError` if a worker is running. Holds nothing itself: the lease of an opened store does."""
        self.refuse_if_held()
        yield

    def is_held(self) -> bool:
        """Whether any worker lives."""
        return bool(_waited_for(self._workers()))

    def refuse_if_held(self) -> None:
        """Raise `DatabaseBusyError` if a worker is running."""
        if names := _waited_for(self._workers()):
            raise busy_with(self._db, names)

    def holder(self) -> str | None:
        """The run that workers work on; of whoever prunes, the name."""
        return _waited_for(self._holder())

    def stop_run(self) -> str | None:
        """Have its workers end it."""
        return _waited_for(self._stop())

    def size_bytes(self) -> int:
        """Of all that is in the server's database."""
        return _waited_for(self._ask(_size))

    def files(self) -> Sequence[Path]:
        """None of ours."""
        return ()

    async def last_options(self) -> dict[str, Any] | None:
        """Those of the newest run."""
        return await self._ask_if_there(_last_options, None)

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[Store]:
        """Open it as the only worker; once the run has begun, others may join."""
        async with open_worker(self._db, alone=True) as store:
            self._store = store
            yield store

    async def run_under_way(self) -> RunUnderWay | None:
        """The newest one, once it is open to others."""
        return await self._ask_if_there(_run_under_way, None)

    @asynccontextmanager
    async def open_share(self, name: str) -> AsyncIterator[Store]:
        """Open it as a worker beside others."""
        async with open_worker(self._db, alone=False, name=name) as store:
            self._store = store
            yield store

    def workers(self) -> Sequence[WorkerState]:
        """Every worker that is known, also one that has died and was not cleared away yet."""
        return _waited_for(self._ask_if_there(_workers, []))

    def inbox(self, notify: Callable[[str], None]) -> Inbox:
        """The table of notes, once the store is open: whoever takes one up says so to the other workers."""
        if self._store is None:
            raise ValueError("the inbox of a PostgreSQL database is its store's, which is not open")
        return self._store.share.inbox()

    def leave_note(self, texts: Iterable[str | Seed]) -> int:
        """Leave seeds in that table."""
        return _waited_for(leave_note(self._db, texts))

    async def backup(self, copy: Path, progress: Callable[[int, int], None]) -> int:
        """Raise `UsageError`: the server has its own means."""
        raise UsageError(
            f"`crawler backup` copies SQLite files; back this one up with the server's own means, such as"
            f" pg_dump --format=custom --file={copy} '{self._url}'; `crawler copy` makes a SQLite file of it"
        )

    @asynccontextmanager
    async def open_extraction(self) -> AsyncIterator[Extraction]:
        """Alone with it; it must be there."""
        async with self._alone("crawler extract") as store:
            yield PostgresExtraction(store)

    async def prune(
        self, *, keep_versions: int = 1, before: float | None = None, vacuum: bool = False, dry_run: bool = False
    ) -> Pruned:
        """Remove old versions and attempts, alone with it."""
        async with self._alone("crawler prune") as store:
            return await prune(store, keep_versions=keep_versions, before=before, vacuum=vacuum, dry_run=dry_run)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[PostgresStore]:
        await self._ask(_nothing)  # do not create one
        async with open_worker(self._db, alone=True, name=name) as store:
            yield store

    async def _exists(self) -> bool:
        return await self._ask_if_there(_has_runs, False)

    async def _workers(self) -> list[str]:
        return await self._ask_if_there(live_workers, [])

    async def _holder(self) -> str | None:
        async def ask(connection: Connection) -> str | None:
            names = await live_workers(connection)
            run = await connection.fetchval(_UNENDED) if names else None
            return f"run {run}" if run is not None else next(map("worker {}".format, names), None)

        return await self._ask_if_there(ask, None)

    async def _stop(self) -> str | None:
        async def stop(connection: Connection) -> str | None:
            run = await connection.fetchval(_UNENDED) if await live_workers(connection) else None
            if run is not None:
                await connection.execute(_STOP, EndReason.STOPPED.value)
            return None if run is None else f"run {run}"

        return await self._ask_if_there(stop, None)

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer to it, over a connection of its own. Raises `NoCrawlError` where there is no crawl database."""
        with explained(self._db):
            connection = await connect(self._db)
            try:
                await checked(connection, self._db)
                return await question(connection)
            finally:
                await connection.close()

    async def _ask_if_there(self, question: Callable[[Connection], Awaitable[T]], otherwise: T) -> T:
        try:
            return await self._ask(question)
        except NoCrawlError:
            return otherwise


async def _nothing(_connection: Connection) -> None:
    """Whether there is a crawl is all that is asked."""


async def _has_runs(connection: Connection) -> bool:
    return bool(await connection.fetchval(_HAS_RUNS))


async def _run_under_way(connection: Connection) -> RunUnderWay | None:
    options = await connection.fetchval(_OPEN)
    if options is None:
        return None
    programs = [row["program"] for row in await connection.fetch(_PROGRAMS)]
    return RunUnderWay(options=json.loads(options), programs=programs)


async def _workers(connection: Connection) -> list[WorkerState]:
    return [_worker(row) for row in await connection.fetch(_WORKERS)]


def _worker(row: Any) -> WorkerState:
    figures = json.loads(row["figures"]) if row["figures"] else {}
    pages, elapsed_s = figures.get("pages"), figures.get("elapsed_s")
    return WorkerState(
        name=row["name"],
        program=row["program"],
        run_id=row["run_id"],
        partitions=row["partitions"],
        pages=pages,
        pages_per_s=round(pages / elapsed_s, 2) if pages is not None and elapsed_s else None,
        under_way=figures.get("under_way"),
        seen_s=round(row["seen_s"], 1),
        is_draining=bool(row["leaves"]),
        is_dead=not row["lives"],
    )


async def _size(connection: Connection) -> int:
    return int(await connection.fetchval(_SIZE))


async def _last_options(connection: Connection) -> dict[str, Any] | None:
    """What a run that came to its end was to fetch again is not among them: it is done."""
    row = await connection.fetchrow(_LAST_OPTIONS)
    if row is None:
        return None
    return still_to_do(json.loads(row["options"]), row["end_reason"])


def _waited_for(question: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(question)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, question).result()
