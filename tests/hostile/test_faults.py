"""All small faults on real sockets, beside a site on the same host: none of its pages is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Site
from crawler.fakeweb.sites import StreamHandler
from tests.frontier.test_thousand_pages import (
    PAGES,
    a_site_of_a_thousand_pages,
    with_every_fault,
    with_every_odd_reply,
)
from tests.hostile.web import crawled
from tests.integration.test_replies import REPAIRED, TO_THE_END

IN_PIECES = 3  # each so many replies comes byte by byte
SLOW = {"silent.test", "bad0.test"}  # which hang: one of each is among the origins of the site's own host


def saying(raw: bytes, *, in_pieces: bool) -> StreamHandler:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(len(raw)) if in_pieces else ():
            writer.write(raw[at : at + 1])
            await writer.drain()
        writer.write(b"" if in_pieces else raw)

    return answer


def with_every_reply_that_clients_read(site: Site) -> int:
    """The last of the thousand pages are answered byte by byte as `test_replies` has it; how many they are."""
    replies = [*REPAIRED.values(), *TO_THE_END.values()]
    for number, raw in enumerate(replies):
        site.raw(f"/{PAGES - 1 - number}", saying(raw, in_pieces=number % IN_PIECES == 0))
    return len(replies)


@pytest.mark.thorough
@pytest.mark.timeout(180)
async def test_a_thousand_pages_beside_every_small_fault_of_their_host_are_all_stored(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site_of_a_thousand_pages(web, 0.0)
    with_every_odd_reply(site, 0.0)
    with_every_fault(web, site, 0.0)
    odd = with_every_reply_that_clients_read(site)
    assert odd > 40
    with web.running() as served:
        home = served.url("a.test")
        seeds = [served.url(name) for name in web.sites if name not in SLOW]
        limits = {"timeout_s": 2.0, "connect_timeout_s": 0.5, "retries": 1, "max_wait_s": 2.0, "adaptive_pace": False}
        done = await crawled(served, tmp_path, [home, *seeds], **limits)  # type: ignore[arg-type]
    good = {home, *(f"{home}{number}" for number in range(1, PAGES))}
    stored = {url for (url,) in done.rows("SELECT url FROM urls WHERE status = 'fetched' AND page_id IS NOT NULL")}
    assert good <= stored, sorted(good - stored)
    assert done.summary.end_reason == "waiting"
    kinds = {"dns", "connect", "tls", "timeout", "disconnected", "too_large", "bad_response", "blocked_address"}
    assert set(done.summary.by_failure) == kinds, "a fault of each kind was met"
