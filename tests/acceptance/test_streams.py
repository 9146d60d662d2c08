"""Standard streams that are closed, full, or left by their readers: the crawl and its result stay what they are."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import COMMAND, Cli, Outcome, Serve

PAGES = 5

# Marked `sqlite`: what ends before any store is looked at.
pytestmark = pytest.mark.any_store

# Ctrl-C at the moment at which a module begins to be imported, while the program starts.
INTERRUPTED = """
import signal, sys

class CtrlC:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, CtrlC())
from crawler.cli import main
main(["crawl", "https://example.com/"])
"""


@pytest.fixture
def served(serve: Serve) -> Served:
    web = FakeWeb()
    web.site("a.test", pages=PAGES)
    return serve(web)


def in_shell(cli: Cli, served: Served, script: str, *more: str, status: int = 0) -> Outcome:
    """Run `script` with the command line of a crawl as its "$@"."""
    arguments = cli.arguments(served, served.url("a.test"), "--delay", "0", *more)
    return cli.run(["sh", "-c", script, "sh", *arguments], status=status)


def assert_whole(cli: Cli) -> None:
    """Every page was stored, the run ended as one that is complete, and its summary was written."""
    assert len(cli.pages()) == PAGES
    assert cli.rows("SELECT end_reason FROM runs") == ["complete"]
    assert json.loads(cli.summary_file.read_text())["pages"] == PAGES


@pytest.mark.thorough
@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(cli: Cli, served: Served, redirections: str) -> None:
    outcome = in_shell(cli, served, f'"$@" {redirections}')
    assert_whole(cli)
    assert ("complete" in outcome.out) == (">&-" not in redirections.replace("2>&-", ""))


@pytest.mark.first_case
@pytest.mark.parametrize("redirections", [">/dev/full", "2>/dev/full", ">/dev/full 2>&1"])
def test_streams_that_take_nothing_do_no_harm(cli: Cli, served: Served, redirections: str) -> None:
    outcome = in_shell(cli, served, f'"$@" {redirections}', "--ignore-robots")  # that is told on standard error
    assert_whole(cli)
    assert ("complete" in outcome.out) == redirections.startswith("2>")
    assert outcome.err == "" or redirections == ">/dev/full"


@pytest.mark.first_case
@pytest.mark.parametrize(
    "script",
    ['("$@"; echo $? >status) | head -0', '("$@" 2>&1; echo $? >status) | head -1', '("$@" 2>&1; echo $? >status) | :'],
)
def test_readers_that_leave_do_no_harm(cli: Cli, served: Served, script: str) -> None:
    outcome = in_shell(cli, served, script, "--ignore-robots")
    assert_whole(cli)
    assert (cli.folder / "status").read_text() == "0\n"
    assert "Exception" not in outcome.err
    assert "BrokenPipe" not in outcome.err


def test_a_reader_of_standard_error_that_leaves_does_not_take_the_account_along(cli: Cli, served: Served) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nowhere:
        arguments = cli.arguments(served, served.url("a.test"), "--delay", "0", "--ignore-robots")
        done = subprocess.run(
            arguments, stdout=subprocess.PIPE, stderr=nowhere, text=True, timeout=50, cwd=cli.folder, check=True
        )
    assert_whole(cli)
    assert "complete" in done.stdout


@pytest.mark.thorough
def test_a_terminal_that_is_closed_does_not_end_the_crawl(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", delay_s=1)
    served = serve(web)
    ours, theirs = pty.openpty()
    arguments = cli.arguments(served, served.url("a.test"), "--delay", "0")
    with subprocess.Popen(arguments, stdout=theirs, stderr=theirs, cwd=cli.folder) as crawl:
        os.close(theirs)
        assert os.read(ours, 1)  # the live view has begun
        os.close(ours)
        assert crawl.wait(timeout=50) == 0
    assert len(cli.pages()) == 1


@pytest.mark.sqlite
def test_an_error_that_nobody_reads_keeps_its_status(cli: Cli) -> None:
    for redirection in ("2>&-", "2>/dev/full"):
        cli.run(["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, "crawl", "ftp://a.test/"], status=2)


@pytest.mark.sqlite
def test_seeds_from_a_closed_standard_input_are_a_usage_error(cli: Cli) -> None:
    outcome = cli.run(["sh", "-c", '"$@" <&-', "sh", *COMMAND, "crawl", "-"], status=2)
    assert outcome.err.count("\n") == 1
    assert "standard input" in outcome.err


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["-h"]])
def test_what_was_asked_for_and_cannot_be_written_is_an_error(cli: Cli, served: Served, arguments: list[str]) -> None:
    cli.crawl(served, served.url("a.test"), "--delay", "0", "--quiet")
    command = [*COMMAND, *arguments, *(["--db", str(cli.db)] if "status" in arguments else [])]
    outcome = cli.run(["sh", "-c", '"$@" >/dev/full', "sh", *command], status=1)
    assert outcome.err == "crawler: cannot write to standard output: No space left on device\n"
    left = cli.run(["sh", "-c", '("$@"; echo $? >status) | :', "sh", *command])
    assert left.err == ""


@pytest.mark.sqlite
@pytest.mark.parametrize("module", ["crawler.cli.commands", "typer", "aiohttp", "crawler.engine", "rich.live"])
def test_ctrl_c_while_the_program_starts_ends_it_without_a_traceback(tmp_path: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module)],
        capture_output=True, text=True, timeout=50, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
    assert not list(tmp_path.iterdir())
