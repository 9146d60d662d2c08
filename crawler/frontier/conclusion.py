"""A `Visit`, brought back by a worker -> the `Result`s to store: decided, links admitted, the claim returned.

Invariant: each function takes one visit and returns every result that follows from it, complete. Those of a robots.txt
are `robots_conclusion`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from crawler.frontier.admission import Admission
from crawler.frontier.failed_visits import FailedVisits
from crawler.frontier.returning import Returning
from crawler.frontier.robots_conclusion import RobotsConclusion
from crawler.policy.change import is_metadata_alone, is_version
from crawler.policy.outcome import NO_SITEMAP, decide, is_wrong_guess
from crawler.records import (
    ANSWERED,
    Claim,
    Failure,
    FailureKind,
    FoundBy,
    Page,
    Reason,
    Response,
    Result,
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


class Conclusion:
    """Concludes visits, with what that needs."""

    def __init__(
        self,
        admission: Admission,
        returning: Returning,
        robots: RobotsConclusion,
        failed_visits: FailedVisits,
        notify: Callable[[str], None],
    ) -> None:
        self._admission = admission
        self._returning = returning
        self._robots = robots
        self._failed_visits = failed_visits
        self._notify = notify

    async def of(self, visit: Visit, entries: Sequence[Target] = ()) -> list[Result]:
        """All that is to be stored, now that this visit is over; `entries` are those of its sitemap, judged."""
        if visit.claim.kind is UrlKind.ROBOTS:
            return await self._robots.of(visit, _should_fall_back, self._give_up)
        return [await self._of_page(visit, entries)]

    async def _of_page(self, visit: Visit, entries: Sequence[Target]) -> Result:
        claim = visit.claim
        verdict = decide(claim, visit.attempt, conditional=visit.conditional, **self._returning.circumstances(claim))
        self._returning.count(visit, will_retry=verdict.retry_in_s is not None)
        page, body = _new_version(visit)
        if page is not None and not (claim.previous is not None and is_metadata_alone(page, claim.previous)):
            self._admission.note(page)
        reread = visit.page if page is None else None
        linking = page or (reread if _completes(visit) else None)
        link_targets = self._admission.links(linking, claim) if linking is not None else ()
        targets = [*entries, *self._redirect_targets(visit, page)]
        falls_back = _should_fall_back(claim, visit.attempt)
        if falls_back:
            verdict = replace(verdict, status=UrlStatus.FAILED, retry_in_s=None, pause_s=None, goes_first=False)
            targets.append(self._fall_back(claim))
        consequences = None
        if verdict.status not in ANSWERED:  # before the claim is taken back: until then, the run does not end
            consequences = await self._failed_visits.after(claim, visit.attempt, verdict, replaced=falls_back)
        result = self._returning.take_back(
            visit,
            verdict,
            page=page,
            body=body,
            reread=reread,
            link_targets=link_targets,
            targets=tuple(targets),
            lastmods=_lastmods(visit),
        )
        if is_wrong_guess(claim, visit.attempt, verdict, has_entries=bool(visit.entries)):
            return replace(result, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=NO_SITEMAP), revisit=None)
        return result if consequences is None else replace(result, **consequences)

    def _redirect_targets(self, visit: Visit, page: Page | None) -> Iterator[Target]:
        """Where a redirect, or a refresh of a new version, leads. What a seed leads to is in scope too, unless that is
        for later, or for readers without scripts alone.
        """
        url = visit.redirect_url or (page.refresh_url if page is not None else None)
        if url is None:
            return
        found_by = FoundBy.REDIRECT if visit.redirect_url else FoundBy.REFRESH
        moves = visit.redirect_url is not None or (page is not None and page.refresh_is_redirect)
        target = self._admission.redirect_target(url, visit.claim, found_by, moves=moves)
        if target.seed and target.reason is None and self._admission.widen(target.url):
            self._notify(f"{visit.claim.url} redirects to {target.url}; {target.host} is now in scope")
        yield target

    def _fall_back(self, claim: Claim) -> Target:
        """A seed without a scheme that does not answer by https is tried by http."""
        url = http_twin(claim.url)
        self._admission.widen(url)
        self._notify(f"{claim.url} does not respond; trying {url}")
        return self._admission.target(
            url, depth=0, seed=SeedMark.SEED_REDIRECT, found_by=FoundBy.GUESS
        )  # what was meant for https is not sent by http

    async def _give_up(self, claim: Claim, robots: Visit, kind: FailureKind) -> Result:
        """Nothing of the claim's origin can be fetched, as its robots.txt has shown: a bare seed is tried by http."""
        fallback = (self._fall_back(claim),) if _should_fall_back(claim, robots.attempt) else ()
        attempts = max(claim.attempts, robots.claim.attempts) + 1
        failed = Verdict(status=UrlStatus.FAILED, reason=Reason(kind), attempts=attempts)
        consequences = await self._failed_visits.after(claim, None, failed, replaced=bool(fallback))
        return Result(claim=claim, verdict=failed, targets=fallback, **consequences)


def _new_version(visit: Visit) -> tuple[Page | None, StoredBody | None]:
    """The page and the body to store. A page that says what it said before is no new version; its body completes one
    that was stored without.
    """
    page, previous = visit.page, visit.claim.previous
    if page is None or previous is None:
        return page, visit.body
    truncated = isinstance(visit.attempt, Response) and visit.attempt.truncated
    if is_version(page, previous, truncated=truncated):
        return page, visit.body
    return None, None if previous.has_body else visit.body


def _completes(visit: Visit) -> bool:
    """Whether links of the stored version have no row, and may get one now, or no details, which 0.1.0 kept of none."""
    previous = visit.claim.previous
    return previous is not None and (previous.lacks_links or previous.metadata_hash is None)


def _lastmods(visit: Visit) -> tuple[tuple[str, float], ...]:
    """What a sitemap says of the pages that may be known by now: those of the first reading are not."""
    if visit.claim.previous is None:
        return ()
    return tuple((entry.url, entry.lastmod) for entry in visit.entries if entry.lastmod is not None)


def excluded(claim: Claim, reason: Reason) -> Result:
    """The claim is not fetched, for this reason."""
    return Result(claim=claim, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=reason))


def postponed(claim: Claim, until: float) -> Result:
    """The claim stays as it is, and is not due before (Unix seconds): its origin is closed for that long."""
    verdict = Verdict(status=UrlStatus.PENDING, attempts=claim.attempts)
    return Result(claim=claim, verdict=verdict, next_fetch_at=until, is_postponed=True)


def _should_fall_back(claim: Claim, attempt: Response | Failure) -> bool:
    return (
        claim.seed is SeedMark.BARE
        and scheme_of(claim.url) == "https"
        and isinstance(attempt, Failure)
        and attempt.kind not in (FailureKind.DNS, FailureKind.BLOCKED_ADDRESS, FailureKind.PROXY)
    )
