"""What the readers are told once, for all documents: it reaches a parser process as its one argument.

Invariant: what is read from an argument equals what it was made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from crawler.statically_frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """`product_token` is the name that robots directives may speak to."""

    product_token: str

    def as_argument(self) -> str:
        """As JSON."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_argument(cls, argument: str) -> ReaderSettings:
        """The settings that this was made of."""
        return cls(**orjson.loads(argument))
