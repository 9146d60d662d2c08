"""Seeds as the user gives them: URLs, bare host names, files of these, or '-' for standard input.

A file is UTF-8 and has one URL per line; what follows a '#' at the start of a line or after white space is a comment.
A file with lines that are not URLs is refused whole, before anything is fetched: otherwise somebody finds out in the
morning that half a list was crawled.
"""

from __future__ import annotations

import errno
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path

from crawler.errors import UsageError
from crawler.output.files import is_database
from crawler.seeds import Seed, names_scheme, parse_seed

_COMMENT = re.compile(r"(?:^|\s)#.*")
_CREDENTIALS = r"(?!mailto:)[^\s/:@]+:[^\s/@]*@"
_NAME = r"[^\s/:@.]+"
_HOST = re.compile(  # with a user and password, one label will do: that is no file
    rf"(?:localhost\.?|\[[0-9a-f:.]+\]|{_NAME}(?:\.{_NAME})+\.?|{_CREDENTIALS}(?:\[[0-9a-f:.]+\]|{_NAME}(?:\.{_NAME})*\.?))"
    r"(?::\d+)?(?:[/?].*)?",
    re.IGNORECASE,
)
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_SHOWN = 3


def read_seeds(arguments: Sequence[str]) -> list[Seed]:
    """The seeds in order. Raises `UsageError` for what is neither a URL, a host name nor a readable file of these."""
    if arguments.count("-") > 1:
        raise UsageError("- is standard input, which can be read only once; give it once")
    return [seed for argument in arguments for seed in _seeds_of(argument)]


def looks_like_seed(argument: str) -> bool:
    """Whether it names a scheme or a host, or is a file: what may stand where a seed is asked for."""
    return names_scheme(argument) or Path(argument).is_file() or _HOST.fullmatch(_in_brackets(argument)) is not None


def _seeds_of(argument: str) -> list[Seed]:
    if argument == "-":
        return _from_text(_read_standard_input(), "standard input")
    if not argument.strip():
        raise UsageError("a seed is empty; give a URL such as https://example.com/, a host name or a file")
    if names_scheme(argument):
        return [_parsed(argument)]
    if is_database(Path(argument)):
        raise UsageError(f"{argument} is a database, not a seed; name it with --db {argument}")
    file = _read(Path(argument))
    if file is not None:
        return _from_text(file, argument)
    seed = _in_brackets(argument)
    if _looks_like_a_file(argument) or not _HOST.fullmatch(seed):
        raise UsageError(f"{argument!r} is not a URL, a host name or an existing file")
    return [_parsed(seed)]


def _looks_like_a_file(argument: str) -> bool:
    return argument.startswith((".", "/")) or Path(argument).suffix.lower() in {".txt", ".csv", ".list", ".seeds"}


def _read_standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}") from error


def _read(path: Path) -> bytes | None:
    """What is in the file; None where there is none."""
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder; give a file with one URL per line") from error
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _in_brackets(argument: str) -> str:
    """An IPv6 address as it has to stand in a URL."""
    try:
        return f"[{IPv6Address(argument)}]"
    except ValueError:
        return argument


def _from_text(data: bytes, name: str) -> list[Seed]:
    seeds, bad = [], []
    for number, line in _lines(data, name):
        try:
            seeds.append(_seed_of_line(_in_brackets(line)))
        except UsageError:
            bad.append(f"line {number}: {line[:60]!r}")
    if bad:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise UsageError(
            f"{name} has lines that are not URLs: {', '.join(bad[:_SHOWN])}{more}; fix them or comment them out with #"
        )
    if not seeds:
        raise UsageError(f"{name} contains no URLs; write one per line")
    return seeds


def _lines(data: bytes, name: str) -> Iterator[tuple[int, str]]:
    for number, encoded in enumerate(data.removeprefix(BOM_UTF8).splitlines(), start=1):
        try:
            line = _COMMENT.sub("", encoded.decode("utf-8")).strip()
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}, line {number}, is not UTF-8; save the file as UTF-8") from error
        if line:
            yield number, line


def _seed_of_line(line: str) -> Seed:
    if not names_scheme(line) and not _HOST.fullmatch(line):
        raise UsageError(f"{line!r} is neither a URL nor a host name")
    return _parsed(line)


def _parsed(text: str) -> Seed:
    seed = parse_seed(text)
    if re.search(r"\s", text.strip()):
        raise UsageError(f"{text!r} contains white space; write a space in a URL as %20")
    return seed
