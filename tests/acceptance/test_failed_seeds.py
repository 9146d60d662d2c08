"""A run without a seed that could be fetched says of each seed why; `status` names what failed."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable

import pytest
import trustme

from crawler.fakeweb import FakeWeb, Fault, Served
from tests.acceptance.conftest import LOOPBACK, Cli

pytestmark = pytest.mark.any_store

Serve = Callable[[FakeWeb], Served]
NOW = ("--delay", "0", "--retries", "0", "--max-wait", "0s")


def seeds(web: FakeWeb) -> dict[str, str]:
    """What is seen of each, by host."""
    web.host("gone.test").status("/", 404)
    web.host("shut.test").status("/", 403)
    web.host("down.test").robots("", status=503)
    web.host("dead.test", dns="nxdomain")
    web.host("unsafe.test", tls=True)
    web.host("broken.test").answer("/", Fault.DISCONNECT)
    web.host("moved.test").redirect("/", "http://shut.test/")
    forbidden = web.host("forbidden.test")
    forbidden.page("/")
    forbidden.robots("User-agent: *\nDisallow: /\n")
    return {
        "gone.test": r"http 404",
        "shut.test": r"http 403",
        "down.test": r"robots\.txt: http 503",
        "dead.test": r"dns: .*dead\.test.*",
        "unsafe.test": r"tls: .*certificate.*",
        "broken.test": r"disconnected: .+",
        "forbidden.test": r"robots: line 2: Disallow: /",
    }


def test_each_seed_is_named_with_its_own_reason(cli: Cli) -> None:
    web, certificates = FakeWeb(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("unsafe.test").configure_cert(certificates)
    expected = seeds(web)
    with web.running(ssl_context=certificates) as served:
        check_seeds(cli, served, expected)


def check_seeds(cli: Cli, served: Served, expected: dict[str, str]) -> None:
    urls = {host: served.url(host) for host in (*expected, "moved.test")}
    outcome = cli.crawl(served, *urls.values(), *NOW, status=4)
    failed = {seed["url"]: seed["reason"] for seed in outcome.summary["failed_seeds"]}
    assert {urls[host] for host in expected} == failed.keys()
    for host, reason in expected.items():
        assert re.fullmatch(reason, failed[urls[host]]), failed
        assert re.search(rf"^seed +{re.escape(urls[host])}: {reason}$", outcome.out, re.MULTILINE), outcome.out
    assert outcome.summary["failed_seeds_total"] == len(expected)


@pytest.mark.parametrize("quiet", [False, True])
def test_cron_gets_some_in_a_line_and_how_many_more(cli: Cli, serve: Serve, quiet: bool) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    for number in range(30):
        site.status(f"/{number}", 404 if number else 500)
    served = serve(web)
    words = [*LOOPBACK, "--dns-server", served.dns, "--db", str(cli.db), *NOW, *(["--quiet"] if quiet else [])]
    outcome = cli.command("crawl", *(served.url("a.test", f"/{number}") for number in range(30)), *words, status=4)
    (line,) = outcome.err.splitlines()
    first, second = served.url("a.test", "/0"), served.url("a.test", "/1")
    assert line.startswith(f"crawler: no seed could be fetched: {first} (http 500); {second} (http 404); ")
    assert line.endswith("; and 25 more, which `crawler status` counts")


@pytest.mark.sqlite  # which of many are named first, a store may choose
def test_status_names_failed_urls_with_their_causes(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=[f"/{number}" for number in range(8)] + ["http://dead.test/", "/broken"])
    for number in range(8):
        site.status(f"/{number}", 403)
    site.answer("/broken", Fault.DISCONNECT)
    web.host("dead.test", dns="nxdomain")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *NOW, "--scope", "any")
    shown = cli.command("status", "--db", str(cli.db)).out
    assert re.search(r"^failed URL \(5 of 10\) +cause *$", shown, re.MULTILINE), shown
    for url, cause in {"/0": "http 403", "/2": "http 403", "/broken": "disconnected: .+"}.items():
        assert re.search(rf"^{re.escape(served.url('a.test', url))} +{cause} *$", shown, re.MULTILINE), shown
    assert re.search(r"^http://dead\.test:\d+/ +dns *$", shown, re.MULTILINE), shown
    told = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)["failed_urls"]
    assert len(told) == 5
    assert {"url": served.url("a.test", "/0"), "reason": "http 403", "message": None} in told
