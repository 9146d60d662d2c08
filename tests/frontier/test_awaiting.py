"""Who waits for which robots.txt, and what is believed of it."""

from __future__ import annotations

import asyncio

from crawler.frontier.awaiting import AwaitingRules
from crawler.frontier.robots_cache import RobotsCache
from crawler.records import Claim, RobotsCopy, SeedMark, UrlKind

NOW = 1000.0


def a_claim(number: int, origin: str = "http://a.test") -> Claim:
    host = origin.partition("://")[2].partition(":")[0]
    return Claim(
        url_id=number, url=f"{origin}/{number}", host_id=7, host=host, origin=origin, attempts=1, seed=SeedMark.YES
    )


def a_copy(body: bytes, origin: str = "http://a.test", **fields: float) -> RobotsCopy:
    return RobotsCopy(origin=origin, body=body, expires_at=fields.get("expires_at", NOW + 10.0))


def test_the_first_that_waits_for_an_origin_asks_for_its_robots_txt() -> None:
    """As a claim of its own: no attempt has failed yet, and it is no seed."""
    awaiting = AwaitingRules()
    robots = awaiting.wait(a_claim(1))
    assert robots is not None
    assert (robots.url, robots.kind, robots.url_id) == ("http://a.test/robots.txt", UrlKind.ROBOTS, 0)
    assert (robots.attempts, robots.seed, robots.host_id) == (0, SeedMark.NO, 7)
    assert awaiting.wait(a_claim(2)) is None
    assert awaiting.wait(a_claim(3, "https://a.test")) is not None


def test_claims_wait_until_the_rules_of_their_own_origin_have_arrived() -> None:
    awaiting = AwaitingRules()
    plain, again, secure = a_claim(1), a_claim(2), a_claim(3, "https://a.test")
    for claim in (plain, again, secure):
        awaiting.wait(claim)
    awaiting.rules_arrived("http://a.test")
    awaiting.rules_arrived("http://nobody.test")
    assert awaiting.take_ready() == [plain, again]
    assert awaiting.take_ready() == []
    assert awaiting.waiting("https://a.test") == [secure]
    assert awaiting.wait(plain) is not None


def test_a_host_that_is_let_go_leaves_nobody_waiting() -> None:
    awaiting = AwaitingRules()
    plain, secure, other = a_claim(1), a_claim(2, "https://a.test"), a_claim(3, "http://b.test")
    for claim in (plain, secure, other):
        awaiting.wait(claim)
    assert awaiting.release_host("a.test") == [plain, secure]
    assert (awaiting.waiting("http://a.test"), awaiting.waiting("http://b.test")) == ((), [other])


def test_a_copy_is_believed_until_it_expires() -> None:
    cache = RobotsCache("crawler")
    asyncio.run(cache.learn(a_copy(b"User-agent: *\nDisallow: /2\n", expires_at=NOW)))
    assert cache.knows("http://a.test", NOW - 0.1)
    assert not cache.knows("http://a.test", NOW)
    assert not cache.knows("https://a.test", NOW - 0.1)
    assert cache.forbids(a_claim(1)) is None
    assert cache.forbids(a_claim(2)) == "robots: line 2: Disallow: /2"


def test_a_copy_from_the_store_is_recalled_unless_it_is_old_long_or_known_better() -> None:
    cache = RobotsCache("crawler")
    assert not cache.recall(a_copy(b"", expires_at=NOW), NOW)
    assert not cache.recall(a_copy(b"#" * (32 * 1024 + 1)), NOW)
    assert cache.recall(a_copy(b"#" * 32 * 1024), NOW)
    assert not cache.recall(a_copy(b"User-agent: *\nDisallow: /\n"), NOW)
    assert cache.forbids(a_claim(1)) is None


def test_a_newer_copy_takes_the_place_of_an_older_one_but_for_its_delay() -> None:
    """The delay is the host's: a shorter one of another origin, or of a newer copy, does not make it quicker."""
    cache = RobotsCache("crawler")
    assert cache.recall(a_copy(b"User-agent: *\nCrawl-delay: 9\nDisallow: /1\n"), NOW)
    asyncio.run(cache.learn(a_copy(b"User-agent: *\nCrawl-delay: 2\n")))
    assert cache.forbids(a_claim(1)) is None
    assert cache.crawl_delay_s("a.test") == 9.0
    assert cache.crawl_delay_s("b.test") == 0.0
