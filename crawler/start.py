"""How a run begins: what is recorded of it, what the user's seeds may see and reach, and what is decided anew.

Invariants: a run is recorded before a URL is added; no secret is stored; requests to an origin that the user has not
named carry no credentials, and reach no private address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.errors import UsageError
from crawler.fetching import OriginAccess
from crawler.frontier.frontier import Frontier
from crawler.location import Location
from crawler.output.ending import names
from crawler.output.figures import counted
from crawler.own_code import HOOKS
from crawler.policy.recrawl import rhythm
from crawler.records import SeedMark
from crawler.resumption import check_secrets, scope_rules
from crawler.seeds import Seed
from crawler.storage.interface import Store
from crawler.urls import host_of, origin_of
from crawler.user_agent import agent_name

_FEEDS_SINCE = "feeds_since"
_NO_CODE: Mapping[str, Any] = MappingProxyType({})


class Start:
    """Begins a run, once. `access` is its fetcher's."""

    def __init__(
        self,
        config: CrawlConfig,
        store: Store,
        frontier: Frontier,
        access: OriginAccess,
        notify: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._store = store
        self._frontier = frontier
        self._access = access
        self._notify = notify
        self._clock = clock

    async def begin(self, seeds: Sequence[Seed], code: Mapping[str, Any] = _NO_CODE) -> int:
        """Record the run and add the seeds; returns how many pages it stored before it was killed. `code` tells the
        program's own code from other code (see `own_code`).

        Raises `UsageError` where there is no seed, or a secret is missing that the last run was given.
        """
        earlier = await self._store.last_options()
        if earlier is None and not seeds:
            raise UsageError(
                f"nothing to crawl: {self._config.db} does not exist yet; give a seed, such as https://example.com/"
            )
        options = self._options(seeds, earlier, code)
        if earlier is not None and await self._will_fetch_earlier_urls():
            check_secrets(options, earlier, self._config)
        self._warn()
        if earlier is not None and self._is_another_agent(earlier):
            await self._store.forget_forbidden(self._clock.wall(), every=True)
        pages_before = await self._record(options)
        if rules := self._config.all_rules:
            tell_unread(await self._store.use_rules(rules), self._notify)
        self._follow_feeds(options)
        started_at, before = await self._store.run_times()
        again = rhythm(self._config.recrawl, started_at=started_at, before=before, now=self._clock.wall())
        widened = await self._frontier.open(seeds, pages_before, again, started_at)
        await self._grant_access(seeds)
        if widened or not options["decided"]:
            tell_readmitted(await self._frontier.seeding.readmit(), self._notify)
        return pages_before

    async def take_part(self, seeds: Sequence[Seed], run: dict[str, Any], code: Mapping[str, Any] = _NO_CODE) -> None:
        """Work on the `run` (its options) that another process has begun, and this one has joined. `seeds` only bring
        their credentials. Raises `UsageError` where a secret is missing that the run was given.
        """
        check_secrets(self._options(seeds, run, code), run, self._config)
        if rules := self._config.all_rules:
            await self._store.use_rules(rules)
        self._follow_feeds(run)
        started_at, before = await self._store.run_times()
        again = rhythm(self._config.recrawl, started_at=started_at, before=before, now=self._clock.wall())
        await self._frontier.take_part(again)
        await self._grant_access(seeds)

    def _options(
        self, seeds: Sequence[Seed], earlier: dict[str, Any] | None, code: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What is stored of the options: of secrets, only that there were some, and for whom; of code, what it is.

        `decided`: all that earlier options and hooks excluded was judged by these. `feeds_since`: when the
        crawl began to follow the feeds of pages (Unix seconds); missing if this run does not.
        """
        options = {**self._config.storable(), **code}
        options["credentials"] = sorted({origin_of(seed.url) for seed in seeds if seed.credentials})
        proxy = self._config.network.proxy_server
        options["proxy_credentials"] = proxy is not None and proxy.credentials is not None
        options["decided"] = earlier is None or (
            bool(earlier.get("decided", True))
            and scope_rules(earlier) == scope_rules(options)
            and earlier.get(HOOKS) == options.get(HOOKS)
        )
        if self._config.scope.feeds:
            options[_FEEDS_SINCE] = (earlier or {}).get(_FEEDS_SINCE) or self._clock.wall()
        return options

    def _follow_feeds(self, options: Mapping[str, Any]) -> None:
        if (since := options.get(_FEEDS_SINCE)) is not None:
            self._frontier.follow_feeds(since)

    async def _will_fetch_earlier_urls(self) -> bool:
        return self._config.recrawl.max_age_s is not None or bool((await self._store.counts())["pending"])

    def _is_another_agent(self, earlier: dict[str, Any]) -> bool:
        """Whether robots.txt may say something else to this run than it said to the last one."""
        before = agent_name(earlier["network"].get("user_agent", "")) or ""
        return before.lower() != self._config.network.product_token.lower()

    def _warn(self) -> None:
        if self._config.politeness.ignore_robots:
            self._notify("--ignore-robots: robots.txt is neither fetched nor obeyed; use this only on your own sites")
        if self._config.network.insecure:
            self._notify("--insecure: TLS certificates are not verified; stored pages may come from anyone")
        if not self._config.network.names_contact:
            self._notify(
                f"sites see this crawl as {self._config.network.user_agent!r}, without a way to reach you; add one:"
                " --user-agent 'mybot/1.0 (+https://me.example/bot)'"
            )

    async def _record(self, options: dict[str, Any]) -> int:
        set_back_s = await self._store.follow_clock(self._clock.wall())
        if set_back_s:
            self._notify(f"the clock is {set_back_s:.0f} s behind the last run; moved all due times back by as much")
        run_id, pages_before = await self._store.begin_run(options, self._clock.wall())
        if pages_before:
            self._notify(f"resuming run {run_id} ({counted(pages_before, 'page')} already stored)")
        return pages_before

    async def _grant_access(self, seeds: Sequence[Seed]) -> None:
        """To the origins that the user has ever named; those of these `seeds` that came with credentials get them."""
        for url, mark in await self._store.named_seeds():
            grant_access(Seed(url=url, bare=mark is SeedMark.BARE), self._access)
        for seed in seeds:
            if seed.credentials:
                self._access.authorize(origin_of(seed.url), *seed.credentials)


def grant_access(seed: Seed, access: OriginAccess) -> None:
    """A seed's origin may see the user's credentials, and be on the private address that it names."""
    access.trust_origin(origin_of(seed.url))
    access.open_origin(origin_of(seed.url))
    if seed.twin is not None:  # opened, but not trusted: what was meant for https is not sent by http
        access.open_origin(origin_of(seed.twin))


def tell_readmitted(number: int, notify: Callable[[str], None]) -> None:
    """Say how many URLs wider rules have let in."""
    if number:
        notify(f"{counted(number, 'excluded URL')} can be fetched now")


def tell_unread(pages: Mapping[str, int], notify: Callable[[str], None]) -> None:
    """Say which extraction rules are new or changed where there are pages already."""
    for rule, number in pages.items():
        notify(f"[[extract]] {rule}: {counted(number, 'stored page')} not read by it yet; `crawler extract` does that")


def other_sites(roots: Iterable[str], seeds: Sequence[Seed], db: Location) -> str | None:
    """Whose crawl is in the database already, in a line; None if one of the seeds belongs to it, or it is new."""
    hosts = dict.fromkeys(host_of(seed.url) for seed in seeds)
    known = dict.fromkeys(map(host_of, roots))
    if not hosts or not known or not known.keys().isdisjoint(hosts):
        return None
    return (
        f"{db} already holds a crawl of {names(tuple(known))}; {names(tuple(hosts))}"
        f" {'is' if len(hosts) == 1 else 'are'} added to it (name another file with --db to keep them apart)"
    )
