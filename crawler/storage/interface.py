"""What the rest asks of a store: protocols over records, without a path, a connection or a word of SQL.

A store is one of these, with a folder of its own: `sqlite/` keeps a crawl in one file. Whatever it is, the suite in
`tests/contract/` must pass on it. What a store may rely on, and what it promises:

- Nothing here decides: the frontier has judged each `Target`, and concluded each `Result`. The one exception is
  `limit_hosts`, since only the store knows which hosts are new without having all of them in memory.
- The ids in records (`Claim.url_id`, `HostRecord.host_id`) are handles: equal or not, 0 where there is no row yet, and
  nothing else. A store may make them as it likes; neither their order nor their size means anything outside.
- A position is a `Cursor`, which the store makes and nobody else reads. It is good as long as the store is open.
- What is read was committed. A read never waits for a commit.
- Times are Unix seconds. Whatever text the web has sent can be stored; what cannot be kept as it is comes back changed.

Every operation raises `DatabaseFailedError` where the database fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NewType, Protocol, TypeVar

from crawler.records import Claim, Closure, Horizon, HostRecord, Result, RobotsCopy, SeedMark, Target
from crawler.seeds import Seed

T = TypeVar("T")

Cursor = NewType("Cursor", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[T]):
    """A part of something longer. `next` is the cursor of the part that follows; None: this is the last one."""

    rows: list[T]
    next: Cursor | None = None


class RunLog(Protocol):
    """The record of runs."""

    @property
    def run_id(self) -> int:
        """The run that `begin_run` began; 0 before."""

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run; None where there was none."""

    async def follow_clock(self, now: float) -> float:
        """Where the clock was set back since the last run, plan everything earlier by as much; returns the seconds."""

    async def begin_run(self, options: dict[str, Any], now: float) -> tuple[int, int]:
        """Start a run, or go on with one that was killed; returns its id and the pages that it has stored.

        A killed run is gone on with where the same number of pages is asked for; else its count means nothing now.
        """

    async def run_times(self) -> tuple[float, float | None]:
        """When this run was started, and the one before it."""

    async def set_decided(self, decided: bool) -> None:
        """Whether all that earlier options excluded has been judged by those of now; else the next run has to."""

    async def end_run(self, reason: str, summary: dict[str, Any], now: float) -> None:
        """Record why and when the run ended, and what it reports."""


class Seeds(Protocol):
    """What the user named."""

    async def add(self, targets: Sequence[Target], now: float) -> None:
        """Add URLs that no visit found. Adding one twice changes nothing."""

    async def retry(self, urls: Sequence[str], now: float) -> None:
        """Make those of these URLs that have failed due again, as if they had never been tried."""

    async def retry_failed(self, now: float) -> None:
        """Make all that has failed due again, as if it had never been tried."""

    async def roots(self) -> list[str]:
        """The seeds of this database, and what they redirect to, but for what has a port that is no web server's."""

    async def named_seeds(self) -> list[tuple[str, SeedMark]]:
        """The URLs that the user named."""

    async def any_seed_fetched(self, *, ever: bool) -> bool:
        """Whether at least one seed was fetched when it was last tried; `ever`: was answered at any time."""


class Exclusions(Protocol):
    """What was kept out, and may be let in."""

    async def excluded(self, after: Cursor | None, limit: int) -> Batch[Target]:
        """The URLs that were excluded by anything but robots.txt, in an order in which each comes once.

        Those of earlier batches may have been readmitted meanwhile.
        """

    async def readmit(self, urls: Sequence[str], now: float) -> int:
        """Make excluded URLs pending again, as many as there is room for; returns how many are."""

    async def forget_forbidden(self, now: float, *, every: bool) -> None:
        """What robots.txt forbade is decided again where its copy has expired; `every`: wherever it did."""

    async def reasons(self, prefix: str, min_fetched: int) -> list[tuple[str, str]]:
        """Of hosts with so many URLs fetched: their names, and each of their reasons that begins with `prefix`."""

    async def full_hosts(self, urls: int) -> list[str]:
        """Hosts that have so many URLs, the excluded ones not counted."""

    async def limit_hosts(self, per_domain: int) -> None:
        """From now on take in at most this many hosts of a domain; those that are stored count, seeds are exempt.

        Never more than that. Where several processes share a store, one that dies may leave a place unused.
        """

    def full_domains(self) -> list[str]:
        """The domains of which hosts were turned away since this was asked last; each once a run."""


class DueReads(Protocol):
    """What is to be fetched, for the frontier to hold in memory."""

    async def due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None = None
    ) -> Batch[HostRecord]:
        """Hosts that have a URL due and have not reached their number of pages, longest due first."""

    async def due_urls(
        self, host_ids: Iterable[int], limit: int, now: float, without: Sequence[str] = ()
    ) -> list[Claim]:
        """At most `limit` due URLs of each of these hosts, longest due first, none of the origins `without`. Also those
        lent already.
        """

    async def next_due_at(self, after: float) -> float | None:
        """When the next host falls due, of those that are not due at `after`."""

    async def stale_hosts(
        self,
        horizon: Horizon,
        max_pages_per_host: int | None,
        limit: int,
        latest_back_off: float,
        after: Cursor | None = None,
    ) -> Batch[HostRecord]:
        """Hosts with a URL to be fetched again, each once; none that backs off past `latest_back_off`."""

    async def stale_urls(
        self,
        host_ids: Sequence[int],
        limit: int,
        horizon: Horizon,
        held: Iterable[int] = (),
        without: Sequence[str] = (),
    ) -> list[Claim]:
        """At most `limit` URLs to be fetched again of each of these hosts, the most valuable; none of `held` (ids), of
        the origins `without`, or that is planned for a time of its own.

        With `by_value` they are chosen among some thousand, of all hosts, that have waited longest, so that a choice
        costs the same however many there are.
        """

    async def robots_of(self, host_ids: Iterable[int]) -> list[RobotsCopy]:
        """What is kept of these hosts' origins: the copies of robots.txt, and pauses."""

    async def keep_pauses(self, pauses: Sequence[tuple[int, float]]) -> None:
        """Leave each of these hosts alone until its time, in the next run, too."""


class Commits(Protocol):
    """What the writer asks."""

    async def commit(self, results: Sequence[Result], now: float) -> list[HostRecord]:
        """Store the results, as a whole or not at all; returns the hosts touched that have something planned.

        The new URLs that they name may be seen a moment before the rest.
        """


class Figures(Protocol):
    """What a run reports when it ends."""

    async def counts(self) -> dict[str, int]:
        """URLs by status, robots.txt not counted."""

    async def exclusions(self) -> dict[str, int]:
        """Excluded URLs by the first word of their reason."""

    async def closures(self, now: float, limit: int, *, stale_until: float | None = None) -> list[Closure]:
        """Hosts and origins that have something to be fetched but are left alone for now; where pages are fetched
        again, also hosts that are left alone until after `stale_until`.
        """

    async def freshness(self) -> tuple[int, float | None, float | None]:
        """How many pages are stored, when the newest was fetched, and when the next is to be looked at again.

        Takes long on a large database: for a run that had nothing to do.
        """


class Store(RunLog, Seeds, Exclusions, DueReads, Commits, Figures, Protocol):
    """A crawl database, open for one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Seeds that somebody left for the crawl. `name` is for people, and for `Inbox.remove`."""

    name: str
    seeds: Sequence[Seed]


class Inbox(Protocol):
    """Where notes are left for a crawl that may be running."""

    def notes(self) -> AsyncIterator[Note]:
        """The notes, oldest first. Cheap where there are none: this is asked each second."""

    async def remove(self, note: Note) -> None:
        """The note's seeds are committed. One that is not removed is read again, which does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Rows that were removed, or would be; sizes in bytes. `freed` is room within the database that is used again;
    where nothing was removed yet it is what the texts and bodies take up, which is a little less.
    """

    pages: int
    links: int
    fetches: int
    bodies: int
    freed: int
    size_before: int
    size_after: int


class Database(Protocol):
    """Where a crawl is stored, whether it is there or not: what is asked of it without a `Store`.

    Made by `location.database_at`. One run holds it at a time; whoever writes holds it.
    """

    def exists(self) -> bool:
        """Whether there is something already; where not, a run makes it. Raises for what cannot be a database."""

    def hold(self) -> AbstractContextManager[None]:
        """Hold the database for this process. Raises `DatabaseBusyError`, within a moment, where another run does."""

    def is_held(self) -> bool:
        """Whether a run holds the database at this moment."""

    def refuse_if_held(self) -> None:
        """Raise `DatabaseBusyError` where a run holds it: before much is made ready for one that may not run.

        Whoever is let through may still find it held when it takes hold of it.
        """

    def stop_run(self) -> str | None:
        """Ask the run that holds it to end cleanly; returns what that is ('process 12'), None where none does.

        Raises `UsageError` where it cannot be asked.
        """

    def size_bytes(self) -> int:
        """What it takes up now."""

    def files(self) -> Sequence[Path]:
        """The files that it is made of, which nothing else may be written to; links followed."""

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run, also of a database of an older program; None where there was none.

        What a run that came to its end was to fetch again is not among them: it is done.
        """

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Open it for a run, or make it; the caller holds it."""

    def inbox(self, notify: Callable[[str], None]) -> Inbox:
        """The crawl's side of its notes. `notify` is told of what is no note although it looks like one."""

    def leave_note(self, texts: Iterable[str | Seed]) -> int:
        """Leave seeds for the crawl; returns how many. Raises `UsageError`, and leaves none, for a bad one.

        Seeds with credentials are refused: those are stored nowhere.
        """

    async def prune(
        self, *, keep_versions: int = 1, before: float | None = None, vacuum: bool = False, dry_run: bool = False
    ) -> Pruned:
        """Remove all but the `keep_versions` newest versions of each page, and attempts; `before`: only what was
        fetched before, and no attempt without it. `vacuum` gives the room back to the file system, at the cost of
        writing the database once more. The caller holds it.
        """
