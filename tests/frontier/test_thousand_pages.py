"""A site of 1,000 pages beside all faults at once, on the same host: no page is lost, and little time."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from crawler.fakeweb import Answer, FakeWeb, Fault, Request, Site
from tests.frontier.crawls import Crawled, crawled, rows

PAGES = 1000
ALLOW = "User-agent: *\nAllow: /\n"
PAGE_S = 2.0  # that each page takes: what hangs costs a slot for as long as requests may take, whatever the site
Reply = Answer | Fault | Callable[[Request], Answer | Fault]


def a_site_of_a_thousand_pages(web: FakeWeb, delay_s: float) -> Site:
    """Pages in a tree of tens, all at the first origin of the host; from /100 on they have no links."""
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
    for port in range(8005, 8007):
        site.origin(port, listening="silent")
    robots: dict[int, Answer | Fault] = {
        8010: Answer(status=500),
        8011: Answer(status=429),
        8012: Answer(status=429, headers={"Retry-After": "7200"}),
        8017: Answer(status=503),
        8013: Fault.HANG,
        8014: Fault.DISCONNECT,
        8015: Fault.GARBAGE,
        8018: Fault.FLOOD,
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
        8026: Fault.GARBAGE,
        8027: Fault.FLOOD,
    }
    for port, answer in pages.items():
        origin = site.origin(port, keep_alive=False)
        origin.robots(ALLOW)
        origin.answer("*", answer)
    links = [f"http://a.test:{port}/other" for port in site.ports]
    links += [f"http://a.test:{port}/{number}" for port in (8020, 8021, 8022, 8026) for number in range(4)]
    links += ["https://a.test:8020/no-tls", *bad_pages(site), *others_of_the_web(web)]
    children = [f"/{number}" for number in range(1, 11)]
    site.page("/", title="0", links=[*links, *children], delay_s=delay_s)


def bad_pages(site: Site) -> list[str]:
    """Pages of the site itself that nobody can read, or that lead nowhere."""
    bad: list[Answer | Fault] = [
        Answer(status=500),
        Answer(status=404),
        Answer(status=403),
        Answer(status=304),
        Fault.HANG,
        Fault.DISCONNECT,
        Fault.GARBAGE,
        Fault.FLOOD,
        Answer(body="short", headers={"Content-Length": "99"}, close=True),
        Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
        Answer(body=b"?", headers={"Content-Encoding": "gzip, compress"}),
        Answer.redirect("/caf\xe9\t?x"),
        Answer.redirect("http://inside.test/"),
        Answer.redirect("ftp://a.test/"),
        Answer(body="moved", headers={"Refresh": "0; url=/404"}, content_type="html"),
    ]
    for number, fault in enumerate(bad):
        site.answer(f"/bad{number}", fault)
    return [f"/bad{number}" for number in range(len(bad))]


def others_of_the_web(web: FakeWeb) -> list[str]:
    """Hosts that cannot be reached, and one where all goes wrong."""
    web.host("nowhere.test", dns="nxdomain")
    web.host("refused.test", listening=False)
    web.host("silent.test", listening="silent")
    for number, fault in enumerate(Fault):
        web.host(f"bad{number}.test").answer("*", fault)
    names = ["nowhere.test", "refused.test", "silent.test", "inside.test", *(f"bad{n}.test" for n in range(len(Fault)))]
    return [f"http://{name}/{page}" for name in names for page in range(3)]


def with_every_odd_reply(site: Site, delay_s: float) -> int:
    """Pages of the thousand that are answered as no standard says, and that every client reads; how many there are."""

    def odd(number: int, **fields: object) -> Answer:
        body = f"<title>{number}</title>{number}".encode()
        coding = fields.pop("coding", lambda data: data)
        return Answer(body=coding(body), delay_s=delay_s, **fields)  # type: ignore[operator, arg-type]

    used: set[int] = set()  # connections
    replies: list[Callable[[int], Reply]] = [
        lambda n: odd(n, coding=gzip.compress, headers={"Content-Encoding": "x-gzip"}),
        lambda n: odd(n, coding=lambda b: gzip.compress(gzip.compress(b)), headers={"Content-Encoding": "gzip, gzip"}),
        lambda n: odd(n, coding=lambda b: gzip.compress(b) + b"behind", headers={"Content-Encoding": "gzip"}),
        lambda n: odd(n, coding=lambda b: gzip.compress(b)[:-8], headers={"Content-Encoding": "gzip"}),
        lambda n: odd(n, status=206, headers={"Content-Range": "bytes 0-20/100"}),
        lambda n: odd(n, status=299),
        lambda n: odd(n, chunked=True),
        lambda n: odd(n, close=True),
        lambda n: odd(n, headers={"X-Long": "x" * 40_000}),
        lambda n: odd(n, headers=[(f"X-{field}", "x") for field in range(300)]),
        lambda n: odd(n, headers={"Refresh": f"9; url=/{n}"}),
        *(lambda n, kind=kind: odd(n, content_type=kind) for kind in ("html", "none", "text/html (x)", "")),
        lambda n: good_for_one_request(odd(n), Fault.DISCONNECT, used),
        lambda n: good_for_one_request(odd(n), Fault.GARBAGE, used),
    ]  # fmt: skip
    leaves = range(100, PAGES, 7)
    for place, number in enumerate(leaves):
        site.answer(f"/{number}", replies[place % len(replies)](number))
    return len(leaves)


def good_for_one_request(page: Answer, fault: Fault, used: set[int]) -> Callable[[Request], Answer | Fault]:
    """A connection that was used for such a page is dropped, or spoilt, when another one is asked for on it."""

    def answer(request: Request) -> Answer | Fault:
        if request.connection in used:
            return fault
        used.add(request.connection)
        return page

    return answer


def good_pages(done: Crawled) -> int:
    good = {"http://a.test/", *(f"http://a.test/{number}" for number in range(1, PAGES))}
    return len(good & set(done.pages()))


@pytest.mark.thorough
def test_a_thousand_pages_beside_every_fault_take_at_most_a_fifth_longer(tmp_path: Path) -> None:
    took_s = {}
    for beside in (False, True):
        web = FakeWeb()
        site = a_site_of_a_thousand_pages(web, PAGE_S)
        seeds = ["http://a.test/"]
        if beside:
            with_every_odd_reply(site, PAGE_S)
            with_every_fault(web, site, PAGE_S)
            seeds += [f"http://{name}/" for name in web.sites if name != "a.test"]
        done = crawled(web, tmp_path / f"{beside}.db", *seeds, delay_s=0.0)
        assert good_pages(done) == PAGES
        took_s[beside] = max(done.times("a.test", f"/{number}")[-1] for number in range(1, PAGES))
    assert took_s[True] <= 1.2 * took_s[False], took_s
    assert not done.summary.complete
    assert done.summary.end_reason == "waiting"
    kinds = {"dns", "connect", "timeout", "disconnected", "too_large", "bad_response", "blocked_address"}
    assert set(done.summary.by_failure) == kinds, "a fault of each kind was met"
    [(cut,)] = rows(done.db, "SELECT count(*) FROM pages WHERE truncated")
    assert cut > 9
