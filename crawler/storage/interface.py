"""What the other packages ask of a store: protocols over records, without paths, connections or SQL.

Each store has a folder of its own: `sqlite/` keeps a crawl in one file. Every store must pass the suite in
`tests/contract/`. What a store may rely on, and what it promises:

- Nothing here decides: the frontier has judged each `Target`, and concluded each `Result`. The exceptions are
  `limit_hosts` and `limit_urls`, since only the store knows which hosts and URLs are new without having all of them in
  memory.
- The ids in records (`Claim.url_id`, `HostRecord.host_id`) are opaque handles, 0 if there is no row yet. Outside the
  store they are only compared for equality; neither their order nor their size means anything.
- A position is a `Cursor`, which only the store creates and reads. It is valid while the store is open.
- Reads see only what was committed, and never wait for a commit.
- Times are Unix seconds. Any text from the web can be stored; what cannot be stored unchanged comes back changed.

Every operation raises `DatabaseFailedError` if the database fails.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Generic, NewType, Protocol, TypeVar

from crawler.clock import Clock
from crawler.config import CheckKind
from crawler.counters import ShareState
from crawler.extraction_rules import Rule
from crawler.records import (
    Claim,
    Closure,
    EarlierBody,
    EndReason,
    ExclusionReason,
    Extract,
    FailedSeed,
    FailingUrls,
    Horizon,
    HostRecord,
    NamedFeeds,
    Place,
    Result,
    RobotsCopy,
    SeedMark,
    Target,
)
from crawler.seeds import Seed
from crawler.statically_frozen import dataclass

T = TypeVar("T")

STOP_SIGNAL = signal.SIGUSR1  # `Database.stop_run` to the process that holds the database; no shell or init sends it

Cursor = NewType("Cursor", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[T]):
    """A part of something longer. `next` is the cursor of the part that follows; None: this is the last one."""

    rows: list[T]
    next: Cursor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarcFile:
    """A WARC file of this crawl. `size` and `index_size` count the bytes of it, and of the lines of its index, that
    belong to what is committed: what stands behind them is to be cut off. `folder` is where it was made.
    """

    name: str
    folder: str
    size: int = 0
    index_size: int = 0
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WarcPayload:
    """A payload that a response record in the WARC files holds, which later records may refer to.

    `key` tells equal payloads in the same coding, `digest` is the record's own (SHA-1). `record_id` is the record's
    UUID, `at` its date.
    """

    key: bytes
    digest: bytes
    record_id: bytes
    url: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What was written to WARC files for results that are about to be committed: the files as they are by now, the
    payloads that are new, and the payload that each URL (by its id) has now.
    """

    files: Sequence[WarcFile]
    payloads: Sequence[WarcPayload]
    payload_of: Sequence[tuple[int, bytes]]


class WarcLog(Protocol):
    """What a store remembers of the WARC files that are written beside it."""

    async def warc_files(self) -> list[WarcFile]:
        """Those that are not closed, and the newest one, in the order in which they were made."""

    async def warc_payloads(self, keys: Collection[bytes], url_ids: Collection[int]) -> WarcPayloads:
        """Those of these keys, and those that these URLs had last."""

    async def close_warc_file(self, name: str) -> None:
        """Nothing more will be written to it."""

    async def first_run_at(self) -> float:
        """When the first run in the database started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarcPayloads:
    """Payloads that are known, by key and by the id of a URL."""

    by_key: dict[bytes, WarcPayload]
    by_url: dict[int, WarcPayload]


class WarcWriter(Protocol):
    """Writes what the visits said and heard to WARC files."""

    async def write(self, results: Sequence[Result]) -> Archived:
        """Write and flush their exchanges. Raises `ArchiveFailedError` where that cannot be done."""

    async def committed(self) -> None:
        """What was written last has been committed."""


class RunLog(Protocol):
    """The record of runs."""

    @property
    def run_id(self) -> int:
        """The run that `begin_run` began; 0 before."""

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run; None where there was none."""

    async def follow_clock(self, now: float) -> float:
        """If the clock was set back since the last run, move all planned times back with it; returns the seconds."""

    async def begin_run(self, options: dict[str, Any], now: float) -> tuple[int, int]:
        """Start a run, or resume one that was killed; returns its id and the number of pages that it has stored.

        What earlier runs have fetched was fetched before a new one started, also by a clock too coarse to show it.
        A killed run is resumed only under the same limits; otherwise what it has counted would mean nothing.
        """

    async def join_run(self) -> dict[str, Any] | None:
        """Take part in the run that another process has begun, and that is open to others; returns its options, None
        where there is none. Raises `UsageError` where only one process can work on it.
        """

    async def requests_noted(self) -> int:
        """How many requests this run may have sent before it was killed; 0 where it was not."""

    async def note_requests(self, run: int | None, hosts: Sequence[tuple[int, int]]) -> None:
        """Before they are sent: so many requests may be sent by this run in all (None: as noted before), and to each of
        these hosts. A run that is resumed counts what was noted as sent.
        """

    async def run_times(self) -> tuple[float, float | None]:
        """When this run started, and when the one before it did."""

    async def set_decided(self, decided: bool) -> None:
        """Record whether everything that earlier options excluded has been judged by the current ones. If not, the
        next run does it.
        """

    async def end_run(self, reason: EndReason, summary: dict[str, Any], now: float) -> dict[str, Any] | None:
        """Record why and when the run ended, and what it reports; returns what is recorded, which counts what all
        processes have done. None: others go on with the run.
        """


class Rules(Protocol):
    """The extraction rules. What they find comes with its page (`Page.extracts`), and is stored with it."""

    async def use_rules(self, rules: Sequence[Rule]) -> dict[str, int]:
        """Record that pages are read by these from now on; each has a view of its rows. Returns how many stored pages
        have not been read by each of them as it is now, those of which there are some.
        """

    async def lost_extracts(self) -> dict[str, int]:
        """On how many pages each rule has found nothing in this run where it had found something before."""


class Seeds(Protocol):
    """What the user named."""

    async def add(self, targets: Sequence[Target], now: float) -> None:
        """Add URLs that no visit found. Adding one twice changes nothing."""

    async def retry(self, urls: Sequence[str], now: float) -> None:
        """Make those of these URLs that have failed due again, as if they had never been tried; also those that fail
        but keep their status.
        """

    async def retry_failed(self, now: float) -> None:
        """Make all that has failed due again, as if it had never been tried; also what fails but keeps its status."""

    async def roots(self) -> list[str]:
        """The seeds of this database and what they redirect to, except URLs on a port that no web server uses."""

    async def named_seeds(self) -> list[tuple[str, SeedMark]]:
        """The URLs that the user named."""

    async def any_seed_fetched(self, *, ever: bool) -> bool:
        """Whether at least one seed was fetched when it was last tried; `ever`: was answered at any time."""


class Exclusions(Protocol):
    """Excluded URLs, which other options may let in."""

    async def excluded(self, after: Cursor | None, limit: int) -> Batch[Target]:
        """The URLs that were excluded by anything but robots.txt, each once.

        Those of earlier batches may have been readmitted meanwhile.
        """

    async def readmit(self, urls: Sequence[str], now: float) -> int:
        """Make excluded URLs pending again, as many as there is room for; returns how many are."""

    async def forget_forbidden(self, now: float, *, every: bool) -> None:
        """Make URLs that robots.txt forbade due for another decision if its copy has expired; `every`: all of them."""

    async def details(self, cause: ExclusionReason, min_fetched: int) -> list[tuple[str, str]]:
        """(host name, detail) for each detail of this cause of exclusion, of hosts with enough fetched URLs."""

    async def limit_hosts(self, per_domain: int) -> None:
        """From now on, store at most this many hosts per domain. Stored ones count; seeds are exempt.

        The limit is never exceeded. If several processes share a store, one that dies may leave a place unused.
        """

    def full_domains(self) -> list[str]:
        """The domains that had hosts turned away since the last call; each once per run."""

    async def limit_urls(self, per_host: int, now: float) -> None:
        """From now on accept at most this many URLs of a host, and keep at most twice as many rows of it, excluded ones
        included. Stored URLs count, seeds are exempt, and what a newer robots.txt allows comes on top.

        What is one too many is excluded while there is room for its row; after that it gets none, and is counted
        (`unstored_links`). Documents whose links were not all stored because of a lower limit become due, with
        `PreviousVisit.lacks_links`. If several processes share a store, the numbers may be exceeded by what they commit
        within a second.
        """

    def full_hosts(self) -> list[str]:
        """The hosts of which URLs were refused since the last call; each host is returned once per run."""


class DueQueue(Protocol):
    """What is due now, host by host."""

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


class DueReads(DueQueue, Protocol):
    """What is to be fetched, for the frontier to hold in memory; as a queue, pages and sitemaps."""

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
        """At most `limit` URLs to be fetched again of each of these hosts; none of `held` (ids), of the origins
        `without`, or that is planned for a time of its own.

        Seeds and hubs are chosen first, then what a sitemap says has changed, then what was to be looked at first by
        plan. A choice costs the same however many there are.
        """

    async def stored_body(self, claim: Claim) -> EarlierBody | None:
        """The body of the URL's newest version, which may have been read by an earlier release; None: not kept."""

    async def named_feeds(self, claim: Claim) -> NamedFeeds:
        """The feeds that the newest stored version of a page links to."""

    async def answered_since(self, host_id: int, moment: float) -> bool:
        """Whether any URL of the host, robots.txt aside, has been answered since that moment and does not fail now."""

    async def robots_of(self, host_ids: Iterable[int]) -> list[RobotsCopy]:
        """What is kept of these hosts' origins: the copies of robots.txt, and pauses."""

    async def places_of(self, host_ids: Iterable[int]) -> list[Place]:
        """What is known of how alike the pages of these hosts' places change."""

    async def redesigned(self, host_id: int, at: float, places: Sequence[Place]) -> None:
        """All of the host has changed at once, and this, and nothing else, is known of its places."""

    async def make_due(self, host_id: int, before: float, limit: int) -> int:
        """Of what was answered before that moment and is planned for later, let at most so many URLs be due for a run
        that began then; returns how many.
        """

    async def keep_pauses(self, pauses: Sequence[tuple[int, float]]) -> None:
        """Fetch nothing from each of these hosts until its time, even in the next run."""


class Checks(Protocol):
    """What is only checked. The result of such a claim (`UrlKind.CHECK`) is stored beside URLs, and changes none."""

    async def note_checks(self, kind: CheckKind, after: Cursor | None) -> Cursor | None:
        """Note what a part of the current pages links to outside of the scope, or loads, and that is not crawled;
        returns where the next part begins.
        """

    async def plan_checks(
        self, kinds: Collection[CheckKind], now: float, *, good_before: float, others_before: float, noted: bool
    ) -> None:
        """Make due what was ever noted of these kinds, unless this run has checked it, or an earlier one did so after
        the time for what is good, or for others. `noted`: all parts of the pages have been noted just now, so that what
        no page leads to any more is forgotten.
        """

    def due_checks(self) -> DueQueue:
        """The checks that are due, as claims of `UrlKind.CHECK`."""

    def due_pages_and_checks(self) -> DueQueue:
        """What is due of both, pages first."""

    async def check_tally(self) -> dict[str, int]:
        """URLs that are checked, by `CheckVerdict`, those that redirect by that of their end; 'pending': not checked
        yet. Takes one pass over them.
        """


class Commits(Protocol):
    """What the writer asks."""

    async def commit(self, results: Sequence[Result], now: float, archived: Archived | None = None) -> list[HostRecord]:
        """Store the results, all or none of them; returns the hosts touched that have something planned. `archived` is
        what was written to WARC files for them.

        The new URLs that they name may become visible a moment before the rest.
        """

    def stored_pages(self) -> tuple[int, Sequence[int]]:
        """The run, and the row ids of the pages that the last commit has stored, in the order of their results. A later
        version of a page has a greater one.
        """

    def failed_with_origins(self) -> int:
        """How many pages have failed with their origins (`Result.origin_failed`) since the last call, without a result
        of their own; not those that had failed before.
        """


class Figures(Protocol):
    """What a run reports when it ends."""

    async def counts(self) -> dict[str, int]:
        """URLs by status, robots.txt not counted."""

    async def exclusions(self) -> dict[str, int]:
        """Excluded URLs by the first word of their cause, so that all traps count as one."""

    async def unstored_links(self) -> int:
        """Links to URLs that were not stored because their hosts had as many as they may have. They count once for each
        version of a page, and anew when it is read again because the limit was raised.
        """

    async def closures(
        self,
        now: float,
        limit: int,
        *,
        stale_until: float | None = None,
        retried_after: float | None = None,
        max_pages_per_host: int | None = None,
    ) -> list[Closure]:
        """Hosts and origins that have something to be fetched but are left alone for now; where pages are fetched
        again, also hosts that are left alone until after `stale_until`. With `retried_after`, also hosts of which a URL
        is to be tried again after that, but for those that have had their number of pages: until when, and why, are
        those of the first such URL.
        """

    async def failing_urls(self) -> FailingUrls:
        """URLs that keep the status of their last response, but failed at their latest visit."""

    async def failed_seeds(self, limit: int) -> tuple[int, list[FailedSeed]]:
        """How many seeds are neither fetched nor redirected, and at most `limit` of them, those that the user named
        first.
        """

    async def freshness(self) -> tuple[int, float | None, float | None]:
        """How many pages are stored, when the newest was fetched, and when the next refetch is due.

        Slow on a large database, so only for a run that had nothing to do.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a process is to know of those that crawl with it, since it last asked."""

    hosts: Sequence[HostRecord] = ()  # of its share: others found URLs of them, or it has just taken them over
    gained: bool = False  # its share has grown: what was asked for to the end, so far, is to be asked for once more
    roots: Sequence[tuple[str, SeedMark]] = ()  # that widen the scope; those that the user named may be trusted, too
    end: EndReason | None = None  # the run is to end, and why
    workers: int = 1  # processes that crawl, this one included


class Share(Protocol):
    """Which part of the crawl is this process's, and what it tells the others and hears of them.

    Where several processes share a store, each owns some of the hosts, for as long as it renews that. All is advice:
    whether a result counts is decided where it is committed (`LeaseLostError`).
    """

    @property
    def workers(self) -> int:
        """How many processes crawl, this one included, as far as it has heard."""

    def state(self) -> ShareState | None:
        """For whoever watches; None: the share is all there is."""

    def clock(self, own: Clock) -> Clock:
        """The clock that all of them go by; it may be `own`, that of this process."""

    def may_send(self) -> bool:
        """Whether a request may be sent at this moment: False while it is unsure who owns its hosts. Asked often."""

    def keeps(self, host_id: int) -> bool:
        """Whether the host is in its share and stays there; False: nothing more is to be begun of it."""

    def taken_over_at(self, host_id: int) -> float | None:
        """When the host was taken from a process that did not give it back, and may have sent a request to it until
        then (Unix seconds, by `clock`); None where it was given back, or was never another's.
        """

    @property
    def draws_pages(self) -> bool:
        """Whether the run's pages (`--max-pages`) are drawn from what all may store; if not, it counts for itself."""

    async def draw(self, pages: int) -> int:
        """So many pages more may be stored by this process, at most as many as asked for; 0: none, for now."""

    async def give_back(self, pages: int) -> None:
        """So many of those that were drawn are not needed, or not now."""

    async def are_pages_spent(self) -> bool:
        """Whether all that may be stored is stored, so that nobody can give anything back."""

    async def opened(self) -> None:
        """The run has begun: others may take part."""

    async def is_over(self, has_nothing_left: Callable[[], Awaitable[bool]]) -> bool:
        """Whether nobody has anything left, asked by who has nothing left himself; he is asked once more, while nobody
        can bring him anything. A no comes as soon as something has changed, or after a moment.
        """

    async def news(self) -> News | None:
        """What it has heard since the last call; None: nothing. Asked every second. Raises `LeaseLostError` once the
        share is lost.
        """

    def tell_root(self, url: str, mark: SeedMark) -> None:
        """Tell the others that this URL widens the scope."""

    async def publish(self) -> None:
        """Have the others hear now what was told so far; otherwise they do within a second."""

    def count(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """`figures` says what this process has counted so far, of the fields of a summary."""

    async def tell_end(self, reason: EndReason) -> None:
        """Tell the others that the run is to end, unless somebody has already done so."""

    def attach(self, held: Callable[[], Collection[int]]) -> None:
        """`held` says of which hosts (ids) something is in memory, under way or not committed yet: these are not given
        away until nothing is. One that `keeps` denies is held no longer than it takes to finish what is under way.
        """


class Store(RunLog, Rules, Seeds, Exclusions, DueReads, Checks, Commits, WarcLog, Figures, Protocol):
    """A crawl database, open for one run."""

    @property
    def share(self) -> Share:
        """What of the crawl is this process's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Seeds that somebody left for the crawl. `name` is for people, and for `Inbox.remove`."""

    name: str
    seeds: Sequence[Seed]


class Inbox(Protocol):
    """Where notes are left for a crawl that may be running."""

    def notes(self) -> AsyncIterator[Note]:
        """The notes, oldest first. Cheap if there are none, since this runs every second."""

    async def remove(self, note: Note) -> None:
        """The note's seeds are committed. One that is not removed is read again, which does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Rows that were removed, or would be; sizes in bytes. `freed` is space within the database that will be reused;
    for a dry run, it is the size of the texts and bodies alone, which is a little less.
    """

    pages: int
    links: int
    fetches: int
    bodies: int
    freed: int
    size_before: int
    size_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """A version of a page whose body may be read again. `size` is that of the body; None: it was not kept."""

    page_id: int
    url_id: int
    url: str
    size: int | None


class Extraction(Protocol):
    """A crawl's stored pages, to be read again by extraction rules."""

    async def rules(self) -> tuple[Rule, ...]:
        """All that were ever used."""

    async def use_rules(self, rules: Sequence[Rule], *, again: bool) -> dict[str, int]:
        """See `Rules.use_rules`; `again`: no page counts as read by them."""

    async def drop_rule(self, name: str) -> int | None:
        """Forget a rule, its rows and its view; returns how many rows that were, None if there is no such rule."""

    async def unread(self, names: Sequence[str], limit: int) -> list[StoredPage]:
        """The oldest versions that some of these rules have not read. Those that `store` was told of are read."""

    async def bodies(self, pages: Sequence[StoredPage]) -> dict[int, EarlierBody]:
        """By version."""

    async def store(
        self, names: Sequence[str], pages: Sequence[StoredPage], found: Mapping[int, Sequence[Extract]]
    ) -> None:
        """What these rules have found on the pages that `unread` gave last, by version, takes the place of what they
        had; a page that is missing in `found` could not be read, and keeps its rows.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUnderWay:
    """A run that others may take part in: its options, and the versions of crawler that work on it."""

    options: dict[str, Any]
    programs: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A process that takes part in a run, as it said `seen_s` seconds ago. `pages` and `under_way` (requests): None
    where it has not said.
    """

    name: str
    program: str
    run_id: int | None
    partitions: int
    pages: int | None
    pages_per_s: float | None
    under_way: int | None
    seen_s: float
    is_draining: bool
    is_dead: bool


class Database(Protocol):
    """Where a crawl is stored, whether it exists yet or not, and what can be done with it without a `Store`.

    Created by `location.database_at`. One run holds it at a time; every writer must hold it.
    """

    def exists(self) -> bool:
        """Whether it exists already; if not, a run creates it. Raises for what cannot be a database."""

    def hold(self) -> AbstractContextManager[None]:
        """Hold the database for this process. Raises `DatabaseBusyError`, within a moment, where another run does."""

    def is_held(self) -> bool:
        """Whether a run holds the database at this moment."""

    def refuse_if_held(self) -> None:
        """Raise `DatabaseBusyError` if a run holds it: an early check, before the work of starting a run.

        It may still be held when the caller tries to hold it.
        """

    def holder(self) -> str | None:
        """What holds the database at this moment ('process 12'), None if nothing does."""

    def stop_run(self) -> str | None:
        """Ask the run that holds it to end cleanly; returns what runs it ('process 12'), or None if no run does.

        Raises `UsageError` if it cannot be asked.
        """

    def size_bytes(self) -> int:
        """What it takes up now."""

    def files(self) -> Sequence[Path]:
        """The files that it consists of, with symbolic links resolved; nothing else may be written to them."""

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run, even of a database written by an older version; None if there was no run.

        Leaves out what an ended run was told to refetch, since that is done.
        """

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Open it for a run, and create it if it is missing; the caller holds it."""

    async def run_under_way(self) -> RunUnderWay | None:
        """The run that this process may take part in, None if there is none. Raises `UsageError` for a database that is
        one process's.
        """

    def open_share(self, name: str) -> AbstractAsyncContextManager[Store]:
        """Open it for a process that takes part in the run of another (`Store.join_run`), and is called `name`."""

    def workers(self) -> Sequence[WorkerState] | None:
        """The processes that take part in a run, of which several can; None: the database is one process's."""

    def inbox(self, notify: Callable[[str], None]) -> Inbox:
        """The crawl's side of its notes. `notify` gets a line about each file that looks like a note but is none."""

    def leave_note(self, texts: Iterable[str | Seed]) -> int:
        """Leave seeds for the crawl; returns how many. Raises `UsageError` for a bad one, and then leaves none.

        Seeds with credentials are refused, since credentials are never stored.
        """

    async def backup(self, copy: Path, progress: Callable[[int, int], None]) -> int:
        """Copy what is committed now to a new file, also while a run writes, and verify it; returns its size in bytes.

        `progress` is told how many bytes of how many are copied, on any thread. Raises `UsageError` if the file exists
        or cannot be written.
        """

    def open_extraction(self) -> AbstractAsyncContextManager[Extraction]:
        """Open it to read stored pages again; the caller holds it. Raises `DatabaseFailedError` if there is none."""

    async def prune(
        self, *, keep_versions: int = 1, before: float | None = None, vacuum: bool = False, dry_run: bool = False
    ) -> Pruned:
        """Remove all but the `keep_versions` newest versions of each page. With `before`, remove only what was fetched
        before that time, including attempts, which stay otherwise. `vacuum` shrinks the file by rewriting the whole
        database. The caller holds it.
        """
