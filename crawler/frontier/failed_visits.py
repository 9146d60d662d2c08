"""A visit that brought no answer -> what is stored of its URL: the status that it keeps or loses, and when it is tried.

Invariant: what was answered before is planned again, whatever its status; what never was waits for a run with
`--max-age`, unless an answer has settled it (see `policy.failing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from crawler.clock import Clock
from crawler.frontier.returning import Returning
from crawler.policy.failing import failing_after, has_failed_before, is_a_day_apart, is_settled, standing
from crawler.policy.recrawl import retry_later_s
from crawler.records import Claim, Failing, Failure, Response, Result, Revisit, UrlStatus, Verdict
from crawler.storage.interface import DueReads


class Consequences(TypedDict, total=False):
    """Fields of the visit's `Result`."""

    failing: Failing | None
    keeps: UrlStatus | None
    next_fetch_at: float
    revisit: Revisit


class FailedVisits:
    """Says what follows for the URL; `retries` are those within a visit."""

    def __init__(self, store: DueReads, returning: Returning, retries: int, clock: Clock) -> None:
        self._store = store
        self._returning = returning  # has the run's pace
        self._retries = retries
        self._clock = clock

    async def after(
        self, claim: Claim, attempt: Response | Failure | None, verdict: Verdict, *, replaced: bool = False
    ) -> Consequences:
        """What the result says beside the verdict, there being no answer.

        `attempt` None: none was made, as none could be. `replaced`: another URL is tried in its stead.
        """
        now = self._clock.wall()
        told: Consequences = {"failing": failing_after(claim, attempt, verdict, now), "keeps": standing(claim)}
        if verdict.status is UrlStatus.PENDING:
            return told
        if told["keeps"] is not None and await self._is_given_up(claim, now):
            told["keeps"] = None
        again_at = now + self._later_s(verdict.attempts)
        if claim.previous is not None:
            told["next_fetch_at"] = again_at
        elif not replaced and not is_settled(verdict.reason):
            told["revisit"] = Revisit(at=again_at)
        return told

    async def _is_given_up(self, claim: Claim, now: float) -> bool:
        """Whether this failed visit, not being the first, proves that it is the URL that fails, or has for a day."""
        failing = claim.failing
        if failing is None or not has_failed_before(claim):
            return False
        return is_a_day_apart(failing, now) or await self._store.answered_since(claim.host_id, failing.since)

    def origin_again_at(self, failed: Iterable[Result], attempts: int) -> float:
        """When the URLs that fail with their origin are tried again: with `failed`, which had been claimed.

        `attempts`: those of its robots.txt.
        """
        planned = [result.revisit.at for result in failed if result.revisit is not None]
        return max([*planned, self._clock.wall() + self._later_s(attempts)])

    def _later_s(self, attempts: int) -> float:
        return retry_later_s(attempts, self._retries, self._returning.pace)
