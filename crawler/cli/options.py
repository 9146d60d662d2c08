"""What the options of several commands share: texts and defaults from `config`, ages, sizes, headers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import typer

from crawler.config import describe
from crawler.errors import UsageError

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_UNITS_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmg]?)")
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def option(config_slice: type, name: str, *flags: str, panel: str, **more: Any) -> Any:
    """A Typer option with the help text that `config` has for it."""
    _default, help_text = describe(config_slice, name)
    return typer.Option(*flags, help=help_text, rich_help_panel=panel, **more)


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


def headers(texts: Iterable[str]) -> dict[str, str]:
    """'Name: value' texts as a dict. The message never shows a value: it may be a secret."""
    parsed = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UsageError("--header takes 'Name: value'")
        parsed[name.strip()] = value.strip()
    return parsed
