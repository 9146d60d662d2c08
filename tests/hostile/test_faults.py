"""Small faults on real sockets, beside a site on the same host: none of its pages is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from tests.frontier.test_thousand_pages import PAGES, a_site_of_a_thousand_pages, with_every_fault
from tests.hostile.web import crawled


@pytest.mark.timeout(180)
async def test_a_thousand_pages_beside_every_small_fault_of_their_host_are_all_stored(tmp_path: Path) -> None:
    web = FakeWeb()
    with_every_fault(web, a_site_of_a_thousand_pages(web, 0.0), 0.0)
    with web.running() as served:
        home = served.url("a.test")
        done = await crawled(served, tmp_path, [home], timeout_s=6.0, max_wait_s=5.0)
    stored = done.rows(
        "SELECT count(*) FROM urls WHERE status = 'fetched' AND kind = 'page' AND instr(url, ?) = 1", home
    )
    assert stored == [(PAGES,)]
    assert done.summary.end_reason == "waiting"
    assert {one.name.partition(":")[0] for one in done.summary.waiting} == {"http"}
