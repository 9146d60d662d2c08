"""The second night on an unchanged site: only 304s, requested by the crawl and by a bare shared session."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.measure import run
from tests.benchmarks.ours import LOOPBACK, crawl
from tests.benchmarks.pages import page
from tests.benchmarks.servers import LOOPBACK as ADDRESS
from tests.benchmarks.servers import Nginx, nginx

_CONCURRENCY = 32
_PAGES, _QUICK_PAGES = 10_000, 3_000
_FIGURES = (
    Figure(key="requests_per_s", title="requests/s", panel="requests a second"),
    Figure(key="elapsed_s", title="seconds", digits=2),
    Figure(key="unchanged", title="304"),
    Figure(key="growth_percent", title="database grew by %", digits=2),
    Figure(key="cpu_s", title="CPU s", digits=1),
    Figure(key="peak_mb", title="peak MB"),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    pages = _QUICK_PAGES if setup.quick else _PAGES
    bare = "one shared session"
    contenders = [
        Contender(name=bare, settings=f"aiohttp, {_CONCURRENCY} at once, uvloop", run=partial(_ask, pages)),
        Contender(
            name="crawler",
            settings=f"--max-age 0s --delay 0 --no-trap-rules --per-host {_CONCURRENCY}",
            run=partial(_crawl_again, pages),
            against=bare,
        ),
    ]
    notes = [
        f"{pages:,} pages of 2 KB from nginx on loopback, {_CONCURRENCY} requests at once, each with the ETag and the"
        " Last-Modified of an earlier response; the earlier requests are not counted.",
        "The crawl stores each response durably, the session nothing.",
    ]
    return [
        Outcome(
            case="recrawl",
            title=f"{pages:,} unchanged pages, refetched",
            notes=notes,
            figures=_FIGURES,
            scores=in_turn(setup, "recrawl", contenders),
        )
    ]


def _ask(pages: int, folder: Path) -> Figures:
    with _served(pages, folder) as server:
        url = f"http://{ADDRESS}:{server.port}"
        amount = ("--requests", str(pages), "--concurrency", str(_CONCURRENCY))
        command = [sys.executable, "-m", "tests.benchmarks.session_client", "again", url, *amount]
        usage = run(command, folder, timeout_s=900)
        unchanged = _unchanged(server, pages)
    return {**usage.figures(), **json.loads(usage.out), "unchanged": unchanged}


def _crawl_again(pages: int, folder: Path) -> Figures:
    db = folder / "crawl.db"
    with _served(pages, folder) as server:
        friendly = ("--delay", "0", "--no-trap-rules", "--per-host", str(_CONCURRENCY), "--per-ip", str(_CONCURRENCY))
        arguments = [*LOOPBACK, *friendly, "--concurrency", str(_CONCURRENCY), f"http://{ADDRESS}:{server.port}/p/0"]
        crawl(folder, arguments, db=db)
        size = db.stat().st_size
        usage, summary = crawl(folder, [*arguments, "--max-age", "0s"], db=db)
        unchanged = _unchanged(server, pages)
    return {
        **usage.figures(),
        "elapsed_s": summary["elapsed_s"],
        "requests_per_s": summary["requests"] / summary["elapsed_s"],
        "unchanged": unchanged,
        "growth_percent": 100 * (db.stat().st_size / size - 1),
    }


def _served(pages: int, folder: Path) -> AbstractContextManager[Nginx]:
    """Pages in a tree, ten links each."""
    root = folder / "root" / "p"
    root.mkdir(parents=True)
    for number in range(pages):
        links = [f"/p/{child}" for child in range(10 * number + 1, 10 * number + 11) if child < pages]
        (root / str(number)).write_text(page(f"Page {number}", links))
    (folder / "root" / "robots.txt").write_text("User-agent: *\nDisallow:\n")
    return nginx(folder / "nginx", f"root {folder / 'root'}; location /p/ {{ default_type text/html; }}")


def _unchanged(server: Nginx, pages: int) -> int:
    unchanged = sum(hit.status == 304 for hit in server.hits())
    if unchanged != pages:
        raise ContenderFailedError(f"{unchanged:,} of {pages:,} answers were 304")
    return unchanged
