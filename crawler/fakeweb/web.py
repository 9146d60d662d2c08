"""A whole web: its hosts, including generated ones, and how to serve them."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from random import Random

from crawler.fakeweb.server import Served
from crawler.fakeweb.sites import DnsBehaviour, Listening, Site

_WORDS = """
anchor beacon boat breeze bridge buoy canal captain cargo chart coast compass crane crew current deck dock drift ferry
fish flag fleet fog gale gull harbour haul helm hull island jetty keel knot lamp lantern light mast moor net oar pier
pilot port quay rope rudder sail salt sand sea shell ship shore signal storm tide timber tower tug vessel voyage watch
wave wharf wind wreck yard
""".split()  # noqa: SIM905 - read by people


class FakeWeb:
    """A web to declare hosts in. While it is served, pages may be declared again, but no new hosts."""

    def __init__(self) -> None:
        self.sites: dict[str, Site] = {}

    def host(
        self,
        name: str,
        *,
        address: str | None = None,
        tls: bool = False,
        keep_alive: bool = True,
        listening: Listening = True,
        dns: DnsBehaviour | None = None,
        ttl_s: int = 60,
    ) -> Site:
        """Declare an empty site at a host name (lower case, IDNs as A-labels).

        '*.a.test' is every name below a.test that is not declared (RFC 4592); handlers see which in `Request.host`.

        `address`: given to share one, or for `::1`; else the next free one of 127.1/16. `tls`: it also answers https,
        on `served.tls_port`. `keep_alive=False`: every answer closes its connection. `listening=False`: the name
        resolves, connections are refused (not with `wildcard`); 'silent': an attempt to connect gets no answer, as
        behind a firewall. `dns`: what the DNS server does when asked for it: a
        word, other addresses (IPv6 ones answer AAAA), or a function of the name; by default it gives the address.
        """
        if name in self.sites:
            raise ValueError(f"{name} is declared already")
        site = Site(
            name=name,
            address=address or self._next_address(),
            tls=tls,
            keep_alive=keep_alive,
            listening=listening,
            dns=dns,
            ttl_s=ttl_s,
        )
        self.sites[name] = site
        return site

    def site(self, name: str, *, pages: int, links_per_page: int = 8, words_per_page: int = 60, seed: int = 1) -> Site:
        """Declare a host with a pseudo-random but reproducible graph of pages: '/', '/p1', ... '/p<pages - 1>'.

        Every page can be reached from '/': half of a page's links (at least one) form a tree, the others go anywhere.
        """
        site = self.host(name)
        random = Random(f"{name} {seed}")
        branches = max(1, links_per_page // 2)
        for number in range(pages):
            children = range(number * branches + 1, min((number + 1) * branches + 1, pages))
            others = [random.randrange(pages) for _ in range(links_per_page - len(children))]
            links = [(_page_path(other), f"To page {other}") for other in (*children, *others)]
            text = " ".join(random.choices(_WORDS, k=words_per_page))
            site.page(_page_path(number), title=f"{name} page {number}", text=text, links=links)
        return site

    def hosts(self, count: int, pages_each: int, *, links_per_page: int = 4, seed: int = 1) -> list[Site]:
        """Declare `h000.test`, `h001.test`, ...: each a generated site whose home also links to the next host's."""
        sites = [
            self.site(f"h{number:03d}.test", pages=pages_each, links_per_page=links_per_page, seed=seed)
            for number in range(count)
        ]
        for site, following in zip(sites, [*sites[1:], *sites[:1]], strict=True):
            links = [*site.links["/"], f"http://{following.name}/"]
            site.page("/", title=f"{site.name} home", text=" ".join(_WORDS[:20]), links=links)
        return sites

    @asynccontextmanager
    async def serve(
        self, *, port: int = 0, ssl_context: ssl.SSLContext | None = None, wildcard: bool = False
    ) -> AsyncIterator[Served]:
        """Serve this web in the running event loop.

        `port`: a fixed one for http, to come back under the same URLs; 0 picks one that is free at every address.
        `ssl_context`: for the hosts declared with `tls`. `wildcard`: one socket at 0.0.0.0 (reachable from outside!)
        instead of one an address. Raises `OSError` where a port is taken and, at the end, an `ExceptionGroup` of what
        handlers raised.
        """
        served = Served(self.sites)
        try:
            await served.open(port=port, ssl_context=ssl_context, wildcard=wildcard)
            yield served
        finally:
            await served.close()
        if served.errors:
            raise ExceptionGroup("handlers of the fake web failed", served.errors)

    @contextmanager
    def running(
        self, *, port: int = 0, ssl_context: ssl.SSLContext | None = None, wildcard: bool = False
    ) -> Iterator[Served]:
        """As `serve`, in a thread of its own with its own event loop: for code that blocks or starts processes.

        The logs may be read from any thread at any time: they only grow.
        """
        opened: Future[tuple[Served, Callable[[], object]]] = Future()

        async def serve_until_stopped() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with self.serve(port=port, ssl_context=ssl_context, wildcard=wildcard) as served:
                opened.set_result((served, lambda: loop.call_soon_threadsafe(stop.set)))
                await stop.wait()

        def pass_on_failure(serving: Future[None]) -> None:
            if not opened.done():
                opened.set_exception(serving.exception())

        with ThreadPoolExecutor(1, thread_name_prefix="fakeweb") as executor:
            serving = executor.submit(asyncio.run, serve_until_stopped())
            serving.add_done_callback(pass_on_failure)
            served, stop = opened.result()
            try:
                yield served
            finally:
                stop()
            serving.result()

    def _next_address(self) -> str:
        taken = {site.address for site in self.sites.values()}
        candidates = (f"127.1.{high}.{low}" for high in range(256) for low in range(1, 255))
        return next(address for address in itertools.islice(candidates, len(taken), None) if address not in taken)


def _page_path(number: int) -> str:
    return f"/p{number}" if number else "/"
