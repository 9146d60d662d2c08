"""What a real bash proposes when Tab is pressed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Cli

pytestmark = pytest.mark.any_store

ROOT = Path(__file__).parents[2]
PRESS_TAB = """
eval "$(crawler --show-completion)"
COMP_WORDS=({words} "$1") COMP_CWORD={last}
_crawler_completion crawler
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "begun", "proposed"),
    [
        ("crawler", "st", {"status", "stop"}),
        ("crawler crawl", "--max-pages", {"--max-pages", "--max-pages-per-host"}),
        ("crawler crawl --scope", "", {"host", "domain", "prefix", "any"}),
        pytest.param("crawler prune --if-running", "w", {"wait"}, marks=pytest.mark.thorough),
        pytest.param("crawler help", "cr", {"crawl-file", "cron"}, marks=pytest.mark.thorough),
        pytest.param("crawler", "https://example.com/", {""}, marks=pytest.mark.thorough),  # bash completes files
    ],
)
def test_bash_proposes_commands_options_and_words(cli: Cli, words: str, begun: str, proposed: set[str]) -> None:
    program = cli.folder / "crawler"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m crawler "$@"\n')
    program.chmod(0o755)
    script = PRESS_TAB.format(words=words, last=len(words.split()))
    told = cli.run(["env", f"PATH={cli.folder}:/usr/bin:/bin", "bash", "-c", script, "bash", begun])
    assert (set(told.out.splitlines()), told.err) == (proposed, "")


@pytest.mark.thorough
def test_only_the_program_s_own_help_speaks_of_it(cli: Cli) -> None:
    assert "--install-completion" in cli.command("--help").out
    assert "completion" not in cli.command("crawl", "--help").out + cli.command("status", "--help").out
