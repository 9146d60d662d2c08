"""`crawler verify`: what is sound is found so, also during a crawl; each kind of damage is named, never a traceback."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from crawler.archive.derived import derived_file
from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import (
    COMMAND,
    Cli,
    Gate,
    Places,
    Serve,
    on_a_terminal,
    serving,
    wait_for,
    wait_for_requests,
)
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, old_web

# Marked `sqlite`: what is about a file, its pages and its triggers, and damage that is written in SQLite's words.
pytestmark = pytest.mark.any_store

AGAIN = ("--delay", "0", "--per-host", "8", "--max-age", "0s")
CHECKS = ["structure", "schema", "references", "hosts", "urls", "pages", "attempts", "extracts", "runs", "bodies"]


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Cli:
    """Of a small site, with two versions of a page, and a 404."""
    cli = places.cli(tmp_path_factory.mktemp("two-nights"))
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="index", links=[f"/{number}" for number in range(1, 12)])
    for number in range(1, 12):
        site.page(f"/{number}", title=f"page {number}", text=f"text {number}")
    site.status("/3", 404)
    with serving() as serve:
        served = serve(web)
        cli.crawl(served, served.url("a.test"), *AGAIN)
        site.page("/2", title="another", text="text")
        cli.crawl(served, *AGAIN)
    return cli


@pytest.fixture
def crawled(cli: Cli, two_nights: Cli) -> None:
    """The database of a test is a copy."""
    cli.take_over(two_nights)


def verdicts(cli: Cli, status: int) -> dict[str, list[str]]:
    """The checks that have found something, with what they say."""
    found = json.loads(cli.command("verify", "--json", "--db", str(cli.db), status=status).out)
    assert found["sound"] == (status == 0)
    return {one["name"]: one["examples"] for one in found["checks"] if one["wrong"]}


def test_a_sound_database_is_found_sound(cli: Cli, crawled: None) -> None:
    out = cli.command("verify", "--db", str(cli.db)).out.splitlines()
    checks = CHECKS if isinstance(cli.db, Path) else CHECKS[1:]  # a server looks after its own structures
    assert [line.split()[:2] for line in out[:-1]] == [[name, "sound"] for name in checks]
    manual = (Path(__file__).parents[2] / "crawler/manual/commands.md").read_text(encoding="utf-8")
    table = manual.partition("## verify")[2].partition("The exit status")[0]
    assert [name for name in CHECKS if f"`{name}`" not in table] == []
    assert ("triggers" in out[checks.index("schema")]) == isinstance(cli.db, Path)
    assert out[-1] == f"{cli.db} is sound"
    assert f"{'pages':11} sound      12 versions of pages" in out
    cli.command("prune", "--keep-versions", "1", "--older-than", "0s", "--db", str(cli.db))
    assert verdicts(cli, 0) == {}


def test_it_works_during_a_crawl(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/gate", *(f"/{number}" for number in range(20))])
    for number in range(20):
        site.page(f"/{number}", title=f"page {number}", text=f"text {number}")
    site.answer("/gate", gate)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), *AGAIN)
    wait_for_requests(served, 10)
    wait_for(lambda: cli.has_begun() and cli.rows("SELECT count(*) FROM runs") == [1])
    assert verdicts(cli, 0) == {}
    gate.open()
    crawler.communicate()
    assert verdicts(cli, 0) == {}


@pytest.mark.sqlite
def test_a_database_of_0_1_0_is_sound_once_it_is_migrated(cli: Cli, serve: Callable[[FakeWeb], Served]) -> None:
    served = serve(old_web(2))
    restore("database_0_1_0.sql", PORT, cli.db, served)
    assert "has an older schema" in cli.command("verify", "--db", str(cli.db), status=6).err
    cli.crawl(served)
    assert verdicts(cli, 0) == {}


DAMAGE = [
    ("DROP INDEX urls_due", "schema", "the index urls_due is missing"),
    ("DELETE FROM urls WHERE url LIKE '%/3'", "references", "of fetches names one of urls that is not there"),
    ("UPDATE hosts SET fetched = fetched + 1", "hosts", "host a.test counts 12 URLs that are fetched, and has 11"),
    (
        "UPDATE hosts SET next_due_at = NULL; UPDATE urls SET next_fetch_at = 5 WHERE url LIKE '%/2'",
        "hosts",
        "host a.test has something to be fetched, and nothing is planned for it",
    ),
    ("UPDATE urls SET status = 'lost' WHERE url LIKE '%/3'", "urls", "has an unknown status or kind: lost, page"),
    ("UPDATE urls SET page_id = 99 WHERE url LIKE '%/2'", "urls", "/2 names a version that is not there"),
    ("UPDATE urls SET page_id = (SELECT min(id) FROM pages WHERE url_id = urls.id)", "pages", "is newer than the one"),
    ("UPDATE runs SET pages = 0", "runs", "counts 0 versions of pages, and there are"),
]
DAMAGE_OF_A_FILE = [
    ("DROP TRIGGER urls_counted", "schema", "the trigger urls_counted is missing"),
    ("UPDATE urls SET page_id = 1 WHERE url LIKE '%/2'", "urls", "/2 names a version that is of another URL"),
    ("INSERT INTO hosts (name) VALUES ('b.test'); UPDATE urls SET host_id = 2", "urls", "belongs to the host b.test"),
    ("UPDATE pages SET fetch_id = 1 WHERE id = 5", "pages", "version 5 is of another URL than the attempt"),
    ("DELETE FROM bodies WHERE rowid = 1", "pages", "the body of version"),
    ("UPDATE fetches SET head_id = 999 WHERE id = 2", "attempts", "the header fields of attempt 2 are missing"),
    ("INSERT INTO extracts VALUES (1, 'r', 1, '[]')", "extracts", "rule r and version 1 is no JSON object"),
    ("INSERT INTO extracts VALUES (1, 'r', 1, '{}')", "extracts", "the extraction rule r has rows, and is not known"),
    ("INSERT INTO extracts VALUES (999, 'r', 1, '{}')", "references", "of extracts names one of pages that"),
    ("UPDATE bodies SET zstd = substr(zstd, 1, 20) WHERE rowid = 2", "bodies", "is cut off"),
    ("UPDATE bodies SET zstd = x'0102030405' WHERE rowid = 2", "bodies", "cannot be unpacked"),
    ("UPDATE bodies SET zstd = 'text' WHERE rowid = 2", "bodies", "cannot be unpacked"),
    ("UPDATE bodies SET size = 3 WHERE rowid = 2", "bodies", "is longer than the 3 bytes"),
    ("UPDATE bodies SET size = 999999 WHERE rowid = 2", "bodies", "is shorter than the 999999 bytes"),
    ("UPDATE bodies SET hash = zeroblob(16) WHERE rowid = 2", "bodies", "is not what its hash says"),
]


@pytest.mark.parametrize(
    ("damage", "check", "words"),
    [
        *(pytest.param(*one, id=one[0]) for one in DAMAGE),
        *(pytest.param(*one, id=one[0], marks=pytest.mark.sqlite) for one in DAMAGE_OF_A_FILE),
    ],
)
def test_each_kind_of_damage_is_named(cli: Cli, crawled: None, damage: str, check: str, words: str) -> None:
    for statement in damage.split("; "):
        cli.change(statement)
    found = verdicts(cli, 6)
    assert any(words in one for one in found[check]), found
    out = cli.command("verify", "--db", str(cli.db), status=6).out.splitlines()
    assert out[-1].startswith(f"{cli.db} is damaged (")
    assert any(line.startswith(check) and "DAMAGED" in line for line in out)


@pytest.mark.sqlite
@pytest.mark.parametrize("seed", range(8))
def test_a_torn_file_is_told_as_far_as_it_can_be_read(cli: Cli, crawled: None, seed: int) -> None:
    cli.command("prune", "--vacuum", "--db", str(cli.db))
    chance = random.Random(seed)
    data = bytearray(cli.db.read_bytes())
    for page in chance.sample(range(1, len(data) // 4096), seed // 2 + 1):
        data[page * 4096 : (page + 1) * 4096] = chance.randbytes(4096)
    cli.db.write_bytes(data)
    outcome = cli.command("verify", "--db", str(cli.db), status=6)
    assert "damaged" in (outcome.out + outcome.err)
    assert max(map(len, outcome.out.splitlines()), default=0) < 400


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [b"", b"short", b"no database at all" * 1000])
def test_what_is_no_database_is_refused_in_one_line(cli: Cli, content: bytes) -> None:
    cli.db.write_bytes(content)
    outcome = cli.command("verify", "--db", str(cli.db), status=6)
    assert len(outcome.err.splitlines()) == 1
    assert not outcome.out


@pytest.mark.sqlite
def test_half_a_file_is_damaged(cli: Cli, crawled: None) -> None:
    data = cli.db.read_bytes()
    cli.db.write_bytes(data[: len(data) // 2])
    outcome = cli.command("verify", "--db", str(cli.db), status=6)
    assert "damaged" in (outcome.out + outcome.err)


@pytest.mark.sqlite
def test_what_is_derived_is_checked_and_no_damage_to_the_crawl(cli: Cli, crawled: None) -> None:
    path = derived_file(cli.db)
    path.write_bytes(b"spoilt" * 1000)
    out = cli.command("verify", "--db", str(cli.db)).out.splitlines()
    assert any(line.startswith("derived") and "spoilt" in line for line in out)
    assert out[-1] == f"{cli.db} is sound; delete {path}, which is made anew when it is needed"


def test_a_terminal_is_told_check_by_check_and_left_as_it_was(cli: Cli, crawled: None, tmp_path: Path) -> None:
    cli.change("UPDATE hosts SET failures = 0")
    shown = on_a_terminal([*COMMAND, "verify", "--db", str(cli.db)], cwd=tmp_path)
    assert "bodies      sound" in shown
    lines = [re.sub("\x1b\\[[0-9;?]*[A-Za-z]|\r", "", line.rpartition("\x1b[2K")[2]) for line in shown.splitlines()]
    assert any(line.startswith("schema      sound") for line in lines), lines  # not behind the spinner
    assert shown.rstrip().endswith("is sound")
