"""The log of changes over whole runs in virtual time: each change once and in order, nothing because of an outage."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from crawler.archive.changes import BEGINNING, FeedEntry, newest_cursor, read_changes
from crawler.archive.reading import open_archive
from crawler.errors import UsageError
from crawler.fakeweb import FakeWeb, Fault, Site
from crawler.storage.location import database_at
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, crawled, rows

ORIGIN = "http://a.test"


def feed(db: Path, since: str = BEGINNING, limit: int | None = None) -> list[FeedEntry]:
    async def read() -> list[FeedEntry]:
        async with open_archive(db) as connection:
            return [entry async for entry in read_changes(db, connection, since, limit)]

    return asyncio.run(read())


def now(db: Path) -> str:
    async def read() -> str:
        async with open_archive(db) as connection:
            return await newest_cursor(db, connection)

    return asyncio.run(read())


def told(entries: list[FeedEntry]) -> list[tuple[str, str]]:
    return [(entry.change, entry.url.removeprefix(ORIGIN)) for entry in entries]


class Nights:
    """A site that is crawled night after night, and what each night has told."""

    def __init__(self, db: Path, host: str = "a.test") -> None:
        self.web, self.db, self.origin = FakeWeb(), db, f"http://{host}"
        self.site: Site = self.web.host(host)
        self.number = 0
        self.cursor = BEGINNING

    def night(self, *seeds: str, **options: Any) -> set[tuple[str, str]]:
        """One more run, ten days after the one before; what it told."""
        self.run(*seeds, **options)
        entries = feed(self.db, self.cursor)
        if entries:
            self.cursor = entries[-1].cursor
        found = told(entries)
        assert len(found) == len(set(found)), "something is told twice"
        return set(found)

    def run(self, *seeds: str, **options: Any) -> Crawled:
        again = {"max_age_s": 0.0} if self.number else {}
        given = seeds if seeds or self.number else (f"{self.origin}/",)
        at = NIGHT + self.number * 10 * DAY_S
        self.number += 1
        return crawled(self.web, self.db, *given, at=at, **{"delay_s": 1.0, **again, **options})


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    found = Nights(tmp_path / "crawl.db")
    found.site.page("/", links=["/same", "/edited", "/lost", "/moved", "/dead", "/hop", "/forbidden"])
    for path in ("/same", "/edited", "/lost", "/moved"):
        found.site.page(path, title=path)
    found.site.status("/dead", 404)
    found.site.status("/forbidden", 403)
    found.site.redirect("/hop", "/same")
    return found


FIRST = {
    *(("new", path) for path in ("/", "/same", "/edited", "/lost", "/moved")),
    ("broken", "/dead"),
    ("broken", "/forbidden"),
}


def test_each_night_tells_what_it_has_changed_and_nothing_else(nights: Nights) -> None:
    assert nights.night() == FIRST
    assert nights.night() == set()
    nights.site.page("/edited", title="/edited", text="new words")
    nights.site.page("/same", title="/same", head='<meta name="description" content="new">')
    nights.site.status("/lost", 410)
    nights.site.redirect("/moved", "/same")
    assert nights.night() == {("changed", "/edited"), ("metadata", "/same"), ("gone", "/lost"), ("moved", "/moved")}
    assert nights.night() == set(), "what is gone or redirects still is nothing new"
    nights.site.page("/lost", title="/lost")
    nights.site.page("/moved", title="/moved", text="and changed")
    nights.site.page("/dead", title="alive")
    assert nights.night() == {
        ("back", "/lost"), ("back", "/moved"), ("changed", "/moved"), ("healed", "/dead"), ("new", "/dead"),
    }  # fmt: skip
    details = {(one.change, one.url.removeprefix(ORIGIN)): one.detail for one in feed(nights.db) if one.detail}
    assert details == {
        ("broken", "/dead"): "http 404", ("broken", "/forbidden"): "http 403", ("gone", "/lost"): "http 410",
        ("moved", "/moved"): f"{ORIGIN}/same",
    }  # fmt: skip


def test_an_outage_is_no_change_and_a_second_one_breaks_but_nothing_is_gone(nights: Nights) -> None:
    nights.night()
    nights.site.listening = False
    assert nights.night() == set()
    assert nights.night() == {("broken", path) for path in ("/", "/same", "/edited", "/lost", "/moved", "/hop")}
    nights.site.listening = True
    assert nights.night() == {("healed", path) for path in ("/", "/same", "/edited", "/lost", "/moved", "/hop")}
    assert not rows(nights.db, "SELECT url FROM changes WHERE change <> 'new'")


def test_what_a_newer_robots_txt_forbids_is_withdrawn_and_what_it_allows_again_is_back(nights: Nights) -> None:
    nights.night()
    nights.site.robots("User-agent: *\nDisallow: /same\n")
    assert nights.night() == {("withdrawn", "/same")}
    [detail] = [one.detail for one in feed(nights.db) if one.change == "withdrawn"]
    assert detail == "robots: line 2: Disallow: /same"
    assert nights.night() == set()
    nights.site.robots("")
    assert nights.night() == {("back", "/same")}


def test_what_other_options_exclude_is_withdrawn(nights: Nights) -> None:
    nights.night()
    assert nights.night(exclude=("/edited",)) == {("withdrawn", "/edited")}
    assert nights.night(exclude=()) == {("back", "/edited")}


def test_what_fails_with_its_origin_is_broken_once(nights: Nights) -> None:
    """Most of its URLs have no visit of their own."""
    nights.site.origin(8081, listening=False)
    nights.site.page("/", links=[f"{ORIGIN}:8081/{number}" for number in range(1200)])
    assert nights.night() == {("new", "/"), *(("broken", f":8081/{number}") for number in range(1200))}
    assert nights.night(retry_failed=True) == set()


def test_what_is_retried_and_answers_is_healed(nights: Nights) -> None:
    nights.site.sequence("/forbidden", Fault.DISCONNECT, Fault.DISCONNECT, Fault.DISCONNECT)
    assert ("broken", "/forbidden") in nights.night()
    nights.site.page("/forbidden", title="open")
    assert nights.night(max_age_s=None, retry_failed=True) == {("healed", "/forbidden"), ("new", "/forbidden")}


def test_a_cursor_goes_on_where_it_stands(nights: Nights) -> None:
    nights.night()
    whole = feed(nights.db)
    for place in range(len(whole)):
        assert feed(nights.db, whole[place].cursor) == whole[place + 1 :]
    assert feed(nights.db, limit=3) == whole[:3]
    assert now(nights.db) == whole[-1].cursor


def test_a_cursor_of_another_database_is_refused(nights: Nights, tmp_path: Path) -> None:
    nights.night()
    other = Nights(tmp_path / "other.db", "b.test")
    other.site.page("/", title="other")
    other.night()
    with pytest.raises(UsageError, match="another database"):
        feed(other.db, now(nights.db))
    with pytest.raises(UsageError, match="another database"):
        feed(nights.db, now(other.db))


@pytest.mark.parametrize("cursor", ["", "7", "c1_", "c1_!!", "c1_e30", "c2_WzAsMF0", "c1_Wy0xLDBd", "c1_WzEsInh4Il0"])
def test_what_is_no_cursor_is_refused(nights: Nights, cursor: str) -> None:
    nights.night()
    with pytest.raises(UsageError, match="no cursor"):
        feed(nights.db, cursor)


def test_after_a_prune_whoever_is_behind_is_told_and_whoever_is_not_goes_on(nights: Nights) -> None:
    """And who begins anew learns of every page, and where it stands."""
    nights.night()
    for version in range(3):
        behind = nights.cursor
        nights.site.page("/edited", title="/edited", text=f"version {version}")
        if version % 2:
            nights.site.page("/lost", title="/lost")
        else:
            nights.site.status("/lost", 404)
        nights.night()
    before = feed(nights.db)
    asyncio.run(database_at(nights.db).prune(before=NIGHT + 25 * DAY_S))
    left = feed(nights.db)
    first = [one for one in told(before) if one[0] in ("new", "broken")]
    assert told(left)[:-2] == first
    assert set(told(left)[-2:]) == {("changed", "/edited"), ("gone", "/lost")}
    with pytest.raises(UsageError, match="begin anew"):
        feed(nights.db, before[0].cursor)
    assert feed(nights.db, behind) == left[-2:]
    assert feed(nights.db, nights.cursor) == []


def test_pruning_versions_alone_loses_no_change(nights: Nights) -> None:
    nights.night()
    first = nights.cursor
    nights.site.page("/edited", title="/edited", text="new")
    assert nights.night() == {("changed", "/edited")}
    asyncio.run(database_at(nights.db).prune(keep_versions=1))
    assert told(feed(nights.db, first)) == [("changed", "/edited")]
    [new] = [one for one in feed(nights.db) if one.url == f"{ORIGIN}/edited" and one.change == "new"]
    assert new.page_id is None, "that version is no longer stored"
