"""The system's clock jumps by a day, either way, while a crawl runs and between two runs (libfaketime)."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import Cli, Serve, wait_for_requests

pytestmark = pytest.mark.system


PAGES = 20
DELAY_S = 0.15
OPTIONS = ("--delay", str(DELAY_S), "--concurrency", "8", "--max-wait", "20s")
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class Clock:
    """What time a command believes it to be; it may be set while the command runs. Monotonic time stays true."""

    def __init__(self, cli: Cli) -> None:
        assert LIBRARIES, "libfaketime is not installed; .ci/run installs it from Debian's packages"
        self._offset = cli.folder / "offset"
        self.set("+0")
        self.environment = os.environ | {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """So far from the true time: '+1d', '-1d', '+0'."""
        temporary = self._offset.with_suffix(".new")
        temporary.write_text(f"{offset}\n")
        temporary.replace(self._offset)


@pytest.fixture
def clock(cli: Cli) -> Clock:
    """The true time, until it is set."""
    return Clock(cli)


def _web() -> FakeWeb:
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        site = web.site(name, pages=PAGES)
        site.page("/", title="home", links=["/p1", "/p2", "/p3", "/busy", "http://b.test/"])
        site.sequence("/busy", Answer(status=503, headers={"Retry-After": "1"}), Answer.page(title="not any more"))
    return web


def _start(cli: Cli, clock: Clock, served: Served, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        cli.arguments(served, served.url("a.test"), "--scope", "any", *OPTIONS, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cli.folder,
        env=clock.environment,
    )


def _ended(crawler: subprocess.Popen[str]) -> None:
    _out, err = crawler.communicate(timeout=40)
    assert crawler.returncode == 0, err
    assert "Traceback" not in err, err


def _smallest_gap_s(served: Served, name: str) -> float:
    starts = sorted(hit.start for hit in served.hits(name))
    return min(later - earlier for earlier, later in itertools.pairwise(starts))


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_a_clock_that_jumps_while_a_crawl_runs_changes_nothing(
    cli: Cli, serve: Serve, clock: Clock, offset: str
) -> None:
    served = serve(_web())
    crawler = _start(cli, clock, served)
    wait_for_requests(served, 10)
    clock.set(offset)
    _ended(crawler)
    assert len(cli.pages()) == 2 * (PAGES + 1)
    assert cli.rows("SELECT count(*) FROM urls WHERE status <> 'fetched' AND kind = 'page'") == [0]
    assert _smallest_gap_s(served, "a.test") > DELAY_S / 2
    assert _smallest_gap_s(served, "b.test") > DELAY_S / 2
    assert len(served.hits("a.test", "/robots.txt")) == 1


@pytest.mark.parametrize(
    ("first", "second", "killed"),
    [("+0", "+1d", True), ("+1d", "+0", True), ("+1d", "+0", False), ("+0", "-1d", False)],
)
def test_a_clock_that_was_set_between_two_runs_holds_up_nothing(
    cli: Cli, serve: Serve, clock: Clock, first: str, second: str, killed: bool
) -> None:
    served = serve(_web())
    clock.set(first)
    crawler = _start(cli, clock, served, *([] if killed else ["--max-pages", "10"]))
    if killed:
        wait_for_requests(served, 14)
        crawler.kill()
        crawler.communicate()
    else:
        _ended(crawler)
    clock.set(second)
    _ended(_start(cli, clock, served))
    assert len(cli.pages()) == 2 * (PAGES + 1)
    assert cli.rows("SELECT count(*) FROM urls WHERE status <> 'fetched' AND kind = 'page'") == [0]
