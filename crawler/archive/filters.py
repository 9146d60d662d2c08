"""Which URLs or pages a question is about: of a host, of a run, of a language ... As conditions for a query's WHERE.

Invariant: what the user wrote is always a parameter, never part of the SQL; but for a condition that is SQL itself,
which `foreign_sql.check_condition` has to have passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import NamedTuple

from crawler.archive.dialect import Dialect, Glob, Sql
from crawler.errors import UsageError
from crawler.records import UrlStatus
from crawler.statically_frozen import dataclass

_LOOKED_UP = "EXISTS (SELECT 1 FROM urls AS u JOIN hosts AS h ON h.id = u.host_id WHERE u.url = {url} AND {name})"
# PostgreSQL has no index of URLs' texts; but each has its host in it, as `urls.host_of` finds it.
_HOST_IN_TEXT = r"regexp_replace(split_part({url}, '/', 3), '^.*@|[.]*:[0-9]+$|[.]$', '', 'g')"
_MATCHES = Sql("{column} GLOB ?", "{column} ~ ?")


class Condition(NamedTuple):
    """SQL with `?`, and what stands for them, in their order."""

    sql: str
    parameters: tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlFilter:
    """`host` is a name in lower case and ASCII, `glob` for whole URLs; in both, `*` and `?` stand for any characters.

    None: any.
    """

    host: str | None = None
    glob: str | None = None

    def conditions(self, url: str, host: str | None = None, dialect: Dialect = Dialect.SQLITE) -> list[Condition]:
        """For columns, with the names of their tables, of a URL and its host. Without the second, that is looked up."""
        found = []
        if self.host is not None and host is not None:
            found.append(_like_name(host, self.host, dialect))
        elif self.host is not None and dialect is Dialect.POSTGRES:
            found.append(_like_name(_HOST_IN_TEXT.format(url=url), self.host, dialect))
        elif self.host is not None:
            name = _like_name("h.name", self.host, dialect)
            found.append(Condition(_LOOKED_UP.format(url=url, name=name.sql), name.parameters))
        if self.glob is not None:
            found.append(_matches(url, self.glob, dialect))
        return found


CURRENT = (UrlStatus.FETCHED, UrlStatus.FAILED, UrlStatus.PENDING)  # an outage removes no page


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFilter:
    """Which versions of pages are meant. None and empty: any, but for `statuses`: current pages, with `run` all.

    `run`: the last version of each page that this run stored, and not the newest one; `changed_since`: versions that
    were first seen since (Unix seconds); `statuses`: words of `UrlStatus`, and HTTP status codes; `language`: a tag as
    `search.checked_language` gives it, which finds its regions, too; `where`: SQL about the columns of `stored_pages`;
    `part`: a partition, in PostgreSQL.
    """

    urls: UrlFilter = field(default_factory=UrlFilter)
    run: int | None = None
    changed_since: float | None = None
    statuses: Sequence[UrlStatus | int] = ()
    language: str | None = None
    where: str | None = None
    part: int | None = None

    def conditions(self, view: str, dialect: Dialect = Dialect.SQLITE) -> list[Condition]:
        """For that name of `stored_pages`, or of what has its columns.

        The `+` keep SQLite from going by an index of URLs or hosts: it would have to sort all that it finds, texts and
        all, to give it in the order of URLs.
        """
        plain = f"+{view}" if dialect is Dialect.SQLITE else view
        found = self.urls.conditions(f"{plain}.url", f"{plain}.host", dialect)
        if self.part is not None:
            found.append(Condition(f"{view}.part = ?", (self.part,)))
        if self.run is not None:
            found.append(Condition(f"{view}.run_id = ?", (self.run,)))
        if self.changed_since is not None:
            found.append(Condition(f"{view}.seen_at >= ?", (self.changed_since,)))
        if (statuses := self._of_status(view)) is not None:
            found.append(statuses)
        if self.language is not None:
            tag = language_of(view)
            regions = _matches(tag, f"{self.language}-*", dialect)
            found.append(Condition(f"({tag} = ? OR {regions.sql})", (self.language, *regions.parameters)))
        if self.where is not None:
            own = self.where if dialect is Dialect.SQLITE else self.where.replace("?", "??")
            found.append(Condition(f"(({own}\n))", ()))
        return found

    def _of_status(self, view: str) -> Condition | None:
        words = [one for one in self.statuses if isinstance(one, str)]
        codes = [one for one in self.statuses if not isinstance(one, str)]
        if not self.statuses:
            if self.run is not None:
                return None
            words = list(CURRENT)
        either = (_among(f"{view}.status", words), _among(f"{view}.status_code", codes))
        sql = " OR ".join(one.sql for one in either if one.parameters)
        return Condition(f"({sql})", either[0].parameters + either[1].parameters)


def language_of(view: str) -> str:
    """SQL for the language of a row as `search.checked_language` has it: de_AT is de-at."""
    return f"replace(lower(trim({view}.language)), '_', '-')"


def parse_statuses(given: str) -> tuple[UrlStatus | int, ...]:
    """'fetched,gone' or '200,404'. Raises `UsageError` for what is neither a status nor a code."""
    found: list[UrlStatus | int] = []
    for word in filter(None, (one.strip().lower() for one in given.split(","))):
        if word in list(UrlStatus):
            found.append(UrlStatus(word))
        elif len(word) == 3 and word.isascii() and word.isdecimal():
            found.append(int(word))
        else:
            raise UsageError(f"--status takes {', '.join(UrlStatus)} or a code such as 200, not {word!r}")
    if not found:
        raise UsageError("--status is empty; give a status such as fetched, or a code such as 200")
    return tuple(dict.fromkeys(found))


def _among(column: str, values: Sequence[str | int]) -> Condition:
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def where(conditions: list[Condition]) -> Condition:
    """All of them, as a WHERE clause with a space before it; empty if there are none."""
    if not conditions:
        return Condition("", ())
    sql = " AND ".join(one.sql for one in conditions)
    return Condition(f" WHERE {sql}", tuple(value for one in conditions for value in one.parameters))


def _like_name(column: str, pattern: str, dialect: Dialect) -> Condition:
    """GLOB would take the brackets of an IPv6 address for a set of characters."""
    if "*" in pattern or "?" in pattern:
        return _matches(column, pattern.replace("[", "[[]"), dialect)
    return Condition(f"{column} = ?", (pattern,))


def _matches(column: str, pattern: str, dialect: Dialect) -> Condition:
    return Condition(_MATCHES.of(dialect).format(column=column), (Glob(pattern),))
