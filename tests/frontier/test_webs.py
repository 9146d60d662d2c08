"""Whole crawls of random webs, in virtual time: whatever hosts do, nobody is asked too early or too often, and nothing
is lost, also where the run is killed and goes on.

Every fault passes after one answer, so that in the end each page is there.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.fakeweb import Answer, FakeWeb, Fault, Request
from tests.frontier.crawls import NIGHT, Crawled, copied_after, crawled, most_at_once

PAUSE_S = 40.0
RETRIES = 2
_FAULTS: dict[str, Answer | Fault] = {
    "hangs": Fault.HANG,
    "breaks off": Fault.DISCONNECT,
    "error": Answer(status=500, delay_s=0.3),
    "pause": Answer(status=503, headers={"Retry-After": f"{PAUSE_S:.0f}"}),
    "too many": Answer(status=429, headers={"Retry-After": f"{PAUSE_S:.0f}"}),
}


@dataclass(frozen=True)
class Host:
    """How one host behaves. `faults` are those of its first pages, `robots` one of its robots.txt."""

    pages: int
    faults: tuple[str | None, ...]
    robots: str | None
    crawl_delay_s: int | None
    answers_after_s: float
    redirects: bool
    shares_address: bool


HOSTS = st.builds(
    Host,
    pages=st.integers(1, 6),
    faults=st.lists(st.sampled_from([None, None, *_FAULTS]), max_size=4).map(tuple),
    robots=st.sampled_from([None, None, None, *_FAULTS]),
    crawl_delay_s=st.sampled_from([None, None, 3]),
    answers_after_s=st.sampled_from([0.0, 0.4, 7.0]),
    redirects=st.booleans(),
    shares_address=st.booleans(),
)
POLITENESS = st.fixed_dictionaries(
    {
        "delay_s": st.sampled_from([0.0, 0.5, 2.0]),
        "per_host": st.integers(1, 3),
        "per_ip": st.integers(1, 3),
        "concurrency": st.integers(1, 8),
    }
)


def a_web(hosts: Iterable[Host]) -> FakeWeb:
    web = FakeWeb()
    for number, host in enumerate(hosts):
        site = web.host(f"h{number}.test", address="127.9.9.9" if host.shares_address else None)
        rules = f"User-agent: *\nDisallow: /forbidden\nCrawl-delay: {host.crawl_delay_s or 0}\n"
        robots = Answer(body=rules, content_type="text/plain", delay_s=host.answers_after_s / 2)
        site.sequence("/robots.txt", *([_FAULTS[host.robots]] if host.robots else []), robots)
        links = [*(f"/{page}" for page in range(host.pages)), "/old", "/gone", "/forbidden"]
        for page in range(host.pages):
            fault = host.faults[page] if page < len(host.faults) else None
            answer = Answer.page(title=f"{page}", links=links, delay_s=host.answers_after_s)
            site.sequence(f"/{page}", *([_FAULTS[fault]] if fault else []), answer)
        site.redirect("/old", "/0" if host.redirects else "http://elsewhere.test/")
    return web


def expected(hosts: Iterable[Host]) -> dict[str, str]:
    """What becomes of each URL."""
    urls = {"http://elsewhere.test/": "excluded"} if any(not host.redirects for host in hosts) else {}
    for number, host in enumerate(hosts):
        at = f"http://h{number}.test"
        urls |= {f"{at}/{page}": "fetched" for page in range(host.pages)}
        urls |= {f"{at}/old": "redirected", f"{at}/gone": "gone", f"{at}/forbidden": "excluded"}
    return urls


@pytest.mark.thorough
@settings(max_examples=int(os.environ.get("WEBS_EXAMPLES", "25")), deadline=None)
@given(
    hosts=st.lists(HOSTS, min_size=1, max_size=5),
    politeness=POLITENESS,
    killed_after_s=st.sampled_from([None, 0.0, 1.3, 6.0, 30.0, 60.0]),
)
def test_any_web_is_crawled_whole_and_politely(
    hosts: list[Host], politeness: dict[str, Any], killed_after_s: float | None
) -> None:
    web = a_web(hosts)
    seeds = [f"http://{name}/0" for name in web.sites]
    with tempfile.TemporaryDirectory() as folder:
        db, remains = Path(folder) / "crawl.db", Path(folder) / "remains.db"
        options = politeness | {"max_wait_s": 7200.0, "retries": RETRIES, "timeout_s": 20.0}
        if killed_after_s is None:
            done = crawled(web, db, *seeds, **options)
            check_whole(done, hosts)
        else:
            # What was asked after that moment is lost; the faults that have passed by then have passed.
            crawled(web, db, *seeds, during=copied_after(killed_after_s, db, remains), **options)
            done = crawled(web, remains if remains.exists() else db, *seeds, at=NIGHT + 600.0, **options)
            check_whole(done, hosts)
    check_polite(done, hosts, politeness)


def check_whole(done: Crawled, hosts: list[Host]) -> None:
    assert {url: status for url, (status, _) in done.urls().items()} == expected(hosts)
    assert done.summary.complete
    assert set(Counter(done.pages()).values()) == {1}
    asked = Counter((hit.host, hit.target) for hit in done.log)
    assert max(asked.values(), default=0) <= 2
    assert not [hit for hit in done.log if hit.target == "/forbidden"]


def check_polite(done: Crawled, hosts: list[Host], politeness: dict[str, Any]) -> None:
    assert most_at_once(done.log) <= politeness["concurrency"]
    for address in {hit.address for hit in done.log}:
        assert most_at_once(hit for hit in done.log if hit.address == address) <= politeness["per_ip"]
    for number, host in enumerate(hosts):
        hits = done.hits(f"h{number}.test")
        assert most_at_once(hits) <= politeness["per_host"]
        check_delays(hits, politeness["delay_s"], host.crawl_delay_s or 0)
        check_pauses(hits)
        check_robots_first(hits)


def check_delays(hits: list[Request], delay_s: float, crawl_delay_s: float) -> None:
    for earlier, later in pairwise(hits):
        knows_rules = any(hit.target == "/robots.txt" and hit.status == 200 for hit in hits[: hits.index(later)])
        kept_s = max(delay_s, crawl_delay_s) if knows_rules else delay_s
        assert later.start - earlier.start >= kept_s - 1e-6, (earlier, later)


def check_pauses(hits: list[Request]) -> None:
    for refused in (hit for hit in hits if hit.status in (429, 503) and hit.end is not None):
        assert refused.end is not None
        early = [hit for hit in hits if refused.end < hit.start < refused.end + PAUSE_S - 1e-6]
        assert not early, (refused, early)


def check_robots_first(hits: list[Request]) -> None:
    """In a run that goes on they may be known already."""
    robots = [hit for hit in hits if hit.target == "/robots.txt"]
    if not robots:
        return
    known_at = next(hit.end for hit in robots if hit.status == 200)
    assert known_at is not None
    assert all(hit.start >= known_at for hit in hits if hit.target != "/robots.txt")
