"""What may enter, and what becomes of it: redirects, seeds that fall back to http, wider options, bounds, traps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.config import ScopeConfig, ScopeRule
from crawler.fakeweb import Answer, FakeWeb, Fault
from crawler.frontier.bounds import Bounds
from crawler.policy.repetition import ALIKE_PAGES
from crawler.records import Page
from crawler.run import Run
from crawler.storage.location import database_at
from tests.frontier.crawls import NIGHT, a_site, crawled, rows
from tests.frontier.virtual_time import VirtualLoop

# --- redirects and seeds ----------------------------------------------------------------------------------------------


def test_a_redirect_is_a_url_of_its_own_within_the_scope(tmp_path: Path) -> None:
    """And counts no depth; one that leads out of it is stored and not followed."""
    web = FakeWeb()
    site = a_site(web, "a.test", 1)
    site.page("/", links=["/old", "/out"])
    site.redirect("/old", "/new", status=301)
    site.page("/new", links=["/deep"])
    site.page("/deep")
    site.redirect("/out", "http://b.test/")
    a_site(web, "b.test", 1)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_depth=1)
    assert done.targets("a.test") == ["/robots.txt", "/", "/old", "/out", "/new"]
    assert done.urls() == {
        "http://a.test/": ("fetched", None),
        "http://a.test/old": ("redirected", None),
        "http://a.test/new": ("fetched", None),
        "http://a.test/deep": ("excluded", "depth"),
        "http://a.test/out": ("redirected", None),
        "http://b.test/": ("excluded", "scope"),
    }


def test_redirects_in_a_row_end(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    for hop in range(20):
        site.redirect(f"/{hop}", f"/{hop + 1}")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/0")
    assert done.targets("a.test")[1:] == [f"/{hop}" for hop in range(11)]
    assert done.urls()["http://a.test/11"] == ("excluded", "hops")


def test_a_seed_that_redirects_to_another_host_takes_the_scope_along(tmp_path: Path) -> None:
    """It says so; and the next run knows."""
    web = FakeWeb()
    web.host("a.test").redirect("/", "http://www.a.test/")
    a_site(web, "www.a.test", 3)
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/")
    assert done.summary.urls["fetched"] == 3
    assert [notice for notice in done.notices if "www.a.test" in notice]
    web.sites["www.a.test"].page("/2", links=["/new"])
    web.sites["www.a.test"].page("/new")
    again = crawled(web, db, at=NIGHT + 3600.0, max_age_s=0.0)
    assert again.status_of("http://www.a.test/new") == "fetched"


@pytest.mark.parametrize(
    ("page", "widens"),
    [
        ({"head": "<meta http-equiv=refresh content='30; url=http://www.a.test/'>"}, True),
        ({"head": "<meta http-equiv=refresh content='31; url=http://www.a.test/'>"}, False),
        ({"head": "<noscript><meta http-equiv=refresh content='0; url=http://www.a.test/'></noscript>"}, False),
        ({"headers": {"Refresh": "3; url=http://www.a.test/"}}, True),
        ({"headers": {"Refresh": "600; url=http://www.a.test/"}}, False),
    ],
)
def test_only_a_refresh_that_is_a_redirect_takes_the_scope_along(
    tmp_path: Path, page: dict[str, Any], widens: bool
) -> None:
    """Within the scope, any refresh is followed."""
    web = FakeWeb()
    web.host("a.test").page("/", **page)
    web.sites["a.test"].page("/in", head="<meta http-equiv=refresh content='900; url=/later'>")
    web.sites["a.test"].page("/later")
    a_site(web, "www.a.test", 3)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", "http://a.test/in")
    assert done.urls()["http://www.a.test/"] == (("fetched", None) if widens else ("excluded", "scope"))
    assert len(done.hits("www.a.test")) == (4 if widens else 0)
    assert done.status_of("http://a.test/later") == "fetched"


def test_a_bare_seed_that_does_not_answer_by_https_is_tried_by_http(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "plain.test", 3)
    a_site(web, "secure.test", 3, tls=True)
    web.host("broken.test", tls=True)
    web.sites["broken.test"].answer("/robots.txt", lambda hit: Fault.HANG if hit.scheme == "https" else Answer())
    web.sites["broken.test"].page("/")
    done = crawled(web, tmp_path / "crawl.db", "plain.test", "secure.test", "broken.test")
    urls = done.urls()
    assert {url: found[0] for url, found in urls.items() if "plain" in url} == {
        "https://plain.test/": "failed",
        "http://plain.test/": "fetched",
        "http://plain.test/1": "fetched",
        "http://plain.test/2": "fetched",
    }
    assert urls["https://secure.test/"][0] == "fetched"
    assert not [url for url in urls if url.startswith("http://secure")]
    assert (urls["https://broken.test/"][0], urls["http://broken.test/"][0]) == ("failed", "fetched")
    assert not done.summary.seeds_failed


def test_a_seed_that_names_its_scheme_is_not_tried_by_another(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "plain.test", 3)
    done = crawled(web, tmp_path / "crawl.db", "https://plain.test/")
    assert set(done.urls()) == {"https://plain.test/"}
    assert done.summary.seeds_failed


# --- wider options, and seeds that come later -------------------------------------------------------------------------


def test_what_earlier_options_kept_out_is_let_in_by_wider_ones(tmp_path: Path) -> None:
    """But for what still speaks against it."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/1", "http://b.test/", "/no/1"])
    site.page("/1", links=["/2"])
    site.page("/2")
    site.page("/no/1")
    a_site(web, "b.test", 2)
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/", max_depth=1, exclude=("/no/",))
    assert {url: reason for url, (status, reason) in first.urls().items() if status == "excluded"} == {
        "http://a.test/2": "depth",
        "http://a.test/no/1": "exclude",
        "http://b.test/": "scope",
    }
    wider = crawled(web, db, at=NIGHT + 60.0, exclude=("/no/",), scope=ScopeRule.ANY)
    assert wider.targets("a.test") == ["/2"]
    assert wider.targets("b.test") == ["/robots.txt", "/", "/1"]
    assert wider.urls()["http://a.test/no/1"] == ("excluded", "exclude")
    assert "2 excluded URLs can be fetched now" in wider.notices


def test_a_new_seed_lets_in_what_its_host_was_kept_out_of(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["http://b.test/1"])
    a_site(web, "b.test", 3)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    done = crawled(web, db, "http://b.test/", at=NIGHT + 60.0)
    assert done.summary.urls["fetched"] == 4
    assert done.summary.urls["excluded"] == 0


def test_what_a_new_seed_lets_in_is_let_in_by_the_next_run_where_this_one_was_stopped(tmp_path: Path) -> None:
    """A seed that joins widens the scope; judging all exclusions again takes long, and may be broken off."""
    web = FakeWeb()
    web.host("a.test").page("/", links=["http://b.test/1"])
    a_site(web, "b.test", 3)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")

    def join_and_stop(run: Run, _loop: VirtualLoop) -> None:
        database_at(db).leave_note(["http://b.test/2"])
        run.frontier.seeding.stop()

    stopped = crawled(web, db, "http://a.test/", at=NIGHT + 60.0, during=join_and_stop)
    assert stopped.status_of("http://b.test/2") == "fetched"
    assert stopped.status_of("http://b.test/1") == "excluded"
    after = crawled(web, db, at=NIGHT + 120.0)
    assert after.status_of("http://b.test/1") == "fetched"


def test_a_seed_that_failed_is_tried_again_when_it_is_named_again(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").sequence("/", Answer(status=403), Answer.page(title="open"))
    db = tmp_path / "crawl.db"
    assert crawled(web, db, "http://a.test/").status_of("http://a.test/") == "failed"
    assert crawled(web, db, at=NIGHT + 60.0).log == []
    assert crawled(web, db, "http://a.test/", at=NIGHT + 120.0).status_of("http://a.test/") == "fetched"


def test_what_robots_txt_forbade_is_judged_again_when_its_copy_has_expired(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 3)
    site.robots("User-agent: *\nDisallow: /1\n")
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/")
    assert first.urls()["http://a.test/1"] == ("excluded", "robots: line 2: Disallow: /1")
    site.robots("User-agent: *\nDisallow: /2\n")
    assert crawled(web, db, at=NIGHT + 86_000.0).log == []  # it is believed for a day
    third = crawled(web, db, at=NIGHT + 86_500.0)
    assert third.targets("a.test") == ["/robots.txt", "/1"]


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_full_host_takes_in_no_more_urls(tmp_path: Path) -> None:
    """It says so once, the next run knows, and a higher bound lets them in."""
    web = FakeWeb()
    site = web.host("a.test")
    for number in range(40):
        site.page(f"/{number}", title=f"{number}", links=[f"/{number + 1}"])
    site.page("/40")
    a_site(web, "b.test", 15)
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/0", "http://b.test/", max_urls_per_host=20)
    taken = [url for url, (status, _) in done.urls().items() if status == "fetched" and "a.test" in url]
    assert 20 <= len(taken) <= 22  # what was under way when it was full is not undone
    assert len([notice for notice in done.notices if notice.startswith("a.test has reached 20 URLs")]) == 1
    assert done.urls()[f"http://a.test/{len(taken)}"] == ("excluded", "trap: URLs of the host")
    again = crawled(web, db, at=NIGHT + 60.0, max_age_s=0.0, max_urls_per_host=20)
    assert again.summary.urls["fetched"] == done.summary.urls["fetched"]
    wider = crawled(web, db, at=NIGHT + 120.0, max_urls_per_host=1000)
    assert wider.status_of("http://a.test/40") == "fetched"


def test_a_domain_has_so_many_hosts_and_no_more(tmp_path: Path) -> None:
    web = FakeWeb()
    links = [f"http://h{number}.example.com/" for number in range(9)]
    web.host("example.com").page("/", links=links)
    web.host("*.example.com").page("/", title="the same")
    done = crawled(web, tmp_path / "crawl.db", "http://example.com/", scope=ScopeRule.DOMAIN, max_hosts_per_domain=4)
    assert len({hit.host for hit in done.log}) == 4
    assert len([notice for notice in done.notices if "example.com has reached 4 hosts" in notice]) == 1


def test_every_eighth_page_is_looked_at_for_repetition() -> None:
    """To look at each would cost a crawl 3 %. The first look takes note of the title, the second one of the text."""
    bounds = Bounds(ScopeConfig())
    page = Page(url="http://a.test/calendar?day=1", title="A day", text="nothing on this day")
    noted = 1
    while bounds.note(page) is None:
        noted += 1
    assert noted == 8 * (2 + ALIKE_PAGES)
    assert bounds.closed("http://a.test/calendar?day=2", "a.test") == "trap: pages alike in /calendar?day"


@pytest.mark.thorough
@pytest.mark.parametrize("trap_rules", [True, False])
def test_an_endless_calendar_is_closed_unless_traps_are_wanted(tmp_path: Path, trap_rules: bool) -> None:
    """The honest pages beside it are all fetched; the next run does not open it again."""
    web = FakeWeb()
    site = a_site(web, "a.test", 50)
    site.page("/", links=["/calendar?day=1", *site.links["/"]])
    site.answer("*", lambda hit: _day(hit.target))
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/", trap_rules=trap_rules, max_pages=1400, bodies=False)
    days = [target for target in done.targets("a.test") if target.startswith("/calendar")]
    assert done.summary.end_reason == ("complete" if trap_rules else "max_pages")
    assert len(set(done.targets("a.test")) - set(days)) == 51
    if trap_rules:
        assert 1000 < len(days) < 1100
        assert rows(db, "SELECT count(*) FROM urls WHERE reason = 'trap: pages alike in /calendar?day'")[0][0] >= 1
        again = crawled(web, db, f"http://a.test/calendar?day={len(days) + 500}", at=NIGHT + 60.0, bodies=False)
        assert len(again.log) == 1  # a seed is asked for, and leads to nothing


def _day(target: str) -> Answer:
    path, _, day = target.partition("?day=")
    if path != "/calendar":
        return Answer(status=404)
    return Answer.page(title="A day", text="nothing on this day", links=[f"/calendar?day={int(day) + 1}"])
