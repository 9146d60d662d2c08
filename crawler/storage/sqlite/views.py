"""The views of a crawl database, as views.sql declares them, with their documentation.

Invariant: what a database has under their names is what that file says, once a program has opened it to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from crawler.statically_frozen import dataclass

STORED_VIEWS = "SELECT name, sql FROM sqlite_schema WHERE type = 'view'"

_STATEMENT = re.compile(r"^(CREATE VIEW (\w+) AS\n((?:--[^\n]*\n)*.*?));$", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"--   (\S+) {2,}(.+)")
_CONTINUED = re.compile(r"-- {10,}(.+)")
_ALL_OF = re.compile(r"those of (\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view: what it answers, and what its columns mean, in their order. `sql` is the whole statement."""

    name: str
    description: str
    columns: Mapping[str, str]
    sql: str


@cache
def views() -> Mapping[str, View]:
    """All views by name, in an order in which each uses only those before it."""
    return declared(files(__package__).joinpath("views.sql").read_text(encoding="utf-8"))


def declared(text: str) -> Mapping[str, View]:
    """The views that a text declares as views.sql does."""
    found: dict[str, View] = {}
    for sql, name, rest in _STATEMENT.findall(text):
        found[name] = _read(name, sql, rest, found)
    return found


def are_outdated(stored: Iterable[Any]) -> bool:
    """Whether a database with these (rows of `STORED_VIEWS`) lacks a view of ours, or has it otherwise."""
    statements = dict(stored)
    return any(statements.get(view.name) != view.sql for view in views().values())


def drop_views() -> str:
    """A script that removes the views that a database has of ours: a migration may change what they are made of."""
    return "".join(f"DROP VIEW IF EXISTS {name};\n" for name in views())


def renew_views() -> str:
    """A script that makes all views anew, in one transaction."""
    made = "".join(f"{view.sql};\n" for view in views().values())
    return f"BEGIN IMMEDIATE;\n{drop_views()}{made}COMMIT;"


def temporary_views() -> str:
    """A script that makes all views anew for one connection, before which those in the database are hidden."""
    return "".join(map(temporary, views().values()))


def temporary(view: View) -> str:
    """A statement that makes the view for one connection."""
    return f"{view.sql.replace('CREATE VIEW', 'CREATE TEMP VIEW', 1)};\n"


def _read(name: str, sql: str, rest: str, known: Mapping[str, View]) -> View:
    """The comment at the head: sentences, then the columns."""
    sentences: list[str] = []
    columns: dict[str, str] = {}
    for line in rest.splitlines():
        if column := _COLUMN.fullmatch(line):
            columns[column[1]] = column[2]
        elif more := _CONTINUED.fullmatch(line):
            last = next(reversed(columns))
            columns[last] += f" {more[1]}"
        elif line.startswith("-- "):
            sentences.append(line.removeprefix("-- "))
        else:
            break
    if same := _ALL_OF.fullmatch(columns.get("*", "")):
        columns = dict(known[same[1]].columns)
    return View(name=name, description=" ".join(sentences), columns=columns, sql=sql)
