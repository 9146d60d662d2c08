"""Our commands' own class: values are read by our kinds, and help fits into 80 columns.

Invariant: no help text cuts an option's name, metavar or explanation; what is too long for its column has its own line.
"""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from crawler.cli.seeds import looks_like_seed
from crawler.cli.usage import explained, nearest, refuse
from crawler.errors import UsageError
from crawler.kinds import File, Flag, Text, choice
from crawler.options import named
from crawler.output.files import is_database
from crawler.quantities import Count, Seconds

MAX_WIDTH = 100  # longer lines are hard to read
_COLUMN = 28  # where explanations begin
_NO_BREAK = "\N{NO-BREAK SPACE}"


class Command(TyperCommand):
    """A command whose help has a section for each panel of options."""

    allow_extra_args = True  # refused here, and not by Typer

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raises `UsageError` where it is wrong."""
        with explained(ctx, args):
            rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            refuse(ctx, rest)
        return rest

    def get_params(self, ctx: Any) -> list[Any]:
        """All that it takes, --help included."""
        return [_read_by_kind(one) for one in super().get_params(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The sections."""
        _write_parameters(self, ctx, formatter)


class Group(TyperGroup):
    """All commands together; its help has the first paragraph of theirs.

    `places` has the module of each, its function and, if that is not `Command`, its class.
    """

    places: Mapping[str, Sequence[str]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _LaterCommands(self.places)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command. Raises `UsageError` where it is wrong."""
        with explained(ctx, args):
            return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """All that it takes, --help included."""
        return [_read_by_kind(one) for one in super().get_params(ctx)]

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of that name. Raises `UsageError`, which says what may have been meant, if there is none."""
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"there is no command {name!r}; {_what_may_be_meant(name, list(self.commands))}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options, then the commands."""
        _write_parameters(self, ctx, formatter)
        _write_section(formatter, "Commands", self.commands.summaries())


class _LaterCommands(Mapping[str, Any]):
    """Commands by name, each made when it is asked for: most take longer to import than to run."""

    def __init__(self, places: Mapping[str, Sequence[str]]) -> None:
        self._places = places
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            function, *kind = self._found(name)
            app.command(name, cls=kind[0] if kind else Command)(function)
            self._made[name] = typer.main.get_command(app)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def summaries(self) -> Iterator[tuple[str, str]]:
        """The name of each, and what its function says first."""
        for name, (module, function, *_kind) in self._places.items():
            yield name, _summary(_docstring(module, function))

    def _found(self, name: str) -> list[Any]:
        """Its function, and its class."""
        module, *names = self._places[name]
        return [getattr(import_module(module), one) for one in names]


class _Reader:
    """Reads one parameter's values by our kinds, in Typer's place.

    Typer would load Pydantic for that, which takes longer than the rest of a start, and tell what Pydantic says.
    """

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value; None, or none at all, where nothing is given. Raises `UsageError`."""
        is_list = param.multiple or param.nargs == -1
        if value is None:
            return () if is_list else None
        shown = param.metavar if param.param_type_name == "argument" else None  # what an argument is called in the help
        with named(shown or max(param.opts, key=len)):
            return [self._read(one) for one in value] if is_list else self._read(value)


def _what_may_be_meant(word: str, commands: list[str]) -> str:
    if is_database(Path(word)):
        return f"to resume that crawl: crawler crawl --db {shlex.quote(word)}"
    if looks_like_seed(word):
        return f"to crawl it: crawler crawl {shlex.quote(word)}"
    near = nearest(word.lower(), commands)
    return f"did you mean {near}?" if near is not None else "`crawler --help` lists them"


def _read_by_kind(parameter: Any) -> Any:
    """What we have no kind for stays with Typer; so does all, should a later Typer work in another way."""
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None or isinstance(parameter._runtime_param, _Reader):
        return parameter
    read = getattr(descriptor.parameter_info, "parser", None)
    if read is None and (kind := _kind(descriptor.annotation, parameter)) is not None:
        read = partial(_parse, kind)
    if read is not None:
        parameter._runtime_param = _Reader(read)
    return parameter


def _kind(annotation: Any, parameter: Any) -> Text | None:
    """Of a value, or of each in a list."""
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return choice(annotation)
    low = -math.inf if parameter.min is None else parameter.min
    high = math.inf if parameter.max is None else parameter.max
    numbers = {int: Count(low=low, high=high), float: Seconds(low=low, high=high)}
    return {bool: Flag(), str: Text(), Path: File(), **numbers}.get(annotation)


def _parse(kind: Text, given: Any) -> Any:
    """A default is no text."""
    value = kind.parse(given) if isinstance(given, str) else given
    kind.check(value)
    return value


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        panel = parameter.rich_help_panel or f"{parameter.param_type_name.capitalize()}s"
        sections.setdefault(panel, []).append((_term(parameter, ctx), _explanation(parameter)))
    for title, rows in sections.items():
        _write_section(formatter, title, rows)


def _term(parameter: Any, ctx: Any) -> str:
    """'-q, --quiet', '--bodies / --no-bodies', '--db PATH' or 'SEED...'."""
    takes = parameter.metavar or parameter.display_type(ctx)
    if parameter.param_type_name == "argument":
        return f"{takes}{'...' if parameter.nargs == -1 else ''}"
    flags = ", ".join(sorted(parameter.opts, key=len))
    return " / ".join([flags, *parameter.secondary_opts]) if parameter.is_flag else f"{flags} {takes}"


def _explanation(parameter: Any) -> str:
    """Its text and its default."""
    default = parameter.default
    if isinstance(default, bool):
        default = "on" if default else None
    text = parameter.help or ""
    if default is None or not parameter.show_default:
        return text
    written = str(default).removesuffix(".0") if isinstance(default, float) else default
    return f"{text} [default:{_NO_BREAK}{written}]"


def _write_section(formatter: Any, title: str, rows: Iterable[tuple[str, str]]) -> None:
    formatter.write(f"\n{typer.style(title, bold=True)}\n")
    for term, explanation in rows:
        wrapped = textwrap.fill(explanation, formatter.width - _COLUMN, break_on_hyphens=False)
        if len(term) > _COLUMN - 4:
            formatter.write(f"  {term}\n")
            term = ""
        for line in wrapped.replace(_NO_BREAK, " ").splitlines():
            formatter.write(f"  {term:{_COLUMN - 2}}{line}\n")
            term = ""


def _docstring(module: str, function: str) -> str | None:
    """That of a function, from the code of its module, which is not run: all commands take a third of a second to
    import.
    """
    spec: Any = find_spec(module)
    constants = spec.loader.get_code(module).co_consts
    (compiled,) = (one for one in constants if isinstance(one, CodeType) and one.co_name == function)
    docstring: str | None = compiled.co_consts[0]
    return docstring


def _summary(text: str | None) -> str:
    """The first paragraph."""
    return " ".join((text or "").partition("\n\n")[0].split())
