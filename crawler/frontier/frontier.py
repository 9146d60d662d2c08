"""add / feed / finish: the workbench, the store and the bounded queue put together.

Invariants: claims are lent by one task (`feed`), and only to a worker that is idle, since a claim that waited in the
queue would spoil the pacing; what robots.txt forbids is never lent; a page is lent only against the run's allowance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from crawler.clock import Clock, Turn
from crawler.config import CrawlConfig, ScopeRule
from crawler.counters import Counters
from crawler.frontier.admission import Admission
from crawler.frontier.bounds import ALIKE, Bounds
from crawler.frontier.conclusion import Conclusion, excluded
from crawler.frontier.rules import RulesBook
from crawler.frontier.supply import Supply
from crawler.frontier.workbench import HostState, Workbench
from crawler.policy.monotony import ALIKE_PAGES
from crawler.policy.recrawl import Rhythm
from crawler.policy.scope import Scope
from crawler.records import ANSWERED, Claim, HostRecord, Result, Target, UrlKind, Visit
from crawler.seeds import Seed
from crawler.storage.interface import Store
from crawler.storage.writer import Writer

_READMIT_BATCH = 5000


class Frontier:
    """What next, and when. `feed` runs as one task; workers call `claim` and `finish`."""

    def __init__(
        self, config: CrawlConfig, store: Store, counters: Counters, clock: Clock, notify: Callable[[str], None]
    ) -> None:
        self._config = config
        self._store = store
        self._counters = counters
        self._clock = clock
        self._notify = notify
        self._bounds = Bounds(config.scope)
        self._admission = Admission(config.scope, Scope(config.scope), self._bounds)
        self._rules = RulesBook(config.network.product_token)
        self._workbench = Workbench(
            delay_s=config.politeness.delay_s,
            per_host=config.politeness.per_host,
            per_ip=config.politeness.per_ip,
            concurrency=config.politeness.concurrency,
        )
        self._supply = Supply(config, store, self._workbench, self._rules, clock)
        self._conclusion = Conclusion(config, self._workbench, self._admission, self._rules, counters, clock, notify)
        self.writer = Writer(store, clock.wall, self._committed)
        self._queue: asyncio.Queue[Claim] = asyncio.Queue(config.politeness.concurrency)
        self._idle_workers = 0
        self.all_idle = asyncio.Event()  # no worker has anything to do
        self._wake = asyncio.Event()
        self._stopping = False
        self._allowance = config.scope.max_pages  # pages that may still be lent
        self._uncommitted = 0  # results
        self.any_tried = False  # a URL; a robots.txt that had expired may have been fetched again without that

    # --- the story: open, feed, claim, finish -------------------------------------------------------------------

    async def open(self, seeds: Sequence[Seed], pages_stored: int, rhythm: Rhythm) -> bool:
        """Add the seeds, take up the scope of earlier ones, and count what this run has stored before it was killed.

        `rhythm` says what is to be fetched again. A seed that failed before is due again: it was asked for. Returns
        whether the new seeds widen the scope.
        """
        if self._allowance is not None:
            self._allowance = max(0, self._allowance - pages_stored)
        self._supply.look_again(rhythm.horizon)
        self._conclusion.pace = rhythm.pace
        for url in await self._store.roots():
            self._admission.widen(url)
        self._bounds.restore(await self._store.reasons(ALIKE, ALIKE_PAGES))
        await self._fill_hosts()
        await self._store.forget_forbidden(self._clock.wall(), every=self._config.politeness.ignore_robots)
        # After that: a host that was forbidden whole is one of its domain's again.
        if self._config.scope.scope in (ScopeRule.DOMAIN, ScopeRule.ANY):  # else all hosts are the seeds'
            await self._store.limit_hosts(self._config.scope.max_hosts_per_domain)
        widened = await self._add(seeds)
        if self._config.recrawl.retry_failed:
            await self._store.retry_failed(self._clock.wall())
        return widened

    async def join(self, seeds: Sequence[Seed]) -> int:
        """Add seeds while the crawl runs; returns how many excluded URLs may enter because they widen the scope."""
        readmitted = await self.readmit() if await self._add(seeds) else 0
        self._supply.poll_now()
        self._wake.set()
        return readmitted

    async def _add(self, seeds: Sequence[Seed]) -> bool:
        widened = [self._admission.widen(seed.url) for seed in seeds]
        targets = [self._admission.target(seed.url, depth=0, seed=seed.target.seed) for seed in seeds]
        if any(widened):
            await self._store.set_decided(False)  # before a seed is stored that would not widen it once more
        now = self._clock.wall()
        await self._store.add(targets, now)
        await self._store.retry([url for seed in seeds for url in (seed.url, seed.twin) if url is not None], now)
        return any(widened)

    async def readmit(self) -> int:
        """Decide again, in batches, about what earlier options excluded; returns how many URLs may enter now.

        Where this is broken off, the next run begins it anew.
        """
        readmitted = 0
        batch = await self._store.excluded(None, _READMIT_BATCH)
        while batch.rows:
            if self._stopping:
                return readmitted
            urls = [target.url for target in batch.rows if self._admission.may_enter(target)]
            if urls:
                readmitted += await self._store.readmit(urls, self._clock.wall())
                await self._fill_hosts()
            if batch.next is None:
                break
            batch = await self._store.excluded(batch.next, _READMIT_BATCH)
        await self._store.set_decided(True)
        self._tell_full_domains()
        return readmitted

    async def _fill_hosts(self) -> None:
        self._fill(await self._store.full_hosts(self._config.scope.max_urls_per_host))

    def _fill(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            if self._admission.fill(host):
                most = self._config.scope.max_urls_per_host
                self._notify(f"{host} has {most:,} URLs; no more of them are taken in (--max-urls-per-host)")

    def _tell_full_domains(self) -> None:
        for domain in self._store.full_domains():
            most = self._config.scope.max_hosts_per_domain
            self._notify(f"{domain} has {most:,} hosts; no more of them are taken in (--max-hosts-per-domain)")

    async def feed(self) -> str:
        """Lend claims until nothing is left to do; returns why: 'complete', 'max_pages' or 'stopped'."""
        while not self._stopping:
            self._wake.clear()
            self._lend()
            if self._allowance == 0 and not self._workbench.lent:
                return "max_pages"
            ready = self._rules.take_ready()
            claims = ready or await self._supply.refill()
            await self._in_turns(self._settle if ready else self._take_in, claims)
            if claims:
                continue
            if not self._workbench.lent and not self._uncommitted and await self._supply.is_exhausted():
                return "complete"
            if self._idle_workers and self._workbench.is_empty():
                self.writer.flush()  # what the next claims may come from
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
        results = await self._conclusion.of(visit, await self._judge_entries(visit) if visit.entries else ())
        self.any_tried |= visit.claim.kind is not UrlKind.ROBOTS or results[0].verdict.status not in ANSWERED
        if results[0].page is None:  # none, or one that is known already
            self._give_back(visit.claim)
        self._supply.note_hunger(self._workbench.host(visit.claim.host_id))
        for result in results:
            await self._put(result)
        self._wake.set()

    def stop(self) -> None:
        """Lend nothing more."""
        self._stopping = True
        self._wake.set()

    async def keep_pauses(self) -> None:
        """Store until when the delay forbids another request to each host: the next run may begin at once."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        pauses = [(host.host_id, wall + host.ready_at - now) for host in self._workbench.hosts() if host.ready_at > now]
        await self._store.keep_pauses(pauses)

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

    def delay_of(self, claim: Claim) -> float:
        """Seconds between the starts of two requests to the claim's host."""
        return self._workbench.host(claim.host_id).delay_s

    # --- for the screen -----------------------------------------------------------------------------------------

    def hosts(self) -> Iterable[HostState]:
        """The hosts in memory."""
        return self._workbench.hosts()

    # --- lending ------------------------------------------------------------------------------------------------

    def _lend(self) -> None:
        now = self._clock.monotonic()
        while self._idle_workers and self._allowance != 0 and not self._stopping:
            claim = self._workbench.take(now)
            if claim is None:
                return
            if self._allowance is not None and claim.kind is UrlKind.PAGE:
                self._allowance -= 1
            self._supply.note_hunger(self._workbench.host(claim.host_id))
            self._idle_workers -= 1
            self.all_idle.clear()
            self._queue.put_nowait(claim)

    def _give_back(self, claim: Claim) -> None:
        if self._allowance is not None and claim.kind is UrlKind.PAGE:
            self._allowance += 1

    async def _in_turns(self, judge: Callable[[Claim], Awaitable[None]], claims: Iterable[Claim]) -> None:
        """Judge each claim. Where that takes long (a robots.txt may cost 10 ms a question), lend in between."""
        turn = Turn(self._clock)
        for claim in claims:
            await judge(claim)
            if await turn.pause():
                self._lend()

    async def _settle(self, claim: Claim) -> None:
        """A claim that has waited for its rules."""
        self._workbench.host(claim.host_id).waiting -= 1
        await self._obey(claim)

    async def _take_in(self, claim: Claim) -> None:
        """A claim from the store goes to the workbench, waits for its rules, or is excluded."""
        reason = self._admission.refusal(claim)
        if reason is not None:
            await self._put(excluded(claim, reason))
        else:
            await self._obey(claim)

    async def _obey(self, claim: Claim) -> None:
        host = self._workbench.host(claim.host_id)
        if not self._config.politeness.ignore_robots:
            if not self._rules.knows(claim.origin, self._clock.wall()):
                self._await_rules(host, claim)
                return
            reason = self._rules.forbids(claim)
            if reason is not None:
                await self._put(excluded(claim, reason))
                return
        self._workbench.offer(host, [claim])

    def _await_rules(self, host: HostState, claim: Claim) -> None:
        host.waiting += 1
        robots = self._rules.await_rules(claim)
        if robots is not None:
            self._workbench.offer(host, [robots], first=True)

    async def _sleep(self) -> None:
        """Until something happens, a host's time comes, or the store has to be asked again."""
        moments = [self._supply.next_look_at()]
        ready_at = self._workbench.next_ready_at()
        if ready_at is not None and self._idle_workers and self._allowance != 0:
            moments.append(ready_at)
        try:
            async with asyncio.timeout(max(0.0, min(moments) - self._clock.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            pass

    # --- committing ---------------------------------------------------------------------------------------------

    async def _judge_entries(self, visit: Visit) -> list[Target]:
        """What a sitemap names: 50,000 URLs at once would hold up the event loop for 0.3 s."""
        targets: list[Target] = []
        turn = Turn(self._clock)
        for target in self._admission.entries(visit.entries, visit.claim):
            targets.append(target)
            await turn.pause()
        return targets

    async def _put(self, result: Result) -> None:
        self._uncommitted += 1
        await self.writer.put(result)

    def _committed(self, results: Sequence[Result], hosts: Sequence[HostRecord]) -> None:
        """Called by the writer after each commit."""
        self._uncommitted -= len(results)
        self._counters.pages += sum(result.page is not None for result in results)
        self._supply.committed(results, hosts)
        self._fill(host.name for host in hosts if host.urls >= self._config.scope.max_urls_per_host)
        self._tell_full_domains()
        self._wake.set()
