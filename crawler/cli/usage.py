"""What is wrong with a command line, in our words: one line that says what to type instead, and where help stands.

The parser's own messages are Typer's; what it found is read from its error's fields, never from its text.
Invariant: whatever is asked of this raises a `UsageError`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from crawler.errors import UsageError
from crawler.output.files import is_database

_LIKENESS = 0.7  # by the measure of `difflib`, from 0 to 1: what is less like a word was not meant to be it


@contextmanager
def explained(context: Any, arguments: Sequence[str]) -> Iterator[None]:
    """Raises `UsageError` where the parser refuses the `arguments` of the context's command."""
    given = tuple(arguments)  # the parser takes them away
    try:
        yield
    except typer.TyperException as error:
        option, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
        if option is not None:
            raise UsageError(_of_option(context, str(option), given)) from None
        if parameter is not None:
            raise UsageError(_of_missing(context, parameter)) from None
        raise


def refuse(context: Any, rest: Sequence[str]) -> None:
    """Raises `UsageError` for the arguments that the context's command has no use for."""
    path, word = context.command_path, rest[0]
    is_named = "--db" in _flags(context.command.get_params(context))
    if is_named and is_database(Path(word)):
        raise UsageError(f"{word} is a database; name it with --db: {path} --db {shlex.quote(word)}")
    raise UsageError(f"{path} has no use for {' '.join(map(shlex.quote, rest))}; `{path} --help` says what it takes")


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant: the only one that begins with `word`, else the most similar."""
    known = list(words)
    begun = [one for one in known if one.startswith(word)]
    near = begun if len(begun) == 1 else get_close_matches(word, known, n=1, cutoff=_LIKENESS)
    return near[0] if near else None


def _of_option(context: Any, option: str, given: Sequence[str]) -> str:
    path, parameters = context.command_path, context.command.get_params(context)
    for parameter in parameters:
        if option in (*parameter.opts, *parameter.secondary_opts):
            if parameter.is_flag:
                return f"{option} takes no value; write {option} alone"
            takes = parameter.metavar or parameter.display_type(context)
            return f"{option} needs a value: {option} {takes} (`{path} --help` explains it)"
    for name, command in getattr(context.command, "commands", {}).items():
        if option in _flags(command.params):
            return f"{option} stands behind the command, as in `{path} {name} {option}`"
    return _unknown(option, _written(option, given), _flags(parameters), path)


def _unknown(option: str, written: str, flags: Sequence[str], path: str) -> str:
    near = nearest(f"-{written}" if written != option and len(option) == 2 else option, flags)
    meant = f"did you mean {near}? " if near is not None else ""
    return f"there is no option {written}; {meant}`{path} --help` lists all options"


def _written(option: str, given: Sequence[str]) -> str:
    """The option as it was written: of '-delay' the parser has '-d'."""
    if option.startswith("--"):
        return option
    return next((one for one in given if one.startswith(option) and not one.startswith("--")), option)


def _of_missing(context: Any, parameter: Any) -> str:
    path, takes = context.command_path, parameter.metavar or parameter.display_type(context)
    return f"{path} needs {takes}: {path} {takes} (`{path} --help` explains it)"


def _flags(parameters: Iterable[Any]) -> list[str]:
    """The long ones."""
    return [flag for one in parameters for flag in (*one.opts, *one.secondary_opts) if flag.startswith("--")]
