"""XML -> tags and text, in two ways: by the book (expat), and as it was meant where the document is not well-formed.

Nothing that the web calls XML is sure to be it: an unescaped `&`, a notice of PHP before the declaration, a missing end
tag. expat stops at the first error, and libxml2's recovery makes wrong URLs (`?a=1&b=2` becomes `?a=1=2`) and sees
nothing behind a notice. So the lenient scanner repairs as it goes: what is no markup is text, `&` stands for itself,
an end tag closes what was left open inside, and one that closes nothing is passed over.

Invariants: no entity is ever expanded but XML's own five, no external one is opened; both scanners work in pieces, and
where the pieces end changes nothing; text that cannot be known for certain comes with `DOUBT` in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from typing import Protocol
from xml.parsers import expat

DOUBT = "\ufffd"  # stands where a character is missing or was not to be had: no URL with it can be believed
MAX_TOKEN_BYTES = 1024 * 1024  # of a tag or comment: a parser starts over on it with each piece

_MAX_OPEN = 256  # elements: what is nested more deeply is not told of
_NO_XML_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NAME = r"""[^\W\d][^\s<>/="'&!?]*+"""
# The text before a tag, and the tag. The possessive quantifiers keep it linear, whatever stands there.
_TAG = re.compile(rf"""<(/?+)({_NAME})((?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)>""")
_LOOSE_TAG = re.compile(rf"<(/?+)({_NAME})[^<>]*+>")  # its attributes are anybody's guess
_MAY_BE_TAG = re.compile(r"</?+[^\W\d]")
_ATTRIBUTE = re.compile(r"""([^\s<>/="']++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s<>"']++))""")
_DOCTYPE_END = re.compile(r"\]\s*+>")
_DECLARATION = re.compile(r"<\?xml[\s?>]", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#(?:x([0-9a-f]{1,6});|([0-9]{1,7});|)|([a-z][a-z0-9]*);)", re.IGNORECASE)
_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_LONGEST_OPENING = len("<![CDATA[")


class Handler(Protocol):
    """What is told of a document. Raises `StopScanningError` where it has seen enough."""

    def ended_by(self, tag: str) -> int:
        """How many of the innermost open elements were left open by mistake, since this one begins now."""

    def start(self, tag: str, attributes: dict[str, str] | str) -> None:
        """An element begins; attributes as a mapping, or as they are written: see `attributes_of`."""

    def end(self, tag: str) -> None:
        """An element ends: the innermost one that is open, always."""

    def text(self, text: str, *, literal: bool) -> None:
        """Text, in any number of pieces. Where it is not `literal`, it is as written, entities and all: see
        `unescaped`.
        """


class StopScanningError(Exception):
    """Nothing more is wanted. `why` is for people, None where the document simply is no such document."""

    def __init__(self, why: str | None = None) -> None:
        super().__init__(why)
        self.why = why


class NotWellFormedError(Exception):
    """The document is no XML by the book."""


def scan_strictly(pieces: Iterable[str], handler: Handler) -> None:
    """Tell the handler what expat finds. Raises `NotWellFormedError`; not where the document only ends too early, and
    `StopScanningError` as the handler does.
    """
    _Strict(handler).scan(pieces)


def scan_leniently(pieces: Iterable[str], handler: Handler) -> None:
    """Tell the handler what was meant. Raises nothing but `StopScanningError`."""
    _Lenient(handler).scan(pieces)


def attributes_of(written: dict[str, str] | str) -> dict[str, str]:
    """The attributes of a tag; the first of equal names."""
    if isinstance(written, dict):
        return written
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(written):
        found.setdefault(name, unescaped(next(filter(None, values), "")))
    return found


def unescaped(text: str, *, html: bool = False) -> str:
    """The text with XML's own entities and character references resolved, a bare `&` standing for itself. Any other
    entity is in `DOUBT`, or HTML's where `html`.
    """
    if "&" not in text:
        return text
    replaced = _ENTITY.sub(_character, text)
    return unescape(text) if html and DOUBT in replaced else replaced


def _character(entity: re.Match[str]) -> str:
    hexadecimal, decimal, name = entity.groups()
    if name is not None:
        return _PREDEFINED.get(name, DOUBT)
    code = int(hexadecimal, 16) if hexadecimal else int(decimal) if decimal else 0
    if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000 or _NO_XML_CHARACTERS.match(chr(code)):
        return DOUBT
    return chr(code)


_NO_MORE_ELEMENTS = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]  # the end came while some were open


class _Strict:
    """expat. A document type may declare entities, which expat expands, or lets fall in an attribute without a word:
    such a document is `NotWellFormedError` here.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._fed_bytes = 0
        self._parser = expat.ParserCreate("utf-8")  # whatever the document declares: it is fed decoded text
        self._parser.buffer_text = True
        self._parser.StartElementHandler = handler.start
        self._parser.EndElementHandler = handler.end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse

    def scan(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self._feed(piece.encode(errors="replace"))
        try:
            self._parser.Parse(b"", True)  # newer versions of expat may have deferred the end
        except expat.ExpatError as error:
            if error.code != _NO_MORE_ELEMENTS:
                raise NotWellFormedError from error

    def _feed(self, encoded: bytes) -> None:
        self._fed_bytes += len(encoded)
        try:
            self._parser.Parse(encoded, False)
        except expat.ExpatError as error:
            raise NotWellFormedError from error
        if self._fed_bytes - self._parser.CurrentByteIndex > MAX_TOKEN_BYTES:
            raise StopScanningError(_TOO_LONG)

    def _text(self, text: str) -> None:
        self._handler.text(text, literal=True)

    def _refuse(self, *_doctype: object) -> None:
        raise NotWellFormedError


_TOO_LONG = "a tag or comment is longer than 1 MiB"


class _Lenient:
    """Keeps what is open, and what of the text is not clear yet before the next piece is there."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open: list[str] = []
        self._rest = ""

    def scan(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self._rest = self._tokens(self._rest + _NO_XML_CHARACTERS.sub(DOUBT, piece), last=False)
            if len(self._rest) > MAX_TOKEN_BYTES:
                raise StopScanningError(_TOO_LONG)
        self._tokens(self._rest, last=True)

    def _tokens(self, text: str, *, last: bool) -> str:
        """Tell of all that is clear; returns the rest."""
        at = 0
        while (opening := text.find("<", at)) >= 0:
            if opening > at:
                self._handler.text(text[at:opening], literal=False)
            tag = _TAG.match(text, opening)
            if tag is not None:
                self._tag(*tag.groups())
                at = tag.end()
                continue
            at = self._other(text, opening, last=last)
            if at < 0:
                return text[opening:]
        if at < len(text):
            self._handler.text(text[at:], literal=False)
        return ""

    def _other(self, text: str, opening: int, *, last: bool) -> int:
        """What is no tag by the book; returns where it ends, -1 where that is not clear yet."""
        if not last and len(text) - opening < _LONGEST_OPENING:
            return -1
        if text.startswith("<![CDATA[", opening):
            return self._literal(text, opening, last=last)
        if (end := _end_of_other(text, opening)) is not None:
            return len(text) if end < 0 and last else end
        if not _MAY_BE_TAG.match(text, opening):
            self._handler.text("<", literal=True)
            return opening + 1
        following = text.find("<", opening + 1)
        if following < 0 and not last:
            return -1
        tag = _LOOSE_TAG.match(text, opening)
        if tag is not None:
            slash, name = tag.groups()
            self._tag(slash, name, "/" if tag[0].endswith("/>") else "")
            return tag.end()
        if following < 0:
            return len(text)  # a tag that was cut off
        self._handler.text("<", literal=True)
        return opening + 1

    def _literal(self, text: str, opening: int, *, last: bool) -> int:
        end = text.find("]]>", opening)
        if end >= 0:
            self._handler.text(text[opening + _LONGEST_OPENING : end], literal=True)
            return end + 3
        return len(text) if last else -1

    def _tag(self, slash: str, name: str, attributes: str) -> None:
        if slash:
            if name in self._open:
                while self._close() != name:
                    pass
            return
        for _ in range(self._handler.ended_by(name)):
            self._close()
        if len(self._open) >= _MAX_OPEN:
            return
        self._open.append(name)
        self._handler.start(name, attributes)
        if attributes.endswith("/"):
            self._close()

    def _close(self) -> str:
        name = self._open.pop()
        self._handler.end(name)
        return name


def _end_of_other(text: str, opening: int) -> int | None:
    """Where a comment, a declaration or an instruction ends; -1: not in this text, None: it is none of these."""
    if text.startswith("<!--", opening):
        return _after(text, "-->", opening + 4)
    if text.startswith("<!", opening):
        return _after_declaration(text, opening)
    if _DECLARATION.match(text, opening):
        return _after(text, ">", opening)  # some forget its second question mark
    if text.startswith("<?", opening):
        return _after(text, "?>", opening + 2)
    return None


def _after_declaration(text: str, opening: int) -> int:
    end = _after(text, ">", opening)
    subset = text.find("[", opening, end if end >= 0 else len(text))
    if subset < 0:
        return end
    found = _DOCTYPE_END.search(text, subset)
    return -1 if found is None else found.end()


def _after(text: str, ending: str, start: int) -> int:
    end = text.find(ending, start)
    return -1 if end < 0 else end + len(ending)
