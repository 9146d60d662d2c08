"""`dataclass` for the crawler's records: quick to make, and frozen for the type checker, not at run time.

The standard library compiles six functions for each class, which takes a fifth of a start (Python 3.11); here all but
`__init__` are shared. And a frozen dataclass sets each field by a call, so that one of 16 fields takes 5 times as long
to make; a page needs a dozen. That nothing assigns to a record is mypy's to see: it is shown the standard library's
decorator. Who uses the library may have no type checker: what it is given to fill in, and what it is answered, is
frozen in earnest.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool = False, eq: bool = True, **options: Any) -> Callable[[type], type]:
        """Like `dataclasses.dataclass`, but `frozen` only gives the class a hash: it does not stop assignments."""

        def made(cls: type) -> type:
            record = dataclasses.dataclass(eq=False, repr=False, **options)(cls)
            record.__repr__ = _shown
            if eq:
                _compare_fields(record)
                if not frozen:
                    record.__hash__ = None
            return record

        return made


def _compare_fields(record: Any) -> None:
    """Compare and hash the records of this class by their fields."""
    values = attrgetter(*(one.name for one in dataclasses.fields(record) if one.compare))

    def equal(self: object, other: object) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    record.__eq__ = equal
    record.__hash__ = lambda self: hash(values(self))


@recursive_repr()
def _shown(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"
