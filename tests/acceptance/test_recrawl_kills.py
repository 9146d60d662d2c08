"""kill -9 in each phase of fetching again: nothing is lost, no version is stored twice, nothing is repeated."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served, Site
from tests.acceptance.conftest import Cli, Serve

pytestmark = pytest.mark.any_store

HOST = "a.test"
PAGES = 90
PATHS = ["/", *(f"/p{number}" for number in range(1, PAGES))]
EVERYTHING = ("--delay", "0", "--per-host", "8", "--concurrency", "8", "--max-age", "0s")
WRITERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
SLOW_TO_READ = b"<!doctype html><title>deep</title>" + b"<div>" * 25_000  # most of a second in the parser


class Night:
    """A site as it is in the second night, the crawl that runs over it, and where that is."""

    def __init__(self, cli: Cli, served: Served, site: Site, crawler: subprocess.Popen[str]) -> None:
        self.cli = cli
        self.site = site
        self._served = served
        self._crawler = crawler
        self._before = len(served.log)
        self._wal_bytes = 0

    def has_begun(self) -> bool:
        return self.rows("SELECT count(*) FROM runs") == [2]

    def waits_for(self, path: str) -> Callable[[], bool]:
        return lambda: any(hit.target == path and hit.end is None for hit in self._served.log[self._before :])

    def answers(self) -> int:
        return sum(hit.target in PATHS and hit.end is not None for hit in self._served.log[self._before :])

    def has_answers(self, number: int) -> Callable[[], bool]:
        return lambda: self.answers() >= number

    def reads(self) -> bool:
        """A parser process has been at work for a while."""
        with suppress(OSError):
            children = Path(f"/proc/{self._crawler.pid}/task/{self._crawler.pid}/children").read_text().split()
            return any(_processor_s(child) > 0.2 for child in children)
        return False

    def commits(self) -> bool:
        """After the first answers the write-ahead log has begun to grow or, on a server, something is being written."""
        if not isinstance(self.cli.db, Path):
            return self.answers() > 0 and self.rows(WRITERS)[0] > 0
        with suppress(FileNotFoundError):
            size = self.cli.db.with_name("crawl.db-wal").stat().st_size
            if not self.answers():
                self._wal_bytes = size
            return size > self._wal_bytes > 0
        return False

    def has_committed(self, number: int) -> Callable[[], bool]:
        return lambda: self.rows("SELECT count(*) FROM fetches WHERE run_id = 2")[0] >= number

    def rows(self, sql: str) -> list[int]:
        with suppress(sqlite3.Error):
            return self.cli.rows(sql)
        return [0]


def _processor_s(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def robots(site: Site, served: Served, **more: float) -> None:
    site.robots(f"Sitemap: {served.url(HOST, '/sitemap.xml')}", delay_s=more.get("delay_s", 0.0))


def sitemap(site: Site, served: Served, **more: float) -> None:
    site.sitemap("/sitemap.xml", [served.url(HOST, path) for path in PATHS], delay_s=more.get("delay_s", 0.0))


def declare(site: Site, number: int, version: int, **more: float) -> None:
    path = PATHS[number]
    links = PATHS[10 * number + 1 : 10 * number + 11]
    headers = {"ETag": f'"{path}-{version}"'}
    words = " ".join(chr(97 + number % 26) * (number % 9 + 1) for _ in range(30))
    text = f"version {version} of {path} {words}"
    site.page(path, title=path, text=text, links=links, headers=headers, delay_s=more.get("delay_s", 0.0))


PHASES: dict[str, Callable[[Night], Callable[[], bool]]] = {
    "the start": lambda night: night.has_begun,
    "robots.txt": lambda night: night.waits_for("/robots.txt"),
    "the sitemap": lambda night: night.waits_for("/sitemap.xml"),
    "the first answers": lambda night: night.has_answers(1),
    "reading": lambda night: night.reads,
    "the first commit": lambda night: night.commits,
    "after a commit": lambda night: night.has_committed(1),
    "in the middle": lambda night: night.has_answers(PAGES // 2),
    "the last answers": lambda night: night.has_answers(PAGES - 1),
    "the end": lambda night: night.has_committed(PAGES + 2),  # robots.txt and the sitemap, too
}


ON_EACH_STORE = {"robots.txt", "the first commit", "in the middle"}  # where one might differ from the other


@pytest.mark.thorough
@pytest.mark.parametrize(
    "phase",
    [pytest.param(one, marks=pytest.mark.each_store if one in ON_EACH_STORE else ()) for one in PHASES],
)
def test_kill_9_in_a_recrawl_loses_nothing_and_stores_no_version_twice(cli: Cli, serve: Serve, phase: str) -> None:
    web = FakeWeb()
    site = web.host(HOST)
    served = serve(web)
    publish(site, served, dict.fromkeys(range(PAGES), 1))
    cli.crawl(served, served.url(HOST), *EVERYTHING)
    cli.change("UPDATE origins SET robots_expires_at = 1")
    versions = {number: 1 + (number % 3 == 1) for number in range(PAGES)}
    slow = {"robots.txt": "robots", "the sitemap": "sitemap"}.get(phase, "pages")
    publish(site, served, versions, **{slow: 2.0 if slow != "pages" else 0.05})
    if phase != "the end":  # on a busy machine it might be too fast for us
        declare(site, PAGES - 1, versions[PAGES - 1], delay_s=30.0)
    if phase == "reading":
        site.page(PATHS[1], body=SLOW_TO_READ, headers={"ETag": '"deep"'})
    crawler = cli.start(served, *EVERYTHING, "--parse-timeout", "60")
    reached = PHASES[phase](Night(cli, served, site, crawler))
    while not reached() and crawler.poll() is None:
        time.sleep(0.0005)
    crawler.kill()
    crawler.communicate()
    if phase != "the end":
        assert crawler.returncode == -signal.SIGKILL
    done = set(cli.rows("SELECT url FROM fetches JOIN urls ON urls.id = url_id WHERE run_id = 2 AND kind = 'page'"))
    print(f"{phase}: {len(done)} of {PAGES} pages were committed")
    ended = cli.rows("SELECT 1 FROM runs WHERE id = 2 AND ended_at IS NOT NULL") == [1]
    assert phase == "the end" or not ended
    before = len(served.log)
    publish(site, served, versions)
    if phase == "reading":
        site.page(PATHS[1], body=SLOW_TO_READ, headers={"ETag": '"deep"'})
    cli.crawl(served, *EVERYTHING, "--parse-timeout", "60")
    again = [hit.target for hit in served.log[before:] if hit.target in PATHS]
    if not ended:  # else this is another run, and all is older than that
        assert sorted(again) == sorted(path for path in PATHS if served.url(HOST, path) not in done)
    assert_whole(cli, {served.url(HOST, PATHS[number]): version for number, version in versions.items()})


def publish(site: Site, served: Served, versions: dict[int, int], **delays: float) -> None:
    """Every page in its version."""
    robots(site, served, delay_s=delays.get("robots", 0.0))
    sitemap(site, served, delay_s=delays.get("sitemap", 0.0))
    for number, version in versions.items():
        declare(site, number, version, delay_s=delays.get("pages", 0.0))


def assert_whole(cli: Cli, versions: dict[str, int]) -> None:
    """Each page has all its versions, each once."""
    stored = Counter(cli.rows("SELECT url FROM pages JOIN urls ON urls.id = url_id"))
    assert stored == Counter(versions)
    assert cli.rows("SELECT count(*) FROM urls WHERE status <> 'fetched' AND kind <> 'robots'") == [0]
    assert cli.rows("SELECT count(*) FROM pages GROUP BY url_id, content_hash HAVING count(*) > 1") == []
    cli.assert_sound()
