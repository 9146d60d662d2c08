"""`--db`: a path or a URL, whose password is shown nowhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crawler.cli.commands import run
from crawler.config import CheckConfig, CheckKind, CrawlConfig, RunConfig
from crawler.errors import UsageError
from crawler.location import DatabaseUrl, file_at, location


@pytest.mark.parametrize("given", ["crawl.db", "data/crawl.db", "/srv/postgres/crawl.db", "postgres", "a:/b.db", ""])
def test_a_path_stays_one(given: str) -> None:
    assert location(given) == Path(given)
    assert location(Path(given)) == Path(given)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://me@db.example/crawl", "postgresql://me@db.example/crawl"),
        ("postgres://db.example:5433/crawl", "postgres://db.example:5433/crawl"),
        ("postgresql://me:geheim@db.example/crawl", "postgresql://me@db.example/crawl"),
        ("postgresql://me:ge@heim@db.example/crawl", "postgresql://me@db.example/crawl"),
        ("postgresql://:geheim@db.example/crawl", "postgresql://@db.example/crawl"),
        ("postgresql://me:geheim@a:5432,b:5433/crawl", "postgresql://me@a:5432,b:5433/crawl"),
        ("postgresql://me:geheim@[::1]:5432,[::2]/crawl", "postgresql://me@[::1]:5432,[::2]/crawl"),
        ("postgresql://me@a/crawl?sslmode=require", "postgresql://me@a/crawl?sslmode=require"),
        ("postgresql://me@a/crawl?password=geheim&sslmode=require", "postgresql://me@a/crawl?sslmode=require"),
        ("postgresql://me@a/crawl?sslpassword=geheim", "postgresql://me@a/crawl"),
        ("postgresql:///crawl?host=/run/postgresql", "postgresql:///crawl?host=/run/postgresql"),
        ("postgresql:///crawl", "postgresql:///crawl"),
        ("postgresql://a?dbname=crawl&user=me", "postgresql://a?dbname=crawl&user=me"),
    ],
)
def test_a_url_is_shown_without_its_password(given: str, shown: str) -> None:
    url = location(given)
    assert isinstance(url, DatabaseUrl)
    assert str(url) == shown
    assert "geheim" not in f"{url} {url!r} {CrawlConfig(db=url)!r}"
    assert url.with_password == given
    assert location(url) is url


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("mysql://me:geheim@db.example/crawl", "there is no store behind mysql://"),
        ("postgresql://me:geheim@db.example:port/crawl", "is no URL"),
        ("postgresql://me:geheim@db.example:99999/crawl", "is no URL"),
        ("postgresql://me:geheim@[::1/crawl", "is no URL"),
        ("postgresql:/me:geheim@db.example/crawl", "is no URL"),
        ("postgresql://me:geheim@db.example", "names no database"),
        ("postgresql://me:geheim@db.example/", "names no database"),
        ("postgresql://me:geheim@db.example/a/b", "names no database"),
        ("postgresql://me:ge/heim@db.example/crawl", "is no URL"),
        ("postgresql://me:ge?heim@db.example/crawl", "is no URL"),
        ("postgresql://me:ge#heim@db.example/crawl", "is no URL"),
        ("postgresql://me:2#geheim@db.example/crawl", "is no URL"),
    ],
)
def test_what_is_no_url_of_a_database_is_told_without_quoting_it(given: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as error:
        location(given)
    assert "heim" not in str(error.value)


def test_a_path_made_of_a_url_is_told() -> None:
    """It would become a folder named `postgresql:`."""
    with pytest.raises(UsageError, match="as text"):
        location(Path("postgresql://me@db.example/crawl"))


def test_what_works_on_files_only_says_so_and_how_it_can_be_had() -> None:
    assert file_at(Path("crawl.db"), "`crawler search`") == Path("crawl.db")
    with pytest.raises(UsageError) as error:
        file_at(location("postgresql://me:geheim@db.example/crawl"), "`crawler search`")
    assert str(error.value) == (
        "`crawler search` works on a SQLite file only; copy this crawl into one:"
        " crawler copy postgresql://me@db.example/crawl crawl.db"
    )


def test_a_config_refuses_what_works_on_files_only() -> None:
    config = CrawlConfig(db=location("postgresql://me@db.example/crawl"))
    with pytest.raises(UsageError, match=r"--check works on a SQLite file only"):
        replace(config, check=CheckConfig(check=(CheckKind.EXTERNAL,)))
    with pytest.raises(UsageError, match=r"--warc works on a SQLite file only"):
        replace(config, run=RunConfig(warc=Path("warcs")))


@pytest.mark.parametrize(
    "command",
    [
        ["search", "word"],
        ["report"],
        ["serve"],
        ["mcp"],
        ["diff"],
        ["try", "https://a.test/"],
        ["crawl", "https://a.test/", "--warc", "warcs"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_works_on_files_only_refuses_a_url(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And the manual's page says so."""
    assert run([*command, "--db", "postgresql://me:geheim@127.0.0.1:1/crawl"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    what = "--warc" if command[0] == "crawl" else f"`crawler {command[0]}`"
    assert line == (
        f"crawler: {what} works on a SQLite file only; copy this crawl into one:"
        " crawler copy postgresql://me@127.0.0.1:1/crawl crawl.db"
    )
    manual = (Path(__file__).parents[2] / "crawler/manual/database.md").read_text(encoding="utf-8")
    on_files = manual.partition("best_linked` are missing.")[2].partition("work on a file")[0]
    assert command[0] == "crawl" or f"`{command[0]}`" in on_files


def test_a_crawl_file_names_a_database_by_its_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no path in the file's folder."""
    file = tmp_path / "crawl.toml"
    file.write_text('db = "postgresql://me:geheim@127.0.0.1:1/crawl"\nseeds = ["https://a.test/"]\n')
    assert run(["search", "word", "--config", str(file)]) == 2
    assert "crawler copy postgresql://me@127.0.0.1:1/crawl" in capsys.readouterr().err
