"""When to look again, how to ask, and what a second look has shown.

The rate by which a page is planned (see rate.py) is that of the changes that nothing announces. Where a sitemap or a
feed had announced the one that a look finds, the rate stays as it was: such pages are looked at when they are
announced, and looking unannounced finds the others alone (the residual rate of Kolobov et al., 'Staying up to Date with
Online Content Changes Using Reinforcement Learning for Scheduling', NeurIPS 2019). An announcement that was false is a
quiet look like any other. A change that all pages of a host have seen at once (see redesign.py) tells nothing of a
page's own habits, either.

How often to look follows from the rate and a price: a request is made where it saves at least `REQUEST_PRICE_S` of
staleness. The interval I that maximizes freshness minus price / I solves 1 - exp(-x)(1 + x) = price * rate with
x = rate * I (the Lagrangian of Cho and Garcia-Molina, 'Effective Page Refresh Policies', ACM TODS 28(4), 2003; Azar et
al., 'Tractable Near-Optimal Policies for Crawling', PNAS 115(32), 2018). It grows with one over the square root of the
rate: intervals in proportion to one over the rate are worse than equal ones. For pages that change faster than the
price allows, the theory gives up; here they keep the shortest interval that is worth its price, since a person who
crawls each night wants last night's page.

Pure: `now` and everything else is passed in. Times are Unix seconds, durations seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from crawler.config import RecrawlConfig
from crawler.dates import unix_time
from crawler.policy.rate import DAY_S, PRIOR, changes_per_s, first_rate, observe
from crawler.records import (
    LISTINGS,
    ChangeRate,
    Claim,
    Horizon,
    PreviousVisit,
    Response,
    Revisit,
    UrlStatus,
)
from crawler.statically_frozen import dataclass

REQUEST_PRICE_S = 0.29 * DAY_S
_PEAK_X = 1.7933  # where x / (1 - exp(-x)(1 + x)) is least: the shortest interval that any rate asks for
_MOST_WORTH = 1 - math.exp(-_PEAK_X) * (1 + _PEAK_X)
_DATE_GRAIN_S = 2.0  # a Last-Modified this close to the answer's Date tells nothing: RFC 9110, 8.8.2.2
_PROMISE_FACTOR = 4.0  # a promise may lengthen an interval by so much, however long it is
BROKEN = -1.0  # the promise of a server that has broken one
_RESUMED_WITHIN_S = DAY_S / 2
_SHORTEST_RETRY_S = 3600.0
_MAX_VALIDATOR = 1024  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The bounds of an interval, and how far apart runs are: a page that falls due between two is taken to the nearer.

    Without that, a page that changes daily would be fetched every second night, its day not being over by a minute.
    `retry_s` is the interval after the first visit that fails.
    """

    min_interval_s: float
    max_interval_s: float
    cadence_s: float = DAY_S
    retry_s: float = DAY_S

    def pause_s(self, interval_s: float) -> float:
        """How long after a visit a run may find the page due; never much less than the shortest interval."""
        interval_s = min(max(interval_s, self.min_interval_s), self.max_interval_s)
        return max(interval_s - min(interval_s, self.cadence_s) / 2, 0.9 * self.min_interval_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """What a run fetches again (None: nothing), and how it plans the next visits."""

    pace: Pace
    horizon: Horizon | None = None


def rhythm(recrawl: RecrawlConfig, *, started_at: float, before: float | None, now: float) -> Rhythm:
    """Of a run that began at `started_at`, the one before it having begun at `before` (None: there was none).

    A run that was killed goes on from its start, so that nothing is fetched twice in it; after half a day, that would
    leave out what has become due since.
    """
    start = started_at if now - started_at < _RESUMED_WITHIN_S else now
    cadence_s = DAY_S if before is None else min(start - before, DAY_S)
    pace = Pace(
        min_interval_s=recrawl.min_interval_s,
        max_interval_s=recrawl.max_interval_s,
        cadence_s=cadence_s,
        retry_s=_retry_s(recrawl),
    )
    if recrawl.max_age_s is None:
        return Rhythm(pace=pace)
    age_s = recrawl.max_interval_s if recrawl.max_age_s == "auto" else recrawl.max_age_s
    horizon = Horizon(
        started_at=start,
        fetched_before=min(start, now - age_s),
        revisit_before=start if recrawl.max_age_s == "auto" else None,
    )
    return Rhythm(pace=pace, horizon=horizon)


def _retry_s(recrawl: RecrawlConfig) -> float:
    """A day, or the age at which pages are fetched again if that is less; an age of seconds is nobody's rhythm."""
    age_s = recrawl.max_age_s
    return age_s if isinstance(age_s, int | float) and _SHORTEST_RETRY_S <= age_s < DAY_S else DAY_S


def plan(
    claim: Claim,
    response: Response,
    status: UrlStatus,
    pace: Pace,
    *,
    news: bool = False,
    prior: ChangeRate = PRIOR,
    redesigned_at: float | None = None,
) -> Revisit:
    """When to look again after this answer, and what is known now of how often the URL changes.

    `status` is fetched, redirected or gone; `news`: what was read is another document than the one that is stored.
    `prior` is that of the URL's place; `redesigned_at`: when all of its host has changed at once (Unix seconds).
    """
    previous = claim.previous
    changed = previous is not None and has_changed(previous, status, news=news)
    if previous is not None and previous.rate is not None and not changed:  # as most looks find it
        rate = observe(previous.rate, response.started_at - previous.fetched_at, changed=False)
    else:
        tells = previous is None or is_evidence(previous, changed=changed, redesigned_at=redesigned_at)
        rate = _rate_after(previous, response, tells=tells)
    promise_s = response.max_age_s
    if previous is not None and previous.promise_s is not None and _breaks_promise(previous, response, changed=changed):
        promise_s = BROKEN
    is_gone = status is UrlStatus.GONE
    interval_s = _interval_when_gone(previous, response) if is_gone else interval_s_of(rate, prior)
    if promise_s is not None and promise_s > interval_s:
        interval_s = min(promise_s, _PROMISE_FACTOR * interval_s)
    if not is_gone and (claim.is_hub or claim.kind in LISTINGS):
        interval_s = min(interval_s, DAY_S)
    return Revisit(at=response.started_at + pace.pause_s(interval_s), rate=rate, promise_s=promise_s)


def is_evidence(previous: PreviousVisit, *, changed: bool, redesigned_at: float | None) -> bool:
    """Whether a look tells how often the page changes unannounced, and by itself."""
    of_all = redesigned_at is not None and previous.fetched_at < redesigned_at
    return not (changed and (previous.hinted or of_all))


def has_changed(previous: PreviousVisit, status: UrlStatus, *, news: bool) -> bool:
    """Whether a visit that ended with `status` found something else than the one before it; `news`: another document,
    where both found one.
    """
    if previous.status is status:
        return news
    return news or previous.status is not UrlStatus.PENDING  # pending: the attempts since brought no answer


def retry_later_s(attempts: int, retries: int, pace: Pace) -> float:
    """Seconds until a URL that fails is tried again: a day (`pace.retry_s`), two, four ..., by the nearer run.
    `attempts` have failed.
    """
    interval_s = min(pace.retry_s * 2.0 ** min(max(0, attempts - retries - 1), 16), max(DAY_S, pace.max_interval_s))
    # To the nearer run: else a nightly one would miss it by a minute.
    return float(interval_s - min(interval_s, pace.cadence_s) / 2)


def conditions(claim: Claim, *, keep_bodies: bool, readable: Callable[[str | None], bool]) -> dict[str, str]:
    """The header fields that ask for the document only if it is another than the one stored (RFC 9110, 13.1), or than
    the one that was no page, and is none of a type that is `readable` by now.

    Empty where none is stored whole: it was cut, links of it were not stored, or its body is wanted now and was not
    kept then. Both fields where both are known; the server then goes by the entity tag, weak or strong, as it was sent.
    """
    previous = claim.previous
    if previous is None or previous.lacks_links:
        return {}
    is_settled = previous.unread_type is not None and not readable(previous.unread_type)
    if not (claim.kind in LISTINGS or is_settled or _is_whole(previous, keep_bodies=keep_bodies)):
        return {}
    fields = {}
    if previous.etag and _may_be_sent(previous.etag):
        fields["If-None-Match"] = previous.etag
    if previous.last_modified and _may_be_sent(previous.last_modified):
        fields["If-Modified-Since"] = previous.last_modified
    return fields


def interval_s_of(rate: ChangeRate, prior: ChangeRate = PRIOR) -> float:
    """The interval that is worth its requests, without bounds; see the module's text. `prior` is that of the place."""
    worth = min(REQUEST_PRICE_S * changes_per_s(rate, prior), _MOST_WORTH)
    root = math.sqrt(2 * worth)
    x = root + root * root / 3  # the series about 0, enough where a small one would be lost to rounding
    if root > 1e-4:
        for _ in range(3):  # Newton's method, from where it never overshoots
            left = math.exp(-x)
            x += (worth - 1 + left * (1 + x)) / (left * x)
    return x * REQUEST_PRICE_S / worth


def _rate_after(previous: PreviousVisit | None, response: Response, *, tells: bool) -> ChangeRate:
    """The rate of change to assume after a visit that found a page changed, or that was the first to learn one."""
    elapsed_s = 0.0 if previous is None else response.started_at - previous.fetched_at
    if previous is not None and previous.rate is not None and not tells:
        return previous.rate
    modified_at = _modified_at(response)
    if previous is None or previous.rate is None:
        return PRIOR if modified_at is None else first_rate(response.started_at - modified_at)
    ago_s = None if modified_at is None else response.started_at - modified_at
    consistent = ago_s is not None and 0 <= ago_s < elapsed_s
    return observe(previous.rate, elapsed_s, changed=True, changed_ago_s=ago_s if consistent else None)


def _interval_when_gone(previous: PreviousVisit | None, response: Response) -> float:
    """Looked at again in a day, two, four ...: what is gone mostly stays so."""
    if previous is None or previous.status is not UrlStatus.GONE:
        return DAY_S
    return max(DAY_S, 2 * (response.started_at - previous.fetched_at))


def _breaks_promise(previous: PreviousVisit, response: Response, *, changed: bool) -> bool:
    """Whether the server has, now or before, not kept its word on how long an answer holds (max-age)."""
    if previous.promise_s is None or previous.promise_s == BROKEN or not changed:
        return previous.promise_s == BROKEN
    changed_at = _modified_at(response) or response.started_at
    return previous.fetched_at < changed_at < previous.fetched_at + previous.promise_s


def _modified_at(response: Response) -> float | None:
    """Last-Modified by our own clock; None where it is absent, or no older than the answer itself."""
    if response.last_modified is None:
        return None
    modified, date = _seconds(response.last_modified), _seconds(response.date)
    age_s = (response.started_at if date is None else date) - (math.inf if modified is None else modified)
    return None if age_s < _DATE_GRAIN_S else response.started_at - age_s


def misdated(response: Response) -> bool:
    """Whether the answer's Last-Modified cannot tell this version from a next one: it may not be asked with.

    A document that was changed in the second in which it was sent may change once more in that second. A 304 repeats
    the date that it was asked with.
    """
    return response.status_code != 304 and response.last_modified is not None and _modified_at(response) is None


@lru_cache(maxsize=1024)  # a Date stands in all the answers of a second, a Last-Modified on all pages of many a site
def _seconds(http_date: str | None) -> float | None:
    return None if http_date is None else unix_time(http_date)


def _is_whole(previous: PreviousVisit, *, keep_bodies: bool) -> bool:
    return previous.content_hash is not None and not previous.truncated and (previous.has_body or not keep_bodies)


def _may_be_sent(value: str) -> bool:
    """A star would ask whether there is anything at all: a server that sends one would answer 304 for ever."""
    return value.isascii() and value.isprintable() and len(value) <= _MAX_VALIDATOR and value.strip() != "*"
