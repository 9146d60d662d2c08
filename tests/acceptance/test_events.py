"""A log names URLs: each failure, retry, back-off and redirect out of scope; with -v each URL."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import LOOPBACK, Cli

pytestmark = pytest.mark.any_store

Serve = Callable[[FakeWeb], Served]


@pytest.fixture
def served(serve: Serve) -> Served:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/forbidden", "/dead", "/flaky", "/away", "/busy", "/fine", "http://b.test/"])
    site.page("/fine")
    site.status("/forbidden", 403)
    site.status("/dead", 404)
    site.sequence("/flaky", Answer(status=500), Answer.page())
    site.redirect("/away", "http://elsewhere.test/")
    busy = web.host("busy.test")
    busy.sequence("/", Answer(status=503, headers={"Retry-After": "1"}), Answer.page())
    return serve(web)


def words(cli: Cli, served: Served, *more: str) -> list[str]:
    seeds = [served.url("a.test"), served.url("busy.test"), "http://nowhere.test/"]
    network = [*LOOPBACK, "--dns-server", served.dns, "--db", str(cli.db), "--delay", "0", "--retries", "1"]
    return ["crawl", *seeds, *network, *more]


@pytest.mark.thorough
def test_a_json_log_has_an_event_for_each_that_needs_one(cli: Cli, served: Served) -> None:
    told = cli.command(*words(cli, served, "--log-format", "json"))
    events: dict[str, list[dict[str, Any]]] = {}
    for event in map(json.loads, told.err.splitlines()):
        assert event["time"].endswith("+00:00")
        events.setdefault(event["event"], []).append(event)
    failed = {event["url"]: (event["cause"], event["level"]) for event in events["failure"]}
    assert failed[served.url("a.test", "/forbidden")] == ("http 403", "warning")
    assert failed[served.url("a.test", "/dead")] == ("http 404", "warning")
    assert failed["http://nowhere.test/"][0] == "dns"
    assert served.url("a.test", "/flaky") not in failed
    retried = {event["url"]: event for event in events["retry"]}
    assert 2 <= retried[served.url("a.test", "/flaky")]["retry_in_s"] <= 2.5
    (out,) = events["redirect_excluded"]
    assert (out["url"], out["reason"]) == (served.url("a.test", "/away"), "scope")
    assert out["target"].startswith("http://elsewhere.test")
    assert ("http://busy.test", "http 503") in [
        (event["origin"].rpartition(":")[0], event["cause"]) for event in events["back_off"] if "origin" in event
    ]
    assert "visit" not in events


@pytest.mark.thorough
def test_a_text_log_has_them_as_lines_with_their_time(cli: Cli, served: Served) -> None:
    lines = cli.command(*words(cli, served, "--log-format", "text")).err.splitlines()
    url = re.escape(served.url("a.test", "/forbidden"))
    (line,) = [line for line in lines if "/forbidden" in line]
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ failure {url} \(http 403\)", line)
    assert any(re.search(r"Z retry \S+/flaky in 2 s|Z retry \S+/flaky in 2\.\d s", line) for line in lines), lines
    assert any(re.search(r"Z pausing http://busy\.test:\d+ for 1.0 s \(http 503\)", line) for line in lines)
    assert any(re.search(r"Z redirect not followed: \S+/away leads to \S+ \(scope\)", line) for line in lines), lines
    assert not any("/fine" in line for line in lines)


@pytest.mark.thorough
@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_is_a_line_for_each_url(cli: Cli, served: Served, flag: str) -> None:
    told = cli.command(*words(cli, served, flag))
    assert re.search(rf"Z 200 {re.escape(served.url('a.test', '/fine'))} \S+ s$", told.err, re.MULTILINE), told.err
    assert re.search(r"Z 404 \S+/dead ", told.err)
    assert re.search(r"^run 1 ", told.out, re.MULTILINE)  # as with a text log


@pytest.mark.thorough
def test_verbose_adds_visits_to_a_json_log(cli: Cli, served: Served) -> None:
    events = [
        json.loads(line) for line in cli.command(*words(cli, served, "-v", "--log-format", "json")).err.splitlines()
    ]
    (fine,) = [one for one in events if one["event"] == "visit" and one["url"].endswith("/fine")]
    assert (fine["status"], fine["status_code"], fine["is_new_version"], fine["kind"]) == ("fetched", 200, True, "page")


@pytest.mark.thorough
def test_quiet_tells_none_of_it_and_contradicts_verbose(cli: Cli, served: Served) -> None:
    assert cli.command(*words(cli, served, "--quiet", "--log-format", "json")).err == ""
    assert "--quiet and --verbose contradict" in cli.command(*words(cli, served, "-q", "-v"), status=2).err


@pytest.mark.thorough
def test_on_a_terminal_the_lines_scroll_by_above_the_live_view(cli: Cli, served: Served) -> None:
    from tests.acceptance.conftest import COMMAND

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words(cli, served, "-v")], stdout=theirs, stderr=theirs, cwd=cli.folder,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
    ) as crawler:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # nobody has it open any more
            pass
        assert crawler.wait(timeout=50) == 0
    os.close(ours)
    assert re.search(rb"Z 200 http://a\.test:\d+/fine ", shown), shown
    assert b"connections" in shown


@pytest.mark.thorough
def test_the_night_s_line_the_summary_and_the_metrics_tell_what_has_changed(cli: Cli, served: Served) -> None:
    metrics = cli.folder / "crawl.prom"
    more = ("--summary", str(cli.summary_file), "--metrics-file", str(metrics))
    first = cli.command(*words(cli, served, *more))
    assert "; changes: new 4, newly failed 2; " in first.out, first.out
    again = cli.command(*words(cli, served, *more, "--max-age", "0s"))
    assert "; changes: unchanged 4" in again.out, again.out
    told = json.loads(cli.summary_file.read_text())["changes"]
    assert told["unchanged"] == 4
    assert re.search(r'^crawler_changes_total\{db="[^"]+",change="unchanged"\} 4$', metrics.read_text(), re.MULTILINE)
