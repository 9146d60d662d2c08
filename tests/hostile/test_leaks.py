"""Few file descriptors, many hosts, a day's worth of pages: what a crawl holds does not grow with what it has done."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, LOOPBACK, Cli, Serve
from tests.benchmarks.pages import page
from tests.benchmarks.servers import Nginx, host_name, name_server, nginx

HOSTS, PATHS = 10_000, 1_000  # together ten million URLs, of which a crawl sees what it comes to
LINKS = 60  # a page, half on its host, half to other hosts: the caches of URLs are full long before 20,000 pages
EARLY, LATE = 20_000, 100_000  # pages; the second is a day of 1.2 pages a second


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_hundred_file_descriptors_are_enough_for_300_hosts(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.hosts(300, pages_each=2)
    served = serve(web)
    arguments = cli.arguments(served, served.url("h000.test"), "--scope", "any", "--delay", "0")
    outcome = cli.run(["prlimit", "--nofile=100:100", *arguments])
    assert len(cli.pages()) == 600
    assert "--concurrency lowered" in outcome.err
    assert cli.rows("SELECT count(*) FROM fetches WHERE failure IS NOT NULL") == [0]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_after_100_000_pages_is_within_a_tenth_of_that_after_20_000(tmp_path: Path) -> None:
    _write_site(tmp_path / "root")
    with nginx(tmp_path / "nginx", f"root {tmp_path / 'root'};", wildcard=True) as server, name_server() as dns:
        crawler = _start(tmp_path, server, dns)
        try:
            held = _sample(crawler, tmp_path / "crawl.db")
        finally:
            crawler.kill()
            crawler.wait()
    for sample in held:
        print(sample)
    early, late = _around(held, EARLY), _around(held, LATE)
    assert late.own_mb < 1.1 * early.own_mb
    assert late.parsers_mb < 1.1 * early.parsers_mb
    assert late.files < 1.1 * early.files + 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a crawl held once it had stored so many pages: MB resident, of its own and of its parsers; open files."""

    pages: int
    own_mb: float
    parsers_mb: float
    files: int


def _write_site(root: Path) -> None:
    """Every host has the same files; half of their links are relative, so that all together they are a large web."""
    random = Random(4)
    root.mkdir()
    for number in range(PATHS):
        near = [f"/p{random.randrange(PATHS)}.html" for _ in range(LINKS // 2)]
        far = [f"//{host_name(random.randrange(HOSTS))}:PORT/p{random.randrange(PATHS)}.html" for _ in near]
        (root / f"p{number}.html").write_text(page(f"page {number}", near + far))


def _start(folder: Path, server: Nginx, dns: str) -> subprocess.Popen[bytes]:
    for path in (folder / "root").iterdir():
        path.write_text(path.read_text().replace("PORT", str(server.port)))
    seeds = folder / "seeds.txt"
    seeds.write_text("".join(f"http://{host_name(number)}:{server.port}/p0.html\n" for number in range(100)))
    options = ["--scope", "any", "--delay", "0", "--max-pages", str(LATE + 5000), "--dns-server", dns, "--quiet"]
    return subprocess.Popen([*COMMAND, "crawl", str(seeds), "--db", str(folder / "crawl.db"), *LOOPBACK, *options])


def _sample(crawler: subprocess.Popen[bytes], db: Path) -> list[Sample]:
    held: list[Sample] = []
    while crawler.poll() is None and (not held or held[-1].pages < LATE + 2000):
        time.sleep(1)
        with suppress(OSError, sqlite3.Error):  # it has just begun, or ended
            held.append(_held(crawler.pid, db))
    return held


def _held(pid: int, db: Path) -> Sample:
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        pages = connection.execute("SELECT total(pages) FROM runs").fetchone()[0]
    parsers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Sample(
        pages=pages,
        own_mb=_resident_mb(str(pid)),
        parsers_mb=sum(_resident_mb(parser) for parser in parsers),
        files=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
    )


def _resident_mb(pid: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def _around(held: list[Sample], pages: int) -> Sample:
    """The middle one, by memory, of those about that point: one alone may stand just before a collection."""
    near = [sample for sample in held if abs(sample.pages - pages) <= 2000]
    return sorted(near, key=lambda sample: sample.own_mb)[len(near) // 2]
