"""Who can crawl a site: how each is started, what it leaves of a page, and what to install where it is missing.

Each is given the same site and follows its links by itself. The crawler and wget2 are timed from the command to the end
of the process, the others by their own clock from the start of the crawl to the last page stored, in their favour.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Setup
from tests.benchmarks.measure import Usage, run
from tests.benchmarks.ours import crawl
from tests.benchmarks.servers import program

CRAWLER = "crawler"
TIMEOUT_S = 900
_PER_HOST, _CONCURRENCY, _PER_IP = 32, 32, 64  # as many of one site as spider opens connections by itself (30)
OURS = ("--delay", "0", "--per-host", str(_PER_HOST), "--concurrency", str(_CONCURRENCY), "--per-ip", str(_PER_IP))
_WGET_SAW_ERRORS = 8  # wget2(1), "Exit status": such as a link that is dead
_PEERS = Path(__file__).with_name("peers")
_SPIDER = ("@spider-rs/spider-rs", "@spider-rs/spider-rs-linux-x64-gnu", "better-sqlite3@12")
_DEBIANS, _DEBIANS_PREFIX, _DEBIANS_PYTHON = "Debian's Python", "/usr", Path("/usr/bin/python3")
_EVERYTHING = "title, text, links, body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A site to be crawled into a folder. `authority`: the CA's certificate, where the site speaks TLS."""

    folder: Path
    url: str
    authority: Path | None = None

    @property
    def store(self) -> Path:
        """The folder in which all is stored."""
        path = self.folder / "store"
        path.mkdir(exist_ok=True)
        return path

    @property
    def trust(self) -> Mapping[str, str]:
        """The environment in which OpenSSL trusts the authority."""
        return {} if self.authority is None else {"SSL_CERT_FILE": str(self.authority)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crawled:
    """What a crawl used, the seconds that count, and of how many pages something is stored; None: nothing ever is."""

    usage: Usage
    elapsed_s: float
    kept: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crawler:
    """One of them. `missing` says how to install it; `slow`: a whole site would take it minutes."""

    name: str
    settings: str
    stores: str
    crawl: Callable[[Visit], Crawled]
    missing: str | None = None
    slow: bool = False


def everyone(setup: Setup, *, limit: int) -> Iterator[Crawler]:
    """All of them: first the crawler, then who does the same job, then who does less. The slow stop at `limit`."""
    yield from crawlers(setup)
    modules = _node_modules(setup)
    wget2 = program("wget2") or "wget2"
    for stores_all in (True, False):
        then = ", then selectolax" if stores_all else ""
        yield Crawler(
            name=f"wget2{then}",
            settings=f"-r -l inf, {_PER_HOST} threads{', then peers/store_files.py' if stores_all else ''}",
            stores=f"{_EVERYTHING}; SQLite" if stores_all else "body; files",
            crawl=partial(_wget2, wget2, stores_all),
            missing=None if program("wget2") else "apt-get install wget2",
        )
        yield Crawler(
            name=f"spider{', stored' if stores_all else ''}",
            settings=f"its defaults, robots.txt obeyed{', peers/spider.mjs stores' if stores_all else ''}",
            stores="body; SQLite" if stores_all else "nothing",
            crawl=partial(_spider, modules, stores_all),
            missing=_lacks_spider(modules),
        )
        if stores_all:
            yield from _python_peers(setup, limit)


def crawlers(setup: Setup) -> Iterator[Crawler]:
    """The crawler, and its other installations: how its Python was built is worth up to 15 %."""
    pythons = {"": sys.executable, **setup.others}
    if sys.base_prefix != _DEBIANS_PREFIX and _DEBIANS_PYTHON.exists():
        pythons.setdefault(_DEBIANS, "")
    for name, python in pythons.items():
        yield Crawler(
            name=f"{CRAWLER}, {name}" if name else CRAWLER,
            settings=" ".join(OURS),
            stores=f"{_EVERYTHING}; SQLite",
            crawl=partial(ours, python),
            missing=None if _imports(python, "crawler.cli") else _installation(name, python),
        )


def _installation(name: str, python: str) -> str:
    if python:
        return f"{python} -m pip install . in a checkout"
    venv = f"{_DEBIANS_PYTHON} -m venv VENV && VENV/bin/pip install ."
    return f'{venv}, and --other "{name}=VENV/bin/python"'


def _python_peers(setup: Setup, limit: int) -> Iterator[Crawler]:
    shared = f"{_CONCURRENCY} at once, {_PER_HOST} a host, robots.txt obeyed, at most {limit} pages"
    lack = "pip install '.[bench]', or name its Python with --peers-python"
    yield Crawler(
        name="Scrapy",
        settings=shared,
        stores=f"{_EVERYTHING}; JSON lines",
        crawl=partial(_scrapy, setup.peers_python, str(limit)),
        missing=None if _imports(setup.peers_python, "scrapy") else lack,
        slow=True,
    )
    for reader in ("parsel", "beautifulsoup"):
        yield Crawler(
            name=f"Crawlee ({reader})",
            settings=shared,
            stores=f"{_EVERYTHING}; JSON files",
            crawl=partial(_crawlee, setup.peers_python, str(limit), reader),
            missing=None if _imports(setup.peers_python, "crawlee") else lack,
            slow=True,
        )


def ours(python: str, visit: Visit) -> Crawled:
    """The crawler, as that Python has it."""
    db = visit.store / "crawl.db"
    usage, _summary = crawl(
        visit.folder, [*OURS, visit.url], db=db, timeout_s=TIMEOUT_S, python=python, environment=visit.trust
    )
    return Crawled(usage=usage, elapsed_s=usage.wall_s, kept=_count(db, "SELECT count(DISTINCT url_id) FROM pages"))


def _wget2(path: str, stores_all: bool, visit: Visit) -> Crawled:
    options = ["-q", "-r", "-l", "inf", f"--max-threads={_PER_HOST}", "-P", str(visit.store / "files")]
    if visit.authority is not None:
        options.append(f"--ca-certificate={visit.authority}")
    usage = run([path, *options, visit.url], visit.folder, timeout_s=TIMEOUT_S, good=(0, _WGET_SAW_ERRORS))
    if not stores_all:
        return Crawled(usage=usage, elapsed_s=usage.wall_s, kept=_html_files(visit.store))
    db = visit.store / "pages.db"
    command = [sys.executable, "-P", str(_PEERS / "store_files.py"), str(visit.store / "files"), str(db)]
    read = run(command, visit.folder, timeout_s=TIMEOUT_S)
    both = Usage(
        started_at=usage.started_at,
        wall_s=usage.wall_s + read.wall_s,
        cpu_s=usage.cpu_s + read.cpu_s,
        peak_rss_bytes=max(usage.peak_rss_bytes, read.peak_rss_bytes),
        out=read.out,
    )
    return Crawled(usage=both, elapsed_s=both.wall_s, kept=_count(db, "SELECT count(*) FROM pages"))


def _spider(modules: Path | None, stores: bool, visit: Visit) -> Crawled:
    """Node looks for packages beside the script."""
    script = shutil.copy(_PEERS / "spider.mjs", visit.folder)
    (visit.folder / "node_modules").symlink_to((modules or visit.folder).resolve())
    db = visit.store / "pages.db"
    command = [program("node") or "node", str(script), visit.url, *([str(db)] if stores else [])]
    usage = run(command, visit.folder, timeout_s=TIMEOUT_S, environment=visit.trust)
    kept = _count(db, "SELECT count(DISTINCT url) FROM pages WHERE status = 200") if stores else None
    return Crawled(usage=usage, elapsed_s=_by_its_own_clock(usage), kept=kept)


def _scrapy(python: str, limit: str, visit: Visit) -> Crawled:
    feed = visit.store / "items.jsonl"
    command = [python, str(_PEERS / "scrapy_site.py"), visit.url, str(feed), limit, str(_CONCURRENCY), str(_PER_HOST)]
    usage = run(command, visit.folder, timeout_s=TIMEOUT_S, environment=visit.trust)
    with feed.open("rb") as lines:
        return Crawled(usage=usage, elapsed_s=_by_its_own_clock(usage), kept=sum(1 for _line in lines))


def _crawlee(python: str, limit: str, reader: str, visit: Visit) -> Crawled:
    command = [python, str(_PEERS / "crawlee_site.py"), reader, visit.url, limit, str(_CONCURRENCY), str(_PER_HOST)]
    storage = {"CRAWLEE_STORAGE_DIR": str(visit.store), **visit.trust}
    usage = run(command, visit.folder, environment=storage, timeout_s=TIMEOUT_S)
    kept = sum(1 for _file in (visit.store / "datasets").glob("*/[0-9]*.json"))
    return Crawled(usage=usage, elapsed_s=_by_its_own_clock(usage), kept=kept)


def _by_its_own_clock(usage: Usage) -> float:
    return float(json.loads(usage.out.strip().splitlines()[-1])["elapsed_s"])


def _count(db: Path, sql: str) -> int:
    with closing(sqlite3.connect(db)) as connection:
        return int(connection.execute(sql).fetchone()[0])


def _html_files(folder: Path) -> int:
    return sum(1 for file in folder.rglob("*") if file.suffix in (".html", ".htm"))


def _imports(python: str, module: str) -> bool:
    try:
        return (
            subprocess.run([python, "-P", "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def _lacks_spider(modules: Path | None) -> str | None:
    names = [name.rpartition("@")[0] or name for name in _SPIDER]
    if modules is not None and all((modules / name).is_dir() for name in names):
        return None
    return f"Node.js and `npm install {' '.join(_SPIDER)}`, whose folder --node-modules names"


def _node_modules(setup: Setup) -> Path | None:
    """The folder given, or a new one that npm fills; None where npm cannot."""
    npm = program("npm")
    folder = setup.work / "npm"
    if setup.node_modules is not None or npm is None or program("node") is None:
        return setup.node_modules
    if not folder.exists():
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *_SPIDER]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
    return folder / "node_modules"
