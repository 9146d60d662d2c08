"""Settings of some hosts by their names: what holds for them, and that it holds for no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from crawler.host_settings import HostSettings
from tests.frontier.crawls import DAY_S, NIGHT, a_site, crawled, most_at_once

SEEDS = ("http://a.test/", "http://slow.test/", "http://x.slow.test/")


def a_web(pages: int = 5, *, delay_s: float = 0.0) -> FakeWeb:
    web = FakeWeb()
    for name in ("a.test", "slow.test", "x.slow.test"):
        a_site(web, name, pages, delay_s=delay_s)
    return web


def test_the_first_that_matches_gives_the_delay(tmp_path: Path) -> None:
    hosts = (
        HostSettings(match="*.slow.test", delay_s=7.0),
        HostSettings(match="*slow.test", delay_s=3.0),
        HostSettings(match="slow.test", delay_s=99.0),
    )
    done = crawled(a_web(), tmp_path / "crawl.db", *SEEDS, delay_s=1.0, hosts=hosts)
    assert {host: set(done.gaps(host)) for host in ("a.test", "slow.test", "x.slow.test")} == {
        "a.test": {1.0},
        "slow.test": {3.0},
        "x.slow.test": {7.0},
    }


@pytest.mark.parametrize(("own", "between"), [(0.0, 4.0), (2.0, 4.0), (9.0, 9.0)])
def test_a_crawl_delay_raises_it_still(tmp_path: Path, own: float, between: float) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 4).robots("User-agent: *\nCrawl-delay: 4\n")
    hosts = (HostSettings(match="a.test", delay_s=own),)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0, hosts=hosts)
    assert set(done.gaps("a.test")) == {between}


def test_a_host_may_have_more_or_fewer_requests_under_way(tmp_path: Path) -> None:
    hosts = (HostSettings(match="slow.test", per_host=1), HostSettings(match="x.*", per_host=5))
    done = crawled(a_web(40, delay_s=1.0), tmp_path / "crawl.db", *SEEDS, hosts=hosts)
    assert [most_at_once(done.hits(host)) for host in ("a.test", "slow.test", "x.slow.test")] == [2, 1, 5]


@pytest.mark.parametrize("all_hosts", [None, 4, 2])
def test_a_host_s_own_number_of_pages_counts_in_each_run(tmp_path: Path, all_hosts: int | None) -> None:
    web, db = a_web(9), tmp_path / "crawl.db"
    hosts = (HostSettings(match="slow.test", max_pages=3),)
    for night in range(2):
        done = crawled(
            web, db, *([] if night else SEEDS), at=NIGHT + night * DAY_S, hosts=hosts, max_pages_per_host=all_hosts
        )
        pages = [len([1 for hit in done.hits(host) if hit.target != "/robots.txt"]) for host in ("a.test", "slow.test")]
        assert pages == [all_hosts or (0 if night else 9), 3]
    assert done.summary.end_reason == "complete"


def test_a_run_ends_though_many_hosts_have_the_pages_of_their_own(tmp_path: Path) -> None:
    web = FakeWeb()
    for number in range(40):
        a_site(web, f"h{number:02}.test", 4)
    seeds = [f"http://h{number:02}.test/" for number in range(40)]
    hosts = (HostSettings(match="*[0-8].test", max_pages=1),)
    done = crawled(web, tmp_path / "crawl.db", *seeds, hosts=hosts, delay_s=1.0)
    assert (len(done.pages()), done.summary.end_reason) == (36 * 1 + 4 * 4, "complete")
    again = crawled(web, tmp_path / "crawl.db", at=NIGHT + DAY_S, max_age_s=0.0, hosts=hosts)
    assert len([hit for hit in again.log if hit.host == "h09.test" and hit.target != "/robots.txt"]) == 4


def test_a_run_ends_where_its_only_host_has_its_pages(tmp_path: Path) -> None:
    hosts = (HostSettings(match="a.test", max_pages=1),)
    done = crawled(a_web(), tmp_path / "crawl.db", "http://a.test/", hosts=hosts)
    assert (done.targets("a.test"), done.summary.end_reason) == (["/robots.txt", "/"], "complete")
