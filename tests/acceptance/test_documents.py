"""Plain text and PDF are pages, too: stored with their type and text, counted, and followed nowhere."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import OPTIONS, Cli, Serve
from tests.pdf_files import a_pdf

pytestmark = pytest.mark.any_store

FAST = ("--delay", "0", "--concurrency", "16")
WITHOUT_PDF = "import sys; sys.modules['pypdfium2'] = None; from crawler.cli import main; main()"
PAGES = (
    "SELECT u.url, p.content_type, p.title, p.text FROM pages AS p JOIN urls AS u ON u.id = p.url_id"
    " WHERE p.content_type IN ('text/plain', 'application/pdf') ORDER BY u.url"
)


def a_library() -> FakeWeb:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="home", links=["/notes.txt", "/paper.pdf", "/locked.pdf", "/archive.bin"])
    site.page("/notes.txt", body="Notes\n  https://b.test/named\n", content_type="text/plain; charset=utf-8")
    paper = a_pdf(["A paper", "https://b.test/named"], about=b"/Title (On paper)")
    site.page("/paper.pdf", body=paper, content_type="application/pdf")
    site.page("/locked.pdf", body=a_pdf(["secret"], encrypted=True), content_type="application/pdf")
    site.page("/archive.bin", body=b"\x00\x01\x02", content_type="text/plain")
    return web


def stored(served: Served, *rows: tuple[str | None, ...]) -> list[tuple[str | None, ...]]:
    return [(served.url("a.test", path or ""), *rest) for path, *rest in rows]


def test_text_and_pdf_are_stored_as_pages_and_what_cannot_be_read_is_fetched_without(cli: Cli, serve: Serve) -> None:
    served = serve(a_library())
    outcome = cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.rows(PAGES) == stored(
        served,
        ("/notes.txt", "text/plain", None, "Notes\n  https://b.test/named"),
        ("/paper.pdf", "application/pdf", "On paper", "A paper\nhttps://b.test/named"),
    )
    assert cli.rows("SELECT count(*) FROM urls WHERE url LIKE '%named'") == [0]
    assert outcome.summary["pages"] == 3
    assert outcome.summary["urls"]["fetched"] == 5
    assert outcome.summary["complete"]
    assert outcome.summary["by_failure"] == {}
    assert cli.rows("SELECT url FROM missing_titles") == []


def test_they_count_in_max_pages_and_are_new_once(cli: Cli, serve: Serve) -> None:
    served = serve(a_library())
    limited = cli.crawl(served, served.url("a.test"), *FAST, "--max-pages", "2", "--concurrency", "1")
    assert (limited.summary["pages"], limited.summary["end_reason"]) == (2, "max_pages")
    rest = cli.crawl(served, *FAST, "--max-pages", "none")
    assert rest.summary["pages"] == 1
    again = cli.crawl(served, *FAST, "--max-age", "0s")
    assert {kind: number for kind, number in again.summary["changes"].items() if number} == {"unchanged": 5}
    assert len(cli.pages()) == 3


def test_a_header_asks_of_robots_what_it_asks_of_pages(cli: Cli, serve: Serve) -> None:
    web = a_library()
    routes = web.sites["a.test"].routes
    for path in ("/notes.txt", "/paper.pdf"):
        answer = routes[path]
        assert isinstance(answer, Answer)
        routes[path] = replace(answer, headers={"X-Robots-Tag": "noindex"})
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.rows("SELECT noindex FROM pages JOIN urls ON urls.id = url_id ORDER BY url") == [0, 1, 1]


def test_without_the_extra_a_pdf_is_not_read_and_the_run_says_once_how(cli: Cli, serve: Serve) -> None:
    """Text needs none. A PDF that is read later, once it is there, is new and not changed."""
    served = serve(a_library())
    command = [sys.executable, *OPTIONS, "-c", WITHOUT_PDF, *cli.arguments(served, served.url("a.test"), *FAST)[5:]]
    assert command[5] == "crawl"
    outcome = cli.run(command)
    assert cli.rows("SELECT unread_type FROM urls WHERE url LIKE '%paper.pdf'") == ["application/pdf"]
    assert outcome.err.count("pip install pypdfium2") == 1
    rows = stored(served, ("/notes.txt", "text/plain", None, "Notes\n  https://b.test/named"))
    assert cli.rows(PAGES) == rows
    again = cli.crawl(served, "--max-age", "0s", *FAST)
    assert "pypdfium2" not in again.err
    assert {kind: number for kind, number in again.summary["changes"].items() if number} == {"new": 1, "unchanged": 4}
