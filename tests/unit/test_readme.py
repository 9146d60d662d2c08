"""The README is the front page: every command and every option is in it, and its two first commands are whole."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import typer

from crawler.cli.commands import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "crawler/manual").glob("*.md")))
MIGRATIONS = sorted((ROOT / "crawler/storage/sqlite/migrations").glob("*.sql"))
SHELL_BLOCKS = "".join(re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL))


def _commands() -> dict[str, object]:
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]


def _options() -> list[tuple[str, str]]:
    return [
        (name, flag)
        for name, command in _commands().items()
        for parameter in command.params  # type: ignore[attr-defined]
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--") and flag != "--help"
    ]


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"`crawler {name}" in README


@pytest.mark.parametrize(("command", "flag"), _options())
def test_every_option_is_documented(command: str, flag: str) -> None:
    assert re.search(rf"`[^`\n]*(?<![\w-]){re.escape(flag)}(?![\w-])", README + MANUAL), (
        f"{flag} of `crawler {command}`"
    )


@pytest.mark.parametrize("status", [0, 1, 2, 4, 5, 6, 130, 143])
def test_every_exit_status_is_in_the_readme(status: int) -> None:
    assert re.search(rf"^\| {status} \|", README, re.MULTILINE)


def test_every_table_is_in_the_readme() -> None:
    tables = re.findall(r"CREATE TABLE (\w+)", "".join(path.read_text() for path in MIGRATIONS))
    assert tables
    for table in tables:
        assert f"`{table}`" in README


def test_every_query_of_the_readme_runs() -> None:
    queries = re.findall(r'^sqlite3 [^"]*"([^"]+)"', SHELL_BLOCKS, re.MULTILINE)
    assert len(queries) == SHELL_BLOCKS.count("sqlite3 ") >= 3
    with closing(sqlite3.connect(":memory:")) as connection:
        for path in MIGRATIONS:
            connection.executescript(path.read_text())
        for query in queries:
            connection.execute(query).fetchall()
