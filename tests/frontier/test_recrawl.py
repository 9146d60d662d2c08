"""Nights: what is fetched again and when, and what a run that was killed or stopped leaves to the next one."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Fault
from tests.frontier.crawls import DAY_S, NIGHT, a_site, copied_after, crawled, rows, stopped_after


def test_only_what_is_older_than_the_age_is_fetched_again(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 5)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", delay_s=600.0)  # robots.txt, and a page each ten minutes
    assert crawled(web, db, at=NIGHT + DAY_S, max_age_s=DAY_S).targets("a.test") == []
    half = crawled(web, db, at=NIGHT + DAY_S + 1500.0, max_age_s=DAY_S)
    assert half.targets("a.test") == ["/robots.txt", "/", "/1"]
    rest = crawled(web, db, at=NIGHT + DAY_S + 1600.0, max_age_s=3600.0)
    assert sorted(rest.targets("a.test")) == ["/2", "/3", "/4"]


def test_nothing_is_fetched_twice_in_a_run_however_long_it_takes(tmp_path: Path) -> None:
    """With an age of 0 s all that was stored is stale at once, also what this run has just stored."""
    web = FakeWeb()
    a_site(web, "a.test", 30)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    again = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0, delay_s=300.0)
    assert again.took_s > 2 * 3600
    assert set(Counter(again.targets("a.test")).values()) == {1}
    assert len(again.targets("a.test")) == 31


def test_a_page_is_asked_for_on_condition_and_a_304_stores_nothing(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/1"], headers={"ETag": '"one"'})
    site.page("/1", headers={"Last-Modified": "Mon, 13 Nov 2023 00:00:00 GMT"})
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    again = crawled(web, db, at=NIGHT + 3600.0, max_age_s=0.0)
    assert [hit.status for hit in again.log] == [304, 304]
    assert again.log[0].headers["if-none-match"] == '"one"'
    assert again.log[1].headers["if-modified-since"] == "Mon, 13 Nov 2023 00:00:00 GMT"
    assert (again.summary.pages, len(again.pages())) == (0, 2)


def test_a_document_that_is_no_page_is_asked_for_on_condition_too(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/image", "/binary"], headers={"ETag": '"home"'})
    site.page("/image", body=b"\x89PNG", content_type="image/png", headers={"ETag": '"image"'})
    site.page("/binary", body=b"\0\1\2", content_type="text/plain", headers={"ETag": '"binary"'})
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    for night in (1, 2):
        again = crawled(web, db, at=NIGHT + night * DAY_S, max_age_s=0.0)
        asked = {hit.target: hit.status for hit in again.log}
        assert {path: asked[path] for path in ("/", "/binary", "/image")} == {"/": 304, "/binary": 304, "/image": 304}
    site.page("/image", body=b"\x89PNG!", content_type="image/png", headers={"ETag": '"new"'})
    changed = crawled(web, db, at=NIGHT + 3 * DAY_S, max_age_s=0.0)
    assert ("/image", 200) in [(hit.target, hit.status) for hit in changed.log]
    site.page("/image", title="A page by now", headers={"ETag": '"page"'})
    crawled(web, db, at=NIGHT + 4 * DAY_S, max_age_s=0.0)
    assert rows(db, "SELECT url, unread_type FROM urls WHERE unread_type IS NOT NULL") == [
        ("http://a.test/binary", "text/plain")
    ]


def test_auto_looks_at_what_changes_and_less_and_less_at_what_does_not(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 21)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    asked: list[Counter[str]] = []
    for night in range(1, 15):
        for number in range(1, 6):  # five of twenty change each night
            site.page(f"/{number}", title=f"{number} in night {night}")
        asked.append(Counter(crawled(web, db, at=NIGHT + night * DAY_S, max_age_s="auto").targets("a.test")))
    last = sum(asked[-7:], Counter[str]())
    changing = [last[f"/{number}"] for number in range(1, 6)]
    steady = [last[f"/{number}"] for number in range(6, 21)]
    assert min(changing) >= 6
    assert max(steady) <= 3
    assert last["/"] == 7  # a seed: new pages are found there


def test_a_page_that_was_answered_before_and_fails_now_is_tried_in_a_later_night(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 3)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.status("/1", 500)
    failed = crawled(web, db, at=NIGHT + DAY_S, max_age_s=3600.0, retries=1)
    assert failed.urls()["http://a.test/1"] == ("fetched", None)
    assert len(failed.times("a.test", "/1")) == 2
    site.page("/1", title="healed")
    healed = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=3600.0)
    assert healed.status_of("http://a.test/1") == "fetched"


def test_an_origin_that_cannot_be_reached_keeps_what_it_has_given(tmp_path: Path) -> None:
    """One connection a robots.txt, not one a page; what was answered before stays to be tried."""
    web = FakeWeb()
    site = a_site(web, "a.test", 20)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.listening = False
    down = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=DAY_S, retries=1, max_wait_s=60.0)
    assert down.log == []
    assert down.summary.by_failure == {"connect": 2}
    assert rows(db, "SELECT count(*) FROM urls WHERE next_fetch_at IS NULL AND kind = 'page'")[0][0] == 0
    site.listening = True
    up = crawled(web, db, at=NIGHT + 4 * DAY_S, max_age_s=DAY_S)
    assert up.summary.urls["fetched"] == 20


# --- killed, stopped, resumed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.0, 0.5, 3.3, 10.2, 19.9])
def test_a_run_that_was_killed_goes_on_and_fetches_only_what_was_not_committed(tmp_path: Path, after_s: float) -> None:
    """Whenever it happens; the pages are stored once each, and all of them."""
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        site = a_site(web, name, 20)
        site.page("/3", links=["/deeper"])
        site.redirect("/deeper", "/deepest")
        site.page("/deepest")
    db, remains = tmp_path / "crawl.db", tmp_path / "remains.db"
    seeds = ("http://a.test/", "http://b.test/")
    whole = crawled(web, db, *seeds, delay_s=1.0, during=copied_after(after_s, db, remains))
    before = crawled_so_far(remains)
    rest = crawled(web, remains, *seeds, at=NIGHT + 60.0, delay_s=1.0)
    assert rest.urls() == whole.urls()
    assert sorted(rest.pages()) == sorted(set(whole.pages()))
    assert not before & {f"http://{hit.host}{hit.target}" for hit in rest.log}
    assert rest.summary.run_id == 1


def test_a_recrawl_that_was_killed_looks_at_each_page_once_in_both_parts(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 30)
    db, remains = tmp_path / "crawl.db", tmp_path / "remains.db"
    crawled(web, db, "http://a.test/")
    at = NIGHT + 2 * DAY_S
    again: dict[str, Any] = {"max_age_s": 0.0, "delay_s": 1.0}
    crawled(web, db, at=at, during=copied_after(12.2, db, remains), **again)
    seen = set(_fetched_since(remains, at))
    assert 10 <= len(seen) <= 13
    rest = crawled(web, remains, at=at + 60.0, **again)
    assert not seen & {f"http://a.test{target}" for target in rest.targets("a.test")}
    assert len(_fetched_since(remains, at)) == 30


def test_a_run_that_is_stopped_finishes_what_is_under_way_and_leaves_the_rest_pending(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 10, delay_s=2.0)
    hanging = a_site(web, "b.test", 2)
    hanging.answer("/", Fault.HANG)
    db = tmp_path / "crawl.db"
    seeds = ("http://a.test/", "http://b.test/")
    done = crawled(web, db, *seeds, during=stopped_after(5.0), grace_s=4.0, per_host=1)
    assert done.took_s == 9.0  # the grace, for the one that hangs
    assert done.targets("a.test") == ["/robots.txt", "/", "/1", "/2"]
    assert done.summary.end_reason == "interrupted"
    assert done.summary.urls["fetched"] == 3
    assert done.status_of("http://b.test/") == "pending"
    hanging.page("/", links=["/1"])
    rest = crawled(web, db, at=NIGHT + 60.0)
    assert rest.summary.urls["fetched"] == 12
    assert len(rest.targets("a.test")) == 7


def test_a_run_ends_when_its_time_is_over(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 100)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=10.0, max_runtime_s=95.0)
    assert (done.summary.end_reason, done.took_s) == ("max_runtime", 95.0)
    assert len(done.log) == 10


@pytest.mark.parametrize(("waits_s", "tries"), [(1.0, 1), (3.0, 2), (7.0, 3)])
def test_a_run_waits_for_what_falls_due_as_long_as_it_is_told(tmp_path: Path, waits_s: float, tries: int) -> None:
    """2 s before the first retry, 4 s before the second, each up to a quarter longer."""
    web = FakeWeb()
    web.host("a.test").status("/", 500)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_wait_s=waits_s)
    assert len(done.times("a.test", "/")) == tries
    assert done.urls()["http://a.test/"] == ("failed" if tries == 3 else "pending", "http 500")


def test_a_clock_that_was_set_back_makes_nothing_wait(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").sequence("/", Answer(status=500), Answer.page(title="healed"))
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", at=NIGHT + 30 * DAY_S, max_wait_s=1.0)
    healed = crawled(web, db, at=NIGHT)
    assert healed.status_of("http://a.test/") == "fetched"
    assert healed.took_s < 60.0


def crawled_so_far(db: Path) -> set[str]:
    return {row[0] for row in rows(db, "SELECT url FROM urls WHERE fetched_at IS NOT NULL")}


def _fetched_since(db: Path, at: float) -> list[str]:
    return [row[0] for row in rows(db, "SELECT url FROM urls WHERE fetched_at >= ? AND kind = 'page'", at)]


@pytest.mark.parametrize("old_version", [False, True])
@pytest.mark.parametrize("max_age_s", [0.0, 3600.0])
def test_what_was_fetched_by_a_clock_that_was_ahead_is_fetched_again(
    tmp_path: Path, max_age_s: float, old_version: bool
) -> None:
    """Until the clock has caught up with it, it would be younger than any age."""
    web = FakeWeb()
    a_site(web, "a.test", 5)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", at=NIGHT + 30 * DAY_S)
    if old_version:  # it has followed the clock by itself, but for the URLs
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute("UPDATE runs SET started_at = ?1, ended_at = ?1", (NIGHT,))
            connection.execute("UPDATE fetches SET started_at = ?", (NIGHT,))
    assert crawled(web, db, at=NIGHT + 60.0, max_age_s=DAY_S).targets("a.test") == []
    again = crawled(web, db, at=NIGHT + 2 * 3600.0, max_age_s=max_age_s)
    assert sorted(again.targets("a.test")) == ["/", "/1", "/2", "/3", "/4"]
    assert rows(db, "SELECT count(*) FROM urls WHERE kind = 'page' AND fetched_at > ?", NIGHT + 3 * 3600.0) == [(0,)]


def test_auto_goes_by_the_clock_that_was_set_right(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 5)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", at=NIGHT + 300 * DAY_S)
    assert crawled(web, db, at=NIGHT, max_age_s="auto").targets("a.test") == []
    assert "/" in crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s="auto").targets("a.test")
