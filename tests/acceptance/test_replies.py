"""What a whole crawl makes of replies that are a little off: nothing is lost over them."""

from __future__ import annotations

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli
from tests.hostile.web import answering

pytestmark = pytest.mark.any_store

PAGE = b"Content-Type: text/html\r\nContent-Length: 16\r\n\r\n<title>T</title>"


def test_a_redirect_is_followed_to_the_bytes_that_it_names(cli: Cli) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    found = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
    site.raw("/", answering(found + b"/caf\xe9\r\n\r\n"))
    site.raw("/caf%E9", answering(found + b"/th\tere\r\n\r\n"))
    site.page("/there", title="there")
    with web.running() as served:
        cli.crawl(served, served.url("a.test"), "--delay", "0")
        assert [request.target for request in served.hits("a.test")] == ["/robots.txt", "/", "/caf%E9", "/there"]
        assert cli.pages() == [served.url("a.test", "/there")]


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("refresh", "pages"),
    [
        (b"0; url=/next", ["/", "/next"]),
        (b"5;URL='/next'", ["/", "/next"]),
        (b"0; url=/ne\txt", ["/", "/next"]),
        (b"0; url=/caf\xe9", ["/", "/caf%E9"]),
        (b"30", ["/"]),
        (b"nonsense", ["/", "/meta"]),
    ],
)
def test_a_refresh_header_counts_like_the_meta_element_and_comes_first(
    refresh: bytes, pages: list[str], cli: Cli
) -> None:
    body = b"<title>T</title><meta http-equiv=refresh content='0; url=/meta'>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nRefresh: " % len(body)
    web = FakeWeb()
    site = web.host("a.test")
    site.raw("/", answering(head + refresh + b"\r\n\r\n" + body))
    for path in ("/next", "/caf%E9", "/meta"):
        site.page(path, title="next")
    with web.running() as served:
        cli.crawl(served, served.url("a.test"), "--delay", "0")
        assert cli.pages() == sorted(served.url("a.test", path) for path in pages)


def test_what_names_no_type_is_read_where_it_looks_like_html(cli: Cli) -> None:
    types = [b"html", b"none", b"", b"text/html charset=utf-8", b"text/html (x)"]
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: %b\r\n\r\n%b"
    web = FakeWeb()
    site = web.host("a.test")
    for number, name in enumerate(types):
        for path, body in (("html", b"<!DOCTYPE html><title>T</title>"), ("other", b"%PDF-1.7 <title>T</title>")):
            site.raw(f"/{path}/{number}", answering(head % (len(body), name, body)))
    with web.running() as served:
        seeds = [served.url("a.test", path) for path in site.routes]
        outcome = cli.crawl(served, *seeds, "--delay", "0")
    assert cli.pages() == sorted(seed for seed in seeds if "/html/" in seed)
    assert outcome.summary["urls"]["fetched"] == len(seeds)


def test_a_part_that_nobody_asked_for_is_stored_as_cut(cli: Cli) -> None:
    web = FakeWeb()
    part = b"HTTP/1.1 206 Partial Content\r\nETag: x\r\nContent-Range: bytes 0-15/100\r\n" + PAGE
    web.host("a.test").raw("/", answering(part))
    with web.running() as served:
        cli.crawl(served, served.url("a.test"), "--delay", "0")
        assert cli.pages() == [served.url("a.test")]
        assert cli.rows("SELECT status_code, truncated FROM fetches WHERE status_code != 404") == [(206, 1)]


def test_an_answer_of_304_with_something_behind_it_leaves_the_page_as_it_is(cli: Cli) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.raw("/", answering(b'HTTP/1.1 200 OK\r\nETag: "1"\r\n' + PAGE))
    with web.running() as served:
        cli.crawl(served, served.url("a.test"), "--delay", "0")
        site.raw("/", answering(b"HTTP/1.1 304 Not Modified\r\n\r\n0\r\n\r\n"))
        outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--max-age", "0s")
    assert outcome.summary["by_status"]["304"] == 1
    assert outcome.summary["by_failure"] == {}
    assert cli.rows("SELECT status FROM urls WHERE kind = 'page'") == ["fetched"]
