"""The table of options as Typer has it: a parameter for each, whose value stays as it was written until it is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from crawler.kinds import Flag, Text
from crawler.options import Option, Slice, options_of, slices_of

Function = TypeVar("Function", bound=Callable[..., Any])
Config = TypeVar("Config", bound=Slice)


def table_of(*configs: type[Slice]) -> tuple[Option, ...]:
    """The options of config classes and of their slices, those of a panel together."""
    options = [one for config in configs for part in (config, *slices_of(config).values()) for one in options_of(part)]
    panels = list(dict.fromkeys(one.panel for one in options))
    return tuple(sorted(options, key=lambda one: panels.index(one.panel)))


def taking(options: Iterable[Option]) -> Callable[[Function], Function]:
    """Give a command's function, which takes any keyword, a parameter for each of the options."""

    def declare(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        parameters = [*own, *map(_parameter, options)]
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {one.name: one.annotation for one in parameters}
        return function

    return declare


def read_options(config: type[Config], given: Mapping[str, Any]) -> Config:
    """A config of what was `given` by parameters' names; the rest is its own default. Raises `UsageError`."""
    values = {
        one.name: one.parse(given[parameter_of(one)])
        for one in options_of(config)
        if given[parameter_of(one)] is not None
    }
    slices = {name: read_options(part, given) for name, part in slices_of(config).items()}
    return config(**values, **slices)


def given_fields(context: typer.Context, options: Iterable[Option]) -> dict[str, str]:
    """The fields of the config whose option stands on the command line or in a crawl file, with its flag."""
    return {one.name: one.flag for one in options if is_given(context, parameter_of(one))}


def is_given(context: typer.Context, parameter: str) -> bool:
    """Whether a parameter stands on the command line or in a crawl file."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name != "DEFAULT"


def parameter_of(option: Option) -> str:
    """The name of the option's parameter."""
    return option.key.replace("-", "_")


def _parameter(option: Option) -> inspect.Parameter:
    flags = [f"{option.flag}/{option.negative}" if option.negative else option.flag]
    declared = typer.Option(
        *flags,
        *filter(None, [option.short]),
        metavar=option.kind.metavar,
        help=option.help,
        rich_help_panel=option.panel,
        autocompletion=(lambda: list(option.kind.completions)) if option.kind.completions else None,
    )
    return inspect.Parameter(
        parameter_of(option),
        inspect.Parameter.KEYWORD_ONLY,
        default=_default(option),
        annotation=Annotated[_type(option.kind), declared],
    )


def _default(option: Option) -> Any:
    """As it would be written."""
    if option.default is None or option.kind.repeatable:
        return None
    return option.default if isinstance(option.kind, Flag) else option.show(option.default)


def _type(kind: Text) -> Any:
    if isinstance(kind, Flag):
        return bool
    return list[str] | None if kind.repeatable else str | None
