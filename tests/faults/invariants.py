"""What must hold after a crawl, whatever has happened to its workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from crawler.fakeweb import Request
from crawler.storage.writer import MAX_BATCH
from tests.faults.cluster import EPOCH_BITS, Cluster
from tests.postgres.sql import rows

_CLOCK_S = 0.005  # what two readings of the clock, and of its fraction in the database, may differ by
_JITTER_S = 0.02  # what a busy machine adds between a request's sending and the server's reading it
_STATUSES = ("pending", "fetched", "redirected", "excluded", "gone", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Of a crawl that met faults: what is reported, beside what must hold."""

    asked_again: int  # requests for pages that had been asked for before
    handed_over: int  # times that a host's next request came from another worker
    closest_s: float  # between two requests to one host, by the server's log


def check(cluster: Cluster) -> Findings:
    """All of it; fails with what does not hold."""
    db = cluster.db
    _check_pages(cluster)
    _check_counts(db)
    _check_owners(db)
    _check_delays(cluster)
    for held in cluster.checks:
        held()
    for worker in cluster.workers:
        assert "Traceback" not in worker.said(), worker.said()
    log = [request for request in cluster.served.log if request.target != "/robots.txt"]
    return Findings(
        asked_again=_check_repeats(cluster, log), handed_over=_hand_overs(log), closest_s=min(_gaps(cluster))[0]
    )


def _check_pages(cluster: Cluster) -> None:
    """What is reachable is stored, each page in one version; the run is over, and nothing is left to do."""
    versions = (
        "SELECT status, (SELECT count(*) FROM pages AS p WHERE p.part = u.part AND p.url_id = u.id) FROM urls AS u"
    )
    stored = Counter(rows(cluster.db, f"{versions} WHERE kind = 'page'"))
    assert stored == {("fetched", 1): cluster.pages}
    assert rows(cluster.db, "SELECT id, end_reason, pages FROM runs") == [(1, "complete", cluster.pages)]
    assert rows(cluster.db, "SELECT count(*) FROM arrivals") == [(0,)]


def _check_counts(db: str) -> None:
    """What is counted as it comes agrees with what there is."""
    of_hosts = rows(db, "SELECT " + ", ".join(f"sum({status})" for status in _STATUSES) + " FROM hosts")
    counted = ", ".join(f"count(*) FILTER (WHERE status = '{status}')" for status in _STATUSES)
    assert of_hosts == rows(db, f"SELECT {counted} FROM urls WHERE kind <> 'robots'")
    pages, requests = "SELECT sum(run_pages), sum(run_requests) FROM parts", "SELECT count(*) FROM"
    assert rows(db, pages) == [(*rows(db, f"{requests} pages")[0], *rows(db, f"{requests} fetches")[0])]
    assert rows(db, "SELECT count(*) FROM hosts WHERE next_due_at IS NOT NULL") == [(0,)]


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


def _check_delays(cluster: Cluster) -> None:
    """By the crawl's clock for what is stored; by the server's for all, where a host has passed to another worker."""
    before = f"lag(started_at) OVER w AS before, lag(id >> {EPOCH_BITS}) OVER w AS epoch_before"
    starts = f"SELECT *, {before} FROM fetches WINDOW w AS (PARTITION BY part, host_id ORDER BY started_at)"
    gaps = f"SELECT started_at - before, epoch_before, id >> {EPOCH_BITS} AS epoch FROM ({starts}) AS s"
    early_by_clock = rows(cluster.db, f"{gaps} WHERE started_at - before < ?", cluster.delay_s - _CLOCK_S)
    assert early_by_clock == []
    early = [gap for gap in _gaps(cluster) if gap[0] < cluster.delay_s - _JITTER_S and gap[2] != gap[3]]
    assert not early


def _gaps(cluster: Cluster) -> Iterable[tuple[float, str, str, str]]:
    """Seconds between two requests that follow each other, their host, and who sent them."""
    by_host: defaultdict[str, list[Request]] = defaultdict(list)
    for request in cluster.served.log:
        by_host[request.host].append(request)
    for host, requests in by_host.items():
        for first, then in pairwise(sorted(requests, key=lambda request: request.start)):
            yield then.start - first.start, host, _worker(first), _worker(then)


def _check_repeats(cluster: Cluster, log: list[Request]) -> int:
    """What is asked for again had been asked for by a worker that met a fault, and was in flight or not committed."""
    asked: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for request in log:
        asked[request.host, request.target].append(_worker(request))
    lost = Counter(worker for workers in asked.values() for worker in workers[:-1])
    faulty = {worker.name for worker in cluster.workers if worker.is_faulty}
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
