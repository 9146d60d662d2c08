"""`crawler help`: the manual as it stands for programs, rendered for people, and in the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.conftest import COMMAND, Cli, on_a_terminal

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "crawler/manual").glob("*.md"))


def test_without_a_topic_it_lists_all_of_them_in_80_columns(cli: Cli) -> None:
    lines = cli.command("help").out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [page.stem for page in PAGES]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_begins_with_its_title_and_a_line_about_it(page: Path) -> None:
    title, empty, line, end, *_ = page.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert (empty, end) == ("", "")
    assert line.endswith(".")


def test_in_a_pipe_a_topic_is_the_file_as_it_stands(cli: Cli) -> None:
    assert cli.command("help", "traps").out == (ROOT / "crawler/manual/traps.md").read_text(encoding="utf-8")


def test_on_a_terminal_a_topic_is_rendered_and_fits() -> None:
    text = on_a_terminal([*COMMAND, "help", "options"], COLUMNS="80", PAGER="cat", NO_COLOR="1")
    plain = "".join(part.partition("m")[2] if part.startswith("[") else part for part in text.split("\x1b"))
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 80
    assert "--max-hosts-per-domain N" in plain
    assert "See crawler help traps." in " ".join(plain.split())
    assert not any(mark in plain for mark in ("`", "|---", "<!--", ".md"))


def test_a_command_is_explained_too(cli: Cli) -> None:
    assert cli.command("help", "prune").out.split() == cli.command("prune", "--help").out.split()


@pytest.mark.parametrize(
    ("topic", "hint"),
    [("politness", "did you mean politeness?"), ("Crwal", "did you mean crawl?"), ("zzz", "`crawler help` lists")],
)
def test_an_unknown_topic_is_one_line_with_the_nearest(cli: Cli, topic: str, hint: str) -> None:
    done = cli.command("help", topic, status=2)
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert topic in done.err
    assert hint in done.err


@pytest.mark.system
def test_the_wheel_has_every_page(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=170)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"crawler/manual/{page.name}" for page in PAGES} <= names
