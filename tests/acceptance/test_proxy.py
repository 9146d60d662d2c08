"""A crawl through a proxy, and one whose proxy is gone: what the user sees, and what is stored."""

from __future__ import annotations

import asyncio
import socket

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, Serve
from tests.integration.proxies import Proxy

pytestmark = pytest.mark.any_store


def _web() -> FakeWeb:
    web = FakeWeb()
    web.site("a.test", pages=10)
    web.host("b.test").page("/")
    return web


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
async def test_a_crawl_goes_through_the_proxy_and_keeps_its_secret(cli: Cli, serve: Serve, scheme: str) -> None:
    web = _web()
    served = serve(web)
    names = {name: site.address for name, site in web.sites.items()}
    async with Proxy(names=names, credentials="me:do-not-store-me") as proxy:
        arguments = ("--proxy", proxy.url(scheme, "me:do-not-store-me"), "--delay", "0")
        outcome = await asyncio.to_thread(cli.crawl, served, served.url("a.test"), *arguments)
    assert len(cli.pages()) == 10
    assert len(served.log) == 11
    assert served.connections <= proxy.connections <= 4
    assert outcome.summary["connections_opened"] == proxy.connections
    assert cli.options()["network"]["proxy"] == proxy.url(scheme)
    assert all("do-not-store-me" not in str(hit.headers) and "proxy" not in str(hit.headers) for hit in served.log)
    assert cli.stores_nowhere("do-not-store-me")
    assert "do-not-store-me" not in outcome.out + outcome.err


@pytest.mark.thorough
def test_a_proxy_that_is_down_is_said_once_and_the_next_run_finds_all_pages_pending(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{bound.getsockname()[1]}"
        arguments = (served.url("a.test"), served.url("b.test"), "a.test:1", "--delay", "0", "--max-wait", "1s")
        outcome = cli.crawl(served, *arguments, "--proxy", proxy.replace("//", "//me:s3cret@"), status=4)
    assert outcome.err.count("unfetched URLs stay pending") == 1
    assert f"cannot reach the proxy {proxy}: Connection refused; unfetched URLs stay pending" in outcome.err
    assert "left (the proxy failed" in outcome.out
    assert "s3cret" not in outcome.err + outcome.out
    assert outcome.summary["by_failure"] == {
        "proxy": 2
    }  # a host that has not answered yet is asked one thing at a time
    assert outcome.summary["pending"] == 3
    assert not served.log
    cli.let_pass(4)  # of five seconds of pause, or some more
    cli.crawl(served, *arguments[:2], "--delay", "0", "--max-wait", "20s", "--retries", "0", "--ignore-robots")
    assert len(cli.pages()) == 11


def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_opened(no_crawl: Cli) -> None:
    outcome = no_crawl.crawl(None, "https://a.test/", "--proxy", "ftp://me:s3cret@127.0.0.1:21", status=2)
    assert len(outcome.err.strip().splitlines()) == 1
    assert "--proxy takes the URL of a proxy" in outcome.err
    assert "s3cret" not in outcome.err
    assert not no_crawl.has_anything()


def test_another_proxy_than_in_the_last_run_is_shown_without_its_password(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    first = ("--proxy", "http://me:s3cret@127.0.0.1:9", "--max-wait", "0s")
    cli.crawl(served, served.url("a.test"), *first, status=4)
    assert "other options" not in cli.crawl(served, *first, status=None).err
    outcome = cli.crawl(served, "--proxy", "http://me:s3cret@127.0.0.1:10", status=None)
    assert (
        "options changed since the last run: --proxy http://127.0.0.1:10 instead of http://127.0.0.1:9" in outcome.err
    )
    assert "s3cret" not in outcome.err + outcome.out
