"""The manual: its table of options is the command's own."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer

from crawler.cli.commands import app

MANUAL = Path(__file__).parents[2] / "crawler" / "manual"
MIB = 1024 * 1024


def _crawl_options() -> list[Any]:
    command = typer.main.get_command(app).commands["crawl"]  # type: ignore[attr-defined]
    return [
        parameter for parameter in command.params if parameter.opts[0].startswith("--") and parameter.name != "help"
    ]


def _option_rows() -> list[list[str]]:
    """The cells of the table between the markers, without its head."""
    text = (MANUAL / "options.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^<!-- options:begin -->\n(.*?)^<!-- options:end -->$", text, re.MULTILINE | re.DOTALL)
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
    return rows[2:]


def _flags(parameter: Any) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


def _default(parameter: Any) -> str:
    """The default as the table shows it."""
    default = parameter.default
    if default is None or parameter.name == "user_agent":  # which holds the version
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, int):
        return f"`{default // MIB} MiB`" if default >= MIB and not default % MIB else f"`{default:,}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_options_table_is_complete_and_in_order() -> None:
    """The table has each option once, in the order of the command."""
    shown = [re.findall(r"(?<![\w-])--?[a-z][\w-]*", cells[0]) for cells in _option_rows() if cells[0].startswith("`")]
    assert shown == [_flags(parameter) for parameter in _crawl_options()]


def test_the_table_of_options_has_the_panels_of_the_command() -> None:
    shown: list[tuple[str | None, str]] = []
    panel = None
    for cells in _option_rows():
        assert len(cells) == 3, cells
        if cells[0].startswith("**"):
            panel = cells[0].strip("*")
        else:
            shown.append((panel, re.findall(r"--[\w-]+", cells[0])[0]))
    assert shown == [(getattr(one, "rich_help_panel", None), one.opts[0]) for one in _crawl_options()]


@pytest.mark.parametrize("option", _crawl_options(), ids=lambda option: option.opts[0])
def test_options_table_has_values_and_defaults(option: Any) -> None:
    cells = next(cells for cells in _option_rows() if re.match(rf"`{option.opts[0]}[` ]", cells[0]))
    assert cells[1] == _default(option)
    assert cells[2].endswith(".")
    takes = (option.metavar or "").replace("|", "\\|")
    assert cells[0].startswith(f"`{option.opts[0]} {takes}`" if takes else f"`{option.opts[0]}")
