"""Sitemaps and feeds, wherever their URLs come from: read as what they are, within the protocol's limits; what they say
is kept, and what was left out is said.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Site
from tests.frontier.crawls import DAY_S, NIGHT, crawled, rows

LISTINGS: dict[str, tuple[str, str, str]] = {  # body, type, kind
    "sitemap": ("<urlset><url><loc>/in</loc></url></urlset>", "application/xml", "sitemap"),
    "sitemap as HTML": ("<?xml version='1.0'?><urlset><url><loc>/in</loc></url></urlset>", "text/html", "sitemap"),
    "sitemap without a type": ("<urlset><url><loc>/in</loc></url></urlset>", "", "sitemap"),
    "index": ("<sitemapindex><sitemap><loc>/more</loc></sitemap></sitemapindex>", "text/xml", "sitemap"),
    "list": ("# all\nhttp://a.test/in\n", "text/plain", "sitemap"),
    "rss": ("<rss><channel><item><link>/in</link></item></channel></rss>", "application/rss+xml", "feed"),
    "rss as HTML": ("<rss><channel><item><link>/in</link></item></channel></rss>", "text/html", "feed"),
    "rdf": (
        '<rdf:RDF xmlns="http://purl.org/rss/1.0/"><item rdf:about="/in"/></rdf:RDF>', "application/rdf+xml", "feed"
    ),
    "atom": ("<feed><entry><link href='/in'/></entry></feed>", "application/atom+xml", "feed"),
    "json": ('{"version": "https://jsonfeed.org/version/1.1", "items": [{"url": "/in"}]}', "application/json", "feed"),
}  # fmt: skip


def a_web(**listing: Any) -> tuple[FakeWeb, Site]:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/listing"])
    site.page("/in", title="In it")
    site.answer("/more", Answer(body="<urlset><url><loc>/in</loc></url></urlset>", content_type="text/xml"))
    if listing:
        site.answer("/listing", Answer(**listing))
    return web, site


@pytest.mark.parametrize("seed", ["/listing", "/"], ids=["as a seed", "as a link"])
@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_is_read_as_what_it_is(name: str, seed: str, tmp_path: Path) -> None:
    body, content_type, kind = LISTINGS[name]
    web, _site = a_web(body=body, content_type=content_type)
    done = crawled(web, tmp_path / "crawl.db", f"http://a.test{seed}")
    assert done.pages()[-1] == "http://a.test/in"
    assert rows(done.db, "SELECT kind, status, page_id FROM urls WHERE url LIKE '%/listing'") == [
        (kind, "fetched", None)
    ]
    assert done.summary.complete


def test_a_listing_that_robots_txt_names_too_is_asked_for_once(tmp_path: Path) -> None:
    web, site = a_web(body=LISTINGS["sitemap"][0], content_type="application/xml")
    site.robots("Sitemap: http://a.test/listing\n")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/listing")
    assert done.targets("a.test") == ["/robots.txt", "/listing", "/in"]


def test_a_packed_sitemap_is_read_as_a_link(tmp_path: Path) -> None:
    packed = gzip.compress(LISTINGS["sitemap"][0].encode())
    web, _site = a_web(body=packed, content_type="application/x-gzip")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/")
    assert "http://a.test/in" in done.pages()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<html><p>See http://a.test/in <urlset/>", "text/html"),
        ("<!-- <urlset> --><p>x", "text/html"),
        ("<?xml version='1.0'?><!DOCTYPE html><html><body>x</body></html>", "application/xhtml+xml"),
        ("<article><rss></article>", "text/html"),
    ],
)
def test_a_page_stays_one(body: str, content_type: str, tmp_path: Path) -> None:
    web, _site = a_web(body=body, content_type=content_type)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/listing")
    assert done.pages() == ["http://a.test/listing"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<note><url><loc>http://a.test/in</loc></url></note>", "application/xml"),
        ("<rdf:RDF xmlns:foaf='http://xmlns.com/foaf/0.1/'><item rdf:about='/in'/></rdf:RDF>", "application/rdf+xml"),
        ('{"items": [{"url": "http://a.test/in"}]}', "application/json"),
        ("Read this:\nhttp://a.test/in\n", "text/plain"),
        ("http://a.test/in\nis a URL\n", "text/plain"),
        ("\x1f\x8bno gzip at all", "application/gzip"),
    ],
)
def test_other_documents_are_not_read(body: str, content_type: str, tmp_path: Path) -> None:
    web, _site = a_web(body=body.encode("latin-1"), content_type=content_type)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/listing")
    assert done.urls() == {"http://a.test/listing": ("fetched", None)}
    assert rows(done.db, "SELECT kind FROM urls WHERE url LIKE '%/listing'") == [("page",)]


def test_a_sitemap_that_was_taken_for_a_page_once_is_asked_for_again(tmp_path: Path) -> None:
    """A database of 0.1.0, in which its URL was a seed; then robots.txt names it."""
    web, site = a_web(body=LISTINGS["sitemap"][0], content_type="image/png")
    db = tmp_path / "crawl.db"
    assert crawled(web, db, "http://a.test/listing").pages() == []
    assert rows(db, "SELECT kind, status FROM urls WHERE url LIKE '%/listing'") == [("page", "fetched")]
    site.robots("Sitemap: http://a.test/listing\n")
    done = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=86400.0)
    assert done.pages() == ["http://a.test/in"]
    assert rows(db, "SELECT kind, status FROM urls WHERE url LIKE '%/listing'") == [("sitemap", "fetched")]


def test_a_page_keeps_its_kind_though_robots_txt_calls_it_a_sitemap(tmp_path: Path) -> None:
    web, site = a_web(body="<p>x", content_type="text/html")
    site.robots("Sitemap: http://a.test/listing\n", delay_s=2)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/listing", ignore_robots=True)
    crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=86400.0)
    assert rows(db, "SELECT kind, status FROM urls WHERE url LIKE '%/listing'") == [("page", "fetched")]


# --- limits -----------------------------------------------------------------------------------------------------------


def urlset(count: int, filler: str = "") -> str:
    return "<urlset>" + "".join(f"<url><loc>/{n}</loc>{filler}</url>" for n in range(count)) + "</urlset>"


@pytest.mark.parametrize("named", ["by robots.txt", "as a seed"])
def test_the_limits_of_a_sitemap_are_those_of_its_protocol(named: str, tmp_path: Path) -> None:
    body = urlset(9_000, "<!-- " + "x" * 300 + " -->")
    web, site = a_web(body=body, content_type="application/xml")
    if named == "by robots.txt":
        site.robots("Sitemap: http://a.test/listing\n")
    seed = "http://a.test/in" if named == "by robots.txt" else "http://a.test/listing"
    done = crawled(web, tmp_path / "crawl.db", seed, max_bytes=1_000_000, exclude=(r"/\d+$",))
    assert rows(done.db, "SELECT count(*) FROM sitemap_entries") == [(9_000,)]
    assert rows(done.db, "SELECT bytes, truncated, message FROM fetches JOIN urls ON urls.id = url_id"
                         " WHERE kind = 'sitemap'") == [(len(body), 0, None)]  # fmt: skip
    assert done.summary.cut_sitemaps == 0


@pytest.mark.thorough
def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    web, _site = a_web(body=urlset(50_010), content_type="application/xml")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/listing", exclude=(r"/\d+$",))
    assert rows(done.db, "SELECT count(*) FROM sitemap_entries") == [(50_000,)]
    said = "it has more than 50,000 entries; 50,000 entries were read"
    assert f"http://a.test/listing: {said}" in done.notices
    assert rows(done.db, "SELECT truncated, message FROM fetches WHERE truncated") == [(1, said)]
    assert done.summary.cut_sitemaps == 1
    assert done.summary.as_dict()["cut_sitemaps"] == 1


def test_a_sitemap_beyond_50_mib_is_cut_and_so_is_its_packed_form(tmp_path: Path) -> None:
    body = (
        urlset(3).removesuffix("</urlset>") + " " * 52 * 1024**2 + "<url><loc>/behind</loc></url></urlset>"
    ).encode()
    web, site = a_web(body=body, content_type="application/xml")
    site.robots("Sitemap: http://a.test/packed\n")
    site.answer("/packed", Answer(body=gzip.compress(body), content_type="application/gzip"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/listing", max_pages=1)
    assert rows(done.db, "SELECT count(*) FROM sitemap_entries") == [(6,)]
    assert done.summary.cut_sitemaps == 2
    assert sum("it is longer than 50 MiB; 3 entries were read" in notice for notice in done.notices) == 2


# --- what is kept -----------------------------------------------------------------------------------------------------

ENTRY = """<url><loc>/1</loc><lastmod>2023-11-01</lastmod><priority>0.5</priority>
<xhtml:link rel="alternate" hreflang="de" href="/de/1"/><image:image><image:loc>/1.png</image:loc></image:image>
<news:news><news:title>Title &amp; more</news:title></news:news></url>"""


def entries(db: Path) -> list[tuple[Any, ...]]:
    return rows(
        db,
        "SELECT s.url, u.url, lastmod, data FROM sitemap_entries JOIN urls AS s ON s.id = sitemap_id"
        " JOIN urls AS u ON u.id = url_id ORDER BY s.url, u.url",
    )


def test_what_a_sitemap_says_of_a_url_is_kept(tmp_path: Path) -> None:
    web, _site = a_web(
        body=f"<urlset>{ENTRY}<url><loc>http://other.test/</loc></url></urlset>", content_type="text/xml"
    )
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/listing", scope="host")
    [first, other] = entries(done.db)
    assert first[:3] == ("http://a.test/listing", "http://a.test/1", 1698796800.0)
    assert json.loads(first[3]) == {
        "priority": 0.5,
        "alternates": [["de", "http://a.test/de/1"]],
        "images": ["http://a.test/1.png"],
        "title": "Title & more",
    }
    assert other == ("http://a.test/listing", "http://other.test/", None, None)


def test_two_sitemaps_may_name_a_url_and_what_is_named_no_more_goes(tmp_path: Path) -> None:
    web, site = a_web(body="<urlset><url><loc>/in</loc></url><url><loc>/gone</loc></url></urlset>",
                      content_type="text/xml")  # fmt: skip
    site.robots("Sitemap: http://a.test/listing\nSitemap: http://a.test/more\n")
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    named = {(sitemap[13:], url[13:]) for sitemap, url, *_ in entries(db)}
    assert named == {("/listing", "/in"), ("/listing", "/gone"), ("/more", "/in")}
    site.answer("/listing", Answer(body="<urlset><url><loc>/new</loc></url></urlset>", content_type="text/xml"))
    site.answer("/more", Answer(status=404))
    crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=86400.0)
    assert {(sitemap[13:], url[13:]) for sitemap, url, *_ in entries(db)} == {("/listing", "/new")}


def test_what_a_sitemap_names_stays_where_it_has_not_changed(tmp_path: Path) -> None:
    web, site = a_web()

    def answer(request: Any) -> Answer:
        known = "If-None-Match" in request.headers
        return Answer(status=304 if known else 200, body="" if known else urlset(3), headers={"ETag": '"x"'},
                      content_type="text/xml")  # fmt: skip

    site.answer("/listing", answer)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/listing")
    done = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=86400.0)
    assert done.summary.by_status["304"] == 1
    assert len(entries(db)) == 3


@pytest.mark.thorough
def test_a_long_sitemap_whose_run_is_killed_between_its_parts_is_read_again(tmp_path: Path) -> None:
    """Its parts are committed one after the other, its own state last."""
    web, _site = a_web(body=urlset(20_000), content_type="text/xml")
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/listing", max_pages=1)
    with closing(sqlite3.connect(db)) as connection, connection:  # as a kill after the first part leaves it
        connection.create_function("owner_of", 1, lambda _id: None)
        connection.execute("DELETE FROM sitemap_entries WHERE url_id > 4000")
        connection.execute(
            "UPDATE urls SET status = 'pending', kind = 'page', next_fetch_at = 1 WHERE url LIKE '%/listing'"
        )
        connection.execute("UPDATE hosts SET next_due_at = 1")
    crawled(web, db, max_pages=1, at=NIGHT + 60)
    assert rows(db, "SELECT count(*) FROM sitemap_entries") == [(20_000,)]


def test_feeds_say_what_has_changed_like_sitemaps(tmp_path: Path) -> None:
    web, site = a_web()
    feed = "<feed>{}</feed>"
    entry = "<entry><link href='http://a.test/{}'/><updated>{}</updated></entry>"
    for number in range(4):
        site.page(f"/{number}", title=f"{number}")
    site.answer("/listing", Answer(body=feed.format("".join(entry.format(n, "2020-01-01") for n in range(4))),
                                   content_type="application/atom+xml"))  # fmt: skip
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/listing")
    assert {row[0] for row in rows(db, "SELECT DISTINCT found_by FROM urls WHERE url LIKE '%/_'")} >= {"feed"}
    site.answer(
        "/listing", Answer(body=feed.format(entry.format(2, "2023-11-16")), content_type="application/atom+xml")
    )
    again = crawled(web, db, at=NIGHT + 1.5 * DAY_S, max_age_s="auto", max_pages=1, per_host=1)
    assert "/2" in again.targets("a.test")


# --- feeds that pages name --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type", ["application/rss+xml", "application/atom+xml", "application/feed+json", "Application/RSS+XML"]
)
def test_a_feed_that_a_page_names_is_recorded_and_followed_with_an_option(media_type: str, tmp_path: Path) -> None:
    web, site = a_web(body=LISTINGS["atom"][0], content_type="application/octet-stream")
    site.page("/", head=f'<link rel="alternate" type="{media_type}" href="/listing">')
    db = tmp_path / "crawl.db"
    without = crawled(web, db, "http://a.test/")
    assert without.pages() == ["http://a.test/"]
    assert rows(db, "SELECT url FROM alternates WHERE kind = 'feed'") == [("http://a.test/listing",)]
    done = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=86400.0, feeds=True)
    assert done.pages()[-1] == "http://a.test/in"
    assert rows(db, "SELECT kind, found_by FROM urls WHERE url LIKE '%/listing'") == [("feed", "link")]
    assert rows(db, "SELECT found_by FROM urls WHERE url LIKE '%/in'") == [("feed",)]


def test_feeds_of_pages_that_have_not_changed_are_followed_once_the_option_is_given(tmp_path: Path) -> None:
    """A 304 brings no page: the feeds are those that the stored one names, looked for at its first visit since then."""
    web, site = a_web(body=LISTINGS["atom"][0], content_type="application/atom+xml")
    feed = '<link rel="alternate" type="application/atom+xml" href="/listing">'
    nofollow = '<meta name="robots" content="nofollow"><link rel="alternate" type="application/rss+xml" href="/other">'
    db = tmp_path / "crawl.db"
    for path, head in (("/", feed), ("/shy", nofollow), ("/bare", "")):
        site.page(path, head=head, headers={"ETag": '"1"'})
    crawled(web, db, *(f"http://a.test{path}" for path in ("/", "/shy", "/bare")))
    for path in ("/", "/shy", "/bare"):
        site.answer(path, Answer(status=304, headers={"ETag": '"1"'}))
    without = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0)
    assert "http://a.test/listing" not in without.urls()

    done = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=0.0, feeds=True)

    assert done.summary.changes["unchanged"] == 3
    assert done.pages()[-1] == "http://a.test/in"
    found = "SELECT kind, found_by FROM urls WHERE url = 'http://a.test/listing'"
    assert rows(db, found) == [("feed", "link")]
    on = "SELECT p.url FROM urls AS u JOIN urls AS p ON p.id = u.found_on WHERE u.url = 'http://a.test/listing'"
    assert rows(db, on) == [("http://a.test/",)]
    assert "http://a.test/other" not in done.urls()

    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE pages SET alternates = replace(alternates, '/listing', '/third')")
    again = crawled(web, db, at=NIGHT + 3 * DAY_S, max_age_s=0.0, feeds=True)
    assert "http://a.test/third" not in again.urls(), "what was looked at is not looked at each night"


def test_a_feed_of_a_nofollow_page_or_out_of_scope_is_not_followed(tmp_path: Path) -> None:
    web, site = a_web(body=LISTINGS["atom"][0], content_type="application/atom+xml")
    feed = '<link rel="alternate" type="application/atom+xml" href="{}">'
    site.page("/", head='<meta name="robots" content="nofollow">' + feed.format("/listing"), links=["/x"])
    site.page("/x", head=feed.format("http://other.test/feed"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", "http://a.test/x", feeds=True)
    assert done.pages() == ["http://a.test/", "http://a.test/x"]
    assert done.urls()["http://other.test/feed"] == ("excluded", "scope")
    assert "http://a.test/listing" not in done.urls()
