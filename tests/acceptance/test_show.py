"""`crawler show`: all that is known of one URL, on one screen, and its text, body and links alone."""

from __future__ import annotations

import json
import re

import pytest

from crawler import UsageError, open_crawl
from tests.acceptance.conftest import COMMAND, Cli, Places, on_a_terminal
from tests.acceptance.known_web import EVIL, EVIL_SHOWN, SITE, crawl_known_web
from tests.frontier.crawls import DAY_S, NIGHT
from tests.stores import Location

pytestmark = pytest.mark.any_store


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Location:
    db = tmp_path_factory.mktemp("known") / "crawl.db"
    crawl_known_web(db)
    return places.of(db)


class Shown:
    """`crawler show` on the known crawl."""

    def __init__(self, cli: Cli, db: Location) -> None:
        self._cli, self._db = cli, db

    def __call__(self, *arguments: str) -> str:
        return self._cli.command("show", *arguments, "--db", str(self._db)).out

    def refused(self, *arguments: str) -> str:
        outcome = self._cli.command("show", *arguments, "--db", str(self._db), status=2)
        assert outcome.out == ""
        (line,) = outcome.err.splitlines()
        return line


@pytest.fixture
def shown(cli: Cli, known: Location) -> Shown:
    return Shown(cli, known)


def labelled(text: str) -> dict[str, list[str]]:
    """Labels are parted from values by two spaces at least."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        label, _, value = line.partition("  ")
        rows.setdefault(label or list(rows)[-1], []).append(value.strip())
    return rows


def test_a_page_is_shown_with_its_metadata_versions_attempts_headers_and_links(shown: Shown) -> None:
    rows = labelled(shown(f"{SITE}/docs/a"))
    assert rows["url"] == [f"{SITE}/docs/a"]
    assert rows["status"] == ["fetched, HTTP 200 at 2023-11-15 22:13"]
    assert rows["found"] == [f"2023-11-14 22:13 by a link on {SITE}/docs/, depth 2"]
    assert rows["title"] == ["Part A"]
    assert rows["headings"] == ["Part A; Details"]
    assert rows["versions"] == ["2", "2*  2023-11-15 22:13  run 2  Part A", "1  2023-11-14 22:13  run 1  Part A"]
    assert rows["attempts"][0] == "2"
    assert rows["headers"][1] == "Content-Type: text/html; charset=utf-8"
    assert rows["links in"] == ["1", f"{SITE}/docs/  /docs/a"]
    assert "links out" not in rows


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dead", "gone, HTTP 404 at 2023-11-15 22:13"),
        ("/forbidden", "failed, http 403"),
        ("/old", f"redirected, HTTP 301 at 2023-11-15 22:13, to {SITE}/older"),
        ("/private/1", "excluded, robots: line 2: Disallow: /private"),
        ("/sitemap.xml", "fetched (sitemap), HTTP 200 at 2023-11-15 22:13"),
    ],
)
def test_what_became_of_any_url_is_told(shown: Shown, path: str, status: str) -> None:
    assert labelled(shown(SITE + path))["status"] == [status]


def test_what_fails_for_now_and_what_a_sitemap_names_is_told(shown: Shown) -> None:
    assert labelled(shown(f"{SITE}/shaky"))["failing"] == ["http 500 since 2023-11-15 22:13 (1 failed attempt)"]
    assert labelled(shown(f"{SITE}/orphan"))["in sitemaps"] == [f"{SITE}/sitemap.xml"]


@pytest.mark.first_case
@pytest.mark.parametrize(
    "written",
    [
        "example.com/docs/",
        "http://user:secret@EXAMPLE.com/docs/#top",
        " https://example.com/docs/#a ",
        "https://example.com:443/docs/",
    ],
)
def test_a_url_may_be_written_as_people_write_it(shown: Shown, written: str) -> None:
    if written.startswith("http:"):
        assert "did you mean https://example.com/docs/?" in shown.refused(written)
    else:
        assert labelled(shown(written))["url"] == [f"{SITE}/docs/"]


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://example.com/docs", "https://example.com/docs/"),
        ("https://example.com/dead/", "https://example.com/dead"),
        ("http://www.example.com/docs", "https://example.com/docs/"),
        ("https://example.com/docs/index.html", "https://example.com/docs/"),
        ("https://example.com/same-3", "https://example.com/same-2"),
    ],
)
def test_an_unknown_url_is_told_with_what_may_be_meant(shown: Shown, written: str, meant: str) -> None:
    line = shown.refused(written)
    assert f"{written} was never seen in " in line
    assert f"did you mean {meant}" in line


def test_nothing_is_guessed_for_another_site_and_what_is_no_url_is_refused(shown: Shown, known: Location) -> None:
    assert shown.refused("https://unknown.test/").endswith(f" {known}")
    assert "is not an http(s) URL" in shown.refused("mailto:me@example.com")
    assert "empty" in shown.refused("")


def test_json_has_all_of_it(shown: Shown) -> None:
    found = json.loads(shown(f"{SITE}/docs/a", "--json"))
    assert (found["status"], found["found_by"], found["found_on"]) == ("fetched", "link", f"{SITE}/docs/")
    assert found["page"]["title"] == "Part A"
    assert found["page"]["headings"] == [[1, "Part A"], [2, "Details"]]
    assert [one["seen_at"] for one in found["versions"]] == [NIGHT, NIGHT + DAY_S]
    assert re.fullmatch("[0-9a-f]{32}", found["versions"][0]["content_hash"])
    assert [one["run_id"] for one in found["attempts"]] == [1, 2]
    assert found["links_to"] == [{"page_url": f"{SITE}/docs/", "anchor": "/docs/a", "rel": "", "nofollow": False}]
    home = json.loads(shown(f"{SITE}/", "--json", "--links"))
    assert len(home["links_from"]) == 13
    assert json.loads(shown(f"{SITE}/private/1", "--json"))["page"] is None


def test_text_and_body_are_printed_as_they_are_stored_by_version(shown: Shown) -> None:
    page = f"{SITE}/docs/a"
    assert shown(page, "--text") == "Part A\nThe second version\nDetails\n"
    assert shown(page, "--text", "--version", "2") == shown(page, "--text")
    assert shown(page, "--text", "--version", "1") == "Part A\nThe first version\nDetails\n"
    assert "<p>The second version</p>" in shown(page, "--html")
    assert "<p>The first version</p>" in shown(page, "--html", "--version", "1")
    assert labelled(shown(page, "--version", "1"))["versions"][2] == "1*  2023-11-14 22:13  run 1  Part A"


def test_links_are_printed_alone_and_all_of_them(shown: Shown) -> None:
    lines = [line.split("\t") for line in shown(f"{SITE}/docs/", "--links").splitlines()]
    assert lines == [
        ["out", f"{SITE}/docs/a", "/docs/a", "fetched", ""],
        ["in", f"{SITE}/", "the docs", "", ""],
    ]
    assert len(shown(f"{SITE}/", "--links").splitlines()) == 13


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/docs/a", "--version", "3"], "has versions 1 to 2"),
        (["/dead", "--version", "1"], "has no stored version"),
        (["/docs/a", "--version", "3", "--text"], "no version 3 is stored"),
        (["/dead", "--text"], "nothing is stored"),
        (["/dead", "--html"], "nothing is stored"),
        (["/docs/a", "--text", "--html"], "--text and --html"),
        (["/docs/a", "--text", "--json"], "--text and --html"),
        (["/docs/a", "--links", "--version", "1"], "leave out --version"),
    ],
)
def test_what_there_is_not_is_told_in_one_line(shown: Shown, arguments: list[str], says: str) -> None:
    path, *options = arguments
    assert says in shown.refused(SITE + path, *options)


@pytest.mark.first_case
@pytest.mark.parametrize("option", ["", "--text", "--html", "--links"])
def test_a_page_does_nothing_to_a_terminal(known: Location, option: str) -> None:
    command = [*COMMAND, "show", f"{SITE}/evil", *filter(None, [option]), "--db", str(known)]
    screen = on_a_terminal(command, NO_COLOR="1", COLUMNS="80")
    assert EVIL_SHOWN in screen
    assert not {"\u202e", "\x9b"} & set(screen)
    assert "\x1b[31m" not in screen


def test_what_is_piped_is_exact(shown: Shown) -> None:
    assert shown(f"{SITE}/evil", "--text").startswith(f"{EVIL}\n")
    assert json.loads(shown(f"{SITE}/evil", "--json"))["page"]["title"] == EVIL


def test_it_fits_its_terminal(known: Location) -> None:
    for width in (60, 80, 140):
        screen = on_a_terminal([*COMMAND, "show", f"{SITE}/", "--db", str(known)], COLUMNS=str(width), NO_COLOR="1")
        lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in screen.replace("\r", "").splitlines()]
        assert max(map(len, lines)) <= width
        assert len(lines) < 45


async def test_the_library_tells_the_same(known: Location) -> None:
    async with open_crawl(known) as archive:
        assert await archive.find("example.com/docs/#top") == f"{SITE}/docs/"
        assert await archive.guesses("http://www.example.com/docs") == [f"{SITE}/docs/"]
        found = await archive.details(f"{SITE}/", max_links_to=1)
        assert found is not None
        assert (found.version, len(found.links_from), found.links_to, found.more_links_to) == (1, 13, [], False)
        first = await archive.page(f"{SITE}/docs/a", version=1)
        assert first is not None
        assert "first version" in first.text
        assert await archive.details("https://unknown.test/") is None
        with pytest.raises(UsageError, match="no stored version"):
            await archive.details(f"{SITE}/dead", version=1)
