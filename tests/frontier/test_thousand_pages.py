"""A site of 1,000 pages beside all small faults at once, on the same host: no page is lost, and little time."""

from __future__ import annotations

from pathlib import Path

from crawler.fakeweb import Answer, FakeWeb, Fault, Site
from tests.frontier.crawls import Crawled, crawled

PAGES = 1000
ALLOW = "User-agent: *\nAllow: /\n"


def a_site_of_a_thousand_pages(web: FakeWeb, delay_s: float) -> Site:
    """Pages in a tree of tens, all at the first origin of the host."""
    site = web.host("a.test")
    site.robots(ALLOW)
    for number in range(PAGES):
        children = [f"/{child}" for child in range(number * 10 + 1, number * 10 + 11) if child < PAGES]
        site.page(f"/{number}" if number else "/", title=f"{number}", links=children, delay_s=delay_s)
    return site


def with_every_fault(web: FakeWeb, site: Site, delay_s: float) -> None:
    """Other origins of the host, with all that may be wrong with one, or with its pages, and links to them."""
    web.host("inside.test", dns=["10.0.0.1"])
    for port in range(8001, 8005):
        site.origin(port, listening=False)
    robots: dict[int, Answer | Fault] = {
        8010: Answer(status=500),
        8011: Answer(status=429),
        8012: Answer(status=429, headers={"Retry-After": "7200"}),
        8017: Answer(status=503),
        8013: Fault.HANG,
        8014: Fault.DISCONNECT,
        8015: Fault.GARBAGE,
        8016: Answer.redirect("http://inside.test/robots.txt"),
    }
    for port, answer in robots.items():
        site.origin(port).answer("/robots.txt", answer)
    pages: dict[int, Answer | Fault] = {
        8020: Answer(status=500),
        8021: Answer(body="short", headers={"Content-Length": "99"}, close=True),
        8022: Fault.DISCONNECT,
        8023: Fault.HANG,
        8024: Answer(status=503),
        8025: Answer(status=429, headers={"Retry-After": "1"}),
    }
    for port, answer in pages.items():
        origin = site.origin(port, keep_alive=False)
        origin.robots(ALLOW)
        origin.answer("*", answer)
    links = [f"http://a.test:{port}/other" for port in site.ports]
    links += [f"http://a.test:{port}/{number}" for port in (8020, 8021, 8022) for number in range(10)]
    bad: tuple[Answer | Fault, ...] = (Answer(status=500), Answer(status=404), Fault.DISCONNECT)
    for number, fault in enumerate(bad):
        site.answer(f"/bad{number}", fault)
        links.append(f"/bad{number}")
    children = [f"/{number}" for number in range(1, 11)]
    site.page("/", title="0", links=[*links, *children], delay_s=delay_s)


def good_pages(done: Crawled) -> int:
    return len({url for url in done.pages() if url.startswith("http://a.test/")})


def test_a_thousand_pages_beside_every_fault_take_at_most_a_fifth_longer(tmp_path: Path) -> None:
    took_s = {}
    for beside in (False, True):
        web = FakeWeb()
        site = a_site_of_a_thousand_pages(web, 0.75)
        if beside:
            with_every_fault(web, site, 0.75)
        done = crawled(web, tmp_path / f"{beside}.db", "http://a.test/", delay_s=0.0)
        assert good_pages(done) == PAGES
        took_s[beside] = max(done.times("a.test", f"/{number}")[-1] for number in range(1, PAGES))
    assert took_s[True] <= 1.2 * took_s[False]
    assert not done.summary.complete
    assert done.summary.end_reason == "waiting"
