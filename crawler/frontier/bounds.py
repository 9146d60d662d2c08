"""What bounds a host that never ends: its session ids, and its places where all pages are alike.

These reasons depend on what the crawl has seen so far, unlike those of `Scope`. A closed place is stored, as the detail
of why URLs were shut out; session ids, and the pages of a place that is still open, are counted anew by each run. How
many URLs a host has, and how many hosts a domain, is bounded by the store.
Invariant: a URL that was admitted once is shut out again only where its place is closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from crawler.config import ScopeConfig
from crawler.policy.repetition import ELSEWHERE, RepetitionDetector
from crawler.policy.traps import session_of
from crawler.records import ExclusionReason, Page, Reason, Target, UrlKind

_SESSIONS_PER_HOST = 16  # a server that keeps to the session of the first link needs one for each way in
_MAX_SESSION_HOSTS = 4096
_EVERY = 8  # pages: to look at each one would cost a crawl 3 % (50 us a page), and a trap has enough of them


class Bounds:
    """Asked about each new URL, told about each page."""

    def __init__(self, config: ScopeConfig) -> None:
        self._config = config
        self._repetition = RepetitionDetector()
        self._pages = 0
        self._sessions: dict[str, set[str]] = {}  # by host

    def reason(self, target: Target) -> Reason | None:
        """Why this URL, that nothing else speaks against, may not become one more of its host."""
        if target.kind is not UrlKind.PAGE or target.seed:
            return None
        if not self._config.trap_rules:
            return None
        return self.closed(target.url, target.host) or self._session_reason(target)

    def closed(self, url: str, host: str) -> Reason | None:
        """Why no URL of this one's place is fetched any more."""
        place = self._repetition.closed(url, host)
        return None if place is None else Reason(ExclusionReason.PAGES_ALIKE, place)

    def note(self, page: Page) -> str | None:
        """A page is stored; returns the place that it closes, if it does."""
        self._pages += 1
        if self._pages % _EVERY or not self._config.trap_rules:
            return None
        return self._repetition.note(page)

    def restore(self, places: Iterable[tuple[str, str]]) -> None:
        """The closed places of earlier runs, each with its host before it. ELSEWHERE means others in each run."""
        for host, place in places:
            if self._config.trap_rules and place != ELSEWHERE:
                self._repetition.close(host, place)

    def _session_reason(self, target: Target) -> Reason | None:
        session = session_of(target.url)
        if session is None:
            return None
        if len(self._sessions) >= _MAX_SESSION_HOSTS and target.host not in self._sessions:
            self._sessions.clear()
        known = self._sessions.setdefault(target.host, set())
        if session not in known and len(known) >= _SESSIONS_PER_HOST:
            return Reason(ExclusionReason.SESSION_IDS)
        known.add(session)
        return None
