"""`--check`: what leads out of the crawl is asked for once the pages are done, as politely, and told apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from crawler.config import CheckKind, ScopeRule
from crawler.fakeweb import Answer, FakeWeb, Fault, Request
from crawler.host_settings import HostSettings
from crawler.records import EndReason
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, crawled, rows

EXTERNAL = (CheckKind.EXTERNAL,)
RESOURCES = (CheckKind.RESOURCES,)
BOTH = (CheckKind.EXTERNAL, CheckKind.RESOURCES)


def _linking(web: FakeWeb, *urls: str, markup: str = "", path: str = "/") -> None:
    if "a.test" not in web.sites:
        web.host("a.test")
    web.sites["a.test"].page(path, links=urls, markup=markup)


def verdicts(done: Crawled) -> dict[str, tuple[str, str | None]]:
    """By URL, also of what only redirects lead to."""
    return {
        url: (verdict, cause) for url, verdict, cause in rows(done.db, "SELECT url, verdict, cause FROM checked_urls")
    }


def asked(done: Crawled, host: str) -> list[tuple[str, str]]:
    """Method and target of all requests but those for robots.txt."""
    return [(hit.method, hit.target) for hit in done.hits(host) if hit.target != "/robots.txt"]


# --- verdicts -----------------------------------------------------------------------------------------------------


def test_every_verdict(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.robots("User-agent: *\nDisallow: /private\n")
    x.page("/good")
    x.status("/gone", 410)
    x.status("/forbidden", 403)
    x.answer("/wall", Answer(status=503, headers={"cf-mitigated": "challenge"}))
    x.status("/broken", 500)
    x.answer("/hangs", Fault.HANG)
    x.answer("/garbage", Fault.GARBAGE)
    x.redirect("/moved", "http://y.test/end")
    x.redirect("/circle", "/circle2")
    x.redirect("/circle2", "/circle")
    x.redirect("/mail", "mailto:me@x.test")
    web.host("y.test").status("/end", 404)
    web.host("shut.test", listening=False)
    web.host("lost.test", dns="nxdomain")
    paths = ["good", "gone", "forbidden", "wall", "broken", "hangs", "garbage", "moved", "circle", "mail", "private"]
    urls = [*(f"http://x.test/{path}" for path in paths), "http://shut.test/", "http://lost.test/", "http://10.0.0.1/"]
    _linking(web, *urls)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL, retries=0, check_timeout_s=3.0)
    found = verdicts(done)
    assert {url: found[url] for url in urls} == {
        "http://x.test/good": ("good", None),
        "http://x.test/gone": ("gone", "http 410"),
        "http://x.test/forbidden": ("blocked", "http 403"),
        "http://x.test/wall": ("blocked", "http 503, a bot wall"),
        "http://x.test/broken": ("failed", "http 500"),
        "http://x.test/hangs": ("unreachable", "timeout"),
        "http://x.test/garbage": ("failed", "bad_response"),
        "http://x.test/moved": ("gone", "http 404"),
        "http://x.test/circle": ("loop", "redirect loop"),
        "http://x.test/mail": ("failed", "http 302"),
        "http://x.test/private": ("not_asked", "robots: line 2: Disallow: /private"),
        "http://shut.test/": ("unreachable", "connect"),
        "http://lost.test/": ("unreachable", "dns"),
        "http://10.0.0.1/": ("not_asked", "blocked_address"),
    }
    assert done.summary.checks == {
        "good": 1, "gone": 2, "blocked": 2, "unreachable": 3, "failed": 3, "loop": 1, "not_asked": 2,
    }  # fmt: skip
    assert done.summary.end_reason is EndReason.COMPLETE
    assert {url: done.urls()[url] for url in urls} == dict.fromkeys(urls, ("excluded", "scope"))
    broken = {row[0]: row[1:] for row in rows(done.db, "SELECT target_url, status, cause, kind FROM broken_links")}
    bad = {"gone", "unreachable", "failed", "loop"}
    assert broken.keys() == {url for url in urls if found[url][0] in bad}
    assert broken["http://x.test/moved"] == ("gone", "http 404, redirected to http://y.test/end", "external")
    assert broken["http://x.test/circle"] == ("loop", "redirect loop", "external")


def test_nothing_is_checked_without_the_option(tmp_path: Path) -> None:
    web = FakeWeb()
    _linking(web, "http://x.test/", markup='<img src="http://cdn.test/a.png">')
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/")
    assert {hit.host for hit in done.log} == {"a.test"}
    assert done.summary.checks == {}
    assert rows(done.db, "SELECT count(*) FROM checks") == [(0,)]


def test_a_head_that_fails_is_repeated_by_get_whose_body_is_not_read(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.answer("/no-head", lambda hit: Answer(status=405 if hit.method == "HEAD" else 200, body=b"x" * 100_000))
    x.answer("/hangs", lambda hit: Fault.HANG if hit.method == "HEAD" else Answer.page())
    _linking(web, "http://x.test/no-head", "http://x.test/hangs")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL, delay_s=1.0)
    assert [verdict for verdict, _cause in verdicts(done).values()] == ["good", "good"]
    assert sorted(asked(done, "x.test")) == [
        ("GET", "/hangs"),
        ("GET", "/no-head"),
        ("HEAD", "/hangs"),
        ("HEAD", "/no-head"),
    ]
    assert done.summary.bytes < 10_000
    assert min(done.gaps("x.test")) >= 1.0


def test_what_may_pass_is_tried_again_by_get(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.sequence("/flaky", Answer(status=500), Answer(status=500), Answer.page())
    x.status("/dead", 500)
    _linking(web, "http://x.test/flaky", "http://x.test/dead")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    assert verdicts(done)["http://x.test/flaky"] == ("good", None)
    methods = [method for method, target in asked(done, "x.test") if target == "/dead"]
    assert methods == ["HEAD", "GET", "GET", "GET"]


def test_a_429_is_believed_and_its_pause_kept(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.sequence("/", Answer(status=429, headers={"Retry-After": "20"}), Answer.page())
    _linking(web, "http://x.test/")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    assert verdicts(done)["http://x.test/"] == ("good", None)
    first, second = done.times("x.test", "/")
    assert second - first >= 20.0


def test_an_origin_that_asks_for_a_long_pause_decides_for_all_its_urls(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("x.test").answer("*", Answer(status=429, headers={"Retry-After": "7200"}))
    web.host("y.test").robots(status=503)
    _linking(web, *(f"http://{host}.test/{number}" for host in "xy" for number in range(5)))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    found = set(verdicts(done).values())
    assert found == {("not_asked", "robots.txt: http 429"), ("not_asked", "robots.txt: http 503")}
    assert done.summary.checks == {"not_asked": 10}
    assert done.summary.complete


def test_a_429_with_a_long_pause_blocks_its_url_and_the_others_are_asked_by_the_next_run(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.answer("/0", Answer(status=429, headers={"Retry-After": "7200"}))
    for number in range(1, 4):
        x.page(f"/{number}")
    _linking(web, *(f"http://x.test/{number}" for number in range(4)))
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/", check=EXTERNAL, per_host=1, delay_s=1.0)
    assert list(verdicts(done).values()) == [("blocked", "http 429"), *[("not_asked", "http 429")] * 3]
    again = crawled(web, db, check=EXTERNAL, at=NIGHT + DAY_S)
    assert list(verdicts(again).values()) == [("blocked", "http 429"), *[("good", None)] * 3]


def test_an_origin_that_cannot_be_reached_decides_for_all_its_urls(tmp_path: Path) -> None:
    """Also for those that had not come to memory."""
    web = FakeWeb()
    web.host("x.test", listening=False)
    _linking(web, *(f"http://x.test/{number}" for number in range(3000)))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    assert done.summary.checks == {"unreachable": 3000}
    assert done.summary.by_failure == {"connect": 3}  # of its robots.txt
    assert rows(done.db, "SELECT DISTINCT recent FROM checks") == [("-",)]


# --- what is asked ------------------------------------------------------------------------------------------------


def test_external_is_what_the_scope_excludes_and_no_other_rule(tmp_path: Path) -> None:
    """Not what the user's own rules keep out, nor what is no URL of the web."""
    web = FakeWeb()
    web.host("x.test").page("/")
    site = web.host("a.test")
    site.page(
        "/",
        links=["/deep", "mailto:a@x.test", "javascript:void(0)", "http://x.test/#part", "http://x.test/no"],
        markup='<a rel="nofollow" href="http://x.test/nofollow">n</a><a rel="nofollow" href="/mine">m</a>',
    )
    site.page("/deep", links=["/deeper", "http://x.test:25/"])
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL, max_depth=1, exclude=(r"/no$",))
    assert asked(done, "x.test") == [("HEAD", "/"), ("HEAD", "/nofollow"), ("GET", "/nofollow")]
    assert asked(done, "a.test") == [("GET", "/"), ("GET", "/deep")]
    assert {hit.port for hit in done.log} == {80}


def test_resources_are_asked_for_once_whoever_has_them(tmp_path: Path) -> None:
    """Not what is written into the page, nor what the crawl has fetched anyway, nor links."""
    web = FakeWeb()
    site = web.host("a.test")
    markup = (
        '<img src="/pic.png" alt="A pic"><img src="http://cdn.test/logo.png"><img src="data:image/png;base64,AA=="><img src="http://me:pw@cdn.test/x.png">'
        '<script src="http://cdn.test/app.js"></script><link rel="stylesheet" href="/style.css"><img src="/1">'
    )
    site.page("/", links=["/1", "http://x.test/"], markup=markup)
    site.page("/1", markup=markup)
    site.page("/style.css")
    cdn = web.host("cdn.test")
    cdn.page("/logo.png")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=RESOURCES)
    assert {hit.host for hit in done.log} == {"a.test", "cdn.test"}
    assert asked(done, "a.test") == [
        ("GET", "/"), ("GET", "/1"), ("HEAD", "/pic.png"), ("GET", "/pic.png"), ("HEAD", "/style.css"),
    ]  # fmt: skip
    assert asked(done, "cdn.test") == [("HEAD", "/logo.png"), ("HEAD", "/app.js"), ("GET", "/app.js")]
    found = rows(
        done.db, "SELECT page_url, kind, url, alt, status, cause FROM broken_resources ORDER BY page_url, place"
    )
    on_each = [
        ("image", "http://a.test/pic.png", "A pic", "gone", "http 404"),
        ("script", "http://cdn.test/app.js", None, "gone", "http 404"),
    ]
    assert found == [(page, *one) for page in ("http://a.test/", "http://a.test/1") for one in on_each]
    links = rows(done.db, "SELECT page_url, anchor, target_url, kind FROM broken_links WHERE kind = 'resource'")
    assert ("http://a.test/1", "A pic", "http://a.test/pic.png", "resource") in links
    assert len(links) == 4
    assert "http://a.test/pic.png" not in done.urls()


def test_where_the_crawl_s_own_redirects_lead_is_asked_for(tmp_path: Path) -> None:
    web = FakeWeb()
    _linking(web, "/out", "/crawled")
    web.sites["a.test"].redirect("/out", "http://x.test/end")
    web.sites["a.test"].page("/crawled", links=["http://x.test/back"])
    x = web.host("x.test")
    x.redirect("/back", "http://a.test/crawled")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    assert verdicts(done) == {"http://x.test/end": ("gone", "http 404"), "http://x.test/back": ("good", None)}
    assert asked(done, "a.test") == [("GET", "/"), ("GET", "/out"), ("GET", "/crawled")]
    assert rows(done.db, "SELECT target_url, status, cause, kind FROM broken_links") == [
        ("http://a.test/out", "gone", "http 404, redirected to http://x.test/end", "external")
    ]


def test_redirects_without_end_end(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    for hop in range(30):
        x.redirect(f"/{hop}", f"/{hop + 1}")
    _linking(web, "http://x.test/0")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    assert verdicts(done)["http://x.test/0"] == ("loop", "more than 10 redirects")
    assert len(asked(done, "x.test")) == 11


def test_links_of_a_checked_page_and_the_sitemaps_of_its_host_are_none_of_ours(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.robots("Sitemap: http://x.test/map.xml\n")
    x.page("/", links=["/more"])
    _linking(web, "http://x.test/")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL, guess_sitemap=True)
    assert asked(done, "x.test") == [("HEAD", "/")]
    assert set(done.urls()) == {"http://a.test/", "http://x.test/", "http://a.test/sitemap.xml"}


# --- manners ------------------------------------------------------------------------------------------------------


def test_hosts_take_turns_each_at_its_own_pace_and_robots_txt_comes_first(tmp_path: Path) -> None:
    web = FakeWeb()
    for host in ("x.test", "y.test", "z.test"):
        web.host(host).robots("User-agent: *\nCrawl-delay: 3\n" if host == "z.test" else "")
        for number in range(5):
            web.sites[host].page(f"/{number}")
    _linking(web, *(f"http://{host}/{n}" for host in ("x.test", "y.test", "z.test") for n in range(5)))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL, delay_s=1.0)
    assert done.summary.checks == {"good": 15}
    for host, delay_s in (("x.test", 1.0), ("y.test", 1.0), ("z.test", 3.0)):
        assert done.targets(host)[0] == "/robots.txt"
        assert min(done.gaps(host)[1:]) >= delay_s
    assert done.took_s < 20  # together, not one host after the other


def test_checks_are_as_far_from_the_pages_of_their_host_as_these_from_each_other(tmp_path: Path) -> None:
    web = FakeWeb()
    _linking(web, markup="".join(f'<img src="/{number}.png">' for number in range(4)))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=RESOURCES, delay_s=2.0)
    assert len(asked(done, "a.test")) == 1 + 2 * 4
    assert min(done.gaps("a.test")) >= 2.0


def test_robots_txt_is_ignored_on_the_user_s_own_sites_alone(tmp_path: Path) -> None:
    web = FakeWeb()
    for host in ("a.test", "x.test"):
        web.host(host).robots("User-agent: *\nDisallow: /\n")
    _linking(web, "http://x.test/", markup='<img src="/pic.png">')
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=BOTH, ignore_robots=True)
    assert [verdict for verdict, _cause in verdicts(done).values()] == ["not_asked", "gone"]
    assert done.targets("a.test") == ["/", "/pic.png", "/pic.png"]
    assert done.targets("x.test") == ["/robots.txt"]


def _sent(done: Crawled, host: str) -> list[Request]:
    return [hit for hit in done.log if hit.host == host]


def test_strangers_get_none_of_the_user_s_headers(tmp_path: Path) -> None:
    """Not even with robots.txt; what is on a host of the crawl does."""
    web = FakeWeb()
    web.host("x.test").page("/")
    web.host("y.test").page("/pic.png")
    _linking(web, "http://x.test/", markup='<img src="/pic.png"><img src="http://y.test/pic.png">')
    headers = {"X-Api-Key": "s3cret", "Authorization": "Bearer s3cret", "Cookie": "sid=s3cret", "From": "me@a.test"}
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=BOTH, headers=headers)
    ours = _sent(done, "a.test")
    assert {hit.target for hit in ours} == {"/robots.txt", "/", "/pic.png"}
    for hit in ours:
        assert (hit.headers["x-api-key"], hit.headers["authorization"]) == ("s3cret", "Bearer s3cret")
    strangers = [*_sent(done, "x.test"), *_sent(done, "y.test")]
    assert [hit.target for hit in strangers] == ["/robots.txt", "/", "/robots.txt", "/pic.png"]
    assert "s3cret" not in str([hit.headers for hit in strangers])
    assert all(hit.headers["from"] == "me@a.test" for hit in strangers)


# --- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limit", [{"max_pages": 2}, {"max_pages_per_host": 2}, {"hosts": (HostSettings(match="a.test", max_pages=2),)}]
)
def test_checks_count_in_no_limit_on_pages(tmp_path: Path, limit: dict[str, Any]) -> None:
    """And what links from the pages that are stored is checked, where the limit has ended the rest."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=[f"/{number}" for number in range(9)], markup='<img src="/pic.png">')
    for number in range(9):
        site.page(f"/{number}", links=[f"http://x.test/{number}"])
    web.host("x.test").page("/0")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=BOTH, concurrency=1, **limit)
    assert len(done.pages()) == 2
    assert verdicts(done) == {"http://x.test/0": ("good", None), "http://a.test/pic.png": ("gone", "http 404")}
    assert done.summary.end_reason in (EndReason.MAX_PAGES, EndReason.COMPLETE)
    assert done.summary.pending == 8


def test_checks_count_as_requests_and_none_is_judged_by_a_head_alone(tmp_path: Path) -> None:
    """The limit of requests may end a run between a HEAD and its GET."""
    web = FakeWeb()
    x = web.host("x.test")
    for number in range(3):
        x.answer(f"/{number}", lambda hit: Answer(status=405 if hit.method == "HEAD" else 200))
    _linking(web, *(f"http://x.test/{number}" for number in range(3)))
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/", check=EXTERNAL, max_requests=6)
    assert (first.summary.end_reason, len(first.log)) == (EndReason.MAX_REQUESTS, 6)
    assert first.summary.checks == {"good": 1, "pending": 2}
    second = crawled(web, db, check=EXTERNAL, at=NIGHT + 3600)
    assert second.summary.checks == {"good": 3}


def test_max_runtime_stops_checks_and_the_next_run_goes_on(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    for number in range(30):
        x.page(f"/{number}")
    _linking(web, *(f"http://x.test/{number}" for number in range(30)))
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/", check=EXTERNAL, delay_s=1.0, max_runtime_s=15.0)
    assert first.summary.end_reason is EndReason.MAX_RUNTIME
    assert 5 < first.summary.checks["good"] < 20
    assert first.summary.checks["pending"] == 30 - first.summary.checks["good"]
    second = crawled(web, db, check=EXTERNAL, delay_s=1.0, at=NIGHT + 3600)
    assert second.summary.checks == {"good": 30}
    assert not set(asked(first, "x.test")) & set(asked(second, "x.test"))


def test_a_host_with_more_checks_than_memory_holds(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("x.test").answer("*", Answer.page())
    site = web.host("a.test")
    site.page("/", links=[f"/{number}" for number in range(4)])
    for number in range(4):
        site.page(f"/{number}", links=[f"http://x.test/{number}/{n}" for n in range(700)])
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=EXTERNAL)
    assert done.summary.checks == {"good": 2800}
    assert len(asked(done, "x.test")) == len(set(asked(done, "x.test"))) == 2800


# --- again --------------------------------------------------------------------------------------------------------


def test_a_url_is_asked_for_once_and_again_after_its_age(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("x.test").page("/")
    _linking(web, "http://x.test/")
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", check=EXTERNAL)
    assert asked(crawled(web, db, check=EXTERNAL, at=NIGHT + DAY_S), "x.test") == []
    assert asked(crawled(web, db, check=EXTERNAL, at=NIGHT + 2 * DAY_S, max_age_s=3 * DAY_S), "x.test") == []
    again = crawled(web, db, check=EXTERNAL, at=NIGHT + 4 * DAY_S, max_age_s=3 * DAY_S)
    assert asked(again, "x.test") == [("HEAD", "/")]


def test_a_link_that_comes_and_goes_is_flaky_and_one_that_broke_is_not(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    _linking(web, "http://x.test/flaky", "http://x.test/broke", "http://x.test/healed", "http://x.test/through")
    x.redirect("/through", "/flaky")
    db = tmp_path / "crawl.db"
    for night, good in enumerate([True, False, True]):
        x.status("/flaky", 200 if good else 404)
        x.status("/broke", 200 if night < 2 else 404)
        x.status("/healed", 404 if night < 2 else 200)
        done = crawled(web, db, "http://a.test/", check=EXTERNAL, max_age_s=0.0, at=NIGHT + night * DAY_S)
    found = rows(done.db, "SELECT url, verdict, flaky, good_at, broken_since FROM checked_urls ORDER BY url")
    third = NIGHT + 2 * DAY_S
    assert [(url.rpartition("/")[2], *rest[:2]) for url, *rest in found] == [
        ("broke", "gone", 0), ("flaky", "good", 1), ("healed", "good", 0), ("through", "good", 1),
    ]  # fmt: skip
    (_broke, _gone, _flaky, good_at, broken_since), (_url, _good, _is, good_now, since) = found[:2]
    assert good_at == pytest.approx(NIGHT + DAY_S, abs=10)
    assert broken_since == pytest.approx(third, abs=10)
    assert good_now == pytest.approx(third, abs=10)
    assert since is None


def test_what_no_page_leads_to_any_more_is_forgotten(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.redirect("/old", "/older")
    _linking(web, "http://x.test/old", "http://x.test/kept", markup='<img src="/pic.png">')
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", check=BOTH)
    _linking(web, "http://x.test/kept")
    done = crawled(web, db, check=EXTERNAL, max_age_s=0.0, at=NIGHT + DAY_S)
    assert verdicts(done).keys() == {"http://x.test/kept", "http://x.test/older", "http://a.test/pic.png"}
    assert rows(db, "SELECT target_url FROM broken_links") == [("http://x.test/kept",)]
    done = crawled(web, db, check=BOTH, max_age_s=0.0, at=NIGHT + 2 * DAY_S)
    assert verdicts(done).keys() == {"http://x.test/kept"}


def test_a_crawl_that_was_not_checked_is_checked_by_a_later_run(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("x.test").page("/")
    _linking(web, "http://x.test/", markup='<img src="/pic.png">')
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    done = crawled(web, db, check=BOTH, at=NIGHT + DAY_S)
    assert asked(done, "a.test") == [("HEAD", "/pic.png"), ("GET", "/pic.png")]
    assert done.summary.checks == {"good": 1, "gone": 1}
    off = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=0.0)
    assert {hit.host for hit in off.log} == {"a.test"}


def test_what_is_known_is_checked_beside_the_pages(tmp_path: Path) -> None:
    """So that a night that the pages fill does not leave it for ever; on one host, pages come first."""
    web = FakeWeb()
    site = web.host("a.test")
    x = web.host("x.test")
    for number in range(20):
        links = [*(f"/{n}" for n in range(1, 20)), f"http://x.test/{number}"]
        site.page(f"/{number or ''}", links=links, markup='<img src="/p.png">')
        x.page(f"/{number}")
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", check=BOTH)
    night = crawled(web, db, check=BOTH, at=NIGHT + DAY_S, max_age_s=0.0, delay_s=1.0, max_runtime_s=15.0)
    assert night.summary.end_reason is EndReason.MAX_RUNTIME
    assert len(asked(night, "x.test")) >= 13
    assert ("HEAD", "/p.png") not in asked(night, "a.test")
    few = crawled(web, db, check=BOTH, at=NIGHT + 1.5 * DAY_S, max_age_s=0.0, max_requests=20)
    assert len(asked(few, "a.test")) == 20  # which are for pages
    whole = crawled(web, db, check=BOTH, at=NIGHT + 2 * DAY_S, max_age_s=0.0, delay_s=1.0)
    assert asked(whole, "a.test")[-2:] == [("HEAD", "/p.png"), ("GET", "/p.png")]
    assert len(asked(whole, "x.test")) == len(set(asked(whole, "x.test"))) == 20
    assert whole.took_s < 30


@pytest.mark.parametrize("limit", [{"max_pages_per_host": 2}, {"hosts": (HostSettings(match="a.test", max_pages=2),)}])
def test_a_host_that_has_had_its_pages_is_checked_after_all_pages(tmp_path: Path, limit: dict[str, Any]) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=[f"/{n}" for n in range(5)], markup='<img src="/p.png"><img src="http://x.test/">')
    for number in range(5):
        site.page(f"/{number}")
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", check=BOTH, max_pages=1)
    done = crawled(web, db, check=BOTH, at=NIGHT + DAY_S, max_age_s=0.0, **limit)
    assert done.summary.checks == {"gone": 1, "unreachable": 1}
    assert ("HEAD", "/p.png") in asked(done, "a.test")


def test_what_comes_into_scope_is_checked_no_more(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("x.a.test").page("/")
    _linking(web, "http://x.a.test/")
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", check=EXTERNAL)
    done = crawled(web, db, check=EXTERNAL, scope=ScopeRule.ANY, at=NIGHT + DAY_S)
    assert done.status_of("http://x.a.test/") == "fetched"
    assert verdicts(done) == {}


def test_what_robots_txt_forbade_is_decided_again(tmp_path: Path) -> None:
    web = FakeWeb()
    x = web.host("x.test")
    x.robots("User-agent: *\nDisallow: /\n")
    x.page("/")
    _linking(web, "http://x.test/")
    db = tmp_path / "crawl.db"
    assert crawled(web, db, "http://a.test/", check=EXTERNAL).summary.checks == {"not_asked": 1}
    again = crawled(web, db, check=EXTERNAL, at=NIGHT + DAY_S).summary
    assert (again.checks, again.checked) == ({"not_asked": 1}, 1)
    x.robots("")
    assert crawled(web, db, check=EXTERNAL, at=NIGHT + 2 * DAY_S).summary.checks == {"good": 1}


def test_the_delay_holds_between_the_last_page_and_the_first_check(tmp_path: Path) -> None:
    web = FakeWeb()
    _linking(web, "/1", markup='<img src="/pic.png">')
    web.sites["a.test"].page("/1")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", check=RESOURCES, delay_s=30.0, max_wait_s=60.0)
    assert all(later - earlier >= 30.0 for earlier, later in pairwise(done.times("a.test")))
    assert done.summary.checks == {"gone": 1}
