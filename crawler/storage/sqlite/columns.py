"""Statements over rows of named values, and what SQLite alone says like this."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from crawler.storage.columns import host_columns
from crawler.storage.values import as_json

Execute = Callable[..., Awaitable[list[Any]]]  # a statement with its parameters, in the transaction

_NAME = re.compile(r"\{(\w+)\}")


class JsonStatement:
    """A statement over `json_each(?1) AS v`, so that a batch of rows is one statement: `{name}` in it is that value of
    each row.

    The rows travel as JSON arrays, half as long as objects, and are found in them by their place. `names`: the places,
    for those who make rows as tuples; else the order in which the text names them.
    """

    def __init__(self, text: str, *names: str) -> None:
        self.names = names or tuple(dict.fromkeys(_NAME.findall(text)))
        self._in_order = itemgetter(*self.names)
        self.sql = _NAME.sub(lambda name: f"json_extract(v.value, '$[{self.names.index(name[1])}]')", text)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> str:
        """The parameter, from rows of values by name."""
        return as_json(list(map(self._in_order, rows)))


# Of no origin that is named there: a list that is mostly empty (see `prefixes`).
IS_OF_OTHERS = """(
    {0} = '[]' OR NOT EXISTS (SELECT 1 FROM json_each({0}) AS w WHERE substr(url, 1, length(w.value)) = w.value)
)"""


def prefixes(origins: Iterable[str]) -> str:
    """By which the URLs of these origins are known."""
    return as_json([f"{origin}/" for origin in origins])


HOST_COLUMNS = host_columns("run_id IS ?2")
