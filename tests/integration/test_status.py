"""`crawler status`: what a database holds, read while a crawl runs or after it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import threading
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from crawler import (
    CrawlConfig,
    DatabaseBusyError,
    DatabaseFailedError,
    NetworkConfig,
    PolitenessConfig,
    ScopeConfig,
    crawl,
)
from crawler.cli import main
from crawler.fakeweb import FakeWeb
from crawler.output.status import Status, print_status, read_status
from crawler.records import Target
from crawler.storage.sqlite.lock import database_lock, is_held
from crawler.storage.sqlite.store import open_store


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a finished run, only to be read: 13 pages of two hosts, and one of each thing that goes wrong."""
    db = tmp_path_factory.mktemp("status") / "crawl.db"
    asyncio.run(crawl_small_web(db))
    return db


async def crawl_small_web(db: Path) -> None:
    web = FakeWeb()
    site = web.site("site.test", pages=10)
    site.robots("User-agent: *\nDisallow: /private\n")
    site.page("/start", links=["/", "/private/1", "/private/2", "/missing", "/forbidden", "/other", "http://b.test/"])
    site.page("/other")
    site.status("/forbidden", 403)
    web.site("closed.test", pages=1).robots("", status=403)  # no rules, then; and no page, so that it counts nowhere
    async with web.serve() as served:
        config = CrawlConfig(
            db=db,
            scope=ScopeConfig(guess_sitemap=False),
            politeness=PolitenessConfig(delay_s=0),
            network=NetworkConfig(dns_server=served.dns, allow_private=("127.0.0.0/8",)),
        )
        await crawl([served.url("site.test", "/start"), served.url("closed.test")], config)


@pytest.fixture
async def killed(tmp_path: Path) -> Path:
    """A database as a run leaves it that was killed after it had added two seeds."""
    db = tmp_path / "killed.db"
    async with open_store(db) as store:
        await store.begin_run(CrawlConfig().storable(), 1_700_000_000.0)
        seeds = [Target(url=f"http://a.test/{number}", host="a.test") for number in range(2)]
        await store.add(seeds, time.time() + 600)
    return db


def shown(status: Status, **options: int | bool) -> str:
    console = Console(file=StringIO(), color_system=None, **{"width": 200, **options})  # type: ignore[arg-type]
    print_status(console, status)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_a_finished_run_is_reported_with_all_that_its_summary_says(crawled: Path) -> None:
    status = (await read_status(crawled)).as_dict()

    assert status["path"] == str(crawled)
    assert status["size_bytes"] == crawled.stat().st_size
    assert status["running"] is False
    assert status["urls"] == {"pending": 0, "fetched": 13, "redirected": 0, "excluded": 3, "gone": 1, "failed": 1}
    assert (status["pending"], status["next_due_at"]) == (0, None)
    assert status["failures"] == {"http 403": 1}
    assert status["excluded"] == {"robots": 2, "scope": 1}
    assert (status["page_versions"], status["fetches"]) == (13, 17)  # and two robots.txt, a 404 and a 403
    (run,) = status["runs"]
    assert (run["run_id"], run["state"], run["pages"], run["requests"]) == (1, "complete", 13, 17)
    assert status["last_run"]["complete"] is True
    assert {name: status[name] for name in status["last_run"]} == status["last_run"]


async def test_hosts_are_listed_but_those_that_were_only_linked_to(crawled: Path) -> None:
    status = (await read_status(crawled)).as_dict()

    rows = [(host["name"], host["urls"]["fetched"], host["urls"]["excluded"]) for host in status["hosts"]]
    assert rows == [("site.test", 12, 2), ("closed.test", 1, 0)]
    assert (status["hosts_total"], status["hosts_crawled"], status["hosts_backing_off"]) == (3, 2, 0)
    assert [suspect["name"] for suspect in status["suspects"]] == ["site.test"]


async def test_a_killed_run_is_told_from_one_that_goes_on(killed: Path) -> None:
    status = await read_status(killed)
    assert [status.state_of(run) for run in status.report.runs] == ["killed"]
    assert status.as_dict()["last_run"] is None
    assert status.as_dict()["complete"] is False

    with database_lock(killed):
        status = await read_status(killed)
    assert [status.state_of(run) for run in status.report.runs] == ["running"]
    assert "crawl     running\n" in shown(status)


async def test_pending_tells_when_the_next_url_is_due(killed: Path) -> None:
    status = await read_status(killed)

    assert status.as_dict()["next_due_at"] == pytest.approx(time.time() + 600, abs=60)
    assert "pending   2, next due in 10 min" in shown(status)


async def test_a_database_that_is_being_written_can_be_read(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    with database_lock(db):
        async with open_store(db) as store:
            await store.begin_run(CrawlConfig().storable(), 0.0)
            await store.add([Target(url="http://a.test/", host="a.test")], time.time())
            status = await read_status(db)

    assert status.running
    assert status.report.urls["pending"] == 1
    assert status.size_bytes > db.stat().st_size  # the write-ahead log counts


async def test_without_a_terminal_the_text_is_plain(crawled: Path) -> None:
    text = shown(await read_status(crawled))

    assert "\x1b" not in text
    assert "─" not in text
    assert "URLs      fetched: 13   excluded: 3   gone: 1   failed: 1" in text
    assert "failed    http 403: 1" in text
    assert any(line.split()[:2] == ["site.test", "12"] for line in text.splitlines())


@pytest.mark.parametrize("width", [120, 80, 50])
async def test_on_a_terminal_no_line_is_wider_than_it(crawled: Path, width: int) -> None:
    lines = shown(await read_status(crawled), width=width, force_terminal=True).splitlines()

    assert max(map(len, lines)) <= width
    assert any("site.test" in line for line in lines)


async def test_names_from_the_web_are_shown_as_text(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    async with open_store(db) as store:
        await store.add([Target(url="http://x/", host="[red]\x1b[2J\u202e.test")], 0.0)

    text = shown(await read_status(db), force_terminal=True)

    assert "[red]\ufffd[2J.test" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("content", [None, b"", b"this is text, not a database, and it is long enough to be read"])
async def test_what_is_no_crawl_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    db = tmp_path / "other.db"
    if content is not None:
        db.write_bytes(content)

    with pytest.raises(DatabaseFailedError, match=r"other\.db"):
        await read_status(db)

    assert [file.name for file in tmp_path.iterdir()] == ([] if content is None else ["other.db"])


def test_asking_whether_a_run_holds_the_database_leaves_no_trace(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    assert not is_held(db)
    assert list(tmp_path.iterdir()) == []

    with database_lock(db):
        assert is_held(db)
        with pytest.raises(DatabaseBusyError), database_lock(db):
            pass
        assert is_held(db)

    assert not is_held(db)
    with database_lock(db):
        pass


def test_two_may_ask_at_a_time_and_a_run_that_starts_then_is_not_refused(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    with database_lock(db):
        pass
    asking = (tmp_path / "crawl.db.lock").open()
    fcntl.flock(asking, fcntl.LOCK_SH)

    assert not is_held(db)
    done = threading.Timer(0.01, asking.close)
    done.start()
    with database_lock(db):
        assert is_held(db)
    done.join()


def test_the_command_prints_json_or_text(crawled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--db", str(crawled), "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["urls"]["fetched"] == 13

    with pytest.raises(SystemExit):
        main(["status", "--db", str(crawled)])
    assert str(crawled) in capsys.readouterr().out


def test_the_command_ends_with_six_where_there_is_no_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--db", str(tmp_path / "none.db")])

    assert ended.value.code == 6
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
