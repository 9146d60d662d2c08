"""What a page says for programs, as objects: JSON-LD and microdata in one form, and paths into them.

Source: schema.org's "Getting started", JSON-LD 1.1 (2 and 9: no context is fetched; a name is compared by its last
part), WHATWG HTML 5.2 (microdata; `itemref` is not followed). Written here rather than taken from a library: extruct
parses the page a second time and brings lxml, rdflib and ten more packages; microdata is 60 lines over the tree that is
there. Invariant: nothing recurses deeper than `MAX_DEPTH`, and no more than `MAX_OBJECTS` are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_OBJECTS = 10_000  # of a page
MAX_DEPTH = 50
MAX_ANCESTORS = 200  # looked at for what an element is a property of
ANY_TYPE = "*"

_URL_OF = {  # WHATWG HTML, 5.2.4: what the value of such an element is
    "a": "href",
    "area": "href",
    "link": "href",
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "source": "src",
    "track": "src",
    "video": "src",
    "object": "data",
}
_VALUE_OF = {"data": "value", "meter": "value", "time": "datetime"}


def objects_of_type(roots: Sequence[Any], wanted: str) -> Iterator[dict[str, Any]]:
    """The objects of that type (its last part, such as Product), in document order, wherever they stand; `*`: all."""
    for one in islice(_objects(roots), MAX_OBJECTS):
        if wanted == ANY_TYPE or wanted in map(_short, _listed(one.get("@type"))):
            yield one


def values_at(data: Any, keys: Sequence[str]) -> Iterator[Any]:
    """What stands at that path, lists on the way taken apart."""
    for one in _listed(data):
        if not keys:
            yield from one if isinstance(one, list) else [one]
        elif isinstance(one, dict):
            key, *rest = keys
            yield from values_at(one.get(key, one.get(f"schema:{key}")), rest)


def microdata(tree: LexborHTMLParser, text_of: Callable[[LexborNode], str]) -> list[dict[str, Any]]:
    """The items of a page that are no property of another, in the form of JSON-LD."""
    items: dict[int, dict[str, Any]] = {}
    roots: list[dict[str, Any]] = []
    for node in tree.css("[itemscope], [itemprop]")[:MAX_OBJECTS]:
        attributes = node.attributes
        if "itemscope" in attributes:
            item: dict[str, Any] = {"@type": [_short(one) for one in (attributes.get("itemtype") or "").split()]}
            if attributes.get("itemid"):
                item["@id"] = attributes["itemid"]
            items[node.mem_id] = item
        names = (attributes.get("itemprop") or "").split()
        owner = _owner(node, items) if names else None
        if owner is not None:
            value = items.get(node.mem_id) or _microdata_value(node, text_of)
            for name in names:
                owner.setdefault(_short(name), []).append(value)
        elif node.mem_id in items:
            roots.append(items[node.mem_id])
    return roots


def _objects(values: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """All objects, each before what stands in it."""
    waiting = [(value, 0) for value in reversed(values)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            continue
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            waiting += [(one, depth + 1) for one in reversed(value[:MAX_OBJECTS]) if isinstance(one, dict | list)]


def _owner(node: LexborNode, items: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    """The item whose property the element is."""
    ancestor = node.parent
    for _ in range(MAX_ANCESTORS):
        if ancestor is None:
            return None
        if ancestor.mem_id in items:
            return items[ancestor.mem_id]
        ancestor = ancestor.parent
    return None


def _microdata_value(node: LexborNode, text_of: Callable[[LexborNode], str]) -> str:
    """As the standard has it; a `content`, which belongs to `<meta>` alone, counts wherever it stands."""
    attributes, tag = node.attributes, node.tag or ""
    if attributes.get("content") is not None:
        return attributes["content"] or ""
    if tag in _URL_OF:
        return attributes.get(_URL_OF[tag]) or ""
    return (attributes.get(_VALUE_OF[tag]) if tag in _VALUE_OF else None) or text_of(node)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _short(name: Any) -> str:
    """'Product' of 'https://schema.org/Product', 'schema:Product' and 'Product'."""
    return str(name).rstrip("/#").rpartition("/")[2].rpartition("#")[2].rpartition(":")[2]
