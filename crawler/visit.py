"""The story of one URL, top to bottom: locate, ask to be let in, fetch, read.

Invariant: a visit stores nothing and decides nothing. It waits for politeness only where it makes a second request. All
that it saw comes back as one frozen `Visit`; what becomes of the URL and its host is for the frontier to decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from crawler.bodies import decompress_or_none, stored_body
from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.content.document_text import MAX_DECODED_BYTES, TOO_LONG
from crawler.content.html import CONTENT_HASH_BYTES
from crawler.content.link_header import with_link_header
from crawler.content.reader import kind_of, may_be_read, may_be_read_by_now
from crawler.content.refresh import read_refresh
from crawler.content.robots_meta import robots_directives
from crawler.exchange import Exchange
from crawler.fetching import LISTING_PATIENCE, Fetcher, Terms, Unresolved, any_type, no_type
from crawler.memory import Share
from crawler.parsing.parser import Parser
from crawler.policy.checking import is_believed
from crawler.policy.outcome import REDIRECTS
from crawler.policy.ports import has_bad_port
from crawler.policy.recrawl import conditions, misdated
from crawler.policy.robots import MAX_BYTES as MAX_ROBOTS_BYTES
from crawler.records import (
    LISTINGS,
    Claim,
    EarlierBody,
    Failure,
    FailureKind,
    Listing,
    Page,
    Reason,
    Response,
    StoredBody,
    UrlKind,
    Visit,
)
from crawler.urls import normalize, origin_of, without_credentials

if TYPE_CHECKING:
    from crawler.hooking import HookCalls

MAX_ROBOTS_REDIRECTS = 5  # RFC 9309, 2.3.1.2
FIRST_REQUEST_TIMEOUT_S = 5.0  # to an origin; hosts that only hang would hold up those behind them


class Ledger(Protocol):
    """What a visit asks of the frontier."""

    def admit(self, claim: Claim, address: str) -> bool:
        """Whether a request may go to this address now; where not, the claim is no longer the worker's."""

    def sent(self, claim: Claim) -> None:
        """The claim's request has just been sent."""

    def patience_s(self, claim: Claim) -> float | None:
        """For how long the claim's request may take at most, where it holds up others; None: as long as any."""

    def sending_in_s(self, claim: Claim) -> float:
        """Seconds until the claim's request may be sent, now that there is a connection; to be asked again after they
        have passed.
        """

    async def stored_body(self, claim: Claim) -> EarlierBody | None:
        """The body of the version that is stored of the claim's URL; None where that was not kept."""

    def is_stranger(self, url: str) -> bool:
        """Whether the URL's host is none of this crawl's, so that it is shown nothing that the user meant for those."""

    def turn_in_s(self, claim: Claim) -> float | None:
        """Seconds until the claim's visit may make another request: at 0 the turn is its own. To be asked again after
        they have passed; None where the host is left alone for now, or no request is left.
        """


class Visitor:
    """Makes visits, with what they all share."""

    def __init__(
        self,
        config: CrawlConfig,
        fetcher: Fetcher,
        parser: Parser,
        ledger: Ledger,
        clock: Clock,
        hooks: HookCalls | None = None,
        own_types: Container[str] = (),
    ) -> None:
        """`own_types` are media types that readers of the user's read."""
        self._config = config
        self._fetcher = fetcher
        self._parser = parser
        self._ledger = ledger
        self._clock = clock
        self._hooks = hooks
        self._own_types = own_types
        self._may_be_read = partial(may_be_read, own=own_types) if own_types else may_be_read
        self._by_now = partial(may_be_read_by_now, own=own_types)
        self._long_listing = asyncio.Lock()
        self._is_recorded = config.run.warc is not None
        self._exchanges: dict[Claim, list[Exchange]] = {}  # of the visits under way

    def visit(self, claim: Claim) -> Awaitable[Visit | None]:
        """Everything that the claim led to; None where it was given back, because its address is busy."""
        return self._recorded_visit(claim) if self._is_recorded else self._visit(claim)

    async def _recorded_visit(self, claim: Claim) -> Visit | None:
        exchanges = self._exchanges[claim] = []
        try:
            visit = await self._visit(claim)
        finally:
            del self._exchanges[claim]
        return None if visit is None else replace(visit, exchanges=tuple(exchanges))

    async def _visit(self, claim: Claim) -> Visit | None:
        address = await self._fetcher.address_of(claim.host)
        if isinstance(address, Unresolved):
            return _visit(claim, self._unresolved(claim, address))
        if not self._ledger.admit(claim, address):
            return None
        if claim.kind is UrlKind.ROBOTS:
            return _visit(claim, await self._fetch_robots(claim))
        if claim.kind is UrlKind.CHECK:
            return await self._check(claim)
        asked_with = None
        if claim.previous is not None:
            asked_with = conditions(claim, keep_bodies=self._config.run.bodies, readable=self._by_now)
        headers = asked_with
        if self._hooks is not None:
            added, refused = await self._hooks.request(claim, self._clock.wall())
            if refused is not None:
                await asyncio.sleep(0)  # no request lets others run: many in a row would hold up all else
                return _unmade(claim, refused)
            headers = {**(asked_with or {}), **added} or None
        look = _FirstLook(claim.kind, self._config.network.timeout_s, self._long_listing, self._own_types)
        share = self._fetcher.share()
        try:
            attempt = await self._fetch(
                claim,
                claim.url,
                timeout_s=self._timeout_s(claim),
                headers=headers,
                readable=any_type if claim.kind in LISTINGS else self._may_be_read,
                look=look,
                share=share,
            )
            if isinstance(attempt, Failure) or not (attempt.read and 200 <= attempt.status_code < 300):
                return _visit(claim, attempt, conditional=bool(asked_with))
            return await self._read(claim, attempt, look.kind or claim.kind)
        finally:  # once the body has been read: bodies that wait for a parser are bodies
            share.give_back()
            look.give_turn_back()

    def _timeout_s(self, claim: Claim) -> float:
        patience_s = self._ledger.patience_s(claim)
        return self._config.network.timeout_s if patience_s is None else min(patience_s, self._config.network.timeout_s)

    def _unresolved(self, claim: Claim, reason: Unresolved) -> Failure:
        return Failure(url=claim.url, kind=FailureKind.DNS, message=reason.message, started_at=self._clock.wall())

    async def _fetch(
        self,
        claim: Claim,
        url: str,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        readable: Callable[[str | None], bool] = any_type,
        look: _FirstLook | None = None,
        share: Share | None = None,
        max_bytes: int | None = None,
        method: str = "GET",
        as_stranger: bool = False,
    ) -> Response | Failure:
        """One answer. Servers close the connections that they had kept when they like, also while a request is on its
        way: that is nobody's fault, costs no attempt, and is tried once more at the host's pace (RFC 9112, 9.3.1).
        """
        fresh = False
        while True:
            attempt = await self._fetcher.fetch(
                url,
                timeout_s=timeout_s,
                headers=headers,
                readable=readable,
                look=look,
                max_bytes=max_bytes,
                on_sent=partial(self._ledger.sent, claim),
                sending_in_s=partial(self._ledger.sending_in_s, claim),
                fresh=fresh,
                share=share,
                method=method,
                as_stranger=as_stranger,
                record=self._exchanges[claim].append if self._is_recorded else None,
            )
            if isinstance(attempt, Response):
                break
            if fresh or not attempt.is_of_kept_connection or not await self._turn(claim):
                return attempt
            fresh = True
        if self._hooks is not None:
            attempt = await self._hooks.response(claim, attempt, None if look is None else look.kind)
        if isinstance(attempt, Response) and not self._config.run.response_headers and claim.kind is not UrlKind.CHECK:
            return replace(attempt, head=())  # of a check, it tells a bot wall, and is not stored
        return attempt

    async def _fetch_robots(self, claim: Claim) -> Response | Failure:
        """robots.txt, its redirects followed: the last of too many stands for 'no rules' (RFC 9309, 2.3.1.2).

        A worker waits for politeness here: a redirect of robots.txt is rare, and within the visit.
        """
        url = claim.url
        timeout_s = self._timeout_s(claim)
        if not claim.attempts:
            timeout_s = min(timeout_s, FIRST_REQUEST_TIMEOUT_S)
        for hop in range(MAX_ROBOTS_REDIRECTS + 1):
            if hop and not await self._turn(claim):
                reason = "its host asked for a pause, or a limit of requests was reached, between two redirects"
                return Failure(url=url, kind=FailureKind.DISCONNECTED, message=reason, started_at=self._clock.wall())
            as_stranger = self._ledger.is_stranger(url)
            attempt = await self._fetch(
                claim, url, timeout_s=timeout_s, max_bytes=MAX_ROBOTS_BYTES, as_stranger=as_stranger
            )
            onward = _redirect_url(attempt)
            if onward is None or onward == url or (has_bad_port(onward) and origin_of(onward) != claim.origin):
                break
            url = onward
        return attempt

    async def _check(self, claim: Claim) -> Visit:
        """Whether something is there: by HEAD, and before anything else is believed by GET. No body is read.

        What is tried again has been asked for by HEAD.
        """
        timeout_s = min(self._timeout_s(claim), self._config.check.check_timeout_s)
        is_stranger = self._ledger.is_stranger(claim.url)
        asked: dict[str, Any] = {"timeout_s": timeout_s, "readable": no_type, "as_stranger": is_stranger}
        if not claim.attempts:
            attempt = await self._fetch(claim, claim.url, method="HEAD", **asked)
            if is_believed(attempt, _redirect_url(attempt)):
                return _visit(claim, attempt)
            if not await self._turn(claim):
                return _visit(claim, attempt, is_doubtful=True)
        return _visit(claim, await self._fetch(claim, claim.url, **asked))

    async def _turn(self, claim: Claim) -> bool:
        """Wait until the visit may make another request; False where the host is left alone for now."""
        while wait_s := self._ledger.turn_in_s(claim):  # noqa: ASYNC110 - no event is waited for, but a time
            await asyncio.sleep(wait_s)
        return wait_s is not None

    async def _read(self, claim: Claim, response: Response, kind: UrlKind) -> Visit:
        reading = await self._parser.read(kind, response, keep_body=self._config.run.bodies)
        if isinstance(reading, Failure):
            keep = self._config.run.bodies and kind is UrlKind.PAGE
            # In a thread: 10 MB are 30 ms in which the event loop can do other things.
            body = await asyncio.to_thread(stored_body, response.body) if keep else None
            return _visit(claim, reading, body=body)
        content, body = reading
        response = replace(response, body=b"")  # it has been read, and its `size` is known
        if isinstance(content, Page):
            page = self._with_header_directives(content, response)
            if self._hooks is not None:
                hooked = await self._hooks.page(claim, page, response)
                if isinstance(hooked, Failure):
                    return _visit(claim, hooked, body=body)
                page = hooked
            earlier = await self._read_earlier(claim, response, page, body)
            return _visit(claim, response, page=page, earlier=earlier, body=body)
        if isinstance(content, Listing):
            return _visit(claim, response, listing=_cut_as(content, response))
        return _visit(claim, response)

    async def _read_earlier(self, claim: Claim, response: Response, page: Page, body: StoredBody | None) -> Page | None:
        """What today's reader makes of the stored body, where another reader had read it: without that, nobody can tell
        whether the `page` has changed. None where there is no need, no such body, or it cannot be read.

        Today's header fields stand for those of then, which are not kept.
        """
        previous = claim.previous
        if previous is None or previous.reader_version == page.reader_version or not previous.has_body:
            return None
        stored = await self._ledger.stored_body(claim)
        if stored is None:
            return None
        if body is not None and body.digest == stored.digest:
            return page
        raw = await asyncio.to_thread(decompress_or_none, stored.zstd)
        if raw is None:
            return None
        before = Response(url=claim.url, status_code=200, content_type=stored.content_type, body=raw, size=len(raw))
        reading = await self._parser.read(claim.kind, before, keep_body=False)
        if isinstance(reading, Failure) or not isinstance(reading[0], Page):
            return None
        return self._with_header_directives(reading[0], response)

    def _with_header_directives(self, page: Page, response: Response) -> Page:
        """X-Robots-Tag says what `<meta name=robots>` may say; the stricter holds. A Refresh comes before the page's
        own (WHATWG HTML, "shared declarative refresh steps"). A Link says what `<link>` may say.
        """
        if response.link_fields:
            page = with_link_header(page, response.link_fields)
        refresh = None if response.refresh is None else read_refresh(response.refresh, page.url, page.url)
        if refresh is not None:
            page = replace(page, refresh_url=refresh.url, refresh_is_redirect=refresh.is_redirect)
        if not response.robots_tags:
            return page
        noindex, nofollow = robots_directives(response.robots_tags, self._config.network.product_token)
        asked = replace(page, noindex=page.noindex or noindex, nofollow=page.nofollow or nofollow)
        if (asked.noindex, asked.nofollow) == (page.noindex, page.nofollow):
            return page
        salt = bytes((asked.noindex, asked.nofollow))  # a version that asks for something else is another one
        return replace(
            asked, content_hash=blake2b(page.content_hash, key=salt, digest_size=CONTENT_HASH_BYTES).digest()
        )


class _FirstLook:
    """A `Look`: what a document is by its first bytes. For a sitemap, the protocol's limits hold, not those of a page;
    of long ones, one is taken and read at a time.
    """

    def __init__(self, kind: UrlKind, timeout_s: float, long_listing: asyncio.Lock, own_types: Container[str]) -> None:
        self._asked_as = kind
        self._own_types = own_types
        self._more_time_s = (LISTING_PATIENCE - 1) * timeout_s
        self._long_listing = long_listing
        self._has_turn = False
        self.kind: UrlKind | None = None

    def __call__(self, content_type: str | None, head: bytes) -> Terms | None:
        """See `Look`."""
        self.kind = kind_of(self._asked_as, content_type, head, self._own_types)
        if self.kind is None:
            return None
        if self.kind is UrlKind.PAGE:
            return _AS_IT_IS
        return Terms(
            max_bytes=MAX_DECODED_BYTES, more_time_s=self._more_time_s, is_packed=True, wait=self._wait_for_turn
        )

    async def _wait_for_turn(self) -> None:
        await self._long_listing.acquire()
        self._has_turn = True

    def give_turn_back(self) -> None:
        """The visit is over, and whatever it read has been read."""
        if self._has_turn:
            self._has_turn = False
            self._long_listing.release()


_AS_IT_IS = Terms()


def _cut_as(listing: Listing, response: Response) -> Listing:
    """What was cut on its way was not read to its end."""
    if listing.cut is not None or not response.truncated:
        return listing
    size = response.size or 0
    return replace(listing, cut=TOO_LONG if size >= MAX_DECODED_BYTES else f"only its first {size:,} bytes came")


def _visit(claim: Claim, attempt: Response | Failure, **found: Any) -> Visit:
    """What is brought back, without those header values that are of no use; `found` are further fields."""
    redirect_url = None
    if isinstance(attempt, Response):
        if attempt.location is not None and (redirect_url := _redirect_url(attempt)) is None:
            attempt = replace(attempt, location=None)  # it leads nowhere that we can go
        if misdated(attempt):
            attempt = replace(attempt, last_modified=None)
    return Visit(claim=claim, attempt=attempt, redirect_url=redirect_url, **found)


def _unmade(claim: Claim, refused: Reason | Failure) -> Visit:
    """No request was made, since a hook forbade it, or failed."""
    if isinstance(refused, Failure):
        return _visit(claim, refused)
    return _visit(claim, Failure(url=claim.url, kind=FailureKind.HOOK, message=refused), veto=refused)


def _redirect_url(attempt: Response | Failure) -> str | None:
    if isinstance(attempt, Failure) or attempt.status_code not in REDIRECTS or attempt.location is None:
        return None
    url = normalize(attempt.location, attempt.url)
    return None if url is None else without_credentials(url)  # a server's are not ours to keep
