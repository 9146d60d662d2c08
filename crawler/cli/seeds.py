"""Seeds as the user gives them: URLs, bare host names, files of these, or '-' for standard input.

A file has one URL a line; what follows a '#' at the start of a line or after white space is a comment. A file with
lines that are no URLs is refused whole, before anything is fetched: half a list crawled by night is found out too late.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from crawler.engine import parse_seeds
from crawler.errors import UsageError

_COMMENT = re.compile(r"(?:^|\s)#.*")
_HOST = re.compile(r"^(?:localhost|\[[0-9a-fA-F:.]+\]|[^\s/:@.]+(?:\.[^\s/:@.]+)+\.?)(?::\d+)?(?:[/?].*)?$")
_SHOWN = 3


def read_seeds(arguments: Iterable[str]) -> list[str]:
    """The seeds in order. Raises `UsageError` for what is neither a URL, a host name nor a readable file of these."""
    return [seed for argument in arguments for seed in _seeds_of(argument)]


def _seeds_of(argument: str) -> list[str]:
    if argument == "-":
        return _from_text(sys.stdin.buffer.read(), "standard input")
    if "://" in argument:
        return [_checked(argument)]
    path = Path(argument)
    if path.is_dir():
        raise UsageError(f"{argument} is a folder; name a file with one URL a line")
    if path.exists():
        return _from_text(_read(path), argument)
    if _looks_like_a_file(argument) or not _HOST.match(argument):
        raise UsageError(f"{argument!r} is neither a URL, a host name nor a file that exists")
    return [_checked(argument)]


def _looks_like_a_file(argument: str) -> bool:
    return argument.startswith((".", "/")) or Path(argument).suffix.lower() in {".txt", ".csv", ".list", ".seeds"}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _from_text(data: bytes, name: str) -> list[str]:
    seeds, bad = [], []
    for number, line in _lines(data):
        if _is_seed(line):
            seeds.append(line)
        else:
            bad.append(f"line {number}: {line[:60]!r}")
    if bad:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise UsageError(
            f"{name} has lines that are no URLs: {', '.join(bad[:_SHOWN])}{more}; mend them or comment them out with #"
        )
    if not seeds:
        raise UsageError(f"{name} holds no URL; write one a line")
    return seeds


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    text = data.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", line).strip()
        if line:
            yield number, line


def _is_seed(line: str) -> bool:
    if "://" not in line and not _HOST.match(line):
        return False
    try:
        parse_seeds([line])
    except UsageError:
        return False
    return not re.search(r"\s", line)


def _checked(argument: str) -> str:
    parse_seeds([argument])
    return argument
