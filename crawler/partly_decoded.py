"""Records some of whose fields are decoded when somebody looks at them.

Of most pages nobody ever does, between the process that reads them and the database, where these fields stand encoded
again. Invariant: whoever looks at a field finds what was encoded; whoever copies the record, too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol


class Encoded(Protocol):
    """Fields of a record that were encoded."""

    @property
    def names(self) -> Collection[str]:
        """The names of these fields."""

    def decode(self, name: str) -> Any:
        """The value of the field. Raises `ValueError`, `TypeError` or `LookupError` for nonsense."""


class EncodedText:
    """The `text` of a record in UTF-8."""

    __slots__ = ("utf8",)
    names = ("text",)

    def __init__(self, utf8: bytes) -> None:
        self.utf8 = utf8

    def decode(self, _name: str) -> str:
        """See `Encoded`."""
        return self.utf8.decode()


class PartlyDecoded:
    """The base of such records. `encoded` None: this one was made whole."""

    __slots__ = ("encoded",)

    encoded: Encoded | None

    def leave_encoded(self, encoded: Encoded) -> None:
        """Have these fields decoded later, whatever they are now."""
        self.encoded = encoded
        for name in encoded.names:
            delattr(self, name)

    if not TYPE_CHECKING:  # a checker would take any name for a field

        def __getattr__(self, name: str) -> Any:
            """Decode the field: Python calls this where a slot is empty."""
            if name == "encoded":
                return None
            if self.encoded is None or name not in self.encoded.names:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            value = self.encoded.decode(name)
            setattr(self, name, value)
            return value
