"""How a store writes the place in an index at which it reads on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson

from crawler.storage.interface import Cursor
from crawler.storage.values import as_json

_T = TypeVar("_T")


def place(cursor: Cursor | None, first: tuple[Any, ...]) -> tuple[Any, ...]:
    """After which row of an index to read on; `first` comes before all of them."""
    return first if cursor is None else tuple(orjson.loads(cursor))


def next_cursor(rows: Sequence[_T], limit: int, place_of: Callable[[_T], Sequence[Any]]) -> Cursor | None:
    """The cursor after the last row; None if there are fewer rows than were asked for, so that this is the end."""
    return Cursor(as_json(place_of(rows[-1]))) if len(rows) == limit else None
