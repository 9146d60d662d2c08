"""`crawler prune` removes what is old and nothing else, and leaves a consistent database wherever it is killed."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, Cli, Places, Serve, serving, wait_for
from tests.stores import Location

pytestmark = pytest.mark.any_store

DAY_S = 86400
PAGES = 10


@pytest.fixture(scope="module")
def ten_pages(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Crawled once, into a file."""
    cli, web = Cli(tmp_path_factory.mktemp("ten-pages")), FakeWeb()
    web.site("a.test", pages=PAGES)
    with serving() as serve:
        served = serve(web)
        cli.crawl(served, served.url("a.test"), "--delay", "0")
    return cli


@pytest.fixture
def crawled(tmp_path: Path, ten_pages: Cli) -> Path:
    """A copy of that file for the test."""
    copy = Cli(tmp_path / "crawled")
    copy.folder.mkdir()
    copy.take_over(ten_pages)
    return copy.db


@pytest.fixture(scope="module")
def five_versions(tmp_path_factory: pytest.TempPathFactory, ten_pages: Cli, places: Places) -> Location:
    """Each page has five, fetched 0, 10, 20, 30 and 40 days ago; the oldest two share a body."""
    copy = Cli(tmp_path_factory.mktemp("five-versions"))
    copy.take_over(ten_pages)
    grow(copy.db, [10, 20, 30, 40])
    return places.of(copy.db)


@pytest.fixture
def grown(cli: Cli, five_versions: Location) -> Cli:
    """The database of the test is a copy."""
    cli.take_over(five_versions)
    return cli


def grow(file: Path, ages: list[int]) -> None:
    """Give every page versions of these ages, in days, before its newest."""
    with closing(sqlite3.connect(file)) as connection, connection:
        newest = connection.execute("SELECT id, url_id FROM pages").fetchall()
        connection.execute("UPDATE pages SET id = id + 1000000")
        connection.execute("UPDATE links SET page_id = page_id + 1000000")
        connection.execute("UPDATE urls SET page_id = page_id + 1000000")
        for number, age in enumerate(sorted(ages, reverse=True)):
            fetched_at = time.time() - age * DAY_S
            for page_id, url_id in newest:
                body = max(1, number).to_bytes(2, "big") + page_id.to_bytes(14, "big")
                old = 1 + number * len(newest) + page_id
                insert = "INSERT INTO fetches (url_id, run_id, started_at, elapsed_s, failure) VALUES (?, 1, ?, 0, ?)"
                connection.execute(insert, (url_id, fetched_at, "dns"))
                fetch_id = connection.execute(insert, (url_id, fetched_at, None)).lastrowid
                columns = "title, text, encoding, headings, open_graph, json_ld, content_hash"
                connection.execute(
                    f"INSERT INTO pages (id, url_id, fetch_id, body_hash, {columns})"
                    f" SELECT ?, ?, ?, ?, {columns} FROM pages WHERE id = ?",
                    (old, url_id, fetch_id, body, page_id + 1_000_000),
                )
                connection.execute(
                    "INSERT INTO links SELECT ?, target_id, anchor, rel, nofollow FROM links WHERE page_id = ?",
                    (old, page_id + 1_000_000),
                )
                connection.execute("INSERT OR IGNORE INTO bodies VALUES (?, 2000, ?)", (body, os.urandom(2000)))


def prune(cli: Cli, *arguments: str, status: int = 0) -> str:
    outcome = cli.command("prune", "--db", str(cli.db), *arguments, status=status)
    text = outcome.err if status else outcome.out
    assert text.count("\n") == 1
    return text


def assert_consistent(cli: Cli) -> None:
    cli.assert_sound("bodies", "runs")  # `grow` gives no run its versions, and bodies that nothing has packed
    assert cli.rows(
        "SELECT count(*) FROM urls WHERE page_id IS NOT NULL AND page_id NOT IN (SELECT id FROM pages)"
    ) == [0]
    assert cli.rows("SELECT count(*) FROM pages WHERE body_hash NOT IN (SELECT hash FROM bodies)") == [0]
    assert cli.rows("SELECT count(*) FROM urls JOIN pages ON pages.id = page_id") == [PAGES]
    fetched = cli.rows("SELECT sum(fetched), (SELECT count(*) FROM urls WHERE status = 'fetched') FROM hosts")
    assert fetched == [(PAGES, PAGES)]


def versions(cli: Cli) -> list[int]:
    """Versions of each page."""
    return list(cli.rows("SELECT count(*) FROM pages GROUP BY url_id"))


def ages(cli: Cli) -> set[int]:
    """Of the versions that are kept, in days."""
    sql = "SELECT DISTINCT round((? - started_at) / 86400.0) FROM pages JOIN fetches ON fetches.id = fetch_id"
    return {int(age) for age in cli.rows(sql, time.time())}


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--keep-versions", "2"], {0, 10}),
        (["--keep-versions", "1"], {0}),
        (["--keep-versions", "9"], {0, 10, 20, 30, 40}),
        (["--older-than", "25d"], {0, 10, 20}),
        (["--older-than", "0s"], {0}),
        (["--keep-versions", "4", "--older-than", "25d"], {0, 10, 20, 30}),
        (["--keep-versions", "1", "--older-than", "35d"], {0, 10, 20, 30}),
        (["--vacuum"], {0, 10, 20, 30, 40}),
    ],
)
def test_only_what_is_old_in_both_ways_goes(grown: Cli, arguments: list[str], kept: set[int]) -> None:
    links = grown.rows("SELECT count(*) FROM links")[0]
    prune(grown, *arguments)
    assert ages(grown) == kept
    assert versions(grown) == [len(kept)] * PAGES
    assert grown.rows("SELECT count(*) FROM links")[0] == links // 5 * len(kept)
    distinct = len(kept) - ({30, 40} <= kept)  # the two oldest share their bodies
    assert grown.rows("SELECT count(*) FROM bodies") == [distinct * PAGES]
    assert_consistent(grown)


def test_attempts_go_by_age_unless_a_version_that_is_kept_needs_them(grown: Cli) -> None:
    attempts = grown.rows("SELECT count(*) FROM fetches")[0]
    prune(grown, "--keep-versions", "2")
    assert grown.rows("SELECT count(*) FROM fetches") == [attempts]
    prune(grown, "--keep-versions", "2", "--older-than", "5d")
    assert grown.rows("SELECT count(*) FROM fetches") == [attempts - 8 * PAGES + PAGES]
    assert_consistent(grown)


def test_a_dry_run_says_the_same_and_changes_nothing(grown: Cli) -> None:
    before = stored(grown)
    arguments = ("--keep-versions", "2", "--older-than", "5d")
    would = prune(grown, *arguments, "--dry-run")
    assert stored(grown) == before
    did = prune(grown, *arguments)
    assert would.startswith("would remove 30 page versions,")
    assert would.removeprefix("would remove ").split(" (")[0] == did.removeprefix("removed ").split(";")[0]


def test_vacuum_gives_the_room_back_and_status_counts_what_is_left(grown: Cli) -> None:
    before = size_of(grown)
    prune(grown, "--keep-versions", "1", "--vacuum")
    assert size_of(grown) < before * 0.8
    status = json.loads(grown.command("status", "--db", str(grown.db), "--json").out)
    assert (status["page_versions"], status["bodies"]) == (PAGES, PAGES)
    grown.command("crawl", "--db", str(grown.db))
    assert_consistent(grown)


def stored(cli: Cli) -> tuple[list[Any], float]:
    """Attempts and versions; and when a file was written last."""
    tables = [cli.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("fetches", "pages")]
    return tables, cli.db.stat().st_mtime if isinstance(cli.db, Path) else 0.0


def size_of(cli: Cli) -> int:
    """Of the file; on a server, of the tables with the versions and their bodies."""
    if isinstance(cli.db, Path):
        return cli.db.stat().st_size
    tables = ("pages", "bodies", "page_links")
    return sum(cli.rows("SELECT pg_total_relation_size(?::text::regclass)", table)[0] for table in tables)


@pytest.mark.thorough
def test_a_kill_at_any_instant_leaves_a_consistent_database(cli: Cli, crawled: Path, places: Places) -> None:
    grow(crawled, list(range(10, 1510, 5)))  # 3,000 versions
    cli.take_over(places.of(crawled))
    order = random.Random(7)
    arguments = [*COMMAND, "prune", "--db", str(cli.db), "--keep-versions", "1", "--older-than", "0s", "--vacuum"]
    begun = time.monotonic()
    subprocess.run([*arguments[:-1], "--dry-run"], stdout=subprocess.DEVNULL, check=True)
    took_s = time.monotonic() - begun
    for _round in range(6):
        with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as pruning:
            time.sleep(took_s * order.uniform(0.6, 1.4))
            pruning.kill()
        assert_consistent(cli)
    cli.run(arguments)
    assert versions(cli) == [1] * PAGES
    assert cli.rows("SELECT count(*) FROM bodies") == [PAGES]
    assert_consistent(cli)


def test_it_waits_for_no_crawl_and_disturbs_none(grown: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("b.test").page("/", delay_s=20)
    served = serve(web)
    crawler = grown.start(served, served.url("b.test"), "--delay", "0")
    wait_for(lambda: served.hits("b.test", "/"))
    assert "another run" in prune(grown, "--keep-versions", "1", status=5)
    crawler.kill()
    crawler.communicate()


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        ([], 2, "--keep-versions"),
        (["--keep-versions", "0"], 2, "--keep-versions"),
        (["--older-than", "old"], 2, "--older-than"),
        (["--keep-versions", "1"], 6, "there is no crawl"),
        (["--vacuum", "--dry-run"], 6, "there is no crawl"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_makes_nothing(
    no_crawl: Cli, arguments: list[str], status: int, named: str
) -> None:
    assert named in prune(no_crawl, *arguments, status=status)
    assert not no_crawl.has_anything()
    assert not list(no_crawl.folder.iterdir())


def test_a_body_that_no_parser_could_read_goes_with_its_attempt(cli: Cli, crawled: Path, places: Places) -> None:
    with closing(sqlite3.connect(crawled)) as connection, connection:
        for hash_byte, age_days in ((b"n", 1), (b"o", 9)):
            connection.execute("INSERT INTO bodies VALUES (?, 4, x'00')", (hash_byte,))
            connection.execute(
                "INSERT INTO fetches (url_id, run_id, started_at, elapsed_s, failure, body_hash)"
                " VALUES (1, 1, ?, 0, 'parse_timeout', ?)",
                (time.time() - age_days * DAY_S, hash_byte),
            )
    cli.take_over(places.of(crawled))
    prune(cli, "--keep-versions", "1")
    assert cli.rows("SELECT count(*) FROM bodies WHERE length(hash) = 1") == [2]
    prune(cli, "--keep-versions", "1", "--older-than", "5d")
    assert cli.rows("SELECT hash FROM bodies WHERE length(hash) = 1") == [b"n"]
