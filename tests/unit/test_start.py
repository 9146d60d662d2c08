"""What a command has to load before it starts: its own parts, and not those of another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crawler.cli.commands import app

LOADED = """
import sys
from crawler.cli.commands import run
run(sys.argv[1:])
print("loaded:", *sys.modules)
"""
OF_A_CRAWL = {"aiohttp", "uvloop", "crawler.engine", "crawler.frontier.frontier"}
_GROUP = typer.main.get_command(app)


def loaded(folder: Path, *arguments: str) -> set[str]:
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["crawl", "--help"], ["status"], ["list"], ["stop"]])
def test_nothing_of_a_crawl_is_loaded_for_other_commands(tmp_path: Path, arguments: list[str]) -> None:
    modules = loaded(tmp_path, *arguments)
    assert "crawler.cli.commands" in modules
    assert not modules & OF_A_CRAWL


def test_a_command_loads_no_other(tmp_path: Path) -> None:
    names = set(_GROUP.commands) - {"crawl"}  # type: ignore[attr-defined]  # which has the table of options
    modules = loaded(tmp_path, "stop")
    assert {name for name in names if f"crawler.cli.{name}" in modules} == {"stop"}


def test_each_command_is_there_under_its_name() -> None:
    commands = dict(_GROUP.commands)  # type: ignore[attr-defined]
    assert len(commands) > 10
    for name, command in commands.items():
        assert command.name == name
        assert command.help
