"""add / feed / finish: the workbench, the store and the bounded queue put together.

Invariants: a URL is lent by one task (`feed`), which holds the ids that are in memory, lent or not yet committed, so
that none is lent twice; a claim is put on the queue only for a worker that is idle, since one that waited there would
spoil the pacing; what robots.txt forbids is never lent.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.frontier.admission import Admission
from crawler.frontier.rules import RulesBook
from crawler.frontier.workbench import HostState, Workbench
from crawler.policy.outcome import RobotsVerdict, decide_robots
from crawler.policy.scope import Scope
from crawler.records import (
    Claim,
    Failure,
    FailureKind,
    HostRecord,
    Response,
    RobotsCopy,
    SeedMark,
    Target,
    UrlKind,
    UrlStatus,
    Verdict,
    Visit,
)
from crawler.storage.store import Store
from crawler.storage.writer import Writer
from crawler.urls import normalize, origin_of, scheme_of

WINDOW = 4096  # claims in memory, all hosts together
_MAX_WINDOW_PER_HOST = 512
_MAX_HOSTS = 4096  # in memory; the others wait on disk
_REFILL_HOSTS = 256  # asked for in one query
_SWEEP_EVERY_S = 1.0
ROBOTS_MAX_AGE_S = 86400.0  # RFC 9309, 2.4


class Frontier:
    """What next, and when. `feed` runs as one task; workers call the rest."""

    def __init__(
        self, config: CrawlConfig, store: Store, counters: Counters, clock: Clock, notify: Callable[[str], None]
    ) -> None:
        self._config = config
        self._store = store
        self._counters = counters
        self._clock = clock
        self._notify = notify
        self._admission = Admission(config.scope, Scope(config.scope))
        self._rules = RulesBook(config.network.product_token)
        self._workbench = Workbench(
            delay_s=config.politeness.delay_s,
            per_host=config.politeness.per_host,
            per_ip=config.politeness.per_ip,
            concurrency=config.politeness.concurrency,
        )
        self.writer = Writer(store, clock.wall, self._committed)
        self._queue: asyncio.Queue[Claim] = asyncio.Queue(config.politeness.concurrency)
        self._idle_workers = 0
        self.all_idle = asyncio.Event()  # no worker has anything to do
        self._wake = asyncio.Event()
        self._stopping = False
        self._allowance = config.scope.max_pages  # pages that may still be lent
        self._held: defaultdict[int, set[int]] = defaultdict(set)  # host id -> URL ids in memory, lent or uncommitted
        self._released: list[tuple[int, int]] = []  # committed since the last read
        self._uncommitted = 0
        self._hungry: set[int] = set()
        self._gained: dict[int, HostRecord] = {}  # hosts that a commit found due and that are not in memory
        self._poll_at = 0.0  # when to ask the store for due hosts again (monotonic)
        self._sweep_at = 0.0

    # --- the story: open, feed, claim, finish -------------------------------------------------------------------

    async def open(self, seeds: Sequence[Target], pages_stored: int) -> bool:
        """Add the seeds, take up the scope of earlier ones, and count what this run has stored before it was killed.

        Returns whether the new seeds widen the scope.
        """
        if self._allowance is not None:
            self._allowance = max(0, self._allowance - pages_stored)
        for url in await self._store.roots():
            self._admission.widen(url)
        widened = [self._admission.widen(seed.url) for seed in seeds]
        targets = [self._admission.target(seed.url, depth=0, seed=seed.seed) for seed in seeds]
        await self._store.add(targets, self._clock.wall())
        return any(widened)

    async def readmit(self) -> int:
        """Decide again, in batches, about what earlier options excluded; returns how many URLs may enter now."""
        readmitted, last_id = 0, 0
        while batch := await self._store.excluded(last_id, limit=5000):
            last_id = batch[-1][0]
            ids = [row_id for row_id, target in batch if self._may_enter(target)]
            readmitted += len(ids)
            if ids:
                await self._store.readmit(ids, self._clock.wall())
        return readmitted

    async def feed(self) -> str:
        """Lend claims until nothing is left to do; returns why: 'complete', 'max_pages' or 'stopped'."""
        while not self._stopping:
            self._wake.clear()
            self._lend()
            if self._is_spent():
                return "max_pages"
            await self._sweep()
            if await self._refill():
                continue
            if await self._nothing_left():
                return "complete"
            await self._sleep()
        return "stopped"

    async def claim(self) -> Claim:
        """The next claim, for a worker that is idle."""
        self._idle_workers += 1
        if self._idle_workers == self._config.politeness.concurrency:
            self.all_idle.set()
        self._wake.set()
        try:
            return await self._queue.get()
        except asyncio.CancelledError:
            self._idle_workers -= 1
            raise

    async def finish(self, visit: Visit) -> None:
        """Take back a claim with what it led to, and have it committed."""
        claim = visit.claim
        finish = self._finish_robots if claim.kind is UrlKind.ROBOTS else self._finish_page
        visits = finish(visit)
        for one in visits:
            await self._put(one)
        self._wake.set()

    def stop(self) -> None:
        """Lend nothing more."""
        self._stopping = True
        self._wake.set()

    # --- what a visit asks (see visit.Ledger) -------------------------------------------------------------------

    def admit(self, claim: Claim, address: str) -> bool:
        """Whether a request may go to this address now; where not, the claim is back in the workbench."""
        admitted = self._workbench.admit(claim, address)
        if not admitted:
            self._give_back(claim)
            self._wake.set()
        return admitted

    def sent(self, claim: Claim) -> None:
        """The claim's request has just been sent: pacing counts from now."""
        self._workbench.sent(claim, self._clock.monotonic())
        self._wake.set()

    def failures_of(self, claim: Claim) -> int:
        """How often in a row the claim's host has failed."""
        return self._workbench.host(claim.host_id).failures

    # --- for the screen -----------------------------------------------------------------------------------------

    def hosts(self) -> Iterable[HostState]:
        """The hosts in memory."""
        return self._workbench.hosts()

    # --- lending ------------------------------------------------------------------------------------------------

    def _lend(self) -> None:
        now = self._clock.monotonic()
        while self._idle_workers and self._allowance != 0:
            claim = self._workbench.take(now)
            if claim is None:
                return
            if self._allowance is not None and claim.kind is UrlKind.PAGE:
                self._allowance -= 1
            self._note_hunger(self._workbench.host(claim.host_id))
            self._idle_workers -= 1
            self.all_idle.clear()
            self._queue.put_nowait(claim)

    def _give_back(self, claim: Claim) -> None:
        if self._allowance is not None and claim.kind is UrlKind.PAGE:
            self._allowance += 1

    def _window(self) -> int:
        """Claims to keep in memory for each host."""
        return max(8, min(_MAX_WINDOW_PER_HOST, WINDOW // max(1, len(self._workbench))))

    def _is_spent(self) -> bool:
        return self._allowance == 0 and not self._workbench.lent

    async def _sleep(self) -> None:
        moments = [self._poll_at, self._sweep_at]
        ready_at = self._workbench.next_ready_at()
        if ready_at is not None and self._idle_workers and self._allowance != 0:
            moments.append(ready_at)
        timeout_s = max(0.0, min(moments) - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _nothing_left(self) -> bool:
        """Nothing lent, nothing uncommitted, and nothing that falls due soon enough to wait for."""
        if self._workbench.lent or self._uncommitted or self._hungry or self._gained or self._wake.is_set():
            return False
        if any(host.claims or host.waiting for host in self._workbench.hosts() if host.allowance != 0):
            return False
        now = self._clock.wall()
        if await self._due_hosts(1):
            self._poll_at = 0.0
            return False
        due_at = await self._store.next_due_at(now)
        if due_at is not None and due_at - now <= self._config.run.max_wait_s:
            self._poll_at = min(self._poll_at, self._clock.monotonic() + due_at - now)
            return False
        return not self._wake.is_set()

    # --- refilling ----------------------------------------------------------------------------------------------

    async def _refill(self) -> bool:
        """Bring due URLs into memory; True where something may be lent that could not be before."""
        await self._load_hosts()
        hungry = [self._workbench.host(host_id) for host_id in self._hungry if host_id in self._workbench]
        hungry = [host for host in hungry if host.more and not host.waiting and host.allowance != 0]
        wanted = hungry[:_REFILL_HOSTS]
        self._hungry = {host.host_id for host in hungry[_REFILL_HOSTS:]}
        claims = await self._due_claims(wanted)
        for claim in claims:
            await self._take_in(claim)
        return bool(claims)

    async def _load_hosts(self) -> None:
        room = _MAX_HOSTS - len(self._workbench)
        now = self._clock.monotonic()
        if room <= 0:
            return
        records = [record for record in self._gained.values() if record.host_id not in self._workbench]
        self._gained = {record.host_id: record for record in records[room:]}
        del records[room:]
        if now >= self._poll_at:
            records += await self._due_hosts(room)
        records = list({record.host_id: record for record in records}.values())
        if records:
            for copy in await self._store.robots_of(record.host_id for record in records):
                if copy.expires_at > self._clock.wall():
                    self._rules.learn(copy)
            for record in records:
                self._add_host(record)

    async def _due_hosts(self, room: int) -> list[HostRecord]:
        """Hosts on disk that are due; and when to look again."""
        now = self._clock.wall()
        limit = len(self._workbench) + min(room, _REFILL_HOSTS)
        records = await self._store.due_hosts(now, self._config.scope.max_pages_per_host, limit)
        if len(records) < limit:
            due_at = await self._store.next_due_at(now)
            pause_s = max(0.05, due_at - now) if due_at is not None else 60.0
            self._poll_at = self._clock.monotonic() + min(pause_s, 60.0)
        return [record for record in records if record.host_id not in self._workbench]

    def _add_host(self, record: HostRecord) -> None:
        if record.host_id in self._workbench:
            return
        most = self._config.scope.max_pages_per_host
        allowance = None if most is None else max(0, most - record.run_pages)
        ready_at = self._clock.monotonic() + max(0.0, record.back_off_until - self._clock.wall())
        host = self._workbench.add_host(
            record.host_id, record.name, ready_at=ready_at, failures=record.failures, allowance=allowance
        )
        self._slow_down(host, (f"http://{record.name}", f"https://{record.name}"))
        self._hungry.add(record.host_id)

    def _slow_down(self, host: HostState, origins: Iterable[str]) -> None:
        """A robots.txt may ask for more delay, never for less."""
        if not self._config.politeness.ignore_robots:
            host.delay_s = max(host.delay_s, self._rules.crawl_delay_s(origins))

    async def _due_claims(self, hosts: Sequence[HostState]) -> list[Claim]:
        """Claims of these hosts that are not held yet; they are held from now on."""
        self._release_committed()
        window = self._window()
        few = [host for host in hosts if len(self._held[host.host_id]) <= window]
        claims = await self._read_due(few, 2 * window)
        for host in hosts:
            held = len(self._held[host.host_id])
            if host not in few:  # most of what a read shows of these is held: they need to look further
                claims += await self._read_due([host], window + held)
        return claims

    async def _read_due(self, hosts: Sequence[HostState], limit: int) -> list[Claim]:
        if not hosts:
            return []
        for host in hosts:
            host.more = False  # before the read: a commit meanwhile sets it again
        rows = await self._store.due_urls([host.host_id for host in hosts], limit, self._clock.wall())
        read = Counter(claim.host_id for claim in rows)
        for host in hosts:
            host.more = host.more or read[host.host_id] >= limit
        claims = [claim for claim in rows if claim.url_id not in self._held[claim.host_id]]
        for claim in claims:
            self._held[claim.host_id].add(claim.url_id)
        return claims

    async def _take_in(self, claim: Claim) -> None:
        """A claim from the store goes to the workbench, waits for its rules, or is excluded."""
        reason = self._admission.target(
            claim.url, depth=claim.depth, hops=claim.hops, seed=claim.seed, kind=claim.kind
        ).reason
        if reason is not None:
            await self._exclude(claim, reason)
        elif self._config.politeness.ignore_robots:
            self._workbench.offer(self._workbench.host(claim.host_id), [claim])
        elif self._rules.knows(origin_of(claim.url), self._clock.wall()):
            await self._judge(claim)
        else:
            self._await_rules(claim)

    async def _judge(self, claim: Claim) -> None:
        reason = self._rules.forbids(claim)
        if reason is not None:
            await self._exclude(claim, reason)
        else:
            self._workbench.offer(self._workbench.host(claim.host_id), [claim])

    def _await_rules(self, claim: Claim) -> None:
        host = self._workbench.host(claim.host_id)
        host.waiting += 1
        robots = self._rules.await_rules(claim)
        if robots is not None:
            self._workbench.offer(host, [robots], first=True)

    async def _exclude(self, claim: Claim, reason: str) -> None:
        await self._put(Visit(claim=claim, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=reason)))

    # --- finishing ----------------------------------------------------------------------------------------------

    def _finish_page(self, visit: Visit) -> list[Visit]:
        claim, verdict = visit.claim, visit.verdict
        links = tuple(self._admission.links(visit.page, claim)) if visit.page is not None else ()
        targets = [target for target, _link in links]
        targets += self._admission.entries(visit.entries, claim)
        onward = self._onward(visit)
        if onward is not None:
            targets.append(onward)
        if _should_fall_back(claim, visit.attempt):
            verdict = replace(verdict, status=UrlStatus.FAILED, retry_in_s=None, back_off_s=None)
            targets.append(self._fall_back(claim))
        visit = replace(visit, verdict=verdict, links=links, targets=tuple(targets), entries=())
        return [self._take_back(visit)]

    def _onward(self, visit: Visit) -> Target | None:
        target = self._admission.onward(visit)
        if target is not None and target.seed and self._admission.widen(target.url):
            self._notify(f"{visit.claim.url} leads to {target.url}: {target.host} belongs to the scope now")
        return target

    def _fall_back(self, claim: Claim) -> Target:
        """A seed without a scheme that does not answer by https is tried by http."""
        url = "http" + claim.url.removeprefix("https")
        self._admission.widen(url)
        self._notify(f"{claim.url} does not answer; trying {url}")
        return self._admission.target(url, depth=0, seed=SeedMark.YES)

    def _finish_robots(self, visit: Visit) -> list[Visit]:
        claim, attempt = visit.claim, visit.attempt
        if attempt is None:
            raise AssertionError("a robots.txt is never decided without a request")
        origin = origin_of(claim.url)
        waiting = self._rules.waiting(origin)
        impatient = any(_should_fall_back(one, attempt) for one in waiting)
        retries = self._config.network.retries
        decision = decide_robots(
            claim, attempt, retries=retries, impatient=impatient, jitter=random.random(), now=self._clock.wall()
        )
        if decision.rules is not None:
            return self._obey(visit, decision.rules)
        if decision.failed is not None:
            return self._fail_origin(visit, decision.failed)
        return [self._try_robots_again(visit, decision)]

    def _obey(self, visit: Visit, rules: bytes) -> list[Visit]:
        claim = visit.claim
        origin = origin_of(claim.url)
        now = self._clock.wall()
        status = visit.attempt.status_code if isinstance(visit.attempt, Response) else None
        copy = RobotsCopy(
            origin=origin, status_code=status, body=rules, fetched_at=now, expires_at=now + ROBOTS_MAX_AGE_S
        )
        known = self._rules.learn(copy)
        host = self._workbench.host(claim.host_id)
        self._slow_down(host, (origin,))
        targets = tuple(self._admission.sitemaps(known.sitemaps))
        visits = [self._take_back(replace(visit, robots=copy, targets=targets))]
        for one in self._release_waiting(host, origin):
            reason = self._rules.forbids(one)
            if reason is None:
                self._workbench.offer(host, [one])
            else:
                visits.append(Visit(claim=one, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=reason)))
        self._note_hunger(host)
        return visits

    def _fail_origin(self, visit: Visit, kind: FailureKind) -> list[Visit]:
        """Nothing of this origin can be fetched: its pages fail with that, and a bare seed is tried by http."""
        host = self._workbench.host(visit.claim.host_id)
        visits = [self._take_back(replace(visit, origin_failed=kind))]
        for one in self._release_waiting(host, origin_of(visit.claim.url)):
            fallback = (self._fall_back(one),) if _should_fall_back(one, visit.attempt) else ()
            verdict = Verdict(status=UrlStatus.FAILED, reason=kind, attempts=visit.claim.attempts + 1)
            visits.append(Visit(claim=one, verdict=verdict, targets=fallback))
        return visits

    def _try_robots_again(self, visit: Visit, decision: RobotsVerdict) -> Visit:
        claim = visit.claim
        host = self._workbench.host(claim.host_id)
        again = replace(claim, attempts=claim.attempts + 1)
        verdict = replace(visit.verdict, back_off_s=decision.retry_in_s, host_failed=True)
        copy = RobotsCopy(
            origin=origin_of(claim.url),
            status_code=visit.attempt.status_code if isinstance(visit.attempt, Response) else None,
            fetched_at=self._clock.wall(),
            failures=again.attempts,
        )
        visit = self._take_back(replace(visit, verdict=verdict, robots=copy))
        self._workbench.offer(host, [again], first=True)
        return visit

    def _take_back(self, visit: Visit) -> Visit:
        """Return the claim to the workbench; the visit gets the times that are stored."""
        claim, verdict = visit.claim, visit.verdict
        host = self._workbench.host(claim.host_id)
        if verdict.host_failed is not None:
            host.failures = host.failures + 1 if verdict.host_failed else 0
        now, wall = self._clock.monotonic(), self._clock.wall()
        timed_out = isinstance(visit.attempt, Failure) and visit.attempt.kind is FailureKind.TIMEOUT
        back_off_until = None if verdict.back_off_s is None else now + verdict.back_off_s
        stored = visit.page is not None
        if not stored:
            self._give_back(claim)
        self._workbench.done(claim, now, stored=stored, timed_out=timed_out, back_off_until=back_off_until)
        retry_at = None if verdict.retry_in_s is None else wall + verdict.retry_in_s
        return replace(
            visit,
            next_fetch_at=None if claim.kind is UrlKind.ROBOTS else retry_at,
            back_off_until=None if verdict.back_off_s is None else wall + verdict.back_off_s,
            host_failures=host.failures,
        )

    def _release_waiting(self, host: HostState, origin: str) -> list[Claim]:
        claims = self._rules.release(origin)
        host.waiting -= len(claims)
        return claims

    # --- committing ---------------------------------------------------------------------------------------------

    async def _put(self, visit: Visit) -> None:
        self._uncommitted += 1
        await self.writer.put(visit)

    def _committed(self, visits: Sequence[Visit], hosts: Sequence[HostRecord]) -> None:
        """Called by the writer after each commit."""
        self._uncommitted -= len(visits)
        self._counters.pages += sum(visit.page is not None for visit in visits)
        self._released += [(visit.claim.host_id, visit.claim.url_id) for visit in visits]
        now = self._clock.wall()
        for record in hosts:
            if record.host_id in self._workbench:
                host = self._workbench.host(record.host_id)
                host.more = True
                self._note_hunger(host)
            elif record.next_due_at is not None and record.next_due_at > now:
                self._poll_at = min(self._poll_at, self._clock.monotonic() + record.next_due_at - now)
            elif len(self._gained) < _MAX_HOSTS:
                self._gained[record.host_id] = record
            else:
                self._poll_at = 0.0
        self._wake.set()

    def _note_hunger(self, host: HostState) -> None:
        if host.more and 2 * len(host.claims) < self._window():
            self._hungry.add(host.host_id)

    def _release_committed(self) -> None:
        """Ids are let go only before a read begins: one that began earlier may still show them as due."""
        for host_id, url_id in self._released:
            held = self._held.get(host_id)
            if held is not None:
                held.discard(url_id)
                if not held:
                    del self._held[host_id]
        self._released.clear()

    async def _sweep(self) -> None:
        """Let go of hosts that have nothing to lend, and of those that back off for longer than a run waits."""
        now = self._clock.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_EVERY_S
        for host in list(self._workbench.hosts()):
            idle = not host.lent and host.host_id not in self._hungry
            if idle and (self._is_done_with(host, now) or self._is_put_off(host, now)):
                self._forget(host)

    def _is_done_with(self, host: HostState, now: float) -> bool:
        if host.allowance == 0:
            return True
        return not host.claims and not host.waiting and not host.more and host.ready_at <= now

    def _is_put_off(self, host: HostState, now: float) -> bool:
        return host.backing_off and host.ready_at - now > self._config.run.max_wait_s

    def _forget(self, host: HostState) -> None:
        claims = self._workbench.withdraw(host.host_id) + self._rules.release_host(host.name)
        self._released += [(claim.host_id, claim.url_id) for claim in claims]

    # --- small things -------------------------------------------------------------------------------------------

    def _may_enter(self, target: Target) -> bool:
        judged = self._admission.target(target.url, depth=target.depth, hops=target.hops, kind=target.kind)
        return judged.reason is None


def seed_target(text: str) -> Target | None:
    """A seed as the user wrote it: a URL, or a bare host name (https is tried first); None where it is neither."""
    text = text.strip()
    bare = "://" not in text
    url = normalize(f"https://{text}" if bare else text)
    if url is None:
        return None
    return Target(url=url, host="", seed=SeedMark.BARE if bare else SeedMark.YES)


def _should_fall_back(claim: Claim, attempt: Response | Failure | None) -> bool:
    return (
        claim.seed is SeedMark.BARE
        and scheme_of(claim.url) == "https"
        and isinstance(attempt, Failure)
        and attempt.kind not in (FailureKind.DNS, FailureKind.BLOCKED_ADDRESS)
    )
