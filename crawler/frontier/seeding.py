"""What happens once, when a run begins or seeds join it: scope and bounds taken up, seeds added, exclusions judged.

Invariant: whatever widens the scope is recorded as undecided in the store before it is stored itself, and as decided
only once every exclusion has been judged by it; so a run that is killed in between leaves that to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crawler.clock import Clock
from crawler.config import CrawlConfig, ScopeRule
from crawler.frontier.admission import Admission
from crawler.policy.repetition import ALIKE_PAGES
from crawler.records import ExclusionReason, FoundBy, Target
from crawler.seeds import Seed
from crawler.storage.interface import Store

_READMIT_BATCH = 5000


class Seeding:
    """Brings a crawl's scope into memory, and seeds into the store."""

    def __init__(self, config: CrawlConfig, store: Store, admission: Admission, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._admission = admission
        self._clock = clock
        self._stopping = False

    async def open(self, seeds: Sequence[Seed]) -> bool:
        """Take up the scope and the bounds of earlier runs, and add the seeds; returns whether they widen the scope."""
        await self._take_up_scope()
        await self._store.forget_forbidden(self._clock.wall(), every=self._config.politeness.ignore_robots)
        await self._limit()  # after that: a host that was forbidden whole is one of its domain's again
        widened = await self._add(seeds)
        if self._config.recrawl.retry_failed:
            await self._store.retry_failed(self._clock.wall())
        return widened

    async def take_part(self) -> None:
        """Take up the scope and the bounds of a run that another process has begun."""
        await self._take_up_scope()
        await self._limit()

    async def _take_up_scope(self) -> None:
        for url in await self._store.roots():
            self._admission.take_root(url)
        self._admission.restore(await self._store.details(ExclusionReason.PAGES_ALIKE, ALIKE_PAGES))

    async def _limit(self) -> None:
        await self._store.limit_urls(self._config.scope.max_urls_per_host, self._clock.wall())
        if self._config.scope.scope in (ScopeRule.DOMAIN, ScopeRule.ANY):  # else all hosts are the seeds'
            await self._store.limit_hosts(self._config.scope.max_hosts_per_domain)

    async def join(self, seeds: Sequence[Seed]) -> int:
        """Add seeds while the crawl runs; returns how many excluded URLs may enter because they widen the scope."""
        return await self.readmit() if await self._add(seeds) else 0

    async def hear(self, roots: Sequence[str]) -> int:
        """Take up what has widened the scope of those who crawl along; returns how many excluded URLs may enter."""
        widened = [self._admission.take_root(url) for url in roots]
        return await self.readmit() if any(widened) else 0

    async def readmit(self) -> int:
        """Decide again, in batches, about what earlier options excluded; returns how many URLs may enter now.

        Where this is broken off, the next run begins it anew.
        """
        readmitted = 0
        batch = await self._store.excluded(None, _READMIT_BATCH)
        while batch.rows:
            if self._stopping:
                return readmitted
            urls = [target.url for target in batch.rows if await self._may_enter(target)]
            if urls:
                readmitted += await self._store.readmit(urls, self._clock.wall())
            if batch.next is None:
                break
            batch = await self._store.excluded(batch.next, _READMIT_BATCH)
        await self._store.set_decided(True)
        self._admission.note_full_hosts(self._store.full_hosts())
        self._admission.note_full_domains(self._store.full_domains())
        return readmitted

    def stop(self) -> None:
        """Break off: the run is to end."""
        self._stopping = True

    async def _may_enter(self, found: Target) -> bool:
        if not self._admission.may_enter(found):
            return False
        return (await self._admission.hooked(replace(found, reason=None), None)).reason is None

    async def _add(self, seeds: Sequence[Seed]) -> bool:
        """Seeds that failed before are due again: they were asked for."""
        widened = [self._admission.widen(seed.url, seed.target.seed) for seed in seeds]
        targets = [
            self._admission.target(seed.url, depth=0, seed=seed.target.seed, found_by=FoundBy.SEED) for seed in seeds
        ]
        if any(widened):
            await self._store.share.publish()
            await self._store.set_decided(False)  # before a seed is stored that would not widen it once more
        now = self._clock.wall()
        await self._store.add(targets, now)
        await self._store.retry([url for seed in seeds for url in (seed.url, seed.twin) if url is not None], now)
        return any(widened)
