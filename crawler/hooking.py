"""Calls the hooks of a program where the crawl has something for them, and bears what they do.

Invariants: what a hook raises becomes the failure or the exclusion of its URL; one that holds up the event loop is
named, once.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import orjson

from crawler.hooks import Decision, Extras, FailedAttempt, FoundLink, Hooks, IncomingResponse, OutgoingRequest
from crawler.network.session import header_flaw
from crawler.own_code import in_a_line
from crawler.records import (
    Claim,
    ExclusionReason,
    Failure,
    FailureKind,
    Link,
    Links,
    Page,
    PreferredTarget,
    Reason,
    Response,
    Result,
    Target,
    UrlKind,
    UrlStatus,
    Visit,
    columns_of,
)
from crawler.storage.delivery import headers_by_name, of_response
from crawler.storage.heads import readable
from crawler.urls import normalize, without_credentials

_SLOW_S = 0.1  # in which the event loop could have done a hundred other things
_UNHOOKED = frozenset({UrlKind.ROBOTS, UrlKind.CHECK})
_NOT_FAILED = frozenset({UrlStatus.FETCHED, UrlStatus.REDIRECTED, UrlStatus.EXCLUDED})
_MAX_DEPTH = 1_000_000
_MAX_MESSAGE = 300  # characters

AtDepth: TypeAlias = Callable[[Target, int], Target]


class HookFailedError(Exception):
    """A hook raised something, or returned what cannot be used; the message is one line."""


class HookCalls:
    """The hooks of one run. Where one is not overridden, its attribute is None, and nothing is made for it."""

    def __init__(self, hooks: Hooks, notify: Callable[..., None]) -> None:
        self._notify = notify
        self._told: set[str] = set()
        self._name = type(hooks).__name__
        self._request = _overridden(hooks, "on_request")
        self._response = _overridden(hooks, "on_response")
        self._page = _overridden(hooks, "on_page")
        self._link = _overridden(hooks, "on_link")
        self._failure = _overridden(hooks, "on_failure")
        self._commit = _overridden(hooks, "on_commit")

    # --- what a visit asks --------------------------------------------------------------------------------------

    async def request(self, claim: Claim, now: float) -> tuple[dict[str, str], Reason | Failure | None]:
        """Headers for the claim's request, and why it is not to be made, if it is not."""
        if self._request is None or claim.kind in _UNHOOKED:
            return {}, None
        request = OutgoingRequest(
            url=claim.url,
            kind=claim.kind,
            depth=claim.depth,
            attempts=claim.attempts,
            again=claim.previous is not None,
        )
        try:
            veto = _veto("on_request", await self._call("on_request", self._request, request))
            for name, value in request.headers.items():
                if flaw := header_flaw(name, value):
                    raise HookFailedError(f"on_request: {flaw}")
        except HookFailedError as error:
            return {}, Failure(url=claim.url, kind=FailureKind.HOOK, message=str(error), started_at=now)
        return request.headers, veto

    async def response(self, claim: Claim, response: Response, found: UrlKind | None) -> Response | Failure:
        """The same response, or the failure that the hook has made of it. `found`: what its first bytes look like; the
        body of a sitemap is packed.
        """
        if self._response is None or claim.kind in _UNHOOKED:
            return response
        seen = IncomingResponse(
            url=response.url,
            kind=claim.kind,
            depth=claim.depth,
            status=response.status_code,
            headers=headers_by_name(readable(response.head)),
            body=response.body if found is UrlKind.PAGE else b"",
            content_type=response.content_type,
            truncated=response.truncated,
            elapsed_s=response.elapsed_s,
        )
        try:
            await self._call("on_response", self._response, seen)
        except HookFailedError as error:
            return _failed(response, error)
        return response

    async def page(self, claim: Claim, page: Page, response: Response) -> Page | Failure:
        """The page with what the hook adds, or the failure that it has made of it."""
        if self._page is None:
            return page
        extras = Extras()
        try:
            await self._call("on_page", self._page, of_response(page, response, claim.depth), extras)
            return _with_extras(page, extras)
        except HookFailedError as error:
            return _failed(response, error)

    # --- what the frontier asks ---------------------------------------------------------------------------------

    async def links(self, page: Page, targets: Sequence[Target], at_depth: AtDepth) -> tuple[Target, ...]:
        """The targets of the page's links, judged once more."""
        if self._link is None:
            return tuple(targets)
        pairs = zip(page.links, targets, strict=True)
        return tuple([await self.target(target, page.url, at_depth, link) for link, target in pairs])

    async def target(self, target: Target, page_url: str | None, at_depth: AtDepth, link: Link | None = None) -> Target:
        """One target, judged once more; `at_depth` judges it by the rules, with another depth.

        What the rules keep out for other reasons than its depth stays out, and is not asked for.
        """
        if self._link is None or (target.reason is not None and target.reason.cause != ExclusionReason.DEPTH):
            return target
        found = FoundLink(
            url=target.url,
            kind=target.kind,
            page_url=page_url,
            anchor=link.anchor if link is not None else "",
            rel=link.rel if link is not None else "",
            found_by=target.found_by,
            depth=target.depth,
        )
        try:
            veto = _veto("on_link", await self._call("on_link", self._link, found))
            _check_link(found)
        except HookFailedError as error:
            return replace(target, reason=Reason(ExclusionReason.HOOK, str(error)))
        if veto is not None:
            return replace(target, reason=veto)
        if found.depth != target.depth:
            target = at_depth(target, found.depth)
        if not found.priority:
            return target
        known = {one.name: getattr(target, one.name) for one in fields(Target)}
        return PreferredTarget(**known, priority_s=float(found.priority))

    def with_preferred(self, result: Result) -> Result:
        """The result with those of its targets that have a priority, if there are any."""
        targets = chain(result.link_targets, result.targets, (one.target for one in result.listed))
        preferred = [one for one in targets if isinstance(one, PreferredTarget) and one.reason is None]
        return replace(result, preferred=preferred) if preferred else result

    async def failed(self, visit: Visit, result: Result) -> None:
        """Tell of an attempt that brought nothing. What the hook raises is told, since the URL has failed already."""
        claim, attempt, verdict = visit.claim, visit.attempt, result.verdict
        if self._failure is None or claim.kind in _UNHOOKED or verdict.status in _NOT_FAILED:
            return
        if isinstance(attempt, Response):
            reason, message = f"http {attempt.status_code}", ""
        else:
            reason, message = attempt.kind.value, attempt.message
        failure = FailedAttempt(
            url=claim.url,
            kind=claim.kind,
            depth=claim.depth,
            reason=reason,
            message=message,
            attempts=verdict.attempts,
            will_retry=verdict.retry_in_s is not None,
        )
        await self._told_call("on_failure", self._failure, failure)

    # --- what the writer asks -----------------------------------------------------------------------------------

    @property
    def awaits_commits(self) -> bool:
        """Whether anybody wants to know what was committed."""
        return self._commit is not None

    async def committed(self, pages: Sequence[Page]) -> None:
        """Tell of pages that are stored. What the hook raises is told: nothing takes them back."""
        if self._commit is not None:
            await self._told_call("on_commit", self._commit, pages)

    # --- calling ------------------------------------------------------------------------------------------------

    async def _told_call(self, name: str, hook: Callable[..., Any], *given: Any) -> None:
        try:
            await self._call(name, hook, *given)
        except HookFailedError as error:
            self._tell(name, f"hook {error} (shown once)")

    async def _call(self, name: str, hook: Callable[..., Any], *given: Any) -> Any:
        began = time.perf_counter()
        try:
            result = hook(*given)
            self._look(name, began)
            if inspect.iscoroutine(result):
                return await _Watched(result, partial(self._look, name))
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            raise HookFailedError(f"{name}: {in_a_line(error, __file__)}") from error

    def _look(self, name: str, began: float) -> None:
        took_s = time.perf_counter() - began
        if took_s > _SLOW_S:
            self._tell(
                f"slow {name}",
                f"hook {name} of {self._name} held up the crawl for {took_s:.2f} s; let it await what it waits for, or"
                " do less (shown once)",
            )

    def _tell(self, what: str, message: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._notify(message, urgent=True)


class _Watched:
    """A coroutine, each step of which is looked at when it is over: it has kept the event loop for so long."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], look: Callable[[float], None]) -> None:
        self._coroutine = coroutine
        self._look = look

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            began = time.perf_counter()
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            finally:
                self._look(began)
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - it is cancelled, or closed: the coroutine is to know
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, answer)


def _overridden(hooks: Hooks, name: str) -> Callable[..., Any] | None:
    return None if getattr(type(hooks), name) is getattr(Hooks, name) else getattr(hooks, name)


def _veto(name: str, decision: Decision) -> Reason | None:
    if decision is None or decision is True:
        return None
    if decision is False:
        return Reason(ExclusionReason.HOOK, name)
    if not isinstance(decision, str):
        raise HookFailedError(f"{name}: it returned {decision!r:.60}; a decision is True, False, a text or None")
    return Reason(ExclusionReason.HOOK, f"{name}: {_cut(decision)}")


def _check_link(link: FoundLink) -> None:
    if not isinstance(link.depth, int) or not 0 <= link.depth <= _MAX_DEPTH:
        raise HookFailedError(f"on_link: depth is a number of links, not {link.depth!r:.60}")
    if not isinstance(link.priority, int | float) or not 0 <= link.priority < math.inf:
        raise HookFailedError(f"on_link: priority is a number of seconds, 0 or more, not {link.priority!r:.60}")


def _with_extras(page: Page, extras: Extras) -> Page:
    if extras.fields:
        try:
            fields = orjson.loads(orjson.dumps(extras.fields))
        except TypeError as error:
            raise HookFailedError(f"on_page: fields cannot be stored as JSON: {_cut(str(error))}") from error
        page = replace(page, fields={**page.fields, **fields})
    return _with_links(page, extras.links) if extras.links else page


def _with_links(page: Page, added: Sequence[Link]) -> Page:
    """What is no http(s) URL is left out, as of what stands on a page."""
    links = columns_of(page.links)
    known = set(links.urls)
    new: list[Link] = []
    for link in added:
        url = normalize(link.url, page.url)
        if url is not None and (url := without_credentials(url)) not in known:
            known.add(url)
            new.append(link._replace(url=url))
    more = columns_of(new)
    columns = Links(
        [*links.urls, *more.urls],
        [*links.anchors, *more.anchors],
        [*links.rels, *more.rels],
        [*links.nofollows, *more.nofollows],
    )
    return replace(page, links=columns, links_total=page.links_total + len(new))


def _failed(response: Response, error: HookFailedError) -> Failure:
    return Failure(
        url=response.url,
        kind=FailureKind.HOOK,
        message=str(error),
        address=response.address,
        started_at=response.started_at,
        elapsed_s=response.elapsed_s,
        first_byte_s=response.first_byte_s,
        reused=response.reused,
        sent=True,
        answered=True,
    )


def _cut(text: str) -> str:
    return " ".join(text.split())[:_MAX_MESSAGE]
