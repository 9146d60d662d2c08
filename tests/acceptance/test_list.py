"""`crawler list`: the rows of any view on the command line, for people, spreadsheets and programs."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
from asyncio import to_thread
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest

from crawler import open_crawl
from crawler.archive.listing import LISTINGS, all_views
from crawler.errors import UsageError
from crawler.fakeweb import FakeWeb
from crawler.output.tables import Kind, column
from crawler.storage.location import database_at
from tests.acceptance.conftest import COMMAND, Cli, Gate, Places, Serve, on_a_terminal, wait_for
from tests.acceptance.known_web import EVIL, EVIL_SHOWN, SITE, crawl_known_web
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, old_web
from tests.benchmarks.million import make
from tests.frontier.crawls import DAY_S, NIGHT
from tests.stores import Location, rows

# Marked `sqlite`: what asks no database, and a file of an older version.
pytestmark = pytest.mark.any_store


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Location:
    db = tmp_path_factory.mktemp("known") / "crawl.db"
    crawl_known_web(db)
    return places.of(db)


class Lists:
    """`crawler list` on the known crawl."""

    def __init__(self, cli: Cli, db: Location) -> None:
        self._cli, self._db = cli, db

    def __call__(self, *arguments: str) -> list[str]:
        """The lines that it prints."""
        return self._cli.command("list", *arguments, "--db", str(self._db)).out.splitlines()

    def urls(self, *arguments: str) -> list[str]:
        """The first column, without the site."""
        return [line.split("\t")[0].removeprefix(SITE) for line in self(*arguments)]

    def refused(self, *arguments: str) -> str:
        """The one line that says why."""
        outcome = self._cli.command("list", *arguments, "--db", str(self._db), status=2)
        assert outcome.out == ""
        (line,) = outcome.err.splitlines()
        return line


@pytest.fixture
def lists(cli: Cli, known: Location) -> Lists:
    return Lists(cli, known)


# --- the table of views -----------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_every_view_can_be_listed_by_one_name_or_another() -> None:
    assert set(LISTINGS) == set(all_views())
    taken = Counter(word for one in LISTINGS.values() for word in (one.name, *one.aliases))
    assert set(taken.values()) == {1}


@pytest.mark.sqlite
@pytest.mark.parametrize("name", LISTINGS)
def test_what_people_see_of_a_view_are_columns_of_it(name: str) -> None:
    listing, columns = LISTINGS[name], all_views()[name].columns
    assert set(listing.shown) <= set(columns)
    assert 2 <= len(listing.shown) <= 9
    assert not listing.about or column(listing.about).kind is Kind.URL
    assert listing.about in (*columns, "")


@pytest.mark.sqlite
@pytest.mark.parametrize("name", LISTINGS)
def test_what_a_column_holds_is_what_is_documented_of_it(name: str) -> None:
    documented = {
        Kind.TIME: r"\(Unix seconds\)",
        Kind.DURATION: r"\(seconds\)|^seconds ",
        Kind.JSON: r"^JSON|JSON (object|array)|\(JSON\)",
        Kind.FLAG: "^1 (if|for)",
    }
    for column_name, meaning in all_views()[name].columns.items():
        by_text = next((kind for kind, words in documented.items() if re.search(words, meaning)), None)
        by_name = column(column_name).kind
        assert by_text == by_name or (by_text is None and by_name not in documented), column_name


@pytest.mark.sqlite
def test_without_a_view_it_prints_the_table_of_views(cli: Cli) -> None:
    lines = [line.split("\t") for line in cli.command("list").out.splitlines()]
    assert [name for name, _aliases, _summary in lines] == list(LISTINGS)
    assert ["failed_urls", "failed", "URLs that failed, and why"] in lines
    rows = [json.loads(line) for line in cli.command("list", "--json").out.splitlines()]
    assert [(row["view"], row["aliases"], row["description"]) for row in rows] == [tuple(line) for line in lines]
    shown = on_a_terminal([*COMMAND, "list"], COLUMNS="80")
    assert "failed_urls (failed)" in shown
    assert max(map(len, shown.splitlines())) <= 80


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.first_case
@pytest.mark.parametrize("name", ["failed", "failed_urls", "failed-urls", "Failed-URLs"])
def test_a_view_goes_by_its_name_and_by_its_alias(lists: Lists, name: str) -> None:
    assert lists.urls(name) == ["/forbidden"]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("gone", {"/dead", "/leaving"}),
        ("failing", {"/shaky"}),
        ("robots", {"/private/1"}),
        ("traps", {"example.com"}),
        ("excluded", {"/private/1", "/x/x/x/x/x", "https://other.test/"}),
        ("redirects", {"/old", "/older", "/loop-a", "/loop-b"}),
        ("orphans", {"/orphan"}),
        ("duplicates", {"/same-1", "/same-2"}),
        ("duplicate-titles", {"/same-1", "/same-2"}),
        ("missing-descriptions", {"/docs/", "/docs/a", "/evil", "/same-1", "/same-2", "/shaky", "/orphan"}),
        ("pages", {"/", "/docs/", "/docs/a", "/evil", "/same-1", "/same-2", "/shaky", "/orphan"}),
        pytest.param("broken-fragments", {"/docs/"}, marks=pytest.mark.sqlite),  # is asked of a file alone
        ("pending", set()),
        ("runs", {"1", "2"}),
        ("hosts", {"example.com", "other.test"}),
    ],
)
def test_a_view_lists_exactly_what_there_is(lists: Lists, view: str, expected: set[str]) -> None:
    found = lists.urls(view)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_every_url_is_listed_with_what_found_it(lists: Lists) -> None:
    rows = [json.loads(line) for line in lists("urls", "--json")]
    assert len(rows) == 20
    by_url = {row["url"].removeprefix(SITE): row for row in rows}
    assert (by_url["/docs/a"]["found_by"], by_url["/docs/a"]["found_on_url"]) == ("link", f"{SITE}/docs/")
    assert by_url["/orphan"]["found_on_url"] == f"{SITE}/sitemap.xml"
    assert by_url["/"] | {"found_by": "seed", "found_on_url": None, "seed": 2, "status": "fetched"} == by_url["/"]


def test_programs_get_every_column_and_raw_values(lists: Lists) -> None:
    (line,) = lists("failing", "--json")
    row = json.loads(line)
    assert list(row) == list(all_views()["failing_urls"].columns)
    assert row | {"url": f"{SITE}/shaky", "failing_since": NIGHT + DAY_S, "attempts": 1, "has_page": 1} == row
    assert lists("failing", "--format", "jsonl") == [line]
    rows = list(csv.DictReader(StringIO("\n".join(lists("failing", "--format", "csv")))))
    assert rows == [{name: "" if value is None else str(value) for name, value in row.items()}]


def test_hashes_are_hexadecimal_and_json_is_json(lists: Lists, known: Location) -> None:
    row = json.loads(lists("pages", "--url", f"{SITE}/", "--json")[0])
    [(content_hash,)] = rows(known, "SELECT content_hash FROM current_pages WHERE url = ?", row["url"])
    assert row["content_hash"] == content_hash.hex()
    assert row["headings"] == [[1, "Home"]]


def test_the_columns_can_be_chosen(lists: Lists) -> None:
    assert lists("pages", "--columns", "title, url", "--url", f"{SITE}/docs/*") == [
        f"Docs\t{SITE}/docs/",
        f"Part A\t{SITE}/docs/a",
    ]
    assert json.loads(lists("pages", "--columns", "title", "--limit", "1", "--json")[0]) == {"title": "Home"}


def test_rows_are_chosen_by_host_url_and_run(lists: Lists) -> None:
    assert lists.urls("excluded", "--host", "other.test") == ["https://other.test/"]
    assert lists.urls("excluded", "--host", "*.COM") == ["/private/1", "/x/x/x/x/x"]
    assert lists.urls("broken", "--host", "other.test") == []
    assert lists.urls("links", "--host", "example.com", "--url", "*/docs/") == ["/docs/"]
    assert lists.urls("pages", "--url", "*/same-?") == ["/same-1", "/same-2"]
    assert sorted(line.split("\t")[1] for line in lists("changes", "--run", "2")) == ["changed", "gone"]
    assert lists.urls("runs", "--run", "2") == ["2"]
    assert "has no run 3; there are runs 1 to 2" in lists.refused("attempts", "--run", "3")


def test_rows_are_sorted_by_any_column_both_ways_and_what_is_unknown_comes_last(lists: Lists) -> None:
    by_size = lists.urls("pages", "--sort", "-bytes")
    assert by_size[:2] == ["/", "/docs/"]
    assert lists.urls("pages", "--sort", "bytes") != by_size
    assert lists.urls("pages", "--sort", "bytes", "--limit", "2") == lists.urls("pages", "--sort", "bytes")[:2]
    assert lists.urls("urls", "--sort", "reason", "--limit", "2")[0] == "/forbidden"
    assert lists.urls("urls", "--sort", "-reason", "--limit", "1") == ["/x/x/x/x/x"]


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["failde"], "there is no view 'failde'; did you mean failed?"),
        (["nonsense"], "there is no view 'nonsense'; `crawler list` shows them all"),
        (["failed", "--run", "1"], "failed_urls has no run_id, so --run cannot choose among its rows"),
        (["hosts", "--url", "*"], "host_overview has no url, so --url cannot"),
        (["runs", "--host", "a.test"], "run_overview has no host, so --host cannot"),
        (["failed", "--sort", "colour"], "failed_urls has no column 'colour'; its columns are url, host, reason,"),
        (["failed", "--sort", "url; DROP TABLE urls"], "failed_urls has no column"),
        (["failed", "--sort", ""], "failed_urls has no column ''"),
        (["failed", "--columns", "url,colour"], "failed_urls has no column 'colour'"),
        (["failed", "--columns", ""], "failed_urls has no column ''"),
        (["failed", "--json", "--format", "csv"], "--json"),
        (["failed", "--format", "xml"], "--format takes table, csv or jsonl, not 'xml'"),
        (["failed", "--limit", "0"], "--limit must be"),
        (["failed", "--host", "a b"], "--host takes a host name"),
        (["failed", "again"], "crawler list has no use for again"),
    ],
)
def test_what_a_view_cannot_do_is_refused_in_one_line(lists: Lists, arguments: list[str], says: str) -> None:
    assert says in lists.refused(*arguments)


def test_no_rows_are_no_error(cli: Cli, known: Location, lists: Lists) -> None:
    assert lists("pending") == []
    assert lists("pending", "--format", "csv")[0].startswith("url,host,")
    shown = on_a_terminal([*COMMAND, "list", "pending", "--db", str(known)])
    assert shown.split() == ["no", "rows"]


def test_a_database_that_is_not_there_is_named(cli: Cli) -> None:
    outcome = cli.command("list", "failed", "--db", "none.db", status=6)
    assert "there is no crawl in none.db" in outcome.err


# --- harm, and company ------------------------------------------------------------------------------------------------


def test_text_from_the_web_does_nothing_to_a_terminal_a_spreadsheet_or_a_program(lists: Lists, known: Location) -> None:
    evil = ("--url", f"{SITE}/evil", "--columns", "title")
    assert lists("pages", *evil) == [EVIL_SHOWN]
    shown = on_a_terminal([*COMMAND, "list", "pages", *evil, "--db", str(known)], NO_COLOR="1")
    assert shown.splitlines()[-1].strip() == EVIL_SHOWN
    assert json.loads(lists("pages", *evil, "--json")[0]) == {"title": EVIL}
    [[_name], [cell]] = csv.reader(lists("pages", *evil, "--format", "csv"))
    assert cell.startswith("'=cmd()")
    assert "\x1b" not in cell


def test_a_terminal_gets_a_table_that_fits_it(known: Location) -> None:
    for width in (40, 80, 140):
        command = [*COMMAND, "list", "broken", "--db", str(known)]
        lines = on_a_terminal(command, COLUMNS=str(width), NO_COLOR="1").replace("\r", "").splitlines()
        lines = [re.sub("\x1b\\[[0-9]*m", "", line) for line in lines]
        assert lines[0].startswith("page_url")
        assert len(lines) == 5
        assert max(map(len, lines)) <= width


async def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path, places: Places) -> None:
    file = tmp_path / "crawl.db"
    await make(file, 1000)  # whose links are more than fit into a pipe
    db = await to_thread(places.of, file)
    line = " ".join(COMMAND)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{line} list outlinks --db {db} | head -1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")


def test_it_lists_what_is_committed_while_a_crawl_runs(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Home", links=["/gated"])
    site.answer("/gated", gate)
    served = serve(web)
    running = cli.start(served, served.url("a.test"), "--delay", "0")

    def pages() -> list[str]:
        outcome = cli.command("list", "pages", "--columns", "title", "--db", str(cli.db), status=None)
        return outcome.out.split()

    try:
        wait_for(lambda: cli.has_begun() and pages() == ["Home"])
        assert running.poll() is None
    finally:
        gate.open()
        running.communicate()


@pytest.mark.sqlite
@pytest.mark.thorough
async def test_a_crawl_of_an_old_version_is_listed_once_it_is_upgraded(cli: Cli, serve: Serve) -> None:
    restore("database_0_1_0.sql", PORT, cli.db, serve(old_web(2)))
    refused = cli.command("list", "failed", "--db", str(cli.db), status=6)
    assert "has an older schema" in refused.err
    async with database_at(cli.db).open_store():
        pass
    for name in LISTINGS:
        cli.command("list", name, "--db", str(cli.db))
    assert cli.command("list", "failed", "--db", str(cli.db)).out


@pytest.mark.thorough
def test_ctrl_c_ends_a_long_query_at_once(cli: Cli, known: Location) -> None:
    """A page names another as its translation 50,000 times, and that one it after 50,000: comparing takes an hour."""
    cli.take_over(known)
    home, docs = f"{SITE}/", f"{SITE}/docs/"
    for page, alternates in ((home, [docs] * 50_000), (docs, [docs] * 50_000 + [home])):
        named = [[url, "hreflang", "en", None, None] for url in alternates]
        newest = "id = (SELECT page_id FROM urls WHERE url = ?)"
        cli.change(f"UPDATE pages SET alternates = ? WHERE {newest}", json.dumps(named), page)
    running = subprocess.Popen(
        [*COMMAND, "list", "hreflang", "--db", str(cli.db)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    assert "hreflang_problems: all rows are read before the first is printed" in running.stderr.readline()
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate()
    assert (running.returncode, out, err) == (130, "", "")


# --- from Python ------------------------------------------------------------------------------------------------------


async def test_the_library_lists_the_same(known: Location) -> None:
    async with open_crawl(known) as archive:
        found = [row async for row in archive.rows("broken", columns=("target_url", "cause"), sort="-cause", limit=2)]
        assert found[0]["cause"].startswith("redirect loop: ")
        assert found[1] == {"target_url": f"{SITE}/leaving", "cause": "http 410"}
        chosen = [row["url"] async for row in archive.rows("excluded", host="example.com", url="*/private/*")]
        assert chosen == [f"{SITE}/private/1"]
        assert sorted([row["change"] async for row in archive.rows("changes", run=2)]) == ["changed", "gone"]
        with pytest.raises(UsageError, match="there is no view 'nonsense'"):
            [row async for row in archive.rows("nonsense")]
