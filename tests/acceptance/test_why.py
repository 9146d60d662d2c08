"""`crawler why`: how a URL was found, what decided about it, and what the rules say of one that nobody has seen."""

from __future__ import annotations

import json
import re
from asyncio import to_thread
from pathlib import Path
from typing import Any

import pytest

from crawler import CrawlConfig, ScopeConfig, open_crawl
from crawler.archive.ruling import Rules
from crawler.fakeweb import FakeWeb
from crawler.records import ExclusionReason
from crawler.seeds import parse_seed
from crawler.storage.location import database_at
from tests.acceptance.conftest import COMMAND, Cli, Places, Serve, on_a_terminal
from tests.acceptance.known_web import EVIL_SHOWN, SITE, crawl_known_web
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, old_web
from tests.frontier.crawls import NIGHT, crawled
from tests.stores import Location

pytestmark = pytest.mark.any_store

# What depends on what a crawl has seen: no rule says it of a URL alone.
BY_EXPERIENCE = {
    ExclusionReason.HOOK,
    ExclusionReason.NOFOLLOW,
    ExclusionReason.SESSION_IDS,
    ExclusionReason.URLS_OF_HOST,
    ExclusionReason.HOSTS_OF_DOMAIN,
    ExclusionReason.NO_SITEMAP,
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Location:
    db = tmp_path_factory.mktemp("known") / "crawl.db"
    crawl_known_web(db)
    return places.of(db)


class Asked:
    """`crawler why` on a crawl."""

    def __init__(self, cli: Cli, db: Location) -> None:
        self.cli, self.db = cli, db

    def __call__(self, url: str, *options: str) -> dict[str, list[str]]:
        """The lines by their labels; those without one belong to the label above."""
        rows: dict[str, list[str]] = {}
        for line in self.cli.command("why", url, *options, "--db", str(self.db)).out.splitlines():
            label, _, value = line.partition("  ")
            rows.setdefault(label or list(rows)[-1], []).append(value.strip())
        return rows

    def answer(self, url: str, *options: str) -> str:
        (answer,) = self(url, *options)["answer"]
        return answer

    def data(self, url: str, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cli.command("why", url, *options, "--json", "--db", str(self.db)).out)
        return found


@pytest.fixture
def why(cli: Cli, known: Location) -> Asked:
    return Asked(cli, known)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/docs/a", "fetched, last at 2023-11-15 22:13"),
        ("/dead", "gone: it returned HTTP 404 at 2023-11-15 22:13"),
        ("/leaving", "gone: it returned HTTP 410 at 2023-11-15 22:13"),
        ("/forbidden", "failed: http 403; no run retries it without --retry-failed"),
        ("/old", f"redirected to {SITE}/older, which is redirected"),
        ("/private/1", "excluded: robots.txt, line 2: Disallow: /private"),
        ("/x/x/x/x/x", "excluded: its path repeats itself, as in an endless site (--no-trap-rules lets it in)"),
        ("/nobody", "never seen: nothing that was read names it"),
    ],
)
def test_the_first_line_says_what_became_of_it_and_what_decided(why: Asked, path: str, answer: str) -> None:
    assert why.answer(SITE + path) == answer


def test_the_scope_is_told_with_the_seeds(why: Asked) -> None:
    rows = why("other.test")
    assert rows["answer"] == ["excluded: --scope host: other.test is none of the seeds' hosts (example.com)"]
    assert "rules now" not in rows  # they say the same
    assert rows["robots.txt"] == ["https://other.test/robots.txt was never read"]


def test_the_way_from_a_seed_is_told(why: Asked) -> None:
    when = "2023-11-14 22:13"
    assert why(f"{SITE}/docs/a")["found"] == [
        "3", f"seed  {SITE}/  {when}", f"link  {SITE}/docs/  {when}", f"link  {SITE}/docs/a  {when}",
    ]  # fmt: skip
    assert [line.split("  ")[0] for line in why(f"{SITE}/orphan")["found"]] == ["3", "robots.txt", "robots", "sitemap"]
    assert [line.split("  ")[0] for line in why(f"{SITE}/older")["found"]] == ["3", "seed", "link", "redirect"]


def test_robots_txt_is_quoted_with_its_line_and_age(why: Asked) -> None:
    (line,) = why(f"{SITE}/private/1")["robots.txt"]
    assert line == (
        "disallows it for onefile-crawler: line 2: Disallow: /private"
        f" ({SITE}/robots.txt, read 2023-11-15 22:13, HTTP 200)"
    )
    assert why(f"{SITE}/docs/a")["robots.txt"][0].startswith("allows it for onefile-crawler: no rule matches (")


def test_attempts_and_failures_are_told(why: Asked) -> None:
    rows = why(f"{SITE}/shaky")
    assert rows["failing"] == ["http 500 since 2023-11-15 22:13 (1 failed attempt)"]
    assert rows["attempts"] == ["2", "2023-11-15 22:13  run 2  500  0.00 s", "2023-11-14 22:13  run 1  200  0.00 s"]


def test_of_a_url_that_was_never_seen_the_rules_are_told_and_what_may_be_meant(why: Asked) -> None:
    rows = why(f"{SITE}/private/new")
    assert rows["rules now"] == ["they keep it out: robots.txt, line 2: Disallow: /private"]
    assert rows["seen are"][0].startswith(f"{SITE}/private/1")
    assert why(f"{SITE}/docs")["seen are"] == [f"{SITE}/docs/"]
    assert why(f"{SITE}/docs")["rules now"] == ["they let it in"]


@pytest.mark.first_case
@pytest.mark.parametrize(
    "written", ["example.com/docs/a", "https://EXAMPLE.com/docs/a#part", " https://example.com/docs/a "]
)
def test_a_url_may_be_written_as_people_write_it(why: Asked, written: str) -> None:
    assert why(written)["url"] == [f"{SITE}/docs/a"]


def test_without_a_scheme_a_url_that_was_never_seen_has_that_of_its_host(
    cli: Cli, tmp_path: Path, places: Places
) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    crawled(web, tmp_path / "virtual.db", "http://a.test/")
    why = Asked(cli, places.of(tmp_path / "virtual.db"))
    assert why("a.test/nobody")["url"] == ["http://a.test/nobody"]
    assert why("b.test/nobody")["url"] == ["https://b.test/nobody"]


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("http://10.1.2.3/", "10.1.2.3 is private, not public; allow it with --allow-private 10.1.2.3/32"),
        ("http://[::1]/", "::1 is loopback, not public; allow it with --allow-private ::1/128"),
        ("http://localhost/x", "127.0.0.1 is loopback, not public; allow it with --allow-private 127.0.0.1/32"),
        ("http://192.0.2.1:8080/page", None),  # the origin of a seed
        ("http://8.8.8.8/", None),
        ("http://a.test/", None),  # whatever it resolves to
    ],
)
def test_an_address_that_nothing_may_connect_to_is_told(
    no_crawl: Cli, tmp_path: Path, url: str, refusal: str | None
) -> None:
    file = tmp_path / "crawl.toml"
    file.write_text('seeds = ["http://192.0.2.1:8080/"]\nscope = "any"\n')
    found = Asked(no_crawl, no_crawl.db).data(url, "--config", str(file))
    assert found["address_refused"] == refusal
    assert found["answer"].endswith("it would be let in" if refusal is None else "it would be kept out")


def test_what_is_no_url_is_refused(cli: Cli, known: Location) -> None:
    outcome = cli.command("why", "mailto:me@example.com", "--db", str(known), status=2)
    assert "is not an http(s) URL" in outcome.err


def test_without_a_crawl_and_a_crawl_file_there_is_nothing_to_ask(cli: Cli) -> None:
    assert "there is no crawl in none.db" in cli.command("why", "a.test", "--db", "none.db", status=6).err


CRAWL_FILE = """
seeds = ["https://example.com/start", "https://ex\u00e4mple.org/"]
db = "{db}"
exclude = ['/drafts/']
include = ['/docs/', '/drafts/']
drop-param = ["utm_*"]
max-depth = 3
delay = 2

[[host]]
match = "*.org"
delay = 5
header = ["X-Key: secret"]
"""


@pytest.fixture
def crawl_file(no_crawl: Cli) -> Path:
    file = no_crawl.folder / "crawl.toml"
    file.write_text(CRAWL_FILE.format(db=no_crawl.db), encoding="utf-8")
    return file


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("url", "ruling"),
    [
        ("https://example.com/docs/1", "they let it in"),
        ("https://example.com/start", "they let it in"),
        ("https://example.com/start?utm_source=x", "they let it in"),
        ("https://example.com/docs/drafts/1", "they keep it out: --exclude: it matches '/drafts/'"),
        ("https://example.com/blog/", "they keep it out: --include: it matches none of '/docs/' '/drafts/'"),
        ("https://example.com:25/docs/", "they keep it out: port 25 is for other services than web servers;"
         " a seed opens it"),
        ("https://www.example.com/docs/", "they keep it out: --scope host: www.example.com is none of the seeds' hosts"
         " (example.com, xn--exmple-cua.org)"),
        ("https://example.com/docs/a/a/a/a/a/", "they keep it out: its path repeats itself, as in an endless site"
         " (--no-trap-rules lets it in)"),
        ("ex\u00e4mple.org/docs/", "they let it in"),
        ("https://example.com/docs/" + "x" * 2100, "they keep it out: it has 2,125 characters, more than 2,083"),
    ],
)  # fmt: skip
def test_before_any_crawl_the_rules_of_a_crawl_file_are_told(
    no_crawl: Cli, crawl_file: Path, url: str, ruling: str
) -> None:
    found = Asked(no_crawl, no_crawl.db)(url, "--config", str(crawl_file))
    assert found["answer"][0].startswith("there is no crawl yet; it would be ")
    assert found["rules now"] == [ruling]
    assert not no_crawl.has_anything()


def test_the_settings_of_its_host_are_told_without_secrets(no_crawl: Cli, crawl_file: Path) -> None:
    asked = Asked(no_crawl, no_crawl.db)
    settings = asked("https://ex\u00e4mple.org/docs/", "--config", str(crawl_file))["settings"]
    assert '--delay  5  ([[host]] "*.org")' in settings
    assert '--header  X-Key  ([[host]] "*.org")' in settings
    assert f"--max-depth  3  ({crawl_file})" in settings
    assert "--per-host  2  (default)" in settings
    assert f"--delay  2  ({crawl_file})" in asked("example.com/docs/", "--config", str(crawl_file))["settings"]
    assert "secret" not in str(settings)


def test_a_crawl_file_says_what_the_next_crawl_would_do(cli: Cli, known: Location, tmp_path: Path) -> None:
    file = tmp_path / "crawl.toml"
    file.write_text(
        f"seeds = ['{SITE}/']\nexclude = ['/docs/']\ntrap-rules = false\ndb = '{known}'\n", encoding="utf-8"
    )
    asked = Asked(cli, known)
    assert asked(f"{SITE}/docs/a", "--config", str(file))["rules now"] == [
        "they keep it out: --exclude: it matches '/docs/'"
    ]
    answer = asked.answer(f"{SITE}/x/x/x/x/x", "--config", str(file))
    assert answer.endswith("; the rules of now let it in")
    ignoring = tmp_path / "ignoring.toml"
    ignoring.write_text("ignore-robots = true\n", encoding="utf-8")
    assert asked.answer(f"{SITE}/private/1", "--config", str(ignoring)).endswith("; the rules of now let it in")


def test_what_a_limit_left_for_the_next_run_is_told(cli: Cli, tmp_path: Path, places: Places) -> None:
    web, db = FakeWeb(), tmp_path / "virtual.db"
    web.host("a.test").page("/", links=["/1", "/2"])
    crawled(web, db, "http://a.test/", max_pages=1)
    assert Asked(cli, places.of(db)).answer("http://a.test/1").endswith("; the last run reached --max-pages")
    crawled(web, db, "http://a.test/", max_pages_per_host=1, at=NIGHT + 100)
    assert Asked(cli, places.of(db)).data("http://a.test/nobody")["state"] is None


def test_json_has_all_of_it(why: Asked) -> None:
    found = why.data(f"{SITE}/private/1")
    assert found["answer"] == "excluded: robots.txt, line 2: Disallow: /private"
    assert found["state"]["status"] == "excluded"
    assert (found["robots"]["line"], found["robots"]["rule"], found["robots"]["allowed"]) == (
        2,
        "Disallow: /private",
        False,
    )
    assert [step["found_by"] for step in found["chain"]] == ["seed", "link"]
    assert {"option": "--scope", "value": "host", "source": "default"} in found["settings"]


def test_a_page_does_nothing_to_a_terminal_and_what_is_told_fits(known: Location) -> None:
    for width in (80, 140):
        command = [*COMMAND, "why", f"{SITE}/evil", "--db", str(known)]
        screen = on_a_terminal(command, NO_COLOR="1", COLUMNS=str(width)).replace("\r", "")
        assert "\u202e" not in screen
        assert EVIL_SHOWN not in screen  # it tells nothing of what the page says
        lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in screen.splitlines()]
        assert max(map(len, lines)) <= width
        assert len(lines) < 45


async def test_the_rules_say_of_every_url_what_the_crawl_said(tmp_path: Path, places: Places, serve: Serve) -> None:
    """On a database of 0.1.0 that has every reason of that version."""
    restore("database_0_1_0.sql", PORT, tmp_path / "old.db", serve(old_web(2)))
    async with database_at(tmp_path / "old.db").open_store():
        pass
    cli = Cli(tmp_path, await to_thread(places.of, tmp_path / "old.db"))
    stored = cli.rows("SELECT url, cause FROM urls WHERE status = 'excluded' ORDER BY id")
    fetched = cli.rows("SELECT url FROM urls WHERE status = 'fetched' AND kind = 'page'")
    said = {}
    async with open_crawl(cli.db) as archive:
        for url, cause in stored:
            found = await archive.why(url)
            assert found.explanation, url
            assert found.chain[-1].url == url
            said[cause] = found.ruling and getattr(found.ruling, "cause", None)
        assert [(await archive.why(url)).ruling for url in fetched] == [None] * len(fetched)
    by_rules = set(ExclusionReason) - BY_EXPERIENCE - {ExclusionReason.INCLUDE}  # which the last run was not given
    assert said == {cause: cause if cause in by_rules else None for cause in said}
    assert by_rules <= set(said)


def test_dropped_parameters_are_dropped_from_what_is_asked(cli: Cli, tmp_path: Path, places: Places) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["/1"])
    crawled(web, tmp_path / "virtual.db", "http://a.test/", drop_param=("utm_*",))
    found = Asked(cli, places.of(tmp_path / "virtual.db"))("http://a.test/1?utm_source=x")
    assert found["url"] == ["http://a.test/1"]
    assert found["answer"][0].startswith("gone: ")


async def test_the_library_tells_the_same(known: Location) -> None:
    async with open_crawl(known) as archive:
        found = await archive.why(f"{SITE}/docs/a")
        assert found.state is not None
        assert [step.found_by for step in found.chain] == ["seed", "link", "link"]
        rules = Rules(config=CrawlConfig(scope=ScopeConfig(max_depth=1)), seeds=[parse_seed(f"{SITE}/")], source="me")
        assert (await archive.why(f"{SITE}/docs/a", rules)).ruling_explained == (
            "--max-depth 1: it is 2 links from the nearest seed"
        )
