"""A visit of a robots.txt -> the `Result`s to store: what came, or did not, settles the claims that waited for it.

Invariant: whatever comes of it, those claims are ready to be judged, have failed, or wait on with their origin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from crawler.clock import Clock
from crawler.frontier.admission import Admission
from crawler.frontier.awaiting import AwaitingRules
from crawler.frontier.failed_visits import FailedVisits
from crawler.frontier.returning import Returning
from crawler.frontier.robots_cache import MAX_AGE_S, RobotsCache
from crawler.frontier.workbench import Workbench
from crawler.policy.checking import unanswered
from crawler.policy.outcome import brings_rules, decide_robots
from crawler.records import (
    MAX_COPY_AGE_S,
    Claim,
    Failure,
    FailureKind,
    Reason,
    Response,
    Result,
    RobotsCopy,
    Target,
    UrlKind,
    Verdict,
    Visit,
)
from crawler.statically_frozen import dataclass
from crawler.storage.interface import DueReads

GiveUp: TypeAlias = Callable[[Claim, Visit, FailureKind], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsParts:
    """What is known of rules, and who waits for them."""

    store: DueReads  # has the last copies
    cache: RobotsCache
    awaiting: AwaitingRules
    failed_visits: FailedVisits


class RobotsConclusion:
    """Concludes visits of robots.txt; `give_up` makes the result of a claim whose origin fails."""

    def __init__(
        self,
        parts: RobotsParts,
        workbench: Workbench,
        admission: Admission,
        returning: Returning,
        clock: Clock,
        notify: Callable[[str], None],
    ) -> None:
        self._parts = parts
        self._workbench = workbench
        self._admission = admission
        self._returning = returning
        self._clock = clock
        self._notify = notify

    async def of(
        self,
        visit: Visit,
        may_fall_back: Callable[[Claim, Response | Failure], bool],
        give_up: GiveUp,
    ) -> list[Result]:
        """All that is to be stored, now that this visit is over."""
        claim, attempt = visit.claim, visit.attempt
        waiting = self._parts.awaiting.waiting(claim.origin)
        copy = None if brings_rules(attempt) else await self._last_copy(claim)
        decision = decide_robots(
            claim,
            attempt,
            has_fallback=any(may_fall_back(one, attempt) for one in waiting),
            has_copy=copy is not None,
            was_reached=any(one.previous is not None for one in waiting),
            **self._returning.circumstances(claim),
        )
        self._returning.count(visit, will_retry=decision.verdict.retry_in_s is not None)
        if decision.rules is not None:
            return [await self._obey(visit, decision.verdict, self._new_copy(visit, decision.rules))]
        if decision.failed is not None:
            return await self._fail_origin(visit, decision.verdict, decision.failed, give_up)
        if decision.believe_copy_s is not None and copy is not None:
            self._tell(claim.origin, copy, decision.verdict.reason)
            return [await self._obey(visit, decision.verdict, self._old_copy(visit, copy, decision.believe_copy_s))]
        return [self._try_again(visit, decision.verdict)]

    async def _last_copy(self, claim: Claim) -> RobotsCopy | None:
        """The one that was read last, where it is not too old to be believed."""
        oldest = self._clock.wall() - MAX_COPY_AGE_S
        for copy in await self._parts.store.robots_of([claim.host_id]):
            if copy.origin == claim.origin and copy.body is not None and copy.fetched_at >= oldest:
                return copy
        return None

    async def _obey(self, visit: Visit, verdict: Verdict, copy: RobotsCopy) -> Result:
        """The claims that waited for these rules are ready to be judged by them (see `AwaitingRules.take_ready`)."""
        host = self._workbench.host(visit.claim.host_id)
        known = await self._parts.cache.learn(copy)
        is_for_checks = _is_for_checks(self._parts.awaiting.waiting(copy.origin))
        self._parts.awaiting.rules_arrived(copy.origin)
        self._workbench.slow_down(host, self._parts.cache.crawl_delay_s(host.name))
        targets = () if is_for_checks else self._sitemaps(visit.claim, known.sitemaps)
        return self._returning.take_back(visit, verdict, robots=copy, targets=targets)

    def _sitemaps(self, claim: Claim, named: tuple[str, ...]) -> tuple[Target, ...]:
        """Those that the rules name; where they name none, the one that most sites have, unless they forbid it."""
        if named:
            return tuple(self._admission.sitemaps(named))
        guess = replace(claim, url=f"{claim.origin}/sitemap.xml")
        return () if self._parts.cache.forbids(guess) else self._admission.guess(guess.url)

    async def _fail_origin(self, visit: Visit, verdict: Verdict, kind: FailureKind, give_up: GiveUp) -> list[Result]:
        """Nothing of this origin can be fetched: its pages fail with that."""
        released = self._parts.awaiting.release(visit.claim.origin)
        checked = unanswered(Reason(kind)) if any(one.kind is UrlKind.CHECK for one in released) else None
        result = self._returning.take_back(visit, verdict, origin_failed=kind, checked=checked)
        host = self._workbench.host(visit.claim.host_id)
        self._workbench.set_failing(host, visit.claim.origin, failing=True)  # until it is committed
        self._workbench.set_aside(host, -len(released))
        given_up = [await give_up(one, visit, kind) for one in released]
        again_at = self._parts.failed_visits.origin_again_at(given_up, verdict.attempts)
        return [replace(result, origin_revisit_at=again_at), *given_up]

    def _try_again(self, visit: Visit, verdict: Verdict) -> Result:
        """Nothing may be fetched while robots.txt is unreachable: the origin is left alone, its pages stay pending."""
        again = self._parts.awaiting.again(visit.claim)
        copy = replace(self._new_copy(visit, None), failures=again.attempts)
        result = self._returning.take_back(visit, verdict, robots=copy)
        self._workbench.offer(self._workbench.host(again.host_id), [again], first=True)
        return result

    def _new_copy(self, visit: Visit, body: bytes | None) -> RobotsCopy:
        now = self._clock.wall()
        expires_at = 0.0 if body is None else now + MAX_AGE_S
        status = _status_of(visit)
        return RobotsCopy(
            origin=visit.claim.origin, status_code=status, body=body, fetched_at=now, expires_at=expires_at
        )

    def _old_copy(self, visit: Visit, copy: RobotsCopy, believe_s: float) -> RobotsCopy:
        """The copy, believed until the next try."""
        until = self._clock.wall() + believe_s
        return replace(copy, status_code=_status_of(visit), expires_at=until, failures=copy.failures + 1)

    def _tell(self, origin: str, copy: RobotsCopy, reason: str | None) -> None:
        days = (self._clock.wall() - copy.fetched_at) / 86400
        age = "less than a day ago" if days < 1 else f"{days:.0f} day{'' if round(days) == 1 else 's'} ago"
        self._notify(f"{origin}: robots.txt is unavailable ({reason}); obeying the last copy, read {age}")


def _is_for_checks(waiting: Sequence[Claim]) -> bool:
    """Whether nothing of the origin is crawled: its sitemaps are none of ours."""
    return bool(waiting) and all(claim.kind is UrlKind.CHECK for claim in waiting)


def _status_of(visit: Visit) -> int | None:
    return visit.attempt.status_code if isinstance(visit.attempt, Response) else None
