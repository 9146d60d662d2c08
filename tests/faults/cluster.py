"""Workers of one crawl in processes of their own: `crawler crawl` begins it, `crawler worker` joins it. They crawl a
served web, each with its name in a header, and store in one PostgreSQL database.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg

from crawler.fakeweb import FakeWeb, Served
from tests.postgres.proxy import Proxy, proxy_to
from tests.postgres.sql import execute, rows

LEASE_S = float(os.environ.get("CRAWLER_TEST_LEASE_S", "3"))  # longer where the machine is busy
EPOCH_BITS = 43  # from which on a row's id is its epoch; below are its partition and a counter
NONE: Mapping[str, str] = MappingProxyType({})
_POLL_S = 0.02
_MOST_LIVES = 8  # of one worker that is started again: more than any fault here can cost it
_DOWN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)  # the server is being started again


@dataclass(kw_only=True)
class Worker:
    """One process. `proxy`: what it reaches the server by, if it was asked for."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    proxy: Proxy | None = None
    is_faulty: bool = False  # what it had in flight may be asked for again
    is_needed: bool = True  # another one is started if it ends before the crawl

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def said(self) -> str:
        """All that it has written."""
        return self.log.read_text(errors="replace")


@dataclass(kw_only=True)
class Cluster:
    """Created by `a_cluster`."""

    db: str
    seen_at: str  # the same database's URL, as the workers are told
    served: Served
    folder: Path
    pages: int  # that can be reached
    delay_s: float
    concurrency: int
    running: ExitStack
    workers: list[Worker] = field(default_factory=list)
    take_overs: list[float] = field(default_factory=list)  # seconds, of each fault that led to one
    checks: list[Callable[[], None]] = field(default_factory=list)  # for when it is over
    began_at: float = field(default_factory=time.monotonic)

    def begin(self, seeds: Sequence[str], *options: str) -> Worker:
        """`crawler crawl`, which is the first worker."""
        crawl = (
            *("crawl", *seeds, "--scope", "any", "--no-guess-sitemap", "--no-trap-rules"),
            *("--allow-private", "127.0.0.0/8", "--delay", str(self.delay_s), "--max-wait", "60s", "--grace", "2s"),
            *options,
        )  # fmt: skip
        worker = self._start("w0", crawl)
        self.wait(lambda: worker.process.poll() is not None or self.ask("SELECT 1 FROM runs WHERE is_open = 1"))
        assert worker.process.poll() is None, worker.said()
        return worker

    def join(self, name: str, *, environment: Mapping[str, str] = NONE) -> Worker:
        """`crawler worker`, whose connections pass by us; its environment is ours and this."""
        return self._start(name, ("worker",), by_proxy=True, environment=environment)

    def refused(self) -> str:
        """What `crawler crawl` says where it cannot begin for the sake of the database."""
        command = [sys.executable, "-m", "crawler", "crawl", "http://h000.test/", "--db", self.seen_at]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
        return done.stderr

    def _start(
        self, name: str, words: Sequence[str], *, by_proxy: bool = False, environment: Mapping[str, str] = NONE
    ) -> Worker:
        proxy = self.running.enter_context(proxy_to(self.seen_at)) if by_proxy else None
        log = self.folder / f"{name}.log"
        command = [
            *(sys.executable, "-m", "crawler", *words, "--db", self.seen_at if proxy is None else proxy.url),
            *("--dns-server", self.served.dns, "--concurrency", str(self.concurrency), "--header", f"X-Worker: {name}"),
            *("--log-format", "text"),
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
                env={**os.environ, **environment},
            )  # fmt: skip
        worker = Worker(name=name, process=process, log=log, proxy=proxy)
        self.running.callback(_end, process)
        self.workers.append(worker)
        return worker

    # --- what is going on ---------------------------------------------------------------------------------------------

    def ask(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Nothing while the server does not answer."""
        with suppress(*_DOWN):
            return rows(self.db, sql, *parameters)
        return []

    def fetched(self) -> int:
        """How many pages are fetched, and committed."""
        found = self.ask("SELECT count(*) FROM urls WHERE status = 'fetched' AND kind = 'page'")
        return int(found[0][0]) if found else 0

    def is_over(self) -> bool:
        """Whether the run has ended."""
        return bool(self.ask("SELECT 1 FROM runs WHERE ended_at IS NOT NULL"))

    def parts_of(self, worker: Worker) -> set[int]:
        """What it owns, by the database; by the name it goes by there, which holds its process's id."""
        owned = "SELECT part FROM parts AS p JOIN workers AS w ON w.id = p.owner WHERE w.name LIKE ?"
        return {part for (part,) in self.ask(owned, f"%{worker.process.pid}")}

    def wait(self, condition: Callable[[], object]) -> None:
        """Until it holds, while what ends is started again, as whatever supervises processes would do it."""
        while not condition():
            self.tend()
            time.sleep(_POLL_S)

    def wait_for_pages(self, share: float) -> None:
        """Until this share of all pages is fetched."""
        self.wait(lambda: self.fetched() >= share * self.pages or self.is_over())
        ended = (
            f"the crawl ended before the fault that it was to meet: {self.ask('SELECT end_reason, pages FROM runs')}"
        )
        assert not self.is_over(), ended

    def wait_until_taken_over(self, parts: set[int], worker: Worker) -> float:
        """Until others own all of these; returns how long one look at that has taken at most, in seconds."""
        looked_at, longest_s = time.monotonic(), 0.0

        def is_taken_over() -> bool:
            nonlocal looked_at, longest_s
            taken = not parts & self.parts_of(worker) and self._are_owned(parts)
            longest_s = max(longest_s, time.monotonic() - looked_at)
            looked_at = time.monotonic()
            return taken

        self.wait(is_taken_over)
        return longest_s

    def _are_owned(self, parts: set[int]) -> bool:
        owned = "SELECT count(*) FROM parts WHERE part = ANY(?::int[]) AND owner IS NOT NULL AND lease_until > now()"
        return self.ask(owned, sorted(parts)) == [(len(parts),)]

    def tend(self) -> None:
        """Start another worker for each that has ended before the crawl has."""
        for worker in list(self.workers):
            if worker.is_needed and worker.process.poll() is not None and self.ask("SELECT 1 FROM runs"):
                worker.is_needed = False
                if not self.is_over():
                    lives = worker.name.count("'") + 1
                    assert lives < _MOST_LIVES, f"{worker.name} has ended {lives} times; it said:\n{worker.said()}"
                    self.join(f"{worker.name}'")

    def finish(self) -> None:
        """Until the crawl is over, and all have ended."""
        self.wait(self.is_over)
        for worker in self.workers:
            worker.process.wait()

    def say(self, text: str) -> None:
        """For whoever runs it by hand (`pytest -s`)."""
        print(f"[{time.monotonic() - self.began_at:6.2f}] {self.fetched():6} pages: {text}", flush=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait()


@contextmanager
def a_cluster(
    db: str,
    folder: Path,
    *,
    hosts: int,
    pages_each: int,
    delay_s: float = 0.2,
    answer_s: float = 0.03,
    concurrency: int = 32,
    seen_at: str | None = None,
) -> Iterator[Cluster]:
    """A web of so many hosts and pages, and no worker yet."""
    web = a_web(hosts, pages_each, answer_s)
    execute(db, "UPDATE meta SET lease_s = ?", LEASE_S)
    with web.running() as served, ExitStack() as running:
        yield Cluster(
            db=db,
            seen_at=seen_at or db,
            served=served,
            folder=folder,
            pages=hosts * pages_each,
            delay_s=delay_s,
            concurrency=concurrency,
            running=running,
        )


def a_web(hosts: int, pages_each: int, answer_s: float) -> FakeWeb:
    """Hosts of pages that take so long to answer; each home links to the next one's."""
    web = FakeWeb()
    for site in web.hosts(hosts, pages_each):
        for path in site.links:
            answer = site.routes[path]
            site.routes[path] = replace(answer, delay_s=answer_s)  # type: ignore[type-var]
    return web
