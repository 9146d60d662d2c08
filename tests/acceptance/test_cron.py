"""Runs that nobody watches: what two of them do to each other, and what they print where there is no terminal."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import COMMAND, LOOPBACK, Cli, Gate, Serve, wait_for, wait_for_requests

# Marked `sqlite`: what is refused before any store is looked at; the lock's file, and links to the database.
pytestmark = pytest.mark.any_store


def cron(cli: Cli, served: Served, *arguments: str) -> subprocess.Popen[str]:
    """As cron starts it: a shell, hardly any environment, no terminal, another folder."""
    words = [*COMMAND, "crawl", *LOOPBACK, "--dns-server", served.dns, "--db", str(cli.db), *arguments]
    environment = ["PATH=/usr/bin:/bin", f"PYTHONPATH={Path(__file__).parents[2]}"]
    return subprocess.Popen(
        ["env", "-i", *environment, "/bin/sh", "-c", shlex.join(words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
    )


def stop(crawler: subprocess.Popen[str]) -> None:
    os.killpg(crawler.pid, signal.SIGKILL)
    crawler.communicate()


@pytest.fixture
def busy(serve: Serve) -> Served:
    """A site whose crawl takes as long as a test needs."""
    web = FakeWeb()
    web.host("a.test").page("/", delay_s=30)
    return serve(web)


@pytest.mark.parametrize(
    ("if_running", "status", "told"),
    [
        (None, 5, "another run"),
        ("fail", 5, "another run"),
        ("skip", 0, "skipped: another run"),
        ("wait:0.5s", 5, "ano"),
    ],
)
def test_of_two_starts_one_runs_and_the_other_ends_as_asked_at_once(
    cli: Cli, busy: Served, if_running: str | None, status: int, told: str
) -> None:
    first = cron(cli, busy, busy.url("a.test"), "--delay", "0")
    wait_for(lambda: busy.hits("a.test", "/"))
    begun = time.monotonic()
    second = cron(cli, busy, busy.url("a.test"), "--delay", "0", *(("--if-running", if_running) if if_running else ()))
    out, err = second.communicate(timeout=20)
    assert time.monotonic() - begun < 10  # two seconds, on a machine that has nothing else to do
    assert first.poll() is None
    stop(first)
    assert second.returncode == status, err
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


def test_who_is_refused_has_not_loaded_what_only_a_crawl_needs(cli: Cli, busy: Served) -> None:
    first = cron(cli, busy, busy.url("a.test"), "--delay", "0")
    wait_for(lambda: busy.hits("a.test", "/"))
    arguments = cli.arguments(busy, busy.url("a.test"), "--delay", "0")
    refused = cli.run([arguments[0], "-X", "importtime", *arguments[1:]], status=5)
    stop(first)
    assert "another run" in refused.err
    assert "aiohttp" not in refused.err


def test_starts_at_the_same_instant_are_one_run(cli: Cli, busy: Served) -> None:
    starts = [cron(cli, busy, busy.url("a.test"), "--delay", "0", "--if-running", "skip") for _ in range(4)]
    wait_for(lambda: sum(start.poll() is not None for start in starts) == 3)
    (running,) = [start for start in starts if start.poll() is None]
    stop(running)
    for start in starts:
        _out, err = start.communicate()
        assert start is running or (start.returncode, err.count("skipped")) == (0, 1)


def test_who_waits_goes_on_once_the_other_has_died(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    web.host("a.test").answer("/", gate)
    served = serve(web)
    first = cron(cli, served, served.url("a.test"), "--delay", "0")
    wait_for(lambda: served.hits("a.test", "/"))
    second = cron(cli, served, "--if-running", "wait", "--log-format", "json")
    assert second.stderr is not None
    assert "waiting: another run" in json.loads(second.stderr.readline())["message"]
    stop(first)
    gate.open()
    _out, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert cli.pages() == [served.url("a.test")]
    assert cli.rows("SELECT count(*) FROM runs") == [1]  # the killed run was gone on with


def test_who_waits_can_be_stopped(cli: Cli, busy: Served) -> None:
    first = cron(cli, busy, busy.url("a.test"), "--delay", "0")
    wait_for(lambda: busy.hits("a.test", "/"))
    arguments = cli.arguments(busy, busy.url("a.test"), "--delay", "0", "--if-running", "wait")
    second = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cli.folder)
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    second.send_signal(signal.SIGINT)
    _out, err = second.communicate(timeout=20)
    stop(first)
    assert second.returncode == 130
    assert "Traceback" not in err


@pytest.mark.sqlite
@pytest.mark.parametrize("text", ["", "perhaps", "skip:1m", "wait:", "wait:soon", "fail:1"])
def test_what_if_running_does_not_take_is_a_usage_error(cli: Cli, text: str) -> None:
    outcome = cli.crawl(None, "https://example.com/", "--if-running", text, status=2)
    assert "--if-running" in outcome.err
    assert outcome.err.count("\n") == 1


# --- what is printed ----------------------------------------------------------------------------------------------


def test_without_a_terminal_there_is_one_line_and_nothing_else(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("old.test").redirect("/", "http://site.test/")  # a notice, where notices are wanted
    web.site("site.test", pages=12)
    served = serve(web)
    run = cron(cli, served, served.url("old.test"), "--delay", "0")
    out, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (0, "")
    assert out.count("\n") == 1
    assert out.startswith(f"{cli.db}: run 1 complete")
    assert "; pages: 12 (" in out


def test_the_line_says_what_is_left(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("site.test", pages=12)
    served = serve(web)
    out, _err = cron(cli, served, served.url("site.test"), "--delay", "0", "--max-pages", "1").communicate(timeout=30)
    assert re.search(r"; pending: \d+ left \(the run ended first\)\n$", out)


@pytest.mark.parametrize("more", [[], ["--quiet"]])
def test_that_no_seed_could_be_fetched_needs_a_person(cli: Cli, serve: Serve, more: list[str]) -> None:
    web = FakeWeb()
    web.host("a.test").status("/", 404)
    served = serve(web)
    run = cron(cli, served, served.url("a.test"), "--delay", "0", *more)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 4
    assert out.count("\n") == (0 if more else 1)
    assert err == f"crawler: no seed could be fetched: {served.url('a.test')} (http 404)\n"


@pytest.mark.thorough
def test_a_json_log_is_events_alone_and_its_end_has_the_summary(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("old.test").redirect("/", "http://site.test/")
    site = web.site("site.test", pages=3)
    site.page("/p2", delay_s=6)  # long enough for figures
    served = serve(web)
    contact = ("--user-agent", "mybot/1.0 (+https://me.example/bot)")  # without one, a run says more
    outcome = cli.crawl(served, served.url("old.test"), "--delay", "0", "--log-format", "json", *contact)
    events = [json.loads(line) for line in outcome.err.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["start", "notice", *["progress"] * (len(kinds) - 3), "end"]
    assert {(event["level"], event["db"]) for event in events} == {("info", str(cli.db))}
    assert all(event["time"].endswith("+00:00") for event in events)
    assert "is now in scope" in events[1]["message"]
    assert (events[2]["pages"], events[2]["in_flight"]) == (2, 1)
    assert outcome.summary.items() <= events[-1].items()
    assert outcome.out == ""


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["https://example.com/", "--delay", "-1"], 2, "--delay must be"),
        (["https://example.com/", "--db", "/dev/null"], 6, "not a regular file"),
        ([], 2, "nothing to crawl"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--quiet"]])
def test_errors_are_events_too(cli: Cli, arguments: list[str], status: int, message: str, more: list[str]) -> None:
    outcome = cli.crawl(None, *arguments, *more, "--log-format", "json", status=status)
    (line,) = outcome.err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["exit_status"]) == ("error", "error", status)
    assert message in event["message"]


@pytest.mark.parametrize("by_command", [True, False])
def test_a_crawl_is_ended_early_and_cleanly_from_elsewhere(cli: Cli, serve: Serve, by_command: bool) -> None:
    web = FakeWeb()
    web.site("a.test", pages=1000)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), "--delay", "0.05")
    wait_for_requests(served, 10)
    if by_command:
        holder = f"process {crawler.pid}" if isinstance(cli.db, Path) else "run 1"
        told = f"stopping the crawl that uses {cli.db} ({holder}); it finishes its requests in flight first\n"
        assert cli.command("stop", "--db", str(cli.db)).out == told
    else:
        crawler.send_signal(signal.SIGHUP)
    _out, err = crawler.communicate(timeout=20)
    assert crawler.returncode == 143, err
    assert cli.rows("SELECT end_reason FROM runs") == ["stopped" if by_command else "terminated"]
    assert 5 < len(cli.pages()) < 1000


@pytest.mark.sqlite
def test_nobody_is_stopped_whose_number_a_dead_crawl_had(cli: Cli) -> None:
    cli.crawl(None, "http://127.0.0.1:9/", "--retries", "0", "--quiet", status=4)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        cli.db.with_name("crawl.db.lock").write_text(f"{innocent.pid}\n")
        assert cli.command("stop", "--db", str(cli.db)).out == f"no crawl is using {cli.db}\n"
        time.sleep(0.2)
        assert innocent.poll() is None
        innocent.kill()


@pytest.mark.sqlite
def test_a_database_with_two_names_is_one(cli: Cli, serve: Serve, gate: Gate) -> None:
    """A link from another folder: one lock, one inbox, and SQLite's files beside the database itself."""
    web = FakeWeb()
    slow = web.host("a.test")
    slow.page("/", links=["/wait"])
    slow.answer("/wait", gate)
    slow.page("/added")
    served = serve(web)
    folder = cli.folder / "disk"
    folder.mkdir()
    cli.db.symlink_to("disk/real.db")
    crawler = cli.start(served, served.url("a.test"), "--delay", "0")
    wait_for(lambda: served.hits("a.test", "/wait"))
    real = folder / "real.db"
    assert "another run" in cli.crawl(served, served.url("a.test"), "--db", str(real), status=5).err
    assert "added to the running crawl" in cli.command("add", "--db", str(real), served.url("a.test", "/added")).out
    assert json.loads(cli.command("status", "--db", str(real), "--json").out)["running"]
    wait_for(lambda: served.hits("a.test", "/added"))
    gate.open()
    crawler.communicate(timeout=30)
    assert crawler.returncode == 0
    assert len(cli.pages()) == 3
    assert {"real.db", "real.db.lock", "real.db.inbox"} <= {file.name for file in folder.iterdir()}
    assert cli.crawl(served, "--db", str(real), "--max-age", "0s", "--delay", "0").summary["requests"] == 3
    assert "no crawl is using" in cli.command("stop", "--db", str(cli.db)).out
