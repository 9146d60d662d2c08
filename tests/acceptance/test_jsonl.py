"""`crawl --jsonl`: each page as a line, once it is committed, through pipes that end and files that are cut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import COMMAND, LOOPBACK, NO_GUESS, Cli, Gate, Serve, wait_for

# Marked `sqlite`: what only a crawl into a file does with its lines, which is to go on where it was (manual: output).
pytestmark = pytest.mark.any_store

PAGES = 40


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    web = FakeWeb()
    web.site("a.test", pages=PAGES)
    with web.running() as running:
        yield running


def crawl(cli: Cli, served: Served, jsonl: str | Path, *more: str) -> list[str]:
    """The command line, without what our other tests want to be told."""
    network = (*LOOPBACK, "--dns-server", served.dns)
    own = ("--db", str(cli.db), "--jsonl", str(jsonl), "--delay", "0", *NO_GUESS)
    return [*COMMAND, "crawl", *own, *network, served.url("a.test"), *more]


def lines_of(text: str | Path) -> list[dict[str, Any]]:
    text = text.read_text() if isinstance(text, Path) else text
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def in_order(page: dict[str, Any]) -> dict[str, Any]:
    """The database does not keep the order of links."""
    return page | {"links": sorted(page["links"], key=lambda link: str(link["url"]))}


def stored(cli: Cli) -> list[tuple[int, str]]:
    return cli.rows("SELECT p.id, u.url FROM pages p JOIN urls u ON u.id = p.url_id ORDER BY p.id")


def assert_each_once(cli: Cli, text: str | Path) -> None:
    assert [(one["page_id"], one["url"]) for one in lines_of(text)] == stored(cli)


@contextmanager
def unread(cli: Cli, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A crawl whose standard output nobody reads."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cli.folder) as running:
        yield running


def test_standard_output_has_the_pages_alone_and_standard_error_the_rest(cli: Cli, served: Served) -> None:
    outcome = cli.run(crawl(cli, served, "-"))
    assert_each_once(cli, outcome.out)
    assert len(lines_of(outcome.out)) == PAGES
    assert "complete" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_crawl_file_may_name_standard_output_too(cli: Cli, served: Served) -> None:
    (cli.folder / "crawl.toml").write_text(f'jsonl = "-"\nseeds = ["{served.url("a.test")}"]\ndb = "crawl.db"\n')
    arguments = [one for one in crawl(cli, served, "x") if one not in ("--jsonl", "x", served.url("a.test"))]
    outcome = cli.run([*arguments, "--config", "crawl.toml", "--max-pages", "3"])
    assert_each_once(cli, outcome.out)


def test_who_reads_only_the_first_line_ends_the_crawl_cleanly(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    web.site("a.test", pages=PAGES).answer("/p39", gate)  # it would go on as long as it has a reader
    served = serve(web)
    script = '("$@"; echo $? >status) | head -1'
    outcome = cli.run(["sh", "-c", script, "sh", *crawl(cli, served, "-", "--timeout", "600")])
    assert [one["url"] for one in lines_of(outcome.out)] == [served.url("a.test")]
    assert (cli.folder / "status").read_text() == "0\n"
    assert "whoever read its output has left; all finished work is stored" in outcome.err
    assert cli.rows("SELECT end_reason, ended_at IS NOT NULL FROM runs") == [("output_closed", 1)]
    gate.open()
    cli.run(crawl(cli, served, "-"))
    assert len({url for _id, url in stored(cli)}) == len(stored(cli)) == PAGES


@pytest.mark.sqlite
@pytest.mark.thorough
def test_a_reader_who_reads_nothing_holds_up_the_crawl_but_not_its_end(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.site("a.test", pages=700)
    for path, links in list(site.links.items()):
        site.page(path, links=links, text=path * 300)
    with unread(cli, crawl(cli, serve(web), "-", "--log-format", "text")) as running:
        wait_for(lambda: cli.db.exists() and cli.rows("SELECT 1 FROM sqlite_schema WHERE name = 'pages'"))
        wait_for(lambda: len(stored(cli)) > 256)
        running.send_signal(signal.SIGTERM)
        assert running.stderr is not None
        while b"stopping" not in running.stderr.readline():
            pass
        running.send_signal(signal.SIGTERM)  # of two at the same time, one is lost
        assert running.wait(timeout=100) == 143
    assert cli.rows("SELECT end_reason FROM runs") == ["terminated"]


@pytest.mark.sqlite
@pytest.mark.thorough
def test_a_file_has_each_page_once_however_often_the_crawl_is_killed(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=600)
    served, file = serve(web), cli.folder / "pages.jsonl"
    file.touch()
    for kills in range(6):
        before = file.stat().st_size
        with unread(cli, crawl(cli, served, file, "--delay", "0.001")) as running:
            while running.poll() is None and file.stat().st_size <= before:
                time.sleep(0.01)
            running.kill()
        with file.open("ab") as torn:  # as when a write was under way
            torn.write(b'{"url":"http://a.test/'[: 3 * kills])
    cli.run(crawl(cli, served, file, "--delay", "0"))
    assert_each_once(cli, file)
    assert len(stored(cli)) == 600


@pytest.mark.sqlite
def test_what_is_missing_after_the_last_line_follows(cli: Cli, served: Served) -> None:
    file = cli.folder / "pages.jsonl"
    cli.run(crawl(cli, served, file))
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-7]) + lines[-7][:100])
    cli.run(crawl(cli, served, file))  # which has nothing to fetch
    assert list(map(in_order, lines_of(file))) == [in_order(json.loads(line)) for line in lines]
    assert_each_once(cli, file)


@pytest.mark.sqlite
def test_lines_that_the_database_has_lost_are_written_again(cli: Cli, served: Served) -> None:
    """A power cut may take the last commits; the file's lines may have come through."""
    file = cli.folder / "pages.jsonl"
    cli.run(crawl(cli, served, file, "--max-pages", "5"))
    lost = json.loads(file.read_bytes().splitlines()[-1])
    with file.open("ab") as ahead:
        ahead.write(
            json.dumps(lost | {"page_id": 6, "url": "http://a.test/lost"}, separators=(",", ":")).encode() + b"\n"
        )
    cli.run(crawl(cli, served, file, "--max-pages", "none"))
    assert_each_once(cli, file)


@pytest.mark.sqlite
@pytest.mark.thorough
def test_a_new_file_begins_with_this_run_also_with_what_it_stored_before_it_was_killed(cli: Cli, serve: Serve) -> None:
    web, gate = FakeWeb(), Gate()
    web.site("a.test", pages=PAGES).answer("/p30", gate)
    served, file = serve(web), cli.folder / "pages.jsonl"
    cli.run(crawl(cli, served, cli.folder / "earlier.jsonl", "--max-pages", "3"))
    with unread(cli, crawl(cli, served, file, "--max-pages", "none")) as running:
        wait_for(lambda: len(stored(cli)) > 3)
        running.kill()
    file.unlink(missing_ok=True)
    gate.open()
    cli.run(crawl(cli, served, file, "--max-pages", "none"))
    assert [(one["page_id"], one["url"]) for one in lines_of(file)] == stored(cli)[3:]
    assert {one["run_id"] for one in lines_of(file)} == {2}


def test_a_file_of_something_else_is_left_alone(cli: Cli, served: Served) -> None:
    ours, other, text = (cli.folder / name for name in ("ours.jsonl", "other.jsonl", "notes.txt"))
    cli.run(crawl(cli, served, ours, "--max-pages", "3"))
    text.write_text("To buy:\nbread")
    other.write_text(ours.read_text().replace("http://a.test", "http://b.test"))
    cut = cli.folder / "cut.jsonl"
    cut.write_text("[1, 2")
    for file in (other, text, cut):
        before = file.read_bytes()
        outcome = cli.run(crawl(cli, served, file), status=2)
        assert (outcome.err.count("\n"), str(file) in outcome.err) == (1, True), outcome.err
        assert file.read_bytes() == before
    assert len(stored(cli)) == 3, "nothing was fetched"
    cli.run(crawl(cli, served, ours, "--max-pages", "4"))
    assert_each_once(cli, ours)


@pytest.mark.sqlite
def test_a_file_of_an_earlier_crawl_is_no_file_of_a_new_one(cli: Cli, served: Served) -> None:
    file = cli.folder / "pages.jsonl"
    cli.run(crawl(cli, served, file, "--max-pages", "3"))
    cli.db = cli.folder / "new.db"
    outcome = cli.run(crawl(cli, served, file), status=2)
    assert "does not end with pages of" in outcome.err
    assert not cli.db.exists()


@pytest.mark.sqlite
@pytest.mark.thorough
def test_a_file_that_another_crawl_writes_to_is_refused(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    web.site("a.test", pages=5).answer("/p4", gate)
    served, file = serve(web), cli.folder / "pages.jsonl"
    first = cli.db
    with unread(cli, crawl(cli, served, file)) as running:
        wait_for(lambda: file.exists() and file.read_bytes())
        cli.db = cli.folder / "second.db"
        cli.run([*crawl(cli, served, cli.folder / "other.jsonl"), "--max-pages", "1"])
        file.read_bytes()
        outcome = cli.run(crawl(cli, served, file, "--max-pages", "2"), status=2)
        assert outcome.err.count("\n") == 1
        gate.open()
        assert running.wait(timeout=50) == 0
    cli.db = first
    assert_each_once(cli, file)


@pytest.mark.parametrize("target", ["-", "/dev/full"])
def test_what_cannot_be_written_is_told_in_a_line_and_nothing_is_lost(cli: Cli, served: Served, target: str) -> None:
    script = '"$@" >/dev/full' if target == "-" else '"$@"'
    outcome = cli.run(["sh", "-c", script, "sh", *crawl(cli, served, target)], status=2)
    assert outcome.err.splitlines()[-1] == f"crawler: --jsonl {target}: {os.strerror(28)}"
    assert cli.rows("SELECT count(*) FROM runs WHERE ended_at IS NULL") == [0]
    cli.run(crawl(cli, served, "-"))
    assert len(stored(cli)) == PAGES


@pytest.mark.sqlite
@pytest.mark.thorough
def test_a_named_pipe_waits_for_its_reader(cli: Cli, served: Served) -> None:
    pipe = cli.folder / "pipe"
    os.mkfifo(pipe)
    with unread(cli, crawl(cli, served, pipe)) as running:
        wait_for(lambda: cli.db.exists() and cli.rows("SELECT 1 FROM sqlite_schema WHERE name = 'pages'"))
        wait_for(lambda: stored(cli))
        text = pipe.read_text()
        assert running.wait(timeout=50) == 0
    assert_each_once(cli, text)
