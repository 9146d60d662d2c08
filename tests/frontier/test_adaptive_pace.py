"""Adaptive pacing in whole runs: what slows hosts, that it lasts from run to run, and that it can be turned off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb
from crawler.run import Run
from tests.frontier.crawls import NIGHT, Crawled, a_site, crawled, most_at_once, rows
from tests.frontier.virtual_time import VirtualLoop


def a_site_that_gets_slow(web: FakeWeb, pages: int, *, after: int, delay_s: float) -> None:
    """From the page `after` on each takes so long; before, a tenth of a second."""
    site = a_site(web, "a.test", pages, delay_s=0.1)
    for number in range(after, pages):
        site.page(f"/{number}", title=f"{number}", delay_s=delay_s)


def test_rising_latency_slows_a_host_and_falling_latency_brings_its_pace_back(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 120, delay_s=0.1)
    for number in range(30, 60):
        site.page(f"/{number}", title=f"{number}", delay_s=4.0)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0)
    gaps = done.gaps("a.test")
    assert gaps[:30] == [1.0] * 30
    assert min(gaps) == 1.0
    assert 3.0 < max(gaps[45:60]) <= 4.0
    assert gaps[-5:] == [1.0] * 5
    assert most_at_once(done.hits("a.test")) <= 2
    assert done.summary.urls["fetched"] == 120


def test_a_host_that_always_takes_long_keeps_its_pace(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 20, delay_s=3.0)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=2.0)
    assert set(done.gaps("a.test")[2:]) == {2.0}


def test_only_successes_speed_up(tmp_path: Path) -> None:
    """Errors that come quickly, redirects to nowhere and pages that are gone say nothing for the host."""
    web = FakeWeb()
    site = a_site(web, "a.test", 40)
    site.sequence("/1", Answer(status=503, headers={"Retry-After": "1"}), Answer.page(title="1"))
    for number in range(2, 40):
        site.status(f"/{number}", 404)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0, per_host=1)
    [slowed] = rows(done.db, "SELECT pace_s FROM hosts WHERE name = 'a.test'")[0]
    assert slowed == pytest.approx(2.0 * 0.95)
    assert done.gaps("a.test")[-10:] == [1.9] * 10


@pytest.mark.parametrize("status", [429, 503])
def test_with_no_delay_refusals_slow_from_a_quarter_of_a_second_up(tmp_path: Path, status: int) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 30)
    site.sequence("/1", Answer(status=status, headers={"Retry-After": "0"}), Answer.page(title="1"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", per_host=1)
    gaps = done.gaps("a.test")
    assert max(gaps) == 0.25
    assert gaps[-5:] == [0.0] * 5
    assert done.summary.urls["fetched"] == 30


def test_with_no_delay_latency_slows_nobody(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site_that_gets_slow(web, 60, after=30, delay_s=4.0)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/")
    assert most_at_once(done.hits("a.test")[-20:]) == 2
    assert done.took_s < 0.1 * 30 + 4.0 * 31 / 2 + 1.0


def slowed_in_the_first_night(tmp_path: Path, **options: Any) -> tuple[FakeWeb, Crawled]:
    web = FakeWeb()
    site = a_site(web, "a.test", 6)
    site.sequence("/5", *[Answer(status=429, headers={"Retry-After": "1"})] * 3, Answer.page(title="5"))
    return web, crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0, per_host=1, **options)


def test_a_host_s_pace_is_kept_from_one_run_to_the_next(tmp_path: Path) -> None:
    web, first = slowed_in_the_first_night(tmp_path)
    [pace_s] = rows(first.db, "SELECT pace_s FROM hosts WHERE name = 'a.test'")[0]
    assert pace_s == pytest.approx(2.0 * 0.95, abs=0.2)
    second = crawled(web, first.db, at=NIGHT + 3600.0, delay_s=1.0, max_age_s=0.0)
    assert second.gaps("a.test")[0] == pytest.approx(pace_s)
    quicker = crawled(web, first.db, at=NIGHT + 7200.0, delay_s=1.0, max_age_s=0.0, adaptive_pace=False)
    assert set(quicker.gaps("a.test")) == {1.0}
    slower = crawled(web, first.db, at=NIGHT + 9000.0, delay_s=30.0, max_age_s=0.0)
    assert set(slower.gaps("a.test")) == {30.0}


def test_an_option_turns_it_off(tmp_path: Path) -> None:
    _web, done = slowed_in_the_first_night(tmp_path, adaptive_pace=False)
    assert max(done.gaps("a.test")) == 1.0
    assert rows(done.db, "SELECT pace_s FROM hosts WHERE name = 'a.test'") == [(None,)]


def test_the_pace_is_shown_while_it_is_slowed(tmp_path: Path) -> None:
    seen: list[float | None] = []

    def look(run: Run, loop: VirtualLoop) -> None:
        for at in (2.5, 9.0):
            loop.call_later(at, lambda: seen.extend(host.slowed_s for host in run.frontier.hosts()))

    web = FakeWeb()
    site = a_site(web, "a.test", 12)
    site.sequence("/5", Answer(status=429, headers={"Retry-After": "1"}), Answer.page(title="5"))
    crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0, per_host=1, during=look)
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1] > 1.0
