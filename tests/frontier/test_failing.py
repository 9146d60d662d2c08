"""Nights on which pages, servers or whole hosts fail, in virtual time: what is given up, when, and what is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crawler.config import ScopeRule
from crawler.fakeweb import Answer, FakeWeb, Site
from crawler.records import UrlStatus
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, a_site, crawled, rows

HOUR_S = 3600.0
PAGES = 40
STATUSES = "SELECT status, count(*) FROM urls WHERE kind = 'page' GROUP BY status"
TALLIES = "SELECT sum(pending), sum(fetched), sum(redirected), sum(excluded), sum(gone), sum(failed) FROM hosts"
_COUNTS = ", ".join(f"sum(status = '{status}')" for status in UrlStatus)
COUNTED = f"SELECT {_COUNTS} FROM urls WHERE kind <> 'robots'"
FAILING = "SELECT url, status, failing_since, failing_reason FROM urls WHERE url = ?"


class Nights:
    """The same crawl, night after night."""

    def __init__(self, web: FakeWeb, db: Path, **options: Any) -> None:
        self.web = web
        self.db = db
        self.options: dict[str, Any] = {"max_age_s": 12 * HOUR_S, "max_wait_s": 30.0} | options

    def run(self, night: float, **options: Any) -> Crawled:
        seeds = () if night else ("http://a.test/",)
        done = crawled(self.web, self.db, *seeds, at=NIGHT + night * DAY_S, **(self.options | options))
        assert rows(self.db, TALLIES) == rows(self.db, COUNTED)
        return done

    def statuses(self) -> dict[str, int]:
        return dict(rows(self.db, STATUSES))

    def failing(self, path: str, host: str = "http://a.test") -> tuple[str, str | None]:
        [(_url, status, _since, reason)] = rows(self.db, FAILING, f"{host}{path}")
        return status, reason


@pytest.fixture
def web() -> FakeWeb:
    return FakeWeb()


def break_down(site: Site, how: str) -> None:
    """In one of the ways in which a server is gone for a night."""
    if how == "refused":
        site.listening = False
    elif how == "nxdomain":
        site.dns = "nxdomain"
    else:
        for path in list(site.links):
            site.status(path, int(how))


def mend(web: FakeWeb) -> None:
    web.sites.pop("a.test", None)
    a_site(web, "a.test", PAGES, delay_s=0.1)


@pytest.mark.parametrize("how", ["500", "503", "403", "refused", "nxdomain"])
def test_a_night_without_the_server_fails_nothing_and_the_next_heals_all(
    web: FakeWeb, tmp_path: Path, how: str
) -> None:
    site = a_site(web, "a.test", PAGES, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db")
    nights.run(0)
    break_down(site, how)
    nights.run(1)
    assert nights.statuses() == {"fetched": PAGES}
    assert rows(nights.db, "SELECT count(*) FROM urls WHERE failing_since < ?", NIGHT + DAY_S) == [(0,)]
    failing = rows(nights.db, "SELECT count(*) FROM failing_urls")[0][0]
    assert (failing > 0) == (how != "503")  # which closes the origin before the visit of any page is over
    mend(web)
    healed = nights.run(2)
    assert nights.statuses() == {"fetched": PAGES}
    assert len(set(healed.targets("a.test")) - {"/robots.txt"}) == PAGES
    assert rows(nights.db, "SELECT count(*) FROM urls WHERE failing_since IS NOT NULL AND kind <> 'robots'") == [(0,)]


def test_after_two_nights_without_the_server_all_has_failed_and_one_day_later_all_is_back(
    web: FakeWeb, tmp_path: Path
) -> None:
    site = a_site(web, "a.test", PAGES, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db", retries=0)
    nights.run(0)
    break_down(site, "500")
    nights.run(1)
    assert nights.statuses() == {"fetched": PAGES}
    nights.run(2)
    assert nights.statuses() == {"failed": PAGES}
    mend(web)
    nights.run(4)
    assert nights.statuses() == {"fetched": PAGES}


def test_two_visits_in_one_outage_that_are_hours_apart_are_not_enough(web: FakeWeb, tmp_path: Path) -> None:
    site = a_site(web, "a.test", PAGES, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db", retries=0, max_age_s=2 * HOUR_S)
    nights.run(0)
    break_down(site, "500")
    for hours in (24.0, 26.0, 30.0, 38.0):
        assert len(nights.run(hours / 24).targets("a.test")) >= PAGES
        assert nights.statuses() == {"fetched": PAGES}
    nights.run(54 / 24)
    assert nights.statuses() == {"failed": PAGES}


def test_a_page_that_fails_twice_while_its_host_answers_others_has_failed_at_any_distance(
    web: FakeWeb, tmp_path: Path
) -> None:
    site = a_site(web, "a.test", PAGES, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db", max_age_s=2 * HOUR_S)
    nights.run(0)
    site.status("/7", 500)
    first = nights.run(1)
    assert len(first.times("a.test", "/7")) == 3
    assert nights.failing("/7") == ("fetched", "http 500")
    nights.run(1 + 2 / 24)
    assert nights.failing("/7") == ("failed", "http 500")
    assert nights.statuses() == {"fetched": PAGES - 1, "failed": 1}


def test_what_another_host_answers_says_nothing(web: FakeWeb, tmp_path: Path) -> None:
    site = a_site(web, "a.test", 3, delay_s=0.1)
    site.page("/", links=["/1", "/2", "http://b.test/"])
    a_site(web, "b.test", 3, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db", scope=ScopeRule.ANY, retries=0, max_age_s=2 * HOUR_S)
    nights.run(0)
    break_down(site, "500")
    nights.run(1)
    nights.run(1 + 2 / 24)
    assert nights.statuses() == {"fetched": 6}


def test_a_page_that_fails_every_other_night_never_fails(web: FakeWeb, tmp_path: Path) -> None:
    site = a_site(web, "a.test", 5, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db", retries=0)
    for night in range(9):
        site.status("/2", 500) if night % 2 else site.page("/2")
        nights.run(night)
        assert nights.failing("/2") == ("fetched", "http 500" if night % 2 else None)


def test_redirects_and_what_is_gone_keep_their_status_too(web: FakeWeb, tmp_path: Path) -> None:
    site = web.host("a.test")
    site.page("/", links=["/moved", "/gone"])
    site.redirect("/moved", "/")
    site.status("/gone", 404)
    nights = Nights(web, tmp_path / "crawl.db", retries=1)
    nights.run(0)
    for path in ("/", "/moved", "/gone"):
        site.status(path, 500)
    nights.run(1)
    assert [nights.failing(path)[0] for path in ("/", "/moved", "/gone")] == ["fetched", "redirected", "gone"]


def test_a_run_that_is_killed_between_two_attempts_leaves_the_status_as_it_was(web: FakeWeb, tmp_path: Path) -> None:
    site = a_site(web, "a.test", 3, delay_s=0.1)
    nights = Nights(web, tmp_path / "crawl.db", retries=3)
    nights.run(0)
    site.sequence("/1", Answer(status=500), Answer(status=500), Answer.page(text="1"))
    nights.run(1)
    assert nights.failing("/1") == ("fetched", None)
    site.status("/2", 500)
    nights.run(2, max_wait_s=0.5)  # the second attempt would be two seconds later
    assert nights.failing("/2") == ("fetched", None)
    site.page("/2")
    assert len(nights.run(2.01, max_age_s=None).times("a.test", "/2")) == 1


# --- what was never answered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_age_s", ["auto", 7 * DAY_S, 0.0])
def test_a_first_visit_that_fails_is_made_up_for_in_the_next_night(
    web: FakeWeb, tmp_path: Path, max_age_s: Any
) -> None:
    site = a_site(web, "a.test", 5, delay_s=0.1)
    for path, status in (("/1", 500), ("/2", 403), ("/3", 429)):
        site.status(path, status)
    nights = Nights(web, tmp_path / "crawl.db", max_age_s=max_age_s)
    first = nights.run(0)
    assert len(first.times("a.test", "/1")) == 3
    assert [nights.failing(f"/{n}")[0] for n in (1, 2, 3)] == ["failed"] * 3
    assert nights.run(1, max_age_s=None).log == []  # nobody asked for anything again
    for path in ("/1", "/2", "/3"):
        site.page(path)
    asked = nights.run(1.1).targets("a.test")
    assert {"/1", "/3"} <= set(asked)
    assert "/2" not in asked
    assert nights.failing("/1") == ("fetched", None)
    assert nights.failing("/2") == ("failed", "http 403")
    nights.run(1.2, retry_failed=True)
    assert nights.failing("/2") == ("fetched", None)


@pytest.mark.thorough
@pytest.mark.parametrize("max_age_s", ["auto", 3 * DAY_S])
def test_it_is_asked_ever_more_rarely_and_once_a_visit(web: FakeWeb, tmp_path: Path, max_age_s: Any) -> None:
    site = a_site(web, "a.test", 3, delay_s=0.1)
    site.status("/1", 500)
    nights = Nights(web, tmp_path / "crawl.db", max_age_s=max_age_s)
    asked = [len(nights.run(night).times("a.test", "/1")) for night in range(33)]
    assert [night for night, times in enumerate(asked) if times] == [0, 1, 3, 7, 15, 31]
    assert asked[1] == asked[31] == 1


def test_hosts_that_were_never_there_are_looked_up_ever_more_rarely(web: FakeWeb, tmp_path: Path) -> None:
    """However many URLs they have, and whoever of them was claimed."""
    site = web.host("a.test")
    site.page("/", links=[f"http://gone.test/{number}" for number in range(900)])
    web.host("gone.test").dns = "nxdomain"
    nights = Nights(web, tmp_path / "crawl.db", scope=ScopeRule.ANY, max_age_s="auto")
    failures = [nights.run(night).summary.by_failure.get("dns", 0) for night in range(9)]
    assert [night for night, times in enumerate(failures) if times] == [0, 1, 3, 7]
    assert max(failures) <= 6
    assert rows(nights.db, "SELECT DISTINCT status, failing_reason FROM urls WHERE url GLOB '*gone.test/[0-9]*'") == [
        ("failed", "dns")
    ]


@pytest.mark.thorough
def test_in_a_long_run_nothing_that_failed_is_asked_for_twice(web: FakeWeb, tmp_path: Path) -> None:
    site = a_site(web, "a.test", 200, delay_s=0.1)
    for number in range(1, 100):
        site.status(f"/{number}", 500)
    nights = Nights(web, tmp_path / "crawl.db", retries=0, delay_s=60.0)
    nights.run(0)
    asked = Counter(nights.run(1).targets("a.test"))
    assert set(asked.values()) == {1}
    assert len(asked) >= 200
