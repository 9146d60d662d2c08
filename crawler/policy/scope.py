"""May this URL enter? The answer carries its reason, which is stored with the URL.

Invariant: the answer depends on the URL, its depth and its hops alone, so that it may be cached and taken again later
when the options change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from crawler.config import ScopeConfig, ScopeRule
from crawler.domains import registrable_domain
from crawler.policy.ports import has_bad_port
from crawler.policy.traps import trap_of
from crawler.records import LISTINGS, ExclusionReason, Reason, SeedMark, UrlKind
from crawler.urls import host_of, origin_of, target_of

MAX_URL_LENGTH = 2083  # characters; what browsers and search engines agree on
MAX_HOPS = 10  # redirects in a row (RFC 9110, 15.4 leaves the number to the client)


class Scope:
    """The seeds' surroundings. Roots may be added while a crawl runs: a seed's redirect widens the scope."""

    def __init__(self, config: ScopeConfig, roots: Iterable[str] = ()) -> None:
        self._config = config
        self._is_any = config.scope is ScopeRule.ANY  # to look up a member of an Enum takes longer than all else here
        self._is_by_folder = config.scope is ScopeRule.PREFIX
        self._is_by_domain = config.scope is ScopeRule.DOMAIN
        self._include = [re.compile(pattern) for pattern in config.include]
        self._exclude = [re.compile(pattern) for pattern in config.exclude]
        self._hosts: set[str] = set()
        self._ports_of: set[str] = set()  # origins on a port that is closed to all others
        self._folders: dict[str, set[str]] = {}  # by host
        for url in roots:
            self.add_root(url)

    def add_root(self, url: str) -> bool:
        """Make the URL's surroundings part of the scope; False where the rule let all of them in already.

        A port on which no web server is to be expected is opened for the root's own origin.
        """
        host = host_of(url)
        folder = target_of(url).partition("?")[0].rpartition("/")[0] + "/"
        new = not self._contains(url, host_of(url), UrlKind.PAGE) or self._has_closed_port(url)
        if has_bad_port(url):
            self._ports_of.add(origin_of(url))
        self._hosts.add(self._key(host))
        self._folders.setdefault(host, set()).add(folder)
        return new

    def has_host(self, url: str) -> bool:
        """Whether the URL's host is one of the crawl's, whatever else may keep the URL out."""
        return self._contains(url, host_of(url), UrlKind.CHECK)

    def forbids_check(self, url: str) -> Reason | None:
        """Why the URL may not even be checked; None where it may."""
        if len(url) > MAX_URL_LENGTH:
            return Reason(ExclusionReason.LENGTH)
        if any(pattern.search(url) for pattern in self._exclude):
            return Reason(ExclusionReason.EXCLUDE)
        return Reason(ExclusionReason.PORT) if self._has_closed_port(url) else None

    def judge(
        self,
        url: str,
        *,
        host: str | None = None,
        depth: int,
        hops: int = 0,
        seed: SeedMark = SeedMark.NO,
        kind: UrlKind = UrlKind.PAGE,
    ) -> Reason | None:
        """Why the URL may not enter; None where it may. A seed, being a root, is bound by --exclude alone.

        `host` is the URL's, where the caller knows it.
        """
        if len(url) > MAX_URL_LENGTH:
            return Reason(ExclusionReason.LENGTH)
        if hops > MAX_HOPS:
            return Reason(ExclusionReason.HOPS)
        if self._exclude and any(pattern.search(url) for pattern in self._exclude):
            return Reason(ExclusionReason.EXCLUDE)
        if self._has_closed_port(url):
            return Reason(ExclusionReason.PORT)
        if seed:
            return None
        if not self._contains(url, host or host_of(url), kind):
            return Reason(ExclusionReason.SCOPE)
        reach = depth + (kind in LISTINGS)  # it is good for nothing but what it leads to
        if self._config.max_depth is not None and reach > self._config.max_depth:
            return Reason(ExclusionReason.DEPTH)
        if self._include and kind is UrlKind.PAGE and not any(pattern.search(url) for pattern in self._include):
            return Reason(ExclusionReason.INCLUDE)
        return trap_of(url, self._config)

    def _has_closed_port(self, url: str) -> bool:
        return has_bad_port(url) and origin_of(url) not in self._ports_of

    def _contains(self, url: str, host: str, kind: UrlKind) -> bool:
        if self._is_any:
            return True
        if self._is_by_folder and kind is UrlKind.PAGE:
            path = target_of(url).partition("?")[0]
            return any(path.startswith(folder) for folder in self._folders.get(host, ()))
        return self._key(host) in self._hosts

    def _key(self, host: str) -> str:
        """What two hosts must have in common: the registrable domain, or the whole name where there is none."""
        return (self._is_by_domain and registrable_domain(host)) or host
