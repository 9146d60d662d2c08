"""What the acceptance tests share: the `crawler` command in a process of its own, against a real small web."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, ScopeConfig
from crawler.fakeweb import Answer, FakeWeb, Request, Served, Site
from crawler.location import location
from crawler.storage.copying.copying import copy_crawl
from tests.acceptance.forkserver import fork_server
from tests.postgres.server import Server, copy_over
from tests.stores import Location, rows, rows_changed, stores

OPTIONS = ("-W", "error::ResourceWarning")
COMMAND = (sys.executable, *OPTIONS, "-m", "crawler")
MAX_COMMAND_S = 150  # a busy machine takes its time; pytest ends a hopeless test after 180 s
NO_GUESS = ("--no-guess-sitemap",)  # it would be one more request in every test
LOOPBACK = ("--allow-private", "127.0.0.0/8")
Serve = Callable[[FakeWeb], Served]  # the fixture `serve`


def _environment() -> dict[str, str]:
    """But for what pytest says in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


ENVIRONMENT = _environment()


@dataclass(kw_only=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str
    summary: dict[str, Any] = field(default_factory=dict)


class Cli:
    """Runs the command line on one database, with the web's own DNS server."""

    db: Path  # or, with --store postgres, a database's URL

    def __init__(self, folder: Path, db: Location | None = None) -> None:
        self.db = folder / "crawl.db" if db is None else db  # type: ignore[assignment]
        self.summary_file = folder / "summary.json"
        self.folder = folder

    def arguments(self, served: Served | None, *arguments: str) -> list[str]:
        """The whole command line of a crawl; notices are told, which they are not where there is no terminal."""
        network = (*LOOPBACK, "--dns-server", served.dns) if served is not None else ()
        shared = ("--db", str(self.db), "--summary", str(self.summary_file), "--log-format", "text", *NO_GUESS)
        return [*COMMAND, "crawl", *shared, *network, *arguments]

    def crawl(self, served: Served | None, *arguments: str, stdin: str = "", status: int | None = 0) -> Outcome:
        """`crawler crawl`; fails the test where it ends with another status (None: any) or prints a traceback."""
        outcome = self.run(self.arguments(served, *arguments), stdin=stdin, status=status)
        if self.summary_file.exists():
            outcome.summary = json.loads(self.summary_file.read_text())
        return outcome

    def run(self, arguments: list[str], *, stdin: str = "", status: int | None = 0) -> Outcome:
        """Any command line. The crawler's own is forked where nothing asks for another interpreter or environment."""
        if tuple(arguments[: len(COMMAND)]) == COMMAND and _environment() == ENVIRONMENT:
            server = fork_server(*OPTIONS)
            done = server.run(arguments[len(COMMAND) :], stdin=stdin, timeout_s=MAX_COMMAND_S, cwd=self.folder)
        else:
            done = subprocess.run(
                arguments,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=MAX_COMMAND_S,
                cwd=self.folder,
                check=False,
            )
        assert "Traceback" not in done.stderr, done.stderr
        assert "Unclosed" not in done.stderr, done.stderr
        assert "ResourceWarning" not in done.stderr, done.stderr
        if status is not None:
            assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return Outcome(status=done.returncode, out=done.stdout, err=done.stderr)

    def command(self, *arguments: str, status: int | None = 0) -> Outcome:
        """`crawler` with these arguments."""
        return self.run([*COMMAND, *arguments], status=status)

    def start(self, served: Served, *arguments: str) -> subprocess.Popen[str]:
        """`crawler crawl` in the background."""
        return subprocess.Popen(
            self.arguments(served, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """What a query gives on the database; single columns as plain values."""
        return [row[0] if len(row) == 1 else row for row in rows(self.db, sql, *parameters)]

    def change(self, sql: str, *parameters: Any) -> None:
        """Run a statement on the database."""
        rows_changed(self.db, sql, *parameters)

    def options(self) -> dict[str, Any]:
        """Those of the last run, as they are stored."""
        return dict(json.loads(self.rows("SELECT options FROM runs ORDER BY id DESC LIMIT 1")[0]))

    def assert_sound(self, *made_up: str) -> None:
        """`crawler verify` finds nothing wrong, but for checks of what the test has made up; SQLite itself neither."""
        if isinstance(self.db, Path):
            assert self.rows("PRAGMA integrity_check") == ["ok"]
            assert self.rows("PRAGMA foreign_key_check") == []
        found = json.loads(self.command("verify", "--json", "--db", str(self.db), status=None).out)
        wrong = {check["name"]: check["examples"] for check in found["checks"] if check["wrong"]}
        assert wrong.keys() <= set(made_up), wrong

    def stores_nowhere(self, text: str) -> bool:
        """Neither in the database nor in any file of the folder."""
        files = (file for file in self.folder.iterdir() if file.is_file())
        return not stores(self.db, text) and all(text.encode() not in file.read_bytes() for file in files)

    def has_anything(self) -> bool:
        """Whether there is a file or, in the database, a table."""
        if isinstance(self.db, Path):
            return self.db.exists()
        return bool(self.rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")[0])

    def has_begun(self) -> bool:
        """Whether there is a crawl in the database."""
        if isinstance(self.db, Path):
            return self.db.exists()
        return bool(self.rows("SELECT count(*) FROM runs")[0])

    def pauses(self, host: str) -> list[float]:
        """Seconds between the requests to a host, by the crawl's own clock: a busy server notices some of them late."""
        sent = "SELECT f.started_at FROM fetches f JOIN urls u ON u.id = f.url_id JOIN hosts h ON h.id = u.host_id"
        starts = self.rows(f"{sent} WHERE h.name = ? ORDER BY f.started_at", host)
        return [later - earlier for earlier, later in pairwise(starts)]

    def let_pass(self, seconds: float) -> None:
        """As if so much time had passed since what has run, and for what is planned."""
        let_pass(self.db, seconds)

    def take_over(self, other: Cli | Location) -> None:
        """Begin with what another has crawled; the module's tests share that crawl, each has its copy."""
        source = other.db if isinstance(other, Cli) else other
        if not isinstance(self.db, Path):
            copy_over(self.db, str(source))
            return
        with closing(sqlite3.connect(source)) as crawled, closing(sqlite3.connect(self.db)) as copy:
            crawled.backup(copy)

    def pages(self) -> list[str]:
        """The URLs of the stored pages, sorted; a page that is stored twice stands twice."""
        return sorted(self.rows("SELECT u.url FROM pages p JOIN urls u ON u.id = p.url_id"))


def on_a_terminal(arguments: Sequence[str], *, cwd: Path | None = None, **environment: str) -> str:
    """All that a command, which has to end with 0, writes to its terminal."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    ) as process:  # fmt: skip
        os.close(theirs)
        with suppress(OSError):  # Linux' way of saying that nobody has the other end any more
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def library_config(served: Served, db: Location) -> CrawlConfig:
    """For a crawl of that web by the library, as fast as it goes."""
    return CrawlConfig(
        db=db,  # type: ignore[arg-type]  # text is as good
        scope=ScopeConfig(guess_sitemap=False),
        politeness=PolitenessConfig(delay_s=0),
        network=NetworkConfig(dns_server=served.dns, allow_private=LOOPBACK[1:]),
    )


def let_pass(db: Location, seconds: float) -> None:
    """As if so much time had passed for a database that no crawl holds."""
    rows_changed(db, "UPDATE runs SET started_at = started_at - ?", seconds)
    urls = "next_fetch_at = next_fetch_at - ?1, revisit_at = revisit_at - ?1, failing_since = failing_since - ?1"
    rows_changed(db, f"UPDATE urls SET {urls}", seconds)
    rows_changed(db, "UPDATE hosts SET next_due_at = next_due_at - ?1, back_off_until = back_off_until - ?1", seconds)
    rows_changed(db, "UPDATE origins SET paused_until = paused_until - ?", seconds)


def slow_site(web: FakeWeb, *, pages: int, delay_s: float, name: str = "a.test") -> Site:
    """A site whose pages take so long to answer; their titles are their paths."""
    site = web.site(name, pages=pages)
    for path, links in list(site.links.items()):
        site.page(path, title=path, links=links, delay_s=delay_s)
    return site


class Gate:
    """For `Site.answer`: a page that is not answered before the test opens the gate."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def open(self) -> None:
        """Answer who waits, and who comes."""
        self._opened.set()

    async def __call__(self, _request: Request) -> Answer:
        """An empty page."""
        while not self._opened.is_set():
            await asyncio.sleep(0.01)
        return Answer.page()


def wait_for(condition: Callable[[], object]) -> None:
    """Until it holds. How long that may take is the time limit of the test."""
    while not condition():
        time.sleep(0.01)


def wait_for_requests(served: Served, number: int) -> None:
    """Until the web has been asked so often."""
    wait_for(lambda: len(served.log) >= number)


@pytest.fixture
def cli(tmp_path: Path, request: pytest.FixtureRequest) -> Cli:
    """The command line with an empty folder, and with `--store postgres` with an empty database."""
    if request.config.getoption("store") == "postgres":
        return Cli(tmp_path, request.getfixturevalue("crawl_database"))
    return Cli(tmp_path)


@pytest.fixture
def no_crawl(tmp_path: Path, request: pytest.FixtureRequest) -> Cli:
    """The command line where no crawl has ever begun: without a file, or with a database that has no tables yet."""
    if request.config.getoption("store") == "postgres":
        return Cli(tmp_path, request.getfixturevalue("empty_database"))
    return Cli(tmp_path)


class Places:
    """Where the crawls of a module are: files or, with `--store postgres`, databases that are dropped in the end."""

    def __init__(self, request: pytest.FixtureRequest, until_end: ExitStack) -> None:
        self._server: Server | None = None
        if request.config.getoption("store") == "postgres":
            self._server, self._template = (request.getfixturevalue(name) for name in ("postgres", "crawl_template"))
        self._until_end = until_end

    def cli(self, folder: Path) -> Cli:
        """The command line with an empty place."""
        if self._server is None:
            return Cli(folder)
        return Cli(folder, self._until_end.enter_context(self._server.database(self._template)))

    def of(self, file: Path) -> Location:
        """Where the crawl of a file is: there or, copied, in a database."""
        if self._server is None:
            return file
        url = self._until_end.enter_context(self._server.database())
        asyncio.run(copy_crawl(file, location(url), lambda _what, _done, _total: None))
        return url


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    """For crawls that a module's tests share."""
    with ExitStack() as until_end:
        yield Places(request, until_end)


@pytest.fixture
def gate() -> Gate:
    """For one page of a web, which is answered when the test wants it."""
    return Gate()


@contextmanager
def serving() -> Iterator[Serve]:
    """What serves declared webs until the context is left."""
    with ExitStack() as running:
        yield lambda web: running.enter_context(web.running())


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a declared web until the test ends."""
    with serving() as serve:
        yield serve
