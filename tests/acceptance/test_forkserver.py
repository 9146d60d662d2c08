"""A forked command does what an executed one does, so that most tests may fork theirs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, Cli, Serve, wait_for

Run = Callable[[Cli, list[str]], tuple[int, str, str]]
NUMBERS = re.compile(r"\d[\d.,]*")  # times, sizes and addresses


def _executed(cli: Cli, arguments: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(arguments, input="", capture_output=True, text=True, timeout=55, cwd=cli.folder, check=False)
    return done.returncode, done.stdout, done.stderr


def _forked(cli: Cli, arguments: list[str]) -> tuple[int, str, str]:
    assert tuple(arguments[: len(COMMAND)]) == COMMAND
    outcome = cli.run(arguments, status=None)
    return outcome.status, outcome.out, outcome.err


def _twins(folder: Path) -> list[tuple[Run, Cli]]:
    """Both ways to start a command, each with a folder of its own; the names are equally long."""
    twins: list[tuple[Run, Cli]] = []
    for run in (_executed, _forked):
        (folder / run.__name__[:5]).mkdir()
        twins.append((run, Cli(folder / run.__name__[:5])))
    return twins


def _without_names(text: str, cli: Cli) -> str:
    return NUMBERS.sub("#", text.replace(str(cli.folder), "FOLDER"))


def test_a_crawl_says_and_stores_the_same(tmp_path: Path, serve: Serve) -> None:
    web = FakeWeb()
    site = web.site("a.test", pages=12)
    site.status("/p3", 500)
    site.redirect("/p4", "/p5")
    served = serve(web)
    seen: list[Any] = []
    for run, cli in _twins(tmp_path):
        arguments = cli.arguments(served, served.url("a.test"), "--delay", "0", "--retries", "0")
        status, out, err = run(cli, arguments)
        rows = cli.rows("SELECT url, status, reason, depth FROM urls ORDER BY url")
        runs = cli.rows("SELECT end_reason, options FROM runs")
        seen.append((status, _without_names(out, cli), _without_names(err, cli), rows, runs, cli.pages()))
    assert seen[0] == seen[1]
    assert len(seen[0][5]) == 10


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["crawl", "--help"],
        ["crawl", "ftp://a.test/"],
        ["crawl", "-"],
        ["status", "--db", "none.db"],
        ["crawl", "https://a.test/", "--db", "."],
        ["init", "."],
    ],
)
def test_a_command_says_the_same_and_ends_with_the_same_status(tmp_path: Path, words: list[str]) -> None:
    seen = []
    for run, cli in _twins(tmp_path):
        status, out, err = run(cli, [*COMMAND, *words])
        seen.append((status, _without_names(out, cli), _without_names(err, cli), sorted(cli.folder.iterdir())))
    (*executed, _), (*forked, _) = seen
    assert executed == forked


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_has_the_same_files_signals_and_threads_and_tells_its_death(tmp_path: Path, serve: Serve) -> None:
    """Looked at while a request hangs; then killed."""
    seen = []
    for run, cli in _twins(tmp_path):
        web = FakeWeb()
        web.host("a.test").page("/", delay_s=30)
        served = serve(web)
        with ThreadPoolExecutor() as beside:
            crawl = beside.submit(
                run,
                cli,
                cli.arguments(served, served.url("a.test"), "--delay", "0", "--user-agent", "me (+https://me.example)"),
            )
            wait_for(partial(served.hits, "a.test", "/"))
            pid = int(cli.db.with_name("crawl.db.lock").read_text())
            facts = _facts(pid, cli)
            os.kill(pid, signal.SIGKILL)
            seen.append((facts, crawl.result()))
    assert seen[0] == seen[1]
    assert seen[0][1] == (-signal.SIGKILL, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_in_the_background_is_what_popen_gives(tmp_path: Path, serve: Serve, number: int) -> None:
    seen = []
    for way, cli in _twins(tmp_path):
        web = FakeWeb()
        web.host("a.test").page("/", delay_s=30)
        served = serve(web)
        words = (served.url("a.test"), "--delay", "0", "--grace", "0s")
        command = cli.start(served, *words) if way is _forked else _started(cli, cli.arguments(served, *words))
        wait_for(partial(served.hits, "a.test", "/"))
        assert int(cli.db.with_name("crawl.db.lock").read_text()) == command.pid
        assert command.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(timeout=0.01)
        command.send_signal(number)
        said = command.communicate(timeout=60)
        assert command.communicate() == said
        command.kill()  # does nothing any more
        seen.append((command.returncode, command.wait(), command.poll(), [_without_names(text, cli) for text in said]))
    assert seen[0] == seen[1]
    assert seen[0][0] in (130, -signal.SIGKILL)


def _started(cli: Cli, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cli.folder)


def _facts(pid: int, cli: Cli) -> Any:
    process = Path(f"/proc/{pid}")
    wanted = ("Umask", "Threads", "SigBlk", "SigIgn", "SigCgt")
    lines = [line for line in (process / "status").read_text().splitlines() if line.startswith(wanted)]
    files = Counter(_without_names(str(link.readlink()), cli) for link in (process / "fd").iterdir())
    return lines, files, (process / "cwd").readlink() == cli.folder
