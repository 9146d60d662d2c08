"""Main content as Markdown, as commands and the library give it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from crawler import open_crawl
from crawler.archive.derived import derived_file
from crawler.archive.markdown import PageMarkdown
from crawler.content.markdown import Content, extractor
from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli
from tests.frontier.crawls import DAY_S, NIGHT, crawled
from tests.gold.documents import own_documents

SITE = "https://example.com"
SHOWN = f"{SITE}/docs/docs-windows"
DEEP = f"{SITE}/deep"


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of the gold set, one that the extractor cannot cope with, and one that is no markup."""
    web = FakeWeb()
    site = web.host("example.com", tls=True)
    articles = [one for one in own_documents() if one.name.startswith(("docs", "news", "nineties"))]
    paths = [f"/docs/{one.name}" for one in articles]
    site.page("/", title="Home", links=[*paths, "/deep", "/plain.txt"])
    for path, one in zip(paths, articles, strict=True):
        site.page(path, body=one.html)
    site.page("/deep", body="<title>Deep</title>" + "<div>" * 3000 + "x")
    site.page("/plain.txt", body="as *it* is", content_type="text/plain")
    db = tmp_path_factory.mktemp("markdown") / "crawl.db"
    crawled(web, db, f"{SITE}/", max_depth=1)
    return db


@pytest.fixture
def db(crawl: Path, tmp_path: Path) -> Path:
    """A copy of it, without anything derived."""
    return Path(shutil.copy(crawl, tmp_path / "crawl.db"))


def markdown(db: Path, url: str, content: Content = Content.MAIN, told: list[str] | None = None) -> PageMarkdown:
    async def ask() -> PageMarkdown:
        async with open_crawl(db, notify=(told if told is not None else []).append) as archive:
            made = await archive.markdown(url, content=content)
        assert made is not None
        return made

    return asyncio.run(ask())


def parted(document: str) -> tuple[dict[str, str], str]:
    """Front matter and Markdown."""
    _nothing, head, text = document.split("---\n", 2)
    return {name: json.loads(value) for name, value in (line.split(": ", 1) for line in head.splitlines())}, text


def test_show_prints_the_main_content_with_all_that_is_needed_to_cite_it(cli: Cli, db: Path) -> None:
    head, text = parted(cli.command("show", SHOWN, "--content", "main", "--db", str(db)).out)
    assert head["url"] == SHOWN
    assert head["title"] == "Windows and watermarks — Ripple 4.2 documentation"
    assert head["fetched_at"].startswith("2023-11-14T22:13")
    assert head["content"] == "main"
    assert head["extractor"] == extractor()
    assert len(bytes.fromhex(head["content_hash"])) == len(bytes.fromhex(head["body_hash"])) == 16
    assert "```python\nimport ripple\n\ncounts =" in text
    assert "| Kind | Length | Overlap |" in text
    assert f"[the modes]({SITE}/docs/emit.html#modes)" in text
    assert "Getting started" not in text  # that is the menu's
    assert "<table>" in MarkdownIt("commonmark").enable("table").render(text)


@pytest.mark.thorough
def test_all_of_a_page_has_its_furniture_too(cli: Cli, db: Path) -> None:
    head, text = parted(cli.command("show", SHOWN, "--content", "all", "--db", str(db)).out)
    assert head["content"] == "all"
    assert f"[Installation]({SITE}/docs/install.html)" in text


def test_what_is_no_markup_is_given_as_it_is(cli: Cli, db: Path) -> None:
    head, text = parted(cli.command("show", f"{SITE}/plain.txt", "--content", "main", "--db", str(db)).out)
    assert text == "\nas *it* is\n"
    assert "extractor" not in head


def test_a_page_that_the_extractor_cannot_cope_with_is_named_and_costs_itself_only(cli: Cli, db: Path) -> None:
    outcome = cli.command("show", DEEP, "--content", "main", "--db", str(db), status=2)
    assert outcome.out == ""
    assert f"there is no Markdown of {DEEP}: " in outcome.err
    assert "nested more than 1,024 deep" in outcome.err
    assert markdown(db, SHOWN).text


def test_content_prints_nothing_else(cli: Cli, db: Path) -> None:
    outcome = cli.command("show", SHOWN, "--content", "main", "--json", "--db", str(db), status=2)
    assert "--content" in outcome.err


def test_what_is_made_is_kept_and_the_same_bytes_when_it_is_made_again(db: Path) -> None:
    first = markdown(db, SHOWN)
    with sqlite3.connect(derived_file(db)) as connection:
        connection.execute("UPDATE markdown SET is_whole = 1")  # so that what is kept can be told
    assert markdown(db, SHOWN).is_whole
    derived_file(db).unlink()
    assert markdown(db, SHOWN) == first


def test_another_version_of_the_extractor_makes_it_anew_and_says_so(db: Path) -> None:
    first = markdown(db, SHOWN)
    with sqlite3.connect(derived_file(db)) as connection:
        connection.execute("UPDATE markdown SET extractor = 'older', is_whole = 1")
    told: list[str] = []
    assert markdown(db, SHOWN, told=told) == first
    assert told == [f"Markdown is made anew by {extractor()}; what is kept was made by older"]
    assert markdown(db, SHOWN, told=told) == first
    assert len(told) == 1


@pytest.mark.thorough
def test_what_is_kept_depends_on_what_is_wanted(db: Path) -> None:
    assert markdown(db, SHOWN).text != markdown(db, SHOWN, Content.ALL).text


@pytest.mark.thorough
def test_where_nothing_can_be_kept_it_is_made_each_time(db: Path) -> None:
    derived_file(db).mkdir()
    assert markdown(db, SHOWN).text == markdown(db, SHOWN).text != ""


@pytest.mark.thorough
def test_a_crawl_without_bodies_has_none(cli: Cli, db: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE pages SET body_hash = NULL")
        connection.execute("DELETE FROM bodies")
    outcome = cli.command("show", SHOWN, "--content", "main", "--db", str(db), status=2)
    assert "no body is stored (--no-bodies)" in outcome.err


def test_a_folder_has_a_file_for_each_page_and_what_cannot_be_made_is_named(cli: Cli, db: Path, tmp_path: Path) -> None:
    outcome = cli.command("export", "markdown", str(tmp_path / "pages"), "--db", str(db))
    assert "1 left out: there is no Markdown of them" in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"no Markdown of {DEEP}: the extractor failed: ")
    files = [json.loads(one) for one in (tmp_path / "pages" / "_manifest.jsonl").read_text().splitlines()]
    assert {one["url"] for one in files} == pages_in(db) - {DEEP}
    for one in files:
        head, _text = parted((tmp_path / "pages" / one["file"]).read_text())
        assert head["url"] == one["url"]
    shown = cli.command("show", SHOWN, "--content", "main", "--db", str(db)).out
    assert (tmp_path / "pages" / "example.com/docs/docs-windows.md").read_text() == shown


def test_one_stream_has_all_pages_and_equal_bytes_whoever_made_them(cli: Cli, db: Path) -> None:
    first = cli.command("export", "markdown", "--content", "all", "--db", str(db)).out
    documents = first.split("---\nurl: ")[1:]
    assert {json.loads(one.split("\n", 1)[0]) for one in documents} == pages_in(db) - {DEEP}
    derived_file(db).unlink()
    assert cli.command("export", "markdown", "--content", "all", "--db", str(db)).out == first


def test_content_is_for_markdown(cli: Cli, db: Path) -> None:
    outcome = cli.command("export", "csv", "--content", "main", "--db", str(db), status=2)
    assert outcome.err.strip() == "crawler: --content is for markdown; leave it out for csv"


def pages_in(db: Path) -> set[str]:
    with sqlite3.connect(db) as connection:
        return {row[0] for row in connection.execute("SELECT url FROM current_pages")}


def found(cli: Cli, db: Path, *arguments: str) -> list[str]:
    lines = cli.command("search", *arguments, "--json", "--db", str(db)).out.splitlines()
    return sorted(json.loads(line)["url"].removeprefix(SITE) for line in lines)


def test_search_finds_main_content_alone(cli: Cli, db: Path) -> None:
    documentation = ["/docs/docs-api", "/docs/docs-install", "/docs/docs-windows"]
    assert found(cli, db, "Changelog") == documentation  # in their menus
    assert found(cli, db, "Changelog", "--content", "main") == []
    assert found(cli, db, "compiler", "--content", "main") == ["/docs/docs-install"]
    assert found(cli, db, "headings: options", "--content", "main") == ["/docs/docs-windows"]
    assert found(cli, db, '"as it is"', "--content", "main") == ["/plain.txt"]
    hits = cli.command("search", "predicate", "--content", "main", "--json", "--db", str(db)).out
    assert "Keep those events for which predicate is true." in json.loads(hits)["snippet"]


def test_search_follows_the_crawl(cli: Cli, tmp_path: Path) -> None:
    db, web = tmp_path / "crawl.db", FakeWeb()
    site = web.host("example.com", tls=True)
    site.page("/", body=article("The old harbour is to be closed in spring, and the boats have to leave by then."))
    site.page("/b", body=article("A ferry goes from here to the islands, three times a week, in any weather."))
    site.page("/c", title="C", links=["/", "/b"])
    crawled(web, db, f"{SITE}/c")
    assert found(cli, db, "harbour", "--content", "main") == ["/"]
    site.page("/", body=article("The new harbour is open, and all of the boats have found a place in it again."))
    site.status("/b", 410)
    crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0)
    assert found(cli, db, "closed", "--content", "main") == []
    assert found(cli, db, "open harbour", "--content", "main") == ["/"]
    assert found(cli, db, "ferry", "--content", "main") == []


def article(text: str) -> str:
    return f"<title>T</title><nav><a href=/>Home</a></nav><main><h1>T</h1><p>{text}</p></main>"


def test_a_damaged_body_is_one_line_where_it_was_asked_for_and_costs_a_search_nothing(cli: Cli, db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE bodies SET zstd = x'28b52ffd00'")
    for options in (["--html"], ["--content", "main"]):
        outcome = cli.command("show", SHOWN, *options, "--db", str(db), status=6)
        assert outcome.err == f"crawler: the stored body of {SHOWN} is damaged; `crawler verify` tells of others\n"
    assert SHOWN in cli.command("search", "windows", "--content", "main", "--db", str(db)).out
