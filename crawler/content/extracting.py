"""Applies extraction rules to a document: which rows each of them gives.

Whatever a document holds, what is taken from it is bounded: `MAX_ROWS` of a rule, `MAX_VALUES` of a list, `MAX_CHARS`
of a text, `MAX_BYTES` of a page. Invariant: equal for equal input, and never an exception: a value that is not what its
field asks for is none.

The document is parsed anew, and only where a rule that is for it looks at its elements: the reader's walk cuts the
tree, and pages without rules pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias

import orjson
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.content.element_text import element_text
from crawler.content.encoding import decode
from crawler.content.html import base_url, parsed
from crawler.content.media_type import HTML, XML_TYPES
from crawler.content.metadata import parsed_json_ld
from crawler.content.structured_data import microdata, objects_of_type, values_at
from crawler.content.visible_text import collapse
from crawler.content.written_values import date_of, number_of, price_of
from crawler.extraction_rules import Field, Rule, Source, SourceKind, ValueType
from crawler.records import Extract, Page
from crawler.statically_frozen import dataclass
from crawler.urls import normalize

MAX_ROWS = 1_000  # of a rule, of a page
MAX_VALUES = 1_000  # of a list
MAX_CHARS = 100_000  # of a text
MAX_BYTES = 1 << 20  # of all rows of a page, as JSON
_MAX_LOOKED = 10_000  # values and elements, until one is found that can be used

Scope: TypeAlias = LexborNode | Mapping[str, Any] | None  # an element, an object, or the whole page


def extracts(rules: Iterable[Rule], page: Page, body: bytes) -> tuple[Extract, ...]:
    """What the rules give that are for this page, whose body that is; one for each rule, by name."""
    wanted = [rule for rule in rules if rule.is_for(page.url)]
    if not wanted:
        return ()
    document = _Document(page, body)
    room = _Room()
    return tuple(_extract(rule, document, room) for rule in sorted(wanted, key=lambda rule: rule.name))


@dataclass(slots=True)
class _Room:
    """How many bytes of rows the page may still have."""

    left: int = MAX_BYTES

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether there was room for it, which it has now."""
        try:
            size = len(orjson.dumps(row))
        except orjson.JSONEncodeError:  # nested too deeply
            return False
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


@dataclass(slots=True)
class _Row:
    """Of one element: its values, the required ones that are missing, and whether any was found at all."""

    values: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)  # of objects within it, which are left out
    found: bool = False


def _extract(rule: Rule, document: _Document, room: _Room) -> Extract:
    rows: list[dict[str, Any]] = []
    lacking: dict[str, None] = {}
    scopes: Iterable[Scope] = [None] if rule.each is None else _scopes(rule.each, None, document)
    for scope in islice(scopes, _MAX_LOOKED):
        row = _row(rule.fields, scope, document)
        lacking |= dict.fromkeys(row.missing + row.lacking)
        if row.missing or not row.found:
            continue
        if len(rows) == MAX_ROWS or not room.takes(row.values):
            return Extract(rule.name, tuple(rows), tuple(lacking), cut=True)
        rows.append(row.values)
    return Extract(rule.name, tuple(rows), tuple(lacking))


def _row(fields: Sequence[Field], scope: Scope, document: _Document) -> _Row:
    row = _Row()
    for one in fields:
        found = _objects(one, scope, document, row) if one.fields else list(_values(one, scope, document))
        row.found = row.found or bool(found)
        if not found and one.required:
            row.missing.append(one.name)
        if found:
            row.values[one.name] = found if one.is_list else found[0]
        else:
            row.values[one.name] = one.default if one.default is not None else [] if one.is_list else None
    return row


def _objects(one: Field, scope: Scope, document: _Document, row: _Row) -> list[Any]:
    """Those of a field with fields of its own. One that lacks what is required is left out, and said."""
    found: list[Any] = []
    for inner_scope in islice(_scopes(one.source, scope, document), _MAX_LOOKED):
        inner = _row(one.fields, inner_scope, document)
        row.lacking += [f"{one.name}.{name}" for name in inner.missing + inner.lacking]
        if inner.found and not inner.missing:
            found.append(inner.values)
        if len(found) == (MAX_VALUES if one.is_list else 1):
            break
    return found


def _scopes(source: Source, scope: Scope, document: _Document) -> Iterator[Scope]:
    """The elements or objects that `each` finds."""
    if source.kind is SourceKind.CSS:
        yield from document.elements(source.path, scope)
    else:
        yield from (value for value in _data_at(source, source.keys, scope, document) if isinstance(value, Mapping))


def _values(one: Field, scope: Scope, document: _Document) -> Iterator[Any]:
    """The first value of a field, or all for a list: those that can be made into what it asks for."""
    made = (
        value
        for raw in islice(_written(one, scope, document), _MAX_LOOKED)
        if (value := _made(one, raw, document)) is not None
    )
    yield from islice(made, MAX_VALUES if one.is_list else 1)


# --- what is written --------------------------------------------------------------------------------------------------


def _written(one: Field, scope: Scope, document: _Document) -> Iterator[Any]:
    """What stands at the source of a field, before it is made into anything."""
    found = _at_source(one, scope, document)
    if one.pattern is None:
        yield from found
        return
    for raw in found:
        if isinstance(raw, str):
            for match in one.pattern.finditer(raw):
                text = match[1] if one.pattern.groups else match[0]
                yield collapse(text, MAX_CHARS)


def _at_source(one: Field, scope: Scope, document: _Document) -> Iterator[Any]:
    source = one.source
    match source.kind:
        case SourceKind.CSS:
            yield from (_of_element(node, one) for node in document.elements(source.path, scope))
        case SourceKind.MARKUP:
            yield scope.html if isinstance(scope, LexborNode) else document.markup
        case SourceKind.META:
            values = document.page.open_graph.get(source.path) or document.page.metas.get(source.path)
            yield from values if isinstance(values, list) else [values]
        case SourceKind.PAGE:
            yield _of_page(document.page, source.path)
        case _:
            yield from _data_values(one, scope, document)


def _of_element(node: LexborNode, one: Field) -> str | None:
    """Its attribute, its markup or its text; if the field does not say which, what its type is best read from."""
    part, attributes = one.source.part, node.attributes
    if part == "attr":
        return (attributes.get(one.source.attribute) or "").strip()[:MAX_CHARS]
    if part == "html":
        return (node.html or "")[:MAX_CHARS]
    if not part and one.type is ValueType.URL:
        return next(filter(None, map(attributes.get, ("href", "src", "content"))), None)
    if not part and one.type is ValueType.DATE and attributes.get("datetime"):
        return attributes["datetime"]
    return element_text(node, MAX_CHARS)


def _of_page(page: Page, name: str) -> str | None:
    value: str | float | None = getattr(page, name)
    if not isinstance(value, float):
        return value
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _data_values(one: Field, scope: Scope, document: _Document) -> Iterator[Any]:
    """Of a price, the currency stands beside the amount: both are taken."""
    keys = one.source.keys
    if one.type is ValueType.PRICE and keys[-1] in _AMOUNTS:
        for offer in _data_at(one.source, keys[:-1], scope, document):
            if isinstance(offer, Mapping) and keys[-1] in offer:
                yield {"price": offer[keys[-1]], "priceCurrency": offer.get("priceCurrency")}
    else:
        yield from _data_at(one.source, keys, scope, document)


_AMOUNTS = ("price", "lowPrice", "highPrice", "minPrice", "maxPrice")


def _data_at(source: Source, keys: Sequence[str], scope: Scope, document: _Document) -> Iterator[Any]:
    if source.kind is SourceKind.DATA:
        yield from values_at(scope, keys)
        return
    wanted, *rest = keys or ("*",)
    roots = document.json_ld if source.kind is SourceKind.JSON_LD else document.microdata
    for one in objects_of_type(roots, wanted):
        yield from values_at(one, rest)


# --- what it is made into ---------------------------------------------------------------------------------------------


def _made(one: Field, raw: Any, document: _Document) -> Any:
    """The value, or None where there is none of that type."""
    if raw is None or raw == "":
        return None
    match one.type:
        case ValueType.JSON:
            return _as_json(raw)
        case ValueType.PRICE:
            return _price(one, raw)
        case ValueType.NUMBER:
            return _number(raw, _decimal(one, raw))
        case ValueType.DATE:
            return date_of(raw, one.formats) if isinstance(raw, str) else None
        case ValueType.URL:
            raw = _named(raw, ("url", "@id", "contentUrl"))
            return normalize(raw, document.base) if isinstance(raw, str) else None
    raw = _named(raw, ("name", "@value", "@id"))
    if isinstance(raw, bool | int | float):
        return orjson.dumps(raw).decode()
    return (collapse(raw, MAX_CHARS) if one.source.part != "html" else raw) or None if isinstance(raw, str) else None


def _as_json(raw: Any) -> Any:
    """As it stands; a text that is JSON, such as that of a script, is what it says."""
    if not isinstance(raw, str):
        return raw
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw


def _number(raw: Any, decimal: str | None) -> int | float | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return raw
    return number_of(raw, decimal) if isinstance(raw, str) else None


def _price(one: Field, raw: Any) -> dict[str, Any] | None:
    if not isinstance(raw, Mapping):
        if isinstance(raw, str):
            return price_of(raw, _decimal(one, raw), one.currency)
        amount = _number(raw, one.decimal)
        return None if amount is None else {"amount": amount, "currency": one.currency}
    written = next((value for key in _AMOUNTS for value in values_at(raw.get(key), ())), None)
    amount = _number(written, _decimal(one, written))
    code = next((value for value in values_at(raw.get("priceCurrency"), ()) if isinstance(value, str)), None)
    return None if amount is None else {"amount": amount, "currency": code or one.currency}


def _decimal(one: Field, raw: Any) -> str | None:
    """Data for programs have a point before the decimals, and nothing between the thousands, unless they show it."""
    is_plain = one.source.kind in _FOR_PROGRAMS and isinstance(raw, str) and raw.count(".") == 1 and "," not in raw
    return one.decimal or ("." if is_plain else None)


_FOR_PROGRAMS = frozenset({SourceKind.JSON_LD, SourceKind.MICRODATA, SourceKind.DATA, SourceKind.META})


def _named(raw: Any, keys: Sequence[str]) -> Any:
    """Of an object where a text is wanted, such as a brand: its name."""
    if not isinstance(raw, Mapping):
        return raw
    return next((value for key in keys for value in values_at(raw.get(key), ()) if isinstance(value, str)), None)


# --- the document -----------------------------------------------------------------------------------------------------


class _Document:
    """A document as rules look at it; each part of it is made when a rule first does."""

    def __init__(self, page: Page, body: bytes) -> None:
        self.page = page
        self._body = body
        self._is_html = page.content_type == HTML or page.content_type in XML_TYPES

    def elements(self, selector: str, scope: Scope) -> Sequence[LexborNode]:
        """Those that a selector finds, in an element or on the page; an empty one finds the element itself."""
        root = scope if isinstance(scope, LexborNode) else self._tree.root if self._tree is not None else None
        if root is None:
            return ()
        return root.css(selector) if selector else (root,)

    @cached_property
    def markup(self) -> str:
        """The document as text; of one that is not HTML, what was read from it."""
        return decode(self._body, self.page.encoding) if self._is_html else self.page.text

    @cached_property
    def base(self) -> str:
        """What URLs are resolved against."""
        first = self._tree.css_first("base[href]") if self._tree is not None else None
        return base_url(None if first is None else first.attributes["href"], self.page.url, self.page.encoding)

    @cached_property
    def json_ld(self) -> list[Any]:
        """What the scripts say."""
        return parsed_json_ld(self.page.json_ld)

    @cached_property
    def microdata(self) -> list[dict[str, Any]]:
        """The items, as JSON-LD has them."""
        return [] if self._tree is None else microdata(self._tree, lambda node: element_text(node, MAX_CHARS))

    @cached_property
    def _tree(self) -> LexborHTMLParser | None:
        return parsed(self._body, self.page.encoding, self.page.content_type)[0] if self._is_html else None
