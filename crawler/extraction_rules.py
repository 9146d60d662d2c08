"""Extraction rules: which pages they are for, what is wanted of those, and where it stands in them.

`rule_tables` reads them. Invariant: a rule can be applied: its patterns and selectors are valid, and its names are
those of a view and its columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from crawler.statically_frozen import dataclass

VIEW_PREFIX = "extract_"
OWN_COLUMNS = ("url", "seen_at", "n", "page_id")  # of each view
CURRENCY_SUFFIX = "_currency"  # of the second column of a price


class ValueType(StrEnum):
    """What a field's values are made into."""

    TEXT = "text"
    NUMBER = "number"
    PRICE = "price"  # {"amount": 19.9, "currency": "EUR"}
    DATE = "date"  # ISO 8601
    URL = "url"  # absolute and normalized
    JSON = "json"  # as it stands in the data


class SourceKind(StrEnum):
    """Where a value stands. The words are the prefixes by which sources are written, but for the first three."""

    CSS = "css"
    DATA = "data"  # a path within the data that the rule's or the field's `each` has found
    MARKUP = "markup"  # the whole document, in which `re` finds it
    JSON_LD = "json-ld"
    MICRODATA = "microdata"
    META = "meta"  # also Open Graph's
    PAGE = "page"


PAGE_SOURCES = (
    "url",
    "title",
    "description",
    "language",
    "canonical_url",
    "author",
    "published_at",
    "modified_at",
    "text",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a value stands. `path` is a CSS selector (empty: the element itself), a name, or keys with dots between.

    `part` is what is taken of an element: text, html, or attr (then `attribute`); empty: what the type of the field is
    best read from.
    """

    kind: SourceKind
    path: str = ""
    part: str = ""
    attribute: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a path into data; the first names a type, but for `SourceKind.DATA`."""
        return tuple(self.path.split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What is wanted of a page, or of an element of it. With `fields`, objects: one for each that `source` finds."""

    name: str
    source: Source
    type: ValueType = ValueType.TEXT
    is_list: bool = False
    required: bool = False
    default: Any = None
    pattern: re.Pattern[str] | None = None
    formats: tuple[str, ...] = ()
    decimal: str | None = None
    currency: str | None = None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is wanted of the pages whose URL matches: a row, or one for `each` of these.

    `data` is what it was read from.
    """

    name: str
    match: tuple[UrlPattern, ...]
    each: Source | None
    fields: tuple[Field, ...]
    data: Mapping[str, Any]

    def is_for(self, url: str) -> bool:
        """Whether the rule is for this page (its URL is normalized)."""
        return any(pattern.matches(url) for pattern in self.match)

    @property
    def view(self) -> str:
        """The name of its view."""
        return VIEW_PREFIX + self.name


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """A path, or a whole URL where it begins with a scheme, in which `*` stands for any characters, `/` included.

    The query counts where the pattern has a `?`. Nothing but `*` is special.
    """

    text: str

    def matches(self, url: str) -> bool:
        """Whether it matches the whole of a normalized URL, or of its path."""
        compared = url if "?" in self.text else url.partition("?")[0]
        if "://" not in self.text:
            compared = compared[compared.find("/", compared.find("://") + 3) :]
        return _glob_matches(self.text, compared)


def _glob_matches(pattern: str, text: str) -> bool:
    """In linear time: each part is looked for behind the one before it, which is right where only `*` is special."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first):
        return False
    place = len(first)
    for part in middle:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return len(text) - place >= len(last) and text.endswith(last)


def columns_of_field(field: Field) -> tuple[str, ...]:
    """The names of its columns in the rule's view."""
    is_price = field.type is ValueType.PRICE and not field.is_list
    return (field.name, field.name + CURRENCY_SUFFIX) if is_price else (field.name,)
