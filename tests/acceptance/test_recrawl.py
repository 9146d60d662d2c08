"""Fetching again: what has not changed costs nothing, what has changed is kept beside what it was."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Request, Site
from tests.acceptance.conftest import Cli, Serve

pytestmark = pytest.mark.any_store

DAY_S = 86_400
FAST = ("--delay", "0", "--per-host", "8", "--concurrency", "8")
EVERYTHING = (*FAST, "--max-age", "0s")
VERSIONS = "SELECT count(*) FROM pages JOIN urls ON urls.id = url_id WHERE url LIKE '%' || ?"


def a_site(web: FakeWeb, pages: int, version: int = 1, *, name: str = "a.test", **more: Any) -> Site:
    """Each page with its version in its text and in its entity tag."""
    site = web.sites.get(name) or web.site(name, pages=pages, words_per_page=300)
    for path in site.links:
        declare(site, path, version, **more)
    return site


def declare(site: Site, path: str, version: int, **more: Any) -> None:
    words = random.Random(path).choices(["crawl", "fetch", "parse", "store", "link", "page", "wait", "host"], k=300)
    site.page(
        path,
        title=path,
        text=f"version {version} of {path}: {' '.join(words)}",
        **({"headers": {"ETag": f'"{path}-{version}"'}, "links": site.links.get(path, ())} | more),
    )


def size_of(cli: Cli) -> int:
    """Without what the file, or the tables, have grown by for later."""
    if isinstance(cli.db, Path):
        return int(cli.rows("PRAGMA page_count")[0] * cli.rows("PRAGMA page_size")[0])
    text = "(SELECT sum(length(text)) FROM pages)"
    return int(cli.rows(f"SELECT {text} + (SELECT sum(length(zstd)) FROM bodies)")[0])


@pytest.mark.thorough
def test_an_unchanged_site_answers_304_and_nothing_new_is_stored(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    a_site(web, 300)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    links, size = cli.rows("SELECT count(*) FROM links"), size_of(cli)
    outcome = cli.crawl(served, served.url("a.test"), *EVERYTHING)
    assert outcome.summary["by_status"] == {"304": 300}  # robots.txt is believed for a day
    assert outcome.summary["pages"] == 0
    assert cli.rows("SELECT count(*) FROM pages") == [300]
    assert cli.rows("SELECT count(*) FROM links") == links
    assert cli.rows("SELECT count(*) FROM fetches WHERE status_code = 304") == [300]
    assert size_of(cli) < 1.05 * size
    assert cli.crawl(served, *EVERYTHING).summary["by_status"] == {"304": 300}  # the validators are still there


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_what_says_the_same_is_no_new_version_though_its_bytes_differ(
    cli: Cli, serve: Serve, headers: dict[str, str]
) -> None:
    """The first time by a comment in the markup; where there is a weak tag, the server itself says so."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", text="same", markup="<!-- 1 -->", headers=headers)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    before = cli.rows("SELECT id, body_hash FROM pages")
    site.page("/", text="same", markup="<!-- 2 -->", headers=headers)
    outcome = cli.crawl(served, *EVERYTHING)
    assert outcome.summary["by_status"] == {"304" if headers else "200": 1}
    assert cli.rows("SELECT id, body_hash FROM pages") == before
    assert cli.rows("SELECT count(*) FROM bodies") == [1]


CHANGING_BYTES = {
    "a comment with the time": "<!-- generated at {} -->",
    "a script with a nonce": '<script nonce="{}">var token = "{}"</script>',
    "a hidden token": '<form><input type="hidden" name="csrf" value="{}"></form>',
    "an attribute": '<div data-request="{}"></div>',
}


def test_bytes_and_entity_tags_that_change_with_every_answer_make_no_version(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    cases = [*itertools.product(CHANGING_BYTES.values(), [None, '"{}"', 'W/"{}"'])]
    paths = [f"/{number}" for number in range(len(cases))]

    def changing(number: int, markup: str, tag: str | None) -> Callable[[Request], Answer]:
        answers = itertools.count(1)

        def answer(_request: Request) -> Answer:
            at = next(answers)
            headers = {} if tag is None else {"ETag": tag.format(at)}
            return Answer.page(text=f"same {number}", markup=markup.format(at, at), headers=headers)

        return answer

    site.page("/", links=paths, headers={"ETag": '"x"'})
    for number, (path, (markup, tag)) in enumerate(zip(paths, cases, strict=True)):
        site.answer(path, changing(number, markup, tag))
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    for _ in range(2):
        assert cli.crawl(served, *EVERYTHING).summary["by_status"] == {"200": len(cases), "304": 1}
    assert cli.rows("SELECT count(*) FROM pages") == [len(cases) + 1]
    assert cli.rows("SELECT count(*) FROM bodies") == [len(cases) + 1]
    for path, (_markup, tag) in zip(paths, cases, strict=True):
        last = cli.rows("SELECT etag FROM urls WHERE url = ?", served.url("a.test", path))
        assert last == [None if tag is None else tag.format(3)]  # the one to ask with


def test_a_server_that_ignores_if_none_match_makes_no_version(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    body = b"<!doctype html><title>same</title><p>same"
    head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n' % len(body)

    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)
        await writer.drain()

    web.host("a.test").raw("/", ignore)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.crawl(served, *EVERYTHING).summary["by_status"] == {"200": 1}
    assert [hit.headers.get("if-none-match") for hit in served.hits("a.test", "/")] == [None, '"1"']
    assert cli.rows("SELECT count(*) FROM pages") == [1]


def test_changed_pages_get_one_new_version_each_and_bring_their_new_links(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 60)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    changed = ["/p7", "/p21", "/p33"]
    for path in changed:
        declare(site, path, 2, links=[*site.links[path], "/new"])
    site.page("/new", title="new")
    outcome = cli.crawl(served, *EVERYTHING)
    assert outcome.summary["by_status"] == {"200": 4, "304": 57}
    assert outcome.summary["pages"] == 4
    versions = cli.rows("SELECT url FROM pages JOIN urls ON urls.id = url_id GROUP BY url HAVING count(*) = 2")
    assert sorted(versions) == sorted(served.url("a.test", path) for path in changed)
    assert len(cli.pages()) == 60 + 3 + 1
    for path in changed:
        [newest] = cli.rows(
            "SELECT text FROM urls JOIN pages ON pages.id = page_id WHERE url = ?", served.url("a.test", path)
        )
        assert "version 2" in newest


def test_last_modified_alone_is_asked_with_unless_it_is_of_the_moment(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    old = formatdate(time.time() - 90_000, usegmt=True)
    site.page("/", links=["/now"], headers={"Last-Modified": old})
    site.page("/now", headers={"Last-Modified": formatdate(time.time() + 60, usegmt=True)})
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    before = len(served.log)
    cli.crawl(served, *EVERYTHING)
    asked = {hit.target: hit.headers.get("if-modified-since") for hit in served.log[before:]}
    assert asked == {"/": old, "/now": None}


def test_a_page_that_goes_and_comes_back_has_one_history(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 5)
    served = serve(web)
    page = served.url("a.test", "/p3")
    cli.crawl(served, served.url("a.test"), *FAST)
    site.status("/p3", 410)
    cli.crawl(served, *EVERYTHING)
    assert cli.rows("SELECT status FROM urls WHERE url = ?", page) == ["gone"]
    assert cli.rows(VERSIONS, "/p3") == [1]
    declare(site, "/p3", 1)  # as it was
    assert cli.crawl(served, *EVERYTHING).summary["by_status"] == {"304": 5}
    assert cli.rows("SELECT status FROM urls WHERE url = ?", page) == ["fetched"]
    assert cli.rows(VERSIONS, "/p3") == [1]
    site.status("/p3", 404)
    cli.crawl(served, *EVERYTHING)
    declare(site, "/p3", 2)
    cli.crawl(served, *EVERYTHING)
    assert cli.rows("SELECT status FROM urls WHERE url = ?", page) == ["fetched"]
    assert cli.rows(VERSIONS, "/p3") == [2]
    codes = cli.rows("SELECT status_code FROM fetches JOIN urls ON urls.id = url_id WHERE url = ?", page)
    assert codes == [200, 410, 304, 404, 200]


def test_where_nothing_is_due_the_reason_is_said_and_what_to_do(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    a_site(web, 5)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    before = len(served.log)
    for arguments in (FAST, (served.url("a.test"), *FAST), (*FAST, "--max-age", "1h"), (*FAST, "--max-age", "auto")):
        outcome = cli.crawl(served, *arguments)
        assert re.search(r"nothing is due: 5 pages stored, newest [^;]+ ago; --max-age 0s refetches them", outcome.err)
        assert outcome.summary["complete"]
    assert len(served.log) == before


def test_an_age_takes_only_what_is_older(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    a_site(web, 20)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    age(cli, 7200, "url LIKE '%/p1_'")
    before = len(served.log)
    cli.crawl(served, *FAST, "--max-age", "1h")
    assert sorted(hit.target for hit in served.log[before:]) == sorted(f"/p{number}" for number in range(10, 20))


def age(cli: Cli, seconds: float, where: str = "true") -> None:
    """As if so much time had passed."""
    cli.change(f"UPDATE urls SET fetched_at = fetched_at - ?1, revisit_at = revisit_at - ?1 WHERE {where}", seconds)


@pytest.mark.thorough
def test_auto_looks_at_what_changes_and_leaves_what_does_not(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 10)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    asked: Counter[str] = Counter()
    for night in range(12):
        age(cli, DAY_S)
        declare(site, "/p4", night + 2)
        before = len(served.log)
        cli.crawl(served, *FAST, "--max-age", "auto")
        asked.update(hit.target for hit in served.log[before:] if hit.target != "/robots.txt")
    assert asked["/p4"] >= 8
    assert asked["/"] == 12  # a seed
    assert all(count <= 6 for path, count in asked.items() if path not in ("/", "/p4"))
    assert len(asked) == 10
    assert cli.rows(VERSIONS, "/p4") == [asked["/p4"] + 1]


def test_what_failed_is_left_until_it_is_asked_for(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/broken", "/forbidden"])
    site.status("/broken", 500)
    site.status("/forbidden", 403)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--retries", "0")
    cli.crawl(served, *EVERYTHING, "--retries", "0")
    assert [len(served.hits("a.test", path)) for path in ("/", "/broken", "/forbidden")] == [2, 1, 1]
    site.page("/broken")
    cli.crawl(served, *FAST, "--retry-failed", "--retries", "0")
    assert [len(served.hits("a.test", path)) for path in ("/", "/broken", "/forbidden")] == [2, 2, 2]
    assert cli.rows("SELECT url FROM urls WHERE status = 'failed'") == [served.url("a.test", "/forbidden")]


def test_a_stored_page_that_fails_once_is_tried_again_a_day_later(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 5)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    site.status("/p2", 403)
    cli.crawl(served, *EVERYTHING)
    sql = "SELECT status, failing_reason, next_fetch_at - ? FROM urls WHERE url LIKE '%/p2'"
    [(status, why, wait_s)] = cli.rows(sql, time.time())
    assert (status, why) == ("fetched", "http 403")
    assert 86_000 < wait_s <= DAY_S
    declare(site, "/p2", 1)
    cli.change("UPDATE urls SET next_fetch_at = 1 WHERE next_fetch_at IS NOT NULL")
    cli.change("UPDATE hosts SET next_due_at = 1 WHERE next_due_at IS NOT NULL")
    assert cli.crawl(served, *FAST).summary["by_status"] == {"304": 1}
    assert cli.rows("SELECT status FROM urls WHERE url LIKE '%/p2'") == ["fetched"]
    assert cli.rows(VERSIONS, "/p2") == [1]


@pytest.mark.thorough
def test_a_failure_that_passes_within_the_run_stores_no_version_twice(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 3)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    headers = {"ETag": '"/p1-1"'}
    site.sequence("/p1", Answer(status=500), Answer.page(title="/p1", headers=headers))
    outcome = cli.crawl(served, *EVERYTHING)
    assert outcome.summary["by_status"] == {"304": 3, "500": 1}
    assert cli.rows(VERSIONS, "/p1") == [1]


@pytest.mark.each_store
@pytest.mark.thorough
def test_a_site_that_is_down_for_a_night_is_not_lost(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 30)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    for path in site.links:
        site.status(path, 503)
    cli.crawl(served, *EVERYTHING, "--retries", "0", "--max-wait", "0s", status=4)
    a_site(web, 30)
    # a day later
    cli.change("UPDATE urls SET next_fetch_at = 1 WHERE next_fetch_at IS NOT NULL")
    cli.change("UPDATE hosts SET back_off_until = 0, next_due_at = CASE WHEN next_due_at > 0 THEN 1 END")
    cli.change("UPDATE origins SET paused_until = 0")
    cli.crawl(served, *EVERYTHING)
    assert cli.rows("SELECT count(*) FROM urls WHERE status = 'fetched' AND kind = 'page'") == [30]
    assert cli.rows("SELECT count(*) FROM pages") == [30]


@pytest.mark.thorough
def test_a_304_that_nobody_asked_for_is_no_document(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/odd", "/stubborn"])
    site.sequence("/odd", Answer(status=304), Answer.page(text="at last"))
    site.status("/stubborn", 304)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--retries", "1")
    assert cli.rows(VERSIONS, "/odd") == [1]
    assert all("if-none-match" not in hit.headers for hit in served.log)
    assert cli.rows("SELECT status, reason FROM urls WHERE url LIKE '%/stubborn'") == [("failed", "http 304")]


def test_bodies_that_were_not_kept_are_fetched_whole_and_make_no_version(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    a_site(web, 4)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--no-bodies")
    assert cli.crawl(served, *EVERYTHING, "--no-bodies").summary["by_status"] == {"304": 4}
    assert cli.crawl(served, *EVERYTHING, "--bodies").summary["by_status"] == {"200": 4}
    assert cli.rows("SELECT count(*) FROM pages JOIN bodies ON hash = body_hash") == [4]
    assert cli.rows("SELECT count(*) FROM pages") == [4]
    outcome = cli.crawl(served, *EVERYTHING)
    assert outcome.summary["by_status"] == {"304": 4}
    assert "; 4 unchanged" in outcome.out


def test_what_was_cut_is_fetched_whole(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    a_site(web, 2)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-bytes", "400")
    assert cli.rows("SELECT min(truncated) FROM pages") == [1]
    before = len(served.log)
    cli.crawl(served, *EVERYTHING, "--max-bytes", "100000")
    assert all("if-none-match" not in hit.headers for hit in served.log[before:])
    assert cli.rows("SELECT truncated FROM urls JOIN pages ON pages.id = page_id") == [0, 0]


def test_a_validator_that_a_new_version_lacks_is_forgotten(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", text="one", headers={"ETag": '"1"'})
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    site.page("/", text="two")
    cli.crawl(served, *EVERYTHING)
    cli.crawl(served, *EVERYTHING)
    assert [hit.headers.get("if-none-match") for hit in served.hits("a.test", "/")] == [None, '"1"', None]


def test_with_a_budget_seeds_and_hubs_come_first_then_what_a_sitemap_announced_then_the_plan(
    cli: Cli, serve: Serve
) -> None:
    """Whatever is likeliest to have changed: that would be the same pages in each run, and the others never."""
    web = FakeWeb()
    site = a_site(web, 40)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    a_site(web, 40, version=2)
    cli.change("UPDATE urls SET changes = 1, watched_s = 100000000, fetched_at = fetched_at - 100000")
    cli.change("UPDATE urls SET revisit_at = fetched_at + 50000")
    cli.change("UPDATE urls SET watched_s = 100000 WHERE url LIKE '%/p3_'")  # the likeliest changes
    cli.change(
        "UPDATE urls SET revisit_at = fetched_at + 1000 * CAST(substr(url, length(url)) AS int) WHERE url LIKE '%/p1_'"
    )
    cli.change("UPDATE urls SET hinted = 1 WHERE url LIKE '%/p5'")
    cli.change("UPDATE urls SET new_links = 1 WHERE url LIKE '%/p25'")
    before = len(served.log)
    options = ("--delay", "0", "--per-host", "1", "--concurrency", "1", "--max-age", "0s")
    cli.crawl(served, *options, "--max-pages", "12")
    order = [hit.target for hit in served.log[before:]]
    assert order[:3] == ["/", "/p5", "/p25"]  # seeds and hubs take turns with the others
    assert order[3:] == [f"/p{number}" for number in range(10, 19)]
    assert len(site.links) == 40


def test_a_page_whose_versions_bring_new_links_is_a_hub(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 5)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    declare(site, "/p2", 2, links=["/new1", "/new2", "/"])
    declare(site, "/p3", 2)
    for path in ("/new1", "/new2"):
        site.page(path)
    cli.crawl(served, *EVERYTHING)
    hubs = cli.rows("SELECT url, new_links FROM urls WHERE new_links > 0")
    assert hubs == [(served.url("a.test", "/p2"), 1.0)]


@pytest.mark.each_store
@pytest.mark.thorough
def test_a_sitemap_is_believed_while_its_dates_prove_true(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 8)
    served = serve(web)
    host = served.url("a.test").removesuffix("/")
    site.robots(f"Sitemap: {host}/sitemap.xml")

    def publish(*, dated: list[str]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
        urls = "".join(
            f"<url><loc>{host}{path}</loc>{f'<lastmod>{now}</lastmod>' if path in dated else ''}</url>"
            for path in site.links
        )
        site.page("/sitemap.xml", body=f"<urlset>{urls}</urlset>", content_type="application/xml")

    publish(dated=[])
    cli.crawl(served, host, *FAST)
    asked = []
    for night in range(4):
        # only seeds and sitemaps are due by plan
        cli.change(
            "UPDATE urls SET fetched_at = fetched_at - 86400,"
            " revisit_at = CASE WHEN kind = 'sitemap' THEN 1 ELSE revisit_at + 1e7 END"
        )
        publish(dated=["/p1", "/p2", "/p3", "/p4"])
        if not night:
            declare(site, "/p1", 2)
        before = len(served.log)
        cli.crawl(served, *FAST, "--max-age", "auto")
        asked.append(sum(hit.target in ("/p1", "/p2", "/p3", "/p4") for hit in served.log[before:]))
    assert asked == [4, 4, 0, 0]
    assert cli.rows(VERSIONS, "/p1") == [2]
    assert cli.rows("SELECT hints_right, hints_wrong FROM hosts") == [(1, 7)]


def test_what_was_answered_before_is_not_given_up_for_one_bad_night(cli: Cli, serve: Serve) -> None:
    """Pages, and what holds none: a sitemap, a redirect, a page that was gone, a document of another type."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/moved", "/gone", "/paper.pdf", "/page", "/never"])

    def publish(*paths: str) -> None:
        urls = "".join(f"<url><loc>{host}{path}</loc></url>" for path in paths)
        site.page("/sitemap.xml", body=f"<urlset>{urls}</urlset>", content_type="application/xml")
        site.redirect("/moved", "/page")
        site.status("/gone", 404)
        site.page("/paper.pdf", body=b"%PDF", content_type="application/pdf")
        site.page("/page")

    site.status("/never", 403)
    served = serve(web)
    host = served.url("a.test").removesuffix("/")
    site.robots(f"Sitemap: {host}/sitemap.xml")
    publish()
    cli.crawl(served, host, *FAST)
    first = sorted(cli.rows("SELECT url, status FROM urls"))
    for path in ("/sitemap.xml", "/moved", "/gone", "/paper.pdf", "/page"):
        site.status(path, 403)
    cli.crawl(served, *EVERYTHING)
    assert sorted(cli.rows("SELECT url, status FROM urls")) == first
    assert len(cli.rows("SELECT url FROM failing_urls")) == 5
    publish()
    cli.let_pass(DAY_S)
    cli.crawl(served, *FAST)
    assert sorted(cli.rows("SELECT url, status FROM urls")) == first


@pytest.mark.thorough
def test_stored_pages_outlive_a_host_that_vanishes_however_many_were_pending(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = a_site(web, 1300)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    # many at once that are to be tried again
    cli.change("UPDATE urls SET status = 'failed', reason = 'http 403' WHERE kind = 'page'")
    cli.change("UPDATE origins SET robots_expires_at = 0")
    site.dns = "nxdomain"
    cli.crawl(served, *FAST, "--retry-failed", "--retries", "0", status=None)
    assert cli.rows("SELECT count(*) FROM urls WHERE kind = 'page' AND next_fetch_at IS NULL") == [0]


def test_a_star_as_entity_tag_is_no_validator(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    texts = iter(("one", "two"))

    def answer(request: Request) -> Answer:
        if request.headers.get("if-none-match") == "*":
            return Answer(status=304)
        return Answer.page(text=next(texts), headers={"ETag": "*"})

    site.answer("/", answer)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    cli.crawl(served, *EVERYTHING)
    assert cli.rows("SELECT text FROM pages ORDER BY id") == ["one", "two"]


def test_that_nothing_is_due_is_said_of_runs_that_tried_nothing_and_of_no_others(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.robots("User-agent: *\nDisallow: /private")
    site.page("/", links=["/private"])
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    cli.change("UPDATE origins SET robots_expires_at = 0")
    outcome = cli.crawl(served, *FAST)
    assert outcome.summary["requests"] == 1  # what it forbade is judged again by a robots.txt of today
    assert re.search(r"nothing is due: 1 page stored, newest [^;]+ ago; --max-age 0s refetches it;", outcome.err)

    site.dns = "nxdomain"
    outcome = cli.crawl(served, *EVERYTHING, "--retries", "0", status=4)
    assert "nothing is due" not in outcome.err
    outcome = cli.crawl(served, *EVERYTHING, "--retries", "0")  # there is nothing new that a person should know
    nothing = "nothing is due: no pages stored (1 page could not be fetched); --retry-failed retries failed URLs"
    assert nothing in outcome.err


@pytest.mark.thorough
@pytest.mark.parametrize("by", ["header", "meta", "link"])
def test_what_robots_are_asked_makes_a_version_and_its_links_are_judged_again(cli: Cli, serve: Serve, by: str) -> None:
    web = FakeWeb()
    site = web.host("a.test")

    def publish(*, asks: bool) -> None:
        meta = '<meta name="robots" content="noindex, nofollow">' if asks and by == "meta" else ""
        rel = ' rel="nofollow"' if asks and by == "link" else ""
        headers = {"X-Robots-Tag": "noindex, nofollow"} if asks and by == "header" else {}
        site.page("/", body=f"<!doctype html><title>t</title>{meta}<a href=/behind{rel}>x</a>", headers=headers)

    site.page("/behind")
    served = serve(web)
    publish(asks=True)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.rows("SELECT reason FROM urls WHERE url LIKE '%/behind'") == ["nofollow"]
    publish(asks=False)
    for _ in range(2):
        cli.crawl(served, *EVERYTHING)
        assert cli.rows("SELECT status FROM urls WHERE url LIKE '%/behind'") == ["fetched"]
        versions = cli.rows("SELECT noindex, p.nofollow, l.nofollow FROM pages p JOIN links l ON page_id = p.id")
        assert versions == [(by != "link", by != "link", by == "link"), (0, 0, 0)]
    publish(asks=True)
    cli.crawl(served, *EVERYTHING)
    assert len(cli.pages()) == 4


def test_a_page_that_fails_for_once_is_fetched_in_the_next_night(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/f"])
    site.sequence("/f", Answer.page(text="f"), Answer(status=403), Answer.page(text="f"))
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    cli.let_pass(DAY_S)
    cli.crawl(served, *EVERYTHING)
    assert cli.rows("SELECT failing_reason FROM urls WHERE url LIKE '%/f'") == ["http 403"]
    cli.let_pass(DAY_S - 600)  # ten minutes early: the nights are not equally long
    cli.crawl(served, *EVERYTHING)
    assert cli.rows("SELECT status, failing_reason FROM urls WHERE url LIKE '%/f'") == [("fetched", None)]


def test_a_night_without_the_server_changes_no_status_and_is_told(cli: Cli, serve: Serve) -> None:
    """The next one is fetched again as a whole; one page that goes on failing while the others are fine has failed."""
    web = FakeWeb()
    site = a_site(web, 40)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    for path in site.links:
        site.status(path, 500)
    cli.let_pass(DAY_S)
    cli.crawl(served, *EVERYTHING, "--retries", "0", status=4)
    assert cli.rows("SELECT status, count(*) FROM urls WHERE kind = 'page' GROUP BY status") == [("fetched", 40)]
    assert "40 failing since" in cli.command("status", "--db", str(cli.db)).out
    status = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    assert (status["failing"]["urls"], status["failing"]["reasons"]) == (40, {"http 500": 40})
    assert status["urls"]["failed"] == 0

    a_site(web, 40)
    site.status("/p7", 500)
    cli.let_pass(DAY_S)
    cli.crawl(served, *EVERYTHING, "--retries", "0")
    assert cli.rows("SELECT url FROM failed_urls") == [served.url("a.test", "/p7")]
    assert cli.rows("SELECT count(*) FROM urls WHERE status = 'fetched' AND failing_since IS NULL") == [39]
    assert "failing since" not in cli.command("status", "--db", str(cli.db)).out


@pytest.mark.thorough
def test_a_budget_that_the_seeds_would_use_up_leaves_nothing_for_ever(cli: Cli, serve: Serve) -> None:
    """Six seeds that change each night and bring a page each, and room for four pages."""
    web = FakeWeb()
    site = web.host("a.test")
    nights: list[int] = []

    def seed(request: Request) -> Answer:
        links = [f"{request.target}/{number}" for number in nights]
        return Answer.page(text=f"night {nights[-1]}", links=links)

    site.page("*")
    paths = [f"/s{number}" for number in range(6)]
    for path in paths:
        site.answer(path, seed)
    served = serve(web)
    for night in range(5):
        nights.append(night)
        cli.crawl(served, *[served.url("a.test", path) for path in paths], *EVERYTHING, "--max-pages", "4")
    assert cli.rows("SELECT count(*) >= 6 FROM urls WHERE seed = 0 AND page_id IS NOT NULL") == [1]
    assert cli.rows("SELECT count(*) FROM urls WHERE seed > 0 AND page_id IS NULL") == [0]


def test_pages_that_an_unreachable_robots_txt_keeps_from_being_fetched_again_are_told_of(
    cli: Cli, serve: Serve
) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    cli.change("UPDATE origins SET robots_expires_at = 0, robots_fetched_at = 0")  # too old to be obeyed
    site.status("/robots.txt", 500)
    for _ in range(2):
        outcome = cli.crawl(served, *EVERYTHING, "--retries", "0")
        assert "nothing is due" not in outcome.err
        assert outcome.summary["backing_off"] == ["a.test"]
        assert outcome.summary["end_reason"] == "waiting"
        assert "none; refetches postponed (some on hosts that asked for a pause" in outcome.out
    assert served.hits("a.test", "/robots.txt") == served.log[0:1] + served.log[2:3]


def test_a_page_that_was_cut_is_whole_once_it_was_read_whole(cli: Cli, serve: Serve) -> None:
    """Although its text and links were in the part that was kept."""
    web = FakeWeb()
    site = web.host("a.test")
    body = f"<!doctype html><title>t</title><p>text<script>{'x' * 5000}</script>".encode()
    site.page("/", body=body, headers={"ETag": '"1"'})
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-bytes", "1000")
    for _ in range(2):
        cli.crawl(served, *EVERYTHING, "--max-bytes", "100000")
        newest = "SELECT truncated, size FROM urls JOIN pages p ON p.id = page_id JOIN bodies ON hash = p.body_hash"
        assert cli.rows(newest) == [(0, len(body))]
    assert [hit.headers.get("if-none-match") for hit in served.hits("a.test", "/")] == [None, None, '"1"']
    assert len(cli.pages()) == 2
