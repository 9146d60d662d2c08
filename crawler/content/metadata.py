"""What a page says of itself in `<meta>` and `<link>`, and what of it makes a version of its own.

Invariant: an empty value never hides a later good one, and whatever a hostile page could inflate is capped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import orjson

from crawler.content.hyperlinks import resolve
from crawler.content.media_type import FEED_TYPES
from crawler.content.visible_text import collapse
from crawler.records import FEED, HREFLANG, PRICES_AND_DATES_BYTES, Alternate

MAX_METAS = 200  # names
MAX_META_CHARS = 2_000  # of each value
MAX_ALTERNATES = 500
HASH_BYTES = 16  # of metadata
_MAX_DEPTH = 200  # of JSON-LD that needs no second look: orjson reads 1,024 levels, and writes 254
MAX_VALUES = 10_000  # of JSON-LD that are looked at for prices

Attributes: TypeAlias = Mapping[str, str | None]
OpenGraph: TypeAlias = Mapping[str, str | list[str]]  # see `read_open_graph`
Relations: TypeAlias = Mapping[str, Sequence[Attributes]]  # see `relations_of`


class Metadata(NamedTuple):
    """What of a page makes a version by itself where text and links stay (see `Page`), beside its JSON-LD."""

    title: str | None = None
    description: str | None = None
    language: str | None = None
    canonical_url: str | None = None
    open_graph: OpenGraph = MappingProxyType({})
    alternates: tuple[Alternate, ...] = ()
    published_at: float | None = None
    modified_at: float | None = None
    author: str | None = None


def relations_of(links: Iterable[Attributes]) -> dict[str, list[Attributes]]:
    """The attributes of the `<link>` elements that lead anywhere, by each of the tokens of their rel in lower case, in
    document order.
    """
    relations: dict[str, list[Attributes]] = {}
    for attributes in links:
        rel = attributes.get("rel")
        if rel and attributes.get("href"):
            for token in rel.lower().split():
                relations.setdefault(token, []).append(attributes)
    return relations


def url_of(rel: str, relations: Relations, base: str) -> str | None:
    """Where the first of the links with this rel leads that leads anywhere."""
    for attributes in relations.get(rel, ()):
        if (url := href_of(attributes, base)) is not None:
            return url
    return None


def href_of(attributes: Attributes, base: str) -> str | None:
    """Where a `<link>` leads, without the fragment; None where that is no http(s) URL."""
    return resolve((attributes.get("href") or "").strip(), base)


def icon_url(relations: Relations, base: str) -> str | None:
    """The icon of the page's site; one for the home screens of telephones where it has no other."""
    return url_of("icon", relations, base) or url_of("apple-touch-icon", relations, base)


def read_alternates(relations: Relations, base: str) -> tuple[Alternate, ...]:
    """The other forms of the page that it names, each once: AMP, then the others in document order."""
    found: dict[Alternate, None] = {}
    for rel in ("amphtml", "alternate"):
        for attributes in relations.get(rel, ()):
            if len(found) == MAX_ALTERNATES or "stylesheet" in (attributes.get("rel") or "").lower():
                continue
            if (url := href_of(attributes, base)) is not None:
                found[_alternate(url, rel, attributes)] = None
    return tuple(found)


def _alternate(url: str, rel: str, attributes: Attributes) -> Alternate:
    language = collapse(attributes.get("hreflang")).lower() or None
    media_type = collapse(attributes.get("type")).lower().partition(";")[0].strip() or None
    kind = rel
    if rel == "alternate":
        kind = HREFLANG if language else FEED if media_type in FEED_TYPES else rel
    return Alternate(url, kind, language, media_type, collapse(attributes.get("title")) or None)


def named_metas(contents: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
    """The contents of named `<meta>` elements as they are kept: a text, or a list where the name is repeated."""
    metas: dict[str, str | list[str]] = {}
    for name, values in islice(contents.items(), MAX_METAS):
        kept = (
            values[0][:MAX_META_CHARS] if len(values) == 1 else [value[:MAX_META_CHARS] for value in values[:MAX_METAS]]
        )
        metas[name[:MAX_META_CHARS]] = kept
    return metas


def parsed_json_ld(scripts: Iterable[str]) -> list[Any]:
    """What the JSON-LD scripts say; one that is no JSON, or nested too deeply to be written again, stays a text."""
    return [_parsed(script) for script in scripts]


def _parsed(script: str) -> Any:
    try:
        parsed = orjson.loads(script)
        if script.count("[") + script.count("{") > _MAX_DEPTH:
            orjson.dumps([[[[parsed]]]])  # as deep in others as it will ever stand
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return script.strip()
    return parsed


def metadata_hash(metadata: Metadata, json_ld: Sequence[Any], robots: Sequence[str]) -> bytes:
    """BLAKE2b over what makes a version: the metadata, the JSON-LD as `parsed_json_ld` has it, and the directives for
    robots as written. The order of keys is nothing, nor are alternates other than translations. The last bytes cover
    prices and dates alone.
    """
    title, description, language, canonical_url, open_graph, alternates, *written = metadata
    translations = [tuple(one) for one in alternates if one.kind == HREFLANG]
    said = (title, description, language, canonical_url, dict(open_graph))
    values = (*said, json_ld, translations, written, robots)
    prices = _prices(open_graph, json_ld) if open_graph or json_ld else []
    return _hash(values, HASH_BYTES - PRICES_AND_DATES_BYTES) + _hash_of_prices(prices, metadata)


def _hash_of_prices(prices: Sequence[str], metadata: Metadata) -> bytes:
    dates = metadata.published_at, metadata.modified_at
    return _hash((prices, *dates), PRICES_AND_DATES_BYTES) if prices or dates != (None, None) else _NO_PRICE_OR_DATE


def salted_hash(metadata_hash: bytes, values: Any) -> bytes:
    """The hash of metadata to which these values came, no price or date among them."""
    salted = _hash((metadata_hash.hex(), values), HASH_BYTES - PRICES_AND_DATES_BYTES)
    return salted + metadata_hash[-PRICES_AND_DATES_BYTES:]


def _hash(values: Any, size: int) -> bytes:
    return blake2b(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=size).digest()


_NO_PRICE_OR_DATE = _hash(([], None, None), PRICES_AND_DATES_BYTES)


def _prices(open_graph: OpenGraph, json_ld: Sequence[Any]) -> list[str]:
    """What is asked for whatever the page offers, in no particular order, so that their places are nothing."""
    prices = [str(open_graph[name]) for name in open_graph if name.endswith(":price:amount")]
    values = list(json_ld)
    for value in values:  # grows on the way
        if isinstance(value, list):
            values += value[: max(0, MAX_VALUES - len(values))]
        elif isinstance(value, dict):
            prices += [str(value[key]) for key in _PRICES if key in value]
            values += [*value.values()][: max(0, MAX_VALUES - len(values))]
    return sorted(prices)


_PRICES = ("price", "lowPrice", "highPrice")
