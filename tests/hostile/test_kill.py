"""Killed at random instants, stopped among connections that hang, robbed of its parsers: the crawl loses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from crawler import open_crawl
from crawler.bodies import decompress
from crawler.fakeweb import FakeWeb, Served, StreamHandler
from tests.acceptance.conftest import Cli, Serve, slow_site, wait_for, wait_for_requests

OPTIONS = ("--delay", "0", "--per-host", "8", "--concurrency", "8", "--no-trap-rules")  # the pages are very alike
PAGES_A_KILL = 50
DEEP = b"<!doctype html><title>deep</title>" + b"<div>" * 100_000  # 13 s in the parser


# --- kill -9 ------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("kills", [15, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_kills_at_random_instants_lose_and_repeat_nothing_that_was_committed(
    cli: Cli, serve: Serve, kills: int
) -> None:
    web = FakeWeb()
    slow_site(web, pages=kills * PAGES_A_KILL, delay_s=0.06)
    served = serve(web)
    seed = served.url("a.test")
    instants = random.Random(20261122)
    committed: dict[str, bytes] = {}
    for number in range(kills):
        before = len(served.log)
        crawler = cli.start(served, seed, *OPTIONS)
        if number % 3:  # two thirds of them while pages are fetched, the others wherever that is
            wait_for_requests(served, before + 1)
        time.sleep(instants.uniform(0, 1))
        crawler.kill()
        crawler.communicate()
        assert crawler.returncode == -signal.SIGKILL
        assert not committed.keys() & _asked_for(served, before)
        committed = _grown(cli, committed)
    print(f"{len(committed)} of {kills * PAGES_A_KILL} pages after {kills} kills")
    assert 0 < len(committed) < kills * PAGES_A_KILL
    before = len(served.log)
    cli.crawl(served, seed, *OPTIONS)
    assert not committed.keys() & _asked_for(served, before)
    assert cli.rows("SELECT url, status, reason FROM urls WHERE status <> 'fetched' AND kind = 'page'") == []
    assert len(_grown(cli, committed)) == len(cli.pages()) == kills * PAGES_A_KILL


def _grown(cli: Cli, committed: dict[str, bytes]) -> dict[str, bytes]:
    """What is committed now, URL and hash of the content: all that was before, and more."""
    if not cli.db.exists():
        return committed
    assert cli.rows("PRAGMA integrity_check") == ["ok"]
    try:
        now = dict(cli.rows("SELECT u.url, p.content_hash FROM urls u JOIN pages p ON p.id = u.page_id"))
    except sqlite3.OperationalError:  # killed before the tables were made
        now = {}
    assert committed.items() <= now.items()
    return now


def _asked_for(served: Served, since: int) -> set[str]:
    return {served.url("a.test", hit.target) for hit in served.log[since:]}


# --- SIGTERM ------------------------------------------------------------------------------------------------------

HUNG = 20


def _hang_after(head: bytes) -> StreamHandler:
    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.Event().wait()

    return hang


HANGS = (b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99\r\n\r\n<p>")


@pytest.mark.thorough
def test_sigterm_among_hung_connections_ends_cleanly_and_the_next_run_fetches_what_hung(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    hosts = [web.host(f"h{number}.test") for number in range(HUNG)]
    web.host("a.test").page("/", links=[f"http://{host.name}/" for host in hosts])
    for number, host in enumerate(hosts):
        host.raw("/", _hang_after(HANGS[number % len(HANGS)]))
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), "--scope", "any", "--delay", "0", "--grace", "2s")
    wait_for(lambda: sum(bool(served.hits(host.name, "/")) for host in hosts) == HUNG)
    sent = time.monotonic()
    crawler.send_signal(signal.SIGTERM)
    _out, err = crawler.communicate(timeout=20)
    print(f"ended {time.monotonic() - sent:.1f} s after SIGTERM")
    assert crawler.returncode == 143, err
    assert "Traceback" not in err
    assert "Unclosed" not in err
    assert cli.pages() == [served.url("a.test")]
    assert cli.rows("SELECT count(*) FROM urls WHERE status = 'pending' AND attempts = 0") == [HUNG]
    for host in hosts:
        host.page("/", title="answers again")
    cli.crawl(served, "--scope", "any", "--delay", "0")
    assert len(cli.pages()) == HUNG + 1


# --- a parser that dies -------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_page_that_costs_its_parser_the_life_twice_is_failed_its_body_kept_and_the_crawl_goes_on(
    cli: Cli, serve: Serve
) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/deep", "/fine"])
    site.page("/deep", body=DEEP)
    site.page("/fine", delay_s=1)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), *OPTIONS, "--parse-timeout", "60")
    first = _busy_child(crawler)
    os.kill(first, signal.SIGKILL)
    os.kill(_busy_child(crawler, but=first), signal.SIGKILL)
    _out, err = crawler.communicate(timeout=40)
    assert crawler.returncode == 0, err
    assert cli.pages() == [served.url("a.test"), served.url("a.test", "/fine")]
    assert _unread(cli) == [("failed", "parse_timeout", "the parser process died while reading it", DEEP)]
    assert json.loads(cli.summary_file.read_text())["by_failure"] == {"parse_timeout": 1}
    assert _failures(cli) == {"parse_timeout": 1}


def test_what_takes_longer_than_the_parse_time_out_is_failed_and_its_body_kept(cli: Cli, serve: Serve) -> None:
    served = serve(_deep())
    outcome = cli.crawl(served, served.url("a.test"), *OPTIONS, "--parse-timeout", "0.5")
    assert _unread(cli) == [("failed", "parse_timeout", "reading took longer than 0.5 s", DEEP)]
    assert outcome.summary["by_failure"] == {"parse_timeout": 1}
    assert _failures(cli) == {"parse_timeout": 1}
    assert asyncio.run(_body(cli, served.url("a.test", "/deep"))) == DEEP


def test_without_bodies_what_cannot_be_read_is_not_kept_either(cli: Cli, serve: Serve) -> None:
    served = serve(_deep())
    cli.crawl(served, served.url("a.test"), *OPTIONS, "--parse-timeout", "0.5", "--no-bodies")
    assert cli.rows("SELECT failure, body_hash FROM fetches WHERE failure IS NOT NULL") == [("parse_timeout", None)]
    assert cli.rows("SELECT count(*) FROM bodies") == [0]


def _deep() -> FakeWeb:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/deep"])
    site.page("/deep", body=DEEP)
    return web


def _unread(cli: Cli) -> list[tuple[str, str, str, bytes]]:
    """What could not be read, as anybody may ask for it: status, reason, message, body."""
    rows = cli.rows(
        "SELECT u.status, u.reason, f.message, b.zstd FROM urls u JOIN fetches f ON f.url_id = u.id"
        " JOIN bodies b ON b.hash = f.body_hash"
    )
    return [(*row[:3], decompress(row[3])) for row in rows]


def _failures(cli: Cli) -> object:
    return json.loads(cli.command("status", "--json", "--db", str(cli.db)).out)["failures"]


async def _body(cli: Cli, url: str) -> bytes | None:
    async with open_crawl(cli.db) as archive:
        return await archive.body(url)


def _busy_child(crawler: subprocess.Popen[str], but: int = 0) -> int:
    """The parser process that has been at one document for a while."""
    while crawler.poll() is None:
        for pid in Path(f"/proc/{crawler.pid}/task/{crawler.pid}/children").read_text().split():
            with suppress(OSError):
                if int(pid) != but and _processor_seconds(pid) > 0.8:
                    return int(pid)
        time.sleep(0.02)
    raise AssertionError("the crawl ended before")


def _processor_seconds(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
