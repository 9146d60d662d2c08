"""A sitemap that no robots.txt names is asked for once, and where it is not there, nothing is wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.config import DEFAULT_USER_AGENT, ScopeRule
from crawler.fakeweb import Answer, FakeWeb, Fault, Site
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, copied_after, crawled, rows

MAP = "http://a.test/sitemap.xml"
NOT_THERE = ("excluded", "no sitemap")


def a_web(**robots: Any) -> tuple[FakeWeb, Site]:
    """A home that links to '/1'; '/2' is linked to by nothing."""
    web = FakeWeb()
    site = web.host("a.test")
    if robots:
        site.robots(**robots)
    site.page("/", title="home", links=["/1"])
    site.page("/1", title="one")
    site.page("/2", title="two")
    return web, site


def guessing(web: FakeWeb, db: Path, *seeds: str, **options: Any) -> Crawled:
    return crawled(web, db, *(seeds or ("http://a.test/",)), **({"guess_sitemap": True} | options))


def again(web: FakeWeb, db: Path, nights: float, **options: Any) -> Crawled:
    return crawled(web, db, at=NIGHT + nights * DAY_S, **({"guess_sitemap": True} | options))


def has(done: Crawled, view: str) -> bool:
    with closing(sqlite3.connect(done.db)) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({view})")]
        column = next(name for name in ("url", "target_url") if name in names)
        return connection.execute(f"SELECT 1 FROM {view} WHERE {column} = ?", (MAP,)).fetchone() is not None


@pytest.mark.parametrize(
    "robots",
    [{}, {"text": "User-agent: *\nDisallow: /x\n"}, {"text": "", "status": 403}, {"text": "Sitemap: mailto:a@a.test"}],
)
def test_a_sitemap_is_found_where_robots_txt_names_none(tmp_path: Path, robots: dict[str, Any]) -> None:
    """Whatever robots.txt is, as long as it may be obeyed."""
    web, site = a_web(**robots)
    site.sitemap("/sitemap.xml", ["/2"])
    done = guessing(web, tmp_path / "crawl.db")
    assert done.targets("a.test") == ["/robots.txt", "/", "/sitemap.xml", "/1", "/2"]
    assert done.urls()[MAP] == ("fetched", None)
    assert done.status_of("http://a.test/2") == "fetched"


def test_none_is_guessed_where_robots_txt_names_one(tmp_path: Path) -> None:
    """Also by its path alone, which is resolved against robots.txt."""
    web, site = a_web(text="Sitemap: /maps/main.xml\n")
    site.sitemap("/maps/main.xml", ["/2"])
    site.sitemap("/sitemap.xml", ["/3"])
    done = guessing(web, tmp_path / "crawl.db")
    assert sorted(done.targets("a.test")) == ["/", "/1", "/2", "/maps/main.xml", "/robots.txt"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(status=410),
        Answer(status=403),
        Answer(status=500),
        Answer(body="<!doctype html><title>Not found</title>", content_type="text/html"),
        Answer(body="", content_type="application/xml"),
        Fault.GARBAGE,
    ],
)
def test_one_that_is_not_there_is_neither_gone_nor_failed(tmp_path: Path, answer: Any) -> None:
    """Nor broken, in any count or view; and it is not asked for again, not even by a run that fetches all again."""
    web, site = a_web()
    site.answer("/sitemap.xml", answer)
    db = tmp_path / "crawl.db"
    done = guessing(web, db, retries=0)
    assert done.urls()[MAP] == NOT_THERE
    assert done.summary.complete
    assert done.summary.excluded == {"no sitemap": 1}
    assert (done.summary.urls["gone"], done.summary.urls["failed"], done.summary.pending) == (0, 0, 0)
    assert done.summary.urls["fetched"] == done.summary.pages == 2
    assert done.summary.changes == {"new": 2} | dict.fromkeys(done.summary.changes, 0) | {"new": 2}
    assert [view for view in ("gone_urls", "failed_urls", "failing_urls", "broken_links") if has(done, view)] == []
    later: list[dict[str, Any]] = [{"max_age_s": 0.0}, {"max_age_s": "auto"}, {"retry_failed": True}]
    for night, options in enumerate(later, 2):
        assert again(web, db, night, **options).hits("a.test", "/sitemap.xml") == []
    assert done.urls()[MAP] == NOT_THERE


def test_a_guess_that_was_right_is_a_sitemap_like_others_and_no_longer_there_it_is_not_gone(tmp_path: Path) -> None:
    web, site = a_web()
    site.sitemap("/sitemap.xml", ["/2"], headers={"ETag": '"1"'})
    db = tmp_path / "crawl.db"
    guessing(web, db)
    site.page("/3")
    site.sitemap("/sitemap.xml", ["/2", "/3"])
    assert again(web, db, 1, max_age_s=0.0).status_of("http://a.test/3") == "fetched"
    site.status("/sitemap.xml", 404)
    assert again(web, db, 2, max_age_s=0.0).urls()[MAP] == NOT_THERE


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(status=403), Fault.DISCONNECT, Fault.GARBAGE])
def test_a_guess_that_was_right_outlives_a_bad_night(tmp_path: Path, answer: Any) -> None:
    """It keeps its status, as what answered before does, and a later night asks for it again."""
    web, site = a_web()
    site.sitemap("/sitemap.xml", ["/2"])
    db = tmp_path / "crawl.db"
    guessing(web, db)
    site.answer("/sitemap.xml", answer)
    bad = again(web, db, 1, max_age_s=0.0, delay_s=1.0)
    assert bad.urls()[MAP] == ("fetched", None)
    assert has(bad, "failing_urls")
    site.sitemap("/sitemap.xml", ["/2", "/3"])
    site.page("/3")
    done = again(web, db, 3, max_age_s=0.0, delay_s=1.0)
    assert done.status_of("http://a.test/3") == "fetched"
    assert not has(done, "failing_urls")


def test_a_guess_that_is_not_modified_stays_a_sitemap(tmp_path: Path) -> None:
    web, site = a_web()
    site.sitemap("/sitemap.xml", ["/2"], headers={"ETag": '"1"'})
    db = tmp_path / "crawl.db"
    guessing(web, db)
    site.answer("/sitemap.xml", Answer(status=304, headers={"ETag": '"1"'}))
    done = again(web, db, 1, max_age_s=0.0)
    assert len(done.hits("a.test", "/sitemap.xml")) == 1
    assert done.urls()[MAP] == ("fetched", None)


@pytest.mark.parametrize("robots", [None, "Sitemap: http://a.test/sitemap.xml\n"])
def test_what_somebody_names_is_no_guess_and_is_gone_where_it_is_not_there(tmp_path: Path, robots: str | None) -> None:
    """A page that links to it, or a robots.txt that has changed."""
    web, site = a_web()
    db = tmp_path / "crawl.db"
    assert guessing(web, db).urls()[MAP] == NOT_THERE
    assert rows(db, "SELECT found_by FROM urls WHERE url = ?", MAP) == [("guess",)]
    if robots is None:
        site.page("/1", links=["/sitemap.xml"])
        site.page("/2", links=["/sitemap.xml"])
        site.page("/", links=["/1", "/2"])
    else:
        site.robots(robots)
    done = again(web, db, 2, max_age_s=0.0, delay_s=1.0)
    assert len(done.hits("a.test", "/sitemap.xml")) == 1
    assert done.urls()[MAP] == ("gone", None)
    assert has(done, "broken_links") is (robots is None)
    found_by = "SELECT u.found_by, f.url FROM urls u LEFT JOIN urls f ON f.id = u.found_on WHERE u.url = ?"
    named = ("link", "http://a.test/1") if robots is None else ("robots", "http://a.test/robots.txt")
    assert rows(db, found_by, MAP) == [named]


def test_a_link_that_comes_while_the_guess_waits_counts(tmp_path: Path) -> None:
    web, site = a_web()
    site.page("/", links=["/sitemap.xml", "/1"])
    done = guessing(web, tmp_path / "crawl.db", delay_s=1.0)
    assert done.targets("a.test") == ["/robots.txt", "/", "/sitemap.xml", "/1", "/sitemap.xml"]
    assert done.urls()[MAP] == ("gone", None)
    assert has(done, "broken_links")


def test_what_is_known_is_not_changed_by_a_guess(tmp_path: Path) -> None:
    web, site = a_web()
    site.page("/", links=[("/sitemap.xml", "map")])
    site.page("/sitemap.xml", title="a page", links=["/deep"])
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", max_depth=1)
    before = rows(db, "SELECT kind, status, depth, seed FROM urls WHERE url = ?", MAP)
    again(web, db, 2, max_depth=1, max_age_s=0.0)
    assert (
        rows(db, "SELECT kind, status, depth, seed FROM urls WHERE url = ?", MAP)
        == before
        == [("page", "fetched", 1, 0)]
    )


@pytest.mark.parametrize(
    "options",
    [
        {"max_depth": 0},
        {"scope": ScopeRule.PREFIX},
        {"ignore_robots": True},
        {"guess_sitemap": False},
        {"exclude": ("sitemap",)},
    ],
)
def test_nothing_is_guessed_where_it_is_not_wanted(tmp_path: Path, options: dict[str, Any]) -> None:
    web, site = a_web()
    site.sitemap("/sitemap.xml", ["/2"])
    done = guessing(web, tmp_path / "crawl.db", **options)
    assert done.hits("a.test", "/sitemap.xml") == []
    assert MAP not in done.urls()


def test_what_was_not_wanted_is_asked_for_by_a_later_run_that_reads_robots_txt_again(tmp_path: Path) -> None:
    web, site = a_web()
    site.sitemap("/sitemap.xml", ["/2"])
    db = tmp_path / "crawl.db"
    assert MAP not in guessing(web, db, guess_sitemap=False).urls()
    assert MAP not in again(web, db, 0.9, max_age_s=0.0).urls(), "the copy of robots.txt holds for a day"
    assert again(web, db, 1.1, max_age_s=0.0).status_of("http://a.test/2") == "fetched"


@pytest.mark.parametrize("agent", ["*", "onefile-crawler"])
def test_what_robots_txt_forbids_is_not_guessed(tmp_path: Path, agent: str) -> None:
    web, site = a_web(text=f"User-agent: {agent}\nDisallow: /sitemap\n")
    site.sitemap("/sitemap.xml", ["/2"])
    done = guessing(web, tmp_path / "crawl.db", user_agent=DEFAULT_USER_AGENT)
    assert done.targets("a.test") == ["/robots.txt", "/", "/1"]
    assert MAP not in done.urls()
    assert done.summary.excluded == {}


def test_each_origin_is_asked_at_its_hosts_pace_and_no_page_is_counted(tmp_path: Path) -> None:
    """And a run that ends at its number of pages leaves the guess for the next."""
    web, site = a_web()
    site.sitemap("/sitemap.xml", ["/2"])
    web.host("b.test").page("/")
    db = tmp_path / "crawl.db"
    done = guessing(web, db, "http://a.test/", "http://b.test/", delay_s=2.0, max_pages=4)
    assert done.times("a.test") == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert done.targets("b.test") == ["/robots.txt", "/", "/sitemap.xml"]
    assert done.summary.run_pages == 4
    assert done.urls()["http://b.test/sitemap.xml"] == NOT_THERE


def test_where_the_guess_redirects_to_is_one_too(tmp_path: Path) -> None:
    web, site = a_web()
    site.redirect("/sitemap.xml", "/wp-sitemap.xml")
    site.sitemap("/wp-sitemap.xml", ["/2"])
    web.host("b.test").page("/")
    web.sites["b.test"].redirect("/sitemap.xml", "/404")
    web.host("c.test").page("/", title="c")
    web.sites["c.test"].redirect("/sitemap.xml", "/")
    done = guessing(web, tmp_path / "crawl.db", "http://a.test/", "http://b.test/", "http://c.test/")
    assert done.status_of("http://a.test/2") == "fetched"
    assert done.urls()["http://b.test/404"] == NOT_THERE
    assert len(done.hits("c.test", "/")) == 1
    assert done.urls()["http://c.test/"] == ("fetched", None)


def test_a_run_that_was_killed_still_makes_its_guess(tmp_path: Path) -> None:
    web, site = a_web()
    site.page("/", title="home", links=["/1"], delay_s=5.0)
    site.sitemap("/sitemap.xml", ["/2"])
    remains = tmp_path / "remains.db"
    guessing(web, tmp_path / "crawl.db", delay_s=10.0, during=copied_after(16.0, tmp_path / "crawl.db", remains))
    assert rows(remains, "SELECT status FROM urls WHERE url = ?", MAP) == [("pending",)]
    done = again(web, remains, 0.001)
    assert len(done.hits("a.test", "/sitemap.xml")) == 1
    assert done.status_of("http://a.test/2") == "fetched"


def test_other_options_do_not_bring_a_wrong_guess_back(tmp_path: Path) -> None:
    web, _site = a_web()
    db = tmp_path / "crawl.db"
    guessing(web, db, max_depth=1)
    done = again(web, db, 0.01, max_depth=5, exclude=("nothing",))
    assert done.hits("a.test", "/sitemap.xml") == []
    assert done.urls()[MAP] == NOT_THERE
