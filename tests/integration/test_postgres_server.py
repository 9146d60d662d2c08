"""The PostgreSQL server that the tests start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres.server import GIVEN
from tests.postgres.sql import execute, rows

ROOT = Path(__file__).parents[2]
USER = "from tests.postgres.server import shared_server; from pathlib import Path; import sys, time"


def test_a_database_is_a_test_s_own(empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE t (a text, b bytea)")
    assert execute(empty_database, "INSERT INTO t VALUES (?, ?), (?1, NULL)", "x", b"\0") == 2
    assert rows(empty_database, "SELECT a, b FROM t WHERE a = ? ORDER BY b", "x") == [("x", b"\0"), ("x", None)]


async def test_sql_can_be_asked_where_an_event_loop_runs(empty_database: str) -> None:
    assert rows(empty_database, "SELECT 1") == [(1,)]


@pytest.mark.thorough
def test_processes_share_a_server_that_ends_with_the_last_of_them_even_if_all_are_killed(tmp_path: Path) -> None:
    with _a_user(tmp_path) as first, _a_user(tmp_path) as second:
        url = _url(first)
        assert url == _url(second)
        folder = (tmp_path / "postgres").resolve()
        first.kill()
        first.wait()
        assert rows(url, "SELECT 1") == [(1,)]
        assert folder.exists()
        second.kill()
        while folder.exists():
            time.sleep(0.01)
        with pytest.raises(OSError, match="Connect"):
            rows(url, "SELECT 1")
    with _a_user(tmp_path) as third:
        assert rows(_url(third), "SELECT 1") == [(1,)]


@contextmanager
def _a_user(meeting: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the server until it is killed."""
    code = f"{USER}\nwith shared_server(Path(sys.argv[1])) as s: print(s.url('postgres'), flush=True); time.sleep(150)"
    environment = {name: value for name, value in os.environ.items() if name != GIVEN}
    command = [sys.executable, "-c", code, str(meeting)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as user:
        yield user
        user.kill()


def _url(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()
