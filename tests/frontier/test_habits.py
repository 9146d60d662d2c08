"""What one page tells of the others, in whole runs: places whose pages change alike, and a redesign of all pages."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from crawler.fakeweb import FakeWeb
from crawler.policy.likeness import CANDIDATES
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, copied_after, crawled, rows

PAGES = 60
DUE = 20


def a_web(*, news: int = 0, docs: int = 0, changed: int = PAGES, pages: int = PAGES) -> FakeWeb:
    """Two folders; the first `changed` pages say what their folder's version says, each something else."""
    web = FakeWeb()
    site = web.host("a.test")
    paths = [f"/{'news' if number % 2 else 'docs'}/{number}" for number in range(pages)]
    site.page("/", links=paths)
    for number, path in enumerate(paths):
        version = (news if number % 2 else docs) if number < changed else 0
        site.page(path, title=path, text=f"version {version} of page {number}", links=[])
    return web


def redesigned(changed: int = PAGES) -> FakeWeb:
    return a_web(news=1, docs=1, changed=changed)


def a_crawl(tmp_path: Path) -> Path:
    """A crawl in which a third of the pages is due in the next night, and all are known to change rarely."""
    db = tmp_path / "crawl.db"
    crawled(a_web(), db, "http://a.test/")
    change(db, "changes = 0.13, watched_s = ?", "changes IS NOT NULL", 40 * DAY_S)
    change(db, "revisit_at = ?", "seed = 0", NIGHT + 30 * DAY_S)
    change(
        db, "revisit_at = ?", f"id IN (SELECT id FROM urls WHERE url LIKE '%.test/%/%' LIMIT {DUE})", NIGHT + DAY_S / 2
    )
    return db


def change(db: Path, to: str, where: str, value: float) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(f"UPDATE urls SET {to} WHERE {where} AND kind = 'page'", (value,))


def looked_at(done: Crawled) -> list[str]:
    return [target for target in done.targets("a.test") if target.count("/") == 2]


def alarms(done: Crawled) -> list[str]:
    return [text for text in done.notices if "changed at once" in text]


def test_a_redesign_makes_all_of_its_host_due_in_the_very_run(tmp_path: Path) -> None:
    db = a_crawl(tmp_path)
    rates = "SELECT url, changes, watched_s FROM urls WHERE seed = 0 AND kind = 'page' ORDER BY id"
    before = rows(db, rates)
    done = crawled(redesigned(), db, at=NIGHT + DAY_S, max_age_s="auto", delay_s=1.0)
    assert len(looked_at(done)) == len(set(looked_at(done))) == PAGES
    assert alarms(done) == ["a.test: nearly every page has changed at once; all of its pages are due now"]
    as_they_were = [was for was, now in zip(before, rows(db, rates), strict=True) if was == now]
    assert len(as_they_were) >= PAGES - 16  # only those before the alarm count as a habit
    assert rows(db, "SELECT count(*) FROM places") == [(0,)]
    assert rows(db, "SELECT redesigned_at > ? FROM hosts", NIGHT + DAY_S) == [(1,)]
    again = crawled(redesigned(), db, at=NIGHT + 2 * DAY_S, max_age_s="auto", delay_s=1.0)
    assert len(looked_at(again)) <= 16


@pytest.mark.parametrize("changed", [0, 10])
def test_what_is_no_redesign_leaves_the_others_alone(tmp_path: Path, changed: int) -> None:
    db = a_crawl(tmp_path)
    done = crawled(redesigned(changed), db, at=NIGHT + DAY_S, max_age_s="auto", delay_s=1.0)
    assert len(looked_at(done)) == DUE
    assert alarms(done) == []
    assert rows(db, "SELECT redesigned_at FROM hosts") == [(None,)]


def test_a_run_with_an_age_of_its_own_looks_at_nothing_else(tmp_path: Path) -> None:
    db = a_crawl(tmp_path)
    change(db, "fetched_at = ?", f"revisit_at < {NIGHT + DAY_S}", NIGHT - 20 * DAY_S)
    done = crawled(redesigned(), db, at=NIGHT + DAY_S, max_age_s=10 * DAY_S, delay_s=1.0)
    assert len(looked_at(done)) == DUE


def test_a_run_that_was_killed_after_the_alarm_goes_on_with_all_of_the_host(tmp_path: Path) -> None:
    db, remains = a_crawl(tmp_path), tmp_path / "remains.db"
    options: dict[str, Any] = {"max_age_s": "auto", "delay_s": 1.0}
    during = copied_after(30.3, db, remains)
    killed = crawled(redesigned(), db, at=NIGHT + DAY_S, during=during, **options)
    before = {hit.target for hit in killed.log if hit.start < 30.3 and hit.target.count("/") == 2}
    assert DUE < len(before) < PAGES
    done = crawled(redesigned(), remains, at=NIGHT + DAY_S + 60, **options)
    assert len(before | set(looked_at(done))) == PAGES


def test_a_redesign_on_a_budget_is_caught_up_with_in_later_runs(tmp_path: Path) -> None:
    db = a_crawl(tmp_path)
    seen: set[str] = set()
    for night in range(1, 4):
        at = NIGHT + night * DAY_S
        seen |= set(looked_at(crawled(redesigned(), db, at=at, max_age_s="auto", delay_s=1.0, max_requests=30)))
    assert len(seen) == PAGES


def test_what_runs_have_learnt_of_places_is_stored_with_their_visits(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    crawled(a_web(), db, "http://a.test/")
    assert rows(db, "SELECT count(*) FROM places") == [(0,)]  # a first look tells nothing of change
    crawled(redesigned(10), db, at=NIGHT + DAY_S, max_age_s=0.0)
    assert rows(db, "SELECT place, run_id, looks FROM places ORDER BY place") == [
        ("/", 2, 1.0),
        ("/docs/", 2, PAGES / 2),
        ("/news/", 2, PAGES / 2),
    ]
    crawled(redesigned(10), db, at=NIGHT + 2 * DAY_S, max_age_s=0.0)
    assert rows(db, "SELECT looks FROM places WHERE place = '/news/'") == [(pytest.approx(PAGES / 2 * 1.95),)]


def test_a_place_whose_pages_change_alike_tells_when_a_new_page_is_due(tmp_path: Path) -> None:
    """A page that is met for the first time is believed to be like the others of its place."""
    db = tmp_path / "crawl.db"
    crawled(a_web(), db, "http://a.test/", at=NIGHT)
    rarely = max(CANDIDATES, key=lambda one: one.changes > 1 and one.watched_s)
    scores = pack(f"<{len(CANDIDATES)}d", *(20.0 * (one is rarely) for one in CANDIDATES))
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("INSERT INTO places VALUES (1, '/docs/', 1, 100, ?)", (scores,))
    crawled(a_web(pages=PAGES + 2), db, at=NIGHT + DAY_S, max_age_s=0.0)
    planned = dict(rows(db, "SELECT url, (revisit_at - fetched_at) / 86400 FROM urls WHERE url LIKE '%/6_'"))
    assert planned["http://a.test/news/61"] < 2
    assert planned["http://a.test/docs/60"] > 4
