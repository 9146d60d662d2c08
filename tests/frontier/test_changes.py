"""What a night has changed: new, changed, unchanged, gone, newly failed, healed; each URL once, whatever it took."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Fault, Site
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, crawled, stopped_after

PAGES = 1200  # of an origin: more than are in memory at once


def changes(done: Crawled) -> dict[str, int]:
    return {kind: number for kind, number in done.summary.changes.items() if number}


def nights(web: FakeWeb, db: Path, number: int, *seeds: str, **options: Any) -> Crawled:
    again = {"max_age_s": 0.0} if number else {}
    options = {"delay_s": 1.0} | options  # what is fetched in the very instant of the start would be due once more
    return crawled(web, db, *seeds, at=NIGHT + number * 10 * DAY_S, **{**again, **options})


def a_site(web: FakeWeb) -> Site:
    site = web.host("a.test")
    site.page("/", links=["/same", "/edited", "/lost", "/flaky", "/dead", "/moved", "/hop"])
    for path in ("/same", "/edited", "/lost", "/flaky", "/moved"):
        site.page(path, title=path)
    site.redirect("/hop", "/same")
    site.status("/dead", 404)
    return site


def test_the_first_night_is_new_but_for_what_fails(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web)
    site.status("/flaky", 403)
    site.sequence("/edited", Answer(status=500), Answer(status=500), Answer.page(title="at last"))
    done = nights(web, tmp_path / "crawl.db", 0, "http://a.test/")
    assert done.summary.changes == {
        "new": 5, "changed": 0, "metadata": 0, "unchanged": 0, "gone": 0, "newly_failed": 1, "healed": 0,
    }  # fmt: skip


def test_each_later_night_is_told_against_the_one_before(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    site = a_site(web)
    nights(web, db, 0, "http://a.test/")
    assert changes(nights(web, db, 1)) == {"unchanged": 6}
    site.page("/edited", title="edited", text="new words", links=["/new"])
    site.page("/new", title="new")
    site.status("/lost", 410)
    site.status("/flaky", 403)
    site.redirect("/moved", "/same")
    assert changes(nights(web, db, 2)) == {
        "new": 1, "changed": 2, "unchanged": 2, "gone": 1, "newly_failed": 1,
    }  # fmt: skip
    assert changes(nights(web, db, 3)) == {"unchanged": 4}  # what is gone, fails or redirects still says nothing new
    site.page("/lost", title="/lost")
    site.page("/flaky", title="/flaky")
    assert changes(nights(web, db, 4)) == {"unchanged": 4, "healed": 2}


def test_a_change_of_metadata_alone_is_told_as_such(tmp_path: Path) -> None:
    """And one of nonces, resources and the like is none."""
    web, db = FakeWeb(), tmp_path / "crawl.db"
    site = web.host("a.test")
    site.page("/", links=["/price", "/nonce"])
    for night, (price, nonce) in enumerate([(5, "a"), (6, "b"), (6, "c")]):
        offer = f'<script type="application/ld+json">{{"offers": {{"price": {price}}}}}</script>'
        site.page("/price", title="Price", markup=offer)
        site.page(
            "/nonce", title="Nonce", markup=f"<meta name=csrf content={nonce}><script src=app.{nonce}.js></script>"
        )
        done = nights(web, db, night, "http://a.test/")
        assert changes(done) == [{"new": 3}, {"metadata": 1, "unchanged": 2}, {"unchanged": 3}][night]
    with closing(sqlite3.connect(db)) as connection:
        versions = connection.execute("SELECT url, change FROM changes WHERE url <> 'http://a.test/' ORDER BY url, at")
        told = [(url.rpartition("/")[2], change) for url, change in versions]
        assert told == [("nonce", "new"), ("price", "new"), ("price", "metadata")]
        newest = connection.execute("SELECT count(*), max(metas), max(resources) FROM pages WHERE title = 'Nonce'")
        assert newest.fetchall() == [(1, '{"csrf":"c"}', '[["script","http://a.test/app.c.js",null,null,null]]')]


def test_what_is_tried_several_times_in_a_run_counts_once(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    site = web.host("a.test")
    site.page("/", links=["/1", "/2"])
    site.page("/1", title="1")
    site.page("/2", title="2")
    nights(web, db, 0, "http://a.test/")
    site.sequence("/1", Answer(status=500), Fault.DISCONNECT, Answer.page(title="1"))
    site.status("/2", 500)
    assert changes(nights(web, db, 1)) == {"unchanged": 2, "newly_failed": 1}
    site.page("/2", title="2")
    assert changes(nights(web, db, 2)) == {"unchanged": 2, "healed": 1}


def test_a_run_that_is_stopped_has_counted_what_it_has_stored(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    site = web.host("a.test")
    site.page("/", links=[f"/{number}" for number in range(1, 10)])
    for number in range(1, 10):
        site.page(f"/{number}")
    first = crawled(web, db, "http://a.test/", delay_s=10.0, during=stopped_after(45.0))
    rest = crawled(web, db, at=NIGHT + 3600.0, delay_s=10.0)
    assert changes(first)["new"] == first.summary.pages > 0
    assert changes(first)["new"] + changes(rest)["new"] == 10


@pytest.mark.parametrize("how", ["all", "by name"])
def test_what_is_retried_and_answers_has_healed(tmp_path: Path, how: str) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    site = web.host("a.test")
    site.page("/", links=["/never", "/once", "/again", "/forbidden"])
    site.page("/once", title="once")
    failing = {"/never": 403, "/again": 403, "/forbidden": 403}
    for path, status in failing.items():
        site.status(path, status)
    first = nights(web, db, 0, "http://a.test/")
    assert changes(first) == {"new": 2, "newly_failed": 3}
    site.status("/once", 403)
    assert changes(nights(web, db, 1)) == {"unchanged": 1, "newly_failed": 1}
    site.sequence("/never", Answer(status=500), Fault.DISCONNECT, Answer.page(title="never"))
    site.page("/once", title="once")
    site.redirect("/again", "/once")
    seeds = () if how == "all" else tuple(f"http://a.test{path}" for path in (*failing, "/once"))
    healed = nights(web, db, 2, *seeds, max_age_s=None, retry_failed=how == "all")
    assert changes(healed) == {"healed": 3}, "and what fails again fails no more than before"


@pytest.mark.thorough
def test_what_fails_with_its_origin_has_newly_failed_once_whoever_told(tmp_path: Path) -> None:
    """Most of its URLs are only in the store: no visit of theirs tells that they fail."""
    web, db = FakeWeb(), tmp_path / "crawl.db"
    site = web.host("a.test")
    site.origin(8081, listening=False)
    site.page("/", links=[*(f"http://a.test:8081/{number}" for number in range(PAGES)), "/1"])
    site.page("/1")
    done = nights(web, db, 0, "http://a.test/", delay_s=0.0)
    assert done.summary.urls["failed"] == PAGES
    assert changes(done) == {"new": 2, "newly_failed": PAGES}
    again = nights(web, db, 1, delay_s=0.1, retry_failed=True)
    assert again.summary.urls["failed"] == PAGES
    assert changes(again) == {"unchanged": 2}
    site.ports[8081].listening = True
    for number in range(PAGES):
        site.ports[8081].page(f"/{number}")
    healed = nights(web, db, 2, delay_s=0.01, retry_failed=True, trap_rules=False)
    assert (healed.summary.urls["fetched"], healed.summary.end_reason) == (PAGES + 2, "complete"), healed.summary
    assert changes(healed) == {"unchanged": 2, "healed": PAGES}
