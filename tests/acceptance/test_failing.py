"""What fails for a night, and keeps its status, is told with the rest: on the screen, in cron's line, in the files."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from crawler.archive.archive import open_crawl
from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import Cli
from tests.acceptance.test_metrics import read

pytestmark = pytest.mark.any_store

Serve = Callable[[FakeWeb], Served]

DAY_S = 86_400.0


def test_how_much_is_failing_is_told_wherever_a_night_is(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["/1", "/2", "/3", "http://b.test/"])
    for number in (1, 2, 3):
        web.sites["a.test"].page(f"/{number}", title=f"{number}")
    web.host("b.test").status("/", 403)
    served = serve(web)
    metrics = cli.folder / "crawl.prom"
    options = ("--delay", "0", "--retries", "0", "--scope", "any")
    first = cli.crawl(served, served.url("a.test"), *options, "--metrics-file", str(metrics))
    assert first.summary["failing"] == {"urls": 0, "since": None, "reasons": {}}
    assert "\nfailing" not in first.out
    assert read(metrics.read_text(), cli.db)["urls_failing", ""] == 0
    web.sites["a.test"].status("/1", 500)
    web.sites["a.test"].status("/2", 500)
    web.sites["a.test"].status("/3", 403)
    cli.let_pass(DAY_S)
    night = cli.crawl(served, "--delay", "0", "--max-age", "0s", "--metrics-file", str(metrics))
    [since] = cli.rows("SELECT min(failing_since) FROM failing_urls")
    assert night.summary["failing"] == {"urls": 3, "since": since, "reasons": {"http 500": 2, "http 403": 1}}
    assert (night.summary["urls"]["fetched"], night.summary["urls"]["failed"]) == (4, 1)
    assert "3 failing since 20" in night.out
    assert "(http 500: 2, http 403: 1)" in night.out
    assert read(metrics.read_text(), cli.db)["urls_failing", ""] == 3
    network = ("--allow-private", "127.0.0.0/8", "--dns-server", served.dns)
    [line] = cli.command("crawl", "--db", str(cli.db), *network, "--delay", "0").out.splitlines()
    assert "; 3 failing since 20" in line


async def test_status_counts_what_fails_for_each_host_and_the_archive_lists_it(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["/1", "http://b.test/", "http://b.test/gone"])
    web.sites["a.test"].page("/1", title="1")
    web.host("b.test").page("/", title="b")
    web.sites["b.test"].status("/gone", 403)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "--delay", "0", "--retries", "0", "--scope", "any")
    web.sites["b.test"].status("/", 502)
    web.sites["a.test"].status("/1", 500)
    cli.let_pass(DAY_S)
    cli.crawl(served, "--delay", "0", "--max-age", "0s")
    status = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    told = [(host["name"], host["urls"]["failed"], host["failing"]) for host in status["suspects"]]
    assert told == [("b.test", 1, 1), ("a.test", 0, 1)]
    assert [(host["name"], host["failing"]) for host in status["hosts"]] == [("a.test", 1), ("b.test", 1)]
    table = cli.command("status", "--db", str(cli.db)).out
    [row] = [line for line in table.splitlines() if line.startswith("a.test") and line.split()[1:3] == ["0", "1"]]
    assert row.split() == ["a.test", "0", "1", "2", "0"]
    async with open_crawl(cli.db) as archive:
        found = [one async for one in archive.failing()]
    assert [(one.url, one.status, one.failing_reason, one.attempts) for one in found] == [
        (served.url("a.test", "/1"), "fetched", "http 500", 1),
        (served.url("b.test"), "fetched", "http 502", 1),
    ]
    assert all(one.fetched_at is not None and one.failing_since > one.fetched_at for one in found)
    assert all(one.next_fetch_at is not None and one.next_fetch_at > one.failing_since for one in found)
