"""Nothing on the web makes the crawler connect into the user's own network, in whatever way it is asked to.

Every connect of this process is seen by an audit hook, and a canary listens on all addresses of this machine.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb
from crawler.network.resolver import MIN_TTL_S
from tests.hostile.web import Crawled, crawled, watched_connects

SPELLINGS = (
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
    "0x7f.1", "127.0.0.1.", "127.255.255.254", "0", "0.0.0.0", "%31%32%37.0.0.1", "１２７.0.0.1",
    "127。0。0。1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:a00:1::1]",
    "localhost", "LOCALHOST.", "a.localhost", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "0xa9fea9fe", "[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "100.64.0.1", "100.100.100.200", "192.0.0.192",
    "198.18.0.1", "224.0.0.1", "[ff02::1]", "240.0.0.1", "255.255.255.255", "[2001::1]", "[100::1]", "[5f00::1]",
)  # fmt: skip
NAMES = {
    "to-loopback.test": ["127.0.0.1"], "to-metadata.test": ["169.254.169.254"], "to-private.test": ["10.0.0.1"],
    "to-v6-loopback.test": ["::1"], "to-mapped.test": ["::ffff:7f00:1"], "to-nat64.test": ["64:ff9b::7f00:1"],
    "to-carrier.test": ["100.64.0.1"], "to-zero.test": ["0.0.0.0"], "to-many.test": ["127.0.0.1", "10.0.0.1", "::1"],
}  # fmt: skip


@asynccontextmanager
async def canary() -> AsyncIterator[tuple[int, list[Any]]]:
    """A port that is open on every address of this machine, and who came."""
    came: list[Any] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername"))
        writer.close()

    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    async with await asyncio.start_server(accept, sock=both):
        yield both.getsockname()[1], came


def a_web(named: dict[str, list[str]]) -> FakeWeb:
    """The site of a seed, and names that lead where they should not."""
    web = FakeWeb()
    web.host("a.test")
    for name, addresses in named.items():
        web.host(name, listening=False, address="127.9.9.9", dns=addresses)
    return web


def as_links(web: FakeWeb, urls: list[str]) -> None:
    web.sites["a.test"].page("/", links=urls)


def as_redirects(web: FakeWeb, urls: list[str]) -> None:
    site = web.sites["a.test"]
    urls = [url for url in urls if url.isascii()]  # a header field has no other characters
    site.page("/", links=[f"/{number}" for number in range(len(urls))])
    for number, url in enumerate(urls):
        site.redirect(f"/{number}", url)


def as_entries_of_a_sitemap(web: FakeWeb, urls: list[str]) -> None:
    site = web.sites["a.test"]
    site.page("/")
    site.robots("Sitemap: http://a.test/map.xml\n")
    site.sitemap("/map.xml", urls)


def as_sitemaps_of_a_robots_txt(web: FakeWeb, urls: list[str]) -> None:
    web.sites["a.test"].page("/")
    web.sites["a.test"].robots("".join(f"Sitemap: {url}\n" for url in urls))


def as_frames_and_refreshes(web: FakeWeb, urls: list[str]) -> None:
    site = web.sites["a.test"]
    frames = "".join(f'<iframe src="{url}"></iframe>' for url in urls)
    refreshes = {f"/r{number}": f'<meta http-equiv="refresh" content="0;url={url}">' for number, url in enumerate(urls)}
    site.page("/", links=list(refreshes), markup=frames)
    for path, head in refreshes.items():
        site.page(path, head=head)


@pytest.mark.parametrize(
    "place",
    [as_links, as_redirects, as_entries_of_a_sitemap, as_sitemaps_of_a_robots_txt, as_frames_and_refreshes],
)
async def test_no_spelling_and_no_name_leads_to_a_connect(
    place: Callable[[FakeWeb, list[str]], None], tmp_path: Path
) -> None:
    web = a_web(NAMES)
    async with canary() as (port, came), watched_connects() as connects:
        urls = [f"http://{host}:{port}/" for host in (*SPELLINGS, *NAMES)]
        place(web, urls)
        address = web.sites["a.test"].address
        with web.running() as served:
            done = await crawled(
                served, tmp_path, [served.url("a.test")], allow_private=(f"{address}/32",), per_host=64
            )
    assert {host for host, *_port in connects} == {address}
    assert not came
    reasons = done.rows(
        "SELECT reason, count(*) FROM urls WHERE kind != 'robots' AND url NOT LIKE '%//a.test%' GROUP BY 1"
    )
    assert [reason for reason, _count in reasons] == ["blocked_address"]
    assert sum(count for _reason, count in reasons) >= 38  # many spellings are one URL
    assert_failures_name_the_address(done)


def assert_failures_name_the_address(done: Crawled) -> None:
    """In `fetches`, where each refused attempt stands."""
    addresses = [address for (address,) in done.rows("SELECT address FROM fetches WHERE failure = 'blocked_address'")]
    assert len(addresses) >= 38
    assert all(addresses)
    assert {"127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"} <= set(addresses)


async def test_a_robots_txt_that_redirects_inside_reaches_nothing_and_lets_nobody_in(tmp_path: Path) -> None:
    web = FakeWeb()
    for number in range(len(SPELLINGS)):
        web.host(f"h{number}.test").page("/")
    async with canary() as (port, came), watched_connects() as connects:
        for site, host in zip(web.sites.values(), SPELLINGS, strict=True):
            site.redirect("/robots.txt", f"http://{host}:{port}/robots.txt")
        own = {site.address for site in web.sites.values()}
        with web.running() as served:
            done = await crawled(
                served, tmp_path, [served.url(name) for name in web.sites],
                allow_private=tuple(f"{address}/32" for address in own),
            )  # fmt: skip
    assert {host for host, *_port in connects} <= own
    assert not came
    assert not done.pages()


@pytest.mark.thorough
async def test_a_name_that_resolves_differently_the_second_time_is_judged_by_the_address_used(tmp_path: Path) -> None:
    """The name was fine for robots.txt, and is asked again for the page: an answer is kept for 5 s at least."""
    web = FakeWeb()

    def rebinding(_name: str) -> list[str]:
        return ["127.0.0.1"] if served.hits("a.test") else ["127.66.0.1"]

    site = web.host("a.test", ttl_s=0, dns=rebinding, address="127.66.0.1")
    site.answer("/robots.txt", Answer(headers={"Connection": "close"}))
    site.page("/")
    async with watched_connects() as connects:
        with web.running() as served:
            done = await crawled(
                served, tmp_path, [served.url("a.test")], allow_private=("127.66.0.1/32",), delay_s=MIN_TTL_S + 0.5
            )
    assert {host for host, *_port in connects} == {"127.66.0.1"}
    assert done.rows("SELECT failure, address FROM fetches ORDER BY id") == [
        (None, "127.66.0.1"),
        ("blocked_address", "127.0.0.1"),
    ]


async def test_a_seed_that_is_an_address_opens_its_own_origin_and_nothing_else(tmp_path: Path) -> None:
    """Not another port of it, and not a public name that resolves to it."""
    web = a_web({"named.test": ["127.1.0.1"]})
    site = web.sites["a.test"]
    async with canary() as (port, came):
        with web.running() as served:
            seed = f"http://{site.address}:{served.port}/"
            site.page("/", links=[f"http://{site.address}:{port}/", served.url("a.test"), f"http://127.0.0.1:{port}/",
                                  f"http://localhost:{port}/", "/fine"])  # fmt: skip
            site.page("/fine")
            done = await crawled(served, tmp_path, [seed], allow_private=())
    assert not came
    assert done.pages() == {seed, f"{seed}fine"}
    blocked = "SELECT count(*) FROM urls WHERE kind = 'page' AND reason = 'blocked_address'"
    assert done.rows(blocked) == [(4,)]
    assert {hit.headers["host"] for hit in served.log} == {f"{site.address}:{served.port}"}
