"""Many short runs are as polite as one long one: what was learned about a host is kept between them."""

from __future__ import annotations

import time

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, Serve

pytestmark = pytest.mark.any_store


@pytest.mark.thorough
def test_the_delay_holds_across_runs(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=10)
    served = serve(web)
    for _run in range(3):
        cli.crawl(served, served.url("a.test"), "--delay", "0.7", "--max-pages", "1")
    assert len(served.log) == 4  # robots.txt once
    assert min(cli.pauses("a.test")) >= 0.7


@pytest.mark.thorough
def test_a_crawl_delay_holds_without_asking_for_robots_txt_again(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=10).robots("User-agent: *\nCrawl-delay: 0.7\n")
    served = serve(web)
    for _run in range(2):
        cli.crawl(served, served.url("a.test"), "--delay", "0", "--max-pages", "2")
    assert [hit.target for hit in served.log].count("/robots.txt") == 1
    assert len(cli.pauses("a.test")) == 4
    assert min(cli.pauses("a.test")) >= 0.7


@pytest.mark.thorough
def test_retry_after_holds_for_the_next_run(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/x"])
    site.status("/x", 503, headers={"Retry-After": "4"})
    served = serve(web)
    begun = time.monotonic()
    options = ("--delay", "0", "--max-wait", "1s")
    cli.crawl(served, served.url("a.test"), *options)
    sent = len(served.log)
    outcome = cli.crawl(served, served.url("a.test"), *options)
    if time.monotonic() - begun < 2.5:  # the pause, less the second of --max-wait, is not over
        assert len(served.log) == sent
        assert outcome.summary["backing_off"] == ["a.test"]
    site.page("/x")
    cli.command("crawl", "--db", str(cli.db), "--max-wait", "30s")
    assert len(cli.pages()) == 2
    assert served.log[-1].start - served.log[sent - 1].start > 3
