"""Brings due hosts and URLs from the store into memory, a bounded window of them, and lets them go again.

Invariants: the ids that are in memory, lent or not yet committed are held, so that no URL is taken twice; an id is let
go only before a read begins, since a read that began before its commit may still show it as due. A host that is let go
has nothing lent or uncommitted and may start a request at once, or backs off for longer than a run waits (the store
knows until when).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from crawler.clock import Clock, Turn
from crawler.config import CrawlConfig
from crawler.frontier.awaiting import AwaitingRules
from crawler.frontier.hosts import HostState
from crawler.frontier.requests import Requests
from crawler.frontier.robots_cache import RobotsCache
from crawler.frontier.workbench import Workbench
from crawler.host_settings import settings_of
from crawler.policy.habits import Habits
from crawler.policy.likeness import known_looks
from crawler.records import Claim, Horizon, HostRecord, Place, Result, RobotsCopy, UrlKind
from crawler.storage.interface import Cursor, DueQueue, Store
from crawler.urls import host_of

_WINDOW = 4096  # claims in memory, all hosts together
_MAX_WINDOW_PER_HOST = 512
_MIN_WINDOW_PER_HOST = 8
_MAX_HOSTS = 4096  # in memory; the others wait on disk
_HOSTS_PER_READ = 256
_HOSTS_AT_ONCE = 16
_MADE_DUE_AT_ONCE = 5_000  # URLs: a tenth of a second in which nothing else is committed
_SWEEP_EVERY_S = 1.0
_POLL_AT_LEAST_EVERY_S = 60.0


class Supply:
    """What the workbench gets to lend."""

    def __init__(
        self,
        config: CrawlConfig,
        store: Store,
        workbench: Workbench,
        awaiting: AwaitingRules,
        robots: RobotsCache,
        clock: Clock,
        due: DueQueue | None = None,
    ) -> None:
        """`due`: what is to be lent; None: the store's pages."""
        self._config = config
        self._store = store
        self._due: DueQueue = store if due is None else due
        self._workbench = workbench
        self._awaiting = awaiting
        self._robots = robots
        self._clock = clock
        self._share = store.share
        self._has_own_limits = any((host.max_pages or host.max_requests) is not None for host in config.hosts)
        self._most_pages_of_any = most_pages_of_any(config)
        self._held: defaultdict[int, set[int]] = defaultdict(set)  # host id -> URL ids in memory, lent or uncommitted
        self._released: list[Claim] = []  # since the last read
        self._needs_refill: set[int] = set()  # hosts in memory with few claims, while the store may have more
        self._gained: dict[int, HostRecord] = {}  # hosts that a commit found due and that are not in memory
        self._poll_at = 0.0  # when to ask the store for due hosts again (monotonic)
        self._polled: Cursor | None = None  # how far it was asked: who stays in front (a limit) is not read each time
        self._sweep_at = 0.0
        self._horizon: Horizon | None = None
        self._stale_left = False  # hosts are left on disk that were not asked for URLs to fetch again
        self._stale_after: Cursor | None = None  # how far they were

    def look_again(self, horizon: Horizon | None) -> None:
        """Also supply what this horizon names, which does not move while the run lasts."""
        self._horizon = horizon
        self._stale_left = horizon is not None

    def lend(self, due: DueQueue) -> None:
        """Bring this into memory from now on, in the place of the store's pages alone."""
        self._due = due

    def release_all(self) -> None:
        """Let go of all hosts; nothing of them is lent or uncommitted."""
        for host in list(self._workbench.hosts()):
            self._workbench.withdraw(host.host_id)
            self._awaiting.release_host(host.name)

    async def refill(self) -> list[Claim]:
        """Claims that are due and not held yet, for hosts that have few; they are held from now on."""
        if leaving := self._sweep():
            await self._give_up(leaving)
        await self._load_hosts()
        hosts = [self._workbench.host(host_id) for host_id in self._needs_refill if host_id in self._workbench]
        hosts = [host for host in hosts if host.more and _may_have_others(host) and not host.reached_limit]
        self._needs_refill = {host.host_id for host in hosts[_HOSTS_PER_READ:]}
        return await self._due_claims(hosts[:_HOSTS_PER_READ])

    def note_if_low(self, host: HostState) -> None:
        """To be called whenever a host's claims have become fewer: with less than half a window it needs a refill."""
        if not host.more:
            return
        most = 2 * host.claims.available
        if most < _MAX_WINDOW_PER_HOST and most < self._window():  # the first saves most of the second
            self._needs_refill.add(host.host_id)

    def _note_gain(self, host: HostState) -> None:
        """The store may have gained URLs of a host in memory."""
        self._workbench.expect_more(host)
        self.note_if_low(host)

    def committed(self, results: Sequence[Result], hosts: Sequence[HostRecord]) -> None:
        """These results are stored; `hosts` are those touched that have something planned."""
        self._released += [result.claim for result in results if not (result.is_kept or result.is_part)]
        now = self._clock.wall()
        for result in results:
            if result.claim.previous is not None and any(one.entry.lastmod is not None for one in result.listed):
                self._ask_again(result.claim.host_id)
            if result.origin_failed is not None and result.claim.host_id in self._workbench:
                host = self._workbench.host(result.claim.host_id)
                self._workbench.set_failing(host, result.claim.origin, failing=False)
                self._note_gain(host)
        for record in hosts:
            if record.host_id in self._workbench:
                self._note_gain(self._workbench.host(record.host_id))
                self._gained.pop(record.host_id, None)  # an older record would let it have its pages again
            elif record.next_due_at is not None and record.next_due_at > now:
                self._poll_at = min(self._poll_at, self._clock.monotonic() + record.next_due_at - now)
            elif len(self._gained) < _MAX_HOSTS:
                self._gained[record.host_id] = record
            else:
                self.poll_now()

    def _ask_again(self, host_id: int) -> None:
        """A sitemap has brought forward what is planned for this host, which is here until its visits are committed."""
        if self._horizon is not None and host_id in self._workbench:
            self._note_gain(self._workbench.host(host_id))

    def hear(self, hosts: Sequence[HostRecord], *, grown: bool) -> None:
        """Others have found URLs of these hosts, or they are new in the share of this process, which has `grown`.

        What is told of them is a second old, maybe: a host that is not here is read anew, else it could have its pages
        again that it has had since.
        """
        here = [self._workbench.host(record.host_id) for record in hosts if record.host_id in self._workbench]
        for host in here:
            self._note_gain(host)
        if grown or len(here) < len(hosts):
            self.poll_now()
        if grown and not self._stale_left:
            self.look_again(self._horizon)

    def held_hosts(self) -> set[int]:
        """The hosts (ids) that are in memory, or of which a claim is held."""
        return {host.host_id for host in self._workbench.hosts()} | self._held.keys()

    async def look_at_all(self, host: HostState) -> None:
        """All of the host is due, whatever was planned; those that were looked at in this run are not."""
        if self._horizon is None or self._horizon.revisit_before is None:
            return
        while await self._store.make_due(host.host_id, self._horizon.revisit_before, _MADE_DUE_AT_ONCE):
            self._note_gain(host)

    def let_go(self, claim: Claim) -> None:
        """Give the claim up; it will be read from the store again if it is still due then."""
        self._released.append(claim)

    def poll_now(self) -> None:
        """Something in the store has become due, wherever it stands in the order."""
        self._poll_at = 0.0
        self._polled = None

    def next_look_at(self) -> float:
        """When `refill` may next have something although nothing was committed (monotonic)."""
        has_room = len(self._workbench) < _MAX_HOSTS  # without room there is nothing to ask the store for
        if has_room and (self._stale_left or self._gained):
            return 0.0
        return min(self._poll_at, self._sweep_at) if has_room else self._sweep_at

    async def is_exhausted(self) -> bool:
        """Whether nothing is in memory, and nothing falls due on disk soon enough to wait for."""
        if self._stale_left or self._needs_refill or self._gained:
            return False
        if any(_has_work(host) for host in self._workbench.hosts()):
            return False
        now = self._clock.wall()  # one moment for both questions: nothing may fall due between them
        if await self._is_any_due(now) or self._needs_refill:
            self.poll_now()
            return False
        due_at = await self._due.next_due_at(now)
        return due_at is None or due_at - now > self._config.run.max_wait_s

    # --- hosts --------------------------------------------------------------------------------------------------

    async def _load_hosts(self) -> None:
        room = _MAX_HOSTS - len(self._workbench)
        if room <= 0:
            return
        gained = [record for record in self._gained.values() if record.host_id not in self._workbench]
        records = [record for record in gained if self._share.keeps(record.host_id)]
        self._gained = {record.host_id: record for record in records[room:]}
        del records[room:]
        limit = min(room, _HOSTS_PER_READ)
        if self._clock.monotonic() >= self._poll_at:
            records += await self._due_hosts(limit, self._clock.wall())
        if self._horizon is not None and self._stale_left:
            records += await self._stale_hosts(self._horizon, limit)
        turn = Turn(self._clock)
        for start in range(0, len(records), _HOSTS_AT_ONCE):
            if await turn.pause():  # it takes long: what is here shall be lent before the others come
                self._gained = {record.host_id: record for record in records[start:]} | self._gained  # the newer wins
                return
            some = records[start : start + _HOSTS_AT_ONCE]
            copies = await self._store.robots_of(record.host_id for record in some)
            places = await self._places_of(some)
            for copy in copies:
                if self._robots.recall(copy, self._clock.wall()):
                    self._awaiting.rules_arrived(copy.origin)
            for record in some:
                self._add_host(record, places.get(record.host_id, ()))
            self._restore_pauses(copies, {record.name: record.host_id for record in some})

    async def _places_of(self, records: Sequence[HostRecord]) -> Mapping[int, Sequence[Place]]:
        """Of each host, where something is looked at again."""
        found: defaultdict[int, list[Place]] = defaultdict(list)
        if self._horizon is not None:
            for place in await self._store.places_of(record.host_id for record in records):
                found[place.host_id].append(place)
        return found

    def _restore_pauses(self, copies: Iterable[RobotsCopy], host_ids: Mapping[str, int]) -> None:
        """What an earlier run was asked for, or has found out, holds in this one, too."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for copy in copies:
            if copy.paused_until > wall:
                host = self._workbench.host(host_ids[host_of(f"{copy.origin}/")])
                origin = host.claims.origin(copy.origin)
                self._workbench.pause(host, origin, now, now + copy.paused_until - wall, copy.pause_reason or "")

    async def _due_hosts(self, limit: int, now: float) -> list[HostRecord]:
        """The next hosts on disk that are due, without those in memory; after the last, when to begin anew."""
        batch = await self._due.due_hosts(now, self._most_pages_of_any, limit, self._polled)
        self._polled = batch.next
        if batch.next is None:
            due_at = await self._due.next_due_at(now)
            pause_s = _POLL_AT_LEAST_EVERY_S if due_at is None else max(0.05, due_at - now)
            self._poll_at = self._clock.monotonic() + min(pause_s, _POLL_AT_LEAST_EVERY_S)
        return self._absent(batch.rows)

    async def _is_any_due(self, now: float) -> bool:
        """Whether a host is due that is not in memory."""
        limit, after = len(self._workbench) + 1, None
        while True:
            batch = await self._due.due_hosts(now, self._most_pages_of_any, limit, after)
            if self._absent(batch.rows):
                return True
            if not self._has_own_limits or batch.next is None:
                return False
            after = batch.next  # some had the pages that their own settings allow, and may stand before others

    def _absent(self, records: Iterable[HostRecord]) -> list[HostRecord]:
        """Those that are not in memory and may lend. Each is looked up: those here get what has become due."""
        absent = [one for one in records if not self._is_at_limit(one) and not self._is_here(one.host_id)]
        return [record for record in absent if self._share.keeps(record.host_id)]

    def _is_at_limit(self, record: HostRecord) -> bool:
        """By its own settings; the store knows the limit of all hosts."""
        if not self._has_own_limits:
            return False
        pages, requests = self._most_pages(record), self._most_requests(record)
        return (pages is not None and record.run_pages >= pages) or (
            requests is not None and record.run_requests >= requests
        )

    def _most_pages(self, record: HostRecord) -> int | None:
        own = settings_of(record.name, self._config.hosts).max_pages
        return self._config.scope.max_pages_per_host if own is None else own

    def _most_requests(self, record: HostRecord) -> int | None:
        return settings_of(record.name, self._config.hosts).max_requests

    async def _stale_hosts(self, horizon: Horizon, limit: int) -> list[HostRecord]:
        """The next hosts that have something to be fetched again: each is asked once, as the horizon stands still."""
        latest_back_off = self._clock.wall() + self._config.run.max_wait_s
        most = self._most_pages_of_any
        batch = await self._store.stale_hosts(horizon, most, limit, latest_back_off, self._stale_after)
        self._stale_left, self._stale_after = batch.next is not None, batch.next
        return self._absent(batch.rows)

    def _is_here(self, host_id: int) -> bool:
        """Whether the host is in memory; one that has nothing to lend there gets what has become due since."""
        if host_id not in self._workbench:
            return False
        host = self._workbench.host(host_id)
        if not host.claims:
            self._note_gain(host)
        return True

    def _add_host(self, record: HostRecord, places: Sequence[Place]) -> None:
        if record.host_id in self._workbench:
            return
        own = settings_of(record.name, self._config.hosts)
        most = self._most_pages(record)
        taken_at, now, wall = self._share.taken_over_at(record.host_id), self._clock.monotonic(), self._clock.wall()
        self._workbench.add_host(
            record.host_id,
            record.name,
            ready_at=now + max(0.0, record.back_off_until - wall),
            asked_at=None if taken_at is None else now + taken_at - wall,
            crawl_delay_s=0.0 if self._config.politeness.ignore_robots else self._robots.crawl_delay_s(record.name),
            pace_s=record.pace_s,
            allowance=None if most is None else max(0, most - record.run_pages),
            requests=None if own.max_requests is None else Requests.of(own.max_requests, spent=record.run_requests),
            habits=None if self._horizon is None else Habits(known_looks(places), record.redesigned_at),
            delay_s=own.delay_s,
            per_host=own.per_host,
        )
        self._needs_refill.add(record.host_id)

    def _sweep(self) -> list[HostState]:
        """Let go of hosts that have nothing to lend, and of those that back off for longer than a run waits.

        Returns those that are to be another process's, and of which nothing is under way any more.
        """
        now, leaving = self._clock.monotonic(), list[HostState]()
        if now < self._sweep_at:
            return leaving
        self._sweep_at = now + _SWEEP_EVERY_S
        for host in list(self._workbench.hosts()):
            if not self._share.keeps(host.host_id):
                self._workbench.dry_up(host)
                if not (host.lent or host.finishing or self._is_uncommitted(host)):
                    leaving.append(host)
                continue
            idle = not host.lent and host.host_id not in self._needs_refill
            over = idle and (_is_done_with(host, now) or self._pauses_for_long(host, now))
            if over and not self._is_uncommitted(host):  # which takes longest to find out: last
                self._let_go(host)
        return leaving

    def _let_go(self, host: HostState) -> None:
        self._released += self._workbench.withdraw(host.host_id)
        self._released += self._awaiting.release_host(host.name)

    async def _give_up(self, leaving: Sequence[HostState]) -> None:
        """Whoever takes these over is to know until when they pause."""
        await self._store.keep_pauses(pauses_of(leaving, self._clock))
        for host in leaving:
            self._let_go(host)

    def _is_uncommitted(self, host: HostState) -> bool:
        """Whether the store does not know of all its visits yet: who asked it now would be told of too few pages."""
        held = self._held.get(host.host_id, ())
        return len(held) > host.waiting + sum(claim.url_id in held for claim in host.claims)

    def _pauses_for_long(self, host: HostState, now: float) -> bool:
        return host.backing_off and host.ready_at - now > self._config.run.max_wait_s

    # --- claims -------------------------------------------------------------------------------------------------

    async def _due_claims(self, hosts: Sequence[HostState]) -> list[Claim]:
        self._drop_released()
        window = self._window()
        few = [host for host in hosts if len(self._held[host.host_id]) <= window]
        claims = await self._read_due(few, 2 * window)
        for host in hosts:
            held = len(self._held[host.host_id])
            if held > window and host not in few:  # most of what a read shows is held: this one looks further
                claims += await self._read_due([host], window + held)
        return claims

    async def _read_due(self, hosts: Sequence[HostState], limit: int) -> list[Claim]:
        if not hosts:
            return []
        without = []
        for host in hosts:
            full = self._full_origins(host)
            without += full
            self._workbench.expect_more(host, more=bool(full))  # before the read: a commit meanwhile sets it again
        host_ids = [host.host_id for host in hosts]
        rows = await self._due.due_urls(host_ids, limit, self._clock.wall(), without)
        if self._horizon is not None:
            rows += await self._stale_claims(hosts, self._horizon, without)
            rows.sort(key=_by_turns())
        self._note_full_reads(hosts, rows, limit)
        claims = [claim for claim in rows if claim.url_id not in self._held[claim.host_id]]
        for claim in claims:
            self._held[claim.host_id].add(claim.url_id)
        return claims

    def _full_origins(self, host: HostState) -> list[str]:
        """The origins of the host that may lend nothing for now, and of which enough is in memory: what else they have
        would stand before what the others have.
        """
        full = [origin.name for origin in host.claims.origins() if origin.failing]  # what it has fails by itself
        if not host.waiting and host.claims.available == len(host.claims):
            return full
        for origin in host.claims.origins():
            waiting = len(self._awaiting.waiting(origin.name))
            if (origin.parked or waiting) and len(origin.claims) + waiting >= self._window():
                full.append(origin.name)
        return full

    async def _stale_claims(self, hosts: Sequence[HostState], horizon: Horizon, without: Sequence[str]) -> list[Claim]:
        window = self._window()
        host_ids = [host.host_id for host in hosts]
        held = [url_id for host_id in host_ids for url_id in self._held[host_id]]
        claims = await self._store.stale_urls(host_ids, window, horizon, held, without)
        self._note_full_reads(hosts, claims, window)
        return claims

    def _note_full_reads(self, hosts: Sequence[HostState], claims: Iterable[Claim], limit: int) -> None:
        """Of a host that gave as many claims as were asked for, the store may hold more."""
        read = Counter(claim.host_id for claim in claims)
        for host in hosts:
            if read[host.host_id] >= limit:
                self._workbench.expect_more(host)

    def _drop_released(self) -> None:
        for claim in self._released:
            held = self._held[claim.host_id]
            held.discard(claim.url_id)
            if not held:
                del self._held[claim.host_id]
        self._released.clear()

    def _window(self) -> int:
        """Claims to keep in memory for each host."""
        return max(_MIN_WINDOW_PER_HOST, min(_MAX_WINDOW_PER_HOST, _WINDOW // max(1, len(self._workbench))))


def _by_turns() -> Callable[[Claim], tuple[bool, int, bool]]:
    """The key by which each host's hubs take turns with the rest: what is new, what a sitemap announced, then by plan.
    What is only checked comes last.

    Were all hubs first, a budget that they use up each night would leave what they have brought for ever.
    """

    places: defaultdict[tuple[int, bool], int] = defaultdict(int)

    def place(claim: Claim) -> tuple[bool, int, bool]:
        is_hub = claim.is_hub
        place = places[claim.host_id, is_hub] = places[claim.host_id, is_hub] + 1
        return claim.kind is UrlKind.CHECK, place, not is_hub

    return place


def most_pages_of_any(config: CrawlConfig) -> int | None:
    """The pages that no host may have more of, whatever its own settings; None: any number."""
    most = config.scope.max_pages_per_host
    return None if most is None else max([most, *(host.max_pages or 0 for host in config.hosts)])


def without_page_limits(config: CrawlConfig) -> CrawlConfig:
    """The same, where any number of pages may come from any host."""
    hosts = tuple(replace(host, max_pages=None) for host in config.hosts)
    return replace(config, scope=replace(config.scope, max_pages=None, max_pages_per_host=None), hosts=hosts)


def pauses_of(hosts: Iterable[HostState], clock: Clock) -> list[tuple[int, float]]:
    """The hosts (ids) that may not be asked for anything yet, and until when (Unix seconds)."""
    now, wall = clock.monotonic(), clock.wall()
    return [(host.host_id, wall + host.ready_at - now) for host in hosts if host.ready_at > now]


def _may_have_others(host: HostState) -> bool:
    """Whether the store may have something else than what waits for the first robots.txt of this host."""
    return not host.waiting or host.answered or host.next_pause_end is not None


def _has_work(host: HostState) -> bool:
    return not host.reached_limit and bool(host.claims or host.waiting)


def _is_done_with(host: HostState, now: float) -> bool:
    if host.reached_limit:
        return True
    return not host.claims and not host.waiting and not host.more and host.ready_at <= now
