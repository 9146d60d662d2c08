"""`dataclass` for records that are made many times a page: frozen for the type checker, not at run time.

A frozen dataclass sets each field by a call, so that one of 16 fields takes 5 times as long to make; a page needs a
dozen. That nothing assigns to a record is mypy's to see: it is shown the standard library's decorator (records.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def dataclass(*, frozen: bool, eq: bool = True, **options: Any) -> Callable[[type[_T]], type[_T]]:
    """`dataclasses.dataclass`, hashable where a frozen one would be."""
    return dataclasses.dataclass(eq=eq, unsafe_hash=frozen and eq, **options)
