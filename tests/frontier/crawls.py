"""Whole runs in virtual time: a declared web, a real SQLite file, no socket, no process, and what came of it.

    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=2.0)
    assert done.times("a.test") == [0.0, 2.0, 4.0]

Options are named as in the slices of `CrawlConfig`. Each run begins at `at` (Unix seconds): nights are as far apart as
the test says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, cast

from crawler.clock import Clock
from crawler.config import (
    DEFAULT_USER_AGENT,
    CheckConfig,
    CrawlConfig,
    NetworkConfig,
    PolitenessConfig,
    RecrawlConfig,
    RunConfig,
    ScopeConfig,
)
from crawler.counters import Counters
from crawler.fakeweb import FakeWeb, Request, Site
from crawler.fakeweb.fetcher import open_fake_fetcher
from crawler.hooks import Hooks
from crawler.output.observer import Observer
from crawler.output.summary import Summary
from crawler.own_code import OwnCode
from crawler.parsing.inline import InlineParser
from crawler.parsing.settings import ReaderSettings
from crawler.records import EndReason
from crawler.resumption import sendable
from crawler.run import Parts, Run
from crawler.seeds import parse_seeds
from crawler.storage.interface import Share
from crawler.storage.location import database_at
from tests.frontier.virtual_time import VirtualLoop, in_virtual_time, watched

During: TypeAlias = Callable[[Run, VirtualLoop], None]  # called when the run begins

NIGHT = 1_700_000_000.0
DAY_S = 86_400.0
_SLICES = {
    "scope": ScopeConfig,
    "politeness": PolitenessConfig,
    "network": NetworkConfig,
    "recrawl": RecrawlConfig,
    "run": RunConfig,
    "check": CheckConfig,
}
_QUIET = {
    "allow_private": ("127.0.0.0/8",),
    "delay_s": 0.0,
    "guess_sitemap": False,
    "user_agent": f"{DEFAULT_USER_AGENT} (+https://me.example/bot)",
}


@dataclass(frozen=True)
class Crawled:
    """A run that is over. Times are virtual seconds since its start."""

    summary: Summary
    log: list[Request]
    db: Path
    took_s: float
    notices: list[str] = field(default_factory=list)

    def hits(self, host: str, target: str | None = None) -> list[Request]:
        return [hit for hit in self.log if hit.host == host and target in (None, hit.target)]

    def targets(self, host: str) -> list[str]:
        """What was asked of the host, in order."""
        return [hit.target for hit in self.hits(host)]

    def times(self, host: str, target: str | None = None) -> list[float]:
        """When requests were sent to the host."""
        return [hit.start for hit in self.hits(host, target)]

    def gaps(self, host: str) -> list[float]:
        """Between two requests each."""
        return [round(later - earlier, 6) for earlier, later in pairwise(self.times(host))]

    def urls(self) -> dict[str, tuple[str, str | None]]:
        """Status and reason of all but robots.txt."""
        found = rows(self.db, "SELECT url, status, reason FROM urls WHERE kind <> 'robots'")
        return {url: (status, reason) for url, status, reason in found}

    def status_of(self, url: str) -> str:
        return self.urls()[url][0]

    def pages(self) -> list[str]:
        """The URLs of all versions that are stored, in order."""
        return [
            row[0] for row in rows(self.db, "SELECT url FROM pages JOIN urls ON urls.id = url_id ORDER BY pages.id")
        ]


def crawled(
    web: FakeWeb,
    db: Path,
    *seeds: str,
    at: float = NIGHT,
    during: During = lambda _run, _loop: None,
    hooks: Hooks | None = None,
    share: Callable[[VirtualLoop], Share] | None = None,
    **options: Any,
) -> Crawled:
    """Run once, until it ends by itself or by what `during`, called when it begins, has arranged. `share` gives what of
    the crawl is the run's; None: all.
    """
    config = config_of(db, **options)

    async def run_once(loop: VirtualLoop) -> Crawled:
        counters, clock = Counters(), Clock(monotonic=loop.time, wall=lambda: at + loop.time())
        observer = _Listener()
        async with database_at(db).open_store() as store:
            if share is not None:
                cast(Any, store).share = share(loop)
            with open_fake_fetcher(web, sendable(config.network), counters, clock=clock) as fetcher:
                parts = Parts(
                    store=watched(store, loop),
                    fetcher=fetcher,
                    parser=InlineParser(
                        ReaderSettings(product_token=config.network.product_token, rules=config.all_rules)
                    ),
                    counters=counters,
                )
                run = Run(config, parts, observer, clock, OwnCode(hooks=hooks))
                await run.begin(parse_seeds(seeds))
                during(run, loop)
                summary = await run.crawl()
                return Crawled(summary, fetcher.directory.log, db, loop.time(), observer.notices)

    return in_virtual_time(run_once)


def config_of(db: Path, **options: Any) -> CrawlConfig:
    """Each option goes to the slice that has it."""
    given = _QUIET | options
    hosts: Any = given.pop("hosts", ())
    rules: Any = given.pop("rules", ())
    slices = {}
    for name, kind in _SLICES.items():
        known = {option.name for option in fields(kind)}
        slices[name] = kind(**{option: given.pop(option) for option in list(given) if option in known})
    if given:
        raise TypeError(f"no such options: {', '.join(given)}")
    return CrawlConfig(db=db, hosts=hosts, rules=rules, **slices)


def a_site(
    web: FakeWeb, name: str, pages: int, *, delay_s: float = 0.0, tls: bool = False, address: str | None = None
) -> Site:
    """A home that links to all other pages, '/1', '/2' ...; each answer takes `delay_s`."""
    site = web.host(name, tls=tls, address=address)
    paths = [f"/{number}" for number in range(1, pages)]
    site.page("/", title=name, links=paths, delay_s=delay_s)
    for path in paths:
        site.page(path, title=f"{name}{path}", delay_s=delay_s)
    return site


def copied_after(seconds: float, db: Path, remains: Path) -> During:
    """What a kill -9 at that moment would leave of `db` is copied to `remains`, and the run goes on."""

    def arrange(_run: Run, loop: VirtualLoop) -> None:
        loop.call_later(seconds, _copy, db, remains)

    return arrange


def stopped_after(seconds: float) -> During:
    """What the first Ctrl-C does."""

    def arrange(run: Run, loop: VirtualLoop) -> None:
        loop.call_later(seconds, run.stop, EndReason.INTERRUPTED)

    return arrange


def most_at_once(requests: Iterable[Request]) -> int:
    """How many of the requests were under way at one moment."""
    changes: list[tuple[float, int]] = []
    for hit in requests:
        changes += [(hit.start, 1)] if hit.end is None else [(hit.start, 1), (hit.end, -1)]
    most = under_way = 0
    for _at, change in sorted(changes):
        under_way += change
        most = max(most, under_way)
    return most


def rows(db: Path, sql: str, *parameters: Any) -> list[Any]:
    """What another program sees in the file."""
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, parameters).fetchall()


class _Listener(Observer):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notify(self, text: str, *, urgent: bool = False) -> None:
        self.notices.append(text)


def _copy(db: Path, remains: Path) -> None:
    """What is committed, and nothing else: SQLite's own backup."""
    with closing(sqlite3.connect(db)) as source, closing(sqlite3.connect(remains)) as copy:
        source.backup(copy)
