"""A name in the DNS that has endlessly many hosts below it: it gets its number of them, and no look-up more."""

from __future__ import annotations

import json
import time
from hashlib import sha256

import pytest

from crawler.fakeweb import Answer, FakeWeb, Handler, Request, Served
from tests.acceptance.conftest import Cli, Serve

FAST = ("--delay", "0", "--per-host", "16", "--per-ip", "64", "--concurrency", "64", "--no-bodies")
ENDS = ("--max-runtime", "30s")  # without the bound it would not
HOSTS_WITH_DOMAIN = "SELECT count(*) FROM hosts WHERE domain = 'trap.test'"


def _words(request: Request, number: int = 0) -> str:
    """Other letters for each URL: each page says something new."""
    digest = sha256(f"{number} {request.host} {request.target}".encode()).hexdigest()
    return digest.translate({48 + digit: 103 + digit for digit in range(10)})


def _linking(request: Request) -> Answer:
    words = [_words(request, number) for number in range(5)]
    links = [f"http://{word[:9]}.trap.test/" for word in words]
    return Answer.page(title=words[0], text=" ".join(words), links=[*links, "/about"])


def _deeper(request: Request) -> Answer:
    """A name below the name, as long as one may be."""
    words = _words(request)
    return Answer.page(title=words, text=words, links=[f"http://{words[:3]}.{request.host[-200:]}/", "/about"])


def _redirecting(request: Request) -> Answer:
    words = _words(request)
    if request.target == "/":
        return Answer.redirect(f"http://{words[:9]}.trap.test/page")
    return Answer.page(title=words, text=words, links=[f"http://{words[9:18]}.trap.test/"])


def _robots(request: Request) -> Answer:
    """The rules name a sitemap of another host, whose rules name one of another host ..."""
    body = f"Sitemap: http://{_words(request)[:9]}.trap.test/sitemap.xml\n"
    return Answer(body=body, content_type="text/plain")


TRAPS: dict[str, tuple[Handler | Answer, Handler | Answer]] = {
    "links": (_linking, Answer()),
    "names": (_deeper, Answer()),
    "redirects": (_redirecting, Answer()),
    "sitemaps": (Answer.page(title="Nothing"), _robots),
}


def _web(trap: str) -> FakeWeb:
    web = FakeWeb()
    web.hosts(5, pages_each=40)
    for name in ("trap.test", "*.trap.test"):
        site = web.host(name, address="127.1.200.1")
        answer, robots = TRAPS[trap]
        site.answer("*", answer)
        site.answer("/robots.txt", robots)
    home = web.sites["h000.test"]
    home.page("/", links=[*home.links["/"], "http://trap.test/"])
    return web


def _asked(served: Served) -> tuple[set[str], set[str]]:
    """The hosts of the trap that were looked up, and those that got a request."""
    names = ({name for name, _type in list(served.dns_log)}, {hit.host for hit in list(served.log)})
    looked_up, requested = ({name for name in some if name.endswith("trap.test")} for some in names)
    return looked_up, requested


@pytest.mark.thorough
@pytest.mark.parametrize("trap", list(TRAPS))
def test_a_domain_of_endless_hosts_gets_its_number_of_them_and_the_honest_ones_are_complete(
    cli: Cli, serve: Serve, trap: str
) -> None:
    served = serve(_web(trap))
    options = (*FAST, *ENDS, "--scope", "any")
    outcome = cli.crawl(served, served.url("h000.test"), *options, "--max-hosts-per-domain", "30")

    assert (outcome.summary["end_reason"], outcome.summary["pending"]) == ("complete", 0)
    honest = "SELECT name, fetched FROM hosts WHERE name LIKE 'h0%' ORDER BY name"
    assert cli.rows(honest) == [(f"h{number:03d}.test", 40) for number in range(5)]
    assert cli.rows(HOSTS_WITH_DOMAIN) == [30]
    looked_up, requested = _asked(served)
    assert len(looked_up) == len(requested) == 30
    assert outcome.err.count("trap.test has reached 30 hosts; skipping new ones (--max-hosts-per-domain)") == 1

    [found] = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)["traps"]
    turned_away = cli.rows("SELECT count(*) FROM urls WHERE reason = 'trap: hosts of the domain trap.test'")
    assert (found["host"], found["rule"], [found["urls"]]) == ("trap.test", "hosts of the domain", turned_away)
    assert all("trap.test" in url for url in found["examples"])
    assert "trap.test: hosts of the domain" in cli.command("status", "--db", str(cli.db)).out

    again = cli.crawl(served, *options, "--max-hosts-per-domain", "30", "--max-depth", "9999")  # all is decided again
    assert again.summary["requests"] == 0
    cli.crawl(served, *options, "--max-hosts-per-domain", "45")
    assert cli.rows(HOSTS_WITH_DOMAIN) == [45]
    looked_up, requested = _asked(served)
    assert len(looked_up) == len(requested) == 45


def test_with_scope_domain_the_seed_and_its_first_subdomains_are_crawled(cli: Cli, serve: Serve) -> None:
    served = serve(_web("links"))
    options = (*FAST, *ENDS, "--scope", "domain", "--max-hosts-per-domain", "30")
    outcome = cli.crawl(served, served.url("trap.test"), *options)
    assert outcome.summary["end_reason"] == "complete"
    assert len(cli.pages()) == 60  # each host's home and /about
    seed = served.url("never-seen.trap.test")
    cli.crawl(served, seed, *options)  # a seed is exempt
    assert len(cli.pages()) == 62
    assert seed in cli.pages()


@pytest.mark.thorough
def test_kills_let_no_further_host_in(cli: Cli, serve: Serve) -> None:
    served = serve(_web("links"))
    arguments = (served.url("h000.test"), *FAST, "--scope", "any", "--max-hosts-per-domain", "60")
    for _kill in range(4):
        before = len(served.log)
        crawler = cli.start(served, *arguments)
        while len(served.log) < before + 15 and crawler.poll() is None:
            time.sleep(0.002)
        crawler.kill()
        crawler.communicate()
    cli.crawl(served, *arguments, *ENDS)
    assert cli.rows(HOSTS_WITH_DOMAIN) == [60]
    looked_up, requested = _asked(served)
    assert len(looked_up) == len(requested) == 60


def test_a_host_that_robots_txt_forbade_whole_before_domains_were_counted_is_one_that_goes_on(
    cli: Cli, serve: Serve
) -> None:
    web = FakeWeb()
    for name in ("a.trap.test", "b.trap.test"):
        web.host(name).page("/", links=["/x"])
        web.sites[name].page("/x", links=["http://c.trap.test/"])
    web.sites["b.trap.test"].robots("User-agent: *\nDisallow: /")
    served = serve(web)
    cli.crawl(served, served.url("a.trap.test"), served.url("b.trap.test"), *FAST)  # of one host each: none is counted
    cli.crawl(served, *FAST, "--scope", "any", "--max-hosts-per-domain", "2", "--ignore-robots")
    assert cli.pages() == [served.url(name, path) for name in web.sites for path in ("/", "/x")]
    assert cli.rows(HOSTS_WITH_DOMAIN) == [2]
