"""A `Visit`, brought back by a worker -> the `Result`s to store: decided, links admitted, the claim returned.

Invariant: each function takes one visit and returns every result that follows from it, complete: a robots.txt that
cannot be had settles the claims that waited for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.frontier.admission import Admission
from crawler.frontier.rules import RulesBook
from crawler.frontier.workbench import Workbench
from crawler.policy.outcome import LATER_S, decide, decide_robots
from crawler.policy.recrawl import Pace, plan, retry_later_s
from crawler.records import (
    ANSWERED,
    Claim,
    Failure,
    FailureKind,
    Page,
    Response,
    Result,
    Revisit,
    RobotsCopy,
    SeedMark,
    StoredBody,
    Target,
    UrlKind,
    UrlStatus,
    Verdict,
    Visit,
)
from crawler.seeds import http_twin
from crawler.urls import scheme_of

ROBOTS_MAX_AGE_S = 86400.0  # RFC 9309, 2.4


class Conclusion:
    """Concludes visits, with what that needs."""

    def __init__(
        self,
        config: CrawlConfig,
        workbench: Workbench,
        admission: Admission,
        rules: RulesBook,
        counters: Counters,
        clock: Clock,
        notify: Callable[[str], None],
    ) -> None:
        self._config = config
        self._workbench = workbench
        self._admission = admission
        self._rules = rules
        self._counters = counters
        self._clock = clock
        self._notify = notify
        self.pace = Pace(min_interval_s=config.recrawl.min_interval_s, max_interval_s=config.recrawl.max_interval_s)

    async def of(self, visit: Visit, entries: Sequence[Target] = ()) -> list[Result]:
        """All that is to be stored, now that this visit is over; `entries` are those of its sitemap, judged."""
        verdict = decide(
            visit.claim,
            visit.attempt,
            retries=self._config.network.retries,
            host_failures=self._workbench.host(visit.claim.host_id).failures,
            jitter=random.random(),
            now=self._clock.wall(),
            conditional=visit.conditional,
        )
        self._count(visit, will_retry=verdict.retry_in_s is not None)
        if visit.claim.kind is UrlKind.ROBOTS:
            return await self._of_robots(visit, verdict)
        return [self._of_page(visit, verdict, entries)]

    def _count(self, visit: Visit, *, will_retry: bool) -> None:
        claim, attempt = visit.claim, visit.attempt
        self._counters.retries += will_retry
        if isinstance(attempt, Failure):
            self._counters.by_failure[attempt.kind] += 1
            self._counters.latest_errors.append((claim.url, f"{attempt.kind}: {attempt.message}"))
            return
        self._counters.by_status[attempt.status_code] += 1
        if attempt.status_code >= 400 and claim.kind is not UrlKind.ROBOTS:
            self._counters.latest_errors.append((claim.url, f"HTTP {attempt.status_code}"))

    def _of_page(self, visit: Visit, verdict: Verdict, entries: Sequence[Target]) -> Result:
        claim = visit.claim
        page, body = _new_version(visit)
        if page is not None:
            self._note(page, claim)
        link_targets = self._admission.links(page, claim) if page is not None else ()
        targets = [*entries, *self._onward(visit, page)]
        if _should_fall_back(claim, visit.attempt):
            verdict = replace(verdict, status=UrlStatus.FAILED, retry_in_s=None, back_off_s=None)
            targets.append(self._fall_back(claim))
        if verdict.status is UrlStatus.FAILED:
            verdict = self._try_later(claim, verdict)
        return self._take_back(
            visit,
            verdict,
            page=page,
            body=body,
            link_targets=link_targets,
            targets=tuple(targets),
            lastmods=_lastmods(visit),
        )

    def _try_later(self, claim: Claim, verdict: Verdict) -> Verdict:
        """What was answered before and fails now is not given up for ever, as one would be that never was.

        Not only pages: also a sitemap, a redirect, or a document of another type.
        """
        if claim.earlier is None:
            return verdict
        later_s = retry_later_s(verdict.attempts, self._config.network.retries, self.pace)
        return replace(verdict, retry_in_s=later_s)

    def _note(self, page: Page, claim: Claim) -> None:
        place = self._admission.note(page)
        if place is not None:
            self._notify(
                f"{claim.host}: the pages of {place} say the same again and again; no more of them (--no-trap-rules)"
            )

    def _onward(self, visit: Visit, page: Page | None) -> Iterator[Target]:
        """Where a redirect, or a meta refresh of a new version, leads."""
        url = visit.redirect_url or (page.refresh_url if page is not None else None)
        if url is None:
            return
        target = self._admission.onward(url, visit.claim)
        if target.seed and target.reason is None and self._admission.widen(target.url):
            self._notify(f"{visit.claim.url} leads to {target.url}: {target.host} belongs to the scope now")
        yield target

    def _fall_back(self, claim: Claim) -> Target:
        """A seed without a scheme that does not answer by https is tried by http."""
        url = http_twin(claim.url)
        self._admission.widen(url)
        self._notify(f"{claim.url} does not answer; trying {url}")
        return self._admission.target(url, depth=0, seed=SeedMark.HEIR)  # what was meant for https is not sent by http

    # --- robots.txt ---------------------------------------------------------------------------------------------

    async def _of_robots(self, visit: Visit, verdict: Verdict) -> list[Result]:
        claim, attempt = visit.claim, visit.attempt
        waiting = self._rules.waiting(claim.origin)
        decision = decide_robots(
            claim,
            attempt,
            retries=self._config.network.retries,
            impatient=any(_should_fall_back(one, attempt) for one in waiting),
            jitter=random.random(),
            now=self._clock.wall(),
        )
        if decision.rules is not None:
            return [await self._obey(visit, verdict, decision.rules)]
        if decision.failed is not None:
            return self._fail_origin(visit, verdict, decision.failed)
        return [self._try_robots_again(visit, verdict, decision.retry_in_s)]

    async def _obey(self, visit: Visit, verdict: Verdict, rules: bytes) -> Result:
        """The claims that waited for these rules are ready to be judged by them (see `RulesBook.take_ready`)."""
        host, now = self._workbench.host(visit.claim.host_id), self._clock.wall()
        copy = replace(_copy(visit, now), body=rules, expires_at=now + ROBOTS_MAX_AGE_S)
        known = await self._rules.learn(copy)
        self._workbench.slow_down(host, self._rules.crawl_delay_s(host.name))
        targets = tuple(self._admission.sitemaps(known.sitemaps))
        return self._take_back(visit, verdict, robots=copy, targets=targets)

    def _fail_origin(self, visit: Visit, verdict: Verdict, kind: FailureKind) -> list[Result]:
        """Nothing of this origin can be fetched: its pages fail with that, and a bare seed is tried by http."""
        host = self._workbench.host(visit.claim.host_id)
        if any(one.earlier is not None for one in self._rules.waiting(visit.claim.origin)):
            # It was there before: its other pages are left for a later run, not asked for one after the other.
            verdict = replace(verdict, back_off_s=LATER_S)
        results = [self._take_back(visit, verdict, origin_failed=kind)]
        for one in self._rules.release(visit.claim.origin):
            host.waiting -= 1
            fallback = (self._fall_back(one),) if _should_fall_back(one, visit.attempt) else ()
            verdict = Verdict(status=UrlStatus.FAILED, reason=kind, attempts=visit.claim.attempts + 1)
            later_s = self._try_later(one, verdict).retry_in_s
            again_at = None if later_s is None else self._clock.wall() + later_s
            results.append(Result(claim=one, verdict=verdict, targets=fallback, next_fetch_at=again_at))
        return results

    def _try_robots_again(self, visit: Visit, verdict: Verdict, retry_in_s: float | None) -> Result:
        """Nothing may be fetched while robots.txt is unreachable: the host is left alone, its pages stay pending."""
        again = replace(visit.claim, attempts=visit.claim.attempts + 1)
        verdict = replace(verdict, status=UrlStatus.FAILED, back_off_s=retry_in_s, host_failed=True)
        copy = replace(_copy(visit, self._clock.wall()), failures=again.attempts)
        result = self._take_back(visit, verdict, robots=copy)
        self._workbench.offer(self._workbench.host(again.host_id), [again], first=True)
        return result

    # --- returning the claim ------------------------------------------------------------------------------------

    def _take_back(self, visit: Visit, verdict: Verdict, *, page: Page | None = None, **found: Any) -> Result:
        """Return the claim to the workbench; the result is what the visit brought, what was `found` and the times."""
        claim = visit.claim
        host = self._workbench.host(claim.host_id)
        if verdict.host_failed is not None:
            host.failures = host.failures + 1 if verdict.host_failed else 0
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._workbench.done(
            claim,
            now,
            stored=page is not None,
            timed_out=isinstance(visit.attempt, Failure) and visit.attempt.kind is FailureKind.TIMEOUT,
            back_off_until=None if verdict.back_off_s is None else now + verdict.back_off_s,
        )
        again = claim.kind is not UrlKind.ROBOTS and verdict.retry_in_s is not None
        return Result(
            claim=claim,
            verdict=verdict,
            attempt=visit.attempt,
            page=page,
            redirect_url=visit.redirect_url,
            next_fetch_at=wall + (verdict.retry_in_s or 0.0) if again else None,
            revisit=self._revisit(visit, verdict.status, page),
            back_off_until=None if verdict.back_off_s is None else wall + verdict.back_off_s,
            host_failures=host.failures,
            **found,
        )

    def _revisit(self, visit: Visit, status: UrlStatus, page: Page | None) -> Revisit | None:
        if not isinstance(visit.attempt, Response) or status not in ANSWERED or visit.claim.kind is UrlKind.ROBOTS:
            return None
        content_hash = page.content_hash if page is not None else None
        return plan(visit.claim, visit.attempt, status, content_hash, self.pace)


def _new_version(visit: Visit) -> tuple[Page | None, StoredBody | None]:
    """The page and the body to store. A page that says what it said before is no new version; its body completes one
    that was stored without.
    """
    page, earlier = visit.page, visit.claim.earlier
    if page is None or earlier is None:
        return page, visit.body
    truncated = isinstance(visit.attempt, Response) and visit.attempt.truncated
    if page.content_hash != earlier.content_hash or (earlier.truncated and not truncated):
        return page, visit.body
    return None, None if earlier.has_body else visit.body


def _lastmods(visit: Visit) -> tuple[tuple[str, float], ...]:
    """What a sitemap says of the pages that may be known by now: those of the first reading are not."""
    if visit.claim.earlier is None:
        return ()
    return tuple((entry.url, entry.lastmod) for entry in visit.entries if entry.lastmod is not None)


def excluded(claim: Claim, reason: str) -> Result:
    """The claim is not fetched, for this reason."""
    return Result(claim=claim, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=reason))


def _copy(visit: Visit, now: float) -> RobotsCopy:
    status = visit.attempt.status_code if isinstance(visit.attempt, Response) else None
    return RobotsCopy(origin=visit.claim.origin, status_code=status, fetched_at=now)


def _should_fall_back(claim: Claim, attempt: Response | Failure) -> bool:
    return (
        claim.seed is SeedMark.BARE
        and scheme_of(claim.url) == "https"
        and isinstance(attempt, Failure)
        and attempt.kind not in (FailureKind.DNS, FailureKind.BLOCKED_ADDRESS, FailureKind.PROXY)
    )
