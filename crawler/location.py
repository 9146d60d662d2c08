"""Where a crawl is stored, as the user names it: the path of a SQLite file, or the URL of a PostgreSQL database.

Invariant: the URL's password is in nothing that is shown, logged or stored: whatever turns the URL into text leaves it
out. Only who opens a connection asks for `DatabaseUrl.with_password`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from crawler.errors import UsageError
from crawler.statically_frozen import dataclass

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")  # in the query
_DATABASE = ("database", "dbname")
_FORM = "postgresql://USER@HOST:PORT/NAME"
_UNREADABLE = (
    f"--db is no URL of a PostgreSQL database; write {_FORM}; its password has %23 for #, %2F for /, %3F for ?"
    " and %40 for @"
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A PostgreSQL database: `postgresql://USER@HOST:PORT/NAME?sslmode=require`, perhaps with more hosts for failover
    (`HOST:PORT,HOST:PORT`). Its text is the URL without its password. Made by `location`.
    """

    shown: str
    with_password: str = field(repr=False)

    def __str__(self) -> str:
        return self.shown


Location = Path | DatabaseUrl


def location(given: Location | str) -> Location:
    """What is meant by `--db`. Raises `UsageError` for a URL that cannot be one of a database, and does not quote it:
    there may be a password in it.
    """
    if isinstance(given, DatabaseUrl):
        return given
    scheme, colon, rest = os.fspath(given).partition(":/")
    if colon and scheme.lower() in _SCHEMES:
        if not isinstance(given, str):
            raise UsageError("the URL of a database is given as text: a Path has lost one of its slashes")
        return _parsed(given)
    if colon and rest.startswith("/") and scheme.isalnum():
        raise UsageError(f"--db takes the path of a file, or {_FORM}; there is no store behind {scheme}://")
    return Path(given)


def file_at(db: Location, what: str) -> Path:
    """The file at this place. Raises `UsageError` if it is a PostgreSQL database, where there is no `what`, such as
    '--check' or '`crawler search`', and says how it can be had.
    """
    if isinstance(db, Path):
        return db
    raise UsageError(
        f"{what} works on a SQLite file only; copy this crawl into one: crawler copy {shlex.quote(str(db))} crawl.db"
    )


def _parsed(text: str) -> DatabaseUrl:
    try:
        url = urlsplit(text)
        query = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
        for host in _hosts(url):
            _check_port(host)
        if url.fragment or "@" in url.path or "://" not in text:
            raise ValueError
    except ValueError:
        raise UsageError(_UNREADABLE) from None
    if "/" in url.path[1:] or not (url.path[1:] or any(value for key, value in query if key in _DATABASE)):
        raise UsageError(f"--db names no database; write {_FORM}")
    return DatabaseUrl(_without_password(url, query), text)


def _hosts(url: SplitResult) -> Iterable[str]:
    return url.netloc.rpartition("@")[2].split(",")


def _check_port(host: str) -> None:
    _name, _colon, port = host.rpartition("]")[2].partition(":")
    if port and not 0 < int(port) < 65536:
        raise ValueError


def _without_password(url: SplitResult, query: Iterable[tuple[str, str]]) -> str:
    user, at, hosts = url.netloc.rpartition("@")
    shown = urlencode([(key, value) for key, value in query if key not in _SECRETS], quote_via=quote, safe="/,:")
    return f"{url.scheme}://{user.partition(':')[0]}{at}{hosts}{url.path}{'?' if shown else ''}{shown}"
