"""One large site, politeness off, everything stored: the crawler against its peers.

Pages are counted by the server: distinct URLs that it answered with a page of HTML. The crawler and wget2 are timed
from the command to the end of the process, the others by their own clock from the start of the crawl, in their favour.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.measure import Usage, run
from tests.benchmarks.ours import crawl
from tests.benchmarks.servers import LOOPBACK, Hit, nginx, program

_CORPORA = {
    "openjdk-17-doc": Path("/usr/share/doc/openjdk-17-jre-headless/api"),
    "postgresql-doc-15": Path("/usr/share/doc/postgresql-doc-15/html"),
}
_CRAWLER = "crawler"
_PER_HOST, _CONCURRENCY, _PER_IP = 16, 32, 64
_LIMIT, _QUICK_LIMIT = 1500, 300  # pages, for those who would take minutes
_FEWEST = 100  # pages; spider, for one, sees no links below an XML declaration, as postgresql-doc-15 has them
_TIMEOUT_S = 900
_WGET_SAW_ERRORS = 8  # wget2(1), "Exit status": such as a link that is dead
_PEERS = Path(__file__).with_name("peers")
_SPIDER = ("@spider-rs/spider-rs", "@spider-rs/spider-rs-linux-x64-gnu")
_OURS = ["--delay", "0", "--per-host", str(_PER_HOST), "--concurrency", str(_CONCURRENCY), "--per-ip", str(_PER_IP)]
_FIGURES = (
    Figure(key="pages_per_s", title="pages/s", panel="pages a second"),
    Figure(key="pages", title="pages"),
    Figure(key="requests", title="requests"),
    Figure(key="connections_per_request", title="connections/request", digits=4),
    Figure(key="wall_s", title="seconds", digits=1),
    Figure(key="cpu_s", title="CPU s", digits=1),
    Figure(key="cpu_ms_per_page", title="CPU ms/page", digits=2, panel="CPU milliseconds a page, all processes"),
    Figure(key="peak_mb", title="peak MB", panel="peak memory, all processes, MB"),
    Figure(key="stored_mb", title="stored MB"),
)

Crawl = Callable[[Path, str], tuple[Usage, float]]  # folder, URL -> what it used, and the seconds that count


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    root = _CORPORA.get(setup.corpus, Path(setup.corpus))
    contenders = _contenders(setup, root)
    limit = _QUICK_LIMIT if setup.quick else _LIMIT
    notes = [
        f"{setup.corpus}, from nginx (one worker) on the same machine; pages are counted in its log.",
        f"Scrapy and Crawlee stop after {limit:,} pages; the whole site would take them minutes.",
        "spider stores nothing, wget2 stores files and builds no parse tree; the others store title, text, links,"
        " body.",
        "The crawler and wget2 are timed from command to exit, the others by their own clock, without their start-up.",
    ]
    return [
        Outcome(
            case="site",
            title=f"One large site: {setup.corpus}",
            notes=notes,
            figures=_FIGURES,
            scores=in_turn(setup, "site", contenders),
        )
    ]


def _contenders(setup: Setup, root: Path) -> list[Contender]:
    missing = None if root.is_dir() else f"apt-get install {setup.corpus}, or name a folder with --corpus"
    limit = str(_QUICK_LIMIT if setup.quick else _LIMIT)
    modules = _node_modules(setup)
    wget2 = program("wget2") or "wget2"
    shared = f"{_CONCURRENCY} at once, {_PER_HOST} a host, robots.txt obeyed, at most {limit} pages"
    parts: list[tuple[str, str, Crawl, str | None]] = [
        (_CRAWLER, " ".join(_OURS), _ours, None),
        ("wget2", f"-r -l inf, {_PER_HOST} threads", partial(_wget2, wget2), _lacks_program("wget2")),
        ("spider", "its defaults, robots.txt obeyed", partial(_spider, modules), _lacks_spider(modules)),
        ("Scrapy", f"{shared}; JSON-lines feed", partial(_scrapy, setup, limit), _lacks_package(setup, "scrapy")),
        *(
            (
                f"Crawlee ({reader})",
                f"{shared}; its dataset",
                partial(_crawlee, setup, limit, reader),
                _lacks_package(setup, "crawlee"),
            )
            for reader in ("parsel", "beautifulsoup")
        ),
    ]
    return [
        Contender(
            name=name,
            settings=settings,
            run=partial(_run, root, crawl),
            missing=missing or lack,
            against=None if name == _CRAWLER else _CRAWLER,
        )
        for name, settings, crawl, lack in parts
    ]


def _run(root: Path, crawl: Crawl, folder: Path) -> Figures:
    """One contender against a server that nobody has used yet."""
    with nginx(folder / "nginx", f"root {root.resolve()}; index index.html;") as server:
        usage, elapsed_s = crawl(folder, f"http://{LOOPBACK}:{server.port}/")
        hits = server.hits()
    pages = len({hit.target for hit in hits if hit.is_page})
    if pages < _FEWEST:
        raise ContenderFailedError(f"it found only {pages} pages of this site")
    figures = {
        **usage.figures(),
        "pages": pages,
        "pages_per_s": pages / elapsed_s,
        "requests": len(hits),
        "connections_per_request": _connections(hits) / max(1, len(hits)),
        "cpu_ms_per_page": usage.cpu_s * 1000 / max(1, pages),
        "stored_mb": _stored_mb(folder),
    }
    _empty(folder)
    return figures


def _ours(folder: Path, url: str) -> tuple[Usage, float]:
    usage, _summary = crawl(folder, [*_OURS, url], db=folder / "store" / "crawl.db", timeout_s=_TIMEOUT_S)
    return usage, usage.wall_s


def _wget2(path: str, folder: Path, url: str) -> tuple[Usage, float]:
    options = ["-q", "-r", "-l", "inf", f"--max-threads={_PER_HOST}", "-P", str(folder / "store")]
    usage = run([path, *options, url], folder, timeout_s=_TIMEOUT_S, good=(0, _WGET_SAW_ERRORS))
    return usage, usage.wall_s


def _spider(modules: Path | None, folder: Path, url: str) -> tuple[Usage, float]:
    """Node looks for packages beside the script."""
    script = shutil.copy(_PEERS / "spider.mjs", folder)
    (folder / "node_modules").symlink_to((modules or folder).resolve())
    return _by_its_own_clock(run([program("node") or "node", str(script), url], folder, timeout_s=_TIMEOUT_S))


def _scrapy(setup: Setup, limit: str, folder: Path, url: str) -> tuple[Usage, float]:
    feed = folder / "store" / "items.jsonl"
    settings = (limit, str(_CONCURRENCY), str(_PER_HOST))
    command = [setup.peers_python, str(_PEERS / "scrapy_site.py"), url, str(feed), *settings]
    return _by_its_own_clock(run(command, folder, timeout_s=_TIMEOUT_S))


def _crawlee(setup: Setup, limit: str, reader: str, folder: Path, url: str) -> tuple[Usage, float]:
    settings = (limit, str(_CONCURRENCY), str(_PER_HOST))
    command = [setup.peers_python, str(_PEERS / "crawlee_site.py"), reader, url, *settings]
    storage = {"CRAWLEE_STORAGE_DIR": str(folder / "store")}
    return _by_its_own_clock(run(command, folder, environment=storage, timeout_s=_TIMEOUT_S))


def _by_its_own_clock(usage: Usage) -> tuple[Usage, float]:
    return usage, json.loads(usage.out.strip().splitlines()[-1])["elapsed_s"]


def _connections(hits: Sequence[Hit]) -> int:
    return len({hit.connection for hit in hits})


def _stored_mb(folder: Path) -> float:
    store = folder / "store"
    return sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) / 1e6


def _empty(folder: Path) -> None:
    """Ten thousand files a round add up."""
    shutil.rmtree(folder / "store", ignore_errors=True)


def _lacks_program(name: str) -> str | None:
    return None if program(name) else f"apt-get install {name}"


def _lacks_package(setup: Setup, name: str) -> str | None:
    asked = subprocess.run([setup.peers_python, "-c", f"import {name}"], capture_output=True, check=False)
    return None if asked.returncode == 0 else "pip install '.[bench]', or name its Python with --peers-python"


def _lacks_spider(modules: Path | None) -> str | None:
    if modules is not None and (modules / _SPIDER[0]).is_dir():
        return None
    return f"Node.js and `npm install {' '.join(_SPIDER)}`, whose folder --node-modules names"


def _node_modules(setup: Setup) -> Path | None:
    """The folder given, or a new one that npm fills; None where npm cannot."""
    npm = program("npm")
    if setup.node_modules is not None or npm is None or program("node") is None:
        return setup.node_modules
    folder = setup.work / "npm"
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *_SPIDER]
    done = subprocess.run(command, capture_output=True, check=False)
    return folder / "node_modules" if done.returncode == 0 else None
