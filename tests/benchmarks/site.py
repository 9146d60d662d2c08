"""One large site, politeness off: the crawler against its peers, those first that do the same job and store all.

Pages are counted by the server: distinct URLs that it answered with a page of HTML. Who stores pages is measured by
those that it has stored in the end, which may be fewer.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.crawlers import CRAWLER, Crawler, Visit, everyone
from tests.benchmarks.servers import LOOPBACK, Hit, nginx

CORPORA = {
    "openjdk-17-doc": Path("/usr/share/doc/openjdk-17-jre-headless/api"),
    "postgresql-doc-15": Path("/usr/share/doc/postgresql-doc-15/html"),
}
_LIMIT, _QUICK_LIMIT = 500, 300  # pages, for those who would take minutes
_SLOW_ROUNDS = 3
_FEWEST = 100  # pages; spider, for one, sees no links below an XML declaration, as postgresql-doc-15 has them
FIGURES = (
    Figure(key="pages_per_s", title="pages/s", panel="pages a second"),
    Figure(key="cpu_ms_per_page", title="CPU ms per page", digits=2, panel="CPU milliseconds a page, all processes"),
    Figure(key="peak_mb", title="peak MB", panel="peak memory, all processes, MB"),
    Figure(key="kept", title="pages stored"),
    Figure(key="stored_mb", title="MB stored"),
    Figure(key="pages", title="pages served", published=False),
    Figure(key="requests", title="requests", published=False),
    Figure(key="connections", title="connections", published=False),
    Figure(key="wall_s", title="seconds", digits=1, published=False),
    Figure(key="cpu_s", title="CPU s", digits=1, published=False),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    root = CORPORA.get(setup.corpus, Path(setup.corpus))
    missing = None if root.is_dir() else f"apt-get install {setup.corpus}, or name a folder with --corpus"
    limit = _QUICK_LIMIT if setup.quick else _LIMIT
    contenders = [
        Contender(
            name=one.name,
            settings=one.settings,
            stores=one.stores,
            run=partial(_run, root, one),
            missing=missing or one.missing,
            against=None if one.name == CRAWLER else CRAWLER,
            most_rounds=_SLOW_ROUNDS if one.slow else None,
        )
        for one in everyone(setup, limit=limit)
    ]
    notes = [
        f"{setup.corpus}, from nginx (one worker) on the same machine; pages are counted in its log.",
        f"Scrapy and Crawlee stop after {limit:,} pages; the whole site would take them minutes.",
        "Pages/s are stored pages where pages are stored. spider drops pages that its callback is too slow for.",
        "The crawler and wget2 are timed from command to exit, the others by their own clock, without their start-up.",
    ]
    return [
        Outcome(
            case="site",
            subject="crawler",
            title=f"One large site: {setup.corpus}",
            notes=notes,
            figures=FIGURES,
            scores=in_turn(setup, "site", contenders),
        )
    ]


def _run(root: Path, crawler: Crawler, folder: Path) -> Figures:
    """One contender against a server that nobody has used yet."""
    with nginx(folder / "nginx", f"root {root.resolve()}; index index.html;") as server:
        visit = Visit(folder=folder, url=f"http://{LOOPBACK}:{server.port}/")
        return measured(crawler, visit, server.hits)


def measured(crawler: Crawler, visit: Visit, hits_now: Callable[[], list[Hit]]) -> Figures:
    """Have the site crawled; what that took, and what it left. The store is emptied: ten thousand files add up."""
    done = crawler.crawl(visit)
    hits = hits_now()
    served = len({hit.target for hit in hits if hit.is_page})
    if served < _FEWEST:
        raise ContenderFailedError(f"it found only {served} pages of this site")
    pages = served if done.kept is None else done.kept
    stored_mb = sum(file.stat().st_size for file in visit.store.rglob("*") if file.is_file()) / 1e6
    shutil.rmtree(visit.store)
    return {
        **done.usage.figures(),
        "pages": served,
        "kept": done.kept or 0,
        "pages_per_s": pages / done.elapsed_s,
        "requests": len(hits),
        "received_mb": sum(hit.sent for hit in hits) / 1e6,
        "connections": len({hit.connection for hit in hits}),
        "cpu_ms_per_page": done.usage.cpu_s * 1000 / max(1, pages),
        "stored_mb": stored_mb,
    }
