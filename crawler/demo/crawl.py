"""The demo: a crawl of a small web served on loopback, and what to try next. It needs no internet.

Invariant: the only database that it ever removes is the one at its own default path.
"""

from __future__ import annotations

from pathlib import Path

from crawler.config import (
    DEFAULT_USER_AGENT,
    DEMO_DB,
    CrawlConfig,
    NetworkConfig,
    PolitenessConfig,
    RunConfig,
    ScopeConfig,
    ScopeRule,
)
from crawler.demo.web import DEMO_SEEDS
from crawler.engine import Crawl
from crawler.errors import UsageError
from crawler.fakeweb import Served
from crawler.output.observer import Observer
from crawler.storage.location import database_at


def demo_crawl(served: Served, db: Path, observer: Observer) -> Crawl:
    """A crawl of the demo's web. Raises `UsageError` if `db` exists and is not the demo's own."""
    _remove_last_demo(db)
    config = CrawlConfig(
        db=db,
        scope=ScopeConfig(scope=ScopeRule.DOMAIN),
        politeness=PolitenessConfig(delay_s=0.1),
        network=NetworkConfig(
            user_agent=f"{DEFAULT_USER_AGENT} (+http://localhost/)",  # nobody else is asked for anything
            dns_server=served.dns,
            allow_private=("127.0.0.0/8",),
        ),
        run=RunConfig(max_wait_s=10),
    )
    seeds = [served.with_ports(url) for url in DEMO_SEEDS]
    return Crawl(seeds, config, observer=observer, handle_signals=True)


def next_steps(db: Path, program: str) -> list[tuple[str, str]]:
    """Three things to try on the database, as (what it shows, command); `program` is how to call the crawler."""
    broken = "SELECT page_url, anchor, target_url, cause FROM broken_links LIMIT 10"
    lighthouse = "SELECT title, description FROM current_pages WHERE text LIKE '%lighthouse%' AND NOT noindex LIMIT 5"
    return [
        ("what was found, what was excluded, and why", f"{program} status --db {db}"),
        ("pages with broken links", f'sqlite3 -box {db} "{broken}"'),
        ("pages that mention lighthouses", f'sqlite3 -box {db} "{lighthouse}"'),
    ]


def _remove_last_demo(db: Path) -> None:
    if not db.exists():
        return
    if db != DEMO_DB:
        raise UsageError(f"{db} already exists, and the demo needs a new file; choose another with --db")
    with database_at(db).hold():
        for name in (db.name, f"{db.name}-wal", f"{db.name}-shm"):
            db.with_name(name).unlink(missing_ok=True)
