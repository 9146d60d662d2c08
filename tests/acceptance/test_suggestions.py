"""What the account of a run names to try: on a terminal alone, each command works, and shows what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from crawler.config import DEFAULT_DB
from crawler.fakeweb import FakeWeb
from crawler.output.suggestions import suggestions
from crawler.output.summary import Summary
from tests.acceptance.conftest import Cli, Serve, on_a_terminal

# Marked `sqlite`: commands that work on a file alone, and what asks no database.
pytestmark = pytest.mark.any_store

AGAIN = ("--delay", "0", "--max-age", "0s")


def suggested(shown: str) -> list[str]:
    """The command lines of a screen's last lines."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    return re.findall(r"^ (?:try)? +(crawler .+?)  ", plain, re.MULTILINE)


def shown_by(cli: Cli, arguments: list[str]) -> list[str]:
    return suggested(on_a_terminal(arguments, cwd=cli.folder, COLUMNS="200"))


@pytest.mark.sqlite
@pytest.mark.thorough
def test_three_things_are_named_that_work_and_show_what_is_there(tmp_path: Path, serve: Serve) -> None:
    cli, web = Cli(tmp_path / "a folder"), FakeWeb()
    cli.folder.mkdir()
    site = web.host("a.test")
    site.robots("User-agent: *\nDisallow: /private\n")
    site.page("/", title="index", links=["/private", "/page"])
    site.page("/page", title="page")
    served = serve(web)
    crawl = cli.arguments(served, served.url("a.test"), *AGAIN)
    db = shlex.quote(str(cli.db))
    first = shown_by(cli, crawl)
    assert first == [f"crawler report --db {db}", f"crawler list robots --db {db}", f"crawler list pages --db {db}"]
    site.page("/page", title="page", text="new", links=["/dead"])
    second = shown_by(cli, crawl)
    assert second == [f"crawler diff --db {db}", f"crawler list broken --db {db}", f"crawler report --db {db}"]
    for line in (*first, *second):
        assert cli.command(*shlex.split(line)[1:]).out.strip(), line


def test_what_is_left_comes_first_and_is_resumed(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=9)
    served = serve(web)
    found = shown_by(cli, cli.arguments(served, served.url("a.test"), "--delay", "0", "--max-pages", "3"))
    assert found[0] == f"crawler crawl --db {cli.db}"
    cli.command(*shlex.split(found[0])[1:])
    assert len(cli.pages()) > 3


@pytest.mark.sqlite
@pytest.mark.thorough
def test_many_pages_are_searched(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=30)
    served = serve(web)
    found = shown_by(cli, cli.arguments(served, served.url("a.test"), "--delay", "0", "--per-host", "8"))
    assert f"crawler search WORD --db {cli.db}" in found
    assert cli.command("search", "WORD", "--db", str(cli.db)).status == 0


def test_each_of_them_works_where_the_crawl_is(cli: Cli, serve: Serve) -> None:
    """Also on a server, where some commands refuse."""
    web = FakeWeb()
    site = web.site("a.test", pages=25)
    served = serve(web)
    crawl = cli.arguments(served, served.url("a.test"), "--per-host", "8", *AGAIN)
    first = shown_by(cli, crawl)
    site.page("/p1", title="page", text="new", links=["/dead"])
    second = shown_by(cli, crawl)
    assert len(first) >= 2
    assert len(second) == 3
    for line in (*first, *second):
        told = cli.command(*shlex.split(line)[1:])
        assert told.out + told.err, line


def test_elsewhere_nothing_is_named(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=3)
    served = serve(web)
    assert "try " not in cli.crawl(served, served.url("a.test"), "--delay", "0").out


@pytest.mark.sqlite
def test_after_ctrl_c_what_is_left_is_resumed_with_the_default_database_unnamed() -> None:
    summary = Summary(run_id=1, complete=False, end_reason="interrupted", pending=5, urls={"failed": 1}, pages=2)
    assert [line for line, _what in suggestions(summary, DEFAULT_DB)] == [
        "crawler crawl", "crawler list broken", "crawler list failed",
    ]  # fmt: skip


@pytest.mark.sqlite
def test_of_an_empty_database_no_more_is_named_than_there_is() -> None:
    nothing = Summary(run_id=1, complete=True, end_reason="complete")
    assert [line for line, _what in suggestions(nothing, Path("x.db"))] == ["crawler status --db x.db"]
