"""Crawl files: the options of `crawler crawl` in TOML, under the same names; and the commented one that `init` writes.

Invariant: keys, defaults and texts are the command's own, so that what can be said on the command line can be said in a
file, and nothing else. What stands on the command line wins; relative paths are relative to the file.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from crawler.config import DEFAULT_DB
from crawler.errors import UsageError
from crawler.seeds import names_scheme

_NO_KEYS = {"config_file", "help"}
_WIDTH = 100

_HEAD = """\
# A crawl file. Run it with `crawler crawl --config FILE`.
#
# Each key is an option of `crawler crawl` (and `seeds`); what is given on the command line wins. Ages are texts such as
# "90s", "12h" or "7d". Relative paths are relative to this file. The settings shown are the defaults: to change one,
# remove the # before it. Regular expressions are best put in 'single quotes', which leave \\ alone."""


def use_crawl_file(context: typer.Context, file: Path | None) -> Path | None:
    """For the option --config: what is not on the command line comes from the file. Raises `UsageError`."""
    if file is not None:
        parameters = {_key(parameter): parameter for parameter in _parameters(context.command)}
        settings = _read(file)
        for key in settings.keys() - parameters.keys():
            raise UsageError(f"{file}: there is no option {key!r}{_nearest(key, list(parameters))}")
        settings = {"db": str(DEFAULT_DB)} | settings
        types = get_type_hints(context.command.callback)
        context.default_map = {
            parameters[key].name: _value(f"{file}: {key}", parameters[key], value, types, file.parent)
            for key, value in settings.items()
        }
    return file


def commented_file(command: Any) -> str:
    """A crawl file with every option of the command, its text and its default, commented out."""
    types = get_type_hints(command.callback)
    lines, panel = [_HEAD], None
    for parameter in _parameters(command):
        if _panel(parameter) != panel:
            panel = _panel(parameter)
            lines += ["", f"# {f' {panel} '.center(_WIDTH, '-')}"]
        lines += ["", *_commented(parameter, types[parameter.name])]
    return "\n".join(lines) + "\n"


def _commented(parameter: Any, kind: Any) -> Iterator[str]:
    default = _default(parameter)
    takes = parameter.metavar or "|".join(one.value for one in _choices(kind))
    remarks = [takes if takes != "SEED" else "", "not set by default" if default is None else ""]
    remark = ", ".join(filter(None, remarks))
    yield from textwrap.wrap(
        f"{parameter.help} ({remark})" if remark else parameter.help,
        width=_WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
    )
    key = _key(parameter)
    setting = f"{key} = {'' if default is None else json.dumps(default)}".rstrip()
    yield setting if key == "seeds" else f"#{setting}"


def _parameters(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.name not in _NO_KEYS]


def _key(parameter: Any) -> str:
    return str(parameter.opts[0]).removeprefix("--")


def _panel(parameter: Any) -> str | None:
    return getattr(parameter, "rich_help_panel", None)


def _default(parameter: Any) -> Any:
    if _is_list(parameter):
        return []
    default = parameter.default
    if isinstance(default, Enum):
        return default.value
    return str(default) if isinstance(default, Path) else default


def _is_list(parameter: Any) -> bool:
    return bool(parameter.multiple or parameter.nargs == -1)


def _choices(kind: Any) -> list[Any]:
    for one in (kind, *get_args(kind)):
        if isinstance(one, type) and issubclass(one, Enum):
            return list(one)
    return []


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {file} is not UTF-8; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, a thousand brackets
        raise UsageError(f"--config {file} is not TOML: {error}") from error


def _nearest(key: str, keys: list[str]) -> str:
    near = get_close_matches(key.replace("_", "-").lower(), keys, n=1)
    return f"; is it {near[0]}?" if near else "; `crawler init` writes a file with all there are"


def _value(where: str, parameter: Any, value: Any, types: dict[str, Any], folder: Path) -> Any:
    """As the command line would have it: a truth value for a flag, else a text, or a list of these."""
    if _is_list(parameter):
        if not isinstance(value, list):
            raise UsageError(f"{where} takes a list, such as [{json.dumps(str(value))}]")
        return [_text(where, one, parameter, types, folder) for one in value]
    if types[parameter.name] is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{where} takes true or false")
        return value
    return _text(where, value, parameter, types, folder)


def _text(where: str, value: Any, parameter: Any, types: dict[str, Any], folder: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{where} takes a text or a number, not {type(value).__name__}")
    if isinstance(value, str) and "\0" in value:
        raise UsageError(f"{where} has a NUL in it")
    if isinstance(value, int) and value.bit_length() > 64:
        raise UsageError(f"{where} is too large a number")
    is_path = Path in (types[parameter.name], *get_args(types[parameter.name])) or parameter.metavar == "FILE"
    is_list_of_seeds = parameter.metavar == "SEED" and not names_scheme(str(value)) and (folder / str(value)).is_file()
    return str(folder / value) if value and isinstance(value, str) and (is_path or is_list_of_seeds) else str(value)
