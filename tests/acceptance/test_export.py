"""`crawler export`: what other tools read is what the database has, whatever was killed on the way."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from crawler import open_crawl
from crawler.archive.filters import PageFilter, UrlFilter, parse_statuses
from crawler.archive.stored_pages import open_pages
from crawler.errors import UsageError
from crawler.fakeweb import FakeWeb
from crawler.location import location
from crawler.output.exports.columns import COLUMNS, chosen_columns
from crawler.output.exports.formats import FORMATS
from crawler.output.exports.names import file_name
from crawler.records import UrlStatus
from tests.acceptance.conftest import COMMAND, Cli, Places, on_a_terminal
from tests.acceptance.known_web import SITE, crawl_known_web, known_web, second_night
from tests.benchmarks.million import make
from tests.frontier.crawls import DAY_S, NIGHT, crawled
from tests.stores import Location, rows

# Marked `sqlite`: what no database is asked for, its files, its dialect, and cursors of one number.
pytestmark = pytest.mark.any_store

SITEMAP, GRAPHML = "{http://www.sitemaps.org/schemas/sitemap/0.9}", "{http://graphml.graphdrawing.org/xmlns}"
CURRENT = ["/", "/docs/", "/evil", "/same-1", "/same-2", "/shaky", "/orphan", "/docs/a"]
OF_RUN_1 = [*CURRENT[:6], "/leaving", "/orphan", "/docs/a"]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Location:
    db = tmp_path_factory.mktemp("known") / "crawl.db"
    crawl_known_web(db)
    return places.of(db)


def as_found(db: Location, paths: list[str]) -> list[str]:
    """Pages come from a file in the order in which they were found; from PostgreSQL, by their keys."""
    return paths if isinstance(db, Path) else sorted(paths, key=OF_RUN_1.index)


class Exports:
    """`crawler export` of the known crawl."""

    def __init__(self, cli: Cli, db: Location) -> None:
        self._cli, self.db = cli, db

    def __call__(self, *arguments: str) -> str:
        """What it prints on standard output."""
        return self._cli.command("export", *arguments, "--db", str(self.db)).out

    def paths(self, *arguments: str) -> list[str]:
        """The pages that are exported, without the site."""
        lines = self("jsonl", "-", "--columns", "url", *arguments).splitlines()
        return as_found(self.db, [json.loads(line)["url"].removeprefix(SITE) for line in lines])

    def refused(self, *arguments: str) -> str:
        """The one line that says why."""
        outcome = self._cli.command("export", *arguments, "--db", str(self.db), status=2)
        assert outcome.out == ""
        (line,) = outcome.err.splitlines()
        return line


@pytest.fixture
def exports(cli: Cli, known: Location) -> Exports:
    return Exports(cli, known)


async def asdicts(db: Location) -> list[dict[str, Any]]:
    """The current pages as the library gives them."""
    async with open_crawl(db) as archive:
        current = {row["url"] async for row in archive.rows("current_pages", columns=["url"])}
        return [page.asdict() async for page in archive.pages() if page.url in current]


# --- which pages ------------------------------------------------------------------------------------------------------


async def paths_of(db: Location, chosen: PageFilter) -> list[str]:
    """The pages that are chosen, without the site."""
    async with open_pages(location(str(db)), chosen) as reader:
        pages = [page.page.url.removeprefix(SITE) async for page in reader.pages(())]
        assert await reader.count() == len(pages)
        assert [url.removeprefix(SITE) async for url, _page_id in reader.listing()] == pages
        return as_found(db, pages)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (PageFilter(), CURRENT),
        (PageFilter(urls=UrlFilter(host="*.com")), CURRENT),
        (PageFilter(urls=UrlFilter(host="other.test")), []),
        (PageFilter(urls=UrlFilter(glob=f"{SITE}/docs/*")), ["/docs/", "/docs/a"]),
        (PageFilter(run=1), OF_RUN_1),
        (PageFilter(run=2), ["/docs/a"]),
        (PageFilter(run=1, statuses=(UrlStatus.FETCHED,), urls=UrlFilter(glob="*/l*")), []),
        (PageFilter(statuses=(UrlStatus.GONE,)), ["/leaving"]),
        (PageFilter(statuses=(UrlStatus.GONE, UrlStatus.FAILED)), ["/leaving"]),
        (PageFilter(statuses=(200,)), OF_RUN_1),
        (PageFilter(statuses=(404, UrlStatus.GONE)), ["/leaving"]),
        (PageFilter(language="en"), CURRENT),
        (PageFilter(language="e"), []),
        (PageFilter(changed_since=NIGHT + DAY_S - 1), ["/docs/a"]),
        (PageFilter(changed_since=NIGHT + DAY_S + 1), []),
        (PageFilter(where="depth = 2"), ["/docs/a"]),
        (PageFilter(where="title = 'Same' OR url LIKE '%/evil' -- both"), ["/evil", "/same-1", "/same-2"]),
        (PageFilter(where="1 = 1) OR (1 = 1", language="de"), []),
        (PageFilter(where="url_id IN (SELECT url_id FROM missing_descriptions)"), CURRENT[1:]),
        (PageFilter(where="seen_at > 1700000001 AND run_id = 2"), ["/docs/a"]),
    ],
)
async def test_filters_choose_the_pages(known: Location, chosen: PageFilter, expected: list[str]) -> None:
    assert await paths_of(known, chosen) == expected


async def test_what_a_run_stored_is_written_as_it_stored_it(known: Location) -> None:
    async with open_pages(location(str(known)), PageFilter(run=1, urls=UrlFilter(glob="*/docs/a"))) as reader:
        (page,) = [page async for page in reader.pages(["text"])]
    assert "The first version" in page.page.text
    assert page.url_status == "fetched"


def test_the_options_of_the_command_are_these_filters(exports: Exports) -> None:
    assert exports.paths("--host", "EXAMPLE.com", "--url", "*/docs/*", "--lang", "EN", "--status", "fetched,200") == [
        "/docs/",
        "/docs/a",
    ]
    assert exports.paths("--run", "1", "--where", "title = 'Leaving'") == ["/leaving"]
    assert exports.paths("--changed-since", "2023-11-15T12:00") == ["/docs/a"]
    assert exports.paths("--changed-since", "1s") == []


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("titel = 1", "no such column: titel"),
        ("1) UNION SELECT 1, 2 WHERE (1", "cannot be run"),
        ("1)) UNION SELECT 1, 2 WHERE ((1", "cannot be run"),
        ("1)) OR ((1", "cannot be run"),
        ("1; DELETE FROM urls", "cannot be run"),
        ("", "cannot be run"),
        ("load_extension('x')", "only reading is allowed"),
        ("url_id IN (SELECT 1 FROM pragma_database_list)", "only reading is allowed"),
        ("json_extract(text, '$')", "--where: malformed JSON"),
    ],
)
async def test_a_condition_that_cannot_be_used_is_refused(known: Location, where: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        await paths_of(known, PageFilter(where=where))


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("titel", "did you mean title?"),
        ("url,+html", "a + or - before each"),
        (",", "--columns is empty"),
        ("-all", "leaves nothing"),
    ],
)
def test_columns_that_a_page_does_not_have_are_refused(given: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        chosen_columns(given, ("all",))


@pytest.mark.sqlite
@pytest.mark.parametrize("given", ["lost", ",", "20", "2000"])
def test_a_status_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--status"):
        parse_statuses(given)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("jsonl", "--run", "99"), "has no run 99; there are runs 1 to 2"),
        (("jsonl", "--changed-since", "yesterday"), "--changed-since takes an age such as 7d, or a time"),
        (("text", "--columns", "url"), "text has no columns"),
        (("csv", "--by", "host"), "--by is for parquet"),
        (("parquet", "p", "--by", "title"), "--by takes host, date"),
        (("jsonl", "--base-url", "http://a.test/"), "--base-url is for sitemap"),
        (("sitemap", "--base-url", "nowhere"), "--base-url takes the http(s) URL of a folder"),
        (("json",), "there is no format 'json'; did you mean jsonl?"),
        (("jsonl", "--since", "nonsense"), "is no cursor"),
        (("text", "--since", "now"), "text cannot say which pages went"),
        (("sitemap", "--since", "now"), "sitemap cannot say which pages went"),
        (("jsonl", "--since", "now", "--run", "1"), "cannot be combined with --run"),
        (("csv", "--since", "now", "--columns", "title"), "add url to --columns"),
        (("parquet", "p", "--since", "now", "--by", "date"), "add it to --by"),
        (("parquet", "p", "--by", "host", "--columns", "host"), "add another column"),
        (("sitemap", "s.xml", "--cursor", "c"), "sitemap cannot say which pages went, as --cursor needs"),
        (("jsonl", "same", "--cursor", "same"), "is also FILE"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(exports: Exports, arguments: tuple[str, ...], why: str) -> None:
    assert why in exports.refused(*arguments)


@pytest.mark.sqlite
def test_the_manual_explains_every_column_and_every_format(exports: Exports) -> None:
    page = (Path(__file__).parents[2] / "crawler/manual/export.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    names = {name for cell in explained for name in re.findall(r"`([a-z_]+)`", cell)}
    assert set(COLUMNS) <= names
    assert set(FORMATS) <= names
    assert [line.split()[0] for line in exports._cli.command("export").out.splitlines()] == list(FORMATS)


@pytest.mark.sqlite
def test_the_database_and_its_companions_are_never_written_over(exports: Exports) -> None:
    db = Path(exports.db)
    for path in (db, db.with_name("crawl.db-wal"), db.with_name("crawl.db.lock")):
        assert "database" in exports.refused("jsonl", str(path))
        assert "database" in exports.refused("text", str(path)) or not path.exists()


async def test_fields_that_nobody_asked_for_are_not_read(known: Location) -> None:
    async with open_pages(location(str(known)), PageFilter()) as reader:
        bare = [page async for page in reader.pages(())]
        full = [page async for page in reader.pages(("text", "links", "headers"), with_bodies=True)]
        assert await reader.count() == len(bare) == len(full)
    assert all(not (one.page.text or one.page.links or one.page.headers or one.zstd) for one in bare)
    assert all(one.page.text and one.page.headers and one.zstd for one in full)
    assert [one.page.title for one in bare] == [one.page.title for one in full]
    (docs,) = [one for one in full if one.page.url == f"{SITE}/docs/"]
    assert "<title>Docs" in (docs.html() or "")


# --- JSON lines and CSV -----------------------------------------------------------------------------------------------


async def test_json_lines_are_the_pages_of_the_library(exports: Exports) -> None:
    lines = exports("jsonl").splitlines()
    assert [json.loads(line) for line in lines] == await asdicts(exports.db)


def test_columns_are_written_in_the_order_in_which_they_are_asked_for(exports: Exports) -> None:
    first = exports("jsonl", "--columns", "title,url,host,date,url_status,html", "--url", f"{SITE}/docs/").splitlines()
    (row,) = map(json.loads, first)
    assert list(row) == ["title", "url", "host", "date", "url_status", "html"]
    assert row["date"] == "2023-11-14"
    assert row["html"].startswith("<!doctype html>")
    (more,) = map(
        json.loads, exports("jsonl", "--columns", "+html,-text,-links", "--url", f"{SITE}/docs/").splitlines()
    )
    assert set(more) == set(COLUMNS) - {"text", "links", "host", "date", "url_status"}


def test_csv_is_what_the_database_has_and_no_formula(exports: Exports, cli: Cli) -> None:
    file = cli.folder / "pages.csv"
    assert "8 pages" in exports("csv", str(file), "--columns", "url,title,depth,links,noindex")
    with file.open(newline="", encoding="utf-8") as lines:
        found = {row["url"].removeprefix(SITE): row for row in csv.DictReader(lines)}
    stored = dict(rows(exports.db, "SELECT url, depth FROM current_pages"))
    assert {f"{SITE}{path}": int(row["depth"]) for path, row in found.items()} == stored
    assert found["/evil"]["title"].startswith("'=cmd()")
    assert json.loads(found["/docs/"]["links"])[0]["url"] == f"{SITE}/docs/a"
    assert found["/"]["noindex"] == "false"


def test_a_file_that_is_called_so_is_compressed(exports: Exports, cli: Cli) -> None:
    exports("jsonl", "pages.jsonl.gz", "--columns", "url")
    with gzip.open(cli.folder / "pages.jsonl.gz", "rt") as lines:
        assert len(lines.readlines()) == len(CURRENT)


def test_whoever_reads_only_the_beginning_ends_it_quietly(known: Location) -> None:
    command = [*COMMAND, "export", "jsonl", "--db", str(known)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_a_terminal_is_not_obeyed_by(known: Location) -> None:
    for form in ("jsonl", "text", "csv"):
        shown = on_a_terminal([*COMMAND, "export", form, "--url", "*/evil", "--db", str(known)])
        assert "\x1b[31m" not in shown
        assert "\u202e" not in shown
        assert "\x9b" not in shown


def test_a_person_who_waits_sees_how_far_it_is(known: Location, tmp_path: Path) -> None:
    command = [*COMMAND, "export", "jsonl", str(tmp_path / "pages.jsonl"), "--db", str(known)]
    shown = on_a_terminal(command)
    assert "8/8" in shown
    assert "wrote " in shown


def test_a_pipe_with_a_name_is_written_to_as_it_is(known: Location, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*COMMAND, "export", "jsonl", str(pipe), "--db", str(known)], stdout=subprocess.PIPE
    ) as process:
        assert len(pipe.read_text().splitlines()) == len(CURRENT)
        assert process.wait(60) == 0
    assert pipe.is_fifo()


# --- increments -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("nights") / "crawl.db"
    crawled(known_web(), db, f"{SITE}/", retries=0)
    return db


@pytest.mark.sqlite
def test_with_a_cursor_it_tells_what_is_new_and_what_went(cli: Cli, first_night: Path) -> None:
    db = cli.folder / "copy.db"
    cli.command("backup", str(db), "--db", str(first_night))
    exports = Exports(cli, db)
    first = exports("jsonl", "--cursor", "cursor", "--columns", "url,text")
    whole = {row["url"]: row for row in map(json.loads, first.splitlines())}
    web = known_web()
    second_night(web.sites["example.com"])
    web.sites["example.com"].page("/same-2", title="Same", text="no more")
    crawled(web, db, at=NIGHT + DAY_S, max_age_s=0, retries=0)
    *lines, last = map(json.loads, exports("jsonl", "--cursor", "cursor", "--columns", "url,text").splitlines())
    assert last == {"cursor": (cli.folder / "cursor").read_text().strip()}
    assert [line for line in lines if "removed" in line] == [{"url": f"{SITE}/leaving", "removed": "gone"}]
    for line in lines:
        if "removed" in line:
            del whole[line["url"]]
        else:
            whole[line["url"]] = line
    now = [json.loads(line) for line in exports("jsonl", "--columns", "url,text").splitlines()]
    assert sorted(whole.values(), key=lambda row: row["url"]) == sorted(now, key=lambda row: row["url"])
    assert len(lines) == 3
    again = exports("jsonl", "--since", last["cursor"]).splitlines()
    assert [json.loads(line) for line in again] == [last]


@pytest.mark.parametrize(
    ("arguments", "goes_on"),
    [
        (("jsonl", "pages.jsonl"), True),
        (("text", "texts"), True),
        pytest.param(("parquet", "parted", "--by", "host"), True, marks=pytest.mark.system),
        (("jsonl", "pages.jsonl", "--cursor", "cursor"), False),  # which is in that file
        (("sitemap", "sitemap.xml"), False),
        (("text", "pages.txt"), False),
        (("csv", "titles.csv", "--columns", "title"), False),
        pytest.param(("parquet", "parted", "--by", "date"), False, marks=pytest.mark.system),
        (("jsonl", "pages.jsonl", "--run", "1"), False),
    ],
)
def test_a_cursor_is_told_where_it_can_be_given(exports: Exports, arguments: tuple[str, ...], goes_on: bool) -> None:
    cursor = exports(*arguments).partition("next: --since ")[2].strip()
    assert bool(cursor) is goes_on
    if goes_on:
        assert ": 0 pages, 0 removed" in exports(*arguments, "--since", cursor)


@pytest.mark.sqlite
def test_what_is_no_longer_chosen_is_filtered(cli: Cli, known: Location) -> None:
    exports = Exports(cli, known)
    beginning = "c1_WzAsMF0"
    lines = [json.loads(line) for line in exports("jsonl", "--since", beginning, "--where", "depth < 2").splitlines()]
    removed = {line["url"]: line["removed"] for line in lines if "removed" in line}
    assert removed == {f"{SITE}/docs/a": "filtered", f"{SITE}/leaving": "gone"}
    only = [json.loads(line) for line in exports("jsonl", "--since", beginning, "--url", "*/docs/*").splitlines()]
    assert {line["url"] for line in only if "url" in line} == {f"{SITE}/docs/", f"{SITE}/docs/a"}


# --- sitemaps and graphs ----------------------------------------------------------------------------------------------


def locs_of(data: bytes) -> dict[str, str]:
    """Each URL of a sitemap or an index, and its lastmod."""
    entries = ET.fromstring(data)
    assert entries.tag in (f"{SITEMAP}urlset", f"{SITEMAP}sitemapindex")
    return {one.findtext(f"{SITEMAP}loc", ""): one.findtext(f"{SITEMAP}lastmod", "") for one in entries}


def test_a_sitemap_has_what_may_be_listed_and_when_it_changed(exports: Exports) -> None:
    found = locs_of(exports("sitemap").encode())
    seen = rows(exports.db, "SELECT url, seen_at FROM current_pages")
    assert found == {url: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for url, at in seen}


def test_what_asks_not_to_be_listed_is_left_out_of_a_sitemap(cli: Cli, places: Places) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/hidden", "/copy", "/q?a=1&b=2"])
    site.page("/hidden", head='<meta name="robots" content="noindex">')
    site.page("/copy", head='<link rel="canonical" href="/">')
    site.page("/q?a=1&b=2")
    file = cli.folder / "crawl.db"
    crawled(web, file, "http://a.test/", retries=0)
    outcome = cli.command("export", "sitemap", "s.xml.gz", "--db", str(places.of(file)))
    assert "1 left out: noindex, 1 left out: another URL is canonical" in outcome.out
    with gzip.open(cli.folder / "s.xml.gz") as sitemap:
        assert set(locs_of(sitemap.read())) == {"http://a.test/", "http://a.test/q?a=1&b=2"}


@pytest.mark.sqlite
@pytest.mark.thorough
async def test_a_large_sitemap_is_parted_and_has_an_index(cli: Cli) -> None:
    await make(cli.db, 120_000)
    said = cli.command("export", "sitemap", "map.xml", "--db", str(cli.db), "--base-url", "https://a.test/maps").out
    index = locs_of((cli.folder / "map.xml").read_bytes())
    assert list(index) == [f"https://a.test/maps/map-{number}.xml" for number in (1, 2, 3)]
    parts = [locs_of((cli.folder / f"map-{number}.xml").read_bytes()) for number in (1, 2, 3)]
    assert [len(part) for part in parts[:2]] == [50_000, 50_000]
    assert list(index.values()) == [max(part.values()) for part in parts]
    listed = rows(cli.db, "SELECT url FROM current_pages WHERE NOT noindex AND coalesce(canonical_url, url) = url")
    assert {url for part in parts for url in part} == {url for (url,) in listed}
    assert "left out: noindex" in said
    refused = cli.command("export", "sitemap", "--db", str(cli.db), status=2)
    assert "needs several files" in refused.err
    cli.command("export", "sitemap", "map.xml", "--db", str(cli.db), "--where", "url_id < 1000")
    assert not list(cli.folder.glob("map-*"))
    assert len(locs_of((cli.folder / "map.xml").read_bytes())) < 1000


def test_a_graph_has_a_node_for_each_url_and_an_edge_for_each_link(exports: Exports) -> None:
    graph = ET.fromstring(exports("graphml"))
    nodes = {one.get("id"): data_of(one) for one in graph.iter(f"{GRAPHML}node")}
    edges = [(one.get("source"), one.get("target"), data_of(one)) for one in graph.iter(f"{GRAPHML}edge")]
    assert len(nodes) == len(list(graph.iter(f"{GRAPHML}node")))
    assert {node["url"] for node in nodes.values() if node["chosen"] == "true"} == {f"{SITE}{path}" for path in CURRENT}
    found = [
        (nodes[source]["url"], nodes[target]["url"], data["anchor"], data["rel"]) for source, target, data in edges
    ]
    links = rows(exports.db, "SELECT page_url, target_url, anchor, rel FROM outlinks")
    ill = str.maketrans({"\x1b": "\ufffd"})
    assert sorted(found) == sorted((*urls, anchor.translate(ill), rel) for *urls, anchor, rel in links)


def data_of(element: ET.Element) -> dict[str, str]:
    return {one.get("key", ""): one.text or "" for one in element}


# --- folders ----------------------------------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, str]:
    """What is in it, but for the manifest."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in found.items() if name != "_manifest.jsonl"}


def manifest_of(folder: Path) -> dict[str, str]:
    lines = map(json.loads, (folder / "_manifest.jsonl").read_text().splitlines())
    return {line["file"]: line["url"] for line in lines}


def texts_of(db: Location) -> dict[str, str]:
    return {file_name(url, ".txt"): f"{text}\n" for url, text in rows(db, "SELECT url, text FROM current_pages")}


def test_a_folder_has_a_file_for_each_page_and_the_manifest_says_whose(exports: Exports, cli: Cli) -> None:
    folder = cli.folder / "texts"
    exports("text", str(folder))
    assert files_of(folder) == texts_of(exports.db)
    assert manifest_of(folder) == {file_name(f"{SITE}{path}", ".txt"): f"{SITE}{path}" for path in CURRENT}
    exports("text", str(folder), "--url", "*/docs/*")
    assert set(files_of(folder)) == {"example.com/docs/index.txt", "example.com/docs/a.txt"}


@pytest.mark.sqlite
def test_a_folder_is_brought_up_to_date(cli: Cli, first_night: Path) -> None:
    db, folder = cli.folder / "copy.db", cli.folder / "texts"
    cli.command("backup", str(db), "--db", str(first_night))
    exports = Exports(cli, db)
    assert "no export to bring up to date" in exports.refused("text", str(folder), "--since", "c1_WzAsMF0")
    exports("text", str(folder), "--cursor", "cursor")
    (folder / "example.com/mine.txt").write_text("the user's own")
    kept = (folder / "example.com/index.txt").stat().st_ino
    web = known_web()
    second_night(web.sites["example.com"])
    crawled(web, db, at=NIGHT + DAY_S, max_age_s=0, retries=0)
    said = exports("text", str(folder), "--cursor", "cursor")
    assert "1 page, 1 removed" in said
    assert files_of(folder) == texts_of(db) | {"example.com/mine.txt": "the user's own"}
    assert "example.com/leaving.txt" not in manifest_of(folder)
    assert (folder / "example.com/index.txt").stat().st_ino == kept


def test_a_folder_that_is_not_ours_is_left_alone(exports: Exports, cli: Cli) -> None:
    (cli.folder / "mine").mkdir()
    (cli.folder / "mine/precious").write_text("x")
    assert "not empty" in exports.refused("text", "mine")
    (cli.folder / "file").write_text("x")
    assert "is a file" in exports.refused("text", "file")
    (cli.folder / "mine/_manifest.jsonl").write_text(
        '{"file": "precious", "url": "https://a.test/"}\n{"file": "../file", "url": "https://a.test/"}\nnonsense\n[1]\n'
    )
    exports("text", "mine")
    assert (cli.folder / "mine/precious").read_text() == "x"
    assert (cli.folder / "file").read_text() == "x"


def test_one_file_has_all_texts_with_form_feeds_between(exports: Exports, cli: Cli) -> None:
    exports("text", "all.txt")
    parts = (cli.folder / "all.txt").read_text().split("\f\n")
    assert exports("text") == "\f\n".join(parts)
    *urls, end = [part.partition("\n")[0] for part in parts]
    assert as_found(exports.db, [url.removeprefix(SITE) for url in urls]) == CURRENT
    assert end == ""
