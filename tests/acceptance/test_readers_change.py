"""Today's reader reads otherwise than version 0.1.0 did: that is no change of the pages, and is set right in place."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.content.html import READER_VERSION
from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import Cli
from tests.acceptance.old_crawls import restore
from tests.acceptance.varied_web import HOST, HTML, PAGES, PORT, varied_web

AGAIN = ("--max-age", "0s", "--delay", "0")
VERSIONS = "SELECT count(*) FROM pages"
TEXT = "SELECT p.text FROM pages AS p JOIN urls AS u ON u.id = p.url_id WHERE u.url = ? ORDER BY p.id"


@pytest.fixture
def web() -> FakeWeb:
    return varied_web("second")


@pytest.fixture
def served(cli: Cli, serve: Callable[[FakeWeb], Served], web: FakeWeb) -> Served:
    """The site of the database, each nonce another than at the first visit; the database's URLs have its port."""
    served = serve(web)
    restore("varied_0_1_0.sql", PORT, cli.db, served)
    return served


def changes(outcome: Any) -> dict[str, int]:
    return {kind: number for kind, number in outcome.summary["changes"].items() if number}


def fresh_rows(serve: Callable[[FakeWeb], Served], folder: Path) -> dict[str, tuple[Any, ...]]:
    """What a first crawl of the site stores, by path: text, title, and where the links lead."""
    served = serve(varied_web("third"))
    other = Cli(folder / "fresh")
    other.folder.mkdir()
    other.crawl(served, served.url(HOST), "--delay", "0")
    return rows_of(other, served)


def rows_of(cli: Cli, served: Served) -> dict[str, tuple[Any, ...]]:
    """By path: title, text, description, reader, metadata's hash, and the anchors and targets of links."""
    sql = (
        "SELECT u.url, p.id, p.title, p.text, p.description, p.reader_version, p.open_graph FROM pages AS p"
        " JOIN urls AS u ON u.page_id = p.id"
    )
    links = "SELECT u.url, l.anchor FROM links AS l JOIN urls AS u ON u.id = l.target_id WHERE l.page_id = ? ORDER BY 1"
    root = served.url(HOST, "")
    found = {}
    for url, page_id, *values in cli.rows(sql):
        targets = [(target.removeprefix(root), anchor) for target, anchor in cli.rows(links, page_id)]
        found[url.removeprefix(root)] = (*values, *targets)
    return found


def test_a_crawl_of_0_1_0_whose_pages_have_not_changed_gives_no_change(
    cli: Cli, served: Served, serve: Callable[[FakeWeb], Served], tmp_path: Path
) -> None:
    (stored,) = cli.rows(VERSIONS)
    again = cli.crawl(served, *AGAIN)
    new = {"unchanged": len(PAGES) + 2, "new": 1}  # a query in the document's encoding leads to another page
    assert changes(again) == new
    assert cli.rows(VERSIONS) == [stored + 1]
    assert cli.rows("SELECT DISTINCT reader_version FROM pages") == [READER_VERSION]
    assert cli.rows("PRAGMA foreign_key_check") == []
    (kinds,) = cli.rows("SELECT count(*) FROM changes WHERE change <> 'new'")
    assert kinds == 0
    night = cli.crawl(served, *AGAIN)
    assert changes(night) == {"unchanged": len(PAGES) + 3}
    rows = rows_of(cli, served)
    first = fresh_rows(serve, tmp_path)
    assert {path: rows[path] for path in first} == first, "what is stored is what a first crawl of today stores"


def test_what_has_changed_since_is_a_version_and_the_one_before_stays_as_it_was_read(
    cli: Cli, served: Served, web: FakeWeb
) -> None:
    url = served.url(HOST, "/table")
    [before] = cli.rows(TEXT, url)
    web.sites[HOST].page("/table", body="<title>Table</title><table><tr><td>a<td>new</table>", content_type=HTML)
    again = cli.crawl(served, *AGAIN)
    assert changes(again)["changed"] == 1
    assert cli.rows(TEXT, url) == [before, "a\tnew"]


def test_without_a_body_nobody_can_tell_which_is_said_once_and_counted_as_no_change(cli: Cli, served: Served) -> None:
    with closing(sqlite3.connect(cli.db)) as connection, connection:
        connection.execute("UPDATE pages SET body_hash = NULL")
        connection.execute("DELETE FROM bodies")
    url = served.url(HOST, "/table")
    [before] = cli.rows(TEXT, url)
    again = cli.crawl(served, *AGAIN)
    assert again.err.count("its body was not kept") == 1
    assert changes(again) == {"unchanged": len(PAGES) + 2, "new": 1}
    assert cli.rows(TEXT, url) == [before, "a\tb\nc\td"], "and nothing is lost"
    assert cli.rows("SELECT count(*) FROM changes WHERE change <> 'new'") == [0]
    assert "its body was not kept" not in cli.crawl(served, *AGAIN).err


def test_a_body_that_is_damaged_is_as_good_as_none(cli: Cli, served: Served) -> None:
    with closing(sqlite3.connect(cli.db)) as connection, connection:
        connection.execute("UPDATE bodies SET zstd = x'00'")
    again = cli.crawl(served, *AGAIN)
    assert again.status == 0
    assert "changed" not in changes(again)
