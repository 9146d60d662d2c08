"""Limits are exact: pages of the run and of a host are counted when they are stored, whatever else was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Site
from crawler.frontier.allowance import PageAllowance
from tests.frontier.crawls import NIGHT, a_site, copied_after, crawled, rows


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


def _pages_of_hosts(db: Path) -> list[int]:
    sql = "SELECT count(*) FROM pages JOIN urls ON urls.id = url_id GROUP BY host_id ORDER BY host_id"
    return [row[0] for row in rows(db, sql)]
