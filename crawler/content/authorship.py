"""When a page was published and changed, and by whom: by what it says of that for programs.

Sources, in the order in which they are believed: `<meta>` (Open Graph, Dublin Core, citations of journals and the
like), JSON-LD, microdata, `<time>`. Dates that stand in the text alone are not guessed. A value that cannot be used
never hides a later one that can.

No library does this: htmldate takes 1.1 to 1.6 ms a page on Debian's documentation of PostgreSQL and Java, extruct 0.3
to 0.5 ms, trafilatura's metadata 10 ms, each with a parser of its own; what is parsed here already is read in 6 us.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from operator import contains
from typing import Any, NamedTuple

from selectolax.lexbor import LexborNode

from crawler.content.metadata import Attributes
from crawler.content.visible_text import collapse, label_of
from crawler.dates import unix_time

MAX_NODES = 1_000  # of JSON-LD, and of elements with an itemprop
MAX_AUTHORS = 10
_MAX_DATE_CHARS = 64
_FIRST_YEAR = 1000


def _ranked(names: str) -> dict[str, int]:
    """By name: how early it is believed."""
    return {name: rank for rank, name in enumerate(names.split())}


_PUBLISHED = _ranked(
    "article:published_time og:published_time book:release_date video:release_date citation_publication_date "
    "citation_date citation_online_date dcterms.issued dcterms.date dcterms.created dc.date.issued "
    "dc.date.created dc.date datepublished publish-date publish_date publishdate publication_date pubdate "
    "parsely-pub-date sailthru.date article.published date"
)
_MODIFIED = _ranked(
    "article:modified_time og:updated_time dcterms.modified dc.date.modified datemodified last-modified "
    "lastmod modified_time revised"
)
_AUTHOR = ("author", "article:author", "citation_author", "dcterms.creator", "dc.creator", "parsely-author")
_ARTICLE = re.compile(r"(?:Article|Posting|Report|Recipe|Book|Review|VideoObject|Product|Event|Course)$")
_PUBLISHED_CLASSES = frozenset({"published", "dt-published", "entry-date", "post-date"})
_MODIFIED_CLASSES = frozenset({"updated", "modified", "dt-updated"})


class Authorship(NamedTuple):
    """Unix seconds, and names with ', ' between; None: the page does not say."""

    published_at: float | None
    modified_at: float | None
    author: str | None


_TOLD_BY_METAS = frozenset([*_PUBLISHED, *_MODIFIED, *_AUTHOR])
_NOTHING_SAID = Authorship(None, None, None)


class Sources(NamedTuple):
    """What a page says for programs: contents of `<meta>` by name and property, JSON-LD, and attributes of `<time>`."""

    metas: Mapping[str, Sequence[str]]
    json_ld: Sequence[Any]
    times: Sequence[Attributes]
    microdata: Mapping[str, Sequence[LexborNode]]


def authorship(sources: Sources) -> Authorship:
    """See the module's text."""
    if not (sources.json_ld or sources.microdata or sources.times) and _TOLD_BY_METAS.isdisjoint(sources.metas):
        return _NOTHING_SAID  # as most pages
    entities = list(_entities(sources.json_ld)) if sources.json_ld else []
    published = _contents(sources.metas, _PUBLISHED)
    modified = _contents(sources.metas, _MODIFIED)
    if entities or sources.microdata or sources.times:  # of most pages there is none
        published += _dates(sources, entities, ("datePublished", "dateCreated", "uploadDate"), _PUBLISHED_CLASSES)
        modified += _dates(sources, entities, ("dateModified",), _MODIFIED_CLASSES)
    return Authorship(_first_date(published), _first_date(modified), next(_authors(sources, entities), None))


def microdata_of(
    elements: Callable[[], Sequence[LexborNode]], metas: Iterable[Attributes], times: Sequence[Attributes]
) -> dict[str, list[LexborNode]]:
    """The `elements` that have an itemprop, by it; as a rule nothing, and without a search.

    Where there is neither a `<time>` nor a `<meta itemprop>`, there is none: a search for it takes 25 us on each page.
    """
    if not times and not any(map(contains, metas, repeat("itemprop"))):
        return {}
    found: dict[str, list[LexborNode]] = {}
    for node in elements()[:MAX_NODES]:
        for name in (node.attributes.get("itemprop") or "").split():
            found.setdefault(name, []).append(node)
    return found


def date_of(text: str | None) -> float | None:
    """Unix seconds of a date as ISO 8601 or mail write it (UTC if it has no zone); None for anything else.

    The year 1 is what programs write where they know of no date.
    """
    if not text or len(text) > _MAX_DATE_CHARS:
        return None
    text = text.strip().replace("/", "-")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return unix_time(text)
    if moment.year < _FIRST_YEAR:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _contents(metas: Mapping[str, Sequence[str]], ranks: Mapping[str, int]) -> list[str]:
    """The contents of `<meta>` elements, those first that are believed first."""
    if ranks.keys().isdisjoint(metas):
        return []
    names = sorted((name for name in metas if name in ranks), key=ranks.__getitem__)
    return [content for name in names for content in metas[name]]


def _dates(
    sources: Sources, entities: Sequence[Mapping[str, Any]], keys: Sequence[str], classes: frozenset[str]
) -> Iterator[str]:
    for key in keys:
        yield from (value for entity in entities if isinstance(value := entity.get(key), str))
    for key in keys:
        yield from map(_value, sources.microdata.get(key, ()))
    yield from _times(sources.times, classes)


def _times(times: Sequence[Attributes], classes: frozenset[str]) -> list[str]:
    """The dates of `<time>` elements that a class marks; the only one of a page says when it was published."""
    dated = [attributes for attributes in times if attributes.get("datetime")]
    marked = [one for one in dated if not classes.isdisjoint((one.get("class") or "").lower().split())]
    if classes is _PUBLISHED_CLASSES:
        marked += [one for one in dated if "pubdate" in one or len(dated) == 1]
    return [one["datetime"] or "" for one in marked]


def _first_date(texts: Iterable[str]) -> float | None:
    return next((date for text in texts if (date := date_of(text)) is not None), None)


def _entities(json_ld: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """What the scripts describe, first what is about an article or the like: a page's is the site's otherwise."""
    nodes: list[Mapping[str, Any]] = []
    for script in json_ld:
        for node in script if isinstance(script, list) else [script]:
            graph = node.get("@graph") if isinstance(node, dict) else None
            nodes += [one for one in (node, *(graph if isinstance(graph, list) else ())) if isinstance(one, dict)]
    nodes = nodes[:MAX_NODES]
    about = [bool(_ARTICLE.search(_type(node))) for node in nodes]
    yield from (node for node, is_about in zip(nodes, about, strict=True) if is_about)
    yield from (node for node, is_about in zip(nodes, about, strict=True) if not is_about)


def _type(node: Mapping[str, Any]) -> str:
    kind = node.get("@type")
    return str(kind[0] if isinstance(kind, list) and kind else kind)


def _authors(sources: Sources, entities: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for name in _AUTHOR:
        if name in sources.metas:
            yield from _joined(text for text in sources.metas[name] if "://" not in text)
    if not (entities or sources.microdata):
        return
    by_id = {one["@id"]: one for one in entities if isinstance(one.get("@id"), str)}
    for entity in entities:
        for key in ("author", "creator"):
            yield from _joined(_names(entity.get(key), by_id))
    yield from _joined(map(_person, sources.microdata.get("author", ())))


def _names(value: Any, by_id: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for one in value[:MAX_AUTHORS] if isinstance(value, list) else [value]:
        person = by_id.get(one["@id"], one) if isinstance(one, dict) and isinstance(one.get("@id"), str) else one
        name = person.get("name") if isinstance(person, dict) else person
        if isinstance(name, str) and "://" not in name:
            yield name.replace("\0", "\ufffd")  # as text is decoded: JSON may hold one, escaped


def _person(node: LexborNode) -> str:
    name = node.css_first("[itemprop=name]")
    return _value(name if name is not None else node)


def _value(node: LexborNode) -> str:
    attributes = node.attributes
    return attributes.get("content") or attributes.get("datetime") or label_of(node)


def _joined(names: Iterable[str]) -> Iterator[str]:
    found = list(dict.fromkeys(filter(None, map(collapse, names))))[:MAX_AUTHORS]
    if found:
        yield ", ".join(found)
