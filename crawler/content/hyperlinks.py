"""The links of a page: their targets, and what the page says about them.

Followed: `<a>`, `<area>`, frames (their documents are pages), and `<link rel=next>` / `<link rel=prev>`. Not followed:
`rel=alternate`, which names other forms of this page or feeds; translations usually have visible links, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias, cast

from selectolax.lexbor import LexborNode

from crawler.content.visible_text import collapse, image_alt, tag_ids, text_of
from crawler.records import LinkDetail, Links
from crawler.urls import DocumentBase, join_plain, normalize

MAX_LINKS = 10_000
MAX_NAMELESS = 2_000  # elements without a text that are looked at for a name: a hostile page may nest them
MAX_DETAILS = 1_000
MAX_FRAGMENT_CHARS = 500

LINKING_TAGS = tag_ids("a area iframe frame")
_WHITESPACE = "\t\n\f\r "
_FRAMES = frozenset({"iframe", "frame"})
_SERIES = frozenset({"next", "prev"})
_MAX_RESOLVED = 32_768
new_tuple = cast("Callable[[type[Any], Any], Any]", tuple.__new__)  # a NamedTuple, made in C
_NEEDS_PAGE = ""  # instead of a URL: it depends on the page in the folder, not on the folder alone

# What an element that links is called: its text; where that is empty, its name in a tuple; or the element itself, whose
# text takes long and is not always needed.
Caption: TypeAlias = str | tuple[str] | LexborNode
LinkElement: TypeAlias = tuple[str, str | None, Caption]  # its href as written, and its rel
# As `LinkDetail`, but for the caption in place of its text.
_Detail: TypeAlias = tuple[int, int, Caption, str | None]


class Grouped(NamedTuple):
    """Elements by where they lead: the columns of links, the details, which of these have no text so far, each with
    whether it is the first of its URL, and by place those elements of which none has a text.
    """

    anchors: list[str]
    rels: list[str]
    nofollows: list[bool]
    details: list[_Detail]
    unnamed: list[tuple[int, bool]]
    nameless: dict[int, list[Caption]]


Group: TypeAlias = "Callable[[Iterable[LinkElement | None], Hrefs], Grouped]"  # as `grouped`


class PageLinks(NamedTuple):
    """One link for each distinct URL in order of appearance, the number of distinct ones, and what is said beyond."""

    links: Links
    total: int
    details: tuple[LinkDetail, ...]


def read_links(elements: Iterable[LinkElement | None], base: str, url: str, group: Group | None = None) -> PageLinks:
    """The links of `elements`, of which those that are None lead nowhere, or add nothing to earlier ones.

    `base` is what hrefs are resolved against, `url` the page's own. `group` does the same as `grouped`, only faster. A
    repeated URL keeps its first rel and the first anchor that is not empty, or else the first name that an element has
    without a text. It is nofollow only if every repeat is. An href that is empty or only a fragment names the base URL,
    which is a link only where that is not the page itself. Once `MAX_LINKS` are kept, the total counts distinct hrefs
    without resolving them. Of what leads to a URL by another href, which is by another fragment as a rule, or first
    with one, there are details: what is written twice is kept once, because the text of each repeat would take 2 % of
    all reading.
    """
    hrefs = Hrefs(base, url)
    anchors, rels, nofollows, details, unnamed, nameless = (group or grouped)(elements, hrefs)
    _take_later_anchors(anchors, nameless)
    for number, is_first in unnamed:
        details[number] = _named(details[number], anchors if is_first else None)
    links = Links(hrefs.urls, anchors, rels, nofollows)
    told = tuple(map(new_tuple, repeat(LinkDetail), details))
    return cast("PageLinks", new_tuple(PageLinks, (links, len(anchors) + len(hrefs.beyond), told)))


def grouped(elements: Iterable[LinkElement | None], hrefs: Hrefs) -> Grouped:
    """Group the linking elements by the URL that they lead to."""
    places, place_of = hrefs.places, hrefs.place_of
    found = anchors, rels, nofollows, details, _unnamed, nameless = Grouped([], [], [], [], [], {})
    for position, element in enumerate(elements):
        if element is None:
            continue
        whole, rel, caption = element
        place = places.get(whole)
        if place is None:
            place = place_of(whole)
            is_first = place == len(anchors)
            if place >= 0 and (not is_first or "#" in whole) and len(details) < MAX_DETAILS:
                _add_detail(found, position, whole, place, caption, is_first=is_first)
            if is_first:
                anchors.append(anchor := caption if type(caption) is str else caption_text(caption))
                tokens, is_nofollow = read_rel(rel) if rel else ("", False)
                rels.append(tokens)
                nofollows.append(is_nofollow)
                if not anchor:
                    nameless[place] = [caption]
                continue
        if place >= 0:
            if nofollows[place]:
                nofollows[place] = bool(rel) and read_rel(rel)[1]
            if place in nameless:
                nameless[place].append(caption)
    return found


def _add_detail(found: Grouped, position: int, whole: str, place: int, caption: Caption, *, is_first: bool) -> None:
    """What is told of an element that has a fragment, or is not the first of its URL."""
    if type(caption) is not str or not caption:
        found.unnamed.append((len(found.details), is_first))
    _path, hash_sign, fragment = whole.partition("#")
    found.details.append((place, position, caption, fragment[:MAX_FRAGMENT_CHARS] if hash_sign else None))


def link_element(node: LexborNode) -> LinkElement | None:
    """What an element of `LINKING_TAGS` says; None where it does not link to a document.

    An empty href is one where the element is an anchor, but none of a frame (WHATWG HTML, "shared attribute processing
    steps").
    """
    attributes = node.attributes
    if LINKING_TAGS[node.tag_id] in _FRAMES:
        href = attributes.get("src") or None
    elif "href" in attributes:
        href = attributes["href"] or ""
    else:
        href = attributes.get("xlink:href")  # in SVG
    return None if href is None else (href, attributes.get("rel"), node)


def series_elements(
    links: Sequence[Mapping[str, str | None]], relations: Iterable[str]
) -> Iterable[LinkElement | None]:
    """What those `<link>` elements say that name the next or the previous page; None in place of each other one.

    `relations` are the tokens of their rels in lower case.
    """
    tokens = " ".join(relations)
    if tokens.isascii() and "next" not in tokens and "prev" not in tokens:
        return repeat(None, len(links))  # as of most pages
    return map(_series_element, links)


def _series_element(attributes: Mapping[str, str | None]) -> LinkElement | None:
    """None where its href is empty, too (WHATWG HTML, "fetch and process the linked resource")."""
    rel, href = attributes.get("rel"), attributes.get("href")
    if not rel or not href or _SERIES.isdisjoint(_tokens(rel).split()):
        return None
    return href, rel, collapse(attributes.get("alt")) or (_label(attributes),)


_NOWHERE = -1  # instead of a place


class Hrefs:
    """Where a page's hrefs lead, fragments aside.

    `places` is by the href as written: which of the `urls` it leads to, or `_NOWHERE`. What came when there were links
    enough is `beyond`, and leads nowhere. `own` is where an empty href leads, `in_folder` where others lead from the
    folder of the page, as far as that is known; None where this is no matter of the folder alone.
    """

    def __init__(self, base: str, url: str) -> None:
        self.places: dict[str, int] = {}
        self.urls: list[str] = []
        self.beyond: set[str] = set()
        self._base = base
        self.in_folder = None if type(base) is DocumentBase else _folder_of(base)
        self.own = None if base == url else str(base)
        self.places_of_urls: dict[str, int] = {}
        self._places_within: dict[str, int] | None = None  # by href without its fragment, once there are links enough

    def place_of(self, whole: str) -> int:
        """Where an href leads that has not been seen: to the next URL, if it is the first that leads there."""
        href = _without_fragment(whole)
        count = len(self.urls)
        if count >= MAX_LINKS and href:
            place = self._place_within(href)
        elif (url := self._url_of(href)) is None:
            place = _NOWHERE
        else:
            place = self.places_of_urls.setdefault(url, count)
            if place == count:
                self.urls.append(url)
        self.places[whole] = place
        return place

    def _url_of(self, href: str) -> str | None:
        if not href:
            return self.own
        if self.in_folder is None or (url := self.in_folder[href]) == _NEEDS_PAGE:
            return resolve(href, self._base)
        return url

    def _place_within(self, href: str) -> int:
        """Of those that were kept."""
        if self._places_within is None:
            self._places_within = {_without_fragment(whole): place for whole, place in self.places.items()}
        place = self._places_within.get(href)
        if place is None:
            self.beyond.add(href)
            return _NOWHERE
        return place


def _without_fragment(whole: str) -> str:
    return (whole.partition("#")[0] if "#" in whole else whole).strip(_WHITESPACE)


def _named(detail: _Detail, anchors: Sequence[str] | None) -> _Detail:
    """The detail with a text instead of its caption: its own, or its link's where `anchors` are given."""
    place, position, caption, fragment = detail
    text = caption_text(caption) if anchors is None else anchors[place]
    return place, position, text or caption_name(caption), fragment


def resolve(href: str, base: str) -> str | None:
    """`href` against `base`; None where that is no http(s) URL, or `href` is empty or nothing but a fragment."""
    if not href or href[0] == "#":
        return None
    if type(base) is DocumentBase and not href.isascii():
        return normalize(href, base)
    url = _folder_of(base)[href]
    return normalize(href, base) if url == _NEEDS_PAGE else url


class _Folder(dict[str, str | None]):
    """Where hrefs lead from the pages of the folder `url`, each found out when it is first looked up: these pages share
    most of their links, and joining is expensive.

    `_NEEDS_PAGE` for what has no path, and so depends on more than the folder ('?x', also as 'http:?x').
    """

    __slots__ = ("url",)
    _resolved = 0  # in all folders that are remembered

    def __init__(self, url: str) -> None:
        self.url = url

    def __missing__(self, href: str) -> str | None:
        if href[0] == "?":
            return _NEEDS_PAGE
        url = join_plain(href, self.url)
        if url is None and (url := normalize(href, self.url)) is not None and url.partition("?")[0] == self.url:
            url = _NEEDS_PAGE
        if _Folder._resolved == _MAX_RESOLVED:
            _folder.cache_clear()
            _Folder._resolved = 0
        _Folder._resolved += 1
        self[href] = url
        return url


@lru_cache(maxsize=64)
def _folder_of(base: str) -> _Folder:
    """The folder of a page, or of whatever else its hrefs are resolved against."""
    return _folder(base.partition("?")[0].rpartition("/")[0] + "/")


@lru_cache(maxsize=1024)
def _folder(url: str) -> _Folder:
    return _Folder(url)


def _tokens(rel: str | None) -> str:
    return collapse(rel).lower() if rel else ""


@lru_cache(maxsize=256)
def read_rel(rel: str) -> tuple[str, bool]:
    """Its tokens in lower case, and whether one is nofollow. Commas part them, too: 'ugc,nofollow' is written, and read
    so by search engines.
    """
    tokens = _tokens(rel)
    return tokens, "nofollow" in tokens and "nofollow" in tokens.replace(",", " ").split()


def caption_text(caption: Caption) -> str:
    """The text of an element that links."""
    if isinstance(caption, str):
        return caption
    if isinstance(caption, tuple):
        return ""
    is_anchor = LINKING_TAGS[caption.tag_id] == "a"
    return text_of(caption) if is_anchor else collapse(caption.attributes.get("alt"))  # only areas have the latter


def caption_name(caption: Caption) -> str:
    """What a screen reader says of an element that has no text."""
    if isinstance(caption, LexborNode):
        return _label(caption.attributes) or image_alt(caption)
    return "" if isinstance(caption, str) else caption[0]


def _label(attributes: Mapping[str, str | None]) -> str:
    return collapse(attributes.get("aria-label")) or collapse(attributes.get("title"))


def _take_later_anchors(anchors: list[str], nameless: Mapping[int, list[Caption]]) -> None:
    """Put in, for the links whose first element has no text, the text of a later one, or else what one is called
    without a text. At most `MAX_NAMELESS` elements are looked at.
    """
    room = MAX_NAMELESS
    for place, captions in nameless.items():
        for number, caption in enumerate(captions[:room], start=1):
            if text := caption_text(caption):
                anchors[place] = text
                room -= number
                break
        else:
            anchors[place] = next(filter(None, map(caption_name, captions[:room])), "")
            room -= len(captions[:room])
