"""A `Visit`, brought back by a worker -> the `Result`s to store: decided, links admitted, the claim returned.

Invariant: each function takes one visit and returns every result that follows from it, complete. Those of a robots.txt
are `robots_conclusion`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from crawler.counters import Counters
from crawler.frontier.admission import Admission
from crawler.frontier.checks import Checks
from crawler.frontier.failed_visits import FailedVisits
from crawler.frontier.returning import Returning
from crawler.frontier.robots_conclusion import RobotsConclusion
from crawler.policy.change import difference, is_metadata_alone, is_version
from crawler.policy.outcome import NO_SITEMAP, decide, is_unchanged, is_wrong_guess
from crawler.records import (
    ANSWERED,
    LISTINGS,
    Claim,
    Difference,
    Failure,
    FailureKind,
    FoundBy,
    Listed,
    Listing,
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
from crawler.storage.interface import DueReads
from crawler.urls import scheme_of

_LISTED_AT_ONCE = 4_000  # URLs, in one transaction


class Conclusion:
    """Concludes visits, with what that needs."""

    def __init__(
        self,
        store: DueReads,
        admission: Admission,
        returning: Returning,
        robots: RobotsConclusion,
        failed_visits: FailedVisits,
        checks: Checks,
        counters: Counters,
        notify: Callable[[str], None],
    ) -> None:
        self._store = store
        self._admission = admission
        self._returning = returning
        self._robots = robots
        self._failed_visits = failed_visits
        self._checks = checks
        self._counters = counters
        self._notify = notify
        self._readers_told = False
        self.feeds_since: float | None = None  # when the crawl began to follow feeds (Unix seconds); None: it does not

    async def of(self, visit: Visit, listed: Sequence[Listed] = ()) -> list[Result]:
        """All that is to be stored, now that this visit is over; `listed` is what its sitemap or feed names, judged.

        What a long one names comes in parts, before the result of the visit itself: a kill in between leaves it to be
        read again.
        """
        if is_unchanged(visit.attempt, conditional=visit.conditional):
            feeds = () if self.feeds_since is None else await self._feeds_unread(visit.claim, self.feeds_since)
            return [self._returning.take_back_unchanged(visit, feeds)]
        if visit.claim.kind is UrlKind.ROBOTS:
            return await self._robots.of(visit, _should_fall_back, self._give_up)
        if visit.claim.kind is UrlKind.CHECK:
            return [self._checks.of(visit)]
        result = await self._of_document(visit)
        if visit.listing is None:
            return [result]
        return _in_parts(self._told(result, visit.listing), visit.listing, listed)

    async def _feeds_unread(self, claim: Claim, since: float) -> tuple[Target, ...]:
        """The feeds of the stored page, if its last visit was before `since`, when the crawl began to follow feeds."""
        previous = claim.previous
        if previous is None or previous.content_hash is None or previous.fetched_at >= since:
            return ()
        named = self._admission.named_feeds(await self._store.named_feeds(claim), claim)
        return tuple([await self._admission.hooked(target, claim.url) for target in named])

    def _of_veto(self, visit: Visit, veto: Reason) -> Result:
        """A hook let no request be made."""
        result = self._returning.take_back(visit, Verdict(status=UrlStatus.EXCLUDED, reason=veto))
        return replace(result, attempt=None)

    async def _of_document(self, visit: Visit) -> Result:
        claim = visit.claim
        if visit.veto is not None:
            return self._of_veto(visit, visit.veto)
        verdict = decide(claim, visit.attempt, conditional=visit.conditional, **self._returning.circumstances(claim))
        self._returning.count(visit, will_retry=verdict.retry_in_s is not None)
        found = _difference(visit)
        page, body = _new_version(visit, found)
        if page is not None and not is_metadata_alone(found):
            self._admission.note(page)
        if found is Difference.UNKNOWN:
            self._tell_of_readers(claim.url)
        reread = visit.page if page is None else None
        linking = page or (reread if _completes(visit, found) else None)
        link_targets = self._admission.links(linking, claim) if linking is not None else ()
        if linking is not None:
            link_targets = await self._admission.hooked_links(link_targets, linking)
        feeds = self._admission.feeds(visit.page, claim) if visit.page is not None else ()
        targets = [*feeds, *self._redirect_targets(visit, page)]
        targets = [await self._admission.hooked(target, claim.url) for target in targets]
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
            difference=found,
            link_targets=link_targets,
            targets=tuple(targets),
            forgets_listed=_lists_no_more(claim, verdict),
        )
        has_entries = visit.listing is not None and bool(visit.listing.entries)
        if is_wrong_guess(claim, verdict, has_entries=has_entries):
            return replace(result, verdict=Verdict(status=UrlStatus.EXCLUDED, reason=NO_SITEMAP), revisit=None)
        return result if consequences is None else replace(result, **consequences)

    def _told(self, result: Result, listing: Listing) -> Result:
        """With what a person hears of what was left out."""
        if listing.cut is None:
            return result
        cut = f"{listing.cut}; {len(listing.entries):,} entries were read"
        self._counters.cut_sitemaps += 1
        self._notify(f"{result.claim.url}: {cut}")
        return replace(result, cut=cut)

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

    def _tell_of_readers(self, url: str) -> None:
        """Say it once a run."""
        if not self._readers_told:
            self._readers_told = True
            self._notify(
                f"{url}: an earlier release read the stored version, and its body was not kept, so nobody can tell"
                " whether the page has changed; it is stored as a new version but not counted as changed (shown once"
                " per run; other pages may be affected)"
            )

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
        if claim.kind is UrlKind.CHECK:
            return self._checks.of_failed_origin(claim, kind)
        fallback = (self._fall_back(claim),) if _should_fall_back(claim, robots.attempt) else ()
        attempts = max(claim.attempts, robots.claim.attempts) + 1
        failed = Verdict(status=UrlStatus.FAILED, reason=Reason(kind), attempts=attempts)
        consequences = await self._failed_visits.after(claim, None, failed, replaced=bool(fallback))
        return Result(claim=claim, verdict=failed, targets=fallback, **consequences)


def _difference(visit: Visit) -> Difference:
    if visit.page is None:
        return Difference.NOTHING
    truncated = isinstance(visit.attempt, Response) and visit.attempt.truncated
    return difference(visit.page, visit.claim.previous, visit.earlier, truncated=truncated)


def _new_version(visit: Visit, found: Difference) -> tuple[Page | None, StoredBody | None]:
    """The page and the body to store. A page that says what it said before is no new version; its body completes one
    that was stored without.
    """
    if visit.page is None or is_version(found):
        return visit.page, visit.body
    previous = visit.claim.previous
    return None, None if previous is not None and previous.has_body else visit.body


def _completes(visit: Visit, found: Difference) -> bool:
    """Whether links of the stored version have no row, and may get one now; or no details, which 0.1.0 kept of none; or
    are read otherwise today.
    """
    previous = visit.claim.previous
    lacks = previous is not None and (previous.lacks_links or previous.metadata_hash is None)
    return lacks or found is Difference.READER


def _lists_no_more(claim: Claim, verdict: Verdict) -> bool:
    """Whether what the URL named as a sitemap or feed is no longer so: it answers otherwise now."""
    return claim.kind in LISTINGS and verdict.status in ANSWERED


def _in_parts(result: Result, listing: Listing, listed: Sequence[Listed]) -> list[Result]:
    starts = range(0, len(listed), _LISTED_AT_ONCE) or range(1)
    parts = [tuple(listed[start : start + _LISTED_AT_ONCE]) for start in starts]
    claim = result.claim
    pending = Verdict(status=UrlStatus.PENDING, attempts=claim.attempts)
    kind = listing.kind if listing.entries or claim.kind is UrlKind.PAGE else None
    results = [Result(claim=claim, verdict=pending, listed=part, is_part=True) for part in parts[:-1]]
    results.append(replace(result, listed=parts[-1], forgets_listed=False, kind=kind))
    results[0] = replace(results[0], forgets_listed=True)
    return results


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
