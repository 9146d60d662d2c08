"""The units of work whose instructions are counted: `python -m tests.benchmarks.units UNIT TIMES [PORT]` does one.

Invariant: done twice as often, each takes twice as many instructions, but for a start that is always the same. So
nothing here depends on time, chance, or how busy the machine is: hashes have a seed, the crawls run in virtual time,
garbage is not collected, and whoever serves is another process. Each imports what it needs and no more: valgrind makes
that slow.
"""

from __future__ import annotations

import asyncio
import gc
import io
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.records import Page, Response, UrlKind
from tests.benchmarks.documents import document

if TYPE_CHECKING:
    from crawler.fakeweb.web import FakeWeb

DOCUMENTS = 10
PAGES = 50  # in one commit
LINKS = 100  # a page
_MENU = [f"http://a.test/menu/{number}.html" for number in range(LINKS // 2)]


def read(times: int, _port: int) -> None:
    """A parser process reads ten documents and compresses them."""
    from crawler.content.accelerated import fastest_walk
    from crawler.parsing.child import serve
    from crawler.parsing.settings import ReaderSettings
    from crawler.parsing.wire import encode_request

    url = "http://a.test/guide/chapter.html"
    bodies = [document(number).encode() for number in range(DOCUMENTS)]
    answers = [Response(url=url, status_code=200, content_type="text/html", body=body) for body in bodies]
    parts = [part for answer in answers for part in encode_request(UrlKind.PAGE, answer, keep_body=True)]
    requests = io.BytesIO(b"".join(parts * times))
    serve(requests, io.BytesIO(), ReaderSettings(product_token="crawler"), walk=fastest_walk()[0])


def commit(times: int, _port: int) -> None:
    """A batch of pages, with their links, half of which are new."""
    asyncio.run(_commit(times))


async def _commit(times: int) -> None:
    from crawler.parsing.wire import decode_content, encode_content
    from tests.contract.results import NOW, a_body, a_result, a_store, a_target, claims_of

    urls = [f"http://a.test/{number}.html" for number in range(times * PAGES)]
    menu = [a_target(url, depth=1) for url in _MENU]
    with tempfile.TemporaryDirectory() as folder:
        async with a_store(Path(folder, "crawl.db"), *urls) as store:
            claims = await claims_of(store)
            for start in range(0, len(urls), PAGES):
                results = []
                for url in urls[start : start + PAGES]:
                    new = [a_target(f"{url}/{number}", depth=1) for number in range(LINKS - len(menu))]
                    result = a_result(claims[url], links=[*menu, *new], body=a_body(url.encode()))
                    page = decode_content(encode_content(result.page), url)  # as it comes from a parser process
                    assert isinstance(page, Page)
                    results.append(replace(result, page=page))
                await store.commit(results, NOW)


def fetch(times: int, port: int) -> None:
    """A page is fetched over a connection that is open already."""
    asyncio.run(_fetch(times, port, "/page"))


def unchanged(times: int, port: int) -> None:
    """A page is asked for again, and has not changed."""
    asyncio.run(_fetch(times, port, "/unchanged"))


async def _fetch(times: int, port: int, path: str) -> None:
    from crawler.config import NetworkConfig, PolitenessConfig
    from crawler.counters import Counters
    from crawler.network.fetcher import open_fetcher
    from crawler.network.session import Concurrency

    workers = Concurrency(workers=1, kept_connections=4)
    network = NetworkConfig(allow_private=("127.0.0.0/8",))
    async with open_fetcher(network, PolitenessConfig(), Counters(), concurrency=workers) as fetcher:
        for _ in range(times):
            answer = await fetcher.fetch(f"http://127.0.0.1:{port}{path}", headers={"If-None-Match": '"1"'})
            assert isinstance(answer, Response), answer


def crawl(times: int, _port: int) -> None:
    """A page is found, lent, fetched without sockets, read in this process and stored."""
    from tests.frontier.crawls import crawled

    with tempfile.TemporaryDirectory() as folder:
        crawled(_web(times), Path(folder, "crawl.db"), "http://a.test/", **_CRAWLED)


def recrawl(times: int, _port: int) -> None:
    """The same, and then the page is asked for again and has not changed."""
    from tests.frontier.crawls import DAY_S, NIGHT, crawled

    with tempfile.TemporaryDirectory() as folder:
        for at in (NIGHT, NIGHT + DAY_S):
            crawled(_web(times), Path(folder, "crawl.db"), "http://a.test/", at=at, max_age_s=3600.0, **_CRAWLED)


_CRAWLED: dict[str, Any] = {"per_host": 8, "concurrency": 8, "trap_rules": False}


def _web(pages: int) -> FakeWeb:
    from crawler.fakeweb.web import FakeWeb

    web = FakeWeb()
    site = web.host("a.test")
    paths = [f"/{number}.html" for number in range(pages)]
    site.page("/", links=paths, headers={"ETag": '"1"'})
    for path in paths:
        site.page(path, links=paths[:20], headers={"ETag": '"1"'})
    return web


UNITS = {unit.__name__: unit for unit in (read, commit, fetch, unchanged, crawl, recrawl)}

if __name__ == "__main__":
    gc.disable()  # when it runs hangs on how much a start has made: one run more was 14 % of `crawl`
    UNITS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
