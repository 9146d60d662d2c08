"""A run that leaves pages because hosts or origins are closed says so: on the screen, in cron's line, in its files."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import Cli
from tests.acceptance.test_metrics import read

pytestmark = pytest.mark.any_store

Serve = Callable[[FakeWeb], Served]


@pytest.fixture
def served(serve: Serve) -> Served:
    """A site with a link to another origin of its host, whose robots.txt answers 503."""
    web = FakeWeb()
    site = web.host("a.test")
    site.origin(8081).status("/robots.txt", 503)
    site.page("/", links=["/1", "/2", "http://a.test:8081/other"])
    site.page("/1", title="1")
    site.page("/2", title="2")
    return serve(web)


def test_a_run_that_waits_says_so_first_and_in_all_its_files(cli: Cli, served: Served) -> None:
    metrics = cli.folder / "crawl.prom"
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--retries", "0", "--metrics-file", str(metrics))
    origin = served.url("a.test", port=8081).removesuffix("/")
    first, *_rest = outcome.out.splitlines()
    assert "waiting after " in first
    assert f": {origin} until 20" in first
    assert "(robots.txt: http 503); their remaining pages are left for a later run" in first
    summary = outcome.summary
    assert (summary["complete"], summary["end_reason"], summary["pending"]) == (False, "waiting", 1)
    [waiting] = summary["waiting"]
    assert (waiting["origin"], waiting["why"]) == (origin, "robots.txt: http 503")
    [(until,)] = [(row,) for row in cli.rows("SELECT paused_until FROM origins WHERE paused_until > 0")]
    assert waiting["until"] == pytest.approx(until)
    assert summary["backing_off"] == ["a.test"]
    samples = read(metrics.read_text(), cli.db)
    assert [samples[name, ""] for name in ("run_complete", "complete", "success")] == [0, 0, 1]
    assert cli.rows("SELECT end_reason FROM runs") == ["waiting"]


def test_cron_s_line_says_it_too_and_nothing_goes_to_standard_error(cli: Cli, served: Served) -> None:
    network = ("--allow-private", "127.0.0.0/8", "--dns-server", served.dns)
    options = ("--delay", "0", "--retries", "0")
    outcome = cli.command("crawl", "--db", str(cli.db), *network, served.url("a.test"), *options)
    [line] = outcome.out.splitlines()
    assert ": run 1 waiting after " in line
    assert served.url("a.test", port=8081).removesuffix("/") in line
    assert outcome.err == ""


def test_status_tells_what_waits_what_is_slowed_and_which_copy_rules(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("a.test"), "--delay", "0", "--retries", "0")
    origin = served.url("a.test", port=8081).removesuffix("/")
    served.sites["a.test"].ports[8081].robots("User-agent: *\nAllow: /\n")
    served.sites["a.test"].ports[8081].page("/other")
    cli.let_pass(7200)
    cli.crawl(served, "--delay", "0")
    served.sites["a.test"].ports[8081].status("/robots.txt", 500)
    cli.let_pass(7200)
    cli.change("UPDATE origins SET robots_expires_at = 0")
    cli.change("UPDATE hosts SET pace_s = 2.5")
    done = cli.crawl(served, "--delay", "0", "--max-age", "0s", "--no-adaptive-pace")
    told = f"{origin}: robots.txt is unavailable (http 500); obeying the last copy, read less than a day ago"
    assert told in done.err
    text = cli.command("status", "--db", str(cli.db)).out
    assert f"{origin} uses the copy from " in text
    assert "(HTTP 500 since)" in text
    assert "1 in 2.5 s" in text
    status = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    [old] = status["old_rules"]
    assert (old["origin"], old["status_code"], old["failures"]) == (origin, 500, 1)
    assert status["waiting"] == []
    assert [host["pace_s"] for host in status["hosts"]] == [2.5]
