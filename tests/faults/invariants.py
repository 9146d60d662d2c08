"""What must hold after a crawl, whatever has happened to its workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urlsplit

from crawler.fakeweb import Request
from crawler.storage.writer import MAX_BATCH
from tests.faults.cluster import EPOCH_BITS, Cluster
from tests.postgres.sql import rows

_CLOCK_S = 0.005  # what two readings of the clock, and of its fraction in the database, may differ by
_JITTER_S = 0.02  # what a busy machine adds between a request's sending and the server's reading it
_ARRIVING = ("pending", "excluded", "fetched", "failed")
_STATUSES = ("pending", "fetched", "redirected", "excluded", "gone", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Of a crawl that met faults: what is reported, beside what must hold."""

    asked_again: int  # requests for pages that had been asked for before
    handed_over: int  # times that a host's next request came from another worker
    closest_s: float  # between two requests to one host, by the server's log


def check(cluster: Cluster, *, max_pages: int | None = None) -> Findings:
    """All of it; fails with what does not hold. `max_pages`: the run was to store no more."""
    db = cluster.db
    if max_pages is None:
        _check_that_all_is_done(cluster)
    else:
        _check_grants(db, max_pages)
    _check_counts(db)
    _check_owners(db)
    _check_delays(cluster)
    for held in cluster.checks:
        held()
    for worker in cluster.workers:
        assert "Traceback" not in worker.said(), worker.said()
    log = [request for request in cluster.served.log if request.target != "/robots.txt"]
    return Findings(
        asked_again=_check_repeats(cluster, log),
        handed_over=_hand_overs(log),
        closest_s=min(gap.seconds for gap in _gaps(cluster)),
    )


def _check_that_all_is_done(cluster: Cluster) -> None:
    """What is reachable is stored, each page in one version; the run is over, and nothing is left to do."""
    assert _versions(cluster.db) == {("fetched", 1): cluster.pages}
    assert rows(cluster.db, "SELECT id, end_reason, pages FROM runs") == [(1, "complete", cluster.pages)]
    assert rows(cluster.db, "SELECT count(*) FROM arrivals") == [(0,)]
    assert rows(cluster.db, "SELECT count(*) FROM hosts WHERE next_due_at IS NOT NULL") == [(0,)]


def _check_grants(db: str, max_pages: int) -> None:
    """As many pages are stored as may be, each in one version: what the dead were granted has been used by others, and
    nothing twice.
    """
    versions = _versions(db)
    assert (versions.pop(("pending", 0)) > 0, versions) == (True, {("fetched", 1): max_pages})
    assert rows(db, "SELECT id, end_reason, pages, granted FROM runs") == [(1, "max_pages", max_pages, max_pages)]
    assert rows(db, "SELECT count(*) FROM workers") == [(0,)]
    assert rows(db, "SELECT count(*) FROM tallies") == [(0,)]


def _versions(db: str) -> Counter[tuple[str, int]]:
    """How many URLs of pages have a status and so many versions."""
    versions = "SELECT count(*) FROM pages AS p WHERE p.part = u.part AND p.url_id = u.id"
    return Counter(
        (status, count) for status, count in rows(db, f"SELECT status, ({versions}) FROM urls AS u WHERE kind = 'page'")
    )


def _check_counts(db: str) -> None:
    """What is counted as it comes agrees with what there is; what has arrived since the end is yet to be counted."""
    of_hosts, arrived = _sums(db, "hosts", _STATUSES), _sums(db, "arrivals", _ARRIVING)
    counted = ", ".join(f"count(*) FILTER (WHERE status = '{status}')" for status in _STATUSES)
    ((*there,),) = rows(db, f"SELECT {counted} FROM urls WHERE kind <> 'robots'")
    assert [of_hosts[status] + arrived.get(status, 0) for status in _STATUSES] == there
    pages, requests = "SELECT sum(run_pages), sum(run_requests) FROM parts", "SELECT count(*) FROM"
    assert rows(db, pages) == [(*rows(db, f"{requests} pages")[0], *rows(db, f"{requests} fetches")[0])]


def _sums(db: str, table: str, columns: Sequence[str]) -> dict[str, int]:
    ((*sums,),) = rows(db, f"SELECT {', '.join(f'coalesce(sum({column}), 0)' for column in columns)} FROM {table}")
    return dict(zip(columns, sums, strict=True))


def _check_owners(db: str) -> None:
    """A partition has one owner at a time: what one has fetched of it was fetched before all of the next one's."""
    epoch = f"SELECT part, id >> {EPOCH_BITS} AS epoch, min(started_at) AS a, max(started_at) AS b"
    times = f"{epoch} FROM fetches GROUP BY 1, 2"
    overlaps = (
        "SELECT x.part, x.epoch, y.epoch, x.b - y.a FROM e AS x JOIN e AS y ON x.part = y.part AND x.epoch < y.epoch"
    )
    assert rows(db, f"WITH e AS ({times}) {overlaps} AND x.b > y.a") == []
    made = f"SELECT count(*) FROM fetches AS f JOIN parts AS p USING (part) WHERE f.id >> {EPOCH_BITS} > p.epoch"
    assert rows(db, made) == [(0,)]


class _Gap(NamedTuple):
    """Between two requests to one host that follow each other."""

    seconds: float
    host: str
    paths: tuple[str, str]
    workers: tuple[str, str] = ("", "")  # who sent them


def _check_delays(cluster: Cluster) -> None:
    """The server reads late what was sent in time, and the crawl's clock is corrected now and then: of one worker's
    requests both must say that they were too near. Of those of two workers, the server's word is enough.
    """
    near = [gap for gap in _gaps(cluster) if gap.seconds < cluster.delay_s - _JITTER_S]
    assert not [gap for gap in near if gap.workers[0] != gap.workers[1]]
    near_by_clock = {gap[1:3] for gap in _gaps_by_clock(cluster.db) if gap.seconds < cluster.delay_s - _CLOCK_S}
    assert not [gap for gap in near if gap[1:3] in near_by_clock]


def _gaps(cluster: Cluster) -> Iterable[_Gap]:
    by_host: defaultdict[str, list[Request]] = defaultdict(list)
    for request in cluster.served.log:
        by_host[request.host].append(request)
    for host, requests in by_host.items():
        for first, then in pairwise(sorted(requests, key=lambda request: request.start)):
            paths, workers = (first.target, then.target), (_worker(first), _worker(then))
            yield _Gap(then.start - first.start, host, paths, workers)


def _gaps_by_clock(db: str) -> Iterable[_Gap]:
    """Of what is stored."""
    window = "WINDOW w AS (PARTITION BY f.part, f.host_id ORDER BY f.started_at)"
    urls = "JOIN urls AS u ON u.part = f.part AND u.host_id = f.host_id AND u.id = f.url_id"
    before = "lag(f.started_at) OVER w AS before, lag(u.url) OVER w AS url_before"
    pairs = f"SELECT f.started_at, u.url, {before} FROM fetches AS f {urls} {window}"
    for seconds, url, url_before in rows(
        db, f"SELECT started_at - before, url, url_before FROM ({pairs}) AS p WHERE before IS NOT NULL"
    ):
        first, then = urlsplit(url_before), urlsplit(url)
        yield _Gap(seconds, then.hostname or "", (first.path, then.path))


def _check_repeats(cluster: Cluster, log: list[Request]) -> int:
    """What is asked for again had been asked for by a worker that met a fault, and was in flight or not committed.

    One that the machine kept from renewing its leases in time says that it begins anew: that is a fault, too.
    """
    asked: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for request in log:
        asked[request.host, request.target].append(_worker(request))
    lost = Counter(worker for workers in asked.values() for worker in workers[:-1])
    faulty = {one.name for one in cluster.workers if one.is_faulty or "begins anew" in one.said()}
    assert set(lost) <= faulty
    assert max(lost.values(), default=0) <= cluster.concurrency + MAX_BATCH
    return sum(lost.values())


def _hand_overs(log: list[Request]) -> int:
    last: dict[str, str] = {}
    count = 0
    for request in sorted(log, key=lambda request: request.start):
        before = last.get(request.host)
        count += before is not None and before != _worker(request)
        last[request.host] = _worker(request)
    return count


def _worker(request: Request) -> str:
    return request.headers.get("x-worker", "")
