"""A claim goes back to the workbench, which hears what its attempt says; what is to be stored of that is the `Result`.

Invariant: whoever is to blame is told once, here, and by the verdict alone (see `policy.outcome`).
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypedDict

from crawler.clock import Clock
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.frontier.workbench import Workbench
from crawler.policy.change import is_awaited
from crawler.policy.habits import Habits
from crawler.policy.outcome import FETCHED, REFUSALS, InARow, answered
from crawler.policy.recrawl import Pace, plan
from crawler.records import (
    ANSWERED,
    Blame,
    Checked,
    Claim,
    Closure,
    Difference,
    Failure,
    FailureKind,
    Page,
    Place,
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

_UNPLANNED = frozenset({UrlKind.ROBOTS, UrlKind.CHECK})
_SUCCESSES = frozenset({UrlStatus.FETCHED, UrlStatus.REDIRECTED})


class Circumstances(TypedDict):
    """What a decision rests on, beside the attempt itself; see `policy.outcome.decide`."""

    retries: int
    before: InARow
    jitter: float
    now: float


class Returning:
    """Takes claims back. `pace` says how often URLs are looked at again."""

    def __init__(self, config: CrawlConfig, workbench: Workbench, counters: Counters, clock: Clock) -> None:
        self._retries = config.network.retries
        self._max_wait_s = config.run.max_wait_s
        self._adaptive = config.politeness.adaptive_pace
        self._workbench = workbench
        self._counters = counters
        self._clock = clock
        self.pace = Pace(min_interval_s=config.recrawl.min_interval_s, max_interval_s=config.recrawl.max_interval_s)

    def circumstances(self, claim: Claim) -> Circumstances:
        """What a decision rests on, beside the attempt itself."""
        return {
            "retries": self._retries,
            "before": self._workbench.before(claim),
            "jitter": random.random(),
            "now": self._clock.wall(),
        }

    def count(self, visit: Visit, *, will_retry: bool) -> None:
        """Count the attempt in the run's figures."""
        claim, attempt = visit.claim, visit.attempt
        self._counters.retries += will_retry
        if isinstance(attempt, Failure):
            self._counters.by_failure[attempt.kind] += 1
            self._counters.latest_errors.append((claim.url, f"{attempt.kind}: {attempt.message}"))
            return
        self._counters.by_status[attempt.status_code] += 1
        if attempt.status_code >= 400 and claim.kind is not UrlKind.ROBOTS and claim.seed is not SeedMark.GUESS:
            self._counters.latest_errors.append((claim.url, f"HTTP {attempt.status_code}"))

    def take_back(
        self,
        visit: Visit,
        verdict: Verdict,
        *,
        page: Page | None = None,
        body: StoredBody | None = None,
        reread: Page | None = None,
        difference: Difference = Difference.NOTHING,
        link_targets: tuple[Target, ...] = (),
        targets: tuple[Target, ...] = (),
        forgets_listed: bool = False,
        robots: RobotsCopy | None = None,
        origin_failed: FailureKind | None = None,
        checked: Checked | None = None,
    ) -> Result:
        """Return the claim to the workbench; the result is what the visit brought, what was found in it, and the times.

        For what is found, see `Result`.
        """
        claim, attempt = visit.claim, visit.attempt
        self._tell(visit, verdict)
        now = self._clock.monotonic()
        closure = _closure(claim, verdict, self._clock)
        until = now + (verdict.pause_s or 0.0)
        loan = self._workbench.take_back(
            claim,
            now,
            stored=page is not None,
            timed_out=isinstance(attempt, Failure) and attempt.kind is FailureKind.TIMEOUT,
            back_off_until=until if closure is not None and closure.blame is Blame.HOST else None,
            pause=(until, closure.why) if closure is not None and closure.blame is Blame.ORIGIN else None,
            asked=visit.veto is None,
        )
        host = loan.host
        revisit, place = self._look(visit, verdict.status, difference, host.habits)
        next_fetch_at = None
        if verdict.retry_in_s is not None and claim.kind is not UrlKind.ROBOTS:
            next_fetch_at = self._clock.wall() + verdict.retry_in_s
        return Result(
            claim=claim,
            verdict=verdict,
            attempt=attempt,
            page=page,
            body=body,
            reread=reread,
            difference=difference,
            redirect_url=visit.redirect_url,
            link_targets=link_targets,
            targets=targets,
            robots=robots,
            origin_failed=origin_failed,
            forgets_listed=forgets_listed,
            next_fetch_at=next_fetch_at,
            revisit=revisit,
            place=place,
            closure=closure,
            host_failures=max(host.failures, loan.origin.failures),
            pace_s=host.pace.delay_s if self._adaptive else None,
            is_kept=self._keep(claim, verdict),
            checked=checked,
            requests=loan.requests,
        )

    def take_back_unchanged(self, visit: Visit, targets: tuple[Target, ...] = ()) -> Result:
        """The same where the document is the one that is stored: each night, this is what most visits bring, so that
        nothing is looked for that is not there.
        """
        claim = visit.claim
        self.count(visit, will_retry=False)
        self._workbench.hear(claim, answered=True, succeeded=True)
        loan = self._workbench.take_back(claim, self._clock.monotonic(), stored=False)
        host = loan.host
        revisit, place = self._look(visit, UrlStatus.FETCHED, Difference.NOTHING, host.habits)
        return Result(
            claim=claim,
            verdict=FETCHED,
            attempt=visit.attempt,
            targets=targets,
            revisit=revisit,
            place=place,
            host_failures=max(host.failures, loan.origin.failures),
            pace_s=host.pace.delay_s if self._adaptive else None,
            requests=loan.requests,
        )

    def _tell(self, visit: Visit, verdict: Verdict) -> None:
        claim, attempt = visit.claim, visit.attempt
        response = attempt if isinstance(attempt, Response) else None
        is_document = response is not None and claim.kind is UrlKind.PAGE and 200 <= response.status_code < 300
        self._workbench.hear(
            claim,
            answered=answered(attempt),
            refused=response is not None and response.status_code in REFUSALS,
            succeeded=response is not None and verdict.status in _SUCCESSES,
            latency_s=attempt.first_byte_s if is_document else None,
            blame=verdict.blame,
        )

    def _keep(self, claim: Claim, verdict: Verdict) -> bool:
        """Have the claim lent again as the first of its origin after the pause, if the run waits for that."""
        if not verdict.goes_first or (verdict.pause_s or 0.0) > self._max_wait_s:
            return False
        again = replace(claim, refusals=claim.refusals + 1)
        self._workbench.offer(self._workbench.host(claim.host_id), [again], first=True)
        return True

    def _look(
        self, visit: Visit, status: UrlStatus, difference: Difference, habits: Habits | None
    ) -> tuple[Revisit | None, Place | None]:
        """When to look again, and what is known of the page's place, where the visit tells something of that."""
        attempt = visit.attempt
        if not isinstance(attempt, Response) or status not in ANSWERED or visit.claim.kind in _UNPLANNED:
            return None, None
        claim = visit.claim if visit.listing is None else replace(visit.claim, kind=visit.listing.kind)
        news = is_awaited(difference)
        if habits is None or claim.kind is not UrlKind.PAGE:
            return plan(claim, attempt, status, self.pace, news=news), None
        name = habits.place_of(claim.url)
        revisit = plan(
            claim,
            attempt,
            status,
            self.pace,
            news=news,
            prior=habits.prior_of(name),
            redesigned_at=habits.redesigned_at,
        )
        if claim.previous is None:
            return revisit, None
        said = visit.page.content_hash + (visit.page.metadata_hash or b"") if visit.page is not None and news else None
        looks = habits.note(name, claim.previous, status, attempt.started_at, news=said)
        return revisit, None if looks is None else looks.as_place(claim.host_id, name)


def _closure(claim: Claim, verdict: Verdict, clock: Clock) -> Closure | None:
    """Who is left alone, until when and why."""
    if verdict.pause_s is None or verdict.blame is None:
        return None
    blame = verdict.blame
    why = verdict.reason or "failed"
    return Closure(
        name=claim.host if blame is Blame.HOST else claim.origin,
        blame=blame,
        until=clock.wall() + verdict.pause_s,
        why=f"robots.txt: {why}" if claim.kind is UrlKind.ROBOTS else why,
    )
