"""Exit statuses, bad input, and what is printed: one clear line, the documented status, never a traceback."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from crawler.cli.commands import COMMANDS
from crawler.cli.demo import serving
from crawler.config import DEFAULT_USER_AGENT
from crawler.errors import UsageError
from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, Cli, Serve, wait_for

# Marked `sqlite`: what is refused before any store is looked at, and what is about a file, its path and its lock.
pytestmark = pytest.mark.any_store


def _one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["https://example.com/", "--delay", "-1"], "--delay"),
        (["https://example.com/", "--delay", "soon"], "--delay"),
        (["https://example.com/", "--concurrency", "0"], "--concurrency"),
        (["https://example.com/", "--max-pages", "0"], "--max-pages"),
        (["https://example.com/", "--max-runtime", "soon"], "--max-runtime"),
        (["https://example.com/", "--max-runtime", "0"], "--max-runtime must be between 0.1s and 3650d, not 0s"),
        (["https://example.com/", "--max-age", "7"], '--max-age takes an age with a unit: write "7d" for days'),
        (["https://example.com/", "--grace", "2.5"], 'write "2.5s"'),
        (["https://example.com/", "--if-running", "wait:10"], 'write "wait:10m" for minutes or "wait:10s" for seconds'),
        (["https://example.com/", "--max-bytes", "10X"], "--max-bytes takes a number of bytes, or one followed by k"),
        (["https://example.com/", "--max-bytes", "2G"], "--max-bytes must be between 1 and 1G, not 2G"),
        (["https://example.com/", "--memory", "1.5"], "--memory takes a number of bytes"),
        (["https://example.com/", "--max-pages", "2.5"], "--max-pages takes a whole number, not '2.5'"),
        (["https://example.com/", "--scope", "Planet"], "--scope takes host, domain, prefix or any, not 'Planet'"),
        (["https://example.com/", "--log-format", "xml"], "--log-format takes text or json, not 'xml'"),
        (["https://example.com/", "--include", "("], "--include"),
        (["https://example.com/", "--allow-private", "home"], "--allow-private"),
        (["https://example.com/", "--dns-server", "dns.example"], "--dns-server"),
        (["https://example.com/", "--max-rate", "fast"], "--max-rate"),
        (["https://example.com/", "--max-rate", "1k5"], "--max-rate"),
        (["https://example.com/", "--max-rate", "0.5k"], "--max-rate"),
        (["https://example.com/", "--cookies", "no/such/file"], "--cookies"),
        (["https://example.com/", "--header", "secret"], "--header"),
        (["https://example.com/", "--header", "Host: x"], "--header"),
        (["https://example.com/", "--scope", "planet"], "--scope"),
        (["https://example.com/", "--frobnicate"], "--frobnicate"),
        (["ftp://example.com/"], "ftp://example.com/"),
        (["http://exa mple.com/"], "http://exa mple.com/"),
        (["nosuchfile.txt"], "nosuchfile.txt"),
        (["seeds/"], "seeds/"),
        (["/"], "is a folder"),
        ([""], "seed is empty"),
        (["https://example.com/a b"], "white space"),
        (["example.com/a b"], "white space"),
        (["mailto:me@example.com"], "mailto:me@example.com"),
        (["-", "https://example.com/", "-"], "only once"),
        ([], "nothing to crawl"),
        (["https://example.com/", "--summary", "."], "--summary"),
        (["https://example.com/", "--summary", "/"], "--summary"),
        (["https://example.com/", "--summary", ""], "--summary"),
        (["https://example.com/", "--summary", "no/such/folder.json"], "--summary"),
        (["https://example.com/", "--summary", "/proc/self/summary"], "--summary"),
        (["https://example.com/", "--summary", "x" * 256], "--summary"),
        (["https://example.com/", "--summary", "crawl.db", "--db", "crawl.db"], "is the database"),
    ],
)
def test_usage_errors_are_one_line_that_names_the_cause_and_end_with_2(
    cli: Cli, arguments: list[str], named: str
) -> None:
    outcome = cli.crawl(None, *arguments, status=2)
    assert named in _one_line(outcome.err)
    assert outcome.out == ""


@pytest.mark.sqlite
@pytest.mark.parametrize("flag", ["--summary", "--metrics-file"])
def test_no_output_takes_the_place_of_another_crawls_database(cli: Cli, flag: str) -> None:
    other = cli.folder / "other.db"
    other.write_bytes(b"SQLite format 3\0" + bytes(84))
    error = cli.command("crawl", "http://127.0.0.1:9/", "--db", str(cli.db), flag, str(other), status=2).err
    assert _one_line(error) == f"crawler: {flag} {other}: is a SQLite database; name another file"
    assert not cli.db.exists()


def test_seed_files_have_comments_blank_lines_any_line_ending_and_a_bom(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        web.host(name).page("/")
    served = serve(web)
    lines = ["\ufeff# seeds", "", f"  {served.url('a.test')}   # the first", served.url("b.test") + "#part"]
    (cli.folder / "list").write_bytes("\r\n".join(lines).encode())
    cli.crawl(served, "list", "--delay", "0")
    assert cli.pages() == [served.url("a.test"), served.url("b.test")]


def test_seeds_come_from_standard_input_too(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    served = serve(web)
    cli.crawl(served, "-", "--delay", "0", stdin=f"# comment\n{served.url('a.test')}\n")
    assert len(cli.pages()) == 1


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"https://a.example/\nnot a url\n", "line 2: 'not a url'"),
        (b"\x00\xff\xfe\x80binary\n", "line 1"),
        ("https://a.example/\nhttps://b.example/f\u00fcr\n".encode("latin-1"), "line 2, is not UTF-8"),
        ("https://a.example/\n".encode("utf-16"), "line 1, is not UTF-8"),
        (b"https://a.example/a b\n", "line 1"),
        (b"# nothing here\n\n", "no URL"),
        (b"", "no URL"),
        (b"http://\nhttps://[::1\njavascript:x\nx\n", "and 1 more"),
    ],
)
def test_broken_seed_files_are_refused_before_anything_is_fetched(no_crawl: Cli, content: bytes, named: str) -> None:
    (no_crawl.folder / "list").write_bytes(content)
    outcome = no_crawl.crawl(None, "list", status=2)
    assert named in _one_line(outcome.err)
    assert not no_crawl.has_anything()


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("localhost", "LOCALHOST:{}"),
        ("localhost.", "localhost.:{}"),
        ("127.0.0.1", "127.0.0.1:{}"),
        ("localhost", "me:secret@localhost:{}"),
    ],
)
def test_a_bare_seed_may_be_written_in_many_ways(cli: Cli, serve: Serve, name: str, seed: str) -> None:
    web = FakeWeb()
    web.host(name, address="127.0.0.1").page("/")
    served = serve(web)
    cli.crawl(served, seed.format(served.port), "--delay", "0", "--retries", "0")
    assert cli.pages() == [served.url(name)]


@pytest.mark.first_case
@pytest.mark.parametrize(("seed", "url"), [("::1", "https://[::1]/"), ("[::1]:1", "https://[::1]:1/")])
def test_a_bare_ipv6_address_is_a_seed(cli: Cli, seed: str, url: str) -> None:
    cli.crawl(None, seed, "--delay", "0", "--retries", "0", status=4)
    assert url in cli.rows("SELECT url FROM urls WHERE kind = 'page'")


def test_no_seed_that_could_be_fetched_ends_with_4(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").status("/", 404)
    web.host("dead.test", dns="nxdomain")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "http://dead.test/", "--delay", "0", "--retries", "0", status=4)


def test_one_seed_that_could_be_fetched_is_enough_for_0(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    web.host("dead.test", dns="nxdomain")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "http://dead.test/", "--delay", "0", "--retries", "0")


def test_a_bare_host_is_tried_by_https_then_by_http(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    served = serve(web)
    outcome = cli.crawl(served, f"a.test:{served.port}", "--delay", "0")
    assert cli.pages() == [served.url("a.test")]
    assert f"trying http://a.test:{served.port}/" in outcome.err


def test_a_second_crawl_on_the_same_file_is_refused_at_once_with_5(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", delay_s=20)
    served = serve(web)
    first = cli.start(served, served.url("a.test"), "--delay", "0")
    wait_for(lambda: served.hits("a.test", "/"))
    outcome = cli.crawl(served, served.url("a.test"), status=5)
    first.kill()
    first.communicate()
    holder = f"process {first.pid}" if isinstance(cli.db, Path) else f"worker {socket.gethostname()}:{first.pid}"
    assert holder in _one_line(outcome.err)


@pytest.mark.sqlite
@pytest.mark.parametrize("command", ["crawl", "status"])
def test_what_is_no_crawl_database_ends_with_6(cli: Cli, command: str) -> None:
    cli.db.write_bytes(b"this is a letter to my aunt, not a database" * 100)
    arguments = [command, "--db", str(cli.db)] + (["https://example.com/"] if command == "crawl" else [])
    outcome = cli.command(*arguments, status=6)
    assert "not a crawl database" in _one_line(outcome.err)
    assert cli.db.read_bytes().startswith(b"this is a letter")


@pytest.mark.sqlite
def test_another_programs_sqlite_file_and_a_newer_schema_end_with_6(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.db)) as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    outcome = cli.crawl(None, "https://example.com/", status=6)
    assert "not a crawl database" in _one_line(outcome.err)
    newer = Cli(cli.folder)
    newer.db = cli.folder / "newer.db"
    with closing(sqlite3.connect(newer.db)) as connection:
        connection.executescript("PRAGMA application_id = 1129466962; PRAGMA user_version = 9999")
    outcome = newer.crawl(None, "https://example.com/", status=6)
    assert "newer version" in _one_line(outcome.err)


@pytest.mark.sqlite
def test_a_database_that_cannot_be_made_ends_with_6(cli: Cli) -> None:
    (cli.folder / "file").write_text("")
    outcome = cli.command("crawl", "https://example.com/", "--db", str(cli.folder / "file" / "x.db"), status=6)
    assert "file" in _one_line(outcome.err)
    assert "there is no" in cli.command("status", "--db", "missing.db", status=6).err


@pytest.mark.first_case
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [""],
        ["https://example.com/", "--summary", "no/such/folder.json"],
        ["https://example.com/", "--dns-server", "dns.example"],
        ["https://example.com/", "--header", "Host: x"],
        ["https://example.com/", "--header", "X-Name: \x07"],
    ],
)
def test_what_can_be_known_before_the_crawl_leaves_nothing_behind(no_crawl: Cli, arguments: list[str]) -> None:
    no_crawl.crawl(None, *arguments, status=2)
    no_crawl.command("crawl", *arguments, status=2)
    assert not no_crawl.has_anything()
    assert not list(no_crawl.folder.iterdir())


@pytest.mark.sqlite
@pytest.mark.parametrize("command", [["crawl", "https://example.com/"], ["crawl"], ["status"], ["status", "--json"]])
@pytest.mark.parametrize("db", [".", "/", "", "..", "folder", "/dev/null", "fifo", "letter"])
def test_what_cannot_be_a_database_ends_with_6_and_leaves_nothing(cli: Cli, command: list[str], db: str) -> None:
    (cli.folder / "folder").mkdir()
    os.mkfifo(cli.folder / "fifo")
    (cli.folder / "letter").write_text("Dear aunt")
    outcome = cli.command(*command, "--db", db, status=6)
    _one_line(outcome.err)
    assert {file.name for file in cli.folder.iterdir()} == {"folder", "fifo", "letter"}


def test_the_summary_may_have_a_long_name_or_go_to_a_device(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    served = serve(web)
    cli.summary_file = cli.folder / ("s" * 250)
    assert cli.crawl(served, served.url("a.test"), "--delay", "0", "--quiet").summary["pages"] == 1
    cli.summary_file = Path("/dev/stdout")
    outcome = cli.run(cli.arguments(served, served.url("a.test"), "--delay", "0", "--quiet"))
    assert json.loads(outcome.out)["complete"] is True
    cli.summary_file = Path("/dev/full")
    outcome = cli.run(cli.arguments(served, served.url("a.test"), "--quiet"), status=2)
    assert "No space left" in _one_line(outcome.err)


@pytest.mark.sqlite
@pytest.mark.parametrize("option", ["--summary", "--metrics-file"])
@pytest.mark.parametrize("name", ["folder/../crawl.db", "link.db", "./crawl.db", "crawl.db-wal", "crawl.db.lock"])
def test_no_output_takes_the_place_of_the_database_whatever_it_is_called(cli: Cli, option: str, name: str) -> None:
    (cli.folder / "folder").mkdir()
    (cli.folder / "link.db").symlink_to("crawl.db")
    cli.command("crawl", "http://127.0.0.1:9/", "--retries", "0", "--db", "crawl.db", status=4)
    before = cli.db.read_bytes()
    outcome = cli.command("crawl", "--retry-failed", "--db", "crawl.db", option, name, status=2)
    assert "is the database; name another file" in outcome.err
    assert cli.db.read_bytes() == before


def test_quiet_prints_nothing(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--quiet")
    assert (outcome.out, outcome.err) == ("", "")
    assert outcome.summary["pages"] == 1


def test_the_summary_has_all_its_fields(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=5)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0")
    fields = (
        "run_id complete elapsed_s requests pages pages_per_s bytes connections_opened connections_per_request"
        " dns_lookups by_status by_failure excluded pending peak_rss_bytes"
    )
    assert set(fields.split()) <= set(outcome.summary)
    assert outcome.summary["complete"] is True
    assert outcome.summary["pages"] == 5
    status = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    assert status["pending"] == 0
    assert status["urls"]["fetched"] == 5


@pytest.mark.thorough
def test_the_file_limit_lowers_the_concurrency_with_a_notice(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.hosts(60, pages_each=3)
    served = serve(web)
    arguments = cli.arguments(
        served, served.url("h000.test"), "--scope", "any", "--delay", "0", "--concurrency", "1000"
    )
    outcome = cli.run(["sh", "-c", 'ulimit -n 128; exec "$@"', "sh", *arguments])
    assert "--concurrency lowered to" in outcome.err
    assert len(cli.pages()) == 180


def test_control_characters_from_the_web_do_not_reach_the_screen(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    evil = "\x1b[2J\x1b]0;owned\x07"
    site = web.host("a.test")
    site.page("/", title=evil, text=evil, links=[f"/{evil}"])
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0")
    shown = outcome.out + outcome.err + cli.command("status", "--db", str(cli.db)).out
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.sqlite
def test_version_and_help(cli: Cli) -> None:
    assert cli.command("--version").out.startswith("crawler ")
    shown = cli.command("crawl", "--help").out
    for panel in ("Scope", "Politeness", "Network", "Run"):
        assert panel in shown
    assert f"[default: {DEFAULT_USER_AGENT}]" in shown
    assert "crawl" in cli.command().out


@pytest.mark.sqlite
def test_the_help_says_of_each_command_what_its_function_says_first(cli: Cli) -> None:
    shown = " ".join(cli.command("--help").out.split())
    for name, (module, function, *_kind) in COMMANDS.items():
        first = (getattr(import_module(module), function).__doc__ or "").partition("\n\n")[0]
        assert f" {name} {' '.join(first.split())} " in shown


@pytest.mark.sqlite
def test_a_system_without_the_addresses_of_the_demo_is_told_how_to_add_them() -> None:
    """As macOS is; no system has the addresses of documentation (RFC 5737)."""
    web = FakeWeb()
    for last in (1, 3, 2):
        web.host(f"h{last}.test", address=f"192.0.2.{last}")
    with pytest.raises(UsageError) as told, serving(web):
        pass
    assert str(told.value) == (
        "cannot serve the demo's web: it needs the addresses 192.0.2.1 to 192.0.2.3, and this system lacks some;"
        " add each as `sudo ifconfig lo0 alias 192.0.2.1` adds the first, then run the demo again"
    )


@pytest.mark.sqlite
@pytest.mark.thorough
def test_the_demo_crawls_its_web_and_says_what_to_try(cli: Cli) -> None:
    outcome = cli.run(["env", "PATH=/usr/bin:/bin", *COMMAND, "demo", "--db", "demo.db"])  # where no `crawler` is found
    assert "Three things to try" in outcome.out
    to_try = next(line for line in outcome.out.splitlines() if " status --db " in line)
    assert "fetched: " in cli.run(shlex.split(to_try)).out
    cli.db = cli.folder / "demo.db"
    assert len(cli.pages()) > 200
    again = cli.command("demo", "--db", "demo.db", status=2)
    assert "demo.db already exists" in _one_line(again.err)


def test_a_bare_localhost_seed_opens_itself_by_http_too_and_sends_no_secret_there(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("localhost", address="127.0.0.1").page("/")
    served = serve(web)
    command = ["crawl", f"localhost:{served.port}", "--db", str(cli.db), "--header", "Authorization: Bearer x"]
    for _run in range(2):
        cli.command(*command, "--delay", "0", "--connect-timeout", "0.5")
    assert cli.pages() == [served.url("localhost")]
    assert {hit.headers.get("authorization") for hit in served.hits("localhost", "/")} == {None}


def test_insecure_warns_and_is_recorded(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=1)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--insecure")
    assert "--insecure: TLS certificates are not verified" in outcome.err
    assert "certificates were not verified (--insecure)" in outcome.out
    assert outcome.summary["insecure"] is True
    assert cli.options()["network"]["insecure"] is True
    again = cli.crawl(served, served.url("a.test"), "--delay", "0")
    assert "not verified" not in again.err + again.out
    assert again.summary["insecure"] is False
