"""`crawler report` on a shop with known faults: each section has exactly the known rows, on either of two days."""

from __future__ import annotations

import json
import re
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import trustme

from crawler.archive.audit.questions import QUESTIONS
from crawler.archive.listing import LISTINGS
from crawler.fakeweb import Served
from crawler.output.report.page import MAX_BYTES
from crawler.storage.sqlite.views import views
from tests.acceptance import devtools
from tests.acceptance.conftest import COMMAND, Cli, Outcome, Serve
from tests.acceptance.known_web import crawl_known_web
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, old_web
from tests.acceptance.shop_web import HOSTILE, LONG_DESCRIPTION, LONG_TITLE, next_day, shop

UNREADABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


class Shop:
    """The shop's databases after both days, and reports on them."""

    def __init__(self, folder: Path, served: Served, origin: str) -> None:
        self.cli, self.served, self.origin = Cli(folder), served, origin
        self.days = {1: folder / "first.db", 2: folder / "second.db", 3: folder / "checked.db"}

    def crawl(self, day: int, *arguments: str) -> None:
        self.cli.db = self.days[day]
        seeds = (f"{self.origin}/", self.served.url("secure.test"))
        self.cli.crawl(self.served, *seeds, "--delay", "0", "--retries", "0", "--insecure", *arguments)

    def report(self, day: int, *arguments: str, status: int = 0) -> Outcome:
        return self.cli.command("report", "-", "--db", str(self.days[day]), *arguments, status=status)

    def sections(self, day: int, *arguments: str) -> dict[str, Any]:
        data = json.loads(self.report(day, "--format", "json", *arguments).out)
        return {one["name"]: one for one in data["sections"]}

    def rows(self, day: int, name: str, *columns: str) -> list[Any]:
        """The rows of a section, in their order, with paths in the place of URLs of the shop."""
        section = self.sections(day)[name]
        assert section["total"] == len(section["rows"])
        return [tuple(self.short(row[column]) for column in columns) for row in section["rows"]]

    def short(self, value: Any) -> Any:
        return value.replace(self.origin, "") if isinstance(value, str) else value


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Both days' databases, and that of the second day with links and resources checked."""
    web = shop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("secure.test").configure_cert(context)
    with web.running(ssl_context=context) as served:
        made = Shop(tmp_path_factory.mktemp("shop"), served, served.url("shop.test", "/")[:-1])
        made.crawl(1)
        copy(made.days[1], made.days[2])
        next_day(web.sites["shop.test"])
        made.crawl(2, "--max-age", "0s", "--retry-failed")
        copy(made.days[2], made.days[3])
        made.crawl(3, "--check", "external", "--check", "resources")
        yield made


def copy(source: Path, target: Path) -> None:
    """A crawl database as it is."""
    with closing(sqlite3.connect(source)) as first, closing(sqlite3.connect(target)) as second:
        first.backup(second)


# --- what it finds ----------------------------------------------------------------------------------------------------


def broken(days: Shop, day: int) -> dict[str, tuple[str, set[tuple[str, str]]]]:
    """The cause, and the pages with their anchors, of each URL."""
    section = days.sections(day)["broken-links"]
    for row in section["rows"]:
        assert row["links"] == len(row["sources"])
    return {
        days.short(row["target_url"]): (
            days.short(row["cause"]),
            {(days.short(one["page_url"]), one["anchor"]) for one in row["sources"]},
        )
        for row in section["rows"]
    }


def test_broken_links_are_named_with_every_page_and_anchor(days: Shop) -> None:
    hostile = HOSTILE.replace("\x9b", "\ufffd")  # in HTML, that reference is another character
    first = broken(days, 1)
    dead = first.pop("/dead")
    assert dead[0] == "http 404"
    assert {page for page, _anchor in dead[1]} == {"/", "/ok", "/leaving"}
    assert {anchor for page, anchor in dead[1] if page == "/ok"} == {"dead, too"}
    assert any(anchor.startswith(hostile[:20]) for page, anchor in dead[1] if page == "/")
    always = {
        "/forbidden": ("http 403", {("/", "no entry")}),
        "/to-dead": ("http 404, redirected to /dead", {("/", "moved away")}),
        "/loop-a": ("redirect loop: /loop-a > /loop-b > /loop-a", {("/", "round")}),
    }
    assert first == always | {"/error": ("http 500", {("/", "out of order")})}
    assert broken(days, 2) == always | {
        "/dead": ("http 404", {("/ok", "dead, too")}),
        "/leaving": ("http 410", {("/", "leaving")}),
    }


def test_what_was_only_checked_is_told_apart_by_its_kind_and_its_verdict(days: Shop) -> None:
    assert "--check external" in days.sections(2)["unverified-links"]["unknown"]
    sections = days.sections(3)
    checked = {
        days.short(row["target_url"]): (row["cause"], row["sources"])
        for row in sections["broken-links"]["rows"]
        if {one["kind"] for one in row["sources"]} != {"link"}
    }
    assert set(checked) == {"http://elsewhere.test/", "/missing.png"}
    elsewhere, missing = checked["http://elsewhere.test/"], checked["/missing.png"]
    assert elsewhere[0] == "dns"
    assert [(days.short(one["page_url"]), one["anchor"], one["kind"]) for one in elsewhere[1]] == [
        ("/", "elsewhere", "external")
    ]
    assert missing[0] == "http 404"
    assert [(days.short(one["page_url"]), one["anchor"], one["kind"]) for one in missing[1]] == [
        ("/ok", "a picture", "resource")
    ]
    rest = {url: known for url, known in broken(days, 3).items() if url not in checked}
    assert rest == broken(days, 2)
    (wall,) = sections["unverified-links"]["rows"]
    assert (days.short(wall["url"]).partition(":8")[0], wall["verdict"], wall["cause"]) == (
        days.served.url("wall.test", "/").partition(":8")[0], "blocked", "http 403",
    )  # fmt: skip


FOUND: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]], list[tuple[Any, ...]] | None]] = {
    # a section: its columns, its rows on the first day, and on the second if they differ
    "broken-fragments": (
        ("target_url", "fragment", "page_url", "anchor"),
        [("/places", "nowhere", "/leaving", "nowhere")],
        [],
    ),
    "redirect-chains": (
        ("url", "hops", "end_url", "end_status"),
        [
            ("/loop-a", 2, "/loop-a", "loop"),
            ("/loop-b", 2, "/loop-b", "loop"),
            ("/to-dead", 1, "/dead", "gone"),
            ("/old", 2, "/new", "fetched"),
        ],
        None,
    ),
    "orphan-pages": (("url", "title"), [("/orphan", "Orphan")], [("/orphan", "Orphan"), ("/places", "Places")]),
    "failed-urls": (
        ("url", "reason"),
        [("/forbidden", "http 403"), ("/error", "http 500")],
        [("/forbidden", "http 403")],
    ),
    "failing-urls": (("url",), [], None),
    "duplicate-pages": (("url", "first_url"), [("/two", "/one")], None),
    "near-duplicate-pages": (("url", "first_url", "copies"), [("/story-2", "/story-1", 2)], None),
    "missing-titles": (("url",), [("/untitled",)], None),
    "duplicate-titles": (
        ("title", "url", "copies"),
        [("One and two", "/one", 2), ("One and two", "/two", 2), ("Twins", "/twin-1", 2), ("Twins", "/twin-2", 2)],
        None,
    ),
    "long-titles": (("url", "title", "length"), [("/long", LONG_TITLE, len(LONG_TITLE))], None),
    "missing-descriptions": (("url",), [("/plain",)], None),
    "duplicate-descriptions": (
        ("description", "url", "copies"),
        [("the same", "/one", 2), ("the same", "/two", 2)],
        None,
    ),
    "long-descriptions": (("url", "length"), [("/long", len(LONG_DESCRIPTION.strip()))], None),
    "canonical-problems": (("url", "canonical_url", "problem"), [("/for-dead", "/dead", "gone")], None),
    "hreflang-problems": (
        ("url", "language", "alternate_url", "problem"),
        [("/de", "en", "/ok", "one-sided")],
        None,
    ),
    "sitemap-problems": (
        ("url", "sitemap_url", "problem"),
        [
            ("/dead", "/sitemap.xml", "gone"),
            ("/hidden", "/sitemap.xml", "noindex"),
            ("/old", "/sitemap.xml", "redirected"),
        ],
        None,
    ),
    "invalid-json-ld": (("url", "script"), [("/data", '{"@type": Product}')], None),
    "noindex": (("url",), [("/hidden",)], None),
    "large-pages": (("url", "truncated"), [("/large", 0)], None),
    "traps": (("host", "rule", "urls"), [("shop.test", "repeated path segments", 1)], None),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("day", [1, 2])
def test_each_section_has_exactly_the_known_rows(days: Shop, name: str, day: int) -> None:
    columns, first, second = FOUND[name]
    assert days.rows(day, name, *columns) == (first if day == 1 or second is None else second)


def test_what_was_left_out_is_counted_by_reason(days: Shop) -> None:
    assert sorted(days.rows(1, "excluded", "rule", "reason", "urls", "example_url")) == [
        ("robots", "robots: line 2: Disallow: /private", 1, "/private/1"),
        ("scope", "scope", 2, "http://elsewhere.test/"),
        ("trap", "trap: repeated path segments", 1, "/x/x/x/x/x"),
    ]


def test_what_is_loaded_over_http_by_a_page_that_came_over_https(days: Shop) -> None:
    secure, image = days.served.url("secure.test"), f"{days.origin}/1.png"
    assert days.rows(1, "mixed-content", "page_url", "kind", "url") == [(secure, "image", days.short(image))]


def test_headers_that_protect_are_missed_by_host_and_only_https_is_asked_for_hsts(days: Shop) -> None:
    wanted = {"content-security-policy", "referrer-policy", "x-content-type-options", "x-frame-options"}
    found = set(days.rows(1, "missing-security-headers", "host", "header"))
    shops = {("shop.test", name) for name in wanted}
    assert found == shops | {("secure.test", name) for name in wanted | {"strict-transport-security"}}


def test_changes_are_those_of_the_last_run_and_unknown_after_the_first(days: Shop) -> None:
    assert "one run" in days.sections(1)["changes"]["unknown"]
    assert days.rows(2, "changes", "change", "url") == [
        ("changed", "/"),
        ("gone", "/leaving"),
        ("new", "/error"),
    ]


def test_the_best_linked_pages_come_first(days: Shop) -> None:
    found = days.rows(2, "best-linked", "url", "rank", "inlinks")
    with closing(sqlite3.connect(days.days[2])) as connection:
        pages = {days.short(url) for (url,) in connection.execute("SELECT url FROM current_pages")}
    assert {url for url, _rank, _inlinks in found} == pages
    assert [rank for _url, rank, _inlinks in found] == sorted((rank for _url, rank, _inlinks in found), reverse=True)
    assert {url: inlinks for url, _rank, inlinks in found if url in ("/", "/new", "/orphan")} == {
        "/": 1, "/new": 1, "/orphan": 0,
    }  # fmt: skip


def test_without_its_derived_file_a_report_has_all_the_rest(days: Shop, tmp_path: Path) -> None:
    db = tmp_path / "alone.db"
    copy(days.days[2], db)
    (tmp_path / "alone.db.derived").mkdir()
    data = json.loads(days.cli.command("report", "-", "--format", "json", "--db", str(db)).out)
    assert len(data["sections"]) == len(QUESTIONS)
    assert all(one["total"] for one in data["sections"] if one["name"] in ("near-duplicate-pages", "best-linked"))


@pytest.mark.thorough
def test_no_section_is_left_untested_and_each_can_be_listed(days: Shop) -> None:
    elsewhere = {
        "broken-links",
        "extraction-problems",  # in test_extract
        "unverified-links",
        "flaky-links",
        "excluded",
        "mixed-content",
        "missing-security-headers",
        "changes",
        "slow-pages",
        "best-linked",
    }
    assert set(QUESTIONS) == {*FOUND, *elsewhere}
    for section in days.sections(1).values():
        assert section["view"] in LISTINGS
        days.cli.command("list", section["view"].replace("_", "-"), "--db", str(days.days[1]))


def test_sections_say_what_their_views_say(days: Shop) -> None:
    """Some views are read by another way, for speed."""
    with closing(sqlite3.connect(days.days[3])) as connection:
        links = set(connection.execute("SELECT target_url, cause, page_url, anchor, kind FROM broken_links"))
    sections = days.sections(3)
    assert links == {
        (row["target_url"], row["cause"], one["page_url"], one["anchor"], one["kind"])
        for row in sections["broken-links"]["rows"]
        for one in row["sources"]
    }
    for question in QUESTIONS.values():
        if question.view in views() and question.name != "broken-links":
            sql = f"SELECT count(*) FROM {question.view} WHERE {question.where}"
            with closing(sqlite3.connect(days.days[3])) as connection:
                assert connection.execute(sql).fetchone() == (sections[question.name]["total"],), question.name


# --- failing on it ----------------------------------------------------------------------------------------------------


def test_fail_on_exits_with_seven_where_something_was_found(days: Shop) -> None:
    assert "broken-links 5" in days.report(1, "--fail-on", "broken-links", status=7).err
    days.report(1, "--fail-on", "failing-urls", status=0)
    assert "missing-titles 1" in days.report(1, "--fail-on", "failing_urls, missing-titles", status=7).err
    err = days.report(1, "--fail-on", "errors", status=7).err
    assert [name in err for name in ("broken-links", "failed-urls", "mixed-content", "traps")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("kind", ["report", "database"])
def test_with_a_baseline_only_what_is_new_fails(days: Shop, tmp_path: Path, kind: str) -> None:
    baseline = {1: days.days[1], 2: days.days[2]}
    if kind == "report":
        for day in (1, 2):
            baseline[day] = tmp_path / f"{day}.json"
            days.cli.command("report", str(baseline[day]), "--db", str(days.days[day]))
    options = ("--fail-on", "broken-links", "--format", "json", "--baseline")
    outcome = days.report(2, *options, str(baseline[1]), status=7)
    assert "broken-links 5 (1 new)" in outcome.err
    (section,) = (one for one in json.loads(outcome.out)["sections"] if one["name"] == "broken-links")
    assert [days.short(row["target_url"]) for row in section["rows"] if row["is_new"]] == ["/leaving"]
    assert section["rows"][0]["is_new"]
    days.report(2, *options, str(baseline[2]), status=0)


def test_a_baseline_that_cannot_be_one_is_refused_in_one_line(days: Shop, tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        error = days.report(1, "--fail-on", "broken-links", "--baseline", str(path), status=2).err
        assert error.count("\n") == 1
        return error

    other, cut = tmp_path / "other.json", tmp_path / "cut.json"
    assert "No such file" in refused(other)
    other.write_text("[1, 2]")
    assert "is no report" in refused(other)
    days.cli.command("report", str(cut), "--db", str(days.days[1]), "--limit", "2")
    assert "2 of 5 rows" in refused(cut)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-on", "broken-lnks"], "did you mean broken-links?"),
        (["--fail-on", ","], "names of sections"),
        (["--baseline", "x.json"], "--baseline is for --fail-on"),
        (["--format", "pdf"], "--format"),
        (["--limit", "0"], "--limit"),
        (["/nowhere/report.html"], "FILE /nowhere/report.html"),
    ],
)
def test_mistakes_end_in_one_line(days: Shop, arguments: list[str], message: str) -> None:
    outcome = days.cli.command("report", *arguments, "--db", str(days.days[1]), status=2)
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("name", ["other.db", "other.html"])
def test_a_report_never_takes_the_place_of_a_database(days: Shop, tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    copy(days.days[1], other)
    before = other.read_bytes()
    outcome = days.cli.command("report", str(other), "--db", str(days.days[2]), status=2)
    assert outcome.err == f"crawler: FILE {other}: is a SQLite database; name another file\n"
    assert other.read_bytes() == before


def test_what_has_no_answer_is_no_good_result(days: Shop, tmp_path: Path) -> None:
    bare = tmp_path / "bare.db"
    copy(days.days[2], bare)
    with closing(sqlite3.connect(bare)) as connection, connection:
        connection.execute("UPDATE fetches SET head_id = NULL")
        connection.execute("DELETE FROM heads")
        connection.execute("DELETE FROM bodies")
    for name, reason in (("missing-security-headers", "No response headers"), ("broken-fragments", "No bodies")):
        error = days.cli.command("report", "-", "--db", str(bare), "--fail-on", name, status=2).err
        assert f"--fail-on {name} has no answer: {reason}" in error
        assert error.count("\n") == 1


def test_without_a_crawl_there_is_no_report(cli: Cli) -> None:
    outcome = cli.command("report", "--db", str(cli.db), status=6)
    assert "there is no crawl" in outcome.err
    assert not list(cli.folder.glob("*.html"))


@pytest.mark.parametrize("name", ["r.txt", "report"])
def test_a_name_that_tells_no_format_is_refused_unless_that_is_given(cli: Cli, name: str) -> None:
    outcome = cli.command("report", name, "--db", str(cli.db), status=2)
    assert "end it with .html, .json, .md, .xml, or give --format" in outcome.err
    assert "there is no crawl" in cli.command("report", name, "--format", "html", "--db", str(cli.db), status=6).err
    assert "there is no crawl" in cli.command("report", "r.htm", "--db", str(cli.db), status=6).err


# --- how it is written ------------------------------------------------------------------------------------------------


def test_a_report_stands_beside_the_database_and_its_name_tells_the_format(days: Shop, tmp_path: Path) -> None:
    outcome = days.cli.command("report", "--db", str(days.days[1]))
    page = days.days[1].parent / "report.html"
    assert outcome.out.startswith(f"wrote {page}, ")
    assert page.read_text().startswith("<!doctype html>")
    for name, begin in (("r.json", "{"), ("r.md", "# "), ("r.xml", "<?xml"), ("r.htm", "<!doctype")):
        days.cli.command("report", str(tmp_path / name), "--db", str(days.days[1]))
        assert (tmp_path / name).read_text().startswith(begin)
    days.cli.command("report", "--format", "markdown", "--db", str(days.days[1]))
    assert (days.days[1].parent / "report.md").exists()


def test_nothing_that_was_crawled_is_markup_in_the_page(days: Shop) -> None:
    page = days.report(1, "--format", "html").out
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert not UNREADABLE.search(page)
    assert 'content="default-src &#39;none&#39;; style-src &#39;sha256-' in page
    assert not re.search(r"\son\w+=|style=", page.replace("onerror=document", ""))
    outside = set(re.findall(r'(?:href|src)="((?!#)[^"]+)"', page))
    assert outside
    assert all(url.startswith(("http://shop.test", "http://elsewhere.test", "https://secure.test")) for url in outside)


def test_markdown_has_what_was_crawled_in_code_spans(days: Shop) -> None:
    text = days.report(1, "--format", "markdown").out
    assert not UNREADABLE.search(text)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "script>" not in outside
    assert "@all" not in outside
    for line in text.splitlines():
        if line.startswith("| `http") and "no entry" in line:
            assert line.count("|") == 5
    hostile = next(line for line in text.splitlines() if "onerror" in line)
    assert hostile.count("|") == 5
    assert "``" in hostile


def test_junit_has_a_failure_for_each_error_or_for_what_was_asked(days: Shop) -> None:
    def failures(*arguments: str, status: int = 0) -> dict[str, int]:
        root = ET.fromstring(days.report(2, "--format", "junit", *arguments, status=status).out)
        assert root.get("failures") == str(len(root.findall(".//failure")))
        assert root.get("tests") == str(len(root.findall(".//testcase")))
        return {suite.get("name", ""): len(suite.findall("testcase/failure")) for suite in root}

    found = failures()
    assert set(found) == set(QUESTIONS)
    assert {name: number for name, number in found.items() if number} == {
        "broken-links": 5,
        "failed-urls": 1,
        "mixed-content": 1,
    }
    asked = failures("--fail-on", "missing-titles", status=7)
    assert {name: number for name, number in asked.items() if number} == {"missing-titles": 1}
    new = failures("--fail-on", "broken-links", "--baseline", str(days.days[1]), status=7)
    assert {name: number for name, number in new.items() if number} == {"broken-links": 1}


def test_json_is_exact_and_ascii(days: Shop) -> None:
    out = days.report(1, "--format", "json").out
    assert out.isascii()
    data = json.loads(out)
    assert (
        data["figures"]["pages"] == len(days.cli.rows("SELECT 1 FROM current_pages")) or data["figures"]["pages"] > 15
    )
    assert {chart["name"] for chart in data["charts"]} >= {"classes", "depth", "hosts", "types", "responses"}


def test_what_budgets_are_worth_is_drawn_as_the_plan_tells_it(cli: Cli) -> None:
    crawl_known_web(cli.db)
    data = json.loads(cli.command("report", "-", "--format", "json", "--db", str(cli.db)).out)
    (drawn,) = [chart["points"] for chart in data["charts"] if chart["name"] == "budgets"]
    told = json.loads(cli.command("plan", "--json", "--db", str(cli.db)).out)["budgets"]
    assert [value for _label, value in drawn] == [round(100 * one["freshness"]) for one in told]
    assert [int(label.split()[0]) for label, _value in drawn] == [one["requests"] for one in told]
    assert len(drawn) > 2


def test_long_tables_are_cut_and_say_which_command_lists_the_rest(days: Shop) -> None:
    page = days.report(1, "--format", "html", "--limit", "2").out
    assert "2 of 5 rows are shown" in page
    assert "crawler list broken-links" in page


@pytest.mark.thorough
def test_a_page_stays_below_its_limit_whatever_the_crawl(tmp_path: Path, days: Shop) -> None:
    """A copy in which thousands of pages have the longest URLs and texts of the most escaped character."""
    big = tmp_path / "big.db"
    with closing(sqlite3.connect(days.days[2])) as source, closing(sqlite3.connect(big)) as copy:
        source.backup(copy)
        copy.execute(
            "CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION SELECT i + 1 FROM n LIMIT 100)"
            " SELECT i FROM n"
        )
        columns = [row[1] for row in copy.execute("PRAGMA table_info(urls)")]
        values = ["url || i || printf('%.2000c', '&')" if name == "url" else name for name in columns if name != "id"]
        names = ", ".join(name for name in columns if name != "id")
        copy.execute(f"INSERT INTO urls ({names}) SELECT {', '.join(values)} FROM urls, n WHERE kind = 'page'")
        copy.execute("UPDATE pages SET title = printf('%.2000c', '<'), description = printf('%.2000c', '\"')")
        copy.commit()
    page = days.cli.command("report", "-", "--db", str(big), "--limit", "100000").out
    assert len(page.encode()) <= MAX_BYTES
    assert "rows are shown" in page


def test_it_works_while_a_crawl_holds_the_database(days: Shop, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(days.days[1].read_bytes())
    with closing(sqlite3.connect(copy, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE urls SET depth = depth + 1")
        before = copy.read_bytes()
        days.cli.command("report", str(tmp_path / "r.html"), "--db", str(copy))
        assert copy.read_bytes() == before


def test_standard_output_is_the_report_alone(days: Shop) -> None:
    outcome = days.cli.run([*COMMAND, "report", "-", "--db", str(days.days[1])])
    assert outcome.out.startswith("<!doctype html>")
    assert outcome.out.endswith("</html>\n")
    assert outcome.err == ""


def test_a_database_of_0_1_0_is_reported_on_once_it_is_migrated(cli: Cli, serve: Serve) -> None:
    """What that version did not keep is unknown, and said to be."""
    served = serve(old_web(2))
    restore("database_0_1_0.sql", PORT, cli.db, served)
    assert "older schema" in cli.command("report", "--db", str(cli.db), status=6).err
    assert not (cli.folder / "report.html").exists()
    cli.crawl(served, "--no-headers", "--max-requests", "1", status=None)
    sections = {
        one["name"]: one
        for one in json.loads(cli.command("report", "-", "--format", "json", "--db", str(cli.db)).out)["sections"]
    }
    assert "before 0.2.0" in sections["missing-security-headers"]["unknown"]
    assert sections["failed-urls"]["total"] == cli.rows("SELECT count(*) FROM failed_urls")[0] > 0
    linked = {row["target_url"] for row in sections["broken-links"]["rows"]}
    assert linked == set(cli.rows("SELECT DISTINCT target_url FROM broken_links"))
    assert linked
    assert cli.command("report", "-", "--db", str(cli.db)).out.startswith("<!doctype html>")


# --- in a browser -----------------------------------------------------------------------------------------------------

ROWS = "[...document.querySelectorAll('[aria-labelledby=broken-links] tbody tr')]"
FIRST = f"{ROWS}.filter((row) => !row.hidden).map((row) => row.cells[0].textContent.trim())"
HEAD = "document.querySelector('[aria-labelledby=broken-links] th')"
FILTER = "document.querySelector('[aria-labelledby=broken-links] input')"


@pytest.mark.system
async def test_in_a_browser_nothing_that_was_crawled_does_anything(days: Shop, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    days.cli.command("report", str(page), "--db", str(days.days[1]))
    async with devtools.opened(page, tmp_path / "profile") as tab:
        assert await tab.value("document.title") == "Crawl of shop.test, secure.test"
        assert tab.requests == [page.as_uri()]
        assert tab.complaints == []
        assert (
            await tab.value("document.querySelectorAll('script, img, iframe, object, [onerror], [style]').length") == 1
        )
        assert await tab.value("getComputedStyle(document.body).maxWidth") != "none"  # the policy lets the style in
        await tab.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=document.title=1>')")
        assert any("Content Security Policy" in one for one in tab.complaints)


@pytest.mark.system
async def test_in_a_browser_tables_sort_and_filter_by_keyboard(days: Shop, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    days.cli.command("report", str(page), "--db", str(days.days[3]))
    async with devtools.opened(page, tmp_path / "profile") as tab:
        before = await tab.value(FIRST)
        assert len(before) == 7
        await tab.value(f"{HEAD}.querySelector('button').focus()")
        await press(tab, "Enter", "\r")
        assert (await tab.value(FIRST), await tab.value(f"{HEAD}.ariaSort")) == (sorted(before), "ascending")
        await press(tab, "Enter", "\r")
        assert (await tab.value(FIRST), await tab.value(f"{HEAD}.ariaSort")) == (sorted(before)[::-1], "descending")
        await tab.value(f"{FILTER}.focus()")
        await tab.call("Input.insertText", text="FORBIDDEN HTTP")
        assert [days.short(url) for url in await tab.value(FIRST)] == ["/forbidden"]
        assert await tab.value(f"{FILTER}.closest('p').querySelector('output').textContent") == "1 of 7 rows"


@pytest.mark.system
async def test_in_a_browser_no_screen_is_too_narrow(days: Shop, tmp_path: Path) -> None:
    """On a phone nothing sticks out; in the dark and on paper the page is drawn, too."""
    page = tmp_path / "report.html"
    days.cli.command("report", str(page), "--db", str(days.days[3]))
    async with devtools.opened(page, tmp_path / "profile") as tab:
        pictures = {
            await tab.look(width=1280),
            await tab.look(width=1280, dark=True),
            await tab.look(width=1280, printed=True),
            await tab.look(width=360),
        }
        assert len(pictures) == 4
        assert await tab.value("document.documentElement.scrollWidth") <= 360
        tables = "[...document.querySelectorAll('.scroll')]"
        assert await tab.value(f"{tables}.every((one) => one.scrollWidth <= one.clientWidth)")


async def press(tab: devtools.Tab, key: str, text: str) -> None:
    """Press a key and let it go."""
    for kind in ("keyDown", "keyUp"):
        await tab.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            text=text if kind == "keyDown" else "",
            windowsVirtualKeyCode=13,
        )
