"""Many hosts, one crawl, several processes on PostgreSQL: what a page costs the workers and the server.

The same hosts for all, each with the first pages of a real site. The first process begins the run, further ones are
workers that wait for it; on a machine with few cores they share these with the server and with nginx, so that what
counts is CPU, not pages a second. SQLite's crawl of the same hosts stands beside.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.measure import ROOT, bound, run
from tests.benchmarks.ours import LOOPBACK, command
from tests.benchmarks.servers import host_name, name_server, nginx
from tests.benchmarks.site import CORPORA
from tests.postgres.instance import Instance, an_instance
from tests.postgres.sql import execute, rows

_HOSTS, _QUICK_HOSTS = 200, 20
_PAGES_OF_HOST = 100
_SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "max_wal_size": "4GB"}
_FIGURES = (
    Figure(key="cpu_ms", title="CPU ms per page", digits=2, panel="CPU milliseconds a page, all workers"),
    Figure(key="server_ms", title="server's", digits=2, panel="CPU milliseconds a page, the server"),
    Figure(key="pages_per_s", title="pages/s", panel="pages a second"),
    Figure(key="log_kb", title="log KB per page", digits=1),
    Figure(key="peak_mb", title="peak MB", panel="peak memory of the first process and its parsers, MB"),
    Figure(key="pages", title="pages", published=False),
    Figure(key="wall_s", title="seconds", digits=1, published=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Web:
    """What is crawled."""

    seeds: tuple[str, ...]
    options: tuple[str, ...]
    dns: str


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    root = CORPORA.get(setup.corpus, Path(setup.corpus))
    missing = None if root.is_dir() else f"apt-get install {setup.corpus}, or name a folder with --corpus"
    hosts = _QUICK_HOSTS if setup.quick else _HOSTS
    served = f"root {root.resolve()}; index index.html;"
    with (
        nginx(setup.work / "nginx", served, wildcard=True) as server,
        name_server() as dns,
        an_instance() as instance,
    ):
        instance.create()
        instance.start(**_SAFE)
        web = _Web(
            seeds=tuple(f"http://{host_name(number)}:{server.port}/" for number in range(hosts)),
            options=("--delay", "0", "--max-pages-per-host", str(_PAGES_OF_HOST)),
            dns=dns,
        )
        contenders = [Contender(name="SQLite", settings=_settings(web), run=partial(_in_file, web), missing=missing)]
        contenders += [
            Contender(
                name=f"PostgreSQL, {workers} worker{'s' if workers > 1 else ''}",
                settings=_settings(web),
                run=partial(_on_server, web, instance, workers),
                missing=missing,
                against="SQLite",
            )
            for workers in (1, 2, 3, 4)
        ]
        scores = in_turn(setup, "cluster", contenders)
    notes = [
        f"{hosts} hosts, the first {_PAGES_OF_HOST} pages of {setup.corpus} of each, from nginx on the same machine, no"
        " delay; all that is stored as in any crawl, with bodies.",
        "The PostgreSQL server is on the same machine, too, and waits for the disk at each commit (fsync,"
        " synchronous_commit).",
        "CPU: of all workers with their parsers. The server's: of all of its processes.",
    ]
    return [
        Outcome(
            case="cluster",
            subject="store",
            title="One crawl, several processes",
            notes=notes,
            figures=_FIGURES,
            scores=scores,
        )
    ]


def _settings(web: _Web) -> str:
    return " ".join(web.options)


def _in_file(web: _Web, folder: Path) -> Figures:
    db = folder / "crawl.db"
    usage = run(_begin(web, str(db), folder), folder, timeout_s=3600)
    with closing(sqlite3.connect(db)) as connection:
        [pages] = connection.execute("SELECT count(*) FROM pages").fetchone()
    db.unlink()
    return {**usage.figures(), "pages": pages, "pages_per_s": pages / usage.wall_s, "cpu_ms": 1e3 * usage.cpu_s / pages}


def _on_server(web: _Web, instance: Instance, workers: int, folder: Path) -> Figures:
    name = f"bench_{os.getpid()}_{workers}"
    execute(instance.dsn(), f"CREATE DATABASE {name}")
    db = instance.dsn(name)
    cpu_before, log_before = instance.cpu_s(), _log_bytes(instance)
    try:
        with _waiting_workers(web, db, workers - 1, folder) as others:
            usage = run(_begin(web, db, folder), folder, timeout_s=3600)
        pages = rows(db, "SELECT count(*)::int FROM pages")[0][0]
        return {
            **usage.figures(),
            "pages": pages,
            "pages_per_s": pages / usage.wall_s,
            "cpu_ms": 1e3 * (usage.cpu_s + others.cpu_s) / pages,
            "server_ms": 1e3 * (instance.cpu_s() - cpu_before) / pages,
            "log_kb": (_log_bytes(instance) - log_before) / 1e3 / pages,
        }
    finally:
        execute(instance.dsn(), f"DROP DATABASE {name} WITH (FORCE)")


def _begin(web: _Web, db: str, folder: Path) -> list[str]:
    arguments = [*LOOPBACK, "--dns-server", web.dns, *web.options, *web.seeds]
    return command(arguments, db=db, summary=folder / "summary.json")


# --- the other workers ------------------------------------------------------------------------------------------------


class _Used:
    """The CPU seconds of processes that have ended."""

    cpu_s = 0.0


@contextmanager
def _waiting_workers(web: _Web, db: str, number: int, folder: Path) -> Iterator[_Used]:
    """So many that wait for a run, and are ended after it."""
    used = _Used()
    line = [sys.executable, "-P", "-m", "crawler", "worker", "--db", db, "--stay", "--quiet", "--dns-server", web.dns]
    with (folder / "workers").open("w") as said:
        processes = [
            subprocess.Popen([*bound(), *line], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            for _ in range(number)
        ]
        try:
            yield used
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                _pid, _status, usage = os.wait4(process.pid, 0)
                process.returncode = 0
                used.cpu_s += usage.ru_utime + usage.ru_stime


def _log_bytes(instance: Instance) -> int:
    return int(rows(instance.dsn(), "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")[0][0])
