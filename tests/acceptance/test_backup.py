"""`crawler backup`: a whole, verified copy of one moment, and not a byte of the crawl's file changed."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from crawler.errors import UsageError
from crawler.fakeweb import FakeWeb, Served
from crawler.storage.location import database_at
from tests.acceptance.conftest import COMMAND, Cli, Gate, wait_for

Serve = Callable[[FakeWeb], Served]


@pytest.fixture
def served(serve: Serve, gate: Gate) -> Served:
    web = FakeWeb()
    web.site("a.test", pages=9).answer("/p8", gate)
    return serve(web)


def rows(db: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def make_large(db: Path, megabytes: int = 24) -> None:
    """Random bytes, so that the copy takes several steps."""
    with closing(sqlite3.connect(db)) as connection, connection:
        for _ in range(megabytes):
            connection.execute("INSERT INTO bodies VALUES (randomblob(16), 1, randomblob(1 << 20))")


def test_a_copy_is_made_while_a_crawl_runs_which_goes_on(cli: Cli, served: Served, gate: Gate) -> None:
    crawler = cli.start(served, served.url("a.test"), "--delay", "0")
    wait_for(lambda: cli.db.exists() and served.hits("a.test", "/p8") and len(cli.pages()) == 8)
    copy = cli.folder / "copy.db"
    assert f"copied {cli.db} to {copy}" in cli.command("backup", str(copy), "--db", str(cli.db)).out
    gate.open()
    assert crawler.wait(timeout=50) == 0
    crawler.communicate()
    assert len(cli.pages()) == 9
    cli.db = copy
    assert len(cli.pages()) == 8
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    cli.crawl(None, "--delay", "0")  # goes on from there, as the original would have
    assert len(cli.pages()) == 9


def test_a_copy_is_of_one_moment_however_much_is_written_meanwhile(cli: Cli, served: Served, tmp_path: Path) -> None:
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    make_large(cli.db)
    before, told = rows(cli.db, "SELECT count(*) FROM runs"), []

    def write(done: int, total: int) -> None:
        told.append((done, total))
        with closing(sqlite3.connect(cli.db)) as connection, connection:
            connection.execute("INSERT INTO runs (started_at, options) VALUES (1, '{}')")

    size = asyncio.run(database_at(cli.db).backup(tmp_path / "copy.db", write))
    assert len(told) > 3
    assert [done for done, _total in told] == sorted(done for done, _total in told)
    assert told[-1] == (size, size)
    assert (
        rows(tmp_path / "copy.db", "SELECT count(*) FROM runs") == before != rows(cli.db, "SELECT count(*) FROM runs")
    )


def test_the_crawl_s_file_is_only_read_and_the_copy_is_no_more_public(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    cli.db.chmod(0o600)
    before = sha256(cli.db.read_bytes()).digest(), cli.db.stat().st_mtime_ns
    cli.command("backup", "copy.db", "--db", str(cli.db))
    assert (sha256(cli.db.read_bytes()).digest(), cli.db.stat().st_mtime_ns) == before
    assert (cli.folder / "copy.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("copy", "told", "status"),
    [
        ("crawl.db", "crawl.db already exists; name another file", 2),
        ("letter", "letter already exists; name another file", 2),
        (".", "is a folder", 2),
        ("no/such/copy.db", "cannot write no/such/copy.db: No such file", 2),
    ],
)
def test_nothing_is_overwritten_and_nothing_left(cli: Cli, served: Served, copy: str, told: str, status: int) -> None:
    (cli.folder / "letter").write_text("Dear aunt")
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1", "--quiet")
    outcome = cli.command("backup", copy, "--db", "crawl.db", status=status)
    assert told in outcome.err
    assert outcome.err.count("\n") == 1
    assert (cli.folder / "letter").read_text() == "Dear aunt"
    assert not list(cli.folder.glob(".crawler-backup*"))


def test_a_database_that_is_damaged_gives_no_copy(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    with cli.db.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    assert "crawl.db is damaged" in cli.command("backup", "copy.db", "--db", "crawl.db", status=6).err
    assert not list(cli.folder.glob("*copy*"))
    assert "there is no crawl in typo.db" in cli.command("backup", "copy.db", "--db", "typo.db", status=6).err


def test_a_database_whose_schema_is_damaged_is_named_and_not_its_copy(cli: Cli, served: Served) -> None:
    """That shows before anything is copied."""
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    with closing(sqlite3.connect(cli.db)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with cli.db.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 15 * 4096)
    err = cli.command("backup", "copy.db", "--db", "crawl.db", status=6).err
    assert err.startswith("crawler: crawl.db: the database is damaged")
    assert not list(cli.folder.glob("*copy*"))


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(cli: Cli, served: Served, tmp_path: Path) -> None:
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    copy = tmp_path / "copy.db"

    def take(_done: int, _total: int) -> None:
        copy.write_text("mine")

    with pytest.raises(UsageError, match="already exists"):
        asyncio.run(database_at(cli.db).backup(copy, take))
    assert copy.read_text() == "mine"
    assert not list(tmp_path.glob(".crawler-backup*"))


STOPPING = """
import asyncio, os, pathlib, signal, sys
from crawler.storage.location import database_at
told = []
def tell(done, total):
    told.append(done)
    if len(told) == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
asyncio.run(database_at(pathlib.Path(sys.argv[1])).backup(pathlib.Path(sys.argv[2]), tell))
"""


def test_what_a_killed_backup_left_is_removed_by_the_next_and_what_another_writes_is_not(
    cli: Cli, served: Served
) -> None:
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    (cli.folder / ".crawler-backup.1.tmp").write_text("of a version that locked nothing; this process id lives")
    command = [sys.executable, "-c", STOPPING, str(cli.db)]
    backups = [subprocess.Popen([*command, str(cli.folder / name)]) for name in ("killed.db", "slow.db")]
    try:
        for backup in backups:
            os.waitpid(backup.pid, os.WUNTRACED)
        assert len(left_of(cli.folder)) == 2
        backups[0].kill()
        backups[0].wait(timeout=50)
        assert len(left_of(cli.folder)) == 2
        cli.command("backup", "third.db", "--db", str(cli.db))
        assert len(left_of(cli.folder)) == 1
    finally:
        for backup in backups:
            backup.send_signal(signal.SIGCONT)
    assert backups[1].wait(timeout=50) == 0
    assert sorted(file.name for file in cli.folder.glob("*.db") if file != cli.db) == ["slow.db", "third.db"]
    assert not left_of(cli.folder)


def left_of(folder: Path) -> list[Path]:
    """The temporary files of backups."""
    return list(folder.glob(".crawler-backup.*"))


@pytest.mark.thorough
def test_ctrl_c_ends_it_and_leaves_nothing_and_a_terminal_shows_how_far_it_is(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("a.test", "/p1"), "--delay", "0", "--max-pages", "1")
    make_large(cli.db, 300)
    ours, theirs = pty.openpty()
    command = [*COMMAND, "backup", "copy.db", "--db", str(cli.db)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=cli.folder) as crawler:
        os.close(theirs)
        assert os.read(ours, 1)  # the bar is there
        crawler.send_signal(signal.SIGINT)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # nobody has it open any more
            pass
        assert crawler.wait(timeout=50) == 130
    os.close(ours)
    assert b"Traceback" not in shown
    assert not list(cli.folder.glob("*copy.db")) + list(cli.folder.glob(".crawler-backup*"))
