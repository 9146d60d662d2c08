"""A host has no more URLs, and no more rows, than it may have: whole runs in virtual time, over several nights."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from tests.frontier.crawls import DAY_S, NIGHT, crawled, rows, stopped_after

A = "http://a.test/"
TALLY = "SELECT pending + fetched + redirected + gone + failed, excluded FROM hosts"
LINKS = "SELECT count(*) FROM links"


def a_wide_web(pages: int, links_each: int, *, validators: bool = False) -> FakeWeb:
    """A front page that links to pages, each of which has links that stand nowhere else."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="front", links=[f"/{number}/" for number in range(pages)])
    for number in range(pages):
        links = [f"/{number}/{link}" for link in range(links_each)]
        headers = {"ETag": f'"{number}"'} if validators else {}
        site.page(f"/{number}/", title=f"{number}", links=links, headers=headers)
        for link in links:
            site.page(link, title=link)
    return web


def test_pages_of_many_links_let_in_no_more_urls_and_rows_than_the_host_may_have(tmp_path: Path) -> None:
    """A commit holds many such pages."""
    db = tmp_path / "crawl.db"
    web = a_wide_web(pages=60, links_each=100)
    done = crawled(web, db, A, max_urls_per_host=500, concurrency=64, per_host=64)
    assert rows(db, TALLY) == [(500, 500)]
    assert (done.summary.end_reason, done.summary.urls["fetched"]) == ("complete", 500)
    assert done.summary.unstored_links == 1 + 60 + 60 * 100 - 1000
    assert len([notice for notice in done.notices if notice.startswith("a.test has reached 500 URLs")]) == 1
    assert [notice for notice in done.notices if notice.startswith("5,061 links to URLs that were not stored")]
    assert rows(db, "SELECT sum(links_total) FROM pages") == [(60 + 60 * 100,)]


@pytest.mark.parametrize("forbidden", [False, True], ids=["out of scope", "by robots.txt"])
def test_rows_of_what_is_excluded_are_bounded_too(tmp_path: Path, forbidden: bool) -> None:
    web = a_wide_web(pages=60, links_each=100)
    if forbidden:
        web.sites["a.test"].robots("User-agent: *\nDisallow: /*/1\nDisallow: /*/2\nDisallow: /*/3\n")
    db = tmp_path / "crawl.db"
    done = crawled(web, db, A, max_urls_per_host=100, exclude=() if forbidden else ("/[0-9]+/[0-9]+$",))
    [(taken, excluded)] = rows(db, TALLY)
    assert taken <= 100
    assert taken + excluded <= 200
    assert done.summary.unstored_links > 5000
    if not forbidden:
        assert done.summary.urls["fetched"] == 61  # what is excluded takes no room from the pages


@pytest.mark.parametrize("validators", [False, True], ids=["without validators", "with an ETag"])
@pytest.mark.parametrize("max_age_s", [None, 0.0], ids=["resumed", "recrawled"])
def test_what_was_not_stored_comes_back_once_the_bound_is_raised(
    tmp_path: Path, validators: bool, max_age_s: float | None
) -> None:
    """Its pages have not changed since, and a server would say so."""
    web = a_wide_web(pages=8, links_each=20, validators=validators)
    db = tmp_path / "crawl.db"
    crawled(web, db, A, max_urls_per_host=40)
    assert rows(db, TALLY) == [(40, 40)]
    assert rows(db, LINKS)[0][0] < 8 + 160
    same = crawled(web, db, at=NIGHT + DAY_S, max_urls_per_host=40)
    assert same.log == []
    versions = len(same.pages())
    wider = crawled(web, db, at=NIGHT + 2 * DAY_S, max_urls_per_host=1000, max_age_s=max_age_s)
    assert rows(db, TALLY) == [(169, 0)]
    assert rows(db, LINKS) == [(8 + 160,)]
    assert wider.summary.unstored_links == 0
    assert len(wider.pages()) == versions + 169 - 40
    assert crawled(web, db, at=NIGHT + 3 * DAY_S, max_urls_per_host=1000).log == []


def test_a_run_that_was_stopped_while_it_read_them_again_is_gone_on_with(tmp_path: Path) -> None:
    web = a_wide_web(pages=8, links_each=20, validators=True)
    db = tmp_path / "crawl.db"
    crawled(web, db, A, max_urls_per_host=40)
    crawled(web, db, at=NIGHT + DAY_S, max_urls_per_host=1000, delay_s=1.0, during=stopped_after(3.5))
    assert rows(db, LINKS)[0][0] < 168
    rest = crawled(web, db, at=NIGHT + 2 * DAY_S, max_urls_per_host=1000)
    assert rows(db, TALLY) == [(169, 0)]
    assert rows(db, LINKS) == [(168,)]
    assert rest.summary.unstored_links == 0


def test_a_page_that_cannot_be_read_again_is_tried_in_the_next_run(tmp_path: Path) -> None:
    web = a_wide_web(pages=8, links_each=20)
    site, db = web.sites["a.test"], tmp_path / "crawl.db"
    crawled(web, db, A, max_urls_per_host=40)
    answer = site.routes["/7/"]
    site.status("/7/", 500)
    crawled(web, db, at=NIGHT + DAY_S, max_urls_per_host=1000, retries=0)
    assert rows(db, TALLY) == [(149, 0)]
    site.routes["/7/"] = answer
    crawled(web, db, at=NIGHT + 2 * DAY_S, max_urls_per_host=1000)
    assert rows(db, TALLY) == [(169, 0)]
    assert rows(db, LINKS) == [(168,)]


def test_the_links_of_a_sitemap_come_back_too(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/")
    site.robots("Sitemap: http://a.test/map.xml\n")
    site.sitemap("/map.xml", [f"/{number}" for number in range(50)], headers={"ETag": '"map"'})
    for number in range(50):
        site.page(f"/{number}")
    db = tmp_path / "crawl.db"
    crawled(web, db, A, max_urls_per_host=10)
    assert rows(db, TALLY) == [(10, 10)]
    crawled(web, db, at=NIGHT + DAY_S, max_urls_per_host=100)
    assert rows(db, TALLY) == [(52, 0)]


def test_a_link_that_is_not_stored_is_covered_by_the_content_hash(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=[f"/{number}" for number in range(9)])
    db = tmp_path / "crawl.db"
    crawled(web, db, A, max_urls_per_host=2)
    site.page("/", links=[f"/{number}" for number in (*range(8), 99)])
    again = crawled(web, db, at=NIGHT + DAY_S, max_urls_per_host=2, max_age_s=0.0)
    assert again.pages() == [A, A]
