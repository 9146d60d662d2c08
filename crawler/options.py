"""One table of options: each stands once, as a field of a config class, with all that there is to say about it.

The command line, crawl files, `crawler init`, stored options, what a resumed run takes over, and the manual's table are
made from it. A new option is one field, and its use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, fields
from typing import Any, ClassVar

from crawler.errors import UsageError
from crawler.kinds import Text
from crawler.statically_frozen import dataclass

NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What is known of an option wherever it is used. Texts may quote in Markdown's way; `more` is for the manual."""

    name: str  # of the field
    flag: str
    kind: Text
    help: str
    default: Any
    more: str = ""
    short: str | None = None  # a flag of one letter
    panel: str | None = None  # what it is shown under

    @property
    def key(self) -> str:
        """Its name in a crawl file."""
        return self.flag.removeprefix("--")

    @property
    def negative(self) -> str | None:
        """The flag that turns off what is on by default."""
        return f"--no-{self.key}" if self.default is True else None

    def parse(self, given: Any) -> Any:
        """The value of a text, a list of texts, or a flag's truth value. Raises `UsageError`.

        What is not set by default takes `none`, too: so a limit of the last run or of a crawl file is lifted.
        """
        if self.default is None and isinstance(given, str) and given.strip().lower() == NONE:
            return self.kind.without
        with named(self.flag):
            return self.kind.parse(given)

    def check(self, value: Any) -> None:
        """Raises `UsageError` where the value cannot be used."""
        with named(self.flag):
            if value is not None:
                self.kind.check(value)

    def show(self, value: Any) -> str:
        """A value as the user would write it."""
        return NONE if value is None else self.kind.show(value)


def option(
    default: Any,
    flag: str,
    kind: Text,
    help: str,  # noqa: A002
    *,
    more: str = "",
    short: str | None = None,
    panel: str | None = None,
) -> Any:
    """A field of a config class that is an option (see `Option`); its panel is its slice's `PANEL`, or this one."""
    known = {"flag": flag, "kind": kind, "help": help, "more": more, "short": short, "panel": panel}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=known)
    return field(default=default, metadata=known)


class Slice:
    """Options that belong together, as a dataclass: one that can be made can be used, else there is a `UsageError`."""

    __slots__ = ()
    PANEL: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for one in options_of(type(self)):
            one.check(getattr(self, one.name))


def options_of(config: type[Slice]) -> tuple[Option, ...]:
    """The options of a config class, in the order of its fields; those of its slices are theirs."""
    return tuple(
        Option(
            name=one.name,
            default={} if one.default_factory is dict else one.default,
            **{**one.metadata, "panel": one.metadata["panel"] or config.PANEL},
        )
        for one in fields(config)  # type: ignore[arg-type]  # every one is a dataclass
        if one.metadata
    )


def slices_of(config: type[Slice]) -> dict[str, type[Slice]]:
    """The classes that a config class is made of, by the names of the fields that hold them."""
    factories: dict[str, Any] = {one.name: one.default_factory for one in fields(config)}  # type: ignore[arg-type]
    return {name: one for name, one in factories.items() if isinstance(one, type) and issubclass(one, Slice)}


@contextmanager
def named(flag: str) -> Iterator[None]:
    """A `ValueError` of a kind as a `UsageError` that begins with the option's flag."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{flag} {error}") from None
