"""robots.txt of any size and kind: RFC 9309 holds, no page is fetched while it is unreachable, and it costs little."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from crawler.config import MIB
from crawler.fakeweb import Answer, FakeWeb
from crawler.frontier.robots_cache import RobotsCache
from crawler.policy.robots import RobotsRules
from crawler.records import RobotsCopy
from tests.acceptance.conftest import let_pass
from tests.hostile.web import ENDLESS, MAX_BUSY_S, crawled, watched_loop

AGENT = b"User-agent: *\nDisallow: /private\n"
NOISE = bytes(range(256)) * 8192
GIANTS = {
    "10 MB of comments": AGENT + b"# nothing but words\n" * (MIB // 2),
    "10 MB in one line": AGENT + b"Disallow: /" + b"x" * (10 * MIB),
    "10 MB of noise": AGENT + NOISE * 5,
    "a directive a line for 100,000 lines": AGENT + b"Disallow: /x%d\n" * 100_000,
    "wildcards for 100,000 lines": AGENT + b"".join(b"Disallow: /*a*%d$\n" % number for number in range(100_000)),
    "100,000 groups": AGENT + b"".join(b"User-agent: b%d\nDisallow: /\n" % number for number in range(100_000)),
    "30,000 agents of one group": b"User-agent: x\n" * 30_000 + AGENT,
    "100,000 sitemaps": AGENT + b"".join(b"Sitemap: http://a.test/%d\n" % number for number in range(100_000)),
    "utf-16": AGENT.decode().encode("utf-16"),
    "a byte order mark and another charset": b"\xef\xbb\xbf" + AGENT + "Disallow: /caf\xe9\n".encode("latin-1"),
    "nul bytes": AGENT.replace(b"\n", b"\0\n\0"),
}


@pytest.mark.parametrize("body", GIANTS.values(), ids=GIANTS.keys())
def test_reading_and_asking_take_at_most_a_second_of_processor_time(body: bytes) -> None:
    started = time.process_time()
    rules = RobotsRules.parse(body)
    for number in range(20):
        rules.allows("crawler", f"http://a.test/page/{number}/aaaa?b=c")
    used_s = time.process_time() - started
    print(f"{used_s:.2f} s")
    assert used_s < 3  # measured: at most 0.6; a generous bound, other work may be running


@pytest.mark.thorough
async def test_giant_and_strange_files_are_kept_to_and_hold_up_nobody(tmp_path: Path) -> None:
    web = FakeWeb()
    for number, body in enumerate(GIANTS.values()):
        site = web.host(f"h{number}.test")
        site.page("/", links=["/private", "/public"])
        site.page("/private")
        site.page("/public")
        site.answer("/robots.txt", Answer(body=body, content_type="text/plain; charset=utf-16"))
    with web.running() as served:
        async with watched_loop() as watch:
            done = await crawled(served, tmp_path, [served.url(name) for name in web.sites])
    print(f"robots.txt: the event loop computed at most {watch.longest_s * 1000:.0f} ms at a time")
    assert watch.longest_s < MAX_BUSY_S
    names = dict(zip(web.sites, GIANTS, strict=True))
    forbidden = {names[hit.host] for hit in served.log if hit.target == "/private"}
    assert forbidden <= {"utf-16", "nul bytes"}  # nothing in them is a rule (RFC 9309, 2.3: it is UTF-8)
    # A file that is too costly to judge by forbids and never allows: see `policy.robots.MAX_SCAN`.
    assert {names[host] for host in names if not served.hits(host, "/public")} <= {"wildcards for 100,000 lines"}
    assert done.summary.complete


@pytest.mark.thorough
@pytest.mark.parametrize("status", [500, 503, 429, "silence", "garbage"])
async def test_while_it_is_unreachable_no_page_is_fetched_and_later_all_are(status: int | str, tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.site("a.test", pages=6)
    if status == "silence":
        site.raw("/robots.txt", ENDLESS["silence"])
    elif status == "garbage":
        site.raw("/robots.txt", ENDLESS["100 continue"])
    else:
        site.status("/robots.txt", int(status), headers={"Retry-After": "1"})
    with web.running() as served:
        # It waits for longer than Retry-After asks, so that it is not the pause alone that keeps the pages.
        first = await crawled(served, tmp_path, [served.url("a.test")], timeout_s=0.5, retries=2, max_wait_s=3.0)
        assert {hit.target for hit in served.log} == {"/robots.txt"}
        assert first.urls() == {"/": ("pending", None)}
        let_pass(first.db, 4)  # of five seconds of pause, or some more
        site.robots("User-agent: *\nAllow: /\n")
        for path in list(site.links):
            site.page(path, links=site.links[path])
        with_patience = await crawled(served, tmp_path, [served.url("a.test")], max_wait_s=15.0, retries=2)
    assert len(with_patience.pages()) == 6


async def test_what_is_kept_of_the_files_of_many_hosts_is_bounded_and_the_newest_are_kept() -> None:
    cache = RobotsCache("crawler")
    body = AGENT + b"# nothing but words\n" * 25_000
    copies = [RobotsCopy(origin=f"http://h{number}.test", body=body, expires_at=2.0) for number in range(100)]
    for copy in copies:
        await cache.learn(copy)
    known = [cache.knows(copy.origin, now=1.0) for copy in copies]
    assert sum(known) * len(body) <= 16 * MIB
    assert all(known[-10:])


async def test_six_redirects_allow_all_and_five_lead_to_the_rules(tmp_path: Path) -> None:
    web = FakeWeb()
    for name, hops in (("five.test", 5), ("six.test", 6)):
        site = web.host(name)
        site.page("/", links=["/private"])
        site.page("/private")
        site.redirect("/robots.txt", "/r1")
        for number in range(1, hops):
            site.redirect(f"/r{number}", f"/r{number + 1}")
        site.answer(f"/r{hops}", Answer(body=AGENT, content_type="text/plain"))
    with web.running() as served:
        await crawled(served, tmp_path, [served.url(name) for name in web.sites])
        assert not served.hits("five.test", "/private")
        assert served.hits("six.test", "/private")
        assert not served.hits("six.test", "/r6")
