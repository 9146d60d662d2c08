"""The file beside the database: always right, whatever happens to it, to the database, or to those that write it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from crawler import open_crawl
from crawler.archive.attached import Attached
from crawler.archive.derived import UnavailableError, bring_up_to_date, derived_file, discard
from crawler.archive.indexes import ATTEMPTS_OF_URL, LINK_SOURCES
from crawler.archive.lookup import Lookup
from crawler.archive.reading import open_archive
from crawler.cli import main
from crawler.records import Page, Response
from crawler.storage.interface import Store
from crawler.storage.sqlite.companions import COMPANIONS
from crawler.storage.sqlite.prune import prune
from tests.benchmarks.archive import make
from tests.contract.results import NOW, a_result, a_store, claims_of
from tests.stores import rows

HUB = "http://a.test/hub"
OTHER = "http://a.test/other"
PAGES = [f"http://a.test/{number}" for number in range(400)]


async def visit_all(store: Store, urls: list[str], links: list[str], text: str, at: float = NOW) -> None:
    """A version of each of these pages, with these links."""
    await store.retry(urls, at)
    claims = await claims_of(store, at)
    visits = [
        a_result(
            claims[url],
            links=links,
            page=Page(url=url, title="T", text=text, content_hash=text.encode()),
            attempt=Response(url=url, status_code=200, started_at=at),
            next_fetch_at=at + 1,
        )
        for url in urls
    ]
    await store.commit(visits, at)


@asynccontextmanager
async def a_crawl(path: Path) -> AsyncIterator[Store]:
    """400 pages, all of which lead to the hub; each is due again a second later."""
    async with a_store(path, *PAGES) as store:
        await visit_all(store, PAGES, [HUB], "first")
        yield store


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.db"
    async with a_crawl(path):
        pass
    return path


async def sources(db: Path, url: str = HUB, told: list[str] | None = None) -> list[str]:
    """Who links to it, by a new reader."""
    async with open_crawl(db, notify=(told if told is not None else []).append) as archive:
        return [link.page_url async for link in archive.links_to(url)]


def oracle(db: Path, url: str = HUB) -> list[str]:
    """The same by the view alone."""
    return [row[0] for row in rows(db, "SELECT page_url FROM inlinks WHERE target_url = ? ORDER BY page_url_id", url)]


def upto(db: Path, index: str = "link_sources") -> int:
    found = rows(derived_file(db), "SELECT upto FROM indexes WHERE name = ?", index)
    return int(found[0][0]) if found else 0


async def test_links_in_are_found_and_the_index_is_made_by_who_asks(db: Path) -> None:
    assert not derived_file(db).exists()
    assert await sources(db) == oracle(db) == PAGES
    assert upto(db) == len(PAGES)
    async with open_crawl(db) as archive:
        [link, *_] = [link async for link in archive.links_to(HUB)]
        assert (link.page_url, link.anchor, link.nofollow) == (PAGES[0], f"to {HUB}", False)
        assert [link async for link in archive.links_to("http://nowhere.test/")] == []


async def test_to_read_writes_nothing_into_the_crawls_file(db: Path) -> None:
    before = hashlib.sha256(db.read_bytes()).digest()
    changed = db.stat().st_mtime_ns
    await sources(db)
    async with open_crawl(db) as archive:
        await archive.attempts(PAGES[0])
    assert hashlib.sha256(db.read_bytes()).digest() == before
    assert db.stat().st_mtime_ns == changed
    assert {file.name for file in db.parent.iterdir()} <= {db.name, *(db.name + suffix for suffix in COMPANIONS)}
    assert not db.with_name("crawl.db-wal").stat().st_size


async def test_while_a_crawl_writes_every_commit_is_seen_and_old_versions_are_not(tmp_path: Path) -> None:
    """Few new pages are looked through, many are taken in."""
    path = tmp_path / "crawl.db"
    async with a_crawl(path) as store, open_crawl(path) as archive:

        async def found(url: str) -> list[str]:
            return [link.page_url async for link in archive.links_to(url)]

        assert await found(HUB) == PAGES
        await visit_all(store, PAGES[:10], [OTHER], "second", NOW + 2)
        assert await found(HUB) == PAGES[10:]
        assert await found(OTHER) == PAGES[:10]
        assert upto(path) == len(PAGES)
        await visit_all(store, PAGES[10:390], [OTHER], "second", NOW + 4)
        assert await found(OTHER) == PAGES[:390]
        assert await found(HUB) == PAGES[390:]
        assert upto(path) == len(PAGES) + 390
        await visit_all(store, PAGES[:390], [HUB], "third", NOW + 6)
        assert await found(HUB) == PAGES
        assert await found(OTHER) == []


async def test_attempts_are_found_by_their_url(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    async with a_crawl(path) as store, open_crawl(path) as archive:
        assert [(one.run_id, one.status_code) for one in await archive.attempts(PAGES[7])] == [(1, 200)]
        await visit_all(store, PAGES[:8], [HUB], "second", NOW + 2)
        assert len(await archive.attempts(PAGES[7])) == 2
        assert len(await archive.attempts(PAGES[8])) == 1
        assert await archive.attempts("http://nowhere.test/") == []


# --- what happens to the database -----------------------------------------------------------------------------------


async def second_night(db: Path) -> None:
    async with a_store(db) as store:
        await visit_all(store, PAGES, [OTHER, HUB], "second", NOW + 2)
        await visit_all(store, PAGES[:200], [OTHER], "third", NOW + 4)


@pytest.mark.parametrize("seen_before", [True, False])
async def test_after_a_prune_answers_are_the_same(db: Path, seen_before: bool) -> None:
    await sources(db)
    await second_night(db)
    if seen_before:
        await sources(db)
    assert (await prune(db, keep_versions=1)).pages == 600
    assert await sources(db) == oracle(db) == PAGES[200:]
    assert await sources(db, OTHER) == oracle(db, OTHER) == PAGES


async def test_attempts_whose_ids_were_given_again_after_a_prune_are_found(db: Path) -> None:
    """The newest attempts brought no page, so that all of them go."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "INSERT INTO fetches (url_id, run_id, started_at, elapsed_s, failure) SELECT 1, 1, 5, 0, 'dns' FROM urls"
        )
    async with open_crawl(db) as archive:
        assert len(await archive.attempts(PAGES[0])) == 1 + len(PAGES) + 1
    await prune(db, keep_versions=1, before=NOW - 1)
    async with a_store(db) as store:
        await visit_all(store, PAGES[:300], [HUB], "second", NOW + 2)
    async with open_crawl(db) as archive:
        assert [one.started_at for one in await archive.attempts(PAGES[0])] == [NOW, NOW + 2]
        assert len(await archive.attempts(PAGES[299])) == 2


async def another_crawl(db: Path) -> None:
    """In the same file's place: ids of pages and URLs mean something else."""
    for file in db.parent.glob("crawl.db*"):
        if "derived" not in file.name:
            file.unlink()
    async with a_store(db, *PAGES[::-1]) as store:
        await visit_all(store, PAGES[100:300], [OTHER], "x", NOW + 1)
        await visit_all(store, PAGES[300:] + PAGES[:100], [HUB], "x", NOW + 1)


async def older_copy(db: Path) -> None:
    """A copy from before is put back, and another night follows: the same ids stand for other pages."""
    shutil.copy(db.with_name("copy.db"), db)
    async with a_store(db) as store:
        await visit_all(store, PAGES[::-1], ["http://a.test/new"], "again", NOW + 8)
        await visit_all(store, PAGES, [OTHER], "again and again", NOW + 10)


@pytest.mark.parametrize("happens", [another_crawl, older_copy])
async def test_an_index_of_another_database_is_not_believed(db: Path, happens: Callable[[Path], Any]) -> None:
    shutil.copy(db, db.with_name("copy.db"))
    await second_night(db)
    await sources(db)
    await happens(db)
    for url in (HUB, OTHER):
        assert await sources(db, url) == oracle(db, url)
    async with open_archive(db) as connection:
        [(hub,)] = rows(db, "SELECT id FROM urls WHERE url = ?", HUB)
        found = await Lookup(Attached(db, connection), pytest.fail).candidates(LINK_SOURCES, hub)
        assert found is not None
        assert found.after == rows(db, "SELECT max(id) FROM pages")[0][0]


# --- what happens to the file ---------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    """Everything behind the header."""
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))


def overwrite_the_index(path: Path) -> None:
    """The list of indexes is whole, so that only who asks finds out."""
    with closing(sqlite3.connect(path)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'link_sources'").fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


def older_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA user_version = 0; DROP TABLE indexes; CREATE TABLE indexes (x)")


def older_index(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "UPDATE indexes SET version = 0; DROP TABLE link_sources; CREATE TABLE link_sources (x)"
        )


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("happens", [cut, empty, overwrite, overwrite_the_index, older_version, older_index, gone])
async def test_a_file_that_cannot_be_used_is_built_anew(db: Path, happens: Callable[[Path], None]) -> None:
    await sources(db)
    happens(derived_file(db))
    assert await sources(db) == PAGES
    assert await sources(db) == PAGES
    assert upto(db) == len(PAGES)
    told: list[str] = []
    assert await sources(db, told=told) == PAGES
    assert told == []


@pytest.mark.parametrize("happens", [cut, overwrite, overwrite_the_index, gone, older_version])
async def test_a_reader_that_is_at_work_gets_over_it(db: Path, happens: Callable[[Path], None]) -> None:
    async with open_crawl(db) as archive:
        assert [link.page_url async for link in archive.links_to(HUB)] == PAGES
        happens(derived_file(db))
        for _ in range(2):
            assert [link.page_url async for link in archive.links_to(HUB)] == PAGES
    assert await sources(db) == PAGES


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def a_text(path: Path) -> None:
    path.write_text("my notes\n" * 500)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("write", [another_database, a_text, a_folder, os.mkfifo])
async def test_what_is_not_ours_is_left_alone(db: Path, write: Callable[[Path], None]) -> None:
    path = derived_file(db)
    write(path)
    before = path.read_bytes() if path.is_file() else None
    told: list[str] = []
    assert await sources(db, told=told) == PAGES
    assert len(told) == 1
    assert str(path) in told[0]
    assert "without it, which takes longer" in told[0]
    await discard(db)
    assert path.exists()
    assert before is None or path.read_bytes() == before


async def test_a_folder_that_cannot_be_written_makes_it_slower_and_that_is_said(tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed to other users
        db = Path(name) / "crawl.db"
        async with a_crawl(db):
            pass
        told: list[str] = []
        with unable_to_write(db.parent):
            assert await sources(db, told=told) == PAGES
        assert len(told) == 1
        assert "Permission denied" in told[0]


async def test_an_index_that_is_there_is_used_where_nothing_can_be_written(tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        db = Path(name) / "crawl.db"
        async with a_crawl(db):
            pass
        await sources(db)
        told: list[str] = []
        with unable_to_write(db.parent):
            assert await sources(db, told=told) == PAGES
        assert told == []


class unable_to_write:  # noqa: N801 - reads as a sentence
    """As a user who may only read in this folder; root gives up its rights for so long."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        for file in self._folder.iterdir():
            file.chmod(0o444)
        self._folder.chmod(0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)

    def __exit__(self, *_error: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)
        self._folder.chmod(0o755)


async def test_a_disk_that_is_full_makes_it_slower_and_that_is_said(tmp_path: Path) -> None:
    """A limit on the size of files, in a process of its own, is the disk."""
    db = tmp_path / "crawl.db"
    await make(db, 50_000)
    url = rows(db, "SELECT url FROM urls WHERE id = 50")[0][0]
    out = run_child(db, url, limit=40_000)
    assert out.splitlines()[-1] == str(len(oracle(db, url)))
    assert "without it, which takes longer" in out
    assert run_child(db, url) == out.splitlines()[-1] + "\n"  # with room it is made, and nobody is told anything


CHILD = """
import asyncio, sys
from crawler import open_crawl

async def main():
    async with open_crawl(sys.argv[1], notify=print) as archive:
        print(len([link async for link in archive.links_to(sys.argv[2])]))

asyncio.run(main())
"""


def run_child(db: Path, url: str, limit: int | None = None) -> str:
    def lower() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(db), url], preexec_fn=lower, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


# --- who writes it --------------------------------------------------------------------------------------------------

BUILDER = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from crawler.archive.attached import Attached
from crawler.archive.derived import bring_up_to_date
from crawler.archive.indexes import LINK_SOURCES

small_batches = replace(LINK_SOURCES, bound=LINK_SOURCES.bound.replace("1000000", "2000"))
assert small_batches != LINK_SOURCES
asyncio.run(bring_up_to_date(Path(sys.argv[1]), small_batches))
print("done")
"""


@pytest.fixture
async def large(tmp_path: Path) -> Path:
    """200,000 links of 2,000 pages: a hundred batches."""
    path = tmp_path / "large.db"
    await make(path, 200_000)
    return path


def start_builder(db: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(db)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def progress(db: Path) -> int:
    """As a reader sees it while another writes."""
    try:
        with closing(sqlite3.connect(f"{derived_file(db).as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT upto FROM indexes").fetchone()
    except sqlite3.OperationalError:  # there is none yet
        return 0
    return int(found[0]) if found else 0


def missing(db: Path) -> int:
    """Links of pages that the index says it has taken in, and has not."""
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("ATTACH ? AS derived", (str(derived_file(db)),))
        sql = (
            "SELECT count(*) FROM links JOIN urls ON urls.page_id = links.page_id WHERE links.page_id <= ?"
            " AND (target_id, urls.id) NOT IN (SELECT target_id, url_id FROM link_sources)"
        )
        return int(connection.execute(sql, (progress(db),)).fetchone()[0])


@pytest.mark.thorough
def test_killed_at_any_instant_it_goes_on_from_where_it_was(large: Path) -> None:
    newest = rows(large, "SELECT max(id) FROM pages")[0][0]
    came_to, kills = 0, 0
    chance = random.Random(10)
    while came_to < newest:
        builder = start_builder(large)
        wanted = came_to + chance.randint(newest // 8, newest // 3)
        while progress(large) < min(wanted, newest) and builder.poll() is None:
            time.sleep(0.001)
        builder.kill()
        out, err = builder.communicate()
        assert err == ""
        kills += out == ""
        assert missing(large) == 0
        assert progress(large) >= came_to
        came_to = progress(large)
    assert kills >= 2
    assert rows(derived_file(large), "PRAGMA integrity_check") == [("ok",)]
    assert rows(derived_file(large), "SELECT count(*) FROM link_sources") == rows(large, "SELECT count(*) FROM links")


async def test_two_at_once_make_one_index(large: Path) -> None:
    url = rows(large, "SELECT url FROM urls WHERE id = 50")[0][0]
    builders = [start_builder(large) for _ in range(2)]
    assert await sources(large, url) == oracle(large, url)
    for builder in builders:
        assert builder.communicate() == ("done\n", "")
    assert progress(large) == 2000
    assert missing(large) == 0


async def test_where_another_holds_the_lock_what_is_there_is_used(db: Path) -> None:
    """It is being brought up to date by somebody who takes long."""
    await sources(db)
    await second_night(db)
    with held(db):
        with pytest.raises(UnavailableError, match="another process"):
            await bring_up_to_date(db, LINK_SOURCES, patience_s=0.1)
        await discard(db)
        assert upto(db) == len(PAGES)
        told: list[str] = []
        async with open_archive(db) as connection:
            lookup = Lookup(Attached(db, connection), told.append, patience_s=0.1)
            [(hub,)] = rows(db, "SELECT id FROM urls WHERE url = ?", HUB)
            for _ in range(3):  # it waits once, not for each question
                found = await lookup.candidates(LINK_SOURCES, hub)
                assert found is not None
                assert (len(json.loads(found.ids)), found.after) == (len(PAGES), len(PAGES))
        assert len(told) == 1
    assert upto(db) == len(PAGES)


async def test_who_waits_for_the_lock_goes_on_when_it_is_free(db: Path) -> None:
    with held(db):
        waiting = asyncio.create_task(bring_up_to_date(db, ATTEMPTS_OF_URL))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    await waiting
    assert upto(db, "attempts_of_url") == len(PAGES)


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


class held:  # noqa: N801 - reads as a sentence
    """Another process has the lock."""

    def __init__(self, db: Path) -> None:
        self._lock = derived_file(db).with_name(derived_file(db).name + ".lock")

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self._lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    def __exit__(self, *_error: object) -> None:
        self._process.communicate("")


async def test_a_prune_by_the_command_takes_the_file_away(db: Path) -> None:
    await sources(db)
    await second_night(db)
    command = [sys.executable, "-m", "crawler", "prune", "--db", str(db), "--keep-versions", "1"]
    subprocess.run([*command, "--dry-run"], check=True, capture_output=True)
    assert derived_file(db).exists()
    subprocess.run(command, check=True, capture_output=True)
    assert not derived_file(db).exists()
    assert await sources(db) == oracle(db)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("flag", ["--summary", "--metrics-file"])
def test_nothing_else_may_be_written_in_its_place(
    tmp_path: Path, flag: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "crawl.db"
    with pytest.raises(SystemExit) as ended:
        main(["crawl", "http://a.test/", "--db", str(db), flag, f"{derived_file(db)}{suffix}"])
    assert ended.value.code == 2
    assert "is the database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
