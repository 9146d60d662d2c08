"""Resuming a crawl with millions of pending URLs, against one with few.

The databases are filled through SQL as a crawl would have left them: hosts in turn, so the rows of one host lie far
apart, paths that sort like hashes, and a copy of every robots.txt that has not expired. The same on PostgreSQL, on this
machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from crawler.config import CrawlConfig, ScopeConfig, ScopeRule
from crawler.storage.sqlite.database import open_writer
from tests.benchmarks.contest import Contender, Figure, Figures, Outcome, Setup, in_turn, say
from tests.benchmarks.frontier_postgres import Server, server_with
from tests.benchmarks.ours import LOOPBACK, crawl
from tests.benchmarks.pages import page
from tests.benchmarks.servers import Nginx, host_name, name_server, nginx

_FEW, _MANY, _QUICK_MANY = 10_000, 10_000_000, 1_000_000
_HOSTS = 1_000
_PAGES = 3_000
_NEW_LINKS, _KNOWN_LINKS = 10, 10  # on every page
_SCOPE = ScopeConfig(scope=ScopeRule.ANY, max_pages=_PAGES, trap_rules=False)
_ARGUMENTS = ["--delay", "0", "--scope", _SCOPE.scope, "--max-pages", str(_SCOPE.max_pages), "--no-trap-rules"]
_FIGURES = (
    Figure(key="pages_per_s", title="pages/s", panel="pages a second, from the first request to the last"),
    Figure(key="first_request_s", title="first request s", digits=2, panel="seconds from command to first request"),
    Figure(key="end_s", title="end s", digits=2),
    Figure(key="peak_mb", title="peak MB", panel="peak memory, all processes, MB"),
    Figure(key="wall_s", title="seconds", digits=1),
    Figure(key="cpu_s", title="CPU s", digits=1),
    Figure(key="pages", title="pages"),
    Figure(key="database_mb", title="database MB"),
)

_FILL_RUNS = "INSERT INTO runs (started_at, ended_at, end_reason, options) VALUES (?1, ?1, 'interrupted', ?2)"

_FILL_HOSTS = "INSERT INTO hosts (name, next_due_at) SELECT value, ?2 FROM json_each(?1)"

_FILL_ORIGINS = """
INSERT INTO origins (host_id, origin, robots_status, robots_body, robots_fetched_at, robots_expires_at)
SELECT id, 'http://' || name || ':' || ?1, 404, x'', ?2, ?2 + 86400 FROM hosts
"""

# Knuth's multiplicative hash spreads the paths over the unique index, as those of real crawls are.
_FILL_URLS = f"""
WITH RECURSIVE numbers (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2)
INSERT INTO urls (url, host_id, kind, status, depth, discovered_at, next_fetch_at)
SELECT printf('http://%s:%d/articles/%08x-%d.html', h.name, ?3, (n * 2654435761) & 4294967295, n), h.id,
    'page', 'pending', 1, ?4, ?4 + n * 1e-6
FROM numbers CROSS JOIN hosts AS h ON h.id = 1 + n % {_HOSTS}
"""
_FILL_BATCH = 500_000
_FILL_CACHE_KIB = 2 * 1024 * 1024  # with the indexes in memory, filling takes minutes and not hours


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    many = setup.pending or (_QUICK_MANY if setup.quick else _MANY)
    databases = {pending: setup.work / f"{pending}.db" for pending in (_FEW, many)}
    # One server for all: its port is part of the stored URLs.
    with (
        nginx(setup.work / "nginx", _SERVED, wildcard=True) as server,
        name_server() as dns,
        server_with(_names(), _options(), server.port, _known_urls(server.port)) as postgres,
    ):
        for pending, database in databases.items():
            started = time.monotonic()
            asyncio.run(fill(database, pending, server.port))
            say(f"frontier: {pending:,} pending URLs stored, {time.monotonic() - started:.0f} s")
        contenders = [
            Contender(
                name=name,
                settings=" ".join(_ARGUMENTS),
                run=partial(_resume, server, dns, databases[pending], cold),
                against=f"{_FEW:,} pending" if pending != _FEW else None,
            )
            for name, pending, cold in (
                (f"{_FEW:,} pending", _FEW, False),
                (f"{many:,} pending", many, False),
                (f"{many:,} pending, cold disk", many, True),
            )
        ]
        contenders += [
            Contender(
                name=f"PostgreSQL, {pending:,} pending",
                settings=" ".join(_ARGUMENTS),
                run=partial(_resume_on_server, server, dns, postgres, pending),
                against=f"PostgreSQL, {_FEW:,} pending" if pending != _FEW else None,
            )
            for pending in (_FEW, many)
        ]
        scores = in_turn(setup, "frontier", contenders)
    notes = [
        f"Resuming a crawl of {_HOSTS:,} hosts, for {_PAGES:,} more pages of about 2 KB, each with {_NEW_LINKS} new"
        f" and {_KNOWN_LINKS} known links; robots.txt is known.",
        "First request: from the command to the first one in nginx's log. End: from the last one to the exit.",
        "Cold disk: the database file is not in the system's cache. PostgreSQL: CPU and memory without the server's.",
    ]
    return [
        Outcome(
            case="frontier",
            title=f"Resuming with {many:,} pending URLs",
            notes=notes,
            figures=_FIGURES,
            scores=scores,
        )
    ]


def _known_links() -> Iterator[str]:
    """The first URLs of every database."""
    for number in range(_KNOWN_LINKS):
        path = f"/articles/{(number * 2654435761) & 4294967295:08x}-{number}.html"
        yield f"http://{host_name(number)}:$server_port{path}"


def _known_urls(port: int) -> list[str]:
    return [url.replace("$server_port", str(port)) for url in _known_links()]


_NEW = [f"/articles/$request_id-{number}.html" for number in range(_NEW_LINKS)]
_SERVED = f"""
location = /robots.txt {{ return 404; }}
location / {{ default_type "text/html; charset=utf-8"; return 200 '{page("An article", [*_NEW, *_known_links()])}'; }}
"""


async def fill(path: Path, pending: int, port: int) -> None:
    """A database with so many pending URLs of the hosts of this port. The triggers count along, as in a crawl."""
    now = time.time() - 60
    async with open_writer(path) as connection:
        await connection.execute(f"PRAGMA cache_size = -{_FILL_CACHE_KIB}")
        await connection.execute(_FILL_RUNS, (now, _options()))
        await connection.execute(_FILL_HOSTS, (json.dumps(_names()), now))
        await connection.execute(_FILL_ORIGINS, (port, now))
        for start in range(0, pending, _FILL_BATCH):
            await connection.execute(_FILL_URLS, (start, min(start + _FILL_BATCH, pending), port, now))


def _names() -> list[str]:
    return [host_name(number) for number in range(_HOSTS)]


def _options() -> str:
    """Of the run that was interrupted."""
    return json.dumps(CrawlConfig(scope=_SCOPE).storable())


def _resume(server: Nginx, dns: str, database: Path, cold: bool, folder: Path) -> Figures:
    """On a copy, so that every round finds the same."""
    db = folder / "crawl.db"
    shutil.copyfile(database, db)
    _settle(db, cold=cold)
    figures = _crawled(server, dns, db, folder)
    db.unlink()
    return {**figures, "database_mb": database.stat().st_size / 1e6}


def _resume_on_server(server: Nginx, dns: str, postgres: Server, pending: int, folder: Path) -> Figures:
    with postgres.copy_of(pending) as (db, size_mb):
        return {**_crawled(server, dns, db, folder), "database_mb": size_mb}


def _crawled(server: Nginx, dns: str, db: Path | str, folder: Path) -> dict[str, float]:
    usage, summary = crawl(folder, [*LOOPBACK, "--dns-server", dns, *_ARGUMENTS], db=db)
    times = [hit.at for hit in server.hits() if hit.at >= usage.started_at]
    return {
        **usage.figures(),
        "pages": summary["pages"],
        "pages_per_s": summary["pages"] / (times[-1] - times[0]),
        "first_request_s": times[0] - usage.started_at,
        "end_s": usage.started_at + usage.wall_s - times[-1],
    }


def _settle(path: Path, *, cold: bool) -> None:
    """Have the copy on disk before anything is measured; `cold`: and nowhere else."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if cold:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
