"""A second night ends, and asks for each URL once, whatever has become of it since the first one.

All of it happens in one moment of virtual time, in which the run has begun, too: no clock tells what this run has
fetched from what the run before has.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from crawler.fakeweb import Answer, FakeWeb, Fault, Site
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, copied_after, crawled, rows

Change: TypeAlias = Callable[[Site], None]

FEED = '<rss version="2.0"><channel><item><link>http://a.test/1</link></item></channel></rss>'
HOME = "http://a.test/"


def answers(reply: Answer | Fault) -> Change:
    return lambda site: site.answer("/shaky", reply)


def close_port(site: Site) -> None:
    site.listening = False


def lose_name(site: Site) -> None:
    site.dns = "nxdomain"


def announce(site: Site) -> None:
    """In a sitemap whose dates are of tonight."""
    entries = "".join(f"<url><loc>{HOME}{path}</loc><lastmod>2023-11-15</lastmod></url>" for path in ("", "shaky"))
    body = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'
    site.answer("/sitemap.xml", Answer(body=body, content_type="application/xml"))


# What becomes of /shaky, or of all its site.
OUTCOMES: dict[str, Change] = {
    "unchanged": lambda _site: None,
    "changed": answers(Answer.page(title="another", links=["/1", "/new"])),
    "500": answers(Answer(status=500)),
    "503": answers(Answer(status=503)),
    "429, later": answers(Answer(status=429, headers={"Retry-After": "7200"})),
    "403": answers(Answer(status=403)),
    "gone": answers(Answer(status=404)),
    "moved": answers(Answer.redirect("/1")),
    "moved onto itself": answers(Answer.redirect("/shaky")),
    "hangs": answers(Fault.HANG),
    "disconnects": answers(Fault.DISCONNECT),
    "no HTTP": answers(Fault.GARBAGE),
    "unknown type": answers(Answer(body=b"\0\1", content_type="application/x-unknown")),
    "a feed": answers(Answer(body=FEED, content_type="application/rss+xml")),
    "announced": announce,
    "refused": lambda site: site.robots("User-agent: *\nDisallow: /shaky\n"),
    "rules unavailable": lambda site: site.status("/robots.txt", 503),
    "closed port": close_port,
    "no name": lose_name,
}


def first_night(db: Path) -> FakeWeb:
    """Also a page that fails from the beginning, and others than the one whose fate is looked at."""
    web = FakeWeb()
    site = web.host("a.test", keep_alive=False)  # on a kept connection, one more request is free
    site.robots("Sitemap: http://a.test/sitemap.xml\n")
    site.sitemap("/sitemap.xml", ["/", "/shaky"])
    site.page("/", links=["/shaky", "/1", "/down"])
    site.page("/shaky", title="shaky", links=["/1"])
    site.page("/1")
    site.status("/down", 500)
    crawled(web, db, HOME, retries=0)
    return web


def most_asked(done: Crawled) -> int:
    """How often the URL was asked for that was asked for most."""
    return max(Counter(done.targets("a.test")).values(), default=0)


@pytest.mark.parametrize(
    ("max_age_s", "retries"),
    [
        ("auto", 2),
        *(pytest.param(*one, marks=pytest.mark.thorough) for one in product([0.0, 3600.0], [0, 2])),
        pytest.param("auto", 0, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_night_ends_having_asked_for_each_url_once_and_again_where_it_fails(
    tmp_path: Path, outcome: str, max_age_s: float | str, retries: int
) -> None:
    db = tmp_path / "crawl.db"
    web = first_night(db)
    OUTCOMES[outcome](web.sites["a.test"])
    again: dict[str, Any] = {"max_age_s": max_age_s, "retries": retries}
    for night in (1, 2, 3):
        done = crawled(web, db, at=NIGHT + night * DAY_S, **again)
        assert most_asked(done) <= 1 + retries
        assert done.summary.end_reason in ("complete", "waiting")


@pytest.mark.parametrize("max_age_s", [0.0, 1.0])
def test_each_run_of_the_same_moment_fetches_all_once(tmp_path: Path, max_age_s: float) -> None:
    """By a clock that stands still, what the run before has fetched is no older than what this one has."""
    db = tmp_path / "crawl.db"
    web = first_night(db)
    web.sites["a.test"].status("/shaky", 500)
    asked = [Counter(crawled(web, db, max_age_s=max_age_s, retries=0).targets("a.test")) for _ in range(3)]
    fetched_again = ["/", "/1", "/shaky", "/sitemap.xml"]
    all_once = [Counter(fetched_again), *[Counter(set(fetched_again) - {"/shaky"})] * 2]  # which is tried tomorrow
    assert asked == (all_once if max_age_s == 0 else [Counter()] * 3)


def test_a_run_that_is_resumed_in_the_moment_of_its_start_fetches_nothing_twice(tmp_path: Path) -> None:
    db, remains = tmp_path / "crawl.db", tmp_path / "remains.db"
    web = first_night(db)
    web.sites["a.test"].page("/1", title="slow", delay_s=1.0)
    at = NIGHT + DAY_S
    crawled(web, db, at=at, max_age_s=0.0, retries=0, during=copied_after(0.5, db, remains))
    rest = crawled(web, remains, at=at, max_age_s=0.0, retries=0)
    assert rest.targets("a.test") == ["/1"]


def test_what_was_announced_in_the_moment_in_which_a_run_begins_is_looked_at(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    web = first_night(db)
    with closing(sqlite3.connect(db)) as connection, connection:  # as a sitemap does that is read a moment later
        connection.execute("UPDATE urls SET hinted = 1, revisit_at = fetched_at WHERE url = 'http://a.test/1'")
    assert crawled(web, db, max_age_s="auto").targets("a.test") == ["/1"]
    assert rows(db, "SELECT hinted, count(*) FROM urls GROUP BY hinted") == [(0, 6)]


def test_what_a_run_fetched_in_its_first_moment_is_announced_to_the_next_run(tmp_path: Path) -> None:
    """By a sitemap that it reads later, and that tells of a change in between."""
    db = tmp_path / "crawl.db"
    web = first_night(db)
    entry = f"<url><loc>{HOME}shaky</loc><lastmod>2023-11-17T22:13:22Z</lastmod></url>"  # 2 s after its start
    body = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entry}</urlset>'
    web.sites["a.test"].answer("/sitemap.xml", Answer(body=body, content_type="application/xml", delay_s=5.0))
    done = crawled(web, db, at=NIGHT + 3 * DAY_S, max_age_s="auto")
    assert len(done.times("a.test", "/shaky")) == 1
    assert rows(db, "SELECT url FROM urls WHERE hinted = 1") == [(f"{HOME}shaky",)]


@pytest.mark.thorough
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_outcome_outlives_the_time_that_a_run_has(tmp_path: Path, outcome: str) -> None:
    """A site without end, whose answers take a while, and where a run waits for whatever falls due later."""
    db = tmp_path / "crawl.db"
    web = first_night(db)
    site = web.sites["a.test"]

    def endless(number: int) -> Answer:
        site.answer(f"/more/{number + 1}", lambda _request: endless(number + 1))
        return Answer.page(title=f"{number}", text=f"{number}", links=[f"/more/{number + 1}"], delay_s=1.0)

    site.page("/", title="two", links=["/shaky", "/more/0"])
    site.answer("/more/0", lambda _request: endless(0))
    OUTCOMES[outcome](site)
    done = crawled(
        web, db, at=NIGHT + DAY_S, max_age_s=0.0, max_runtime_s=100.0, grace_s=5.0, max_wait_s=DAY_S, retries=2
    )
    assert done.summary.end_reason == "max_runtime"
    assert 100.0 <= done.took_s <= 105.0
