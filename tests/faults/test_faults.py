"""Whatever happens to workers, their server and the links between them, each page is stored, once; and hosts are left
in peace.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from crawler.storage.postgres.connection import worker_settings
from tests.faults import happenings as happens
from tests.faults.cluster import LEASE_S, Cluster, a_cluster
from tests.faults.invariants import check
from tests.postgres.crawls import create_crawl
from tests.postgres.instance import Instance, an_instance, free_port
from tests.postgres.sql import execute
from tests.postgres.standby import a_synchronous_standby

SMALL_PARTS, LARGE_PARTS = 16, 64


@pytest.fixture
def server() -> Iterator[Instance]:
    """A server of the test's own, which may crash."""
    with an_instance() as server:
        server.create()
        server.start()
        yield server


def a_crawl(server: Instance, parts: int) -> str:
    """The URL of an empty crawl database on it."""
    execute(server.dsn(), "CREATE DATABASE crawl")
    create_crawl(server.dsn("crawl"), parts)
    return server.dsn("crawl")


def crawled(
    cluster: Cluster, faults: Sequence[Callable[[Cluster], None]], *, workers: int, options: tuple[str, ...] = ()
) -> None:
    """All of it, with the faults spread over it; then what must hold is looked at."""
    hosts = sorted(cluster.served.sites)
    cluster.begin([cluster.served.url(host) for host in hosts[:: len(hosts) // 8 or 1]], *options)
    for number in range(1, workers):
        cluster.join(f"w{number}")
    for worker in cluster.workers[1:] if faults else ():
        happens.joined(cluster, worker)
    for number, fault in enumerate(faults, start=1):
        cluster.wait_for_pages(number / (len(faults) + 2))
        fault(cluster)
    cluster.finish()
    found = check(cluster)
    cluster.say(f"over; taken over after {', '.join(f'{s:.1f}' for s in cluster.take_overs)} s; {found}")


@pytest.mark.slow
def test_nothing_happens_to_three_workers_and_each_page_is_asked_for_once(server: Instance, tmp_path: Path) -> None:
    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=24, pages_each=20) as cluster:
        crawled(cluster, [], workers=3)


FAULTS = {
    "a worker is killed": happens.kill,
    "a worker stands still": happens.stop_for_long,
    "a worker stands still between news and results": happens.freeze_between_news_and_results,
    "a worker stands still behind the fence": happens.freeze_behind_the_fence,
    "the answer to a commit is lost": happens.lose_a_commit_s_answer,
    "a link is down": happens.take_the_link_down,
    "a worker joins": happens.join,
    "a worker leaves": happens.drain,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_one_thing_happens(server: Instance, tmp_path: Path, fault: str) -> None:
    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=40, pages_each=38, delay_s=0.4) as cluster:
        crawled(cluster, [FAULTS[fault]], workers=3)


@pytest.mark.slow
def test_the_server_crashes(server: Instance, tmp_path: Path) -> None:
    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=40, pages_each=38, delay_s=0.5) as cluster:
        crawled(cluster, [partial(happens.restart, server=server)], workers=3)


@pytest.mark.slow
def test_workers_that_are_to_leave_just_after_a_crash_of_the_server_leave_in_order(
    server: Instance, tmp_path: Path
) -> None:
    """They have to store what was under way, and to give back what they own: they wait for the server, which is back
    well before their leases end.
    """
    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=24, pages_each=38, delay_s=1.0) as cluster:
        execute(cluster.db, "UPDATE meta SET lease_s = 30")
        cluster.begin([cluster.served.url(host) for host in sorted(cluster.served.sites)[::3]])
        happens.joined(cluster, cluster.join("w1"))
        cluster.wait_for_pages(0.1)
        server.stop("immediate")
        for worker in cluster.workers:
            worker.send(signal.SIGTERM)
        time.sleep(3.0)  # more than the grace: they are at what is last by then
        server.start()
        for worker in cluster.workers:
            assert worker.process.wait() == 128 + signal.SIGTERM, worker.said()
        assert cluster.ask("SELECT count(*) FROM parts WHERE owner IS NOT NULL") == [(0,)]
        assert cluster.ask("SELECT count(*) FROM workers") == [(0,)]


@pytest.mark.slow
def test_several_things_happen(server: Instance, tmp_path: Path) -> None:
    faults: list[Callable[[Cluster], None]] = [
        happens.lose_a_commit_s_answer,
        happens.kill,
        happens.freeze_behind_the_fence,
        happens.drain,
        partial(happens.restart, server=server),
    ]
    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=40, pages_each=38, delay_s=0.5) as cluster:
        crawled(cluster, faults, workers=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("turn", range(1, 6))
def test_seven_things_happen_to_twenty_thousand_pages(server: Instance, tmp_path: Path, turn: int) -> None:
    faults: list[Callable[[Cluster], None]] = [
        happens.kill,
        happens.freeze_between_news_and_results,
        happens.join,
        happens.freeze_behind_the_fence,
        partial(happens.restart, server=server),
        happens.stop_for_long,
        happens.drain,
    ]
    with a_cluster(a_crawl(server, LARGE_PARTS), tmp_path, hosts=200, pages_each=100, concurrency=64) as cluster:
        crawled(cluster, faults, workers=3)


@pytest.mark.slow
def test_a_synchronous_standby_takes_over_and_nothing_that_was_committed_is_lost(
    server: Instance, tmp_path: Path
) -> None:
    db = a_crawl(server, SMALL_PARTS)
    standby = a_synchronous_standby(server)
    both = db.replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{server.port},127.0.0.1:{standby.port}")
    with a_cluster(f"{both}?target_session_attrs=primary", tmp_path, hosts=40, pages_each=38, delay_s=0.5) as cluster:
        crawled(cluster, [partial(happens.promote, primary=server, standby=standby)], workers=3)


def another_clock(offset: str) -> dict[str, str]:
    """The environment of a process whose time of day is so far off; seconds pass as they do.

    The library alone: the program `faketime` runs a command in a process beside its own, which a test would not know.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.slow
def test_a_worker_s_clock_is_off_by_an_hour(server: Instance, tmp_path: Path) -> None:
    """Up or down: nothing is sent too early, stored with a false time, or left for an hour."""

    def join_with_another_clock(cluster: Cluster) -> None:
        for worker in [cluster.join(f"w{offset}", environment=another_clock(offset)) for offset in ("+1h", "-1h")]:
            happens.joined(cluster, worker)

    with a_cluster(a_crawl(server, SMALL_PARTS), tmp_path, hosts=40, pages_each=38, delay_s=1.0) as cluster:
        crawled(cluster, [join_with_another_clock, happens.kill], workers=2)
        [(first, last)] = cluster.ask("SELECT min(started_at), max(started_at) FROM fetches")
        assert last - first < 600


BOUNCER = """
[databases]
* = host=127.0.0.1 port={server} user=crawl
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 60
ignore_startup_parameters = {settings}
"""


@pytest.mark.slow
def test_behind_pgbouncer_the_role_has_the_settings_or_nothing_begins(server: Instance, tmp_path: Path) -> None:
    """It drops what a session asks for, as `ignore_startup_parameters` tells it to."""
    db = a_crawl(server, SMALL_PARTS)
    settings = {**worker_settings("crawler", LEASE_S), "lock_timeout": "1s", "target_session_attrs": ""}
    port = free_port()
    config = server.folder / "pgbouncer.ini"
    config.write_text(BOUNCER.format(server=server.port, own=port, settings=", ".join(settings)))
    as_user = ["-u", "postgres"] if os.getuid() == 0 else []
    with subprocess.Popen(["/usr/sbin/pgbouncer", "-q", *as_user, str(config)], cwd=server.folder) as bouncer:
        try:
            behind = db.replace(str(server.port), str(port))
            with a_cluster(db, tmp_path, hosts=10, pages_each=10, seen_at=behind) as cluster:
                refused = cluster.refused()
                assert "ALTER ROLE" in refused
                for name, value in worker_settings("crawler", LEASE_S).items():
                    execute(db, f"ALTER ROLE crawl SET {name} = '{value}'")
                execute(server.dsn(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'crawl'")
                crawled(cluster, [], workers=3)
        finally:
            bouncer.terminate()
