"""Answers that never end: each is cut at the total deadline, and none holds up those who answer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from tests.hostile.web import ENDLESS, MAX_BUSY_S, crawled, never, to_each_request, watched_loop

CUT_AT_A_LIMIT = {  # what comes fast enough reaches a limit before the deadline
    "body": ("fetched", None),
    "fields": ("failed", "too_large"),
    "a field": ("failed", "too_large"),
    "cookies": ("failed", "too_large"),
    "100 continue": ("failed", "bad_response"),
}
FRIENDLY, HOSTILE = 20, 100
RUN_S = 18.0
PACE = 0.75  # a second: tells a stall from a busy machine; see the table for the figures


@pytest.mark.thorough
async def test_what_never_ends_is_cut_at_a_limit_or_at_the_deadline(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    for name, answer in ENDLESS.items():
        site.raw(f"/{name.replace(' ', '-')}", answer)
    with web.running() as served:
        async with watched_loop() as watch:
            done = await crawled(
                served, tmp_path, [served.url("a.test", path) for path in site.routes], timeout_s=6.0, per_host=64
            )
    print(f"endless answers: the event loop computed at most {watch.longest_s * 1000:.0f} ms at a time")
    assert watch.longest_s < MAX_BUSY_S
    found = {path[1:].replace("-", " "): outcome for path, outcome in done.urls().items()}
    assert found == dict.fromkeys(ENDLESS, ("failed", "timeout")) | CUT_AT_A_LIMIT
    assert done.rows("SELECT bytes, truncated FROM fetches WHERE truncated") == [(10 * 1024 * 1024, 1)]
    assert done.rows("SELECT count(*) FROM fetches WHERE elapsed_s > 20") == [(0,)]


async def test_a_tls_handshake_that_never_ends_is_cut_at_the_deadline_of_connecting(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").connection(never)
    with web.running() as served:
        done = await crawled(
            served, tmp_path, [served.url("a.test", scheme="http").replace("http:", "https:")],
            timeout_s=20.0, connect_timeout_s=0.5, max_wait_s=0.0, max_runtime_s=30.0,
        )  # fmt: skip
    [(failure, elapsed_s)] = done.rows("SELECT failure, elapsed_s FROM fetches")
    assert failure == "timeout"
    assert 0.4 < elapsed_s < 4  # the first request to an origin has 5 s: another deadline


@pytest.mark.thorough
async def test_a_robots_txt_that_never_ends_lets_no_page_be_fetched_and_costs_little_time(tmp_path: Path) -> None:
    web = FakeWeb()
    for number, answer in enumerate(ENDLESS.values()):
        web.host(f"h{number}.test").connection(to_each_request(answer))
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url(name) for name in web.sites], max_runtime_s=28.0)
    pages = dict(done.rows("SELECT h.name, u.status FROM urls u JOIN hosts h ON h.id = u.host_id WHERE kind = 'page'"))
    rules = f"h{list(ENDLESS).index('body')}.test"  # cut at 512 KiB, these are rules that say nothing (RFC 9309, 2.5)
    assert pages == dict.fromkeys(web.sites, "pending") | {rules: "fetched"}
    assert done.summary.end_reason == "waiting"  # the first knock has a deadline of its own, 5 s instead of 30


@pytest.mark.thorough
@pytest.mark.timeout(120)
async def test_friendly_hosts_keep_their_pace_beside_a_hundred_that_never_end(tmp_path: Path) -> None:
    """Of the hundred, some eighty hang, which is more than there are workers; the others are cut at a limit.

    Judged by the servers' log, from the first request to a friendly host to the end of the run, so that a host that
    stops is seen as well. In the order of the seeds one friendly host comes after five others.
    """
    hanging = [answer for name, answer in ENDLESS.items() if name not in CUT_AT_A_LIMIT]
    kinds = [*map(to_each_request, (*ENDLESS.values(), *hanging, *hanging)), never, never, never]
    web, names = FakeWeb(), []
    for number in range(FRIENDLY + HOSTILE):
        if number % 6 == 5:
            names.append(f"good{number}.test")
            web.site(names[-1], pages=40)
        else:
            names.append(f"bad{number}.test")
            web.host(names[-1]).connection(kinds[number % len(kinds)])
    with web.running() as served:
        seeds = [served.url(name) for name in names]
        seeds = [url.replace("http:", "https:") if kinds[number % len(kinds)] is never and "bad" in url else url
                 for number, url in enumerate(seeds)]  # fmt: skip
        started = time.monotonic()
        await crawled(
            served,
            tmp_path,
            seeds,
            delay_s=1.0,
            per_host=2,
            max_runtime_s=RUN_S,
            timeout_s=30.0,
            max_wait_s=60.0,
            retries=2,
        )  # what has hung once is asked again, and hangs for 30 s
        hits = {name: served.hits(name) for name in names if "good" in name}
    assert len([name for name, asked in hits.items() if asked]) == FRIENDLY
    met = [asked[0].start - started for asked in hits.values()]
    paces = sorted((len(asked) - 1) / (RUN_S - met_s) for met_s, asked in zip(met, hits.values(), strict=True))
    print(f"pace {paces[0]:.2f}-{paces[-1]:.2f}/s, met after {min(met):.1f}-{max(met):.1f} s")
    assert sum(paces) / len(paces) >= PACE
