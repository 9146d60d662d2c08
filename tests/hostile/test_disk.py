"""A disk that fills, and a database that is locked, read-only, damaged or deleted under the crawl.

Waiting where waiting helps; else exit status 6 within 10 s and one line that names the cause. What was committed stays.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, Serve, wait_for, wait_for_requests
from tests.acceptance.test_warc import check, records_in

PAGES = 300
FAST = ("--delay", "0", "--per-host", "8", "--concurrency", "8")
ENDS_WITHIN_S = 10


def _web(delay_s: float = 0.02) -> FakeWeb:
    """Pages of 20 KB that hardly compress: together far more than the small disk holds."""
    web = FakeWeb()
    site = web.site("a.test", pages=PAGES)
    for path in list(site.links):
        noise = " ".join(os.urandom(16).hex() for _ in range(600))
        site.page(path, title=path, text=noise, links=site.links[path], delay_s=delay_s)
    return web


def _ended(crawler: subprocess.Popen[str], within_s: float = ENDS_WITHIN_S) -> str:
    """What the crawl said, which has to end by itself with 6; one line of it is the error."""
    try:
        _out, err = crawler.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        crawler.kill()
        crawler.communicate()
        raise
    assert crawler.returncode == 6, (crawler.returncode, err)
    assert "Traceback" not in err, err
    errors = [line for line in err.splitlines() if line.startswith("crawler: ")]
    assert len(errors) == 1, err
    return errors[0]


def _fetched(cli: Cli) -> set[str]:
    return set(cli.rows("SELECT url FROM urls WHERE status = 'fetched'"))


# --- full ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(cli: Cli) -> Iterator[Path]:
    """A file system of 3 MB at the database's folder."""
    assert os.geteuid() == 0, "mounting a small tmpfs needs root"
    disk = cli.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "crawler-test", str(disk)], check=True)
    cli.db = disk / "crawl.db"
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.system
def test_a_disk_that_fills_ends_the_crawl_with_6_and_the_next_run_goes_on_once_there_is_room(
    cli: Cli, serve: Serve, small_disk: Path
) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    outcome = cli.crawl(served, seed, *FAST, status=6)
    assert "the disk is full; committed data is safe; free some space" in outcome.err
    committed, before = _fetched(cli), len(served.log)
    assert 0 < len(committed) < PAGES
    assert cli.rows("PRAGMA integrity_check") == ["ok"]
    again = cli.crawl(served, seed, *FAST, status=6)  # nothing has changed: the same line
    assert "the disk is full" in again.err
    assert committed <= _fetched(cli)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    before = len(served.log)
    committed = _fetched(cli)
    cli.crawl(served, seed, *FAST)
    assert len(cli.pages()) == len(set(cli.pages())) == PAGES
    assert not committed & {served.url("a.test", hit.target) for hit in served.log[before:]}
    assert cli.rows("PRAGMA integrity_check") == ["ok"]


@pytest.mark.system
@pytest.mark.parametrize("left", [0, 1, 8, 16, 64, 200])
def test_a_disk_that_is_full_from_the_start_ends_it_with_6(cli: Cli, serve: Serve, small_disk: Path, left: int) -> None:
    """`left` KiB are free when the crawl begins: it fails at another place each time."""
    served = serve(_web())
    with (small_disk / "filler").open("wb") as filler:
        free = os.statvfs(small_disk)
        os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_frsize - left * 1024)
    cli.summary_file = cli.folder / "summary.json"
    started = time.monotonic()
    outcome = cli.crawl(served, served.url("a.test"), *FAST, status=6)
    assert time.monotonic() - started < ENDS_WITHIN_S
    assert "full" in outcome.err or "No space left" in outcome.err
    (small_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == PAGES


@pytest.mark.system
def test_a_disk_that_fills_with_warc_files_ends_the_crawl_with_6_and_loses_nothing(
    cli: Cli, serve: Serve, small_disk: Path
) -> None:
    cli.db = cli.folder / "crawl.db"
    served = serve(_web())
    arguments = (served.url("a.test"), *FAST, "--warc", str(small_disk))
    outcome = cli.crawl(served, *arguments, status=6)
    (error,) = [line for line in outcome.err.splitlines() if line.startswith("crawler: ")]
    assert error == (
        f"crawler: --warc {small_disk}: No space left on device; free some space and run the same command again: what"
        " was committed is safe"
    )
    assert 0 < len(_fetched(cli)) < PAGES
    cli.crawl(served, *arguments, status=6)  # nothing has changed
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    cli.crawl(served, *arguments)
    assert len(cli.pages()) == PAGES
    recorded = [one.url for one in records_in(small_disk) if one.type == "response" and one.url.startswith("http")]
    assert Counter(recorded) == Counter(cli.rows("SELECT url FROM attempts WHERE status_code > 0"))
    check(small_disk)


# --- locked -------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(cli: Cli) -> Iterator[None]:
    """Another tool is writing into the database."""
    with closing(sqlite3.connect(cli.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.thorough
def test_a_lock_of_another_tool_is_waited_for(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    crawler = cli.start(served, served.url("a.test"), *FAST)
    wait_for_requests(served, 50)
    with _locked(cli):
        time.sleep(11)
    _out, err = crawler.communicate(timeout=40)
    assert crawler.returncode == 0, err
    assert len(cli.pages()) == PAGES


@pytest.mark.thorough
def test_a_lock_that_is_there_when_the_crawl_starts_is_waited_for_too(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    cli.crawl(served, served.url("a.test"), *FAST, "--max-pages", "10")
    with _locked(cli):
        crawler = cli.start(served, served.url("a.test"), *FAST)
        time.sleep(11)
        assert crawler.poll() is None
    _out, err = crawler.communicate(timeout=40)
    assert crawler.returncode == 0, err
    assert len(cli.pages()) == PAGES


# --- deleted ------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("suffixes", [["", "-wal", "-shm"], ["-wal"], ["-shm"]])
def test_files_that_are_deleted_under_the_crawl_end_it_with_6(cli: Cli, serve: Serve, suffixes: list[str]) -> None:
    served = serve(_web())
    crawler = cli.start(served, served.url("a.test"), *FAST)
    wait_for_requests(served, 50)
    for suffix in suffixes:
        cli.db.with_name(f"{cli.db.name}{suffix}").unlink()
    assert "deleted or replaced" in _ended(crawler)


def test_a_database_that_is_deleted_while_there_is_nothing_to_store_ends_it_with_6_too(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/slow"])
    site.page("/slow", delay_s=3600)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), *FAST, "--grace", "0s")
    wait_for(lambda: served.hits("a.test", "/slow") and cli.rows("SELECT count(*) FROM pages") == [1])
    cli.db.unlink()
    crawler.send_signal(signal.SIGINT)
    assert "deleted or replaced" in _ended(crawler)


# --- damaged ------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("damage", ["noise", "zeros", "short", "empty"])
def test_a_database_that_is_damaged_under_the_crawl_ends_it_with_6(cli: Cli, serve: Serve, damage: str) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    cli.crawl(served, seed, *FAST, "--max-pages", "150")  # more than the log holds
    crawler = cli.start(served, seed, *FAST)
    wait_for_requests(served, 170)
    with cli.db.open("r+b") as file:
        size = cli.db.stat().st_size
        if damage in ("noise", "zeros"):
            file.write(b"".join(bytes(4096) if damage == "zeros" else os.urandom(4096) for _ in range(size // 4096)))
        else:
            file.truncate(0 if damage == "empty" else size // 2)
    assert "the database is damaged" in _ended(crawler)


@pytest.mark.thorough
@pytest.mark.parametrize("table", ["urls", "hosts", "sqlite_autoindex_urls_1"])
def test_a_database_that_was_damaged_between_two_runs_ends_the_next_one_with_6(
    cli: Cli, serve: Serve, table: str
) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    cli.crawl(served, seed, *FAST, "--max-pages", "50")
    page = cli.rows("SELECT rootpage FROM sqlite_schema WHERE name = ?", table)[0]
    with cli.db.open("r+b") as file:
        file.seek((page - 1) * cli.rows("PRAGMA page_size")[0])
        file.write(os.urandom(4096))
    outcome = cli.crawl(served, seed, *FAST, status=6)
    assert "the database is damaged" in outcome.err


# --- read-only ----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o755), (0o644, 0o555), (0o444, 0o555)])
def test_a_database_that_may_not_be_written_ends_the_crawl_with_6(
    cli: Cli, serve: Serve, file: int, folder: int
) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    cli.crawl(served, seed, *FAST, "--max-pages", "10")
    for path in cli.folder.iterdir():
        path.chmod(file)
    cli.folder.chmod(folder)
    cli.summary_file = Path("/dev/null")
    obedient = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    outcome = cli.run([*obedient, *cli.arguments(served, seed, *FAST)], status=6)
    cli.folder.chmod(0o755)
    assert "denied" in outcome.err or "readonly" in outcome.err
    assert len(cli.pages()) == 10


@pytest.mark.system
def test_a_read_only_disk_ends_the_crawl_with_6(cli: Cli, serve: Serve, small_disk: Path) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    cli.crawl(served, seed, *FAST, "--max-pages", "10")
    cli.summary_file = cli.folder / "summary.json"
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    outcome = cli.crawl(served, seed, *FAST, status=6)
    assert "Read-only file system" in outcome.err
    assert json.loads(cli.command("status", "--json", "--db", str(cli.db)).out)["urls"]["fetched"] == 10
