"""The links of a page: their targets, and what the page says about them.

Followed: `<a>`, `<area>`, frames (their documents are pages), and `<link rel=next>` / `<link rel=prev>`. Not followed:
`rel=alternate`, which names other forms of this page or feeds; translations usually have visible links, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from selectolax.lexbor import LexborNode

from crawler.content.visible_text import collapse, label_of, tag_ids
from crawler.records import Link
from crawler.urls import normalize

MAX_LINKS = 10_000

LINKING_TAGS = tag_ids("a area iframe frame link")
_WHITESPACE = "\t\n\f\r "
_FRAMES = frozenset({"iframe", "frame"})
_SERIES = frozenset({"next", "prev"})
_NEEDS_PAGE = ""  # instead of a URL: it depends on the page in the folder, not on the folder alone

_Attributes = dict[str, str | None]


def read_links(nodes: Iterable[LexborNode], base: str) -> tuple[tuple[Link, ...], int]:
    """The links of `nodes` (elements of `LINKING_TAGS`), one for each distinct URL in order of appearance, and their
    total.

    `base` is what hrefs are resolved against. A repeated URL keeps its first anchor and rel, but is nofollow only if
    every repeat is. An href that is empty or only a fragment names this page and is not a link. Once `MAX_LINKS` are
    kept, the total counts distinct hrefs without resolving them.
    """
    kept: dict[str, Link] = {}
    resolved: dict[str, str | None] = {}  # joining is expensive: only once per href, fragments aside
    beyond: set[str] = set()
    for node in nodes:
        attributes = node.attributes
        tag = LINKING_TAGS[node.tag_id]
        href = _href(tag, attributes)
        if not href:
            continue
        if href not in resolved:
            if len(kept) >= MAX_LINKS:
                beyond.add(href)
                continue
            resolved[href] = _resolve(href, base)
        url = resolved[href]
        if url is None:
            continue
        known = kept.get(url)
        if known is None:
            kept[url] = _link(url, node, tag, attributes)
        elif known.nofollow and "nofollow" not in _rel(attributes).split():
            kept[url] = known._replace(nofollow=False)
    return tuple(kept.values()), len(kept) + len(beyond)


def _resolve(href: str, base: str) -> str | None:
    """`href` against `base`. Cached by folder: its pages share most of their links, and joining is expensive."""
    if href[0] == "?":
        return normalize(href, base)
    folder = base.partition("?")[0].rpartition("/")[0] + "/"
    url = _resolve_in_folder(href, folder)
    return normalize(href, base) if url == _NEEDS_PAGE else url


@lru_cache(maxsize=32_768)
def _resolve_in_folder(href: str, folder: str) -> str | None:
    """`_NEEDS_PAGE` for what has no path, and so depends on more than the folder ('?x', also as 'http:?x')."""
    url = normalize(href, folder)
    return _NEEDS_PAGE if url is not None and url.partition("?")[0] == folder else url


def _href(tag: str, attributes: _Attributes) -> str | None:
    """The href as written, without its fragment; None or empty if the element does not link to another page."""
    if tag in _FRAMES:
        href = attributes.get("src")
    elif tag == "link" and _SERIES.isdisjoint(_rel(attributes).split()):
        return None
    else:
        href = attributes.get("href") or attributes.get("xlink:href")  # the latter in SVG
    return href.partition("#")[0].strip(_WHITESPACE) if href else None


def _link(url: str, node: LexborNode, tag: str, attributes: _Attributes) -> Link:
    anchor = label_of(node) if tag == "a" else collapse(attributes.get("alt"))  # only areas have the latter
    rel = _rel(attributes)
    return Link(url=url, anchor=anchor, rel=rel, nofollow="nofollow" in rel.split())


def _rel(attributes: _Attributes) -> str:
    return collapse(attributes.get("rel")).lower()
