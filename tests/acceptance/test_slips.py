"""What a hand at the terminal gets wrong: the message says what to type instead, and nothing is started or lost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import COMMAND, LOOPBACK, Cli, Gate, wait_for

Serve = Callable[[FakeWeb], Served]


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


@pytest.fixture
def served(serve: Serve) -> Served:
    web = FakeWeb()
    web.site("a.test", pages=9)
    web.site("b.test", pages=2)
    return serve(web)


# --- a command in another's place ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", ["https://example.com/", "http://localhost:8000", "example.com", "www.example.com/a"])
def test_a_seed_in_the_place_of_a_command_proposes_crawl(cli: Cli, seed: str) -> None:
    outcome = cli.command(seed, "--max-pages", "5", status=2)
    assert one_line(outcome.err) == f"crawler: there is no command {seed!r}; to crawl it: crawler crawl {seed}"


@pytest.mark.parametrize(("word", "told"), [("crwal", "did you mean crawl?"), ("zzz", "`crawler --help` lists them")])
def test_what_is_no_command_is_told_the_nearest(cli: Cli, word: str, told: str) -> None:
    assert one_line(cli.command(word, status=2).err) == f"crawler: there is no command {word!r}; {told}"


HELP = "`crawler crawl --help` lists all options"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("crawl --dealy 3", f"there is no option --dealy; did you mean --delay? {HELP}"),
        ("crawl -delay 3", f"there is no option -delay; did you mean --delay? {HELP}"),
        ("crawl --max-dep 3", f"there is no option --max-dep; did you mean --max-depth? {HELP}"),
        ("crawl --zzz", f"there is no option --zzz; {HELP}"),
        ("crawl -z", f"there is no option -z; {HELP}"),
        ("--dealy 3", "there is no option --dealy; `crawler --help` lists all options"),
        ("--delay 3 crawl", "--delay stands behind the command, as in `crawler crawl --delay`"),
        ("crawl a.test --delay", "--delay needs a value: --delay S (`crawler crawl --help` explains it)"),
        ("status --db", "--db needs a value: --db PATH|URL (`crawler status --help` explains it)"),
        ("crawl --insecure=yes", "--insecure takes no value; write --insecure alone"),
        ("backup", "crawler backup needs FILE: crawler backup FILE (`crawler backup --help` explains it)"),
        ("add", "crawler add needs SEED: crawler add SEED (`crawler add --help` explains it)"),
        ("stop now", "crawler stop has no use for now; `crawler stop --help` says what it takes"),
        ("help cron now", "crawler help has no use for now; `crawler help --help` says what it takes"),
    ],
)
def test_an_option_that_is_mistyped_is_told_the_one_that_was_meant(cli: Cli, line: str, told: str) -> None:
    assert one_line(cli.command(*line.split(), status=2).err) == f"crawler: {told}"
    assert not list(cli.folder.iterdir())


def test_a_database_behind_a_command_that_takes_none_there_proposes_db(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.folder / "my.db")) as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    told = one_line(cli.command("status", "my.db", status=2).err)
    assert told == "crawler: my.db is a database; name it with --db: crawler status --db my.db"


def test_a_file_in_the_place_of_a_command_proposes_crawl(cli: Cli) -> None:
    (cli.folder / "my seeds").write_text("https://example.com/\n")
    assert "to crawl it: crawler crawl 'my seeds'" in one_line(cli.command("my seeds", status=2).err)


def test_a_database_in_the_place_of_a_seed_proposes_db(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.folder / "my.db")) as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    told = one_line(cli.command("crawl", "my.db", "--db", "crawl.db", status=2).err)
    assert told == "crawler: my.db is a database, not a seed; name it with --db my.db"
    assert "to resume that crawl: crawler crawl --db my.db" in cli.command("my.db", status=2).err
    assert not cli.db.exists()


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_database_that_is_not_there_is_an_error(cli: Cli, command: str) -> None:
    told = one_line(cli.command(command, "--db", "typo.db", status=6).err)
    assert told == "crawler: there is no crawl in typo.db; `crawler crawl SEED --db typo.db` starts one"
    assert not list(cli.folder.iterdir())


def test_a_crawl_that_is_not_running_needs_no_stop(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("b.test"), "--delay", "0")
    assert cli.command("stop", "--db", str(cli.db)).out == f"no crawl is using {cli.db}\n"


# --- readers that leave -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["crawl", "--help"], ["help", "options"], ["--version"]])
def test_a_reader_that_has_seen_enough_is_no_error(cli: Cli, arguments: list[str]) -> None:
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as crawler:
        assert crawler.stdout is not None
        crawler.stdout.close()  # before anything is written: head would be quicker or slower than that
        _none, err = crawler.communicate(timeout=50)
    assert (crawler.returncode, err) == (0, b"")


# --- limits that the database remembers ---------------------------------------------------------------------------


def test_a_limit_that_was_stored_is_told_and_can_be_lifted(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("a.test"), "--delay", "0", "--max-pages", "3")
    again = cli.crawl(None)
    assert re.search(
        "options of the last run still apply: --max-pages 3, .*lift one with none: --max-pages none", again.err
    )
    assert len(cli.pages()) == 6
    lifted = cli.crawl(None, "--max-pages", "none")
    assert "--max-pages none instead of 3" in lifted.err
    assert "lift one with none: --dns-server none" in lifted.err
    assert len(cli.pages()) == 9
    assert cli.rows("SELECT options ->> '$.scope.max_pages' FROM runs ORDER BY id DESC LIMIT 1") == [None]


def test_none_lifts_what_a_crawl_file_sets(cli: Cli, served: Served) -> None:
    (cli.folder / "crawl.toml").write_text('max-pages = 2\nsummary = "s.json"\nmax-runtime = "none"\n')
    seed = served.url("a.test")
    words = ["--config", "crawl.toml", *LOOPBACK, "--dns-server", served.dns, "--delay", "0", "--db", str(cli.db)]
    cli.command("crawl", seed, *words, "--max-pages", "none", "--summary", "none")
    assert len(cli.pages()) == 9
    assert not (cli.folder / "s.json").exists()


def test_cookies_none_is_to_go_without(cli: Cli, served: Served) -> None:
    (cli.folder / "cookies.txt").write_text("a.test\tFALSE\t/\tFALSE\t0\tname\tvalue\n")
    cli.crawl(served, served.url("a.test"), "--delay", "0", "--max-pages", "1", "--cookies", "cookies.txt")
    cli.crawl(None, "--cookies", "none")
    assert [hit.headers.get("cookie") for hit in served.hits("a.test", "/p1")] in ([None], [])
    assert "'cookie'" not in str(cli.rows("SELECT options FROM runs ORDER BY id DESC LIMIT 1"))


# --- the default database of another site -------------------------------------------------------------------------


def crawl_here(cli: Cli, served: Served, *arguments: str) -> str:
    network = (*LOOPBACK, "--dns-server", served.dns, "--delay", "0")
    return cli.command("crawl", *arguments, *network).err


def test_a_default_database_that_holds_another_site_says_so(cli: Cli, served: Served) -> None:
    assert crawl_here(cli, served, served.url("a.test")) == ""
    told = one_line(crawl_here(cli, served, served.url("b.test")))
    assert told == (
        "data/crawl.db already holds a crawl of a.test; b.test is added to it (name another file with --db"
        " to keep them apart)"
    )
    assert "already holds" not in crawl_here(cli, served, served.url("a.test"))
    assert "already holds" not in crawl_here(cli, served, served.url("b.test", "/p1"))


def test_a_database_that_was_named_is_meant(cli: Cli, served: Served) -> None:
    crawl_here(cli, served, served.url("a.test"), "--db", "data/crawl.db")
    assert crawl_here(cli, served, served.url("b.test"), "--db", "data/crawl.db") == ""


# --- stopping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_nohup", [False, True])
def test_a_run_that_crawler_stop_has_ended_says_so(cli: Cli, serve: Serve, by_nohup: bool) -> None:
    web, gate = FakeWeb(), Gate()
    site = web.site("a.test", pages=3)
    site.answer("/p2", gate)
    served = serve(web)
    arguments = cli.arguments(served, served.url("a.test"), "--delay", "0")
    crawler = subprocess.Popen(
        [*(["nohup"] if by_nohup else []), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cli.folder,
    )  # fmt: skip
    wait_for(lambda: served.hits("a.test", "/p2"))
    assert f"(process {crawler.pid})" in cli.command("stop", "--db", str(cli.db)).out
    assert crawler.stderr is not None
    while "stopping" not in crawler.stderr.readline():
        assert crawler.poll() is None
    gate.open()
    out, _err = crawler.communicate(timeout=50)
    assert crawler.returncode == 143
    assert re.search(r"stopped after .* by `crawler stop`; all finished work is stored", out)
    assert cli.rows("SELECT end_reason FROM runs") == ["stopped"]


@pytest.mark.thorough
def test_stop_can_wait_until_the_crawl_has_ended(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    web.site("a.test", pages=3).answer("/p2", gate)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), "--delay", "0", "--grace", "1s")
    wait_for(lambda: served.hits("a.test", "/p2"))
    told = cli.command("stop", "--db", str(cli.db), "--wait").out
    assert told == f"stopped the crawl that used {cli.db} (process {crawler.pid})\n"
    assert cli.rows("SELECT end_reason FROM runs") == ["stopped"]
    crawler.communicate(timeout=50)


# --- the database of a crawl file ---------------------------------------------------------------------------------


def test_every_command_takes_the_database_from_a_crawl_file(cli: Cli, served: Served) -> None:
    folder = cli.folder / "nights"
    folder.mkdir()
    (folder / "crawl.toml").write_text('db = "mine.db"\ndelay = 0\n')
    cli.crawl(served, served.url("b.test"), "--config", "nights/crawl.toml", "--db", "nights/mine.db")
    config = ("--config", "nights/crawl.toml")
    assert cli.command("status", *config).out.startswith("database  nights/mine.db")
    assert "no crawl is using nights/mine.db" in cli.command("stop", *config).out
    assert "(nights/mine.db)" in cli.command("add", served.url("b.test", "/p1"), *config).out
    assert "removed 0 page versions" in cli.command("prune", "--keep-versions", "1", *config).out
    assert "copied nights/mine.db to copy.db" in cli.command("backup", "copy.db", *config).out
    assert "there is no crawl in typo.db" in cli.command("status", *config, "--db", "typo.db", status=6).err
    (folder / "crawl.toml").write_text('dbb = "mine.db"\n')
    assert "there is no option 'dbb'; did you mean db?" in one_line(cli.command("stop", *config, status=2).err)


@pytest.mark.thorough
@pytest.mark.parametrize(("if_running", "status", "told"), [("fail", 5, "another run"), ("skip", 0, "skipped: ano")])
def test_prune_does_as_asked_while_a_crawl_runs(
    cli: Cli, serve: Serve, gate: Gate, if_running: str, status: int, told: str
) -> None:
    web = FakeWeb()
    web.host("a.test").answer("/", gate)
    served = serve(web)
    crawler = cli.start(served, served.url("a.test"), "--delay", "0")
    wait_for(lambda: served.hits("a.test", "/"))
    prune = ("prune", "--keep-versions", "1", "--db", str(cli.db), "--if-running")
    assert told in one_line(cli.command(*prune, if_running, status=status).err)
    assert "another run" in cli.command(*prune, "wait:0.5s", status=5).err
    waiting = subprocess.Popen(
        [*COMMAND, *prune, "wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cli.folder
    )
    assert waiting.stderr is not None
    assert "waiting: another run" in waiting.stderr.readline()
    gate.open()
    crawler.communicate(timeout=50)
    out, _err = waiting.communicate(timeout=50)
    assert (waiting.returncode, out[:8]) == (0, "removed ")
    assert "--if-running takes fail, skip, wait or wait:AGE" in cli.command(*prune, "perhaps", status=2).err


def test_a_database_with_nothing_in_it_is_begun_by_a_crawl_that_has_seeds(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    served = serve(web)
    with closing(sqlite3.connect(cli.db)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # as a crawl leaves it whose disk was full from the start
    assert "there is no crawl in" in cli.crawl(served, status=6).err
    cli.crawl(served, served.url("a.test"))
    assert len(cli.pages()) == 1
