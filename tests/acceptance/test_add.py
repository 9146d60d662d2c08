"""`crawler add`: URLs for a crawl that runs, or for the next one; whatever else lies in that folder does no harm."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import Cli, Gate, Serve, wait_for

pytestmark = pytest.mark.any_store

OPTIONS = ("--delay", "0", "--retries", "0")


@pytest.fixture
def served(serve: Serve, gate: Gate) -> Served:
    web = FakeWeb()
    slow = web.host("slow.test")
    slow.page("/", links=["/wait", "http://far.test/"])
    slow.answer("/wait", gate)
    web.site("more.test", pages=10)
    far = web.host("far.test")
    far.page("/", links=["/next"])
    far.page("/next")
    far.page("/other")
    return serve(web)


def start(cli: Cli, served: Served, *arguments: str) -> subprocess.Popen[str]:
    """A crawl that runs, and has nothing to do but to wait for an answer."""
    crawler = cli.start(served, served.url("slow.test"), *OPTIONS, *arguments)
    wait_for(lambda: served.hits("slow.test", "/wait"))
    return crawler


def add(cli: Cli, *arguments: str, status: int = 0) -> str:
    outcome = cli.command("add", "--db", str(cli.db), *arguments, status=status)
    assert (outcome.err if status else outcome.out).count("\n") == 1
    return outcome.err if status else outcome.out


@pytest.mark.thorough
def test_what_is_added_while_a_crawl_runs_is_crawled_without_a_restart(cli: Cli, served: Served, gate: Gate) -> None:
    crawler = start(cli, served)
    assert "2 URLs added to the running crawl" in add(cli, served.url("more.test"), served.url("far.test", "/other"))
    while not (served.hits("more.test", "/p9") and served.hits("far.test", "/next")):
        assert crawler.poll() is None
        time.sleep(0.01)
    assert served.hits("slow.test", "/wait")[0].end is None  # it was not the end of that which made it look
    gate.open()
    _out, err = crawler.communicate(timeout=30)
    assert crawler.returncode == 0, err
    assert "2 URLs added" in err
    assert "1 excluded URL can be fetched now" in err  # the link to far.test, which is in the scope now
    assert len(cli.pages()) == 2 + 10 + 3
    assert served.hits("far.test", "/next")
    assert not list(cli.folder.glob("crawl.db.inbox/*"))
    assert cli.rows("SELECT count(*) FROM runs") == [1]


def test_what_is_added_at_the_last_moment_is_crawled_too(cli: Cli, served: Served, gate: Gate) -> None:
    crawler = start(cli, served)
    gate.open()
    while cli.rows("SELECT count(*) FROM pages") != [2]:
        time.sleep(0.001)
    add(cli, served.url("more.test"))
    crawler.communicate(timeout=30)
    if not cli.rows("SELECT count(*) FROM urls WHERE url LIKE '%more.test%'")[0]:  # it came too late: for the next run
        cli.command("crawl", "--db", str(cli.db))
    assert len(cli.pages()) == 12


def test_without_a_crawl_the_next_run_takes_it_up_at_its_start(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("far.test", "/next"), *OPTIONS)
    (cli.folder / "list.txt").write_text(f"{served.url('more.test')}\n{served.url('far.test')}\n")
    assert "2 URLs added for the next run" in add(cli, "list.txt")
    assert "1 URL added for the next run" in add(cli, f"far.test:{served.port}/other")
    cli.command("crawl", "--db", str(cli.db))
    assert len(cli.pages()) == 1 + 10 + 2
    assert served.url("far.test", "/other") in cli.pages()  # a bare name: by https, then by http
    assert not list(cli.folder.glob("crawl.db.inbox/*"))


def test_a_seed_that_failed_is_tried_again_when_it_is_added(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/")
    site.status("/x", 500)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), served.url("a.test", "/x"), *OPTIONS)
    site.page("/x")
    add(cli, served.url("a.test", "/x"))
    cli.command("crawl", "--db", str(cli.db))
    assert len(cli.pages()) == 2


@pytest.mark.thorough
def test_a_kill_loses_no_note(cli: Cli, served: Served, gate: Gate) -> None:
    crawler = start(cli, served)
    add(cli, served.url("more.test"))
    while not served.hits("more.test", "/"):
        time.sleep(0.001)
    crawler.kill()
    crawler.communicate()
    gate.open()
    add(cli, served.url("far.test", "/other"))
    cli.command("crawl", "--db", str(cli.db))
    assert len(set(cli.pages())) == len(cli.pages()) == 2 + 10 + 3


@pytest.mark.thorough
@pytest.mark.sqlite  # PostgreSQL has no such folder
def test_hostile_contents_of_the_folder_do_no_harm(cli: Cli, served: Served, gate: Gate) -> None:
    crawler = start(cli, served)
    inbox = cli.folder / "crawl.db.inbox"
    inbox.mkdir()
    (inbox / "junk").write_bytes(os.urandom(1000))
    (inbox / "binary.urls").write_bytes(b"\xff\xfe\x00http://x")
    (inbox / "lines.urls").write_text(f"not a url\n\x1b[2Jftp://x/\n\n{served.url('more.test')}\nhttp://\n")
    (inbox / "link.urls").symlink_to("/etc/passwd")
    (inbox / "loop.urls").symlink_to("loop.urls")
    (inbox / "folder.urls").mkdir()
    os.mkfifo(inbox / "fifo.urls")
    with (inbox / "huge.urls").open("wb") as huge:
        huge.truncate(1 << 40)
    (inbox / "empty.urls").touch()
    wait_for(lambda: served.hits("more.test", "/"))
    gate.open()
    _out, err = crawler.communicate(timeout=30)
    assert crawler.returncode == 0, err
    assert len(cli.pages()) == 12
    assert "3 lines are not URLs" in err
    assert err.count(f"skipping {inbox.resolve()}/") == 6
    assert "\x1b" not in err
    assert "root:" not in err
    left = {path.name for path in inbox.iterdir()}
    assert left == {"junk", *(f"{name}.urls" for name in ("binary", "link", "loop", "folder", "fifo", "huge"))}


@pytest.mark.sqlite
def test_an_inbox_that_is_no_folder_does_no_harm(cli: Cli, served: Served) -> None:
    (cli.folder / "crawl.db.inbox").write_text("x")
    cli.crawl(served, served.url("far.test"), *OPTIONS)
    assert "cannot write to " in add(cli, served.url("more.test"), status=2)


@pytest.mark.parametrize(
    ("seed", "named"),
    [
        ("ftp://a.test/", "ftp://a.test/"),
        ("nosuchfile.txt", "nosuchfile.txt"),
        ("https://me:hush@a.test/", "user and password"),
        ("me:hush@a.test", "user and password"),
    ],
)
def test_what_cannot_be_crawled_or_kept_is_refused_at_once(cli: Cli, served: Served, seed: str, named: str) -> None:
    cli.crawl(served, served.url("far.test", "/next"), *OPTIONS)
    err = add(cli, served.url("more.test"), seed, status=2)
    assert named in err
    assert "hush" not in err
    assert not (cli.folder / "crawl.db.inbox").exists()


def test_there_has_to_be_a_crawl(cli: Cli) -> None:
    assert "there is no crawl" in add(cli, "https://a.test/", status=6)
    assert not list(Path(cli.folder).iterdir())
