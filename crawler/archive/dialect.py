"""The two dialects of SQL in which questions are asked: of a SQLite file, and of a PostgreSQL database.

Where a question is the same in both, it is a plain text. Where it is not, both texts stand side by side in one `Sql`,
with the same parameters in the same order. In either, `?` stands for the next parameter, or `?1` for the first; a
question mark that is none is written twice for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TypeAlias

from crawler.statically_frozen import dataclass


class Dialect(Enum):
    """Of the database that is asked."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class Sql:
    """One question, in both dialects. Texts are joined by `+`, or put into its {names} by `format`."""

    sqlite: str
    postgres: str

    @classmethod
    def same(cls, text: str) -> Sql:
        """What begins alike in both."""
        return cls(text, text)

    def of(self, dialect: Dialect) -> str:
        """The text that is meant for it."""
        return self.sqlite if dialect is Dialect.SQLITE else self.postgres

    def format(self, **parts: Text) -> Sql:
        """With these in the place of its {names}."""
        sqlite, postgres = (
            self.of(dialect).format(**{name: text_of(part, dialect) for name, part in parts.items()})
            for dialect in (Dialect.SQLITE, Dialect.POSTGRES)
        )
        return Sql(sqlite, postgres)

    def __add__(self, other: Text) -> Sql:
        return Sql(
            self.sqlite + text_of(other, Dialect.SQLITE),
            self.postgres + text_of(other, Dialect.POSTGRES),
        )


Text: TypeAlias = str | Sql


def text_of(sql: Text, dialect: Dialect) -> str:
    """The text of a question in a dialect."""
    return sql if isinstance(sql, str) else sql.of(dialect)


def joined(parts: Sequence[Text]) -> Sql:
    """A list, with commas between."""
    sqlite, postgres = (
        ", ".join(text_of(part, dialect) for part in parts) for dialect in (Dialect.SQLITE, Dialect.POSTGRES)
    )
    return Sql(sqlite, postgres)


class Glob(str):
    """A parameter: a pattern for SQLite's GLOB, with *, ? and sets in brackets, which for PostgreSQL is a regular
    expression that says the same.
    """

    __slots__ = ()

    def as_regex(self) -> str:
        """For PostgreSQL's `~`."""
        found, rest = "", str(self)
        while rest:
            end = rest.find("]", 3 if rest.startswith("[^") else 2) if rest[0] == "[" else -1  # it may begin with ]
            one = _WILD.get(rest[0], _escaped(rest[0])) if rest[0] != "[" else _set(rest[1:end]) if end > 0 else None
            if one is None:
                return "$."  # a set without an end, or with nothing in it: nothing matches
            found += one
            rest = rest[max(end, 0) + 1 :]
        return f"^(?:{found})$"


_WILD = {"*": ".*", "?": "."}
_SPECIAL = frozenset(r"\.*+?|()[]{}^$-")


def _escaped(character: str) -> str:
    return f"\\{character}" if character in _SPECIAL else character


def _set(inside: str) -> str | None:
    """What stands in brackets: `^` at its beginning says that none of these is meant, `-` between two all from one to
    the other. None: nothing is meant.
    """
    sign = "^" if inside.startswith("^") else ""
    rest, members, before = inside[len(sign) :], "", ""
    if rest.startswith("]"):
        rest, members = rest[1:], "\\]"
    while rest:
        if rest[0] == "-" and before and len(rest) > 1:
            members += f"-{_escaped(rest[1])}" if before <= rest[1] else ""
            rest, before = rest[2:], ""
        else:
            members, before, rest = members + _escaped(rest[0]), rest[0], rest[1:]
    if not members:
        return "." if sign else None
    return f"[{sign}{members}]"
