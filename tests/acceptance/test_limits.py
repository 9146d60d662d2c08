"""Limits are exact, whatever the concurrency; scope and depth hold at every step."""

from __future__ import annotations

from collections import Counter

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, Serve

pytestmark = pytest.mark.any_store

FAST = ("--delay", "0", "--per-host", "64", "--per-ip", "256", "--concurrency", "64")


def _chain(pages: int) -> FakeWeb:
    web = FakeWeb()
    site = web.host("a.test")
    for number in range(pages):
        site.page("/" if number == 0 else f"/p{number}", title=f"page {number}", links=[f"/p{number + 1}"])
    return web


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_max_pages_is_exact_at_concurrency_64(cli: Cli, serve: Serve, limit: int) -> None:
    web = FakeWeb()
    site = web.site("a.test", pages=200, links_per_page=20)
    for number in range(1, 200, 3):  # answers that are no pages must give their reservation back
        site.status(f"/p{number}", 404)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--max-pages", str(limit))
    assert len(cli.pages()) == limit
    assert outcome.summary["pages"] == limit
    assert outcome.summary["end_reason"] == "max_pages"


@pytest.mark.thorough
def test_max_pages_per_host_is_exact_for_every_host(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.hosts(8, pages_each=12)
    served = serve(web)
    cli.crawl(served, served.url("h000.test"), *FAST, "--scope", "any", "--max-pages-per-host", "5")
    by_host = Counter(url.split("/")[2].split(":")[0] for url in cli.pages())
    assert by_host == {f"h{number:03d}.test": 5 for number in range(8)}


@pytest.mark.parametrize("limit", [1, 7, 120])
def test_max_requests_is_exact_at_concurrency_64(cli: Cli, serve: Serve, limit: int) -> None:
    """The server counts: robots.txt, redirects and missing pages are requests, too."""
    web = FakeWeb()
    site = web.site("a.test", pages=200, links_per_page=20)
    for number in range(1, 200, 4):
        site.status(f"/p{number}", 404)
        site.redirect(f"/p{number + 1}", "/p3")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--max-requests", str(limit))
    assert len(served.log) == outcome.summary["requests"] == limit
    assert outcome.summary["end_reason"] == "max_requests"
    assert "reached the request limit (--max-requests)" in outcome.out + outcome.err
    assert cli.rows("SELECT requests FROM runs") == [limit]


def test_a_host_s_own_max_requests_is_exact(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.hosts(4, pages_each=30)
    served = serve(web)
    file = cli.folder / "crawl.toml"
    file.write_text('scope = "any"\n[[host]]\nmatch = "h00[01].test"\nmax-requests = 11\n')
    cli.crawl(served, served.url("h000.test"), *FAST, "--config", str(file))
    by_host = Counter(hit.host for hit in served.log)
    assert by_host == {"h000.test": 11, "h001.test": 11, "h002.test": 31, "h003.test": 31}


def test_a_second_run_goes_on_after_the_limit(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=60)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-pages", "20")
    cli.crawl(served, served.url("a.test"), *FAST, "--max-pages", "20")
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == 60
    assert max(Counter(hit.target for hit in served.log if hit.target != "/robots.txt").values()) == 1


def test_depth_counts_links_from_the_nearest_seed(cli: Cli, serve: Serve) -> None:
    served = serve(_chain(8))
    cli.crawl(served, served.url("a.test"), *FAST, "--max-depth", "3")
    assert cli.rows("SELECT max(depth) FROM urls WHERE status = 'fetched' AND kind = 'page'") == [3]
    assert cli.rows("SELECT reason FROM urls WHERE status = 'excluded'") == ["depth"]


def test_a_shorter_path_found_later_lowers_the_depth_and_lets_urls_in(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/long1", "/slow"])
    site.page("/long1", links=["/long2"])
    site.page("/long2", links=["/target"])  # depth 3: excluded
    site.page("/slow", links=["/target"], delay_s=1.0)  # depth 2: admitted, a second later
    site.page("/target")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-depth", "2")
    assert cli.rows("SELECT status, depth FROM urls WHERE url LIKE '%/target'") == [("fetched", 2)]


def test_what_a_limit_excluded_is_decided_again_when_the_limit_changes(cli: Cli, serve: Serve) -> None:
    served = serve(_chain(6))
    cli.crawl(served, served.url("a.test"), *FAST, "--max-depth", "2")
    outcome = cli.crawl(served, *FAST, "--max-depth", "9")
    assert "1 excluded URL can be fetched now" in outcome.err
    assert len(cli.pages()) == 6


def test_scope_host_keeps_to_the_seed_and_says_what_it_left_out(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["http://b.test/", "http://sub.a.test/", "mailto:x@a.test", "/in"])
    web.sites["a.test"].page("/in")
    web.host("b.test").page("/")
    web.host("sub.a.test").page("/")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == 2
    assert not served.hits("b.test")
    assert outcome.summary["excluded"] == {"scope": 2}


def test_scope_domain_goes_by_the_public_suffix_list(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("www.shop.co.uk").page("/", links=["http://api.shop.co.uk/", "http://other.co.uk/"])
    web.host("api.shop.co.uk").page("/")
    web.host("other.co.uk").page("/")
    served = serve(web)
    cli.crawl(served, served.url("www.shop.co.uk"), *FAST, "--scope", "domain")
    assert served.hits("api.shop.co.uk", "/")
    assert not served.hits("other.co.uk")


def test_scope_prefix_keeps_below_the_seeds_folder(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/docs/index.html", links=["/docs/a", "/docsearch", "/"])
    site.page("/docs/a")
    served = serve(web)
    cli.crawl(served, served.url("a.test", "/docs/index.html"), *FAST, "--scope", "prefix")
    assert [hit.target for hit in served.log] == ["/robots.txt", "/docs/index.html", "/docs/a"]


def test_include_exclude_and_dropped_parameters(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/keep?utm_source=x&id=1", "/keep?id=1&utm_medium=y", "/other", "/keep/secret"])
    site.page("/keep?id=1")
    served = serve(web)
    options = ("--include", "/keep", "--exclude", "secret", "--drop-param", "utm_*")
    outcome = cli.crawl(served, served.url("a.test"), *FAST, *options)
    assert [hit.target for hit in served.log] == ["/robots.txt", "/", "/keep?id=1"]
    assert outcome.summary["excluded"] == {"exclude": 1, "include": 1}


@pytest.mark.thorough
def test_max_runtime_ends_cleanly_with_status_0(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=100)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0.2", "--max-runtime", "2s")
    assert outcome.summary["end_reason"] == "max_runtime"
    assert outcome.summary["pending"] > 0
    assert len(cli.pages()) == outcome.summary["pages"] > 0


@pytest.mark.thorough
def test_max_rate_bounds_what_all_hosts_send_together(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    for number in range(6):
        web.host(f"h{number}.test").page("/", text="words " * 20_000)
    served = serve(web)
    outcome = cli.crawl(served, *(served.url(f"h{number}.test") for number in range(6)), *FAST, "--max-rate", "250k")
    assert len(cli.pages()) == 6
    assert outcome.summary["bytes"] > 6 * 120_000
    assert outcome.summary["elapsed_s"] > 0.95 * outcome.summary["bytes"] / (250 * 1024)
    assert cli.rows("SELECT options ->> '$.network.max_rate' FROM runs") == [250 * 1024]


@pytest.mark.thorough
@pytest.mark.timeout(180)
def test_max_pages_per_host_is_exact_where_hosts_come_and_go(cli: Cli, serve: Serve) -> None:
    """More hosts than are kept in memory: one that is let go before its page is committed would begin anew.

    With many retries: on a busy machine the test's own DNS server may be silent for longer than three tries. That costs
    an attempt, but no page.
    """
    web = FakeWeb()
    web.hosts(4_500, pages_each=2)
    served = serve(web)
    seeds = cli.folder / "seeds.txt"
    seeds.write_text("\n".join(served.url(name) for name in web.sites))
    options = ("--delay", "0", "--ignore-robots", "--max-pages-per-host", "1", "--retries", "8")
    outcome = cli.crawl(served, str(seeds), *options)
    assert outcome.summary["by_failure"].keys() <= {"dns"}
    assert outcome.summary["pages"] == 4_500
    assert set(cli.rows("SELECT run_pages FROM hosts")) == {1}
