"""What becomes of a URL that is only checked: a visit of it, or the reason why there was none -> the `Result` to store.

Invariant: a check never changes a row of `urls`, and counts in no limit on pages. Its retries, pauses and pace are
those of any other request.
"""

from __future__ import annotations

from dataclasses import replace

from crawler.counters import Counters
from crawler.frontier.returning import Returning
from crawler.policy.checking import judge, left_alone, unanswered
from crawler.policy.outcome import decide
from crawler.policy.scope import MAX_HOPS
from crawler.records import (
    Checked,
    CheckVerdict,
    Claim,
    Failure,
    FailureKind,
    Reason,
    Result,
    UrlStatus,
    Verdict,
    Visit,
)

_TOO_MANY_HOPS = Reason(f"more than {MAX_HOPS} redirects")


class Checks:
    """Concludes checks, and counts them."""

    def __init__(self, returning: Returning, counters: Counters, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._returning = returning
        self._counters = counters

    def of(self, visit: Visit) -> Result:
        """What is to be stored, now that this visit is over. It is tried again where a page would be, unless the run
        does not wait for so long, and where its answer is doubtful.
        """
        claim, attempt = visit.claim, visit.attempt
        verdict = decide(claim, attempt, **self._returning.circumstances(claim))
        is_over = verdict.retry_in_s is None or verdict.retry_in_s > self._max_wait_s
        if visit.is_doubtful:
            again_s, is_over = verdict.retry_in_s or 0.0, False
            verdict = replace(verdict, status=UrlStatus.PENDING, retry_in_s=again_s, attempts=claim.attempts)
        self._returning.count(visit, will_retry=verdict.retry_in_s is not None)
        is_ours = isinstance(attempt, Failure) and attempt.kind is FailureKind.PROXY
        checked = judge(attempt, visit.redirect_url) if is_over and not is_ours else None
        if checked is not None and checked.redirect_url is not None and claim.hops >= MAX_HOPS:
            checked = Checked(verdict=CheckVerdict.LOOP, cause=_TOO_MANY_HOPS)
        return self._returning.take_back(visit, verdict, checked=self._counted(checked))

    def refused(self, claim: Claim, reason: Reason) -> Result:
        """It may not be asked for, by robots.txt or by the user's options."""
        return self._unvisited(claim, Checked(verdict=CheckVerdict.NOT_ASKED, cause=reason))

    def left_alone(self, claim: Claim, why: str) -> Result:
        """Its origin is left alone for longer than the run waits."""
        return self._unvisited(claim, left_alone(why))

    def of_failed_origin(self, claim: Claim, kind: FailureKind) -> Result:
        """Nothing of its origin can be fetched, as its robots.txt has shown."""
        return self._unvisited(claim, unanswered(Reason(kind)))

    def _unvisited(self, claim: Claim, checked: Checked) -> Result:
        verdict = Verdict(status=UrlStatus.EXCLUDED, reason=checked.cause, attempts=claim.attempts)
        return Result(claim=claim, verdict=verdict, checked=self._counted(checked))

    def _counted(self, checked: Checked | None) -> Checked | None:
        if checked is not None:
            self._counters.checks[checked.verdict] += 1
        return checked
