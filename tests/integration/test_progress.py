"""What is shown while a crawl runs, and once it has ended."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, ScopeConfig, Summary
from crawler.clock import Clock
from crawler.counters import Counters
from crawler.engine import Crawl
from crawler.fakeweb import FakeWeb
from crawler.frontier.hosts import HostState
from crawler.frontier.workbench import Workbench
from crawler.output.ending import print_ending
from crawler.output.logs import JsonLines, LogFormat
from crawler.output.meter import Meter
from crawler.output.observer import Observer
from crawler.output.progress import LiveView, OneLine, PlainLines, Quiet, observer_for, progress_line
from crawler.output.screen import Screen
from crawler.policy.pace import SLOW_AFTER_S, HostPace
from crawler.records import Blame, Claim, Closure

DB = Path("crawl.db")
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


@dataclass
class Bench:
    """A real workbench in the place of the frontier, a clock that is set by hand, and what a meter makes of them."""

    now: float = 1000.0
    counters: Counters = field(default_factory=Counters)
    workbench: Workbench = field(default_factory=lambda: Workbench(delay_s=1.0, per_host=4, per_ip=16, concurrency=8))
    ids: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.meter = Meter(self, self.counters, Clock(monotonic=lambda: self.now))

    def hosts(self) -> Iterator[HostState]:
        return self.workbench.hosts()

    def host(self, name: str, *, claims: int = 0, requests: int = 0) -> HostState:
        host = self.workbench.add_host(next(self.ids), name, ready_at=self.now)
        host.more = False
        host.requests = requests
        offered = [
            Claim(url_id=n, url=f"http://{name}/{n}", host_id=host.host_id, host=name, origin=f"http://{name}")
            for n in range(claims)
        ]
        self.workbench.offer(host, offered)
        return host

    def take(self) -> Claim:
        claim = self.workbench.lend(self.now)
        assert claim is not None
        return claim

    def screen(self, width: int = 80, height: int = 24) -> str:
        console = terminal(width, height)
        console.print(Screen(self.meter.read(), self.counters))
        return written(console)

    def line_of(self, host: str) -> str:
        return next(line.rstrip() for line in self.screen().splitlines() if host in line)


def terminal(width: int = 80, height: int = 24) -> Console:
    """A terminal without colours: what is left of ESC is cursor movement, or a mistake."""
    return Console(file=StringIO(), force_terminal=True, color_system=None, width=width, height=height)


def plain() -> Console:
    return Console(file=StringIO(), width=80)


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_screen_shows_the_figures(bench: Bench) -> None:
    bench.host("a.test", claims=3)
    bench.counters.requests, bench.counters.connections_opened, bench.counters.connections_open = 1170, 12, 4
    bench.counters.bytes, bench.counters.in_flight = 8_100_000, 16
    bench.counters.dns_lookups, bench.counters.dns_cache_hits = 3, 1167
    bench.counters.by_status.update({200: 1160, 204: 1, 301: 2, 404: 3, 503: 4})
    bench.counters.by_failure.update({"dns": 1, "timeout": 2})
    bench.now += 75

    screen = bench.screen()

    assert "elapsed      01:15" in screen
    assert "pending      3, 16 in flight" in screen
    assert "2xx 1,161   3xx 2   4xx 3   5xx 4   failed 3" in screen
    assert "received     8.1 MB" in screen
    assert "12 opened for 1,170 requests, 4 open now" in screen
    assert "3 lookups, 1,167 cache hits" in screen


def test_rates_are_of_the_last_seconds_and_of_the_whole_run(bench: Bench) -> None:
    for _ in range(60):
        bench.now += 1
        bench.counters.pages += 2
        bench.meter.read()
    for _ in range(20):
        bench.now += 1
        bench.counters.pages += 10
        reading = bench.meter.read()

    assert reading.recent_per_s == pytest.approx(10)
    assert reading.overall_per_s == pytest.approx(320 / 80)


def test_a_meter_that_is_read_seldom_tells_the_rate_since_its_last_reading(bench: Bench) -> None:
    bench.counters.pages = 30
    bench.now += 30
    bench.meter.read()
    bench.counters.pages = 330
    bench.now += 30

    assert bench.meter.read().recent_per_s == pytest.approx(10)


def test_pending_counts_what_is_in_memory_and_says_when_there_is_more(bench: Bench) -> None:
    first, second = bench.host("a.test", claims=3), bench.host("b.test", claims=2)
    bench.take()
    first.waiting = 7
    assert bench.meter.read().pending == 12
    assert "pending      12, " in bench.screen()

    second.more = True
    assert "pending      12+, " in bench.screen()


def test_a_host_is_shown_with_what_it_does(bench: Bench) -> None:
    bench.host("idle.test")
    bench.host("ready.test", claims=1)
    assert bench.line_of("idle.test").endswith("idle")
    assert bench.line_of("ready.test").endswith("ready")

    claim = bench.take()
    assert bench.line_of("ready.test").endswith("fetching")

    bench.workbench.sent(claim, bench.now)
    bench.workbench.take_back(claim, bench.now)
    host = bench.workbench.host(claim.host_id)
    bench.workbench.offer(host, [claim])
    bench.now += 0.4
    assert bench.line_of("ready.test").endswith("next in 0.6 s")

    host.waiting = 5
    assert bench.line_of("ready.test").endswith("waiting for robots.txt")


def test_a_host_that_backs_off_says_for_how_long(bench: Bench) -> None:
    bench.host("tired.test", claims=2)
    claim = bench.take()
    bench.workbench.sent(claim, bench.now)
    bench.workbench.take_back(claim, bench.now, back_off_until=bench.now + 300)

    assert bench.line_of("tired.test").endswith("paused, 5 min")


def test_where_one_origin_of_a_host_pauses_it_is_named_and_the_others_are_not_called_paused(bench: Bench) -> None:
    host = bench.host("shop.test", claims=1)
    other = Claim(
        url_id=9, url="https://shop.test:8443/", host_id=host.host_id, host="shop.test", origin="https://shop.test:8443"
    )
    bench.workbench.offer(host, [other])
    busy = host.claims.origin(other.origin)
    bench.workbench.pause(host, busy, bench.now, bench.now + 300, "http 503")
    assert bench.line_of("shop.test").endswith(" ready, port 8443 paused, 5 min")

    claim = bench.take()
    assert claim.origin == "http://shop.test"
    assert bench.line_of("shop.test").endswith(" fetching, port 8443 paused, 5 min")

    bench.workbench.sent(claim, bench.now)
    bench.workbench.take_back(claim, bench.now)
    assert bench.line_of("shop.test").endswith(" port 8443 paused, 5 min"), "the other one has nothing to do"

    bench.workbench.pause(host, host.claims.origin(claim.origin), bench.now, bench.now + 20, "http 503")
    assert bench.line_of("shop.test").endswith("   paused, 20 s"), "all of it, until the first of them may be asked"


def test_a_slow_host_is_marked(bench: Bench) -> None:
    bench.host("slow.test", claims=2)
    claim = bench.take()
    bench.workbench.sent(claim, bench.now)
    bench.now += SLOW_AFTER_S + 1
    bench.workbench.lend(bench.now)

    assert bench.line_of("slow.test").endswith("fetching, slow")


def test_a_long_state_is_cut_and_leaves_the_other_columns_whole(bench: Bench) -> None:
    host = bench.host("some-shop.example.test", claims=1)
    host.pace, host.slow = HostPace(delay_s=1.6), True
    bench.workbench.pause(host, host.claims.origin("https://some-shop.example.test"), bench.now, bench.now + 300, "")

    assert bench.line_of("some-shop.example.test").endswith("          0         1   ready, https paused, 5 min, sl…")
    assert "host                     requests   pending   state" in bench.screen()


def test_the_busiest_hosts_are_shown_and_counted(bench: Bench) -> None:
    for number in range(20):
        bench.host(f"h{number:02}.test", requests=number)

    screen = bench.screen()

    assert [line.split()[0] for line in screen.splitlines() if ".test" in line] == [
        f"h{number}.test" for number in range(19, 11, -1)
    ]
    assert "host (8 of 20)" in screen


def test_rows_do_not_trade_places_at_every_refresh(bench: Bench) -> None:
    first, second = bench.host("a.test", requests=5), bench.host("b.test", requests=4)
    assert bench.meter.read().busiest == (first, second)

    second.requests = 9
    bench.now += 0.25
    assert bench.meter.read().busiest == (first, second)
    bench.now += 10
    assert bench.meter.read().busiest == (second, first)


def test_text_from_the_web_reaches_the_terminal_as_text(bench: Bench) -> None:
    bench.counters.latest_errors.append(("http://a.test/[bold]\x1b[2J\u202e", "bad_response: [red]\x1b]0;x\x07\nnext"))

    screen = bench.screen(width=120)

    assert "\x1b" not in screen
    assert "\u202e" not in screen
    assert "[red]\ufffd]0;x\ufffd next" in screen
    assert "http://a.test/[bold]\ufffd[2J" in screen


@pytest.mark.parametrize(
    ("width", "height"),
    [(200, 50), (120, 24), (80, 24), (80, 12), (40, 24), (40, 5), (30, 50), (30, 5), (200, 2), (30, 2)],
)
def test_the_screen_fits_the_terminal(bench: Bench, width: int, height: int) -> None:
    for number in range(30):
        bench.host(f"a-rather-long-name-of-a-host-{number}.with.many.labels.example.test", claims=1000)
        bench.counters.latest_errors.append((f"http://a.test/{'x' * 300}", "timeout: the server took much too long"))

    lines = bench.screen(width, height).splitlines()

    assert len(lines) < height
    assert max(cell_len(line) for line in lines) <= width
    assert any("elapsed" in line for line in lines)


def test_a_progress_line_tells_what_matters(bench: Bench) -> None:
    bench.host("a.test", claims=1204).more = True
    bench.counters.pages, bench.counters.in_flight = 312, 16
    bench.counters.by_status.update({200: 320, 404: 3})
    bench.counters.by_failure.update({"dns": 1})
    bench.counters.connections_opened, bench.counters.requests = 12, 335
    bench.now += 15

    assert progress_line(bench.meter.read(), bench.counters) == (
        "00:15 pages 312 (20.8/s), pending 1,204+, in flight 16, 2xx 320, 4xx 3, failed 1, connections 12/335"
    )


async def run_crawl(observer: Observer, tmp_path: Path) -> Summary:
    web = FakeWeb()
    web.host("old.test").redirect("/", "http://site.test/", status=301)
    web.site("site.test", pages=20)
    async with web.serve() as served:
        config = CrawlConfig(
            db=tmp_path / "crawl.db",
            scope=ScopeConfig(guess_sitemap=False),
            politeness=PolitenessConfig(delay_s=0.01),
            network=NetworkConfig(
                user_agent="mybot/1.0 (+https://me.example/bot)",  # without a contact, a run says more
                dns_server=served.dns,
                allow_private=("127.0.0.0/8",),
            ),
        )
        return await Crawl([served.url("old.test")], config, observer=observer)


async def test_the_live_view_of_a_crawl_leaves_notices_and_the_account(tmp_path: Path) -> None:
    screen, results = terminal(), terminal()

    summary = await run_crawl(observer_for(DB, False, screen=screen, results=results, interactive=True), tmp_path)

    assert summary.pages == 20
    shown = written(screen)
    assert "site.test is now in scope" in " ".join(shown.split())
    assert "connections" in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert "run 1" in written(results)
    assert "connections" in written(results)


async def test_a_text_log_has_lines_and_no_control_characters(tmp_path: Path) -> None:
    screen, results = plain(), plain()

    log_format = LogFormat.TEXT
    await run_crawl(observer_for(DB, False, log_format=log_format, screen=screen, results=results), tmp_path)

    lines = written(screen).splitlines()
    (notice,) = [line for line in lines if not re.match(r"\d\d:\d\d pages ", line)]  # a slow machine has time for these
    assert notice.endswith("site.test is now in scope")
    assert [line.split()[0] for line in written(results).splitlines()][:4] == ["run", "pages", "changes", "responses"]
    assert "\x1b" not in written(screen) + written(results)


async def test_quiet_prints_nothing(tmp_path: Path) -> None:
    screen, results = terminal(), terminal()

    await run_crawl(observer_for(DB, True, screen=screen, results=results, interactive=True), tmp_path)

    assert written(screen) == written(results) == ""


def test_a_crawl_that_fails_gives_the_terminal_back(bench: Bench) -> None:
    screen, results = terminal(), terminal()
    observer = observer_for(DB, False, screen=screen, results=results, interactive=True)

    async def failing_crawl() -> None:
        observer.started(bench, bench.counters)
        await asyncio.sleep(0.01)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        asyncio.run(failing_crawl())

    shown = written(screen)
    assert shown.count(HIDE_CURSOR) == 1
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert written(results) == ""


async def test_a_view_is_closed_by_hand_where_the_loop_runs_on(bench: Bench) -> None:
    screen = terminal()
    observer = observer_for(DB, False, screen=screen, results=plain(), interactive=True)
    observer.started(bench, bench.counters)
    await asyncio.sleep(0.01)

    observer.close()
    shown = written(screen)
    observer.close()
    await asyncio.sleep(0.01)

    assert shown.endswith(SHOW_CURSOR) or shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert written(screen) == shown


@pytest.mark.parametrize(
    ("quiet", "interactive", "kind"),
    [(True, True, Quiet), (True, False, Quiet), (False, True, LiveView), (False, False, OneLine)],
)
def test_the_observer_fits_the_place(quiet: bool, interactive: bool, kind: type) -> None:
    assert type(observer_for(DB, quiet, interactive=interactive)) is kind


@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize(
    ("quiet", "log_format", "kind"),
    [
        (False, LogFormat.TEXT, PlainLines),
        (False, LogFormat.JSON, JsonLines),
        (True, LogFormat.TEXT, Quiet),
        (True, LogFormat.JSON, JsonLines),
    ],
)
def test_a_log_format_says_it_whatever_the_place(
    interactive: bool, quiet: bool, log_format: LogFormat, kind: type
) -> None:
    assert type(observer_for(DB, quiet, log_format=log_format, interactive=interactive)) is kind


def test_asking_for_colours_does_not_make_a_file_a_terminal() -> None:
    assert type(observer_for(DB, False, screen=terminal())) is OneLine


@pytest.mark.parametrize(
    ("end_reason", "words"),
    [
        ("complete", "complete after 0.0 s: no fetchable URLs left"),
        ("max_pages", "--max-pages"),
        ("max_requests", "--max-requests"),
        ("max_runtime", "--max-runtime"),
        ("interrupted", "Ctrl-C"),
        ("terminated", "SIGTERM"),
        ("\x1b[2Jother", "\ufffd[2Jother"),
    ],
)
@pytest.mark.parametrize("make_console", [terminal, plain])
def test_the_account_says_how_the_run_ended(make_console: type[Console], end_reason: str, words: str) -> None:
    console = make_console()

    print_ending(console, Summary(run_id=7, complete=end_reason == "complete", end_reason=end_reason), DB)

    assert words in written(console)
    assert "\x1b" not in written(console)
    assert "no seed" not in written(console)


def test_the_account_tells_what_was_left_and_why() -> None:
    console = plain()
    summary = Summary(
        run_id=1,
        complete=True,
        end_reason="complete",
        seeds_failed=True,
        pages=1170,
        run_pages=2000,
        requests=1180,
        connections_opened=12,
        connections_per_request=0.0102,
        by_status={"200": 1170, "404": 3},
        by_failure={"dns": 2},
        excluded={"scope": 120, "robots": 4},
        urls={"fetched": 1170, "pending": 213},
        pending=213,
        waiting=tuple(Closure(name=f"{name}.test", blame=Blame.HOST, until=1e9, why="dns") for name in "abcd"),
    )

    print_ending(console, summary, DB)

    lines = dict(line.split(maxsplit=1) for line in written(console).splitlines())
    assert "no seed could be fetched" in lines["run"]
    assert "2,000 in the whole run" in lines["pages"]
    assert lines["responses"] == "200: 1,170   404: 3"
    assert lines["failures"] == "dns: 2"
    assert lines["connections"].startswith("12 opened for 1,180 requests (0.01 per request)")
    assert lines["pending"].startswith("213 left")
    assert "a.test, b.test, c.test and others" in lines["pending"]
    assert lines["excluded"] == "scope: 120   robots: 4"
    assert lines["data"].startswith("crawl.db")


def test_what_was_not_reached_is_not_blamed_on_hosts() -> None:
    console = plain()

    print_ending(console, Summary(run_id=1, complete=False, end_reason="max_pages", pending=5), DB)

    assert "5 left (the run ended first)" in written(console)
