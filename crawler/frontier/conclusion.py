"""A `Visit`, brought back by a worker -> the `Result`s to store: decided, links admitted, the claim returned.

Invariant: each function takes one visit and returns every result that follows from it, complete: a robots.txt that
cannot be had settles the claims that waited for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.frontier.admission import Admission
from crawler.frontier.origins import Origins
from crawler.frontier.robots_cache import MAX_AGE_S, RobotsCache
from crawler.frontier.workbench import Workbench
from crawler.policy.outcome import decide, decide_robots
from crawler.policy.recrawl import Pace, plan, retry_later_s
from crawler.records import (
    ANSWERED,
    Claim,
    Failure,
    FailureKind,
    Page,
    Reason,
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


class Circumstances(TypedDict):
    """What a decision rests on, beside the attempt itself; see `policy.outcome.decide`."""

    retries: int
    host_failures: int
    jitter: float
    now: float


class Conclusion:
    """Concludes visits, with what that needs."""

    def __init__(
        self,
        config: CrawlConfig,
        workbench: Workbench,
        admission: Admission,
        origins: Origins,
        robots: RobotsCache,
        counters: Counters,
        clock: Clock,
        notify: Callable[[str], None],
    ) -> None:
        self._config = config
        self._workbench = workbench
        self._admission = admission
        self._origins = origins
        self._robots = robots
        self._counters = counters
        self._clock = clock
        self._notify = notify
        self.pace = Pace(min_interval_s=config.recrawl.min_interval_s, max_interval_s=config.recrawl.max_interval_s)

    async def of(self, visit: Visit, entries: Sequence[Target] = ()) -> list[Result]:
        """All that is to be stored, now that this visit is over; `entries` are those of its sitemap, judged."""
        if visit.claim.kind is UrlKind.ROBOTS:
            return await self._of_robots(visit)
        return [self._of_page(visit, entries)]

    def _of_page(self, visit: Visit, entries: Sequence[Target]) -> Result:
        claim = visit.claim
        verdict = decide(claim, visit.attempt, conditional=visit.conditional, **self._circumstances(claim))
        self._count(visit, will_retry=verdict.retry_in_s is not None)
        page, body = _new_version(visit)
        if page is not None:
            self._admission.note(page)
        reread = visit.page if page is None and _completes(visit) else None
        linking = page or reread
        link_targets = self._admission.links(linking, claim) if linking is not None else ()
        targets = [*entries, *self._redirect_targets(visit, page)]
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
            reread=reread,
            link_targets=link_targets,
            targets=tuple(targets),
            lastmods=_lastmods(visit),
        )

    def _try_later(self, claim: Claim, verdict: Verdict) -> Verdict:
        """What was answered before and fails now is not given up for ever, as one would be that never was.

        Not only pages: also a sitemap, a redirect, or a document of another type.
        """
        if claim.previous is None:
            return verdict
        later_s = retry_later_s(verdict.attempts, self._config.network.retries, self.pace)
        return replace(verdict, retry_in_s=later_s)

    def _redirect_targets(self, visit: Visit, page: Page | None) -> Iterator[Target]:
        """Where a redirect, or a meta refresh of a new version, leads."""
        url = visit.redirect_url or (page.refresh_url if page is not None else None)
        if url is None:
            return
        target = self._admission.redirect_target(url, visit.claim)
        if target.seed and target.reason is None and self._admission.widen(target.url):
            self._notify(f"{visit.claim.url} leads to {target.url}: {target.host} belongs to the scope now")
        yield target

    def _fall_back(self, claim: Claim) -> Target:
        """A seed without a scheme that does not answer by https is tried by http."""
        url = http_twin(claim.url)
        self._admission.widen(url)
        self._notify(f"{claim.url} does not answer; trying {url}")
        return self._admission.target(
            url, depth=0, seed=SeedMark.SEED_REDIRECT
        )  # what was meant for https is not sent by http

    # --- robots.txt ---------------------------------------------------------------------------------------------

    async def _of_robots(self, visit: Visit) -> list[Result]:
        claim, attempt = visit.claim, visit.attempt
        waiting = self._origins.waiting(claim.origin)
        decision = decide_robots(
            claim,
            attempt,
            has_fallback=any(_should_fall_back(one, attempt) for one in waiting),
            was_reached=any(one.previous is not None for one in waiting),
            **self._circumstances(claim),
        )
        self._count(visit, will_retry=decision.verdict.retry_in_s is not None)
        if decision.rules is not None:
            return [await self._obey(visit, decision.verdict, decision.rules)]
        if decision.failed is not None:
            return self._fail_origin(visit, decision.verdict, decision.failed)
        return [self._try_robots_again(visit, decision.verdict)]

    async def _obey(self, visit: Visit, verdict: Verdict, rules: bytes) -> Result:
        """The claims that waited for these rules are ready to be judged by them (see `Origins.take_ready`)."""
        host, now = self._workbench.host(visit.claim.host_id), self._clock.wall()
        copy = replace(_copy(visit, now), body=rules, expires_at=now + MAX_AGE_S)
        known = await self._robots.learn(copy)
        self._origins.rules_arrived(copy.origin)
        self._workbench.slow_down(host, self._robots.crawl_delay_s(host.name))
        targets = tuple(self._admission.sitemaps(known.sitemaps))
        return self._take_back(visit, verdict, robots=copy, targets=targets)

    def _fail_origin(self, visit: Visit, verdict: Verdict, kind: FailureKind) -> list[Result]:
        """Nothing of this origin can be fetched: its pages fail with that, and a bare seed is tried by http."""
        results = [self._take_back(visit, verdict, origin_failed=kind)]
        released = self._origins.release(visit.claim.origin)
        self._workbench.set_aside(self._workbench.host(visit.claim.host_id), -len(released))
        for one in released:
            fallback = (self._fall_back(one),) if _should_fall_back(one, visit.attempt) else ()
            failed = Verdict(status=UrlStatus.FAILED, reason=Reason(kind), attempts=visit.claim.attempts + 1)
            later_s = self._try_later(one, failed).retry_in_s
            again_at = None if later_s is None else self._clock.wall() + later_s
            results.append(Result(claim=one, verdict=failed, targets=fallback, next_fetch_at=again_at))
        return results

    def _try_robots_again(self, visit: Visit, verdict: Verdict) -> Result:
        """Nothing may be fetched while robots.txt is unreachable: the host is left alone, its pages stay pending."""
        again = replace(visit.claim, attempts=visit.claim.attempts + 1)
        copy = replace(_copy(visit, self._clock.wall()), failures=again.attempts)
        result = self._take_back(visit, verdict, robots=copy)
        self._workbench.offer(self._workbench.host(again.host_id), [again], first=True)
        return result

    # --- deciding -----------------------------------------------------------------------------------------------

    def _circumstances(self, claim: Claim) -> Circumstances:
        """What a decision rests on, beside the attempt itself."""
        return {
            "retries": self._config.network.retries,
            "host_failures": self._workbench.host(claim.host_id).failures,
            "jitter": random.random(),
            "now": self._clock.wall(),
        }

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

    # --- returning the claim ------------------------------------------------------------------------------------

    def _take_back(self, visit: Visit, verdict: Verdict, *, page: Page | None = None, **found: Any) -> Result:
        """Return the claim to the workbench; the result is what the visit brought, what was `found` and the times."""
        claim = visit.claim
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._workbench.take_back(
            claim,
            now,
            stored=page is not None,
            timed_out=isinstance(visit.attempt, Failure) and visit.attempt.kind is FailureKind.TIMEOUT,
            host_failed=verdict.host_failed,
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
            host_failures=self._workbench.host(claim.host_id).failures,
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
    page, previous = visit.page, visit.claim.previous
    if page is None or previous is None:
        return page, visit.body
    truncated = isinstance(visit.attempt, Response) and visit.attempt.truncated
    if page.content_hash != previous.content_hash or (previous.truncated and not truncated):
        return page, visit.body
    return None, None if previous.has_body else visit.body


def _completes(visit: Visit) -> bool:
    """Whether links of the stored version have no row, and may get one now."""
    previous = visit.claim.previous
    return previous is not None and previous.lacks_links


def _lastmods(visit: Visit) -> tuple[tuple[str, float], ...]:
    """What a sitemap says of the pages that may be known by now: those of the first reading are not."""
    if visit.claim.previous is None:
        return ()
    return tuple((entry.url, entry.lastmod) for entry in visit.entries if entry.lastmod is not None)


def excluded(claim: Claim, reason: Reason) -> Result:
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
