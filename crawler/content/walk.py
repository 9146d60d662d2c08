"""What the readers take from the tree of a document, in one walk over it.

There are two of these walks, this one and `accelerated`'s, and whatever a page says is read from what they return: so
it says the same by both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.content.hyperlinks import LINKING_TAGS, Group, LinkElement, grouped, link_element
from crawler.content.metadata import Attributes
from crawler.content.resources import MAX_RESOURCES, MEDIA_TAGS
from crawler.content.visible_text import label_of, tag_ids, take_text

MAX_HEADINGS = 1_000
MAX_WALKS = 10  # up the tree from elements of a kind: each may stand deep in it

_NOSCRIPT = tag_ids("noscript")
_FOREIGN = tag_ids("svg math foreignobject")  # within the last, HTML goes on
_DRAWN = frozenset({"svg", "math"})
_SOURCE = tag_ids("source")
HEADING_TAGS = tag_ids("h1 h2 h3 h4 h5 h6")
GROUPS = {
    "links": LINKING_TAGS,
    "headings": HEADING_TAGS,
    "media": MEDIA_TAGS,
    "relations": tag_ids("link"),
    "bases": tag_ids("base"),
    "metas": tag_ids("meta"),
    "scripts": tag_ids("script"),
    "images": tag_ids("img"),
    "times": tag_ids("time"),
}
_GROUP_OF = {tag: group for group, tags in GROUPS.items() for tag in tags}


class Walked(NamedTuple):
    """What a document has, each kind in document order, what is hidden too but for the text, which is in UTF-8.

    `links` may leave out, with None in its place, what adds nothing: an href that an earlier element has, too, with
    a text and without nofollow. `relations` are the `<link>` elements. `scripts_of_type` are the texts of the
    scripts that have a type with 'ld+json' in it, behind the type; others may be among them. `refreshes` are the
    contents of the first `<meta http-equiv=refresh>`, each with whether only those see it who run no scripts.
    `media` are the numbers of the tags (of a `<source>`, of what it stands in) with the attributes. `with_itemprop`
    finds elements of which the text may be read (`label_of`). `group` is for `read_links`.
    """

    text: bytes
    headings: Sequence[tuple[int, str]]
    links: Iterable[LinkElement | None]
    relations: Sequence[Attributes]
    metas: Sequence[Attributes]
    scripts: Sequence[Attributes]
    scripts_of_type: Sequence[tuple[str, str]]
    images: Sequence[Attributes]
    media: Sequence[tuple[int, Attributes]]
    times: Sequence[Attributes]
    base_href: str | None
    refreshes: Sequence[tuple[str, bool]]
    with_itemprop: Callable[[], Sequence[LexborNode]]
    group: Group = grouped


Walk: TypeAlias = Callable[[LexborHTMLParser], Walked]


def walk(tree: LexborHTMLParser) -> Walked:
    """The reference: the walk of `take_text`, which modifies the tree."""
    found: dict[str, list[LexborNode]] = {group: [] for group in GROUPS}
    text = take_text(tree.root, {tag: found[group] for tag, group in _GROUP_OF.items()}) if tree.root else ""
    metas = [meta.attributes for meta in found["metas"]]
    scripts = [script.attributes for script in found["scripts"]]
    return Walked(
        text=text.encode(),
        headings=_headings(found["headings"]),
        links=map(link_element, found["links"]),
        relations=[link.attributes for link in found["relations"]],
        metas=metas,
        scripts=scripts,
        scripts_of_type=_of_type(found["scripts"], scripts),
        images=[image.attributes for image in found["images"][:MAX_RESOURCES]],
        media=[_medium(node) for node in found["media"]],
        times=[time.attributes for time in found["times"]],
        base_href=_base_href(found["bases"]),
        refreshes=_refreshes(found["metas"], metas),
        with_itemprop=lambda: tree.css("[itemprop]"),
    )


def _headings(nodes: Sequence[LexborNode]) -> list[tuple[int, str]]:
    """Their levels and texts, those that are empty left out."""
    headings = ((int(HEADING_TAGS[node.tag_id][1]), label_of(node)) for node in nodes[:MAX_HEADINGS])
    return [(level, text) for level, text in headings if text]


def _of_type(scripts: Sequence[LexborNode], described: Sequence[Attributes]) -> list[tuple[str, str]]:
    typed = ((script, attributes.get("type") or "") for script, attributes in zip(scripts, described, strict=True))
    return [(media_type, script.text()) for script, media_type in typed if "ld+json" in media_type.lower()]


def _medium(node: LexborNode) -> tuple[int, Attributes]:
    tag = node.tag_id
    if tag in _SOURCE:
        tag = node.parent.tag_id if node.parent is not None else 0
    return tag, node.attributes


def _base_href(bases: Sequence[LexborNode]) -> str | None:
    """That of the first `<base>` with one; one in a drawing or a formula is none."""
    with_href = islice((base for base in bases if "href" in base.attributes), MAX_WALKS)
    first = next((base for base in with_href if _nearest(base, _FOREIGN) not in _DRAWN), None)
    return None if first is None else first.attributes["href"]


def _refreshes(metas: Sequence[LexborNode], described: Sequence[Attributes]) -> list[tuple[str, bool]]:
    nodes = (node for node, attributes in zip(metas, described, strict=True) if _is_refresh(attributes))
    return [
        (node.attributes.get("content") or "", _nearest(node, _NOSCRIPT) is not None)
        for node in islice(nodes, MAX_WALKS)
    ]


def _is_refresh(meta: Attributes) -> bool:
    return (meta.get("http-equiv") or "").strip().lower() == "refresh"


def _nearest(node: LexborNode, tags: Mapping[int, str]) -> str | None:
    """Which of these elements the node stands in; of several, the innermost."""
    ancestor = node.parent
    while ancestor is not None and ancestor.tag_id not in tags:
        ancestor = ancestor.parent
    return None if ancestor is None else tags[ancestor.tag_id]
