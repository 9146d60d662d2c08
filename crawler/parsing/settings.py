"""What the readers are told once, for all documents: it reaches a parser process as its one argument.

Invariant: what is read from an argument equals what it was made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from dataclasses import dataclass

    from crawler.extraction_rules import Rule
else:
    from crawler.statically_frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """`product_token` is the name that robots directives may speak to, `rules` say what else pages are read for."""

    product_token: str
    rules: tuple[Rule, ...] = ()

    def as_argument(self) -> str:
        """As JSON."""
        rules = [rule.data for rule in self.rules]
        return orjson.dumps({"product_token": self.product_token, "rules": rules}).decode()

    @classmethod
    def from_argument(cls, argument: str) -> ReaderSettings:
        """The settings that this was made of."""
        given = orjson.loads(argument)
        rules: tuple[Rule, ...] = ()
        if given["rules"]:
            from crawler.extraction_rules import read_rules  # a process starts in 65 ms, and few need this

            rules = read_rules(given["rules"])
        return cls(product_token=given["product_token"], rules=rules)
