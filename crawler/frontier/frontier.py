"""Feed, lend and take back: the workbench, the store and the workers put together.

Invariants: claims are lent only to a worker that is idle, since a claim that waited for one would spoil the pacing: to
one that asks while others wait, by `feed`, in their order; what robots.txt forbids is never lent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.clock import Clock, Turn
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.frontier.admission import Admission
from crawler.frontier.awaiting import AwaitingRules
from crawler.frontier.changes import Changes
from crawler.frontier.checks import Checks
from crawler.frontier.conclusion import Conclusion, excluded, postponed
from crawler.frontier.extracts import count_extracts
from crawler.frontier.failed_visits import FailedVisits
from crawler.frontier.hosts import HostState
from crawler.frontier.origins import OriginState
from crawler.frontier.returning import Returning
from crawler.frontier.robots_cache import RobotsCache
from crawler.frontier.robots_conclusion import RobotsConclusion, RobotsParts
from crawler.frontier.seeding import Seeding
from crawler.frontier.supply import Supply, pauses_of, without_page_limits
from crawler.frontier.workbench import Workbench
from crawler.policy.checking import again_before
from crawler.policy.habits import Habits
from crawler.policy.recrawl import Rhythm
from crawler.records import (
    ANSWERED,
    Change,
    Claim,
    EarlierBody,
    EndReason,
    HostRecord,
    Listed,
    Listing,
    Reason,
    Result,
    Target,
    UrlKind,
    Visit,
)
from crawler.seeds import Seed
from crawler.storage.interface import News, Store
from crawler.storage.writer import Writer

if TYPE_CHECKING:
    from crawler.hooking import HookCalls


_UNSURE_S = 0.1  # until it is asked again whether requests may be sent
_DRAW_EVERY_S = 1.0  # where all pages were drawn, but not all are stored
_KEEP_PAGES_S = 1.0  # for which pages that were drawn may wait for their hosts


class Frontier:
    """What next, and when. `feed` runs as one task; workers call `claim` and `finish`."""

    def __init__(
        self,
        config: CrawlConfig,
        store: Store,
        counters: Counters,
        clock: Clock,
        notify: Callable[[str], None],
        tell: Callable[[Visit, Sequence[Result]], None] | None = None,
        hooks: HookCalls | None = None,
    ) -> None:
        """`tell` is called with each visit and what comes of it, for whoever logs them; `hooks` are a program's."""
        self._tell = tell
        self._hooks = hooks
        self._notify = notify
        self._config = config
        self._store = store
        self._counters = counters
        self._clock = clock
        self._share = store.share
        self._share.attach(self.held_hosts)
        self._admission = Admission(config.scope, notify, hooks, self._share.tell_root)
        self.seeding = Seeding(config, store, self._admission, clock)
        self._awaiting = AwaitingRules()
        self._robots = RobotsCache(config.network.product_token)
        self._workbench = Workbench(
            delay_s=config.politeness.delay_s,
            per_host=config.politeness.per_host,
            per_ip=self._per_ip(self._share.workers),
            concurrency=config.politeness.concurrency,
            max_pages=config.scope.max_pages,
            max_requests=config.run.max_requests,
            adaptive=config.politeness.adaptive_pace,
        )
        self._supply = Supply(config, store, self._workbench, self._awaiting, self._robots, clock)
        self._returning = Returning(config, self._workbench, counters, clock)
        failed_visits = FailedVisits(store, self._returning, config.network.retries, clock)
        parts = RobotsParts(store=store, cache=self._robots, awaiting=self._awaiting, failed_visits=failed_visits)
        robots = RobotsConclusion(parts, self._workbench, self._admission, self._returning, clock, notify)
        self._checks = Checks(self._returning, counters, config.run.max_wait_s)
        self._conclusion = Conclusion(
            store, self._admission, self._returning, robots, failed_visits, self._checks, counters, notify
        )
        self.writer = Writer(store, clock.wall, self._committed)
        self._idle: deque[asyncio.Future[Claim]] = deque()  # the workers that have nothing to do, in order
        self.all_idle = asyncio.Event()  # no worker has anything to do
        self._wake = asyncio.Event()
        self._stopping = False
        self._uncommitted = 0  # results
        self._checks_before = 0.0, 0.0  # what was checked before is checked again: what was good, and what was not
        self._changes = Changes()
        self._draw_at = 0.0  # when to ask for more pages again (monotonic)
        self._pages_are_spent = False  # all that all processes may store
        self.any_tried = False  # a URL; a robots.txt that had expired may have been fetched again without that

    # --- the story: feed, lend, take back -----------------------------------------------------------------------

    async def feed(self) -> EndReason:
        """Lend claims until nothing is left to do; returns why: COMPLETE, MAX_PAGES, MAX_REQUESTS or STOPPED."""
        while not self._stopping:
            self._wake.clear()
            self._lend()
            if self._workbench.allowance.is_lacking and await self._draw_pages():
                continue
            if (reached := self._reached_limit()) is not None:
                return reached
            if self._workbench.requests.are_lacking:
                await self._note_requests()
                continue
            ready = self._awaiting.take_ready()
            claims = ready or await self._supply.refill()
            await self._in_turns(self._settle if ready else self._take_in, claims)
            if claims:
                continue
            if await self.has_nothing_left():
                await self.give_back_pages()
                return EndReason.COMPLETE
            if self._idle and self._workbench.is_empty():
                self.writer.flush()  # what the next claims may come from
            await self._sleep()
        return EndReason.STOPPED

    async def has_nothing_left(self) -> bool:
        """Whether nothing is under way, in memory, or due soon enough to wait for."""
        return not self._workbench.lent and not self._uncommitted and await self._supply.is_exhausted()

    async def check(self) -> EndReason:
        """Once `feed` has returned: lend what is only checked until nothing is left of that; returns why, as `feed`.

        No limit on pages holds for it: so all hosts are let go, and come back without one.
        """
        await self._settled()
        if not await self._note_checks():
            return EndReason.STOPPED
        await self._plan_checks(noted=True)
        await self.keep_pauses()
        self._supply.release_all()
        self._workbench.allowance.lift()
        self._supply = Supply(
            without_page_limits(self._config),
            self._store,
            self._workbench,
            self._awaiting,
            self._robots,
            self._clock,
            due=self._store.due_checks(),
        )
        return await self.feed()

    async def check_what_is_known(self) -> None:
        """Before `feed`: have it lend, beside the pages, checks of what these led to when an earlier run looked.

        So they come even where the pages take all the time that a run has; not where each costs the request of a page.
        """
        if self._config.run.max_requests is None:
            await self._plan_checks(noted=False)
            self._supply.lend(self._store.due_pages_and_checks())

    async def _settled(self) -> None:
        """Until all results are committed."""
        while self._uncommitted and not self._stopping:
            self.writer.flush()
            self._wake.clear()
            await self._wake.wait()

    async def _note_checks(self) -> bool:
        """Find out what the pages lead to and load; False where that is broken off: the next run begins it anew."""
        for kind in self._config.check.check:
            after, is_over = None, False
            while not (is_over or self._stopping):
                after = await self._store.note_checks(kind, after)
                is_over = after is None
        return not self._stopping

    async def _plan_checks(self, *, noted: bool) -> None:
        kinds, (good, others) = self._config.check.check, self._checks_before
        now = self._clock.wall()
        await self._store.plan_checks(kinds, now, good_before=good, others_before=others, noted=noted)

    async def claim(self) -> Claim:
        """The next claim, for a worker that is idle. Most need not wait for `feed` to give them one."""
        if not (self._idle or self._stopping) and self._share.may_send():
            claim = self._next_claim(self._clock.monotonic())
            if claim is not None:
                return claim
        worker: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
        self._idle.append(worker)
        if len(self._idle) == self._config.politeness.concurrency:
            self.all_idle.set()
        self._wake.set()
        try:
            return await worker
        except asyncio.CancelledError:
            if worker in self._idle:
                self._idle.remove(worker)
            raise

    async def finish(self, visit: Visit) -> None:
        """Take back a claim with what it led to, and have it committed."""
        host = self._workbench.host(visit.claim.host_id)
        host.finishing += 1
        try:
            await self._finish(visit, host)
        finally:
            host.finishing -= 1
        self._wake.set()

    async def _finish(self, visit: Visit, host: HostState) -> None:
        listed = await self._listed(visit.listing, visit.claim) if visit.listing is not None else []
        results = await self._conclusion.of(visit, listed)
        if not self.any_tried:
            self.any_tried = visit.claim.kind is not UrlKind.ROBOTS or results[0].verdict.status not in ANSWERED
        self._supply.note_if_low(host)
        if self._tell is not None:
            self._tell(visit, [result for result in results if not result.is_part])
        if self._hooks is not None:
            await self._hooks.failed(visit, results[-1])
            results = list(map(self._hooks.with_preferred, results))
        if visit.listing is None:
            results = [*results[1:], results[0]]  # what a robots.txt fails by name, then all else of its origin
        if visit.exchanges:
            results[-1] = replace(results[-1], exchanges=visit.exchanges)
        for result in results:
            await self._put(result)
        if host.habits is not None and host.habits.take_alarm():
            await self._look_at_all(host, host.habits)
        origin = host.claims.origin(visit.claim.origin)
        if origin.parked and self._is_closed(origin):
            await self._release(host, origin)

    def stop(self) -> None:
        """Lend nothing more."""
        self._stopping = True
        self.seeding.stop()
        self._wake.set()

    async def keep_pauses(self) -> None:
        """Store until when the delay forbids another request to each host: the next run may begin at once."""
        await self._store.keep_pauses(pauses_of(self._workbench.hosts(), self._clock))

    async def give_back_pages(self) -> None:
        """Give back the pages of `--max-pages` that were granted and are not needed."""
        if self._workbench.allowance.is_drawn and (pages := self._workbench.allowance.left):
            self._workbench.allowance.add(-pages)
            await self._share.give_back(pages)

    # --- how it begins ------------------------------------------------------------------------------------------

    async def open(self, seeds: Sequence[Seed], pages_stored: int, rhythm: Rhythm, started_at: float) -> bool:
        """Add the seeds to what the store holds; returns whether they widen the scope of earlier ones.

        This run, which began at `started_at` (Unix seconds), has stored so many pages before it was killed; `rhythm`
        says what is to be fetched again.
        """
        self._workbench.allowance.spend(pages_stored)
        self._workbench.requests.spend(await self._store.requests_noted())
        self._checks_before = again_before(self._config.recrawl, started_at)
        self._keep_pace(rhythm)
        return await self.seeding.open(seeds)

    def follow_feeds(self, since: float) -> None:
        """Follow the feeds of unchanged pages, too, if these were last visited before `since` (Unix seconds)."""
        self._conclusion.feeds_since = since

    async def take_part(self, rhythm: Rhythm) -> None:
        """Work on a run that another process has begun, and that keeps this `rhythm`."""
        self._keep_pace(rhythm)
        await self.seeding.take_part()

    def _keep_pace(self, rhythm: Rhythm) -> None:
        if self._share.draws_pages and self._config.scope.max_pages is not None:
            self._workbench.allowance.draw_parts()
        self._supply.look_again(rhythm.horizon)
        self._returning.pace = rhythm.pace

    async def join(self, seeds: Sequence[Seed]) -> int:
        """Add seeds while the crawl runs; returns how many excluded URLs may enter because they widen the scope."""
        readmitted = await self.seeding.join(seeds)
        self._supply.poll_now()
        self._wake.set()
        return readmitted

    # --- those who crawl along -----------------------------------------------------------------------------------

    async def hear(self, news: News) -> int:
        """Take up what they tell; returns how many excluded URLs may enter because the scope is wider."""
        self._workbench.share_addresses(self._per_ip(news.workers))
        readmitted = await self.seeding.hear([url for url, _mark in news.roots])
        self._supply.hear(news.hosts, grown=news.gained)
        self._wake.set()
        return readmitted

    def look_again(self) -> None:
        """Ask the store once more for what is due: others may have had their share in it."""
        self._supply.poll_now()

    def held_hosts(self) -> set[int]:
        """The hosts of which something is in memory, under way or not committed."""
        uncommitted = {result.claim.host_id for result in self.writer.uncommitted()}
        return uncommitted | self._supply.held_hosts()

    def _per_ip(self, workers: int) -> int:
        """Owners of hosts at one address do not see each other: each has its part."""
        return max(1, -(-self._config.politeness.per_ip // workers))

    # --- what a visit asks (see visit.Ledger) -------------------------------------------------------------------

    def admit(self, claim: Claim, address: str) -> bool:
        """Whether a request may go to this address now; where not, the claim is back in the workbench."""
        if not self._share.may_send():
            self._workbench.turn_away(claim)
        elif self._workbench.admit(claim, address):
            return True
        self._wake.set()
        return False

    def sent(self, claim: Claim) -> None:
        """The claim's request has just been sent: pacing counts from now."""
        self._workbench.sent(claim, self._clock.monotonic())
        self._wake.set()

    def patience_s(self, claim: Claim) -> float | None:
        """For how long the claim's request may take at most, where it holds up others; None: as long as any."""
        return self._workbench.patience_s(claim)

    def sending_in_s(self, claim: Claim) -> float:
        """Seconds until the claim's request may be sent: 0 unless connecting took so long that others had its turn."""
        if not self._share.may_send():
            return _UNSURE_S
        return self._workbench.sending_in_s(claim, self._clock.monotonic())

    def is_stranger(self, url: str) -> bool:
        """Whether the URL's host is none of this crawl's."""
        return self._admission.is_stranger(url)

    async def stored_body(self, claim: Claim) -> EarlierBody | None:
        """The body of the version that is stored of the claim's URL; None where that was not kept."""
        return await self._store.stored_body(claim)

    def turn_in_s(self, claim: Claim) -> float | None:
        """Seconds until the claim's visit may make another request; None where its host is left alone for now, or no
        request is left.
        """
        wait_s = self._workbench.turn_in_s(claim, self._clock.monotonic())
        if self._workbench.requests.are_lacking:
            self._wake.set()
        return wait_s

    @property
    def under_way(self) -> int:
        """Claims that are lent."""
        return self._workbench.lent

    # --- for the screen -----------------------------------------------------------------------------------------

    def hosts(self) -> Iterable[HostState]:
        """The hosts in memory."""
        return self._workbench.hosts()

    # --- lending ------------------------------------------------------------------------------------------------

    def _lend(self) -> None:
        if not self._share.may_send():
            return
        now = self._clock.monotonic()
        while self._idle and not self._stopping:
            if self._idle[0].done():
                self._idle.popleft()  # it was cancelled just now
            elif (claim := self._next_claim(now)) is not None:
                self._idle.popleft().set_result(claim)
            else:
                return

    def _next_claim(self, now: float) -> Claim | None:
        claim = self._workbench.lend(now)
        if claim is not None:
            self._supply.note_if_low(self._workbench.host(claim.host_id))
            self.all_idle.clear()
        return claim

    def _reached_limit(self) -> EndReason | None:
        """The limit that lets the run lend nothing more, once all that was lent is back."""
        if self._workbench.lent:
            return None
        if self._workbench.allowance.is_spent and (self._pages_are_spent or not self._workbench.allowance.is_drawn):
            return EndReason.MAX_PAGES
        return EndReason.MAX_REQUESTS if self._workbench.requests.are_spent else None

    async def _draw_pages(self) -> bool:
        """Have pages to lend, of those that all processes share, if there is something to fetch."""
        if self._workbench.is_empty() or self._clock.monotonic() < self._draw_at:
            return False
        pages = await self._share.draw(self._config.politeness.concurrency)
        if pages:
            self._workbench.allowance.add(pages)
            return True
        self._draw_at = self._clock.monotonic() + _DRAW_EVERY_S  # somebody may give some back until then
        self._pages_are_spent = await self._share.are_pages_spent()
        return False

    async def _note_requests(self) -> None:
        """Have the store note more requests, before they are lent."""
        part = self._workbench.requests.next_part()
        await self._store.note_requests(*self._workbench.requests.notes(part))
        self._workbench.add_ready(part)

    async def _in_turns(self, judge: Callable[[Claim], Result | None], claims: Iterable[Claim]) -> None:
        """Judge each claim. Where that takes long (a robots.txt may cost 10 ms a question), lend in between."""
        turn = Turn(self._clock)
        for claim in claims:
            result = judge(claim)
            if result is not None:
                await self._put(result)
            if turn.is_over and await turn.pause():
                self._lend()

    def _settle(self, claim: Claim) -> Result | None:
        """A claim that has waited for its rules; see `_take_in`."""
        self._workbench.set_aside(self._workbench.host(claim.host_id), -1)
        return self._obey(claim)

    def _take_in(self, claim: Claim) -> Result | None:
        """A claim from the store goes to the workbench or waits for its rules; or what to store, as it is not lent."""
        if claim.kind is UrlKind.CHECK:
            reason = self._admission.forbids_check(claim.url)
        else:
            reason = self._admission.refusal(claim)
        return self._obey(claim) if reason is None else self._refused(claim, reason)

    def _obey(self, claim: Claim) -> Result | None:
        host = self._workbench.host(claim.host_id)
        origin = host.claims.origin(claim.origin)
        if origin.failing:
            self._supply.let_go(claim)  # it was read a moment ago, and may have failed by now
            return None
        if origin.parked and self._is_closed(origin):
            return self._postponed(origin, claim)
        if self._obeys_robots(claim):
            if not self._robots.knows(claim.origin, self._clock.wall()):
                self._await_rules(host, claim)
                return None
            reason = self._robots.forbids(claim)
            if reason is not None:
                return self._refused(claim, reason)
        self._workbench.offer(host, (claim,))
        return None

    def _refused(self, claim: Claim, reason: Reason) -> Result:
        return self._checks.refused(claim, reason) if claim.kind is UrlKind.CHECK else excluded(claim, reason)

    def _obeys_robots(self, claim: Claim) -> bool:
        """`--ignore-robots` is for the user's own sites, and so for none that is only checked."""
        if not self._config.politeness.ignore_robots:
            return True
        return claim.kind is UrlKind.CHECK and self._admission.is_stranger(claim.url)

    def _await_rules(self, host: HostState, claim: Claim) -> None:
        self._workbench.set_aside(host, 1)
        robots = self._awaiting.wait(claim)
        if robots is not None:
            self._workbench.offer(host, [robots], first=True)

    async def _look_at_all(self, host: HostState, habits: Habits) -> None:
        """All of the host has changed at once: what was planned for its pages is worth nothing."""
        self._uncommitted += 1  # the run does not end meanwhile
        try:
            at = self._clock.wall()
            places = [looks.as_place(host.host_id, name) for name, looks in habits.known.items()]
            self._notify(f"{host.name}: nearly every page has changed at once; all of its pages are due now")
            await self._supply.look_at_all(host)
            await self._store.redesigned(host.host_id, habits.redesigned_at or at, places)
        finally:
            self._uncommitted -= 1

    # --- origins that are closed --------------------------------------------------------------------------------

    def _is_closed(self, origin: OriginState) -> bool:
        """Whether the origin pauses for longer than a run waits."""
        return origin.paused_until - self._clock.monotonic() > self._config.run.max_wait_s

    async def _release(self, host: HostState, origin: OriginState) -> None:
        """What is in memory of an origin that is closed goes back to the store."""
        waiting = self._awaiting.release(origin.name)
        self._workbench.set_aside(host, -len(waiting))
        for claim in [*self._workbench.withdraw_origin(host, origin), *waiting]:
            result = self._postponed(origin, claim)
            if result is not None:
                await self._put(result)

    def _postponed(self, origin: OriginState, claim: Claim) -> Result | None:
        if claim.kind is UrlKind.CHECK:
            return self._checks.left_alone(claim, origin.pause_reason)
        if claim.kind is UrlKind.ROBOTS:
            return None  # it has no row of its own that could be due
        return postponed(claim, self._clock.wall() + origin.paused_until - self._clock.monotonic())

    async def _sleep(self) -> None:
        """Until something happens, a host's time comes, or the store has to be asked again."""
        now = self._clock.monotonic()
        moments = [self._supply.next_look_at()]
        ready_at = self._workbench.next_ready_at()
        if ready_at is not None and self._idle:
            moments.append(ready_at if self._share.may_send() else now + _UNSURE_S)
        if self._workbench.allowance.is_lacking:
            moments.append(max(self._draw_at, now + _UNSURE_S))
        elif not self._workbench.lent and min(moments) > now + _KEEP_PAGES_S:
            await self.give_back_pages()
        delay_s = max(0.0, min(moments) - self._clock.monotonic())
        timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    # --- committing ---------------------------------------------------------------------------------------------

    async def _listed(self, listing: Listing, claim: Claim) -> list[Listed]:
        """What a sitemap names: 50,000 URLs at once would hold up the event loop for 0.3 s."""
        listed: list[Listed] = []
        turn = Turn(self._clock)
        for one in self._admission.listed(listing, claim):
            listed.append(one if self._hooks is None else one._replace(target=await self._hooked(one.target, claim)))
            await turn.pause()
        return listed

    async def _hooked(self, target: Target, claim: Claim) -> Target:
        return await self._admission.hooked(target, claim.url)

    def _put(self, result: Result) -> Awaitable[None]:
        self._uncommitted += 1
        return self.writer.put(result)

    def _committed(self, results: Sequence[Result], hosts: Sequence[HostRecord]) -> None:
        """Called by the writer after each commit."""
        self._uncommitted -= len(results)
        self._counters.pages += sum(result.page is not None for result in results)
        count_extracts(results, self._counters.extracts)
        self._counters.changes.update(filter(None, map(self._changes.of, results)))
        self._counters.changes[Change.NEWLY_FAILED] += self._store.failed_with_origins()
        self._supply.committed(results, hosts)
        self._admission.note_full_hosts(self._store.full_hosts())
        self._admission.note_full_domains(self._store.full_domains())
        self._wake.set()
