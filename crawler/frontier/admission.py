"""From what a visit found to judged targets: credentials and unwanted parameters dropped, scope and nofollow asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from crawler.config import ScopeConfig
from crawler.policy.scope import Scope
from crawler.records import Claim, Link, Page, SeedMark, SitemapEntry, Target, UrlKind, Visit
from crawler.urls import drop_params, host_of, without_credentials

_MAX_JUDGED = 65_536  # URLs


class Admission:
    """Judges URLs. Most links of a site are the same on every page, so that judgements are kept for a while."""

    def __init__(self, config: ScopeConfig, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        self._judged: dict[tuple[str, int], Target] = {}

    def target(
        self, url: str, *, depth: int, hops: int = 0, seed: SeedMark = SeedMark.NO, kind: UrlKind = UrlKind.PAGE
    ) -> Target:
        """The URL as it is stored, with the reason why it may not enter, if there is one."""
        url = drop_params(without_credentials(url), self._config.drop_param)
        reason = self._scope.judge(url, depth=depth, hops=hops, seed=seed, kind=kind)
        return Target(url=url, host=host_of(url), kind=kind, depth=depth, hops=hops, seed=seed, reason=reason)

    def widen(self, url: str) -> bool:
        """Make the URL a root of the scope; False where that changes nothing."""
        widened = self._scope.add_root(url)
        if widened:
            self._judged.clear()
        return widened

    def links(self, page: Page, claim: Claim) -> Iterator[tuple[Target, Link]]:
        """The page's links with their targets."""
        followed = not page.nofollow or self._config.follow_nofollow
        for link in page.links:
            target = self._link_target(link.url, claim.depth + 1)
            if target.reason is None and not (followed and (not link.nofollow or self._config.follow_nofollow)):
                target = replace(target, reason="nofollow")
            yield target, link

    def onward(self, visit: Visit) -> Target | None:
        """Where a redirect or a meta refresh leads; a seed's mark goes along, and no depth is counted."""
        claim = visit.claim
        url = visit.redirect_url or (visit.page.refresh_url if visit.page is not None else None)
        if url is None:
            return None
        seed = SeedMark.HEIR if claim.seed else SeedMark.NO
        return self.target(url, depth=claim.depth, hops=claim.hops + 1, seed=seed, kind=claim.kind)

    def entries(self, entries: tuple[SitemapEntry, ...], claim: Claim) -> Iterator[Target]:
        """What a sitemap names: pages a step further, and the other sitemaps of an index."""
        for entry in entries:
            if entry.is_sitemap:
                yield self.target(entry.url, depth=claim.depth, hops=claim.hops + 1, kind=UrlKind.SITEMAP)
            else:
                yield self._link_target(entry.url, claim.depth + 1)

    def sitemaps(self, urls: tuple[str, ...]) -> Iterator[Target]:
        """The sitemaps that a robots.txt names; none where the seeds alone are wanted."""
        if self._config.max_depth != 0:
            yield from (self.target(url, depth=0, kind=UrlKind.SITEMAP) for url in urls)

    def _link_target(self, url: str, depth: int) -> Target:
        key = (url, depth)
        target = self._judged.get(key)
        if target is None:
            if len(self._judged) >= _MAX_JUDGED:
                self._judged.clear()
            target = self._judged[key] = self.target(url, depth=depth)
        return target
