"""Nothing on the web makes the crawler speak to mail, chat and other servers that are no web servers.

Every connect of this process is seen (see `test_addresses`), whether or not somebody listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from crawler.policy.ports import BAD_PORTS
from tests.hostile import test_addresses as places
from tests.hostile.web import crawled, watched_connects
from tests.integration.rawserver import RawServer, ok


@pytest.mark.parametrize(
    "place",
    [
        places.as_links,
        places.as_redirects,
        places.as_entries_of_a_sitemap,
        places.as_sitemaps_of_a_robots_txt,
        places.as_frames_and_refreshes,
    ],
)
async def test_no_bad_port_is_connected_to(place: Callable[[FakeWeb, list[str]], None], tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    urls = {f"{scheme}://{site.address}:{port}/" for scheme in ("http", "https") for port in BAD_PORTS}
    place(web, sorted(urls))
    async with watched_connects() as connects:
        with web.running() as served:
            done = await crawled(served, tmp_path, [served.url("a.test")], per_host=64)
    assert {port for _host, port in connects} == {served.port}
    assert {url for (url,) in done.rows("SELECT url FROM urls WHERE status = 'excluded' AND reason = 'port'")} == urls


async def test_a_robots_txt_that_redirects_to_a_bad_port_is_none(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.redirect("/robots.txt", f"http://{site.address}:25/robots.txt")
    site.page("/")
    async with watched_connects() as connects:
        with web.running() as served:
            done = await crawled(served, tmp_path, [served.url("a.test")])
    assert {port for _host, port in connects} == {served.port}
    assert len(done.pages()) == 1


async def test_what_a_seed_redirects_to_is_not_named_by_the_user_nor_in_a_later_run(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    target = f"http://{site.address}:6667/"
    site.redirect("/", target)
    async with watched_connects() as connects:
        with web.running() as served:
            for number in range(2):
                done = await crawled(served, tmp_path, [served.url("a.test"), served.url("a.test", f"/?{number}")])
    assert {port for _host, port in connects} == {served.port}
    assert done.rows("SELECT status, reason FROM urls WHERE url = ?", target) == [("excluded", "port")]


async def test_a_seed_with_a_bad_port_opens_its_own_origin_and_no_other(tmp_path: Path) -> None:
    host, port = f"127.98.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}", 6667  # tests may run side by side
    links = f"<a href=/2>more</a> <a href=http://{host}:6668/>other port</a> <a href=https://{host}:{port}/>https</a>"
    page = ok(links.encode(), "Content-Type: text/html")
    async with RawServer(page, host=host, port=port) as server, watched_connects() as connects:
        with FakeWeb().running() as served:
            done = await crawled(served, tmp_path, [f"{server.url}/"])
    assert set(connects) == {(host, port)}
    assert done.pages() == {f"{server.url}/", f"{server.url}/2"}
    assert len(done.rows("SELECT 1 FROM urls WHERE reason = 'port'")) == 2
