"""The views of a crawl in PostgreSQL, as views.sql declares them; what they mean stands in SQLite's views.sql.

Invariant: who makes or renews them does all of it in one transaction, so nobody sees some of each.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from importlib.resources import files

_VIEW = re.compile(r"^CREATE VIEW (\w+) AS\n(.*?);$", re.MULTILINE | re.DOTALL)
_FUNCTION = re.compile(r"^CREATE FUNCTION (\w+)(\([\w ]*\)).*?\$\$;$", re.MULTILINE | re.DOTALL)
_MARKED = "run_overview"  # the view whose comment tells which version of all of them a database has

STORED_MARK = f"SELECT obj_description(to_regclass('{_MARKED}'), 'pg_class')"


@cache
def views() -> dict[str, str]:
    """The query of each by its name, in an order in which each uses only those before it."""
    return dict(_VIEW.findall(_source()))


@cache
def mark() -> str:
    """What `STORED_MARK` finds in a database that has these views."""
    return f"views {blake2b(_source().encode(), digest_size=8).hexdigest()}"


@cache
def renew_views() -> str:
    """A script that makes all views anew, to be run in one transaction."""
    dropped = [f"DROP VIEW IF EXISTS {name};" for name in reversed(views())]
    dropped += [f"DROP FUNCTION IF EXISTS {found[1]}{found[2]};" for found in _FUNCTION.finditer(_source())]
    return "\n".join([*dropped, _source(), f"COMMENT ON VIEW {_MARKED} IS '{mark()}';"])


@cache
def temporary_views() -> str:
    """A script that makes all views anew for one connection, before which those in the database are hidden."""
    return "\n".join(f"CREATE TEMP VIEW {name} AS\n{query};" for name, query in views().items())


@cache
def _source() -> str:
    return files(__package__).joinpath("views.sql").read_text(encoding="utf-8")
