"""Limits are exact: pages of the run and of a host are counted when they are stored, requests before they are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Site
from crawler.frontier.allowance import PageAllowance
from crawler.host_settings import HostSettings
from tests.frontier.crawls import DAY_S, NIGHT, a_site, copied_after, crawled, rows


def a_mixed_site(web: FakeWeb, name: str) -> Site:
    """20 pages between redirects, missing ones, images, and a page that has to be asked for twice."""
    site = web.host(name)
    kinds = ("page", "gone", "redirect", "image", "twice")
    links = [f"/{kind}{number}" for number in range(20) for kind in kinds]
    site.page("/", links=links)
    for number in range(20):
        site.page(f"/page{number}", title=f"{name} {number}")
        site.redirect(f"/redirect{number}", f"/gone{number}")
        site.answer(f"/image{number}", Answer(body=b"GIF89a", content_type="image/gif"))
        site.sequence(f"/twice{number}", Answer(status=500), Answer.page(title=f"{name} at last {number}"))
    return site


@pytest.mark.parametrize("pages", [1, 7, 30])
@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_run_stores_exactly_as_many_pages_as_it_may(tmp_path: Path, pages: int, concurrency: int) -> None:
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        a_mixed_site(web, name)
    done = crawled(
        web,
        tmp_path / "crawl.db",
        "http://a.test/",
        "http://b.test/",
        max_pages=pages,
        concurrency=concurrency,
        per_host=8,
    )
    assert (done.summary.end_reason, done.summary.pages) == ("max_pages", pages)
    assert len(done.pages()) == pages


@pytest.mark.parametrize("pages", [1, 9])
def test_a_host_gives_exactly_as_many_pages_as_it_may(tmp_path: Path, pages: int) -> None:
    """And the next run may ask it for as many again."""
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        a_mixed_site(web, name)
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/", "http://b.test/", max_pages_per_host=pages, per_host=8)
    assert _pages_of_hosts(db) == [pages, pages]
    assert done.summary.end_reason == "complete"
    crawled(web, db, at=NIGHT + 60.0, max_pages_per_host=pages, per_host=8)
    assert _pages_of_hosts(db) == [2 * pages, 2 * pages]


@pytest.mark.parametrize(("limits", "all_in_all"), [({"max_pages": 30}, 30), ({"max_pages_per_host": 12}, 36)])
def test_a_run_that_was_killed_goes_on_with_what_is_left_of_its_allowance(
    tmp_path: Path, limits: dict[str, Any], all_in_all: int
) -> None:
    web = FakeWeb()
    hosts = ("a.test", "b.test", "c.test")
    for name in hosts:
        a_site(web, name, 40)
    seeds = [f"http://{name}/" for name in hosts]
    remains = tmp_path / "remains.db"
    during = copied_after(5.5, tmp_path / "crawl.db", remains)
    crawled(web, tmp_path / "crawl.db", *seeds, during=during, delay_s=1.0, **limits)
    stored = sum(_pages_of_hosts(remains))
    assert 9 <= stored <= 18
    done = crawled(web, remains, at=NIGHT + 3600.0, delay_s=1.0, **limits)
    assert (done.summary.pages, done.summary.run_pages) == (all_in_all - stored, all_in_all)
    assert sum(_pages_of_hosts(remains)) == all_in_all
    assert max(_pages_of_hosts(remains)) <= 12


def test_a_page_that_has_not_changed_counts_against_nothing(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 10)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.page("/9", title="another")
    again = crawled(web, db, at=NIGHT + 3600.0, max_age_s=0.0, max_pages=1, per_host=1)
    assert (again.summary.pages, again.pages()[-1]) == (1, "http://a.test/9")


def test_a_run_that_was_killed_past_its_limit_has_nothing_left() -> None:
    allowance = PageAllowance(3)
    allowance.spend(5)
    assert allowance.is_spent


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requests", [1, 2, 9, 60])
@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_run_sends_exactly_as_many_requests_as_it_may(tmp_path: Path, requests: int, concurrency: int) -> None:
    """Whatever they ask for, and whatever comes of it: retries, redirects of robots.txt, images."""
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        a_mixed_site(web, name).redirect("/robots.txt", "/rules")
    done = crawled(
        web,
        tmp_path / "crawl.db",
        "http://a.test/",
        "http://b.test/",
        max_requests=requests,
        concurrency=concurrency,
        per_host=8,
    )
    assert (done.summary.end_reason, done.summary.requests) == ("max_requests", requests)
    assert len(done.log) == requests
    assert rows(done.db, "SELECT requests FROM runs") == [(requests,)]


@pytest.mark.parametrize("requests", [1, 2, 7, 40])
def test_a_host_is_sent_exactly_as_many_requests_as_it_may_be(tmp_path: Path, requests: int) -> None:
    """The others have no limit, and the next run may send it as many again."""
    web, db = FakeWeb(), tmp_path / "crawl.db"
    for name in ("a.test", "b.test"):
        a_mixed_site(web, name).redirect("/robots.txt", "/rules")
    hosts = (HostSettings(match="a.test", max_requests=requests),)
    done = crawled(web, db, "http://a.test/", "http://b.test/", hosts=hosts, per_host=8)
    assert len(done.hits("a.test")) == requests
    assert len(done.hits("b.test")) == 2 + 101 + 20  # robots.txt twice, 20 pages once more
    # Where none is left for its redirect, robots.txt is asked for again later.
    assert done.summary.end_reason == ("complete" if requests > 1 else "waiting")
    again = crawled(web, db, at=NIGHT + DAY_S, hosts=hosts, per_host=8, max_age_s="auto")
    assert len(again.hits("a.test")) == requests


def test_what_was_asked_for_and_has_not_changed_is_a_request_too(tmp_path: Path) -> None:
    """That is what tells the limit from --max-pages, which such pages do not count against."""
    web, db = FakeWeb(), tmp_path / "crawl.db"
    a_site(web, "a.test", 60)
    crawled(web, db, "http://a.test/")
    by_pages = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0, max_pages=5)
    assert (len(by_pages.hits("a.test")), by_pages.summary.end_reason) == (61, "complete")
    by_requests = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=0.0, max_pages=None, max_requests=5)
    assert (len(by_requests.hits("a.test")), by_requests.summary.end_reason) == (5, "max_requests")


def test_a_connection_that_fails_before_it_is_used_costs_no_request(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 30)
    seeds = ["http://nowhere.test/", "http://a.test/"]
    done = crawled(web, tmp_path / "crawl.db", *seeds, max_requests=8, retries=0)
    assert (len(done.log), done.summary.end_reason) == (8, "max_requests")


@pytest.mark.parametrize("killed_after_s", [0.6, 3.2, 5.3, 9.1, 12.3])
@pytest.mark.parametrize("limit", ["run", "host"])
def test_a_run_that_was_killed_sends_no_more_than_what_is_left(
    tmp_path: Path, killed_after_s: float, limit: str
) -> None:
    """What was under way when it was killed counts, though nobody knows what came of it."""
    web, db, remains = FakeWeb(), tmp_path / "crawl.db", tmp_path / "remains.db"
    hosts = ("a.test", "b.test", "c.test")
    for name in hosts:
        a_site(web, name, 40, delay_s=2.5)
    options: dict[str, Any] = {"delay_s": 1.0, "per_host": 4}
    if limit == "run":
        options["max_requests"] = most = 45
    else:
        options["hosts"] = (HostSettings(match="*.test", max_requests=15),)
        most = 45
    during = copied_after(killed_after_s, db, remains)
    killed = crawled(web, db, *(f"http://{name}/" for name in hosts), during=during, **options)
    before = [hit for hit in killed.log if hit.start <= killed_after_s]
    done = crawled(web, remains, at=NIGHT + 60.0, **options)
    sent = len(before) + len(done.log)
    assert most - 2 * len(hosts) <= sent <= most
    assert [run for (run,) in rows(remains, "SELECT id FROM runs")] == [1]
    if limit == "host":
        for name in hosts:
            assert len([hit for hit in before if hit.host == name]) + len(done.hits(name)) <= 15


def test_a_killed_run_under_another_limit_is_over(tmp_path: Path) -> None:
    web, db, remains = FakeWeb(), tmp_path / "crawl.db", tmp_path / "remains.db"
    a_site(web, "a.test", 40)
    during = copied_after(5.5, db, remains)
    crawled(web, db, "http://a.test/", during=during, delay_s=1.0, max_requests=20)
    done = crawled(web, remains, at=NIGHT + 60.0, delay_s=1.0, max_requests=21)
    assert len(done.log) == 21
    assert rows(remains, "SELECT end_reason FROM runs ORDER BY id") == [("killed",), ("max_requests",)]


def _pages_of_hosts(db: Path) -> list[int]:
    sql = "SELECT count(*) FROM pages JOIN urls ON urls.id = url_id GROUP BY host_id ORDER BY host_id"
    return [row[0] for row in rows(db, sql)]
