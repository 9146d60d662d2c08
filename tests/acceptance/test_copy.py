"""`crawler copy`: a crawl moved to PostgreSQL and back is what it was, row by row; half of one is nobody's crawl."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from crawler.errors import DatabaseFailedError
from crawler.fakeweb import FakeWeb, Served
from crawler.location import location
from crawler.storage.copying.copying import copy_crawl
from crawler.storage.sqlite.lock import database_lock
from tests.acceptance.conftest import COMMAND, Cli, Serve, serving, wait_for
from tests.acceptance.known_web import crawl_known_web
from tests.benchmarks.million import make
from tests.copies import TABLES, contents
from tests.postgres import sql

# What two crawls of the same web have in common.
SAME_OF_EACH = (
    "SELECT id, end_reason, pages, requests FROM runs ORDER BY id",
    "SELECT url, kind, status, reason, depth, seed, found_by FROM urls ORDER BY url",
    "SELECT u.url, p.title, p.content_hash, p.links_total FROM pages p JOIN urls u ON u.id = p.url_id ORDER BY 1, p.id",
    "SELECT u.url, t.url, l.anchor FROM links l JOIN pages p ON p.id = l.page_id JOIN urls u ON u.page_id = p.id"
    " JOIN urls t ON t.id = l.target_id ORDER BY 1, 2, 3",
    "SELECT u.url, c.change, c.page_id IS NULL, c.run_id FROM change_log c JOIN urls u ON u.id = c.url_id"
    " ORDER BY 1, c.id",
    "SELECT u.url, f.run_id, f.status_code FROM fetches f JOIN urls u ON u.id = f.url_id ORDER BY 1, f.id",
)
EVERYTHING = ("--delay", "0", "--per-host", "8", "--max-age", "0s")


def a_web() -> FakeWeb:
    """Redirects, a sitemap, rules, fragments, what is gone, a host that is not there, and one body on two hosts."""
    web = FakeWeb()
    site = web.host("a.test")
    site.robots("User-agent: *\nDisallow: /private\nSitemap: http://a.test/sitemap.xml\n")
    site.sitemap("/sitemap.xml", ["/1", "/2", "/only-here"])
    links = [f"/{number}" for number in range(1, 9)]
    more: list[str | tuple[str, str]] = [
        ("/2#one", "one"),
        ("/2#two", "zw\u00f6lf \U0001f600"),
        "/gone",
        "/private/1",
        "/old",
    ]
    site.page("/", title="Home", links=[*links, *more, "http://b.test/", "http://nowhere.test/"])
    for path in links:
        site.page(path, title=path, text=f"the text of {path}", headers={"ETag": f'"{path}"'}, links=["/", *links[:3]])
    for path in ("/same-1", "/same-2", "/only-here"):
        site.page(path, title="Same", text="word for word")
    site.page("/new", links=["/same-1", "/same-2"])
    site.status("/gone", 404)
    site.redirect("/old", "/1")
    web.host("b.test").page("/", title="B", text="word for word")
    return web


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Served]]:
    """Crawled twice, with an extraction rule, and with old versions removed; tests copy it."""
    cli = Cli(tmp_path_factory.mktemp("crawled"))
    with serving() as serve:
        served = serve(web := a_web())
        cli.crawl(served, served.url("a.test"), "--delay", "0", "--extract", "title=title", "--max-urls-per-host", "60")
        web.sites["a.test"].page("/1", title="One", text="has changed", links=["/2", ("/2#part", "a part"), "/new"])
        web.sites["a.test"].status("/4", 410)
        cli.crawl(served, *EVERYTHING, "--scope", "domain")
        cli.command("prune", "--older-than", "0s", "--db", str(cli.db))
        yield cli, served


def copied_back(cli: Cli, db: Path, url: str) -> Path:
    """There and back."""
    back = cli.folder / "back.db"
    assert f"copied {db} to {url}: " in cli.command("copy", str(db), url).out
    assert cli.command("copy", url, str(back)).out.endswith("; verified\n")
    return back


@pytest.mark.thorough
def test_a_crawl_that_was_moved_there_and_back_is_equal_row_by_row(
    crawled: tuple[Cli, Served], tmp_path: Path, empty_database: str
) -> None:
    cli = Cli(tmp_path)
    back = copied_back(cli, crawled[0].db, empty_database)
    assert [path.name for path in tmp_path.iterdir()] == ["back.db"]
    before, after = contents(crawled[0].db), contents(back)
    assert [table for table in before if before[table] != after[table]] == []
    assert [table for table in TABLES if not before[table]] == []  # each has been tried
    assert cli.command("verify", "--db", str(back)).out.endswith("is sound\n")


def test_so_is_one_of_two_nights(tmp_path: Path, empty_database: str) -> None:
    db = tmp_path / "crawl.db"
    crawl_known_web(db)
    assert contents(db) == contents(copied_back(Cli(tmp_path), db, empty_database))


@pytest.mark.thorough
def test_a_copy_goes_on_where_the_original_would_in_either_store(
    crawled: tuple[Cli, Served], tmp_path: Path, empty_database: str
) -> None:
    """Each asks for the same, and what it stores then moves back as well."""
    original, served = crawled
    back = copied_back(Cli(tmp_path), original.db, empty_database)
    own = Cli(tmp_path)
    own.take_over(original)
    asked = []
    for db in (own.db, back, empty_database):
        cli, before = Cli(tmp_path, None if db == own.db else db), len(served.log)
        cli.crawl(served, *EVERYTHING)
        requests = served.log[before:]
        asked.append(sorted((one.host, one.target, one.headers.get("if-none-match")) for one in requests))
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) > 12
    again = tmp_path / "again.db"
    own.command("copy", empty_database, str(again))
    assert own.command("verify", "--db", str(again)).out.endswith("is sound\n")
    for query in SAME_OF_EACH:
        with closing(sqlite3.connect(own.db)) as one, closing(sqlite3.connect(again)) as other:
            assert one.execute(query).fetchall() == other.execute(query).fetchall(), query


@pytest.mark.thorough
def test_what_the_other_store_has_no_place_for_is_named(tmp_path: Path, empty_database: str, serve: Serve) -> None:
    cli, web = Cli(tmp_path), FakeWeb()
    web.host("a.test").page("/", links=["http://b.test/1", "http://b.test/2"])
    web.host("b.test").page("/1")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "--check", "external", "--warc", str(tmp_path / "warc"), "--delay", "0")
    cli.command("add", served.url("b.test", "/2"), "--db", str(cli.db))
    done = cli.command("copy", str(cli.db), empty_database)
    assert done.err.count("left out: ") == 3
    assert (
        "seeds from `crawler add` that no run has read yet (number of calls: 1); add them to the copy again" in done.err
    )
    assert "links that were only checked (`--check`): 2" in done.err
    assert "WARC files (`--warc`): 1" in done.err


@pytest.mark.parametrize("what", ["crawl", "foreign", "same kind", "nothing"])
def test_copy_refuses(what: str, tmp_path: Path, empty_database: str) -> None:
    """What stands in the target is not touched."""
    cli, db = Cli(tmp_path), tmp_path / "crawl.db"
    crawl_known_web(db)
    if what == "crawl":
        cli.command("copy", str(db), empty_database)
        before = sql.rows(empty_database, "SELECT count(*), sum(id) FROM urls")
        assert "has a crawl already; name another" in cli.command("copy", str(db), empty_database, status=2).err
        assert sql.rows(empty_database, "SELECT count(*), sum(id) FROM urls") == before
        taken = tmp_path / "taken.db"
        taken.write_text("mine")
        assert "already exists; name another file" in cli.command("copy", empty_database, str(taken), status=2).err
        assert taken.read_text() == "mine"
    elif what == "foreign":
        sql.execute(empty_database, "CREATE TABLE orders (id int)")
        assert "is not a crawl database" in cli.command("copy", str(db), empty_database, status=6).err
    elif what == "same kind":
        assert "`crawler backup" in cli.command("copy", str(db), str(tmp_path / "b.db"), status=2).err
        assert "pg_dump" in cli.command("copy", empty_database, empty_database, status=2).err
    else:
        assert "there is no crawl in" in cli.command("copy", str(tmp_path / "no.db"), empty_database, status=6).err
        assert "there is no crawl in" in cli.command("copy", empty_database, str(tmp_path / "no.db"), status=6).err
        assert not (tmp_path / "no.db").exists()


def test_a_crawl_that_a_run_is_using_is_not_copied(tmp_path: Path, empty_database: str) -> None:
    cli, db = Cli(tmp_path), tmp_path / "crawl.db"
    crawl_known_web(db)
    with database_lock(db):
        assert "another run" in cli.command("copy", str(db), empty_database, status=5).err
    cli.command("copy", str(db), empty_database)
    columns = "(id, name, program, process, alive_until)"
    sql.execute(empty_database, f"INSERT INTO workers {columns} VALUES (1, 'w1', '', 'elsewhere', now() + '1 h')")
    assert "another run (w1) is using" in cli.command("copy", empty_database, str(tmp_path / "b.db"), status=5).err


# --- killed, and gone on ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of 2,000 pages."""
    db = tmp_path_factory.mktemp("large") / "crawl.db"
    asyncio.run(make(db, 2000))
    return db


def kill_until_it_is_done(cli: Cli, source: str, target: str, *, seed: int) -> int:
    """Copy, and kill -9 it again and again, each time somewhat later; returns how often."""
    chance, kills = random.Random(seed), 0
    for attempt in range(1, 40):
        with subprocess.Popen([*COMMAND, "copy", source, target], cwd=cli.folder, stdout=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.3, 0.5 + attempt / 4))
            if process.poll() is None:
                process.kill()
                kills += 1
        if process.returncode in (0, 2):  # 2: it was whole when it was killed, so now there is one already
            return kills
    raise AssertionError("it never gets done")


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(2))
def test_a_copy_that_is_killed_goes_on_and_is_whole(
    large: Path, tmp_path: Path, empty_database: str, seed: int
) -> None:
    cli, back = Cli(tmp_path), tmp_path / "back.db"
    assert kill_until_it_is_done(cli, str(large), empty_database, seed=seed) > 0
    assert kill_until_it_is_done(cli, empty_database, str(back), seed=seed) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["back.db"]
    before, after = contents(large), contents(back)
    assert [table for table in before if before[table] != after[table]] == []


class StoppedError(Exception):
    """By the test, in the middle of a copy."""


def copy_up_to(source: str, target: str, rows: int) -> None:
    """So many rows, about."""

    def tell(what: str, done: int, _total: int) -> None:
        if what == "copying" and done >= rows:
            raise StoppedError

    with pytest.raises(StoppedError):
        asyncio.run(copy_crawl(location(source), location(target), tell))


@pytest.mark.thorough
def test_half_a_copy_is_no_crawl_and_only_copy_goes_on_with_it(
    large: Path, tmp_path: Path, empty_database: str
) -> None:
    cli, back = Cli(tmp_path), tmp_path / "back.db"
    copy_up_to(str(large), empty_database, 8_000)
    refused = cli.command("copy", empty_database, str(back), status=6).err
    assert f"is only half of a copy of {large}; `crawler copy {large} {empty_database}` goes on with it" in refused
    (stored,) = sql.rows(empty_database, "SELECT sum(rows) FROM copy_progress")[0]
    assert stored >= 8_000
    cli.command("copy", str(large), empty_database)
    copy_up_to(empty_database, str(back), 8_000)
    assert not back.exists()
    half = tmp_path / "back.db.copying"
    assert "not a crawl database" in cli.command("status", "--db", str(half), status=6).err
    cli.command("copy", empty_database, str(back))
    assert contents(back) == contents(large)


@pytest.mark.thorough
def test_a_copy_that_was_begun_of_another_state_begins_anew(large: Path, tmp_path: Path, empty_database: str) -> None:
    cli, db, back = Cli(tmp_path), tmp_path / "crawl.db", tmp_path / "back.db"
    shutil.copyfile(large, db)
    copy_up_to(str(db), empty_database, 8_000)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM change_log WHERE id <= 100")
        connection.execute("INSERT INTO change_log_pruned VALUES (100)")
        connection.execute("UPDATE hosts SET failures = 7")  # which the first try has copied already
    cli.command("copy", str(db), empty_database)
    cli.command("copy", empty_database, str(back))
    assert contents(back) == contents(db)


@pytest.mark.thorough
def test_what_does_not_arrive_as_it_was_is_found(large: Path, tmp_path: Path, empty_database: str) -> None:
    copy_up_to(str(large), empty_database, 10_000)
    assert sql.execute(empty_database, "UPDATE hosts SET failures = failures + 1 WHERE name LIKE '%7%'")
    with pytest.raises(DatabaseFailedError, match="the copy differs from the crawl in the table hosts"):
        asyncio.run(copy_crawl(location(str(large)), location(empty_database), lambda *_: None))


@pytest.mark.thorough
def test_two_processes_do_not_fill_one_database(large: Path, tmp_path: Path, empty_database: str) -> None:
    cli = Cli(tmp_path)
    with subprocess.Popen([*COMMAND, "copy", str(large), empty_database], stdout=subprocess.DEVNULL) as first:
        wait_for(
            lambda: "copy_progress" in {row[0] for row in sql.rows(empty_database, "SELECT relname FROM pg_class")}
        )
        time.sleep(0.2)
        assert "another process is copying" in cli.command("copy", str(large), empty_database, status=5).err
        assert first.wait(100) == 0
