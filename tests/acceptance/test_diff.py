"""`crawler diff` and `crawler changes` from the command line: exactly what has changed, and each change once."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler.archive.changes import BEGINNING, FeedEntry, read_changes
from crawler.archive.reading import open_archive
from crawler.fakeweb import FakeWeb, Served, Site
from tests.acceptance.conftest import COMMAND, Cli, Serve, on_a_terminal, serving

AGAIN = ("--delay", "0", "--per-host", "8", "--max-age", "0s")
FILES = [f"/file-{number}" for number in range(12)]
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp"


def first_night() -> FakeWeb:
    """A dozen files."""
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="index", links=[*FILES, "/added"])
    for path in FILES:
        site.page(path, title=path, text=f"first line\n\nthis is {path}\n\nlast line", links=["/"])
    site.status("/added", 404)
    return web


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Served]]:
    """Five files are edited, one is added, one is removed in between."""
    cli, web = Cli(tmp_path_factory.mktemp("two-nights")), first_night()
    with serving() as serve:
        served, site = serve(web), web.sites["a.test"]
        crawl_twice(cli, served, site)
        yield cli, served


@pytest.fixture
def crawled(cli: Cli, two_nights: tuple[Cli, Served]) -> Served:
    """The database of a test is a copy."""
    crawled, served = two_nights
    cli.take_over(crawled)
    return served


def crawl_twice(cli: Cli, served: Served, site: Site) -> None:
    """What the first night has found, and what the second."""
    cli.crawl(served, served.url("a.test"), *AGAIN)
    for path in FILES[:5]:
        site.page(path, title=path, text=f"first line\n\n{path} {HOSTILE}\n\nlast line", links=["/"])
    site.page("/added", title="added", links=["/"])
    site.status(FILES[5], 404)
    cli.crawl(served, *AGAIN)


def listed(out: str) -> list[list[str]]:
    """The lines of the lists, which stand behind the counts and an empty line."""
    return [line.split("\t") for line in out.partition("\n\n")[2].splitlines()]


def test_five_edited_one_added_and_one_removed_file_are_exactly_what_differs(cli: Cli, crawled: Served) -> None:
    def url(path: str) -> str:
        return crawled.url("a.test", path)

    told = cli.command("diff", "--db", str(cli.db)).out
    assert listed(told) == [
        ["new", url("/added"), "", ""],
        *(["changed", url(path), "", ""] for path in FILES[:5]),
        ["gone", url(FILES[5]), "", "http 404"],
        ["healed", url("/added"), "", ""],
        ["link broken", url("/"), url(FILES[5]), FILES[5]],
        ["link healed", url("/"), url("/added"), "/added"],
    ]
    counts = dict(line.rsplit(maxsplit=1) for line in told.partition("\n\n")[0].splitlines()[1:])
    assert counts == {"new": "1", "changed": "5", "gone": "1", "healed": "1", "link broken": "1", "link healed": "1"}
    assert "\x1b" not in told


def test_programs_get_the_same(cli: Cli, crawled: Served) -> None:
    told = cli.command("diff", "1", "2", "--db", str(cli.db)).out
    first, *rows = map(json.loads, cli.command("diff", "--json", "--db", str(cli.db)).out.splitlines())
    assert first["before_run_id"], first["after_run_id"] == (1, 2)
    assert first["counts"] == Counter(row["change"] for row in rows)
    as_text = [[row["change"], row["url"], row["target_url"] or "", row["detail"] or ""] for row in rows]
    assert as_text == listed(told)
    comma = list(csv.reader(io.StringIO(cli.command("diff", "--format", "csv", "--db", str(cli.db)).out)))
    assert [row[:4] for row in comma[1:]] == as_text
    assert cli.rows("SELECT count(*) FROM pages WHERE id IN (?, ?)", *_versions(rows)) == [2]


def _versions(rows: list[dict[str, Any]]) -> tuple[int, int]:
    changed = next(row for row in rows if row["change"] == "changed")
    return changed["before_page_id"], changed["after_page_id"]


def test_lists_are_cut_and_the_counts_say_so(cli: Cli, crawled: Served) -> None:
    told = cli.command("diff", "--limit", "2", "--db", str(cli.db)).out
    assert "changed      5 (2 listed)" in told
    assert Counter(row[0] for row in listed(told))["changed"] == 2


def test_what_changed_in_a_page_is_shown_line_by_line_and_does_nothing_to_the_terminal(
    cli: Cli, crawled: Served
) -> None:
    command = ("diff", "--db", str(cli.db), "--text", crawled.url("a.test", FILES[0]))
    lines = cli.command(*command).out.splitlines()
    assert [line for line in lines if line.startswith(("-", "+"))][2:] == [
        f"-this is {FILES[0]}",
        f"+{FILES[0]} \ufffd]0;owned\ufffd\ufffd[2Jgnp",
    ]
    assert cli.command(*command, "2").out == "both versions say the same\n"
    added = cli.command("diff", "1", "--db", str(cli.db), "--text", crawled.url("a.test", "/added")).out
    assert added.startswith("--- no version\n+++ ")
    found = json.loads(cli.command(*command, "--json").out)
    assert (found["before"]["run_id"], found["after"]["run_id"]) == (1, 2)
    shown = on_a_terminal([*COMMAND, *command])
    assert "owned" in shown
    assert "\x1b]0" not in shown


def test_on_a_terminal_columns_have_names(cli: Cli, crawled: Served) -> None:
    shown = on_a_terminal([*COMMAND, "diff", "--db", str(cli.db)], COLUMNS="100")
    assert "target_url" in shown
    assert "link healed" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "crawler: RUN takes a whole number, not 'x'"),
        (["9"], "has no run 9; there are runs 1 to 2"),
        (["2", "1"], "the first run has to be the older one"),
        (["1", "--since", "7d"], "--since stands in place of a run"),
        (["--text", "http://nowhere.test/"], "http://nowhere.test/ was never seen"),
        (["--text", "http://nowhere.test/", "--limit", "3"], "--limit is for lists"),
        (["--text", "http://nowhere.test/", "--format", "csv"], "leave --format csv out"),
    ],
)
def test_what_cannot_be_compared_is_refused(cli: Cli, crawled: Served, arguments: list[str], message: str) -> None:
    outcome = cli.command("diff", *arguments, "--db", str(cli.db), status=2)
    assert outcome.err.startswith("crawler: ")
    assert message in outcome.err
    assert not outcome.out


@pytest.mark.parametrize("arguments", [("diff", "--since", "1d", "--json"), ("changes",)])
def test_a_reader_that_has_seen_enough_ends_it_quietly(cli: Cli, serve: Serve, arguments: tuple[str, ...]) -> None:
    web = FakeWeb()
    site, paths = web.host("a.test"), [f"/{number}{'-' * 500}" for number in range(150)]  # more than a pipe holds
    site.page("/", links=paths)
    for path in paths:
        site.page(path)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *AGAIN)
    command = [*COMMAND, *arguments, "--db", str(cli.db)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as crawler:
        assert crawler.stdout is not None
        assert crawler.stdout.readline()
        crawler.stdout.close()
        _none, err = crawler.communicate(timeout=50)
    assert (crawler.returncode, err) == (0, b"")


@pytest.mark.parametrize("command", ["diff", "changes"])
def test_without_a_database_there_is_nothing_to_compare(cli: Cli, command: str) -> None:
    outcome = cli.command(command, "--db", str(cli.db), status=6)
    assert "there is no crawl in" in outcome.err


def test_a_feed_goes_on_from_any_of_its_cursors(cli: Cli, crawled: Served) -> None:
    whole = [json.loads(line) for line in cli.command("changes", "--db", str(cli.db)).out.splitlines()]
    assert list(whole[-1]) == ["cursor"]
    assert whole[-1]["cursor"] == whole[-2]["cursor"]
    place = random.Random(1).randrange(len(whole) - 1)
    rest = cli.command("changes", "--since", whole[place]["cursor"], "--db", str(cli.db)).out.splitlines()
    assert [json.loads(line) for line in rest] == whole[place + 1 :]
    some = cli.command("changes", "--limit", "3", "--json", "--db", str(cli.db)).out.splitlines()
    assert [json.loads(line) for line in some] == [*whole[:3], {"cursor": whole[2]["cursor"]}]
    assert json.loads(cli.command("changes", "--since", "now", "--db", str(cli.db)).out) == whole[-1]
    outcome = cli.command("changes", "--since", "c1_x", "--db", str(cli.db), status=2)
    assert "is no cursor of this version" in outcome.err


# --- 30 nights ------------------------------------------------------------------------------------------------------

DAY_S = 86400.0
NIGHTS = 30
PAGES = 24


class Nights:
    """A site that changes every night, and what a crawl of it has to tell."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site, self._chance = site, chance
        site.page("/", title="index", links=[f"/{number}" for number in range(PAGES)])
        self._is_gone = dict.fromkeys(range(PAGES), False)
        self._version = dict.fromkeys(range(PAGES), 0)
        self._stored = dict(self._version)
        for number in range(PAGES):
            self._publish(number)

    def change(self) -> Counter[tuple[str, str]]:
        """What is to be told, by change and path."""
        told: Counter[tuple[str, str]] = Counter()
        for number in self._chance.sample(range(PAGES), 5):
            was_gone = self._is_gone[number]
            self._is_gone[number] = self._chance.random() < 0.4
            self._version[number] += self._chance.random() < 0.7
            self._publish(number)
            if self._is_gone[number]:
                told[("gone", f"/{number}")] += not was_gone
                continue
            told[("back", f"/{number}")] += was_gone
            told[("changed", f"/{number}")] += self._version[number] > self._stored[number]
            self._stored[number] = self._version[number]
        return +told

    def _publish(self, number: int) -> None:
        if self._is_gone[number]:
            self._site.status(f"/{number}", 410)
            return
        words = " ".join(chr(97 + number % 26) * (number % 9 + 1) for _ in range(30))
        text = f"version {self._version[number]}\n\n{words}"
        self._site.page(f"/{number}", title=f"page {number}", text=text, delay_s=0.01)


class Reader:
    """A program that follows the feed, and remembers the cursor of the last line that it has dealt with."""

    def __init__(self, db: Path, chance: random.Random) -> None:
        self._db, self._chance = db, chance
        self._cursor = BEGINNING
        self.told: list[FeedEntry] = []

    def read(self) -> None:
        """All there is; it is killed after some lines a few times, and reads what follows once more."""
        for _time in range(2):
            self._deal_with(self._chance.randrange(6))
        self._deal_with(None)

    def _deal_with(self, most: int | None) -> None:
        for entry in asyncio.run(self._entries())[:most]:
            self._cursor = entry.cursor
            self.told.append(entry)

    async def _entries(self) -> list[FeedEntry]:
        async with open_archive(self._db) as connection:
            return [entry async for entry in read_changes(self._db, connection, self._cursor)]


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_over_30_nights_with_kills_and_outages_each_change_is_told_once_and_in_order(cli: Cli, serve: Serve) -> None:
    """Also where whoever reads the feed is killed after any line, and goes on from the cursor of the last."""
    web, chance = FakeWeb(), random.Random(14)
    site = web.host("a.test")
    served = serve(web)
    nights, reader = Nights(site, chance), Reader(cli.db, chance)
    cli.crawl(served, served.url("a.test"), *AGAIN)
    reader.read()
    assert Counter(one.change for one in reader.told) == {"new": PAGES + 1}
    killed = 0
    for night in range(1, NIGHTS):
        cli.let_pass(DAY_S)
        due = Counter[tuple[str, str]]()
        if night % 7 == 3:
            site.connection(hang_up)
            cli.crawl(served, *AGAIN, "--retries", "0", status=None)
            site.on_connect = None
            cli.let_pass(DAY_S)
        due += nights.change()
        if night % 3 == 1:
            killed += kill_after(cli, served, chance.randrange(2, PAGES))
            reader.read()
        cli.crawl(served, *AGAIN)
        reader.read()
        fresh = [one for one in reader.told if one.run_id > 1]
        assert Counter((one.change, one.url.removeprefix(served.url("a.test", ""))) for one in fresh) == due
        reader.told.clear()
    assert killed >= 5
    cursors = [json.loads(line)["cursor"] for line in cli.command("changes", "--db", str(cli.db)).out.splitlines()]
    assert len(set(cursors)) == len(cursors) - 1, "the last line repeats the cursor of the one before"
    at = cli.rows("SELECT id FROM change_log ORDER BY run_id, id")
    assert at == sorted(at)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """No answer to anybody."""
    writer.close()


def kill_after(cli: Cli, served: Served, requests: int) -> bool:
    """Kill a crawl once it has sent so many requests; whether it had not ended by then."""
    before = len(served.log)
    crawler = cli.start(served, *AGAIN)
    while len(served.log) < before + requests and crawler.poll() is None:
        time.sleep(0.0005)
    crawler.kill()
    crawler.communicate()
    return crawler.returncode == -signal.SIGKILL
