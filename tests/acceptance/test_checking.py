"""`--check`, from the command line: what it says, keeps and sends, and how it goes on after a kill."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from crawler import CheckConfig, CheckKind, CrawlConfig, crawl, open_crawl
from crawler.fakeweb import Answer, FakeWeb, Request, Served
from tests.acceptance.conftest import LOOPBACK, Cli, Serve, library_config, wait_for
from tests.acceptance.test_metrics import read

BOTH = ("--check", "external", "--check", "resources")
QUICK = ("--delay", "0", "--retries", "0")
LINKS = 300
SECRET = "s3cret"


@pytest.fixture
def served(serve: Serve) -> Served:
    """A site with two links that leave it, one of them dead, and an image that is not there."""
    web = FakeWeb()
    web.host("a.test").page(
        "/", links=["http://x.test/good", "http://x.test/gone"], markup='<img src="/pic.png" alt="A picture">'
    )
    x = web.host("x.test")
    x.page("/good")
    x.status("/gone", 410)
    return serve(web)


def verdicts(cli: Cli) -> dict[str, str]:
    return dict(cli.rows("SELECT url, verdict FROM checked_urls"))


def test_what_is_checked_is_told_everywhere(cli: Cli, served: Served) -> None:
    metrics = cli.folder / "crawl.prom"
    outcome = cli.crawl(served, served.url("a.test"), *BOTH, *QUICK, "--metrics-file", str(metrics))
    gone, pic = served.url("x.test", "/gone"), served.url("a.test", "/pic.png")
    assert verdicts(cli) == {served.url("x.test", "/good"): "good", gone: "gone", pic: "gone"}
    assert cli.rows("SELECT anchor, target_url, status, cause, kind FROM broken_links ORDER BY kind") == [
        (gone, gone, "gone", "http 410", "external"),
        ("A picture", pic, "gone", "http 404", "resource"),
    ]
    assert outcome.summary["checks"] == {"good": 1, "gone": 2}
    assert (outcome.summary["checked"], outcome.summary["complete"]) == (3, True)
    [told] = [line for line in outcome.out.splitlines() if line.startswith("checked")]
    assert told.split(maxsplit=1)[1] == "good: 1   gone: 2"
    samples = read(metrics.read_text(), cli.db)
    assert (samples["checks_total", "gone"], samples["checked_urls", "good"]) == (2, 1)
    status = cli.command("status", "--db", str(cli.db))
    assert "good: 1   gone: 2" in status.out
    assert json.loads(cli.command("status", "--db", str(cli.db), "--json").out)["checks"] == {"good": 1, "gone": 2}
    line = cli.command(
        "crawl", "--db", str(cli.db), *LOOPBACK, "--dns-server", served.dns, *QUICK, "--max-age", "0s"
    ).out
    assert "; checked: good: 1, gone: 2" in line


def test_options_are_kept_with_the_run_and_stand_in_a_crawl_file(cli: Cli, served: Served) -> None:
    (cli.folder / "crawl.toml").write_text('check = ["resources"]\ncheck-timeout = 3\n')
    cli.crawl(served, served.url("a.test"), *QUICK, "--config", "crawl.toml")
    assert verdicts(cli).keys() == {served.url("a.test", "/pic.png")}
    before = len(served.log)
    cli.crawl(served, *QUICK, "--max-age", "0s")
    assert "/pic.png" in {hit.target for hit in served.log[before:]}
    assert cli.rows("SELECT options ->> '$.check.check' FROM runs") == ['["resources"]'] * 2
    before = len(served.log)
    told = cli.crawl(served, *QUICK, "--max-age", "0s", "--check", "none").err
    assert "--check none instead of resources" in told
    assert "/pic.png" not in {hit.target for hit in served.log[before:]}
    assert cli.crawl(served, *QUICK, "--check", "images", status=2).err.strip() == (
        "crawler: --check takes external, resources or none, not 'images'"
    )
    assert "alone" in cli.crawl(served, *QUICK, *BOTH, "--check", "none", status=2).err


def test_no_secret_leaves_the_crawl(cli: Cli, serve: Serve) -> None:
    """Neither a header nor a cookie that was meant for another host of the file; a host's own headers do."""
    web = FakeWeb()
    web.host("a.test").page("/", links=["http://x.test/", "http://y.test/"])
    for host in ("x.test", "y.test"):
        web.host(host).page("/")
    served = serve(web)
    cookies = cli.folder / "cookies.txt"
    cookies.write_text("".join(f"{host}\tFALSE\t/\tFALSE\t0\tsid\t{SECRET}\n" for host in ("a.test", "x.test")))
    (cli.folder / "crawl.toml").write_text('[[host]]\nmatch = "y.test"\nheader = ["X-Token: for-y"]\n')
    headers = ("--header", f"X-Key: {SECRET}", "--header", f"Authorization: {SECRET}", "--cookies", str(cookies))
    cli.crawl(served, served.url("a.test"), *BOTH, *QUICK, *headers, "--config", "crawl.toml")
    ours = served.hits("a.test")
    assert {(hit.headers["x-key"], hit.headers["cookie"]) for hit in ours} == {(SECRET, f"sid={SECRET}")}
    strangers = [hit for hit in served.log if hit.host != "a.test"]
    assert sorted((hit.host, hit.method) for hit in strangers if hit.target == "/") == [
        ("x.test", "HEAD"),
        ("y.test", "HEAD"),
    ]
    assert SECRET not in str([hit.headers for hit in strangers])
    assert {hit.headers.get("x-token") for hit in strangers} == {None, "for-y"}


def test_private_addresses_are_out_of_reach(cli: Cli, serve: Serve) -> None:
    """As an address, as a name, and at the end of a redirect; only the seed's own origin may be one."""
    web = FakeWeb()
    site = web.host("localhost", address="127.0.0.1")
    web.host("inner.test").page("/secret")
    served = serve(web)
    there = served.url("inner.test", "/secret")
    by_address = there.replace("inner.test", web.sites["inner.test"].address)
    site.page("/", links=[there, by_address])
    cli.command(
        "crawl", served.url("localhost"), "--db", str(cli.db), "--dns-server", served.dns, *QUICK, "--check", "external"
    )
    assert cli.rows("SELECT verdict, cause FROM checked_urls") == [("not_asked", "blocked_address")] * 2
    assert served.hits("inner.test") == []


@pytest.mark.thorough
def test_a_killed_run_goes_on_and_asks_nothing_twice(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=[f"http://x{number % 3}.test/{number}" for number in range(LINKS)])
    most = 0  # so many are answered, and the rest waits

    async def answer(_request: Request) -> Answer:
        while len(checked(serving)) > most:
            await asyncio.sleep(0.01)
        return Answer.page(delay_s=0.02)

    for number in range(3):
        web.host(f"x{number}.test").answer("*", answer)
    serving = serve(web)
    committed: set[str] = set()
    command = (serving.url("a.test"), "--check", "external", "--delay", "0", "--per-host", "4")
    for most in (LINKS // 4, LINKS // 2):
        before = len(committed)
        crawler = cli.start(serving, *command)
        while len(checked(serving)) <= most:
            time.sleep(0.01)
        while len(committed) <= before:
            committed = set(cli.rows("SELECT url FROM checks WHERE verdict IS NOT NULL"))
        crawler.kill()
        crawler.communicate()
        assert crawler.returncode == -signal.SIGKILL
    committed = set(cli.rows("SELECT url FROM checks WHERE verdict IS NOT NULL"))
    before = len(serving.log)
    most = LINKS
    outcome = cli.crawl(serving, *command)
    assert outcome.summary["checks"] == {"good": LINKS}
    later = {serving.url(hit.host, hit.target) for hit in serving.log[before:]}
    assert not committed & later
    assert len(set(checked(serving))) == LINKS
    assert cli.rows("SELECT DISTINCT recent FROM checks") == ["+"]
    assert cli.rows("SELECT id FROM runs") == [1]


def checked(served: Served) -> Counter[tuple[str, str]]:
    return Counter((hit.host, hit.target) for hit in served.log if hit.method == "HEAD")


def test_ctrl_c_ends_checks_cleanly(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=[f"http://x.test/{number}" for number in range(50)])
    web.host("x.test").answer("*", Answer.page(delay_s=0.1))
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), "--check", "external", "--delay", "0")
    wait_for(lambda: len(checked(served)) >= 5)
    crawler.send_signal(signal.SIGINT)
    out, _err = crawler.communicate()
    assert crawler.returncode == 130
    assert out.startswith("run 1")
    found = Counter(verdicts(cli).values())
    assert found["good"] >= 4
    assert found["good"] + found["pending"] == 50


async def test_the_library_checks_and_reads(served: Served, tmp_path: Path) -> None:
    config = library_config(served, tmp_path / "crawl.db")
    options = {name: getattr(config, name) for name in ("db", "scope", "politeness", "network")}
    checking = CrawlConfig(**options, check=CheckConfig(check=(CheckKind.EXTERNAL,)))
    summary = await crawl([served.url("a.test")], checking)
    assert summary.checks == {"good": 1, "gone": 1}
    async with open_crawl(tmp_path / "crawl.db") as archive:
        found = [one async for one in archive.checks()]
    assert [(one.kind, one.verdict, one.cause, one.flaky) for one in found] == [
        ("external", "gone", "http 410", False),
        ("external", "good", None, False),
    ]
