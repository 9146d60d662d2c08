"""One crawl at a time for one database, whoever asks and however the holder ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crawler.errors import DatabaseBusyError, DatabaseFailedError
from crawler.storage.sqlite.lock import database_lock

HOLDER = """
import sys
from pathlib import Path
from crawler.storage.sqlite.lock import database_lock
with database_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def a_holder(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_second_process_is_refused_and_told_who_holds_the_database(tmp_path: Path) -> None:
    database = tmp_path / "crawl.db"
    with (
        a_holder(database) as holder,
        pytest.raises(DatabaseBusyError, match=rf"process {holder.pid}\)"),
        database_lock(database),
    ):
        raise AssertionError


def test_a_second_run_in_the_same_process_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "crawl.db"
    with (
        database_lock(database),
        pytest.raises(DatabaseBusyError, match=f"process {os.getpid()}"),
        database_lock(database),
    ):
        raise AssertionError
    with database_lock(database):
        pass


def test_a_holder_that_is_killed_leaves_the_database_free(tmp_path: Path) -> None:
    database = tmp_path / "crawl.db"
    with a_holder(database) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with database_lock(database):
            assert (tmp_path / "crawl.db.lock").read_text() == f"{os.getpid()}\n"


def test_a_holder_that_ends_leaves_the_database_free(tmp_path: Path) -> None:
    database = tmp_path / "crawl.db"
    with a_holder(database):
        pass
    with database_lock(database):
        pass


def test_a_holder_that_fails_leaves_the_database_free(tmp_path: Path) -> None:
    database = tmp_path / "crawl.db"
    with pytest.raises(ZeroDivisionError), database_lock(database):
        _ = 1 / 0
    with database_lock(database):
        pass


def test_another_database_in_the_same_folder_is_free(tmp_path: Path) -> None:
    with database_lock(tmp_path / "a.db"), database_lock(tmp_path / "b.db"):
        assert not (tmp_path / "a.db").exists()


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "crawl.db.lock").mkdir()
    for database in (tmp_path / "file" / "crawl.db", tmp_path / "crawl.db", Path("/proc/self/crawl.db")):
        with pytest.raises(DatabaseFailedError, match="cannot create"), database_lock(database):
            raise AssertionError


def test_the_folder_is_made(tmp_path: Path) -> None:
    with database_lock(tmp_path / "new" / "folder" / "crawl.db"):
        assert (tmp_path / "new" / "folder").is_dir()


def test_what_cannot_be_a_database_is_refused_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder, fifo, letter = tmp_path / "folder", tmp_path / "fifo", tmp_path / "letter"
    folder.mkdir()
    os.mkfifo(fifo)
    letter.write_text("Dear aunt, ...")
    for database in (folder, fifo, letter, Path(), Path("/")):
        with pytest.raises(DatabaseFailedError, match=r"folder|regular file|not a crawl"), database_lock(database):
            raise AssertionError
    assert sorted(tmp_path.iterdir()) == [fifo, folder, letter]
