"""`crawler plan`: what the next run will do, from the command line."""

from __future__ import annotations

import json

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, Serve
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, old_web

# Marked `sqlite`: what is refused before any store is looked at, and a file of an older version.
pytestmark = pytest.mark.any_store

PASSED_S = 3 * 86400.0
FAST = ("--delay", "0", "--quiet")


def a_crawl(cli: Cli, serve: Serve, *options: str) -> None:
    web = FakeWeb()
    web.site("a.test", pages=30)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, *options)
    cli.let_pass(PASSED_S)
    cli.change("UPDATE urls SET fetched_at = fetched_at - ?", PASSED_S)
    cli.change("UPDATE origins SET robots_expires_at = robots_expires_at - ?", PASSED_S)


def test_it_says_what_is_due_how_long_it_takes_and_what_a_budget_buys(cli: Cli, serve: Serve) -> None:
    a_crawl(cli, serve)
    told = cli.command("plan", "--db", str(cli.db)).out
    assert "due now    30 URLs, and 1 robots.txt (--max-age auto)" in told
    assert "fresh now  probably 8" in told
    assert "a.test\t30\t31\t" in told
    assert "\t20%\t" in told
    assert cli.rows("SELECT count(*) FROM runs") == [1]


def test_as_json_under_a_budget(cli: Cli, serve: Serve) -> None:
    a_crawl(cli, serve)
    found = json.loads(cli.command("plan", "--db", str(cli.db), "--max-requests", "10", "--json").out)
    assert (found["urls_due"], found["requests"], found["requests_without_limit"]) == (30, 10, 31)
    assert [host["host"] for host in found["hosts"]] == ["a.test"]
    assert found["pages"] == 30
    assert 0.5 < found["fresh_now"] < 1
    assert found["budgets"][0]["freshness"] < found["budgets"][-1]["freshness"] < 1


def test_the_options_are_those_of_the_last_run_unless_given(cli: Cli, serve: Serve) -> None:
    a_crawl(cli, serve, "--max-age", "9d", "--max-requests", "500")
    found = json.loads(cli.command("plan", "--db", str(cli.db), "--json").out)
    assert (found["max_age"], found["max_requests"], found["urls_due"]) == (9 * 86400, 500, 0)
    found = json.loads(
        cli.command("plan", "--db", str(cli.db), "--json", "--max-age", "1d", "--max-requests", "none").out
    )
    assert (found["max_age"], found["max_requests"], found["urls_due"]) == (86400, None, 30)


def test_nothing_is_due(cli: Cli, serve: Serve) -> None:
    a_crawl(cli, serve)
    told = cli.command("plan", "--db", str(cli.db), "--max-age", "30d").out
    assert "due now    nothing (--max-age 30d)" in told
    assert "later      next due 20" in told


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--max-requests", "0"], 2, "--max-requests"),
        (["--max-runtime", "soon"], 2, "--max-runtime takes a number followed by"),
        (["--max-age", "often"], 2, "--max-age"),
        (["--limit", "0"], 2, "--limit"),
        (["--db", "missing.db"], 6, "missing.db"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, serve: Serve, arguments: list[str], status: int, said: str) -> None:
    a_crawl(cli, serve)
    outcome = cli.command("plan", "--db", str(cli.db), *arguments, status=status)
    assert said in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_without_a_crawl_there_is_nothing_to_plan(no_crawl: Cli) -> None:
    assert "there is no crawl in" in no_crawl.command("plan", "--db", str(no_crawl.db), status=6).err
    assert not no_crawl.has_anything()


@pytest.mark.sqlite
def test_a_database_of_0_1_0_once_it_is_migrated(cli: Cli, serve: Serve) -> None:
    served = serve(old_web(2))
    restore("database_0_1_0.sql", PORT, cli.db, served)
    assert "upgrades it" in cli.command("plan", "--db", str(cli.db), status=6).err
    cli.crawl(served, *FAST)
    found = json.loads(cli.command("plan", "--db", str(cli.db), "--max-age", "0s", "--json").out)
    assert found["urls_due"] > 100
    assert found["pages"] > 0
