"""What a visit brings back, seen in what is stored of it; and what a run that goes on needs to be told again."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from crawler.errors import UsageError
from crawler.fakeweb import Answer, DnsAnswer, FakeWeb, Fault, Request
from crawler.records import Page
from tests.frontier.crawls import DAY_S, NIGHT, a_site, crawled, rows


def test_a_name_that_does_not_resolve_fails_without_a_request(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test", dns="nxdomain")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", retries=1)
    assert done.log == []
    assert done.urls() == {"http://a.test/": ("failed", "dns")}
    assert done.summary.seeds_failed


def test_no_page_that_is_stored_is_kept_in_memory(tmp_path: Path) -> None:
    """Sixteen workers that each held their last page, until they had another, held hundreds of megabytes."""
    web = FakeWeb()
    site = a_site(web, "kept.test", 100)  # no other test has pages of this host
    pages_in_memory: list[int] = []

    def last(_request: Request) -> Answer:
        pages_in_memory.append(_pages_in_memory(of="http://kept.test/"))
        if len(pages_in_memory) == 1:
            return Answer(status=503, headers={"Retry-After": "5"})
        return Answer.page(title="The last")

    site.answer("/last", last)
    site.page("/99", links=["/last"])
    done = crawled(web, tmp_path / "crawl.db", "http://kept.test/", concurrency=16, per_host=16)
    assert done.summary.pages == 101
    assert pages_in_memory[1:] == [0]  # after a pause; at the first attempt others may be under way


def _pages_in_memory(*, of: str) -> int:
    gc.collect()
    return sum(isinstance(one, Page) and one.url.startswith(of) for one in gc.get_objects())


def test_a_name_that_resolves_again_in_time_is_crawled(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 2)
    troubles: list[DnsAnswer] = ["servfail"]
    site.dns = lambda _name: troubles.pop() if troubles else (site.address,)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", retries=2)
    assert done.summary.by_failure["dns"] >= 1
    assert done.summary.urls["fetched"] == 2


def test_a_sitemap_named_by_robots_txt_is_read_and_says_what_has_changed(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.robots("User-agent: *\nSitemap: http://a.test/map.xml\n")
    site.page("/")
    for number in range(4):
        site.page(f"/{number}", title=f"{number}")
    site.sitemap("/map.xml", [f"/{number}" for number in range(4)])
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/")
    assert first.summary.urls["fetched"] == 6
    lastmod = "<url><loc>http://a.test/2</loc><lastmod>2023-11-16</lastmod></url>"
    entries = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{lastmod}</urlset>'
    site.answer("/map.xml", Answer(body=entries, content_type="application/xml"))
    again = crawled(web, db, at=NIGHT + 1.5 * DAY_S, max_age_s="auto", max_pages=3, per_host=1)
    assert "/2" in again.targets("a.test")
    assert rows(db, "SELECT count(*) FROM urls WHERE hinted")[0][0] == 0, "what was hinted at has been looked at"


def test_xml_is_a_page_where_it_is_xhtml(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    xhtml = "<head><script src='x'/></head><body><a href='/x'>x</a></body>"
    body = f"<html xmlns='http://www.w3.org/1999/xhtml'>{xhtml}</html>"
    site.answer("/", Answer(body=body, content_type="application/xml"))
    site.answer("/x", Answer(body="<other><html/></other>", content_type="text/xml"))
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/")
    assert done.urls() == {"http://a.test/": ("fetched", None), "http://a.test/x": ("fetched", None)}
    assert rows(db, "SELECT url, text FROM current_pages") == [("http://a.test/", "x")]


def test_what_a_header_asks_of_robots_counts_like_what_the_page_asks(tmp_path: Path) -> None:
    """And a version that asks for something else is another one."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/1"], headers={"X-Robots-Tag": "nofollow, otherbot: noindex"})
    site.page("/1")
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/")
    assert first.urls()["http://a.test/1"] == ("excluded", "nofollow")
    site.page("/", links=["/1"])
    again = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0)
    assert again.urls()["http://a.test/1"][0] == "fetched"
    assert rows(db, "SELECT noindex, nofollow FROM pages ORDER BY id LIMIT 2") == [(0, 1), (0, 0)]


@pytest.mark.parametrize("location", ["mailto:a@a.test", "http://", "http://a.test:notaport/"])
def test_a_redirect_that_leads_nowhere_has_failed(tmp_path: Path, location: str) -> None:
    web = FakeWeb()
    web.host("a.test").answer("/", Answer(status=302, headers={"Location": location}))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/")
    assert done.urls() == {"http://a.test/": ("failed", "http 302")}


def test_credentials_in_a_redirect_are_not_kept(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").redirect("/", "http://user:pa55phrase@a.test/1")
    web.sites["a.test"].page("/1")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/")
    assert set(done.urls()) == {"http://a.test/", "http://a.test/1"}
    assert b"pa55phrase" not in (tmp_path / "crawl.db").read_bytes()


def test_a_date_that_the_answer_was_given_in_is_not_asked_with(tmp_path: Path) -> None:
    """A document changed in the second in which it was sent may change once more in it."""
    web = FakeWeb()
    dates = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT", "Last-Modified": "Tue, 14 Nov 2023 22:13:19 GMT"}
    web.host("a.test").page("/", headers=dates)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    again = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0)
    assert "if-modified-since" not in again.hits("a.test", "/")[0].headers


def test_a_kept_connection_that_ends_costs_no_attempt(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 3)
    site.sequence("/1", Fault.DISCONNECT, Answer.page(title="at last"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", retries=0, per_host=1)
    assert done.summary.urls["fetched"] == 3
    assert done.took_s < 2.0, "it is asked again at once"


# --- what is stored nowhere -------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_needs_its_headers_again(tmp_path: Path) -> None:
    """Or to be told that they are not wanted any more; a run that has nothing to fetch needs none."""
    web = FakeWeb()
    web.host("a.test").status("/", 503)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", headers={"X-Key": "s3cret"}, max_wait_s=1.0)
    with pytest.raises(UsageError, match="x-key"):
        crawled(web, db, at=NIGHT + DAY_S)
    web.sites["a.test"].page("/")
    done = crawled(web, db, at=NIGHT + DAY_S, headers={"X-Key": ""})
    assert done.summary.urls["fetched"] == 1
    assert "x-key" not in done.log[0].headers
    assert crawled(web, db, at=NIGHT + DAY_S).log == []


def test_credentials_of_a_seed_are_asked_for_again(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/1"])
    site.sequence("/1", Answer(status=503, headers={"Retry-After": "600"}), Answer.page())
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://user:s3cret@a.test/", max_wait_s=1.0)
    assert {hit.headers.get("authorization", "")[:6] for hit in first.log} == {"Basic "}
    with pytest.raises(UsageError, match=r"http://a\.test"):
        crawled(web, db, at=NIGHT + DAY_S)
    again = crawled(web, db, "http://user:s3cret@a.test/", at=NIGHT + DAY_S)
    assert again.status_of("http://a.test/1") == "fetched"


def test_a_new_database_without_a_seed_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seed"):
        crawled(FakeWeb(), tmp_path / "crawl.db")
