"""Reads extraction rules from plain data, as a crawl file has them; so they are stored, and so a process gets them.

Invariant: what is wrong with a table is one line, which names the rule and the field and says what is to be done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from crawler.errors import UsageError
from crawler.extraction_rules import (
    OWN_COLUMNS,
    PAGE_SOURCES,
    Field,
    Rule,
    Source,
    SourceKind,
    UrlPattern,
    ValueType,
    columns_of_field,
)

MAX_RULES = 100
MAX_FIELDS = 200  # of a rule, those within others included
MAX_NAME_CHARS = 60
MAX_RULES_CHARS = 100_000  # of all of them as JSON: they are an argument of a process
PAGE_RULE = "page"  # the name of the rule that `--extract` makes
_RULE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FIELD_NAME = re.compile(r"[^\W\d][\w -]*")
_PATTERN = re.compile(r"/|\*|(?:https?|\*)://")
_CSS_PART = re.compile(r"(.*?)(?:::(?:(text|html)|attr\(\s*([^()\s]+)\s*\)))?", re.DOTALL)
_DATA_PATH = re.compile(r"[^.\s]+(?:\.[^.\s]+)*")
_LISTED = "[]"  # behind a field's name: all values


def read_rules(tables: Any, where: str = "") -> tuple[Rule, ...]:
    """Rules from plain data, a list of tables. Raises `UsageError`: `where`, and then the rule and the field."""
    if not isinstance(tables, list | tuple) or not all(isinstance(table, Mapping) for table in tables):
        raise UsageError(f"{where}extract takes tables, each under a line [[extract]]")
    rules: dict[str, Rule] = {}
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        place = f"{where}[[extract]] {name if isinstance(name, str) and name else number}"
        try:
            rule = _rule(table)
        except ValueError as error:
            raise UsageError(f"{place}{error}") from None
        if rule.name in rules:
            raise UsageError(f"{place}: there are two rules of this name; give one of them another")
        rules[rule.name] = rule
    _check_size(rules, where)
    return tuple(rules.values())


def rule_of_fields(given: Sequence[str]) -> dict[str, Any]:
    """The table of the rule that `--extract NAME=CSS` means, given several times: it is for all pages.

    Raises `ValueError` with the rest of a sentence that begins with the option's name.
    """
    fields: dict[str, Any] = {}
    for text in given:
        name, is_given, source = text.partition("=")
        name, _colon, kind = name.partition(":")
        is_list = name.endswith(_LISTED) or kind.endswith(_LISTED)
        name, kind = name.removesuffix(_LISTED).strip(), kind.removesuffix(_LISTED).strip()
        if not is_given or not name or not source.strip():
            raise ValueError(f"takes NAME=CSS, such as title=h1 or price:price=.price, not {text[:MAX_NAME_CHARS]!r}")
        if name in fields:
            raise ValueError(f"gives {name} twice; give one of them another name")
        fields[name] = {"from": source.strip()} | ({"type": kind} if kind else {}) | ({"list": True} if is_list else {})
    table = {"name": PAGE_RULE, "match": "*", "fields": fields}
    try:
        _rule(table)
    except ValueError as error:
        raise ValueError(str(error).removeprefix(": ")) from None
    return table


_RULE_KEYS = ("name", "match", "each", "fields")
_FIELD_KEYS = ("from", "re", "type", "list", "required", "default", "format", "decimal", "currency", "each", "fields")


def _rule(table: Mapping[str, Any]) -> Rule:
    """Raises `ValueError` with what follows the rule's name in a message."""
    _check_keys(table, _RULE_KEYS)
    name = table.get("name")
    if not isinstance(name, str) or not _RULE_NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise ValueError(': name takes a word of lower-case letters, digits and _, such as name = "product"')
    each = _source(table["each"], "each", in_data=False, is_each=True) if "each" in table else None
    fields = _fields(table.get("fields"), in_data=each is not None and each.kind is not SourceKind.CSS)
    _check_columns(fields)
    if sum(1 for _ in _all_fields(fields)) > MAX_FIELDS:
        raise ValueError(f": it has more than {MAX_FIELDS} fields")
    return Rule(name=name, match=tuple(_patterns(table.get("match", "*"))), each=each, fields=fields, data=table)


def _patterns(given: Any) -> Iterator[UrlPattern]:
    for text in given if isinstance(given, list | tuple) and given else [given]:
        if not isinstance(text, str) or not _PATTERN.match(text) or re.search(r"\s|#", text):
            raise ValueError(
                ': match takes a path such as "/products/*", a URL such as "https://shop.example/*", or a list of these'
            )
        yield UrlPattern(_as_urls_have_it(text))


def _as_urls_have_it(text: str) -> str:
    """A pattern with letters that no normalized URL holds as they are."""
    from urllib.parse import quote  # few patterns are not ASCII, and few programs read any

    if text.isascii():
        return text
    scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
    host, slash, path = rest.partition("/") if separator else ("", "", rest)
    try:
        host = ".".join(label if label.isascii() else label.encode("idna").decode() for label in host.split("."))
    except UnicodeError:
        raise ValueError(f": match {text!r} has a host name that cannot be one") from None
    ascii_signs = "".join(map(chr, range(33, 127)))
    return scheme + separator + host + slash + quote(path, safe=ascii_signs)


def _fields(given: Any, *, in_data: bool) -> tuple[Field, ...]:
    if not isinstance(given, Mapping) or not given:
        raise ValueError(': it has no fields; add some under a line [extract.fields], such as title = "h1::text"')
    found: dict[str, Field] = {}
    for written, wanted in given.items():
        name = written.removesuffix(_LISTED)
        try:
            field = _field(name, wanted, is_list=written.endswith(_LISTED), in_data=in_data)
            if name.lower() in found:
                raise ValueError(": there are two fields of this name; give one of them another")
        except ValueError as error:
            raise ValueError(f": {written}{error}") from None
        found[name.lower()] = field
    return tuple(found.values())


def _field(name: str, given: Any, *, is_list: bool, in_data: bool) -> Field:
    if not _FIELD_NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise ValueError(f": a name takes letters, digits, _, - and spaces, and at most {MAX_NAME_CHARS} of them")
    table = _as_table(given)
    _check_keys(table, _FIELD_KEYS)
    is_list = _flag(table, "list", default=is_list or "each" in table)
    if "each" in table or "fields" in table:
        return _field_of_objects(name, table, is_list=is_list, in_data=in_data)
    kind = _value_type(table.get("type", ValueType.TEXT))
    pattern = _regex(table["re"]) if "re" in table else None
    if "from" in table:
        source = _source(table["from"], "from", in_data=in_data, is_each=False)
    elif pattern is not None and not in_data:
        source = Source(kind=SourceKind.MARKUP)
    else:
        raise ValueError(': it says not where to look; give from, such as { from = "h1::text" }, or re')
    field = Field(
        name=name,
        source=source,
        type=kind,
        is_list=is_list,
        required=_flag(table, "required", default=False),
        default=_plain(table.get("default")),
        pattern=pattern,
        formats=tuple(_formats(table.get("format", []))),
        decimal=_text_of(table, "decimal", r"[.,]", 'the decimal sign, "." or ","'),
        currency=_text_of(table, "currency", r"[A-Z]{3}", "a code of three letters such as EUR"),
    )
    _check_field(field)
    return field


def _field_of_objects(name: str, table: Mapping[str, Any], *, is_list: bool, in_data: bool) -> Field:
    if "each" not in table or "fields" not in table:
        raise ValueError(": each and fields belong together: each finds the elements, fields what is wanted of each")
    if odd := [key for key in ("from", "re", "type", "default", "format", "decimal", "currency") if key in table]:
        raise ValueError(f": {odd[0]} does not go with each; it belongs to one of its fields")
    source = _source(table["each"], "each", in_data=in_data, is_each=True)
    fields = _fields(table["fields"], in_data=source.kind is not SourceKind.CSS)
    required = _flag(table, "required", default=False)
    return Field(name=name, source=source, type=ValueType.JSON, is_list=is_list, required=required, fields=fields)


def _as_table(given: Any) -> Mapping[str, Any]:
    """The short forms: `"h1"`, and `["h1"]` for a list of all."""
    if isinstance(given, str):
        return {"from": given}
    if isinstance(given, list | tuple) and len(given) == 1 and isinstance(given[0], str):
        return {"from": given[0], "list": True}
    if isinstance(given, Mapping):
        return given
    raise ValueError(': it takes a selector such as "h1::text", a list of one such as ["li::text"], or a table')


def _source(text: Any, key: str, *, in_data: bool, is_each: bool) -> Source:
    """`is_each`: it finds elements, or objects in data, not values."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f': {key} takes a text such as "h1::text"')
    prefix, colon, rest = text.strip().partition(":")
    if prefix == "og" and colon and rest and not is_each:
        return Source(kind=SourceKind.META, path=text.strip().lower())
    if prefix in _PREFIXED and colon:
        return _prefixed(_PREFIXED[prefix], rest.strip(), text, is_each=is_each)
    if in_data:
        if not _DATA_PATH.fullmatch(text.strip()):
            raise ValueError(f": {key} takes a path such as offers.price within what each has found, not {text!r}")
        return Source(kind=SourceKind.DATA, path=text.strip())
    return _css(text.strip(), key, is_each=is_each)


_PREFIXED = {one.value: one for one in (SourceKind.JSON_LD, SourceKind.MICRODATA, SourceKind.META, SourceKind.PAGE)}


def _prefixed(kind: SourceKind, path: str, text: str, *, is_each: bool) -> Source:
    if kind is SourceKind.PAGE and path not in PAGE_SOURCES:
        raise ValueError(f": there is no {text!r}; after page: stands one of {', '.join(PAGE_SOURCES)}")
    if is_each and kind in (SourceKind.PAGE, SourceKind.META):
        raise ValueError(f": each takes a selector, or a path into json-ld: or microdata:, not {text!r}")
    if kind is SourceKind.META:
        if not path:
            raise ValueError(f": {text!r} names no <meta>; write one as meta:description")
        return Source(kind=kind, path=path.lower())
    if not _DATA_PATH.fullmatch(path):
        raise ValueError(f": {text!r} is no path; write one as {kind}:Product.offers.price")
    return Source(kind=kind, path=path)


def _css(text: str, key: str, *, is_each: bool) -> Source:
    selector, part, attribute = _CSS_PART.fullmatch(text).groups()  # type: ignore[union-attr]  # it takes any text
    selector = selector.strip()
    if "::" in re.sub(r"'[^']*'|\"[^\"]*\"", "", selector):
        raise ValueError(f": {text!r} takes ::text, ::html or ::attr(name), once and at its end")
    if is_each and (part or attribute or not selector):
        raise ValueError(f": {key} takes a selector of elements, without ::text or ::attr, not {text!r}")
    if selector and not _is_selector(selector):
        raise ValueError(f": {selector!r} is no CSS selector that can be read{_hint(selector)}")
    return Source(
        kind=SourceKind.CSS, path=selector, part="attr" if attribute else part or "", attribute=attribute or ""
    )


def _is_selector(selector: str) -> bool:
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError  # few programs read a rule

    try:
        LexborHTMLParser("").css(selector)
    except (SelectolaxError, ValueError):
        return False
    return True


def _hint(selector: str) -> str:
    if ":scope" in selector or selector[:1] in ">+~":
        return "; within each, a selector looks at all that is in the element"
    if ":contains" in selector:
        return '; text is looked for with :lexbor-contains("text")'
    return ""


def _regex(given: Any) -> re.Pattern[str]:
    if not isinstance(given, str) or not given:
        raise ValueError(": re takes a regular expression, such as re = 'SKU ([0-9]+)'")
    try:
        return re.compile(given)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f": re {given!r} is no regular expression: {error}") from None


def _value_type(given: Any) -> ValueType:
    if not isinstance(given, str) or given not in list(ValueType):
        raise ValueError(f": there is no type {given!r}; there are {', '.join(ValueType)}")
    return ValueType(given)


def _flag(table: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f": {key} takes true or false")
    return value


def _formats(given: Any) -> Iterator[str]:
    for one in given if isinstance(given, list | tuple) else [given]:
        if not isinstance(one, str) or not _is_format(one):
            raise ValueError(f': format takes a date as strptime has it, such as "%d/%m/%Y", not {one!r}')
        yield one


def _is_format(text: str) -> bool:
    try:
        datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(text), text)
    except (ValueError, re.error):
        return False
    return "%" in text


def _text_of(table: Mapping[str, Any], key: str, pattern: str, wanted: str) -> str | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f": {key} takes {wanted}, not {value!r}")
    return value


def _plain(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(": default takes a text, a number, true, false, or a list of these") from None
    return value


# --- checking ---------------------------------------------------------------------------------------------------------


def _check_keys(table: Mapping[str, Any], known: Sequence[str]) -> None:
    if odd := [key for key in table if key not in known]:
        raise ValueError(f": there is no key {odd[0]!r}; there are {', '.join(known)}")


def _check_field(field: Field) -> None:
    if field.required and field.default is not None:
        raise ValueError(": a field with a default is never missing; leave out default or required")
    for key, value, types in (
        ("format", field.formats, (ValueType.DATE,)),
        ("decimal", field.decimal, (ValueType.NUMBER, ValueType.PRICE)),
        ("currency", field.currency, (ValueType.PRICE,)),
    ):
        if value and field.type not in types:
            raise ValueError(f': {key} goes with type = "{types[-1]}" only')
    if field.type is ValueType.JSON and field.pattern is not None:
        raise ValueError(': re finds a text; it does not go with type = "json"')


def _check_columns(fields: Sequence[Field]) -> None:
    """Names of columns do not tell capitals from small letters, and a price has two of them."""
    taken = dict.fromkeys(OWN_COLUMNS, "a column of every rule's view")
    for field in fields:
        for column in columns_of_field(field):
            if column.lower() in taken:
                raise ValueError(
                    f": {field.name}: the column {column} would also be {taken[column.lower()]}; rename it"
                )
            taken[column.lower()] = f"that of {field.name}"


def _all_fields(fields: Sequence[Field]) -> Iterator[Field]:
    for field in fields:
        yield field
        yield from _all_fields(field.fields)


def _check_size(rules: Mapping[str, Rule], where: str) -> None:
    if len(rules) > MAX_RULES:
        raise UsageError(f"{where}there are more than {MAX_RULES} [[extract]] rules")
    if len(json.dumps([dict(rule.data) for rule in rules.values()])) > MAX_RULES_CHARS:
        raise UsageError(f"{where}the [[extract]] rules are too long; {MAX_RULES_CHARS:,} characters is the limit")
