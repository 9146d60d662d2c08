"""Any batches of results at all, and what holds after each of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from hypothesis import strategies as st

from crawler.records import Claim, FailureKind, Reason, Result, RobotsCopy, SeedMark, UrlStatus, Verdict
from crawler.storage.interface import Store
from crawler.urls import origin_of
from tests.contract.results import NOW, a_result, a_target, closed, of_run, robots_claim
from tests.stores import Location, rows

Batches: TypeAlias = list[list[dict[str, Any]]]

URLS = [f"http://{host}.test/{name}" for host in "abc" for name in ("", "1", "2")] + ["https://a.test/"]
_TARGETS = st.builds(
    a_target,
    st.sampled_from(URLS),
    depth=st.integers(0, 4),
    hops=st.integers(0, 2),
    seed=st.sampled_from([SeedMark.NO, SeedMark.NO, SeedMark.NO, SeedMark.SEED_REDIRECT, SeedMark.YES]),
    reason=st.sampled_from([None, None, "scope", "depth"]),
)
_VERDICTS = st.builds(
    Verdict,
    status=st.sampled_from(UrlStatus),
    reason=st.sampled_from([Reason("timeout"), Reason("scope"), Reason("robots", "line 1: Disallow: /")]),
)


@st.composite
def _changes(draw: st.DrawFn) -> dict[str, Any]:
    """What makes a result, beside its claim."""
    verdict = draw(_VERDICTS)
    planned = verdict.status in (UrlStatus.PENDING, UrlStatus.FETCHED) and draw(st.booleans())
    return {
        "url": draw(st.sampled_from(URLS)),
        "robots": draw(st.sampled_from([None, None, None, b"", b"Disallow: /", b"Allow: /"])),
        "failures": draw(st.sampled_from([0, 0, 1])),
        "links": draw(st.lists(_TARGETS, max_size=4)),
        "page": draw(st.booleans()),
        "verdict": verdict,
        "next_fetch_at": NOW + draw(st.integers(0, 9)) if planned or verdict.status is UrlStatus.PENDING else None,
        "closure": draw(st.sampled_from([None, None, NOW + 5, NOW + 50]).map(lambda at: at and closed(at))),
        "host_failures": draw(st.sampled_from([None, 0, 3])),
        "origin_failed": draw(st.sampled_from([None, None, None, FailureKind.DNS])),
    }


def some_batches() -> st.SearchStrategy[Batches]:
    """Up to five batches of up to six results."""
    return st.lists(st.lists(_changes(), max_size=6), max_size=5)


def _result(claims: dict[str, Claim], changes: dict[str, Any]) -> Result | None:
    fields = dict(changes)
    claim = claims.get(fields.pop("url"))
    body, failures = fields.pop("robots"), fields.pop("failures")
    if claim is None:
        return None
    if body is not None:
        origin = claim.url[: claim.url.index("/", 8)]
        robots = RobotsCopy(origin=origin, status_code=200, body=body, failures=failures)
        return a_result(robots_claim(claim), page=False, robots=robots, origin_failed=fields["origin_failed"])
    if fields["verdict"].status is UrlStatus.EXCLUDED:
        return Result(claim=claim, verdict=fields["verdict"])
    return a_result(claim, **(fields | {"origin_failed": None}))


async def store_batches(store: Store, location: Location, batches: Batches) -> None:
    """Commit them one after the other, and look after each whether all agrees; a run has begun."""
    await store.add([a_target(URLS[0]), a_target(URLS[3])], NOW)
    for batch in batches:
        claims = {
            row[1]: Claim(url_id=row[0], url=row[1], host_id=row[2], host=row[3], origin=origin_of(row[1]))
            for row in rows(location, _ALL)
        }
        # As in a crawl, a URL's result is committed before it is lent again.
        one_each = {changes["url"]: _result(claims, changes) for changes in batch}
        await store.commit([result for result in one_each.values() if result is not None], NOW)
        _check(location)
    assert await store.counts() == {status.value: _count(location, status) for status in UrlStatus}


_ALL = "SELECT u.id, u.url, h.id, h.name FROM urls u JOIN hosts h ON h.id = host_id WHERE kind <> 'robots'"


def _count(location: Location, status: UrlStatus) -> int:
    [(count,)] = rows(location, "SELECT count(*) FROM urls WHERE status = ? AND kind <> 'robots'", status)
    return int(count)


def _check(location: Location) -> None:
    """The tallies, the due times and the run's counts agree with what they sum up."""
    for status in UrlStatus:
        wrong = rows(
            location,
            f"SELECT name, {status} FROM hosts WHERE {status} <> (SELECT count(*) FROM urls"
            f" WHERE host_id = hosts.id AND status = '{status}' AND kind <> 'robots')",
        )
        assert not wrong
    planned = rows(
        location,
        "SELECT h.next_due_at, h.back_off_until, min(u.next_fetch_at) FROM hosts h LEFT JOIN urls u"
        " ON u.host_id = h.id AND u.next_fetch_at IS NOT NULL GROUP BY h.id, h.next_due_at, h.back_off_until",
    )
    for next_due_at, back_off_until, first in planned:
        assert next_due_at == (None if first is None else max(first, back_off_until))
    counted = "SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM fetches), (SELECT sum(run_pages) FROM hosts)"
    [(pages, fetches, host_pages)] = rows(location, counted)
    assert of_run(location) == (pages, fetches)
    assert pages == host_pages
    assert not rows(location, "SELECT url FROM urls WHERE status = 'excluded' AND next_fetch_at IS NOT NULL")
    unplanned = "SELECT url FROM urls WHERE status = 'pending' AND next_fetch_at IS NULL AND kind = 'page'"
    assert not rows(location, unplanned)
    for reason, cause, detail in rows(location, "SELECT reason, cause, detail FROM urls"):
        assert (reason is None) == (cause is None)
        assert cause is None or reason == Reason(cause, detail)
