"""The entries of a sitemap, a sitemap index, RSS or Atom, from the tags and texts of its XML.

Names are compared by their local part, in lower case, because namespaces are so often wrong in the wild; so an image's
`<loc>` is not taken for the entry's, because only the direct children of an entry count, and a few of theirs by name.
Invariant: a URL that had to be guessed is left out. An element that was not closed is one only where what begins next
shows where it ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from typing import Any

from crawler.content.entry_dates import entry_time
from crawler.content.xml_events import DOUBT, StopScanningError, attributes_of, unescaped
from crawler.records import UrlKind
from crawler.statically_frozen import dataclass
from crawler.urls import normalize

MAX_DEPTH = 64  # of nested elements: nothing is read more deeply
MAX_NODES = 2_000_000  # elements and attributes: 25 bytes each in a real file, two in a hostile one
MAX_FIELD_CHARS = 64 * 1024  # a longer text is neither a URL nor a date
MAX_LISTED = 100  # alternates or images of one entry
MAX_TITLE_CHARS = 500
MAX_LANGUAGE_CHARS = 35  # RFC 5646, 4.4.1
MAX_NAMES = 1000  # that are remembered

_ALTERNATE = re.compile(r"(?:http://www\.iana\.org/assignments/relation/)?alternate", re.IGNORECASE)
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_PRIORITY = re.compile(r"\+?(?:0(?:[.,]\d{1,6})?|[.,]\d{1,6}|1(?:[.,]0{1,6})?)", re.ASCII)
_NOTICE = re.compile(r"b|br|center|code|div|em|font|h\d|hr|i|p|pre|span|strong|t(?:able|body|d|h|r)|u")
_FREQUENCIES = {"always", "hourly", "daily", "weekly", "monthly", "yearly", "never"}
_LINK, _HREF, _PERMALINK, _ABOUT = range(4)  # of an entry's URLs, the lowest counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Where a format keeps its entries. `fields` are read as text, by their path within the entry; dates are worth more
    the higher their rank. What begins with one of `siblings` ends a field that was left open.
    """

    kind: UrlKind
    entries: frozenset[str]
    url: str | None
    dates: dict[str, int]
    fields: frozenset[str]
    siblings: frozenset[str]
    nests: frozenset[str] = frozenset()


def _shape(kind: UrlKind, entries: str, url: str | None, dates: dict[str, int], others: str, ignored: str) -> _Shape:
    fields = frozenset([*([url] if url else ()), *dates, *others.split()])
    direct = frozenset(path for path in fields if "/" not in path)
    nests = frozenset(path.partition("/")[0] for path in fields - direct)
    return _Shape(
        kind=kind,
        entries=frozenset(entries.split()),
        url=url,
        dates=dates,
        fields=fields,
        siblings=direct | nests | frozenset(ignored.split()),
        nests=nests,
    )


_SITEMAP = _shape(
    UrlKind.SITEMAP,
    "url sitemap",
    "loc",
    {"lastmod": 2, "news/publication_date": 1},
    "changefreq priority image/loc news/title",
    "link video",
)
_RSS = _shape(
    UrlKind.FEED,
    "item",
    "link",
    {"pubdate": 2, "date": 2, "updated": 3, "modified": 3, "published": 1, "issued": 1, "created": 1},
    "guid title",
    "description author category comments enclosure source encoded creator",
)
_ATOM = _shape(
    UrlKind.FEED,
    "entry",
    None,
    {"updated": 3, "modified": 3, "published": 1, "issued": 1, "created": 1},
    "title",
    "link id summary content author contributor category rights source",
)
_SHAPES = {"urlset": _SITEMAP, "sitemapindex": _SITEMAP, "rss": _RSS, "rdf": _RSS, "feed": _ATOM}


@dataclass(slots=True)
class Found:
    """An entry, its URLs resolved. `rank` is that of its URL, `date_rank` that of `lastmod` (Unix seconds)."""

    is_sitemap: bool = False
    url: str | None = None
    rank: int = _ABOUT + 1
    lastmod: float | None = None
    date_rank: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class XmlListing:
    """A `Handler` that tells `found` of each entry. `lenient`: the document is not well-formed.

    Raises `StopScanningError` where the document is something else, or beyond the limits.
    """

    def __init__(self, url: str, found: Callable[[Found], None], *, lenient: bool) -> None:
        self.kind = UrlKind.SITEMAP
        self._found = found
        self._lenient = lenient
        self._bases = [(0, url)]  # of the open elements that have one of their own, with their depths
        self._names: dict[str, str] = {}  # of tags
        self._nodes_left = MAX_NODES
        self._depth = 0
        self._shape: _Shape | None = None
        self._entry: Found | None = None
        self._entry_tag = ""
        self._entry_depth = 0
        self._entry_text = _Text()
        self._nest: str | None = None
        self._path = ""  # of the field that is open
        self._field_depth = 0  # 0: none is
        self._field_text = _Text()
        self._is_permalink = True

    # --- what a scanner tells ---------------------------------------------------------------------------------------

    def ended_by(self, tag: str) -> int:
        """See `Handler.ended_by`."""
        if self._entry is None or self._shape is None:
            return 0
        if tag == self._entry_tag:
            return self._depth - self._entry_depth + 1
        return int(
            self._depth == self._field_depth == self._entry_depth + 1 and self._name(tag) in self._shape.siblings
        )

    def start(self, tag: str, attributes: dict[str, str] | str) -> None:
        """See `Handler.start`."""
        self._depth += 1
        self._nodes_left -= 1 + (attributes.count("=") if isinstance(attributes, str) else len(attributes))
        if self._nodes_left < 0:
            raise StopScanningError(f"it has more than {MAX_NODES:,} elements and attributes")
        if attributes and "xml:base" in attributes:
            self._note_base(attributes_of(attributes).get("xml:base", ""))
        name = self._names.get(tag) or self._name(tag)
        if self._entry is not None:
            self._start_within(name, attributes)
        elif self._shape is None:
            self._start_root(name)
        elif name in self._shape.entries:
            self._start_entry(tag, name, attributes)
        elif self._depth > MAX_DEPTH:
            raise StopScanningError(f"its elements are nested more than {MAX_DEPTH} deep")

    def end(self, _tag: str) -> None:
        """See `Handler.end`."""
        depth = self._depth
        if self._entry is not None:
            if depth == self._field_depth:
                self._end_field(self._entry, self._field_text.take())
                self._field_depth = 0
            elif depth == self._entry_depth:
                self._end_entry(self._entry)
        self._depth -= 1
        if self._bases[-1][0] == depth:
            self._bases.pop()

    def text(self, text: str, *, literal: bool) -> None:
        """See `Handler.text`."""
        if self._depth == self._field_depth:
            self._field_text.add(text, literal=literal)
        elif self._depth == self._entry_depth:
            self._entry_text.add(text, literal=literal)

    # --- how it begins ----------------------------------------------------------------------------------------------

    def _start_root(self, name: str) -> None:
        """What a script complains of before the document is passed over."""
        self._shape = _SHAPES.get(name)
        if self._shape is not None:
            self.kind = self._shape.kind
        elif not _NOTICE.fullmatch(name):
            raise StopScanningError

    def _start_entry(self, tag: str, name: str, attributes: dict[str, str] | str) -> None:
        self._entry = Found(is_sitemap=name == "sitemap")
        self._entry_tag, self._entry_depth = tag, self._depth
        self._nest, self._field_depth = None, 0
        if self._shape is _RSS and "rdf:about" in attributes:
            self._offer(self._entry, attributes_of(attributes).get("rdf:about", ""), _ABOUT)

    def _start_within(self, name: str, attributes: dict[str, str] | str) -> None:
        if self._shape is None or self._entry is None or self._depth > MAX_DEPTH:
            return
        if self._field_depth:
            if self._lenient:
                self._field_text.add(DOUBT, literal=True)  # was it meant to be part of it?
            return
        level = self._depth - self._entry_depth
        if level == 1:
            path, self._nest = name, name if name in self._shape.nests else None
            if name == "link" and attributes:
                self._link(self._entry, attributes_of(attributes))
            elif name == "guid":
                self._is_permalink = attributes_of(attributes).get("isPermaLink", "true").strip().lower() != "false"
        elif level == 2 and self._nest is not None:
            path = f"{self._nest}/{name}"
        else:
            return
        if path in self._shape.fields:
            self._path, self._field_depth = path, self._depth
            self._field_text.take()

    def _link(self, entry: Found, attributes: dict[str, str]) -> None:
        if not any(map(_ALTERNATE.fullmatch, attributes.get("rel", "alternate").split())):
            return
        href = attributes.get("href", "")
        if self._shape is not _SITEMAP:
            self._offer(entry, href, _HREF if self._shape is _RSS else _LINK)
        elif (language := attributes.get("hreflang")) and (url := self._resolved(href)):
            self._list(entry, "alternates", [language.strip()[:MAX_LANGUAGE_CHARS], url])

    # --- how it ends ------------------------------------------------------------------------------------------------

    def _end_field(self, entry: Found, text: str) -> None:
        path, shape = self._path, self._shape
        value = unescaped(text).strip()
        if shape is None or not value:
            return
        if path in shape.dates:
            self._offer_date(entry, value, shape.dates[path])
        elif path == shape.url:
            self._offer(entry, value, _LINK)
        elif path == "guid":
            if self._is_permalink and _ABSOLUTE.match(value):
                self._offer(entry, value, _PERMALINK)
        elif path.endswith("title"):
            entry.facts["title"] = " ".join(unescaped(text, html=True).split())[:MAX_TITLE_CHARS]
        else:
            self._note_fact(entry, path, value)

    def _offer_date(self, entry: Found, text: str, rank: int) -> None:
        if rank > entry.date_rank and (moment := entry_time(text)) is not None:
            entry.lastmod, entry.date_rank = moment, rank

    def _note_fact(self, entry: Found, path: str, value: str) -> None:
        if path == "image/loc":
            if url := self._resolved(value):
                self._list(entry, "images", url)
        elif path == "priority":
            if _PRIORITY.fullmatch(value):
                entry.facts["priority"] = float(value.replace(",", "."))
        elif path == "changefreq" and value.lower() in _FREQUENCIES:
            entry.facts["changefreq"] = value.lower()

    def _end_entry(self, entry: Found) -> None:
        text = self._entry_text.take()
        if entry.url is None and self._shape is _SITEMAP:
            value = unescaped(text).strip()  # some write `<sitemap>URL</sitemap>`
            if _ABSOLUTE.match(value):
                self._offer(entry, value, _LINK)
        self._entry, self._entry_depth = None, 0
        if entry.url is not None:
            self._found(entry)

    # --- URLs -------------------------------------------------------------------------------------------------------

    def _offer(self, entry: Found, href: str, rank: int) -> None:
        """A URL for the entry, where it has no better one; the first of equal ones stays."""
        if rank < entry.rank and (url := self._resolved(href)):
            entry.url, entry.rank = url, rank

    def _resolved(self, href: str) -> str | None:
        href = href.strip()
        return normalize(href, self._bases[-1][1]) if href and DOUBT not in href else None

    def _note_base(self, href: str) -> None:
        if base := self._resolved(href):
            self._bases.append((self._depth, base))

    @staticmethod
    def _list(entry: Found, name: str, value: object) -> None:
        listed = entry.facts.setdefault(name, [])
        if len(listed) < MAX_LISTED:
            listed.append(value)

    def _name(self, tag: str) -> str:
        """The local part, in lower case; there are few of them, each many times."""
        name = tag.rpartition(":")[2].lower()
        if len(self._names) < MAX_NAMES:
            self._names[tag] = name
        return name


class _Text:
    """Text that comes in pieces; too much of it is in `DOUBT`."""

    __slots__ = ("_chars", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._chars = 0

    def add(self, text: str, *, literal: bool) -> None:
        self._chars += len(text)
        if self._chars <= MAX_FIELD_CHARS:
            self._pieces.append(text.replace("&", "&amp;") if literal and "&" in text else text)

    def take(self) -> str:
        """Return the collected text, and start anew."""
        text = DOUBT if self._chars > MAX_FIELD_CHARS else "".join(self._pieces)
        self._pieces.clear()
        self._chars = 0
        return text
