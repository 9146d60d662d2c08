"""The kinds of values that options take: how each is written, read, checked, shown and stored.

Invariant: what `show` gives can be given again. A kind raises `ValueError` with the rest of a sentence that begins with
the option's name, such as "takes a whole number, not 'x'"; `options` puts the name before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar

from crawler.location import location
from crawler.proxy import parse_proxy
from crawler.statically_frozen import dataclass
from crawler.user_agent import is_default

_NO_WORD = "none"  # of several: what the last run was given is not wanted any more
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
_QUOTED = 60  # characters of what cannot be read


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; and what all kinds have in common. `metavar` stands for the value in help texts."""

    metavar: str = "TEXT"

    repeatable: ClassVar[bool] = False  # `parse` takes a list of texts
    is_path: ClassVar[bool] = False
    takes_dash: ClassVar[bool] = False  # `-` is no path
    is_secret: ClassVar[bool] = False  # `stored` tells only that there was a value
    without: ClassVar[Any] = None  # the value that `none` stands for, where that is the default

    @property
    def completions(self) -> Sequence[str]:
        """The words that a shell may propose."""
        return ()

    def parse(self, given: Any) -> Any:
        """The value of what the user wrote. Raises `ValueError`."""
        return given

    def check(self, value: Any) -> None:
        """Raises `ValueError` for a value of the right type that cannot be used."""

    def show(self, value: Any) -> str:
        """A value as the user would write it."""
        return str(value)

    def stored(self, value: Any) -> Any:
        """A value as plain data, without any secret."""
        return value

    def restored(self, stored: Any) -> Any:
        """The value that was `stored`, after a round trip through JSON."""
        return stored


@dataclass(frozen=True, slots=True)
class Flag(Text):
    """On or off: given as a truth value, not as text."""

    metavar: str = ""

    def show(self, value: bool) -> str:
        """'on' or 'off'."""
        return "on" if value else "off"


@dataclass(frozen=True, slots=True)
class Choice(Text):
    """One of an enumeration's words."""

    words: type[StrEnum] = StrEnum

    @property
    def completions(self) -> Sequence[str]:
        """All of them."""
        return tuple(self.words)

    def parse(self, given: str) -> StrEnum:
        """The member of that value."""
        if given not in list(self.words):
            *others, last = self.words
            raise unreadable(f"{', '.join(others)} or {last}", given)
        return self.words(given)

    def restored(self, stored: str) -> StrEnum:
        """The member of that value."""
        return self.words(stored)


def choice(words: type[StrEnum]) -> Choice:
    """One of these words, which are its metavar, too."""
    return Choice("|".join(words), words)


@dataclass(frozen=True, slots=True)
class File(Text):
    """A path."""

    metavar: str = "FILE"
    is_path: ClassVar[bool] = True

    def parse(self, given: str) -> Path | str:
        """The path."""
        return Path(given)


@dataclass(frozen=True, slots=True)
class Place(File):
    """Where a crawl is stored: a path, or the URL of a PostgreSQL database."""

    metavar: str = "PATH|URL"

    def parse(self, given: str) -> Any:
        """The path, or the URL without its password in sight. Raises `UsageError`."""
        return location(given)


@dataclass(frozen=True, slots=True)
class ImportName(Text):
    """'module:name' of the user's own code; or an empty text: what an earlier run used is not wanted any more."""

    without: ClassVar[Any] = ""

    def check(self, value: str) -> None:
        """Whether there is such a thing is seen when it is imported."""
        module, colon, name = value.partition(":")
        if value and not (colon and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))):
            raise unreadable("MODULE:NAME, such as myhooks:MyHooks", value)


@dataclass(frozen=True, slots=True)
class Readers(Text):
    """'type=module:function' texts as a mapping; 'none': what an earlier run used is not wanted any more."""

    metavar: str = "TYPE=MODULE:FUNCTION"
    repeatable: ClassVar[bool] = True

    def parse(self, given: Sequence[str]) -> dict[str, str]:
        """Import names by media type."""
        pairs = [text.partition("=") for text in given if text != _NO_WORD]
        for media_type, _equals, name in pairs:
            if not _MEDIA_TYPE.fullmatch(media_type) or not name:
                raise unreadable(
                    "TYPE=MODULE:FUNCTION, such as text/csv=myreaders:read_csv", "=".join((media_type, name))
                )
            ImportName().check(name)
        return {media_type.lower(): name for media_type, _equals, name in pairs}

    def show(self, value: Mapping[str, str]) -> str:
        """One after the other."""
        return " ".join(f"{media_type}={name}" for media_type, name in value.items()) or _NO_WORD


@dataclass(frozen=True, slots=True)
class FileOrStream(File):
    """A path, or `-` for standard output."""

    metavar: str = "FILE|-"
    takes_dash: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Folder(File):
    """A path of a folder, which a later run finds from wherever it is started."""

    metavar: str = "DIR"

    def parse(self, given: str) -> Path:
        """The path. Raises `ValueError` for an empty text, which is the working directory to nobody."""
        if not given.strip():
            raise ValueError("must name a folder")
        return Path(given)

    def stored(self, value: Any) -> str | None:
        """The absolute path."""
        return None if value is None else str(Path(value).absolute())

    def restored(self, stored: str | None) -> Path | None:
        """The path."""
        return None if stored is None else Path(stored)


@dataclass(frozen=True, slots=True)
class SecretFile(File):
    """A path to what is secret; or an empty text: what an earlier run used is not wanted any more."""

    is_secret: ClassVar[bool] = True
    without: ClassVar[Any] = ""

    def parse(self, given: str) -> Path | str:
        """The path; the empty text as it is."""
        return Path(given) if given else ""

    def stored(self, value: Any) -> bool:
        """Whether there was one."""
        return bool(value)


@dataclass(frozen=True, slots=True)
class UserAgent(Text):
    """The value of a User-Agent header; `default` is today's."""

    default: str = ""

    def check(self, value: str) -> None:
        """It must be something that can stand in a header."""
        if not value.strip() or not value.isascii() or not value.isprintable():
            raise ValueError("must be printable ASCII and not empty")

    def restored(self, stored: str) -> str:
        """The stored value; if that is the default of an earlier version, which nobody chose, today's default."""
        return self.default if is_default(stored) else stored


@dataclass(frozen=True, slots=True)
class Proxy(Text):
    """The URL of a proxy. What is stored is its name, without credentials."""

    metavar: str = "URL"

    def check(self, value: str) -> None:
        """Raises `UsageError`, not quoting it: there may be a password in it."""
        parse_proxy(value)

    def stored(self, value: str | None) -> str | None:
        """The proxy's name."""
        return None if value is None else parse_proxy(value).name


@dataclass(frozen=True, slots=True)
class Headers(Text):
    """'Name: value' texts as a mapping; an empty value: what an earlier run sent is not wanted any more."""

    metavar: str = "'NAME: VALUE'"
    repeatable: ClassVar[bool] = True
    is_secret: ClassVar[bool] = True

    def parse(self, given: Sequence[str]) -> dict[str, str]:
        """Values by names. The message never shows a value: it may be a secret."""
        pairs = [text.partition(":") for text in given]
        if not all(colon and name.strip() for name, colon, _value in pairs):
            raise ValueError("takes 'Name: value'")
        return {name.strip(): value.strip() for name, _colon, value in pairs}

    def stored(self, value: Mapping[str, str]) -> list[str]:
        """The names of what is sent."""
        return sorted(name.lower() for name, text in value.items() if text)


@dataclass(frozen=True, slots=True)
class Several(Text):
    """Any number of texts, as a tuple."""

    repeatable: ClassVar[bool] = True

    def parse(self, given: Sequence[str]) -> tuple[str, ...]:
        """The texts in their order."""
        return tuple(given)

    def show(self, value: tuple[str, ...]) -> str:
        """One after the other."""
        return " ".join(value) or "none"

    def stored(self, value: tuple[str, ...]) -> list[str]:
        """JSON has no tuples."""
        return list(value)

    def restored(self, stored: Sequence[str]) -> tuple[str, ...]:
        """As a tuple again."""
        return tuple(stored)


@dataclass(frozen=True, slots=True)
class Choices(Several):
    """Any number of an enumeration's words, each once; or 'none'."""

    words: type[StrEnum] = StrEnum

    @property
    def completions(self) -> Sequence[str]:
        """All of them."""
        return (*self.words, _NO_WORD)

    def parse(self, given: Sequence[str]) -> tuple[StrEnum, ...]:
        """The members of these values, in the order of the enumeration."""
        for text in given:
            if text not in list(self.words) and text != _NO_WORD:
                *others, last = self.completions
                raise unreadable(f"{', '.join(others)} or {last}", text)
        if _NO_WORD in given and len(set(given)) > 1:
            raise ValueError(f"takes {_NO_WORD} alone")
        return tuple(word for word in self.words if word in given)

    def restored(self, stored: Sequence[str]) -> tuple[StrEnum, ...]:
        """The members of these values."""
        return tuple(self.words(text) for text in stored)


def choices(words: type[StrEnum]) -> Choices:
    """Any number of these words, which are its metavar, too."""
    return Choices("|".join(words), words)


@dataclass(frozen=True, slots=True)
class Regexes(Several):
    """Regular expressions, in Python's syntax."""

    metavar: str = "REGEX"

    def check(self, value: tuple[str, ...]) -> None:
        """Each must compile."""
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


@dataclass(frozen=True, slots=True)
class Networks(Several):
    """Ranges of IP addresses."""

    metavar: str = "CIDR"

    def check(self, value: tuple[str, ...]) -> None:
        """Each must be one, or an address; bits of a host in it do not matter."""
        for text in value:
            try:
                ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"{text!r} is not a network; write it like 127.0.0.0/8 or fd00::/8") from None


@dataclass(frozen=True, slots=True)
class Fields(Several):
    """Fields of the extraction rule that is for all pages."""

    metavar: str = "NAME=CSS"

    def check(self, value: tuple[str, ...]) -> None:
        """Together they must make a rule."""
        if value:
            from crawler.rule_tables import rule_of_fields  # few commands have any

            rule_of_fields(value)

    def parse(self, given: Sequence[str]) -> tuple[str, ...]:
        """The texts in their order; `none` is none of them."""
        return () if list(given) == [_NO_WORD] else tuple(given)


def unreadable(takes: str, given: str) -> ValueError:
    """What an option takes, and what it was given instead."""
    return ValueError(f"takes {takes}, not {given[:_QUOTED]!r}")
