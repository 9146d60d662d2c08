"""Crawl files: every option by its own name, the command line before the file, one clear line for what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from crawler.cli.commands import app
from crawler.cli.crawl import CRAWL_OPTIONS
from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import COMMAND, LOOPBACK, Cli, Serve


@pytest.fixture
def served(serve: Serve) -> Served:
    web = FakeWeb()
    web.site("a.test", pages=20)
    web.host("b.test").page("/")
    return serve(web)


def options(cli: Cli) -> dict[str, Any]:
    return dict(json.loads(cli.rows("SELECT options FROM runs ORDER BY id DESC LIMIT 1")[0]))


def network(served: Served) -> str:
    return f'allow-private = ["{LOOPBACK[1]}"]\ndns-server = "{served.dns}"\ndelay = 0\n'


def run(cli: Cli, file: Path, *arguments: str, status: int = 0) -> str:
    return cli.run([*COMMAND, "crawl", "--config", str(file), *arguments], status=status).err


def test_what_init_writes_is_every_option_with_its_default(cli: Cli) -> None:
    cli.command("init")
    text = (cli.folder / "crawl.toml").read_text()
    assert tomllib.loads(text) == {"seeds": []}
    keys = re.findall(r"^#?([a-z-]+) =", text, re.MULTILINE)
    command = typer.main.get_command(app).commands["crawl"]  # type: ignore[attr-defined]
    flags = [parameter.opts[0].removeprefix("--") for parameter in command.params]
    assert sorted(keys) == sorted(set(flags) - {"config"})
    settings = tomllib.loads(re.sub(r"^#([a-z-]+ = .)", r"\1", text, flags=re.MULTILINE))
    for option in CRAWL_OPTIONS:
        if option.default is not None and not option.kind.repeatable:
            value = settings.pop(option.key)
            assert option.parse(value if isinstance(value, bool) else str(value)) == option.default
    lists = {"seeds", "include", "exclude", "drop-param", "allow-private", "header", "check", "extract", "reader"}
    assert settings.keys() == lists
    assert not any(settings.values())


@pytest.mark.thorough
def test_what_init_writes_changes_nothing_when_it_is_taken_as_it_is(cli: Cli, served: Served) -> None:
    arguments = (served.url("b.test"), *LOOPBACK, "--dns-server", served.dns)
    cli.command("crawl", *arguments, "--db", str(cli.db))
    plain = options(cli)
    cli.command("init", "all.toml")
    file = cli.folder / "all.toml"
    file.write_text(re.sub(r"^#([a-z-]+ = .)", r"\1", file.read_text(), flags=re.MULTILINE))
    cli.db = cli.folder / "data" / "crawl.db"
    run(cli, file, *arguments)
    assert options(cli) == plain


def test_init_overwrites_nothing_and_says_what_it_cannot_do(cli: Cli) -> None:
    (cli.folder / "crawl.toml").write_text("mine")
    assert "crawl.toml already exists" in cli.command("init", status=2).err
    assert (cli.folder / "crawl.toml").read_text() == "mine"
    for file in ("no/such/crawl.toml", "."):
        assert cli.command("init", file, status=2).err.count("\n") == 1
    assert cli.command("init", ".", status=2).err == "crawler: . is a folder; name a file in it\n"


def test_a_file_says_all_of_a_crawl_from_whatever_folder_it_is_run(cli: Cli, served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "list.txt").write_text(f"{served.url('b.test')}  # another\n")
    file = folder / "night.toml"
    file.write_text(
        network(served)
        + f"""
        seeds = ["{served.url("a.test")}", "list.txt"]
        db = "night.db"
        summary = "night.json"
        max-pages = 6
        exclude = ['/p1\\d']
        header = ["X-Token: secret"]
        bodies = false
        max-runtime = "10m"
        max-wait = "5s"
        """
    )
    run(cli, file)
    cli.db = folder / "night.db"
    assert json.loads((folder / "night.json").read_text())["pages"] == 6
    stored = options(cli)
    assert stored["scope"]["exclude"] == ["/p1\\d"]
    assert (stored["run"]["bodies"], stored["run"]["max_runtime_s"], stored["run"]["max_wait_s"]) == (False, 600, 5)
    assert {hit.headers["x-token"] for hit in served.log if hit.target != "/robots.txt"} == {"secret"}
    assert {path.name for path in cli.folder.iterdir()} == {"etc"}


def test_without_a_db_it_lies_beside_the_file(cli: Cli, served: Served) -> None:
    (cli.folder / "etc").mkdir()
    file = cli.folder / "etc" / "crawl.toml"
    file.write_text(network(served) + f'seeds = ["{served.url("b.test")}"]')
    run(cli, file)
    assert (cli.folder / "etc" / "data" / "crawl.db").exists()


def test_the_command_line_wins(cli: Cli, served: Served) -> None:
    file = cli.folder / "crawl.toml"
    settings = 'seeds = ["http://not-this.test/"]\nmax-pages = 2\nexclude = ["/p1"]\nbodies = false\nquiet = true\n'
    file.write_text(network(served) + settings + 'db = "other.db"')
    wins = ("--max-pages", "3", "--exclude", "/p9", "--bodies", "--db", str(cli.db))
    run(cli, file, served.url("a.test"), *wins)
    assert len(cli.pages()) == 3
    assert options(cli)["scope"]["exclude"] == ["/p9"]
    assert options(cli)["run"]["bodies"] is True
    assert not cli.rows("SELECT 1 FROM urls WHERE url LIKE '%not-this%'")


def test_without_seeds_the_file_wins_over_what_the_last_run_has_stored(cli: Cli, served: Served) -> None:
    file = cli.folder / "crawl.toml"
    file.write_text(f'{network(served)}db = "crawl.db"\nmax-pages = 2\nper-host = 4')
    run(cli, file, served.url("a.test"), "--no-bodies")
    file.write_text('db = "crawl.db"\nmax-pages = 3\n')
    assert "--max-pages 3 instead of 2" in run(cli, file)
    assert len(cli.pages()) == 5
    assert options(cli)["politeness"]["per_host"] == 4
    assert options(cli)["run"]["bodies"] is False


def test_sizes_and_ages_have_their_units_in_a_file_too(cli: Cli, served: Served) -> None:
    file = cli.folder / "crawl.toml"
    sizes = 'max-bytes = "10M"\nmemory = "1g"\nmax-rate = 2097152\nmax-age = 0\ngrace = "1.5m"\ndb = "crawl.db"\n'
    file.write_text(network(served) + sizes + f'seeds = ["{served.url("b.test")}"]')
    run(cli, file)
    stored = options(cli)
    bounds = [stored["network"][name] for name in ("max_bytes", "memory_bytes", "max_rate")]
    assert bounds == [10 * 1024**2, 1024**3, 2 * 1024**2]
    assert (stored["recrawl"]["max_age_s"], stored["run"]["grace_s"]) == (0, 90)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_pages = 3", "'max_pages'; did you mean max-pages?"),
        ("max-page = 3", "did you mean max-pages?"),
        ("Delay = 3", "did you mean delay?"),
        ("zzz = 1", "`crawler init`"),
        ("config = 'x'", "'config'"),
        ("[politeness]\ndelay = 1", "no option 'politeness'"),
        ("[scope]\nscope = 'any'", "scope takes a text or a number"),
        ("include = '/a'", 'include takes a list, such as ["/a"]'),
        ("include = [['/a']]", "include takes a text"),
        ("delay = [1]", "delay takes a text or a number"),
        ("delay = true", "delay takes a text or a number"),
        ("delay = 'soon'", "--delay"),
        ("delay = nan", "--delay"),
        ("max-pages = 2.5", "--max-pages"),
        ("scope = 'planet'", "--scope"),
        ("bodies = 'no'", "bodies takes true or false"),
        ("bodies = 0", "bodies takes true or false"),
        ("max-runtime = 1979-05-27", "max-runtime takes a text"),
        ("max-pages =", "is not TOML"),
        ("max-pages =", "crawl.toml is not TOML: look at its end; each line is a key"),
        (
            "delay = 1\ndelay = 2\n",
            "not TOML: look at line 2, column 10; each line is a key",
        ),
        ("delay = " + "1" * 5000, "is not TOML: a number is too long, or brackets are nested too deeply"),
        ("delay = 2026-01-01", "delay takes a text or a number, not a date"),
        ("delay = 1\ndelay = 2", "is not TOML"),
        ("max-age = 7", '--max-age takes an age with a unit: write "7d" for days or "7s" for seconds'),
        ("grace = '5'", '--grace takes an age with a unit: write "5s"'),
        ("if-running = 'wait:10'", 'write "wait:10m"'),
        ("memory = '64X'", "--memory takes a number of bytes"),
        ("seeds = ['nosuchfile.txt']", "nosuchfile.txt"),
        ("seeds = 'https://a.test/'", "seeds takes a list"),
        ("", "nothing to crawl"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(cli: Cli, text: str, named: str) -> None:
    file = cli.folder / "crawl.toml"
    file.write_text(text)
    err = run(cli, file, status=2)
    assert named in err
    assert err.count("\n") == 1


def test_what_cannot_be_read_is_one_line(cli: Cli) -> None:
    (cli.folder / "binary").write_bytes(b"\xff\xfe\x00")
    for file in ("missing.toml", ".", "binary"):
        err = run(cli, Path(file), status=2)
        assert f"--config {file}" in err
        assert err.count("\n") == 1
