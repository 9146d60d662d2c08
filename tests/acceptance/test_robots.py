"""robots.txt comes first and is kept to (RFC 9309); sitemaps feed the frontier; robots meta tags are heard."""

from __future__ import annotations

import json

import pytest

from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import COMMAND, LOOPBACK, Cli, Serve

pytestmark = pytest.mark.any_store

FAST = ("--delay", "0", "--concurrency", "16")


def _three_pages() -> FakeWeb:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/open", "/private/a"])
    site.page("/open")
    site.page("/private/a")
    return web


def test_a_forbidden_url_is_never_asked_for_and_its_rule_is_recorded(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    web.sites["a.test"].robots("# be kind\nUser-agent: *\nDisallow: /private\n")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST)
    assert [hit.target for hit in served.log] == ["/robots.txt", "/", "/open"]
    assert cli.rows("SELECT reason FROM urls WHERE url LIKE '%private%'") == ["robots: line 3: Disallow: /private"]
    assert outcome.summary["excluded"] == {"robots": 1}


def test_a_sitemap_that_nobody_names_is_asked_for_by_default_and_missed_by_nobody(cli: Cli, serve: Serve) -> None:
    served = serve(_three_pages())
    outcome = cli.run([*COMMAND, "crawl", *_network(served), "--db", str(cli.db), served.url("a.test"), *FAST])
    assert len(served.hits("a.test", "/sitemap.xml")) == 1
    status = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    assert {name: status["urls"][name] for name in ("gone", "failed", "pending", "excluded")} == {
        "gone": 0,
        "failed": 0,
        "pending": 0,
        "excluded": 1,
    }
    assert "gone" not in outcome.err + cli.command("status", "--db", str(cli.db)).out
    cli.run([*COMMAND, "crawl", *_network(served), "--db", str(cli.db), "--max-age", "0s", *FAST])
    assert len(served.hits("a.test", "/sitemap.xml")) == 1


def _network(served: Served) -> tuple[str, ...]:
    return (*LOOPBACK, "--dns-server", served.dns)


def test_ignore_robots_says_so_and_asks_for_no_robots_txt(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    web.sites["a.test"].robots("User-agent: *\nDisallow: /\n")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--ignore-robots")
    assert len(cli.pages()) == 3
    assert not served.hits("a.test", "/robots.txt")
    assert "--ignore-robots" in outcome.err


def test_the_group_is_chosen_by_the_product_token_of_the_user_agent(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    web.sites["a.test"].robots("User-agent: *\nDisallow: /\n\nUser-agent: MyBot\nDisallow: /private\n")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--user-agent", "mybot/2.0 (+https://me.example/)")
    assert len(cli.pages()) == 2


@pytest.mark.parametrize(("status", "pages"), [(404, 3), (403, 3), (401, 3)])
def test_a_robots_txt_that_is_not_there_allows_everything(cli: Cli, serve: Serve, status: int, pages: int) -> None:
    web = _three_pages()
    web.sites["a.test"].status("/robots.txt", status)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == pages


@pytest.mark.parametrize("status", [500, 503, 429])
def test_nothing_is_fetched_while_robots_txt_is_unreachable_and_nothing_is_lost(
    cli: Cli, serve: Serve, status: int
) -> None:
    web = _three_pages()
    site = web.sites["a.test"]
    site.robots("", status=status)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--max-wait", "1s", status=4)
    assert {hit.target for hit in served.log} == {"/robots.txt"}
    assert outcome.summary["pending"] == 1
    assert outcome.summary["backing_off"] == ["a.test"]
    assert "a.test" in outcome.out


@pytest.mark.thorough
def test_a_robots_txt_that_recovers_lets_the_pages_in(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    web.sites["a.test"].sequence("/robots.txt", Answer(status=500), Answer(body="", content_type="text/plain"))
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(served.hits("a.test", "/robots.txt")) == 2
    assert len(cli.pages()) == 3


def test_robots_redirects_are_followed_five_times_and_then_allow_all(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    site = web.sites["a.test"]
    site.redirect("/robots.txt", "/r1")
    for number in range(1, 5):
        site.redirect(f"/r{number}", f"/r{number + 1}")
    site.page("/r5", body="User-agent: *\nDisallow: /private\n", content_type="text/plain")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == 2
    site.redirect("/r5", "/r6")
    endless = Cli(cli.folder / "..")
    endless.db = cli.folder / "other.db"
    endless.crawl(served, served.url("a.test"), *FAST)
    assert len(endless.pages()) == 3


def test_a_kept_copy_is_used_by_the_next_run(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    web.sites["a.test"].robots("User-agent: *\nDisallow: /private\n")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-pages", "1")
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(served.hits("a.test", "/robots.txt")) == 1
    assert len(cli.pages()) == 2


@pytest.mark.thorough
def test_each_origin_has_its_own_robots_txt_and_hosts_that_cannot_be_reached_fail(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    web.host("dead.test", dns="nxdomain")
    web.host("closed.test", listening=False)
    served = serve(web)
    seeds = [served.url("a.test"), "http://dead.test/x", served.url("closed.test", "/y")]
    outcome = cli.crawl(served, *seeds, *FAST, "--retries", "1")
    assert dict(cli.rows("SELECT url, reason FROM urls WHERE status = 'failed' AND kind = 'page'")) == {
        "http://dead.test/x": "dns",
        served.url("closed.test", "/y"): "connect",
    }
    assert outcome.summary["by_failure"] == {"connect": 2, "dns": 2}
    assert len(cli.pages()) == 3


def test_sitemaps_named_in_robots_txt_feed_the_frontier(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/")
    site.page("/hidden")
    site.page("/zipped")
    site.robots("Sitemap: http://a.test/index.xml\n")
    index = "<sitemapindex><sitemap><loc>/one.xml</loc></sitemap><sitemap><loc>/two.xml</loc></sitemap></sitemapindex>"
    site.page("/index.xml", body=index, content_type="application/xml")
    site.sitemap("/one.xml", ["/hidden", "http://other.test/"])
    site.sitemap("/two.xml", ["/zipped"], gzip=True)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.pages() == [served.url("a.test", path) for path in ("/", "/hidden", "/zipped")]
    assert cli.rows("SELECT count(*) FROM urls WHERE kind = 'sitemap' AND status = 'fetched'") == [3]


def test_sitemaps_of_a_kept_robots_txt_enter_once_the_depth_allows_it(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/")
    site.page("/hidden")
    site.robots("Sitemap: http://a.test/map.xml\n")
    site.sitemap("/map.xml", ["/hidden"])
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-depth", "0")
    assert not served.hits("a.test", "/map.xml")
    cli.crawl(served, *FAST, "--max-depth", "1")
    assert cli.pages() == [served.url("a.test"), served.url("a.test", "/hidden")]
    assert len(served.hits("a.test", "/robots.txt")) == 1


def test_noindex_flags_the_page_and_nofollow_keeps_its_links_unfollowed(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/meta", "/header", "/rel"])
    site.page("/meta", head='<meta name="robots" content="noindex, nofollow">', links=["/from-meta"])
    site.page("/header", headers={"X-Robots-Tag": "nofollow"}, links=["/from-header"])
    site.page("/rel", markup='<a href="/from-rel" rel="nofollow">x</a>')
    for path in ("/from-meta", "/from-header", "/from-rel"):
        site.page(path)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == 4
    assert cli.rows("SELECT u.url FROM pages p JOIN urls u ON u.id = p.url_id WHERE p.noindex = 1") == [
        served.url("a.test", "/meta")
    ]
    assert cli.rows("SELECT DISTINCT reason FROM urls WHERE status = 'excluded'") == ["nofollow"]
    assert cli.rows("SELECT count(*) FROM links") == [6]
    cli.crawl(served, *FAST, "--follow-nofollow")
    assert len(cli.pages()) == 7


@pytest.mark.thorough
def test_redirects_of_a_robots_txt_are_paced_and_a_redirect_to_itself_is_asked_for_once(cli: Cli, serve: Serve) -> None:
    web = _three_pages()
    site = web.sites["a.test"]
    site.redirect("/robots.txt", "/r1")
    site.redirect("/r1", "/r1")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "--delay", "1", "--max-pages", "1")
    assert [hit.target for hit in served.log] == ["/robots.txt", "/r1", "/"]
    assert served.log[-1].start - served.log[0].start > 1.5


def test_a_robots_txt_that_redirects_to_where_nobody_may_go_is_unreachable_and_fails_no_page(
    cli: Cli, serve: Serve
) -> None:
    web = _three_pages()
    web.sites["a.test"].redirect("/robots.txt", "http://10.0.0.1/robots.txt")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--max-wait", "1s", status=4)
    assert outcome.summary["pending"] == 1
    assert {hit.target for hit in served.log} == {"/robots.txt"}


def test_the_same_command_again_follows_no_nofollow_link(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", markup='<a href="/not-followed" rel="nofollow">x</a>', links=["/other"])
    site.page("/other")
    served = serve(web)
    for options in ((), (), ("--max-depth", "9"), ("--max-pages", "50")):
        cli.crawl(served, served.url("a.test"), *FAST, *options)
    assert not served.hits("a.test", "/not-followed")


def test_what_robots_txt_forbade_is_decided_again_once_its_copy_has_expired_or_is_ignored(
    cli: Cli, serve: Serve
) -> None:
    web = _three_pages()
    site = web.sites["a.test"]
    site.robots("User-agent: *\nDisallow: /\n")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, status=4)
    site.robots("User-agent: *\nDisallow: /private\n")
    cli.crawl(served, served.url("a.test"), *FAST, status=4)  # the copy is believed for a day
    cli.change("UPDATE origins SET robots_expires_at = 1")
    cli.crawl(served, served.url("a.test"), *FAST)
    assert len(cli.pages()) == 2
    cli.crawl(served, *FAST, "--ignore-robots")
    assert len(cli.pages()) == 3
