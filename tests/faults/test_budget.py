"""`--max-pages` over several processes: exactly so many pages are stored, whoever dies with what it was granted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import happenings as happens
from tests.faults.cluster import a_cluster
from tests.faults.invariants import check
from tests.faults.test_faults import SMALL_PARTS, a_crawl, server
from tests.postgres.instance import Instance

__all__ = ["server"]

MAX_PAGES = 400


@pytest.mark.slow
def test_exactly_as_many_pages_are_stored_as_may_be_while_workers_die(server: Instance, tmp_path: Path) -> None:
    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=24, pages_each=20, delay_s=2.0) as cluster:
        hosts = sorted(cluster.served.sites)
        cluster.begin([cluster.served.url(host) for host in hosts[::3]], "--max-pages", str(MAX_PAGES))
        for name in ("w1", "w2"):
            cluster.join(name)
        cluster.wait(lambda: cluster.ask("SELECT count(*) FROM workers WHERE run_id IS NOT NULL") == [(3,)])
        for pages in (150, 250):
            cluster.wait(lambda pages=pages: cluster.fetched() >= pages)  # type: ignore[misc]
            happens.kill(cluster)
        cluster.finish()
        check(cluster, max_pages=MAX_PAGES)
