"""What the options of several commands share: texts and defaults from `config`, ages, sizes, headers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

import typer

from crawler.config import describe
from crawler.errors import UsageError

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_UNITS_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?)([kmg]?)")  # more digits may be infinity
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def option(config_slice: type, name: str, *flags: str, panel: str, **more: Any) -> Any:
    """A Typer option with the help text that `config` has for it."""
    _default, help_text = describe(config_slice, name)
    made: Any = typer.Option(*flags, help=help_text, rich_help_panel=panel, **more)
    made.config_field = name
    return made


def given_fields(context: typer.Context, command: Callable[..., Any]) -> dict[str, str]:
    """The fields of the config that the user gave an option of the command for, with the option's flag."""
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    return {field: flags[name] for name, field in config_fields(command).items() if is_given(context, name)}


def is_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line or in a crawl file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def config_fields(command: Callable[..., Any]) -> dict[str, str]:
    """The field of the config behind each parameter of the command that has one."""
    annotations = get_type_hints(command, include_extras=True)
    return {
        name: info.config_field
        for name, annotation in annotations.items()
        for info in getattr(annotation, "__metadata__", ())
        if hasattr(info, "config_field")
    }


def default(config_slice: type, name: str) -> Any:
    """The default that `config` has for an option."""
    return describe(config_slice, name)[0]


def age_s(flag: str, text: str | None) -> float | None:
    """Seconds of '90s', '30m', '12h', '7d', '2w' or a bare number. Raises `UsageError` for anything else."""
    if text is None:
        return None
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"{flag} takes a number with s, m, h, d or w behind it, such as 90s or 12h, not {text!r}")
    return float(found[1]) * _UNITS_S[found[2]]


def size_bytes(flag: str, text: str | None) -> int | None:
    """Bytes of '500k', '2M', '1G' (powers of 1,024, as with wget and curl) or a bare number. Raises `UsageError`."""
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"{flag} takes bytes, or a number with k, M or G behind it, such as 500k, not {text!r}")
    return int(float(found[1]) * _UNITS_BYTES[found[2]])


def if_running(text: str) -> tuple[bool, float]:
    """'fail', 'skip', 'wait' or 'wait:AGE' as whether to skip, and for how many seconds to wait for another run."""
    word, colon, age = text.strip().partition(":")
    if word not in ("fail", "skip", "wait") or (colon and word != "wait"):
        raise UsageError(f"--if-running takes fail, skip, wait or wait:AGE, such as wait:10m, not {text!r}")
    if word != "wait":
        return word == "skip", 0.0
    return False, (age_s("--if-running wait:AGE", age) or 0.0) if colon else math.inf


def headers(texts: Iterable[str]) -> dict[str, str]:
    """'Name: value' texts as a dict. The message never shows a value: it may be a secret."""
    parsed = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UsageError("--header takes 'Name: value'")
        parsed[name.strip()] = value.strip()
    return parsed
