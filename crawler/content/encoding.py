"""Detects the character encoding of a document.

Invariant: nothing raises, whatever the bytes, and the answer is a name of the Encoding Standard's. `decode` reads the
bytes; it lives with the encodings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from crawler.charsets.decoder import decode
from crawler.charsets.labels import name_of
from crawler.content.encoding_guess import guess_encoding
from crawler.content.media_type import XML_TYPES, essence

__all__ = [
    "PRESCAN_BYTES",
    "UTF8_SAMPLE_BYTES",
    "Sniffed",
    "declared_by",
    "decode",
    "found_by",
    "scalar_text",
    "sniff",
    "sniffed",
]

PRESCAN_BYTES = 16 * 1024  # the standard stops at 1,024; real pages declare later
UTF8_SAMPLE_BYTES = 64 * 1024

_MAX_REMEMBERED_CHARS = 100  # of a declaration
_BETWEEN_ATTRIBUTES = b"\t\n\f\r /"
_DECLARING = ("charset", "http-equiv", "content")  # attributes of `<meta>`
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_UTF16_XML_STARTS = ((b"<\0?\0x\0", "utf-16le"), (b"\0<\0?\0x", "utf-16be"))
_HTTP_CHARSET = re.compile(r"""(?:^|[;,\s])charset\s*=\s*(?:"([^"]*)"?|'([^']*)'?|([^\s;,"']+))""", re.IGNORECASE)
_META_CHARSET = re.compile(
    rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"'][^\t\n\f\r ;]*))""", re.IGNORECASE
)
_XML_ENCODING = re.compile(rb"""[\t\n\f\r ]*<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
_ATTRIBUTE = (
    rb"""[\t\n\f\r /]*%b([^\t\n\f\r />][^\t\n\f\r />=]*)"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)(?:"|\Z)|'([^']*)(?:'|\Z)|([^\t\n\f\r >"'][^\t\n\f\r >]*)|))?"""
)
_ATTRIBUTE_OF_META = re.compile(_ATTRIBUTE % b"")
_ANY, _NO_DECLARATION = (  # without groups
    re.sub(rb"\((?=\[)", b"(?:", _ATTRIBUTE % but) for but in (b"", b"(?!charset|http-equiv)")
)
_PLAIN_ATTRIBUTES = rb"""(?>[\t\n\f\r ]++%b[a-z-]++(?:="[^"]*+")?+)*+"""  # as most are written
# All that comes before a `<meta>` that may declare something: text, tags and a `<meta>` as most are written, which is
# found in half the time; then comments ('<!-->' is a whole one), other tags, and what else ends at a '>'. What is
# repeated is atomic: Python 3.11.2 goes wrong where it is not.
_BEFORE_DECLARATION = re.compile(
    rb"(?>[^<]++|<(?!meta)/?[a-z][a-z0-9]*+%b>|<meta%b[\t\n\f\r /]*+>|<!(?=--)(?>[^-]++|-(?!->))*+(?:-->)?"
    rb"|<(?!meta[\t\n\f\r /])/?[a-z][^\t\n\f\r >]*+(?>%b)*+|<meta(?>%b)*+(?=[\t\n\f\r /]*+(?:>|\Z))"
    rb"|<[!/?][^>]*+|<(?![!/?a-z]))*+"
    % (_PLAIN_ATTRIBUTES % b"", _PLAIN_ATTRIBUTES % b"(?!charset|http-equiv)", _ANY, _NO_DECLARATION),
    re.IGNORECASE,
)


class Sniffed(NamedTuple):
    """The encoding of a document, and what says so.

    `name` is the standard's, lower case. `source` is `bom` (a byte-order mark), `header` (Content-Type), `meta`, `xml`
    (its declaration, or that it begins as XML in UTF-16), `utf-8` (nothing, but the bytes are UTF-8), `guess` (nothing;
    it is likely by its letters) or `default` (nothing; windows-1252).
    """

    name: str
    source: str

    @property
    def is_certain(self) -> bool:
        """Whether no `<meta>` that the parser meets may change it (WHATWG HTML, "changing the encoding")."""
        return self.source in ("bom", "header") or self.name.startswith("utf-16")


found_by = lru_cache(maxsize=512)(Sniffed)  # there are few, each for many pages


def sniff(body: bytes, content_type: str | None = None) -> str:
    """The WHATWG name, lower case, of the encoding to read `body` with; see `sniffed`."""
    return sniffed(body, content_type).name


def sniffed(body: bytes, content_type: str | None = None) -> Sniffed:
    """The encoding to read `body` with, and what says so.

    In this order: a byte-order mark, the `charset` of the Content-Type header, the `<meta>` prescan (not of what is
    sent as XML), the XML declaration; then UTF-8 if the bytes are UTF-8, otherwise a guess, or windows-1252 where there
    is too little to guess by. Labels unknown to the standard are ignored. In HTML, a `<meta>` that the parser meets
    later comes before all that is not certain: `declared_by` reads it.
    Source: WHATWG HTML, "Determining the character encoding" and "prescan a byte stream".
    """
    if name := _by_start(body, _BOMS):
        return found_by(name, "bom")
    if name := _http_charset(content_type):
        return found_by(name, "header")
    if name := _by_start(body, _UTF16_XML_STARTS):
        return found_by(name, "xml")
    if essence(content_type) not in XML_TYPES and (name := _prescan(body[:PRESCAN_BYTES])):
        return found_by(name, "meta")
    if name := _xml_encoding(body):
        return found_by(name, "xml")
    if _looks_like_utf8(body):
        return found_by("utf-8", "utf-8")
    if name := guess_encoding(body):
        return found_by(name, "guess")
    return found_by("windows-1252", "default")


def declared_by(metas: Iterable[Mapping[str, str | None]]) -> str | None:
    """The encoding that the first usable declaration among `<meta>` elements, given by their attributes, names."""
    for attributes in metas:
        if "charset" in attributes or "http-equiv" in attributes:
            said = tuple([(name, attributes[name] or "") for name in _DECLARING if name in attributes])
            is_short = sum(len(value) for _name, value in said) <= _MAX_REMEMBERED_CHARS
            if name := _remembered_name(said) if is_short else _name_said(said):
                return name
    return None


def _name_said(attributes: Iterable[tuple[str, str]]) -> str | None:
    return _meta_encoding({name.encode(): value.encode() for name, value in attributes})


_remembered_name = lru_cache(maxsize=64)(_name_said)  # the pages of a site have the same as a rule


def scalar_text(text: str) -> str:
    """`text` with each NUL and each lone surrogate replaced by U+FFFD; the same object where it has neither."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()  # much faster than searching for surrogates
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _by_start(body: bytes, starts: tuple[tuple[bytes, str], ...]) -> str | None:
    for start, name in starts:
        if body.startswith(start):
            return name
    return None


def _http_charset(content_type: str | None) -> str | None:
    found = _HTTP_CHARSET.search(content_type or "")
    return name_of(next(filter(None, found.groups()), "")) if found else None


def _declared_name(label: bytes) -> str | None:
    """The name for a label that was read as ASCII; the document cannot be UTF-16 then, whatever the label says."""
    name = name_of(label.decode("latin-1"))
    return "utf-8" if name in ("utf-16le", "utf-16be") else name


def _prescan(head: bytes) -> str | None:
    """The first usable `<meta>` declaration, by the standard's prescan."""
    if b"charset" not in head and b"charset" not in head.lower():
        return None
    position = 0
    while (start := _end_of(_BEFORE_DECLARATION, head, position)) < len(head):
        start += len("<meta")
        tag = head[start : head.find(b">", start, start + _MAX_REMEMBERED_CHARS) + 1]
        is_whole, name = _read_tag(tag) if tag else (False, None)
        if is_whole:
            position = start + len(tag)
        else:
            attributes, position = _attributes(head, start)
            name = _meta_encoding(attributes)
        if name:
            return name
    return None


@lru_cache(maxsize=64)
def _read_tag(tag: bytes) -> tuple[bool, str | None]:
    """Whether the first '>' ends this tag (it may stand in an attribute), and the encoding that the tag declares.

    `tag` is without its name, and ends with that '>'.
    """
    attributes, position = _attributes(tag, 0)
    return tag[position:].lstrip(_BETWEEN_ATTRIBUTES) == b">", _meta_encoding(attributes)


def _attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of the tag whose name ends at `position` (the first of equal names), and the tag's end."""
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE_OF_META.match(head, position):
        name, double_quoted, quoted, unquoted = found.groups()
        attributes.setdefault(name.lower(), double_quoted or quoted or unquoted or b"")
        position = found.end()
    return attributes, position


def _end_of(pattern: re.Pattern[bytes], head: bytes, position: int) -> int:
    found = pattern.match(head, position)
    return found.end() if found else position


def _meta_encoding(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        name = _declared_name(attributes[b"charset"])
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _META_CHARSET.search(attributes.get(b"content", b""))
        name = _declared_name(next(filter(None, found.groups()), b"")) if found else None
    else:
        return None
    return "windows-1252" if name == "x-user-defined" else name


def _xml_encoding(body: bytes) -> str | None:
    found = _XML_ENCODING.match(body[:PRESCAN_BYTES])
    return _declared_name(found[1]) if found else None


def _looks_like_utf8(body: bytes) -> bool:
    sample = body[:UTF8_SAMPLE_BYTES]
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        # A sequence cut off by the end of the sample, or of a body that was cut at the size limit, proves nothing.
        cut_off = error.reason == "unexpected end of data"
        return cut_off and (len(sample) < len(body) or not sample[: error.start].isascii())
    return True
