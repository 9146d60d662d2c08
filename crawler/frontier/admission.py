"""From what a visit found to judged targets: credentials and unwanted parameters dropped, scope and bounds asked.

Invariant: what closes (a host, a place on it, a domain) is said to the user once, when it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from crawler.config import ScopeConfig, ScopeRule
from crawler.frontier.bounds import Bounds
from crawler.policy.outcome import NO_SITEMAP
from crawler.policy.scope import Scope
from crawler.records import (
    Claim,
    ExclusionReason,
    FoundBy,
    Listed,
    Listing,
    NamedFeeds,
    Page,
    Reason,
    SeedMark,
    Target,
    UrlKind,
    columns_of,
)
from crawler.urls import drop_params, host_of, without_credentials

if TYPE_CHECKING:
    from crawler.hooking import HookCalls

_MAX_JUDGED = 65_536  # URLs
_NOFOLLOW = Reason(ExclusionReason.NOFOLLOW)


class Admission:
    """Judges URLs. Most links of a site are the same on every page, so that judgements are kept for a while."""

    def __init__(
        self,
        config: ScopeConfig,
        notify: Callable[[str], None],
        hooks: HookCalls | None = None,
        tell_root: Callable[[str, SeedMark], None] = lambda _url, _mark: None,
    ) -> None:
        """`tell_root` is called with each URL that widens the scope, for those who crawl along."""
        self._config = config
        self._tell_root = tell_root
        self._hooks = hooks
        self._notify = notify
        self._scope = Scope(config)
        self._bounds = Bounds(config)
        self._judged: dict[str, Target] = {}
        self._deepest = 0  # of those judged

    def target(
        self,
        url: str,
        *,
        depth: int,
        hops: int = 0,
        seed: SeedMark = SeedMark.NO,
        kind: UrlKind = UrlKind.PAGE,
        found_by: FoundBy | None = None,
    ) -> Target:
        """The URL as it is stored, with the reason why it may not enter, if there is one."""
        url = drop_params(without_credentials(url), self._config.drop_param)
        host = host_of(url)
        reason = self._scope.judge(url, host=host, depth=depth, hops=hops, seed=seed, kind=kind)
        return Target(
            url=url, host=host, kind=kind, depth=depth, hops=hops, seed=seed, reason=reason, found_by=found_by
        )

    def new_target(self, url: str, *, depth: int, **known: Any) -> Target:
        """The same for a URL that would be one more of its host."""
        target = self.target(url, depth=depth, **known)
        reason = self._bounds.reason(target) if target.reason is None else None
        return target if reason is None else replace(target, reason=reason)

    async def hooked_links(self, targets: tuple[Target, ...], page: Page) -> tuple[Target, ...]:
        """The targets of the page's links once a program's hook has looked at them."""
        return targets if self._hooks is None else await self._hooks.links(page, targets, self._at_depth)

    async def hooked(self, target: Target, found_on: str | None) -> Target:
        """Any other target once a program's hook has looked at it."""
        return target if self._hooks is None else await self._hooks.target(target, found_on, self._at_depth)

    def _at_depth(self, target: Target, depth: int) -> Target:
        return self.new_target(
            target.url,
            depth=depth,
            hops=target.hops,
            seed=target.seed,
            kind=target.kind,
            found_by=target.found_by,
        )

    def refusal(self, claim: Claim) -> Reason | None:
        """Why a URL that was admitted is not fetched after all: the options have changed, or its place is closed."""
        reason = self._scope.judge(
            claim.url, host=claim.host, depth=claim.depth, hops=claim.hops, seed=claim.seed, kind=claim.kind
        )
        known = claim.seed or claim.previous is not None  # a page that is stored is none of those that never end
        if reason is not None or known or claim.kind is not UrlKind.PAGE:
            return reason
        return self._bounds.closed(claim.url, claim.host)

    def is_stranger(self, url: str) -> bool:
        """Whether the URL's host is none of the crawl's."""
        return not self._scope.has_host(url)

    def forbids_check(self, url: str) -> Reason | None:
        """Why the URL may not even be checked; None where it may."""
        return self._scope.forbids_check(url)

    def may_enter(self, found: Target) -> bool:
        """Whether a URL that was excluded may enter by the options of now."""
        if found.reason == _NOFOLLOW and not self._config.follow_nofollow:
            return False
        if found.reason == NO_SITEMAP:  # which no option changes
            return False
        target = self.new_target(found.url, depth=found.depth, hops=found.hops, seed=found.seed, kind=found.kind)
        return target.reason is None

    def note(self, page: Page) -> None:
        """A page will be stored: it may close a place on its host."""
        place = self._bounds.note(page)
        if place is not None:
            self._judged.clear()
            self._notify(
                f"{host_of(page.url)}: pages under {place} keep repeating; skipping the rest (--no-trap-rules)"
            )

    def note_full_hosts(self, hosts: Iterable[str]) -> None:
        """The store accepts no more URLs of these hosts."""
        for host in hosts:
            most = self._config.max_urls_per_host
            self._notify(f"{host} has reached {most:,} URLs; skipping new ones (--max-urls-per-host)")

    def note_full_domains(self, domains: Iterable[str]) -> None:
        """The store takes in no more hosts of these domains."""
        for domain in domains:
            most = self._config.max_hosts_per_domain
            self._notify(f"{domain} has reached {most:,} hosts; skipping new ones (--max-hosts-per-domain)")

    def restore(self, places: Iterable[tuple[str, str]]) -> None:
        """Close what earlier runs closed: places on hosts."""
        self._bounds.restore(places)

    def widen(self, url: str, mark: SeedMark = SeedMark.SEED_REDIRECT) -> bool:
        """Make the URL a root of the scope and tell the other workers; returns whether that changed anything."""
        widened = self.take_root(url)
        if widened:
            self._tell_root(url, mark)
        return widened

    def take_root(self, url: str) -> bool:
        """The URL is a root of the scope, as all others know; False where it was one already."""
        widened = self._scope.add_root(url)
        if widened:
            self._judged.clear()
        return widened

    def links(self, page: Page, claim: Claim) -> tuple[Target, ...]:
        """The targets of the page's links, in their order."""
        links = columns_of(page.links)
        targets = self._link_targets(links.urls, claim.depth + 1)
        if self._config.follow_nofollow or not (page.nofollow or True in links.nofollows):
            return tuple(targets)
        if page.nofollow:
            return tuple(map(_unfollowed, targets))
        return tuple(
            _unfollowed(target) if nofollow else target
            for target, nofollow in zip(targets, links.nofollows, strict=True)
        )

    def redirect_target(self, url: str, claim: Claim, found_by: FoundBy, *, moves: bool = True) -> Target:
        """Where a redirect or a refresh of the claim leads, with no depth counted. A seed's mark goes along where the
        claim's document only stands for the other one (`moves`), and so does that of a guess.
        """
        seed = SeedMark.SEED_REDIRECT if claim.seed and moves else min(claim.seed, SeedMark.NO)
        return self.new_target(
            url, depth=claim.depth, hops=claim.hops + 1, seed=seed, kind=claim.kind, found_by=found_by
        )

    def listed(self, listing: Listing, claim: Claim) -> Iterator[Listed]:
        """What a sitemap or feed names: pages a step further, and the other sitemaps of an index."""
        found_by = FoundBy.FEED if listing.kind is UrlKind.FEED else FoundBy.SITEMAP
        for entry in listing.entries:
            if entry.is_sitemap:
                target = self.target(
                    entry.url, depth=claim.depth, hops=claim.hops + 1, kind=UrlKind.SITEMAP, found_by=found_by
                )
            else:
                [found] = self._link_targets((entry.url,), claim.depth + 1)
                target = replace(found, found_by=found_by)
            yield Listed(target, entry)

    def feeds(self, page: Page, claim: Claim) -> list[Target]:
        """The feeds that the page links to, if `--feeds` is set and the page's links may be followed."""
        if not self._config.feeds:
            return []
        return self.named_feeds(NamedFeeds.of(page.alternates, nofollow=page.nofollow), claim)

    def named_feeds(self, named: NamedFeeds, claim: Claim) -> list[Target]:
        """The feeds that a page links to, if the page's links may be followed."""
        if named.nofollow and not self._config.follow_nofollow:
            return []
        return [self.new_target(url, depth=claim.depth, kind=UrlKind.FEED, found_by=FoundBy.LINK) for url in named.urls]

    def sitemaps(self, urls: tuple[str, ...]) -> Iterator[Target]:
        """The sitemaps that a robots.txt names. Those that may not enter yet are kept for a run with other options."""
        return (self.target(url, depth=0, kind=UrlKind.SITEMAP, found_by=FoundBy.ROBOTS) for url in urls)

    def guess(self, url: str) -> tuple[Target, ...]:
        """The sitemap that a robots.txt does not name, where links are followed and nothing speaks against it."""
        config = self._config
        if not config.guess_sitemap or config.scope is ScopeRule.PREFIX or config.max_depth == 0:
            return ()
        target = self.target(url, depth=0, seed=SeedMark.GUESS, kind=UrlKind.SITEMAP, found_by=FoundBy.GUESS)
        return (target,) if target.reason is None else ()

    def _link_targets(self, urls: Sequence[str], depth: int) -> list[Target]:
        """Links of one depth. The same ones stand on most pages of a site: one look-up each decides.

        A URL that was judged nearer to a seed stays so: nothing that is said further away changes its row. As a rule,
        none was judged further away.
        """
        judged = self._judged
        if len(judged) >= _MAX_JUDGED:
            judged.clear()
            self._deepest = 0
        targets = list(map(judged.get, urls))
        if self._deepest > depth or not all(targets):
            for place, known in enumerate(targets):
                if known is None or known.depth > depth:
                    url = urls[place]
                    targets[place] = judged[url] = self.new_target(url, depth=depth, found_by=FoundBy.LINK)
            self._deepest = max(self._deepest, depth)
        return cast(list[Target], targets)


def _unfollowed(target: Target) -> Target:
    return replace(target, reason=_NOFOLLOW) if target.reason is None else target
