"""Which URLs a question is about: those of a host, those that match a glob. As conditions for a query's WHERE.

Invariant: what the user wrote is always a parameter, never part of the SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_LOOKED_UP = "EXISTS (SELECT 1 FROM urls AS u JOIN hosts AS h ON h.id = u.host_id WHERE u.url = {url} AND {name})"


class Condition(NamedTuple):
    """SQL with `?`, and what stands for them, in their order."""

    sql: str
    parameters: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlFilter:
    """`host` is a name in lower case and ASCII, `glob` for whole URLs; in both, `*` and `?` stand for any characters.

    None: any.
    """

    host: str | None = None
    glob: str | None = None

    def conditions(self, url: str, host: str | None = None) -> list[Condition]:
        """For columns, with the names of their tables, of a URL and its host. Without the second, that is looked up."""
        found = []
        if self.host is not None and host is not None:
            found.append(_like_name(host, self.host))
        elif self.host is not None:
            name = _like_name("h.name", self.host)
            found.append(Condition(_LOOKED_UP.format(url=url, name=name.sql), name.parameters))
        if self.glob is not None:
            found.append(Condition(f"{url} GLOB ?", (self.glob,)))
        return found


def where(conditions: list[Condition]) -> Condition:
    """All of them, as a WHERE clause with a space before it; empty if there are none."""
    if not conditions:
        return Condition("", ())
    sql = " AND ".join(one.sql for one in conditions)
    return Condition(f" WHERE {sql}", tuple(value for one in conditions for value in one.parameters))


def _like_name(column: str, pattern: str) -> Condition:
    """GLOB would take the brackets of an IPv6 address for a set of characters."""
    if "*" in pattern or "?" in pattern:
        return Condition(f"{column} GLOB ?", (pattern.replace("[", "[[]"),))
    return Condition(f"{column} = ?", (pattern,))
