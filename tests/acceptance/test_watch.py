"""`crawler status --watch` shows a crawl as it goes on, until Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, Cli, Serve, wait_for_requests

pytestmark = pytest.mark.any_store


@pytest.mark.thorough
def test_each_look_is_an_object_a_line_for_programs(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=1000)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), "--delay", "0.05")
    wait_for_requests(served, 10)
    arguments = [*COMMAND, "status", "--db", str(cli.db), "--watch", "--json", "--interval", "0.5"]
    watch = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    looks = [json.loads(watch.stdout.readline()) for _ in range(3)]
    assert all(look["running"] for look in looks)
    assert looks[0]["urls"]["fetched"] < looks[2]["urls"]["fetched"]
    watch.send_signal(signal.SIGINT)
    _out, err = watch.communicate(timeout=20)
    assert (watch.returncode, err) == (0, "")
    assert crawler.poll() is None
    crawler.send_signal(signal.SIGTERM)
    crawler.communicate(timeout=20)


def test_on_a_terminal_it_has_a_screen_of_its_own_and_gives_it_back(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=3)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "--delay", "0")
    ours, theirs = pty.openpty()
    arguments = [*COMMAND, "status", "--db", str(cli.db), "--watch", "--interval", "0.2"]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(arguments, stdout=theirs, stderr=theirs, env=environment) as watch:
        os.close(theirs)
        shown = b""
        while shown.count(b"database") < 3:
            shown += os.read(ours, 65536)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 0
        shown += os.read(ours, 65536)
    os.close(ours)
    assert shown.index(b"\x1b[?1049h") < shown.index(b"database")
    assert b"\x1b[?1049l" in shown
    assert b"Traceback" not in shown


def test_there_has_to_be_something_to_watch(no_crawl: Cli) -> None:
    outcome = no_crawl.command("status", "--db", str(no_crawl.db), "--watch", status=6)
    assert outcome.err.count("\n") == 1
    assert "there is no crawl" in outcome.err
