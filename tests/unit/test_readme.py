"""The README is the front page, the manual the reference: together they are complete, and what they say holds."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from crawler.cli.commands import app
from crawler.storage.sqlite.views import renew_views

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MANUAL = sorted((ROOT / "crawler/manual").glob("*.md"))
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in (README, *MANUAL)}
ALL = "\n".join(TEXTS.values())
MIGRATIONS = sorted((ROOT / "crawler/storage/sqlite/migrations").glob("*.sql"))
SHELL_BLOCKS = "".join(re.findall(r"^```sh\n(.*?)^```", ALL, re.MULTILINE | re.DOTALL))
COMMAND_LINES = sorted(set(re.findall(r"^crawler .+$", SHELL_BLOCKS, re.MULTILINE)))
LINKS = [
    (page, target)
    for page, text in TEXTS.items()
    for target in re.findall(r"\]\(([^)\s]+)\)", text)
    if not target.startswith("https:")
]


def _commands() -> dict[str, Any]:
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]


def _options() -> list[tuple[str, str]]:
    return [
        (name, flag)
        for name, command in _commands().items()
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--") and flag != "--help"
    ]


def _table(text: str, head: str) -> str:
    """The lines of the table that begins with `head`."""
    (found,) = re.findall(rf"^{re.escape(head)}.*\n(?:\|.*\n)+", text, re.MULTILINE)
    return str(found)


def test_the_readme_stays_a_front_page() -> None:
    assert len(TEXTS["README.md"].splitlines()) < 260


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_command_is_documented(name: str) -> None:
    page = TEXTS["crawler/manual/commands.md"]
    assert f"\n## {name}\n" in page
    assert f"`crawler {name}" in page


@pytest.mark.parametrize(("command", "flag"), _options())
def test_every_option_is_documented(command: str, flag: str) -> None:
    assert re.search(rf"`[^`\n]*(?<![\w-]){re.escape(flag)}(?![\w-])", ALL), f"{flag} of `crawler {command}`"


@pytest.mark.parametrize("status", [0, 1, 2, 4, 5, 6, 7, 130, 143])
def test_every_exit_status_is_documented(status: int) -> None:
    assert re.search(rf"^\| {status} \|", TEXTS["crawler/manual/exit-status.md"], re.MULTILINE)


def test_every_table_is_documented() -> None:
    tables = re.findall(r"CREATE TABLE (\w+)", "".join(path.read_text() for path in MIGRATIONS))
    documented = re.findall(r"^\*\*`(\w+)`\*\*:", TEXTS["crawler/manual/database.md"], re.MULTILINE)
    assert sorted(documented) == sorted(tables)


def test_every_column_that_is_documented_exists() -> None:
    page = TEXTS["crawler/manual/database.md"]
    with closing(_empty_database()) as connection:
        for table, items in re.findall(r"^\*\*`(\w+)`\*\*:.*?\n\n((?:[- ].*\n)+)", page, re.MULTILINE):
            explained = re.sub(r"\([^)]*\)|:[^-].*|, or|if there.*", "", items)  # only the names are left
            names = re.findall(r"`(\w+)`", explained)
            assert names, table
            connection.execute(f"SELECT {', '.join(names)} FROM {table}")


def test_every_query_runs() -> None:
    queries = re.findall(r'^sqlite3 [^"]*"([^"]+)"', SHELL_BLOCKS, re.MULTILINE)
    assert len(queries) == SHELL_BLOCKS.count("sqlite3 ") >= 3
    with closing(_empty_database()) as connection:
        for query in queries:
            connection.execute(query).fetchall()


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_line_is_one_that_the_program_takes(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crawl.toml").touch()  # as `crawler init` leaves one
    words = shlex.split(line, comments=True)
    _crawler, name, *arguments = takewhile(lambda word: word != "|", words)  # behind it stands another program
    _commands()[name].make_context(name, arguments)


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_every_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    place = (ROOT / page).parent / path if path else ROOT / page
    assert place.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


def test_there_are_links_and_command_lines_to_look_at() -> None:
    assert len(LINKS) > 30
    assert len(COMMAND_LINES) > 20


def test_the_list_of_topics_is_the_manual() -> None:
    rows = re.findall(r"^\| \[([\w-]+)\]\((\S+)\) \| (.+) \|$", TEXTS["README.md"], re.MULTILINE)
    pages = {page.stem: page for page in MANUAL}
    assert [(name, target) for name, target, _text in rows] == [
        (name, page.relative_to(ROOT).as_posix()) for name, page in pages.items()
    ]
    for name, _target, text in rows:
        assert pages[name].read_text(encoding="utf-8").splitlines()[2] == text


def test_the_architecture_names_every_module() -> None:
    (modules,) = re.findall(r"^```\n(cli .*?)^```", TEXTS["crawler/manual/architecture.md"], re.MULTILINE | re.DOTALL)
    first = re.findall(r"^ *([\w/]+(?:, [\w/]+)*),?(?:  |$)", modules, re.MULTILINE)  # the rest of a line is prose
    named = {name.rstrip("/") for names in first for name in names.split(", ")}
    there = {path.stem for path in (ROOT / "crawler").iterdir() if path.suffix in ("", ".py")}
    assert {name for name in there if not name.startswith((".", "_"))} - named == set()


def test_what_stands_in_the_readme_and_in_the_manual_is_the_same() -> None:
    front, manual = TEXTS["README.md"], "".join(text for page, text in TEXTS.items() if page != "README.md")
    head = "| crawler | pages/s | CPU ms per page |"
    assert _table(front, head) == _table(manual, head)
    (example,) = re.findall(r"^```python\n.*?^```$", front, re.MULTILINE | re.DOTALL)
    assert example in manual
    for query in re.findall(r'^sqlite3 [^"]*"[^"]+"$', front, re.MULTILINE):
        assert query in manual


def _empty_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for path in MIGRATIONS:
        connection.executescript(path.read_text())
    connection.executescript(renew_views())
    return connection
