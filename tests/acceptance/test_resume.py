"""Killed at any instant, the same command goes on; nothing committed is lost or fetched again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served
from crawler.storage.postgres.ids import id_of
from crawler.storage.writer import MAX_BATCH
from tests.acceptance.conftest import Cli, Serve, slow_site, wait_for, wait_for_requests

pytestmark = pytest.mark.any_store

PAGES = 400  # more than a batch and what is under way: else everything might be repeated
CONCURRENCY = 8
OPTIONS = ("--delay", "0", "--per-host", "8", "--concurrency", str(CONCURRENCY))


def _web() -> FakeWeb:
    web = FakeWeb()
    slow_site(web, pages=PAGES, delay_s=0.02)
    return web


def _kill_after(crawler: subprocess.Popen[str], served: Served, requests: int) -> None:
    """SIGKILL once the server has seen that many requests; fails where the crawl ends before."""
    while len(served.log) < requests and crawler.poll() is None:
        time.sleep(0.002)
    crawler.kill()
    crawler.communicate()
    assert crawler.returncode == -signal.SIGKILL


def _page_hits(served: Served, since: int = 0) -> Counter[str]:
    return Counter(hit.target for hit in served.log[since:] if hit.target != "/robots.txt")


# Eight of ten between a tenth and nine tenths of the pages, one at the very start, one near the end.
_CHANCE = random.Random(20261122)
FRACTIONS = [0.01, *sorted(_CHANCE.uniform(0.1, 0.9) for _ in range(8)), 0.97]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "fraction",
    [
        pytest.param(one, marks=pytest.mark.each_store if at == len(FRACTIONS) // 2 else ())
        for at, one in enumerate(FRACTIONS)
    ],
)
def test_kill_9_at_any_instant_loses_and_repeats_nothing_that_was_committed(
    cli: Cli, serve: Serve, fraction: float
) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    _kill_after(cli.start(served, seed, *OPTIONS), served, int(fraction * PAGES))
    committed = set(cli.rows("SELECT url FROM urls WHERE status = 'fetched'")) if cli.has_begun() else set()
    before = len(served.log)
    cli.crawl(served, seed, *OPTIONS)
    paths = sorted(served.url("a.test", "/" if number == 0 else f"/p{number}") for number in range(PAGES))
    assert cli.pages() == paths
    refetched = {served.url("a.test", target) for target in _page_hits(served, before)}
    assert not committed & refetched
    repeated = sum(count - 1 for count in _page_hits(served).values())
    assert repeated <= CONCURRENCY + MAX_BATCH


@pytest.mark.thorough
def test_several_kills_in_a_row_give_the_same_pages(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    for requests in (60, 120, 180):
        _kill_after(cli.start(served, seed, *OPTIONS), served, requests)
    cli.crawl(served, seed, *OPTIONS)
    assert len(cli.pages()) == len(set(cli.pages())) == PAGES
    cli.assert_sound()


@pytest.mark.thorough
def test_max_pages_is_not_bent_by_a_kill_and_a_resume(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    _kill_after(cli.start(served, seed, *OPTIONS, "--max-pages", "150"), served, 90)
    stored = len(cli.pages())
    outcome = cli.crawl(served, seed, *OPTIONS, "--max-pages", "150")
    assert len(cli.pages()) == 150
    assert outcome.summary["run_pages"] == 150
    assert outcome.summary["pages"] == 150 - stored
    assert cli.rows("SELECT count(*) FROM runs") == [1]


@pytest.mark.each_store
@pytest.mark.thorough
def test_max_requests_is_not_passed_by_kills_and_resumes(cli: Cli, serve: Serve) -> None:
    """What was in flight at each kill counts, so the server never sees one too many."""
    served = serve(_web())
    seed = served.url("a.test")
    for requests in (30, 60, 90):
        _kill_after(cli.start(served, seed, *OPTIONS, "--max-requests", "150"), served, requests)
    outcome = cli.crawl(served, seed, *OPTIONS, "--max-requests", "150")
    assert outcome.summary["end_reason"] == "max_requests"
    assert 150 - 3 * (CONCURRENCY + 150 // 16) <= len(served.log) <= 150
    assert cli.rows("SELECT count(*) FROM runs") == [1]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.each_store)]
)
def test_a_signal_ends_cleanly_and_the_next_run_goes_on(
    cli: Cli, serve: Serve, number: signal.Signals, status: int
) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    crawler = cli.start(served, seed, *OPTIONS)
    wait_for_requests(served, 120)
    crawler.send_signal(number)
    _out, err = crawler.communicate(timeout=20)
    assert crawler.returncode == status, err
    assert "Traceback" not in err
    assert "Unclosed" not in err
    finished = _page_hits(served)
    assert len(cli.pages()) == sum(finished.values())  # what was under way was finished and committed
    cli.crawl(served, seed, *OPTIONS)
    assert len(cli.pages()) == PAGES
    assert max(_page_hits(served).values()) == 1


@pytest.mark.thorough
def test_a_second_signal_ends_at_once_although_a_request_hangs(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/hang"])
    site.page("/hang", delay_s=3600)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), *OPTIONS, "--grace", "1000s")
    wait_for(lambda: served.hits("a.test", "/hang"))
    crawler.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert crawler.poll() is None  # it waits for the request
    crawler.send_signal(signal.SIGINT)
    crawler.communicate(timeout=20)
    assert crawler.returncode == 130
    assert len(cli.pages()) == 1


@pytest.mark.thorough
def test_resuming_without_the_headers_of_the_last_run_names_them(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    secret = "X-Token: do-not-store-me"
    cli.crawl(served, seed, *OPTIONS, "--header", secret, "--max-pages", "5")
    assert served.hits("a.test", "/")[0].headers["x-token"] == "do-not-store-me"
    outcome = cli.crawl(served, seed, *OPTIONS, status=2)
    assert "x-token" in outcome.err
    assert "do-not-store-me" not in outcome.err
    before = len(served.log)
    cli.crawl(served, seed, *OPTIONS, "--header", "X-Token:", "--max-pages", "5")
    assert all("x-token" not in hit.headers for hit in served.log[before:])
    cli.crawl(served, seed, *OPTIONS)  # the last run sent none, so none is missed
    assert cli.stores_nowhere("do-not-store-me")


@pytest.mark.thorough
def test_resuming_without_the_cookies_of_the_last_run_asks_for_them(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    file = cli.folder / "cookies.txt"
    file.write_text("a.test\tFALSE\t/\tFALSE\t0\tsid\tdo-not-store-me\n")
    outcome = cli.crawl(served, seed, *OPTIONS, "--cookies", str(file), "--max-pages", "5")
    assert {hit.headers.get("cookie") for hit in served.log} == {"sid=do-not-store-me"}
    assert "do-not-store-me" not in outcome.out + outcome.err
    assert cli.options()["network"]["cookies"] is True
    assert "--cookies FILE" in cli.crawl(served, seed, *OPTIONS, status=2).err
    before = len(served.log)
    cli.crawl(served, seed, *OPTIONS, "--cookies", "", "--max-pages", "5")
    assert all("cookie" not in hit.headers for hit in served.log[before:])
    cli.crawl(served, seed, *OPTIONS)  # the last run sent none, so none is missed
    file.unlink()
    assert cli.stores_nowhere("do-not-store-me")


@pytest.mark.sqlite
def test_a_bad_cookie_file_is_refused_before_anything_is_opened(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    file = cli.folder / "cookies.txt"
    file.write_text("# cookies\na.test sid do-not-show-me\n")
    outcome = cli.crawl(served, served.url("a.test"), *OPTIONS, "--cookies", str(file), status=2)
    assert len(outcome.err.strip().splitlines()) == 1
    assert "cookies.txt: line 2 is not a cookie" in outcome.err
    assert "do-not-show-me" not in outcome.err
    assert not served.log
    assert not cli.db.exists()


@pytest.mark.thorough
def test_no_parser_process_outlives_a_crawl_that_was_killed(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    crawler = cli.start(served, served.url("a.test"), *OPTIONS)
    wait_for_requests(served, 50)
    children = [int(pid) for pid in Path(f"/proc/{crawler.pid}/task/{crawler.pid}/children").read_text().split()]
    crawler.kill()
    crawler.communicate()
    assert children
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


def test_a_seed_that_failed_is_tried_again_by_the_next_run(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.status("/", 500)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--retries", "0", status=4)
    site.page("/")
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--retries", "0")
    assert len(cli.pages()) == 1


@pytest.mark.thorough
def test_a_killed_run_lends_its_count_only_to_one_with_the_same_limit(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    seed = served.url("a.test")
    _kill_after(cli.start(served, seed, *OPTIONS), served, 120)
    stored = len(cli.pages())
    outcome = cli.crawl(served, seed, *OPTIONS, "--max-pages", "20")
    assert outcome.summary["pages"] == 20
    assert len(cli.pages()) == stored + 20


@pytest.mark.sqlite
def test_a_database_that_is_deleted_under_the_crawl_ends_it_with_6(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    crawler = cli.start(served, served.url("a.test"), *OPTIONS)
    wait_for_requests(served, 50)
    cli.db.unlink()
    _out, err = crawler.communicate(timeout=20)
    assert crawler.returncode == 6, err
    assert "was deleted or replaced" in err
    assert "Traceback" not in err


def test_without_seeds_the_options_of_the_last_run_are_used_again(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    wanted = ("--max-pages", "5", "--exclude", "/p9", "--exclude", "/p8", "--scope", "domain", "--max-runtime", "1h")
    cli.crawl(served, served.url("a.test"), *OPTIONS, *wanted, "--no-bodies", "--user-agent", "nightly/1.0")
    before = cli.options()
    outcome = cli.command("crawl", "--db", str(cli.db), "--log-format", "text")
    assert cli.options() == before
    assert "other options" not in outcome.err
    assert len(cli.pages()) == 10
    assert {hit.headers["user-agent"] for hit in served.log} == {"nightly/1.0"}
    assert cli.rows("SELECT count(*) FROM bodies") == [0]


def test_an_option_that_is_given_again_wins_and_the_change_is_shown(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--max-pages", "5", "--exclude", "/p9", "--no-bodies")
    changes = ("--max-pages", "7", "--exclude", "/p3", "--bodies", "--per-host", "8", "--delay", "0.1", "--grace", "2m")
    outcome = cli.command("crawl", "--db", str(cli.db), *changes)
    assert outcome.err == (
        "options changed since the last run: --exclude /p3 instead of /p9, --max-pages 7 instead of 5,"
        " --delay 0.1 instead of 0, --grace 2m instead of 5s, --bodies on instead of off\n"
    )
    assert len(cli.pages()) == 12
    assert cli.options()["network"]["dns_server"] == served.dns
    assert cli.options()["scope"]["exclude"] == ["/p3"]
    cli.command("crawl", "--db", str(cli.db), "--max-pages", "1")
    assert cli.options()["run"]["bodies"] is True
    assert len(cli.pages()) == 13


def test_headers_are_asked_for_again_without_seeds_too_and_no_value_is_shown(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--max-pages", "5", "--header", "X-Token: do-not-show-me")
    assert "x-token" in cli.command("crawl", "--db", str(cli.db), status=2).err
    outcome = cli.command("crawl", "--db", str(cli.db), "--header", "X-Token: nor-me")
    assert (outcome.err, served.log[-1].headers["x-token"]) == ("", "nor-me")
    assert len(cli.pages()) == 10


@pytest.mark.thorough
def test_with_seeds_the_options_are_those_of_this_command(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--max-pages", "5")
    cli.crawl(served, served.url("a.test"), *OPTIONS)
    assert len(cli.pages()) == PAGES


@pytest.mark.thorough
def test_a_run_that_was_killed_is_gone_on_with_without_naming_anything(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    _kill_after(cli.start(served, served.url("a.test"), *OPTIONS, "--max-pages", "150"), served, 90)
    cli.command("crawl", "--db", str(cli.db))
    assert len(cli.pages()) == 150
    assert cli.rows("SELECT count(*) FROM runs") == [1]


@pytest.mark.sqlite
def test_an_option_that_no_run_has_stored_has_its_default(cli: Cli, serve: Serve) -> None:
    """As in a database that an older version has made."""
    served = serve(_web())
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--max-pages", "5", "--grace", "7s")
    cli.change("UPDATE runs SET options = json_remove(options, '$.run.grace_s', '$.politeness.per_ip')")
    cli.command("crawl", "--db", str(cli.db))
    assert (cli.options()["run"]["grace_s"], cli.options()["politeness"]["per_ip"]) == (5.0, 16)
    assert len(cli.pages()) == 10


def test_fresh_begins_a_new_file_and_never_overwrites_one(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    command = (served.url("a.test"), *OPTIONS, "--max-pages", "5", "--fresh")
    cli.crawl(served, *command)
    stored = cli.pages()
    outcome = cli.crawl(served, *command, status=2)
    assert outcome.err.count("\n") == 1
    assert "--fresh" in outcome.err
    assert "exists" in outcome.err
    assert cli.pages() == stored
    cli.crawl(served, *command[:-1])  # nothing of --fresh is remembered
    assert len(cli.pages()) == 10


@pytest.mark.thorough
def test_the_bounds_of_the_intervals_outlast_a_run_that_came_to_its_end(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    bounds = ("--min-interval", "6h", "--max-interval", "7d")
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--max-age", "auto", *bounds)
    cli.crawl(served, "--max-age", "auto")
    assert cli.options()["recrawl"] == {
        "max_age_s": "auto",
        "min_interval_s": 21600.0,
        "max_interval_s": 604800.0,
        "retry_failed": False,
    }
    cli.crawl(served)
    assert cli.options()["recrawl"]["max_age_s"] is None


def add_alike(cli: Cli, number: int) -> None:
    """So many more URLs that are excluded as the first one is."""
    alike = "host_id, kind, status, reason, cause, depth, hops, seed, discovered_at"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    if isinstance(cli.db, Path):
        more = f"{numbers} INSERT INTO urls (url, {alike}) SELECT url || i, {alike} FROM urls, n WHERE reason = 'scope'"
        cli.change(more)
        return
    [url] = cli.rows("SELECT url FROM urls WHERE reason = 'scope'")
    urls = [f"{url}{one}" for one in range(1, number + 1)]
    more = (
        f"INSERT INTO urls (part, id, url, {alike}) SELECT part, n.id, n.url, {alike.replace('host_id', 'u.host_id')}"
    )
    listed = "unnest(?1::bigint[], ?2::text[]) AS n(id, url)"
    cli.change(f"{more} FROM urls AS u, {listed} WHERE reason = 'scope'", [id_of(one) for one in urls], urls)
    cli.change("UPDATE hosts SET excluded = excluded + ?::int WHERE excluded > 0", number)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("wider", "number", "status", "end_reason"),
    [
        (("--scope", "any"), signal.SIGKILL, -signal.SIGKILL, None),
        pytest.param(("http://b.test/",), signal.SIGKILL, -signal.SIGKILL, None, marks=pytest.mark.each_store),
        (("http://b.test/",), signal.SIGHUP, 143, "terminated"),
        (("http://b.test/",), signal.SIGINT, 130, "interrupted"),
    ],
)
def test_an_end_while_exclusions_are_judged_anew_leaves_none_behind(
    cli: Cli, serve: Serve, wider: tuple[str, ...], number: int, status: int, end_reason: str | None
) -> None:
    """A run with a wider scope ended when it had just begun: the next one is not taken for its equal."""
    web = FakeWeb()
    web.host("a.test").page("/", links=["http://b.test/y"])
    web.host("b.test").page("*")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *OPTIONS)
    add_alike(cli, 20_000)
    options = [served.with_ports(one) for one in wider]
    crawler = cli.start(served, *OPTIONS, *options, "--max-pages", "1")
    seeds = 1 + wider[0].startswith("http")
    while cli.rows("SELECT (SELECT max(id) FROM runs), count(*) FROM urls WHERE seed > 0") != [(2, seeds)]:
        time.sleep(0.01)
    crawler.send_signal(number)
    crawler.communicate()
    assert crawler.returncode == status
    assert cli.rows("SELECT count(*) > 0 FROM urls WHERE reason = 'scope'") == [1]
    assert cli.rows("SELECT end_reason FROM runs WHERE id = 2") == [end_reason]
    cli.crawl(served, *OPTIONS, *options, "--max-pages", "1")
    assert cli.rows("SELECT count(*) FROM urls WHERE reason = 'scope'") == [0]
