"""The columns of a page, the same in every store, and its fields back from them.

What no crawl decides by is JSON there, made once, by the process that reads the page: from there on, nobody decodes it
unless a program looks at the field (see `partly_decoded`). The text stays UTF-8 until then, too. Invariant: a page that
came from a process is stored as one that was made here, byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson

from crawler.partly_decoded import EncodedText
from crawler.records import (
    NEVER_STORED,
    OF_DELIVERY,
    Alternate,
    Difference,
    Link,
    LinkDetail,
    NamedFeeds,
    Page,
    Resource,
    Response,
    Result,
)
from crawler.storage.values import as_json, json_bytes, storable

# Of the URL's row; in tables of their own; of the attempt; never.
_NOT_KEPT = {"url", "links", "extracts", *OF_DELIVERY, *NEVER_STORED}
PAGE_FIELDS = tuple(field.name for field in fields(Page) if field.name not in _NOT_KEPT)

# Of the fields that are columns under their own names, those that are kept as JSON, and how they are read back.
_AS_JSON: dict[str, Callable[[Any], Any]] = {
    "headings": lambda headings: tuple(map(tuple, headings)),
    "open_graph": dict,
    "json_ld": tuple,
    "metas": dict,
    "alternates": lambda alternates: tuple(map(Alternate._make, alternates)),
    "resources": lambda resources: tuple(map(Resource._make, resources)),
    "link_details": lambda details: tuple(map(LinkDetail._make, details)),
}
JSON_FIELDS = tuple(_AS_JSON)  # but for `fields`, which hardly any page has
_STORED_AS_ENCODED = tuple(name for name in JSON_FIELDS if name != "link_details")
ENCODED = (*JSON_FIELDS, "text")

_SINGLE = tuple(name for name in PAGE_FIELDS if name not in {*ENCODED, "fields"})
_FLAGS = {field.name for field in fields(Page) if isinstance(field.default, bool)} - _NOT_KEPT
_single_fields = attrgetter(*_SINGLE)


class EncodedFields:
    """The text of a page, and its fields that are kept as JSON, by name, as UTF-8.

    Details of links are a template: where they are stored, they name the row of their target, which is not known
    before. `linked` are the places of their links in `Page.links`, in their order.
    """

    __slots__ = ("linked", "texts")

    def __init__(self, texts: Mapping[str, bytes], linked: Sequence[int]) -> None:
        self.texts = texts
        self.linked = linked

    @property
    def names(self) -> Collection[str]:
        """See `partly_decoded.Encoded`."""
        return self.texts.keys()

    def decode(self, name: str) -> Any:
        """See `partly_decoded.Encoded`."""
        if name == "text":
            return self.texts[name].decode()
        text = self.details(self.linked) if name == "link_details" else self.texts[name]
        return _AS_JSON[name](orjson.loads(text))

    def details(self, numbers: Sequence[int]) -> str:
        """The details as JSON, with these numbers for their links."""
        return self.texts["link_details"].decode() % tuple(numbers)


def encode_fields(page: Page) -> EncodedFields:
    """Encode these fields of a page that holds them as Python values."""
    texts = {name: json_bytes(getattr(page, name)) for name in _STORED_AS_ENCODED}
    texts["link_details"] = _template(page.link_details)
    texts["text"] = page.encoded.utf8 if isinstance(page.encoded, EncodedText) else _utf8(page.text)
    return EncodedFields(texts, [detail.link for detail in page.link_details])


def text_size(page: Page) -> int:
    """The length of the text, or nearly: its bytes are counted where it is not decoded yet."""
    return len(page.encoded.texts["text"] if isinstance(page.encoded, EncodedFields) else page.text)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return str(storable(text)).encode()


def _template(details: Sequence[LinkDetail]) -> bytes:
    text = json_bytes([("%d", position, anchor, fragment) for _link, position, anchor, fragment in details])
    return text.replace(b"%", b"%%").replace(b'["%%d",', b"[%d,")  # no text holds that: its quotes are escaped


def page_values(result: Result, page: Page, target_ids: Sequence[int | None]) -> dict[str, Any]:
    """A row of `pages`, but for its ids: the fields of `Page`, and what only the whole result says.

    `target_ids` are the rows of its link targets; None: it has none. (A link has no place of its own in the database:
    its details name its target.) The text is UTF-8, as it came.
    """
    values = _field_values(page, target_ids)
    values["truncated"] = int(isinstance(result.attempt, Response) and result.attempt.truncated)
    values["body_hash"] = result.body.digest if result.body is not None else None
    return values


def updated_values(result: Result, page: Page, target_ids: Sequence[int | None]) -> dict[str, Any]:
    """What a visit that makes no version changes in the row of the one that is stored: what its hashes do not cover,
    and all of it where today's reader reads it otherwise.

    The details of links are None where the links were not looked at.
    """
    values = _field_values(page, target_ids)
    if result.difference is not Difference.READER:
        del values["text"], values["content_hash"]
    if not result.link_targets:
        values["link_details"] = None
    return values


def _field_values(page: Page, target_ids: Sequence[int | None]) -> dict[str, Any]:
    encoded = page.encoded if isinstance(page.encoded, EncodedFields) else encode_fields(page)
    values = dict(zip(_SINGLE, _single_fields(page), strict=True))
    values["metadata_hash"] = page.metadata_hash or None
    for name in _FLAGS:
        values[name] = int(values[name])
    for name in _STORED_AS_ENCODED:
        values[name] = encoded.texts[name].decode()
    values["link_details"] = _details(encoded, target_ids)
    values["text"] = encoded.texts["text"]
    values["fields"] = as_json(page.fields) if page.fields else None
    return values


def _details(encoded: EncodedFields, target_ids: Sequence[int | None]) -> str:
    """Without those whose targets have no row; none where links are not stored."""
    if not target_ids:
        return "[]"
    numbers = [target_ids[link] for link in encoded.linked]
    if None not in numbers:
        return encoded.details(numbers)  # type: ignore[arg-type]
    details = encoded.decode("link_details")
    return as_json(
        [(number, *detail[1:]) for number, detail in zip(numbers, details, strict=True) if number is not None]
    )


def named_feeds(rows: Sequence[Any]) -> NamedFeeds:
    """The feeds of a stored version. `rows` holds one row with its alternates and its nofollow, or none."""
    if not rows or rows[0][0] is None:
        return NamedFeeds()
    alternates, nofollow = rows[0]
    return NamedFeeds.of(_AS_JSON["alternates"](orjson.loads(alternates)), nofollow=bool(nofollow))


def page_of(url: str, links: Mapping[int, Link], values: Mapping[str, Any], **of_delivery: Any) -> Page:
    """The page again, from its row's values by name, and its links by their targets' rows.

    What the version of then did not keep (NULL) has the default of `Page`. `of_delivery` are fields that no row has.
    """
    kept = {name: values[name] for name in PAGE_FIELDS if values[name] is not None}
    kept |= {name: bool(kept[name]) for name in _FLAGS}
    kept |= {name: read(orjson.loads(kept[name])) for name, read in _AS_JSON.items() if name in kept}
    if "fields" in kept:
        kept["fields"] = orjson.loads(kept["fields"])
    places = {target_id: place for place, target_id in enumerate(links)}
    details = kept.get("link_details", ())
    kept["link_details"] = tuple(one._replace(link=places[one.link]) for one in details if one.link in places)
    return Page(url=url, links=tuple(links.values()), **kept, **of_delivery)
