"""What a whole run keeps of its visits beyond pages and links: header fields, times, and what named a URL first."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.fakeweb import Answer, FakeWeb
from tests.frontier.crawls import DAY_S, NIGHT, crawled, rows

HEADERS = "SELECT name, value FROM response_headers WHERE url = 'http://a.test/' ORDER BY fetch_id, place"


def a_web() -> FakeWeb:
    web = FakeWeb()
    site = web.host("a.test")
    site.robots("User-agent: *\nSitemap: http://a.test/map.xml\n")
    site.sitemap("/map.xml", ["/listed", "/"])
    site.page("/", links=["/1", "/moved", "/listed", "http://b.test/"], headers={"Set-Cookie": "id=s3cret; Path=/"})
    site.page("/1", markup="<meta http-equiv=refresh content='0; url=/fresh'>", delay_s=0.25)
    site.page("/listed", headers={"Link": '</canonical>; rel="canonical", </2>; rel=next'})
    site.redirect("/moved", "/there")
    for path in ("/fresh", "/there"):
        site.page(path)
    return web


def test_each_url_knows_what_named_it_first(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", "http://a.test/")
    path = "substr({0}.url, iif({0}.url GLOB 'http://a.*', 14, 1))".format
    sql = f"SELECT {path('u')}, u.found_by, {path('f')} FROM urls AS u LEFT JOIN urls AS f ON f.id = u.found_on"
    assert {url: (found_by, on) for url, found_by, on in rows(done.db, sql)} == {
        "/robots.txt": (None, None),
        "/map.xml": ("robots", "/robots.txt"),
        "/": ("seed", None),
        "/1": ("link", "/"),
        "/moved": ("link", "/"),
        "http://b.test/": ("link", "/"),
        "/listed": ("link", "/"),
        "/fresh": ("refresh", "/1"),
        "/there": ("redirect", "/moved"),
    }  # fmt: skip


def test_a_page_that_only_a_sitemap_names(tmp_path: Path) -> None:
    web = a_web()
    web.sites["a.test"].page("/", links=[])
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/")
    on = "SELECT u.found_by, f.url FROM urls AS u JOIN urls AS f ON f.id = u.found_on WHERE u.url = 'http://a.test/listed'"
    assert rows(done.db, on) == [("sitemap", "http://a.test/map.xml")]


def test_header_fields_are_kept_of_every_response_and_no_cookie(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", "http://a.test/", headers={"Authorization": "Basic mine"})
    assert ("Set-Cookie", "id; Path=/") in rows(done.db, HEADERS)
    kept = rows(done.db, "SELECT count(*), count(head_id) FROM fetches")
    assert kept[0][0] == kept[0][1] > 5
    assert b"s3cret" not in done.db.read_bytes()
    assert b"Basic mine" not in done.db.read_bytes()


def test_no_header_field_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    done = crawled(a_web(), tmp_path / "crawl.db", "http://a.test/", response_headers=False)
    assert rows(done.db, HEADERS) == rows(done.db, "SELECT id FROM heads") == []
    canonical = "SELECT canonical_url, next_url FROM pages WHERE canonical_url IS NOT NULL"
    assert rows(done.db, canonical) == [("http://a.test/canonical", "http://a.test/2")]


def test_views_unfold_what_pages_name(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    names = '<link rel=alternate hreflang={} href="{}">'.format
    head = "".join(names(path.strip("/"), path) for path in ("/de", "/fr", "/gone", "/hidden", "/nobody", "/en"))
    site.page("/en", head=head, links=["/de#top", "/fr", "/gone", "/hidden"], markup="<img src=/i.png alt=A width=5>")
    site.page("/de", head=names("en", "/en") + "<link rel=alternate type=application/rss+xml title=F href=/feed>")
    site.page("/fr", head=names("de", "/de"))
    site.status("/gone", 410)
    site.page("/hidden", head="<meta name=robots content=noindex>")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/en")
    problems = rows(
        done.db, "SELECT url, language, alternate_url, problem, reason FROM hreflang_problems ORDER BY 1, 2"
    )
    at = "http://a.test"
    assert problems == [
        (f"{at}/en", "fr", f"{at}/fr", "one-sided", None),
        (f"{at}/en", "gone", f"{at}/gone", "gone", None),
        (f"{at}/en", "hidden", f"{at}/hidden", "noindex", None),
        (f"{at}/en", "nobody", f"{at}/nobody", "unknown", None),
        (f"{at}/fr", "de", f"{at}/de", "one-sided", None),
    ]
    feeds = "SELECT page_url, url, media_type, title FROM alternates WHERE kind = 'feed'"
    assert rows(done.db, feeds) == [(f"{at}/de", f"{at}/feed", "application/rss+xml", "F")]
    shown = "SELECT page_url, kind, url, alt, width, height FROM resources"
    assert rows(done.db, shown) == [(f"{at}/en", "image", f"{at}/i.png", "A", "5", None)]
    details = "SELECT page_url, target_url, anchor, fragment FROM link_details"
    assert rows(done.db, details) == [(f"{at}/en", f"{at}/de", "/de#top", "top")]


def test_the_time_to_the_first_byte(tmp_path: Path) -> None:
    web = a_web()
    web.sites["a.test"].answer("/there", Answer(body=b"x" * 9, headers={"Content-Length": "99"}, close=True))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", retries=0)
    first_byte = "SELECT first_byte_s FROM fetches JOIN urls ON urls.id = url_id WHERE url = 'http://a.test/{}'"
    assert rows(done.db, first_byte.format("1")) == [(pytest.approx(0.25, abs=0.01),)]
    assert rows(done.db, first_byte.format("there"))[0][0] is not None


@pytest.mark.parametrize(("link", "changes"), [("</2>; rel=canonical", "metadata"), ("</2>; rel=prev", "unchanged")])
def test_what_changes_in_a_link_header_alone(tmp_path: Path, link: str, changes: str) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    web.host("a.test").page("/", headers={"Link": "</1>; rel=canonical"})
    crawled(web, db, "http://a.test/")
    web.sites["a.test"].page("/", headers={"Link": f"</1>; rel=canonical, {link}" if "prev" in link else link})
    again = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0)
    assert {kind for kind, number in again.summary.changes.items() if number} == {changes}
    assert rows(db, "SELECT prev_url FROM pages ORDER BY id DESC LIMIT 1") == [
        ("http://a.test/2" if "prev" in link else None,)
    ]
