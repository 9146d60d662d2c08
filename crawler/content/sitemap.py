"""Sitemaps, sitemap indexes, RSS, Atom and lists of URLs -> entries. Pure: bytes in, records out.

Invariants: `read_sitemap` never raises, whatever the bytes, and an error in the middle of a file does not lose the
entries before it. Bodies are unpacked, decoded and parsed in pieces, so that memory is bounded by the entries. Reading
stops at an entity declaration (no expansion bombs), and external entities are never opened.

Names are compared by their local part, in lower case, because namespaces are so often wrong in the wild. An image's
`<loc>` is not taken for the entry's, because only the direct children of an entry count.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, islice
from typing import NamedTuple
from xml.parsers import expat

from crawler.dates import unix_time
from crawler.records import SitemapEntry
from crawler.urls import normalize

MAX_ENTRIES = 50_000  # what sitemaps.org allows in one file
MAX_DECODED_BYTES = 50 * 1024 * 1024  # likewise, unpacked
MAX_GZIP_MEMBERS = 10_000  # each costs a new decompressor, however short it is
MAX_DEPTH = 64  # of nested elements: the XML parser's memory grows with it
MAX_NODES = 1_000_000  # elements and attributes, or lines: 50 bytes each in a real file, two in a hostile one
MAX_TOKEN_BYTES = 1024 * 1024  # of a tag or comment: the XML parser starts over on it with each piece
MAX_FIELD_CHARS = 64 * 1024  # a longer text is neither a URL nor a date

_PIECE_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_INPUT_BYTES = 4 * 1024  # small, because the input after the end of a member is copied each time
_DECLARATION_BYTES = 1024  # within which an XML declaration ends
_BLANK = " \t\r\n\ufeff"
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.-]+)["']""", re.ASCII)
# Text encodings that are supersets of ASCII. Python knows others, some of them harmful ("unicode_escape").
_ASCII_SUPERSET = re.compile(
    r"iso-8859-\d\d?|latin-?1|(?:windows-|cp)125\d|koi8-[ru]|gb(?:2312|k|18030)|big5|shift_jis|euc-(?:jp|kr)", re.ASCII
)
_LISTED_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_MAX_DATE_CHARS = 100
_W3C_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)? ?([Zz]|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)


class _Shape(NamedTuple):
    """Where a format keeps its entries, and which of their fields we read."""

    entries: frozenset[str]
    url_field: str
    date_fields: frozenset[str]
    url_in_href: bool = False


_SITEMAP = _Shape(frozenset({"url", "sitemap"}), "loc", frozenset({"lastmod"}))
_RSS = _Shape(frozenset({"item"}), "link", frozenset({"pubdate", "date"}))
_ATOM = _Shape(frozenset({"entry"}), "link", frozenset({"updated"}), url_in_href=True)
_SHAPES = {"urlset": _SITEMAP, "sitemapindex": _SITEMAP, "rss": _RSS, "rdf": _RSS, "feed": _ATOM}


class _Found(NamedTuple):
    """An entry as written."""

    href: str
    date: str = ""
    is_sitemap: bool = False


class _ParsingStoppedError(Exception):
    """Raised by a handler to stop the XML parser."""


def read_sitemap(body: bytes, url: str) -> list[SitemapEntry]:
    """The entries of the sitemap, sitemap index, feed or list of URLs in `body`; none if it is something else.

    `body` may be gzipped, whatever its name. URLs are resolved against `url` (in a list they must be absolute) and
    normalized; what is not an http(s) URL is left out. Returns at most `MAX_ENTRIES`, from at most `MAX_DECODED_BYTES`.
    Sources: the sitemaps.org protocol 0.9, RSS 2.0 and 1.0, RFC 4287 (Atom).
    """
    pieces = _without_leading_blanks(_decoded(_capped(_unpacked(body))))
    first = next(pieces, "")
    read = _xml_entries if first.startswith("<") else _listed_urls
    found = islice(read(chain([first], pieces)), MAX_ENTRIES)
    return [entry for entry in (_entry(one, url) for one in found) if entry]


def _entry(found: _Found, base: str) -> SitemapEntry | None:
    url = normalize(found.href, base) if found.href else None
    return SitemapEntry(url=url, lastmod=_unix_time(found.date), is_sitemap=found.is_sitemap) if url else None


def _unpacked(body: bytes) -> Iterator[bytes]:
    if body.startswith(_GZIP_MAGIC):
        return _gunzipped(body)
    return (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))


def _gunzipped(body: bytes) -> Iterator[bytes]:
    """What can be unpacked, member by member (RFC 1952), up to the first error or at most 4 KiB before it."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    members_left = MAX_GZIP_MEMBERS
    for start in range(0, len(body), _GZIP_INPUT_BYTES):
        packed = body[start : start + _GZIP_INPUT_BYTES]
        while packed:
            try:
                yield inflater.decompress(packed, _PIECE_BYTES)
            except zlib.error:
                return
            packed = inflater.unconsumed_tail
            if inflater.eof:
                members_left -= 1
                if not members_left:
                    return
                packed = inflater.unused_data
                inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _capped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    left = MAX_DECODED_BYTES
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _decoded(pieces: Iterator[bytes]) -> Iterator[str]:
    """Text, with U+FFFD for invalid bytes: one bad byte in a title must not stop the parser."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _DECLARATION_BYTES:
            break
    decoder = codecs.getincrementaldecoder(_encoding_of(head[:_DECLARATION_BYTES]))(errors="replace")
    for piece in chain([head], pieces):
        yield decoder.decode(piece)
    yield decoder.decode(b"", True)


def _encoding_of(head: bytes) -> str:
    """By the byte order mark, by the zeros of UTF-16, or as declared (XML 1.0, appendix F); UTF-8 otherwise."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if head[:1] == b"\0":
        return "utf-16-be"
    if head[1:2] == b"\0":
        return "utf-16-le"
    declared = _DECLARED_ENCODING.match(head)
    name = declared[1].decode("ascii").lower() if declared else ""
    try:
        return codecs.lookup(name).name if _ASCII_SUPERSET.fullmatch(name) else "utf-8"
    except LookupError:
        return "utf-8"


def _without_leading_blanks(pieces: Iterator[str]) -> Iterator[str]:
    """XML allows nothing before its declaration, yet many sites send an empty line there."""
    for piece in pieces:
        if stripped := piece.lstrip(_BLANK):
            yield stripped
            break
    yield from pieces


def _listed_urls(pieces: Iterable[str]) -> Iterator[_Found]:
    """One absolute URL per line. If the first line is not a URL, this is some other text, without entries."""
    rest = ""
    seen_any = False
    lines_left = MAX_NODES
    for piece in chain(pieces, ["\n"]):
        *lines, rest = re.split(r"[\r\n]+", rest + piece)
        lines_left -= len(lines)
        for line in filter(None, (line.strip(_BLANK) for line in lines)):
            if _LISTED_URL.fullmatch(line):
                seen_any = True
                yield _Found(line)
            elif not seen_any:
                return
        if len(rest) > MAX_FIELD_CHARS or lines_left < 0:
            return


def _xml_entries(pieces: Iterable[str]) -> Iterator[_Found]:
    document = _Document()
    for piece in pieces:
        goes_on = document.feed(piece)
        yield from document.take()
        if not goes_on:
            return
    document.feed("", last=True)  # newer versions of expat may have deferred the end
    yield from document.take()


class _Document:
    """Collects entries while the parser walks through a document."""

    def __init__(self) -> None:
        self._found: list[_Found] = []
        self._depth = 0
        self._nodes_left = MAX_NODES
        self._fed_bytes = 0
        self._shape = _SITEMAP
        self._entry_depth = 0  # 0: not within an entry
        self._href = self._date = ""
        self._is_sitemap = False
        self._text: list[str] | None = None  # of the current field, if any
        self._text_chars = 0
        self._parser = expat.ParserCreate("utf-8")  # whatever the document declares: `feed` encodes decoded text
        self._parser.buffer_text = True
        self._parser.UseForeignDTD(True)  # skips an undefined &nbsp; in a feed's title, which would be fatal otherwise
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.SkippedEntityHandler = self._void_field

    def feed(self, piece: str, last: bool = False) -> bool:
        """Parse a piece; False once parsing cannot continue."""
        encoded = piece.encode()
        self._fed_bytes += len(encoded)
        try:
            self._parser.Parse(encoded, last)
        except (expat.ExpatError, _ParsingStoppedError):
            return False
        return self._fed_bytes - self._parser.CurrentByteIndex <= MAX_TOKEN_BYTES

    def take(self) -> list[_Found]:
        """The entries completed since the last call."""
        found, self._found = self._found, []
        return found

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._nodes_left -= 1 + len(attributes)
        if self._depth > MAX_DEPTH or self._nodes_left < 0:
            raise _ParsingStoppedError
        name = _local_name(tag)
        if self._depth == 1:
            self._start_root(name)
        elif not self._entry_depth:
            if name in self._shape.entries:
                self._entry_depth = self._depth
                self._href = self._date = ""
                self._is_sitemap = name == "sitemap"
        elif self._depth == self._entry_depth + 1:
            self._start_field(name, attributes)

    def _start_root(self, name: str) -> None:
        if name not in _SHAPES:
            raise _ParsingStoppedError
        self._shape = _SHAPES[name]

    def _start_field(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._shape.url_field and self._shape.url_in_href:
            if attributes.get("rel", "alternate") == "alternate":
                self._href = self._href or attributes.get("href", "").strip()
        elif name == self._shape.url_field or name in self._shape.date_fields:
            self._text, self._text_chars = [], 0

    def _characters(self, text: str) -> None:
        if self._text is not None and self._depth == self._entry_depth + 1:
            self._text_chars += len(text)
            if self._text_chars <= MAX_FIELD_CHARS:
                self._text.append(text)

    def _end(self, tag: str) -> None:
        if self._entry_depth and self._depth == self._entry_depth + 1 and self._text is not None:
            self._end_field(_local_name(tag))
        elif self._depth == self._entry_depth:
            self._found.append(_Found(self._href, self._date, self._is_sitemap))
            self._entry_depth = 0
        self._depth -= 1

    def _end_field(self, name: str) -> None:
        text = "".join(self._text or ()).strip() if self._text_chars <= MAX_FIELD_CHARS else ""
        self._text = None
        if name == self._shape.url_field:
            self._href = self._href or text
        else:
            self._date = self._date or text

    def _void_field(self, _name: str, _is_parameter: bool) -> None:
        self._text_chars = MAX_FIELD_CHARS + 1  # a URL with a part missing is another URL

    def _refuse_entity(self, *_declaration: object) -> None:
        raise _ParsingStoppedError


def _local_name(tag: str) -> str:
    return tag.rpartition(":")[2].lower()


def _unix_time(text: str) -> float | None:
    """Unix seconds of a W3C or RFC 5322 date (UTC if it has no zone); None for anything else, and before 1970."""
    if not text or len(text) > _MAX_DATE_CHARS:
        return None
    try:
        seconds = _w3c_time(match) if (match := _W3C_DATE.fullmatch(text)) else unix_time(text)
    except (ValueError, OverflowError):
        return None
    return None if seconds is None or seconds < 0 else seconds


def _w3c_time(match: re.Match[str]) -> float:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = datetime(
        int(year),
        int(month or 1),
        int(day or 1),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        tzinfo=_zone(zone),
    )
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
