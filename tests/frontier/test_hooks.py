"""Hooks: what they are given, what they change, what they leave out, and what becomes of what they do wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import FakeWeb
from crawler.hooks import Extras, FailedAttempt, FoundLink, Hooks, IncomingResponse, OutgoingRequest
from crawler.records import Page, UrlKind
from tests.frontier.crawls import NIGHT, Crawled, a_site, crawled, rows

SEED = "http://a.test/"
A_DAY_LATER = NIGHT + 86_400


class Listening(Hooks):
    """Each hook writes down what it is given; half of them are async."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def of(self, name: str) -> list[Any]:
        return [given for hook, given in self.seen if hook == name]

    async def on_request(self, request: OutgoingRequest) -> None:
        await asyncio.sleep(0.5)
        self.seen.append(("request", request))

    def on_response(self, response: IncomingResponse) -> None:
        self.seen.append(("response", response))

    async def on_page(self, page: Page, extras: Extras) -> None:
        self.seen.append(("page", page))

    def on_link(self, link: FoundLink) -> None:
        self.seen.append(("link", replace(link)))

    async def on_failure(self, failure: FailedAttempt) -> None:
        self.seen.append(("failure", failure))

    def on_commit(self, pages: Sequence[Page]) -> None:
        self.seen.append(("commit", pages))


def a_web() -> FakeWeb:
    """A home with three pages, one of which is gone."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Home", headers={"X-Of": "home"}, links=[("/1", "one"), ("/gone", "gone"), "http://b.test/"])
    site.page("/1", title="One", links=["/2"])
    site.page("/2", title="Two")
    return web


def fields_of(done: Crawled) -> dict[str, Any]:
    found = rows(done.db, "SELECT u.url, p.fields FROM pages AS p JOIN urls AS u ON u.page_id = p.id")
    return {url: None if fields is None else json.loads(fields) for url, fields in found}


def excluded(done: Crawled) -> dict[str, str | None]:
    return {url: reason for url, (status, reason) in done.urls().items() if status == "excluded"}


# --- what they are given ----------------------------------------------------------------------------------------------


def test_each_hook_is_given_what_happens(tmp_path: Path) -> None:
    hooks = Listening()
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=hooks, retries=0, per_host=1)
    assert done.summary.complete
    requests: list[OutgoingRequest] = hooks.of("request")
    assert [(one.url, one.depth, one.again) for one in requests] == [
        (SEED, 0, False), (f"{SEED}1", 1, False), (f"{SEED}gone", 1, False), (f"{SEED}2", 2, False),
    ]  # fmt: skip
    responses: list[IncomingResponse] = hooks.of("response")
    assert [one.status for one in responses] == [200, 200, 404, 200]
    assert responses[0].headers["x-of"] == "home"
    assert b"<title>Home</title>" in responses[0].body
    pages: list[Page] = hooks.of("page")
    assert [(page.title, page.status, page.depth, page.headers.get("x-of")) for page in pages] == [
        ("Home", 200, 0, "home"), ("One", 200, 1, None), ("Two", 200, 2, None),
    ]  # fmt: skip
    links: list[FoundLink] = hooks.of("link")
    assert [(one.url, one.page_url, one.anchor, one.found_by, one.depth) for one in links] == [
        (f"{SEED}1", SEED, "one", "link", 1),
        (f"{SEED}gone", SEED, "gone", "link", 1),
        (f"{SEED}2", f"{SEED}1", "/2", "link", 2),
    ]  # what the rules keep out is not asked for
    failures: list[FailedAttempt] = hooks.of("failure")
    assert [(one.url, one.reason, one.will_retry) for one in failures] == [(f"{SEED}gone", "http 404", False)]
    committed: list[Page] = [page for pages in hooks.of("commit") for page in pages]
    assert [(page.page_id, page.url) for page in committed] == [(1, SEED), (2, f"{SEED}1"), (3, f"{SEED}2")]


def test_what_is_fetched_for_other_ends_is_seen_too_but_not_robots_txt(tmp_path: Path) -> None:
    web = a_web()
    web.sites["a.test"].robots("Sitemap: http://a.test/map.xml")
    web.sites["a.test"].sitemap("/map.xml", ["/listed"])
    web.sites["a.test"].redirect("/listed", "/2")
    web.sites["a.test"].sitemap("/1", ["/listed"])  # which was linked as if it were a page
    hooks = Listening()
    crawled(web, tmp_path / "crawl.db", SEED, hooks=hooks)
    bodies = {one.url.rpartition("/")[2]: one.body for one in hooks.of("response") if one.status == 200}
    assert {name: bool(body) for name, body in bodies.items()} == {"": True, "map.xml": False, "1": False, "2": True}
    kinds = {one.url: one.kind for one in hooks.of("request")}
    assert kinds[f"{SEED}map.xml"] is UrlKind.SITEMAP
    assert f"{SEED}robots.txt" not in kinds
    found = {(one.url, one.found_by, one.page_url) for one in hooks.of("link")}
    assert (f"{SEED}listed", "sitemap", f"{SEED}map.xml") in found
    assert (f"{SEED}2", "redirect", f"{SEED}listed") in found


# --- what they change -------------------------------------------------------------------------------------------------


class Adding(Hooks):
    def on_request(self, request: OutgoingRequest) -> None:
        request.headers["X-Depth"] = str(request.depth)
        request.headers |= {"Accept": "text/html"}

    async def on_page(self, page: Page, extras: Extras) -> None:
        extras.fields["title length"] = len(page.title or "")
        extras.fields |= {"tuple": (1, 2)}
        if page.url == SEED:
            extras.link("hidden#part", "by script")
            extras.link("mailto:me@example.com")
            extras.link("/1")


def test_headers_fields_and_links_are_added(tmp_path: Path) -> None:
    web = a_web()
    web.sites["a.test"].page("/hidden", title="Hidden")
    done = crawled(web, tmp_path / "crawl.db", SEED, hooks=Adding())
    asked = {hit.target: (hit.headers.get("x-depth"), hit.headers["accept"]) for hit in done.hits("a.test")}
    assert asked["/hidden"] == ("1", "text/html")
    assert asked["/robots.txt"][0] is None
    assert fields_of(done)[f"{SEED}hidden"] == {"title length": 6, "tuple": [1, 2]}
    sql = (
        "SELECT u.url, l.anchor FROM links AS l JOIN urls AS u ON u.id = l.target_id WHERE l.page_id = 1 ORDER BY u.url"
    )
    assert (f"{SEED}hidden", "by script") in rows(done.db, sql)
    assert len(rows(done.db, sql)) == 4
    assert rows(done.db, "SELECT links_total FROM pages WHERE id = 1") == [(4,)]


def test_a_page_that_says_what_it_said_gets_the_fields_of_now(tmp_path: Path) -> None:
    web, db = a_web(), tmp_path / "crawl.db"
    assert fields_of(crawled(web, db, SEED))[SEED] is None
    again = crawled(web, db, SEED, hooks=Adding(), at=A_DAY_LATER, max_age_s=60.0)
    assert fields_of(again)[SEED] == {"title length": 4, "tuple": [1, 2]}
    assert len(again.pages()) == 3


class Nearer(Hooks):
    """Pages of a list are one step from it, however many lists there are before."""

    def on_link(self, link: FoundLink) -> None:
        if "list" in link.url:
            link.depth = 0


def test_depth_is_what_a_hook_says(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/list1", "/item0"])
    for number in range(1, 4):
        site.page(f"/list{number}", links=[f"/list{number + 1}", f"/item{number}"])
        site.page(f"/item{number}", links=["/deep"])
    site.page("/item0")
    done = crawled(web, tmp_path / "crawl.db", SEED, hooks=Nearer(), max_depth=1, retries=0)
    assert done.urls()[f"{SEED}item3"] == ("fetched", None)
    assert excluded(done) == {f"{SEED}deep": "depth"}


class First(Hooks):
    def on_link(self, link: FoundLink) -> None:
        link.priority = 60.0 * int(link.url.rpartition("/")[2])


def test_of_a_host_s_urls_those_of_a_greater_priority_come_first(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 6)
    done = crawled(web, tmp_path / "crawl.db", SEED, hooks=First(), delay_s=1.0)
    assert done.targets("a.test") == ["/robots.txt", "/", "/5", "/4", "/3", "/2", "/1"]


# --- what they leave out ----------------------------------------------------------------------------------------------


class NoLinks(Hooks):
    def on_link(self, link: FoundLink) -> bool | str:
        return "it is too old" if link.anchor == "one" else not link.url.endswith("/gone")


class NoRequests(Hooks):
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def on_request(self, request: OutgoingRequest) -> bool | str | None:
        self.asked.append(request.url)
        if request.url.endswith("/1"):
            return "not now"
        return False if request.url.endswith("/gone") else None


def test_links_that_a_hook_leaves_out_are_excluded_with_its_reason(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=NoLinks())
    assert done.targets("a.test") == ["/robots.txt", "/"]
    assert excluded(done) == {
        "http://b.test/": "scope",
        f"{SEED}1": "hook on_link: it is too old",
        f"{SEED}gone": "hook on_link",
    }
    assert rows(done.db, "SELECT DISTINCT cause FROM urls WHERE reason LIKE 'hook%'") == [("hook",)]


def test_another_link_may_lead_there(tmp_path: Path) -> None:
    web = a_web()
    web.sites["a.test"].page("/", links=[("/1", "one"), ("/2", "two")])
    web.sites["a.test"].page("/2", links=[("/1", "another")])
    done = crawled(web, tmp_path / "crawl.db", SEED, hooks=NoLinks())
    assert done.status_of(f"{SEED}1") == "fetched"


def test_requests_that_a_hook_forbids_are_not_made_and_cost_no_turn(tmp_path: Path) -> None:
    web = a_web()
    web.sites["a.test"].page("/2", links=["/1"])
    web.sites["a.test"].page("/", links=["/1", "/gone", "/2"])
    hooks = NoRequests()
    done = crawled(web, tmp_path / "crawl.db", SEED, hooks=hooks, delay_s=10.0)
    assert hooks.asked.count(f"{SEED}1") == 1, "however often it is found again"
    assert done.targets("a.test") == ["/robots.txt", "/", "/2"]
    assert excluded(done) == {f"{SEED}1": "hook on_request: not now", f"{SEED}gone": "hook on_request"}
    assert done.gaps("a.test") == [10.0, 10.0]
    assert rows(done.db, "SELECT count(*) FROM fetches WHERE failure IS NOT NULL") == [(0,)]
    assert done.summary.excluded["hook"] == 2
    assert not done.summary.by_failure


@pytest.mark.parametrize("hooks", [NoLinks(), NoRequests()], ids=["links", "requests"])
def test_what_was_left_out_is_judged_anew_without_the_hooks(tmp_path: Path, hooks: Hooks) -> None:
    web, db = a_web(), tmp_path / "crawl.db"
    crawled(web, db, SEED, hooks=hooks)
    again = crawled(web, db, hooks=hooks, at=A_DAY_LATER)
    assert again.log == [], "the same hooks say the same"
    after = crawled(web, db, at=A_DAY_LATER)
    assert after.targets("a.test") == ["/robots.txt", "/1", "/gone", "/2"]
    assert excluded(after) == {"http://b.test/": "scope"}


def test_other_hooks_judge_anew_and_may_say_the_same(tmp_path: Path) -> None:
    web, db = a_web(), tmp_path / "crawl.db"
    crawled(web, db, SEED, hooks=NoRequests())
    after = crawled(web, db, hooks=NoLinks(), at=A_DAY_LATER)
    assert after.targets("a.test") == ["/robots.txt", "/1", "/2"]
    assert excluded(after).keys() == {"http://b.test/", f"{SEED}gone"}


def test_what_wider_rules_let_in_a_hook_is_asked_for(tmp_path: Path) -> None:
    web, db = a_web(), tmp_path / "crawl.db"
    hooks = NoLinks()
    crawled(web, db, SEED, hooks=hooks, max_depth=0)
    after = crawled(web, db, hooks=hooks, at=A_DAY_LATER)
    assert after.urls()[f"{SEED}gone"] == ("excluded", "hook on_link")
    assert after.status_of(f"{SEED}1") == "fetched", "no anchor is known any more"


# --- what they do wrong -----------------------------------------------------------------------------------------------


class Failing(Hooks):
    """One hook raises for /1."""

    def __init__(self, hook: str) -> None:
        self.hook = hook

    def fail(self, hook: str, url: str) -> None:
        if hook == self.hook and url == f"{SEED}1":
            raise ValueError("bad\nprice")

    def on_request(self, request: OutgoingRequest) -> None:
        self.fail("on_request", request.url)

    async def on_response(self, response: IncomingResponse) -> None:
        await asyncio.sleep(0)
        self.fail("on_response", response.url)

    def on_page(self, page: Page, extras: Extras) -> None:
        self.fail("on_page", page.url)

    def on_link(self, link: FoundLink) -> None:
        self.fail("on_link", link.url)

    def on_failure(self, failure: FailedAttempt) -> None:
        self.fail("on_failure", f"{SEED}1")

    def on_commit(self, pages: Sequence[Page]) -> None:
        self.fail("on_commit", f"{SEED}1")


@pytest.mark.parametrize("hook", ["on_request", "on_response", "on_page"])
def test_an_exception_fails_the_url_and_not_the_crawl(tmp_path: Path, hook: str) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=Failing(hook), retries=2)
    assert done.summary.complete
    assert done.urls()[f"{SEED}1"] == ("failed", "hook")
    assert f"{SEED}2" not in done.urls()
    assert done.summary.by_failure == {"hook": 1}
    [(message,)] = rows(done.db, "SELECT message FROM fetches WHERE failure = 'hook'")
    assert message.startswith(f"{hook}: ValueError: bad price (test_hooks.py, line ")
    assert done.targets("a.test").count("/1") == (hook != "on_request")


def test_a_page_that_a_hook_fails_keeps_its_body(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=Failing("on_page"))
    assert rows(done.db, "SELECT count(*) FROM bodies JOIN fetches ON body_hash = hash AND failure = 'hook'") == [(1,)]


def test_an_exception_for_a_link_leaves_it_out(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=Failing("on_link"))
    assert (done.urls()[f"{SEED}1"][1] or "").startswith("hook on_link: ValueError: bad price (test_hooks.py, line")
    assert done.status_of(f"{SEED}gone") == "gone"


@pytest.mark.parametrize("hook", ["on_failure", "on_commit"])
def test_an_exception_that_nothing_can_answer_for_is_told_once(tmp_path: Path, hook: str) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=Failing(hook))
    told = [notice for notice in done.notices if "ValueError" in notice]
    assert [notice.partition(" (")[0] for notice in told] == [f"hook {hook}: ValueError: bad price"]
    assert len(done.pages()) == 3


class Odd(Hooks):
    """What cannot be used."""

    def on_request(self, request: OutgoingRequest) -> Any:
        if request.url == f"{SEED}1":
            request.headers["X-Bad"] = "a\r\nb"
        return 3 if request.url == f"{SEED}gone" else None

    def on_page(self, page: Page, extras: Extras) -> None:
        extras.fields["set"] = {1}

    def on_link(self, link: FoundLink) -> None:
        link.priority = -1.0 if link.url.endswith("/2") else 0


def test_what_cannot_be_used_is_a_failure_like_others(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=Odd())
    assert done.urls()[SEED] == ("failed", "hook")
    messages = [row[0] for row in rows(done.db, "SELECT message FROM fetches WHERE failure = 'hook'")]
    assert messages == ["on_page: fields cannot be stored as JSON: Type is not JSON serializable: set"]

    class Mild(Odd):
        def on_page(self, page: Page, extras: Extras) -> None:
            """Nothing."""

    other = crawled(a_web(), tmp_path / "other.db", SEED, hooks=Mild())
    messages = [row[0] for row in rows(other.db, "SELECT message FROM fetches WHERE failure = 'hook' ORDER BY id")]
    assert messages == [
        "on_request: the value of X-Bad contains control characters",
        "on_request: it returned 3; a decision is True, False, a text or None",
    ]
    assert other.summary.complete


class Slow(Hooks):
    def on_link(self, link: FoundLink) -> None:
        time.sleep(0.12)

    async def on_page(self, page: Page, extras: Extras) -> None:
        await asyncio.sleep(3600)  # which holds up nobody
        time.sleep(0.12)

    async def on_request(self, request: OutgoingRequest) -> None:
        await asyncio.sleep(10)


def test_a_hook_that_holds_up_the_crawl_is_named_once(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", SEED, hooks=Slow())
    told = [notice.partition(" held")[0] for notice in done.notices if "held up the crawl" in notice]
    assert sorted(told) == ["hook on_link of Slow", "hook on_page of Slow"]
    assert len(done.pages()) == 3


def test_a_hook_that_forbids_all_lets_others_have_their_turn(tmp_path: Path) -> None:
    """No request is waited for, and there is always one more to forbid."""

    class Forbidding(Hooks):
        def __init__(self) -> None:
            self.waiting = self.most = 0

        def on_request(self, request: OutgoingRequest) -> str | None:
            if request.url == SEED:
                return None
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            asyncio.get_running_loop().call_soon(self.has_turn)
            return "not today"

        def has_turn(self) -> None:
            self.waiting -= 1

    web, hooks = FakeWeb(), Forbidding()
    a_site(web, "a.test", 300)
    done = crawled(web, tmp_path / "crawl.db", SEED, hooks=hooks, concurrency=4, per_host=4)
    assert len(excluded(done)) == 299
    assert hooks.most <= 4
