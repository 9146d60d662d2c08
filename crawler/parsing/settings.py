"""What the readers are told once, for all documents: it reaches a parser process as its one argument.

Invariant: what is read from an argument equals what it was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

import orjson

from crawler.statically_frozen import dataclass

if TYPE_CHECKING:
    from crawler.extraction_rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """`product_token` is the name that robots directives may speak to, `rules` say what else pages are read for.

    `readers` are the user's, by media type, each as 'module:function' of a module that is also looked for in `folders`.
    """

    product_token: str
    rules: tuple[Rule, ...] = ()
    readers: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()

    def as_argument(self) -> str:
        """As JSON."""
        rules = [rule.data for rule in self.rules]
        given: dict[str, Any] = {"product_token": self.product_token, "rules": rules}
        if self.readers:
            given |= {"readers": dict(self.readers), "folders": self.folders}
        return orjson.dumps(given).decode()

    @classmethod
    def from_argument(cls, argument: str) -> ReaderSettings:
        """The settings that this was made of."""
        given = orjson.loads(argument)
        rules: tuple[Rule, ...] = ()
        if given["rules"]:
            from crawler.rule_tables import read_rules  # a process starts in 65 ms, and few need this

            rules = read_rules(given["rules"])
        readers, folders = given.get("readers", {}), tuple(given.get("folders", ()))
        return cls(product_token=given["product_token"], rules=rules, readers=readers, folders=folders)
