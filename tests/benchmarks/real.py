"""Pages as large as those of the real web, compressed, over TLS: what a core does in a second, and what a kill costs.

The site is made up (see `corpus`). One contender is killed with all its processes when it has half of the site, and run
again: what was stored must still be there, and the rest must come. How many pages it fetched twice is counted.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.corpus import write_site
from tests.benchmarks.crawlers import CRAWLER, OURS, TIMEOUT_S, Crawler, Visit, crawlers, everyone
from tests.benchmarks.measure import run
from tests.benchmarks.ours import command
from tests.benchmarks.servers import LOOPBACK, Certificate, Hit, issued_certificate, nginx
from tests.benchmarks.site import measured

_PAGES, _QUICK_PAGES = 2_000, 300
_LIMIT, _QUICK_LIMIT = 200, 100  # pages, for those who would take minutes
_SLOW_ROUNDS = 2
_FIGURES = (
    Figure(key="pages_per_s", title="pages/s", panel="pages a second"),
    Figure(key="pages_per_core_s", title="pages/s per core", panel="pages a second of CPU, all processes"),
    Figure(key="peak_mb", title="peak MB", panel="peak memory, all processes, MB"),
    Figure(key="kept", title="pages stored"),
    Figure(key="stored_mb", title="MB stored"),
    Figure(key="lost", title="lost"),
    Figure(key="fetched_again", title="fetched twice"),
    Figure(key="cpu_ms_per_page", title="CPU ms per page", digits=2, published=False),
    Figure(key="received_mb", title="MB received", published=False),
    Figure(key="requests", title="requests", published=False),
    Figure(key="connections", title="connections", published=False),
    Figure(key="wall_s", title="seconds", digits=1, published=False),
    Figure(key="cpu_s", title="CPU s", digits=1, published=False),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    pages = _QUICK_PAGES if setup.quick else _PAGES
    root = setup.work / "site"
    write_site(root, pages)
    certificate = issued_certificate(setup.work)
    sizes = sorted(file.stat().st_size for file in root.glob("*.html"))
    sent = sum(file.stat().st_size for file in root.glob("*.gz"))
    notes = [
        f"{pages:,} made-up pages of {sizes[0] / 1000:.0f} to {sizes[-1] / 1000:.0f} KB, {sizes[pages // 2] / 1000:.0f}"
        f" in the median: {sum(sizes) / 1e6:.0f} MB, {sent / 1e6:.0f} as sent with gzip. nginx (one worker)"
        " serves them over TLS 1.3; everybody is told to trust the authority that was made for it.",
        "Pages/s per core: pages divided by the seconds of CPU of all the contender's processes, without the server's.",
        "Killed: SIGKILL for all its processes when half of the pages were served, and then the same command again."
        " Lost: pages of the site that are not stored in the end, or that were stored before the kill and no more.",
    ]
    return [
        Outcome(
            case="real",
            subject="crawler",
            title=f"{pages:,} pages of real size over TLS",
            notes=notes,
            figures=_FIGURES,
            scores=in_turn(setup, "real", list(_contenders(setup, root, certificate, pages))),
        )
    ]


def _contenders(setup: Setup, root: Path, certificate: Certificate, pages: int) -> Iterator[Contender]:
    us = next(crawlers(setup))
    yield Contender(
        name=f"{CRAWLER}, without TLS",
        settings=us.settings,
        stores=us.stores,
        run=partial(_run, root, None, us),
        against=CRAWLER,
    )
    yield Contender(
        name=f"{CRAWLER}, killed",
        settings=us.settings,
        stores=us.stores,
        run=partial(_killed, root, certificate, pages),
        against=CRAWLER,
    )
    for one in everyone(setup, limit=_QUICK_LIMIT if setup.quick else _LIMIT):
        yield Contender(
            name=one.name,
            settings=one.settings,
            stores=one.stores,
            run=partial(_run, root, certificate, one),
            missing=one.missing,
            against=None if one.name == CRAWLER else CRAWLER,
            most_rounds=_SLOW_ROUNDS if one.slow else None,
        )


def _served(root: Path) -> str:
    return f"root {root}; index index.html; gzip_static on; gzip_vary on;"


def _run(root: Path, certificate: Certificate | None, crawler: Crawler, folder: Path) -> Figures:
    with nginx(folder / "nginx", _served(root), certificate=certificate) as server:
        protocol, authority = ("https", certificate.authority) if certificate else ("http", None)
        visit = Visit(folder=folder, url=f"{protocol}://{LOOPBACK}:{server.port}/", authority=authority)
        figures = measured(crawler, visit, server.hits)
    return {**figures, "pages_per_core_s": 1000 / figures["cpu_ms_per_page"]}


def _killed(root: Path, certificate: Certificate, pages: int, folder: Path) -> Figures:
    """Kill it, look at what it left, and have it go on."""
    with nginx(folder / "nginx", _served(root), certificate=certificate) as server:
        visit = Visit(folder=folder, url=f"https://{LOOPBACK}:{server.port}/", authority=certificate.authority)
        db = visit.store / "crawl.db"
        line = command([*OURS, visit.url], db=db, summary=folder / "summary.json")
        run_it = partial(run, line, folder, timeout_s=TIMEOUT_S, environment=visit.trust)
        first = run_it(killed_when=lambda: len(_pages(server.hits())) > pages // 2, good=(-signal.SIGKILL,))
        before = _stored(db)
        second = run_it()
        stored = _stored(db)
        hits = _pages(server.hits())
    seconds = first.wall_s + second.wall_s
    size = db.stat().st_size / 1e6
    shutil.rmtree(visit.store)
    return {
        "pages_per_s": len(stored) / seconds,
        "peak_mb": max(first.peak_rss_bytes, second.peak_rss_bytes) / 1e6,
        "kept": len(stored),
        "stored_mb": size,
        "lost": pages - len(stored) + len(before - stored),
        "fetched_again": sum(count - 1 for count in Counter(hits).values()),
        "wall_s": seconds,
    }


def _pages(hits: list[Hit]) -> list[str]:
    return [hit.target for hit in hits if hit.is_page]


def _stored(db: Path) -> set[str]:
    """The pages whose text and body are there, in a database that is whole."""
    with closing(sqlite3.connect(db)) as connection:
        if (told := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            raise ContenderFailedError(f"the database is damaged: {told}")
        return {
            url
            for (url,) in connection.execute(
                "SELECT url FROM urls JOIN pages ON pages.id = urls.page_id JOIN bodies ON hash = body_hash"
                " WHERE text <> ''"
            )
        }
