"""XHTML, which is read by the rules of XML, written as the HTML that says the same: so one reader reads both.

In XML `<script src="a.js"/>` ends where it stands, `<div/>` is empty, text in scripts may be escaped, and `xml:lang`
counts; by the rules of HTML the first of these loses the rest of the page.

Invariants: the work is linear and never recurses. No entity is declared, expanded or fetched: a document that declares
some of its own is left to the rules of HTML, and those of HTML are characters before the document is parsed.
"""

from __future__ import annotations

import re
from html import escape
from html.entities import html5
from xml.parsers import expat

HEAD_BYTES = 16 * 1024  # within which the root element begins

_XHTML, _SVG, _MATHML = (f"http://www.w3.org/{path}" for path in ("1999/xhtml", "2000/svg", "1998/Math/MathML"))
_XML, _XLINK = "http://www.w3.org/XML/1998/namespace", "http://www.w3.org/1999/xlink"
_BUFFER_BYTES = 64 * 1024

_VOID = frozenset(
    {
        *("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link"),
        *("meta", "param", "source", "track", "wbr"),
    }
)
_TEXT_ONLY = frozenset({"script", "style", "textarea", "title"})  # HTML knows no elements in them
_UNREAD = frozenset(
    {"iframe", "noembed", "noframes", "style"}
)  # in XML they may hold elements, but nothing that is shown
_RENAMED = {
    "plaintext": "pre",
    "xmp": "pre",
    "listing": "pre",
}  # in HTML they are not for elements, and the first never ends
_LOSES_FIRST_LINE_END = frozenset({"pre", "textarea"})
# What would end a script too early in HTML, or never. In JSON and JavaScript it is the same when it is written so.
_ENDS_SCRIPT = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)
_LESS_THAN = "\\u003c"

_REFERENCE = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|&([A-Za-z][A-Za-z0-9]*;)", re.DOTALL)
_PREDEFINED = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_PROLOG = re.compile(r"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*+(?:\[.*?\]\s*+)?+>)*+", re.DOTALL)
_ROOT_IS_HTML = re.compile(r"<(?:[\w.-]++:)?html[\s/>]")


def begins_as_xhtml(head: str, *, whole: bool = True) -> bool:
    """Whether the root element of an XML document that begins so is `html`; also where it may yet be, since the head
    ends before it and is not the `whole` of what is looked at.
    """
    prolog = _PROLOG.match(head)
    end = prolog.end() if prolog is not None else 0
    if _ROOT_IS_HTML.match(head, end):
        return True
    return not whole and (end == len(head) or head.startswith(("<?", "<!"), end))


def as_html(text: str) -> str | None:
    """The XHTML document `text` as HTML; None where it is not well-formed, or declares entities."""
    writer = _Writer()
    try:
        writer.parse(_REFERENCE.sub(_character, text.lstrip()))
    except (expat.ExpatError, _UnknownEntityError, _DeclaringError):
        return None
    return "".join(writer.parts)


class _UnknownEntityError(Exception):
    pass


class _DeclaringError(Exception):
    """The document type has declarations of its own."""


def _character(reference: re.Match[str]) -> str:
    """The character of an entity of HTML, which XHTML has by its document type; all else as it is."""
    name = reference[1]
    if name is None or name in _PREDEFINED:
        return reference[0]
    if name not in html5:
        raise _UnknownEntityError(name)
    return escape(html5[name])


class _Writer:
    """Writes down what the parser tells of."""

    def __init__(self) -> None:
        self.parts: list[str] = ["<!DOCTYPE html>"]
        self._text_only: str | None = None  # the element of that kind that is open
        self._depth = 0  # of elements in it
        self._text: list[str] = []

    def parse(self, text: str) -> None:
        parser = expat.ParserCreate("utf-8", " ")  # whatever the document declares: it is decoded text
        parser.buffer_text = True
        parser.buffer_size = _BUFFER_BYTES
        parser.specified_attributes = True
        parser.StartDoctypeDeclHandler = _refuse_declarations
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._write_text
        parser.Parse(text.encode(), True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._text_only:
            self._depth += 1
            return
        tag = _tag(name)
        if not tag:
            return
        self.parts.append(f"<{tag}{''.join(_written(attributes))}>")
        if tag in _LOSES_FIRST_LINE_END:
            self.parts.append("\n")
        if tag in _TEXT_ONLY or tag in _UNREAD:
            self._text_only, self._depth = tag, 0

    def _end(self, name: str) -> None:
        if self._text_only and self._depth:
            self._depth -= 1
            return
        if self._text_only:
            self.parts.append(_content(self._text_only, "".join(self._text)))
            self._text_only = None
            self._text.clear()
        tag = _tag(name)
        if tag and tag not in _VOID:
            self.parts.append(f"</{tag}>")

    def _write_text(self, text: str) -> None:
        if self._text_only:
            self._text.append(text)
        else:
            self.parts.append(escape(text, quote=False))


def _refuse_declarations(_name: str, _system: str | None, _public: str | None, has_declarations: int) -> None:
    if has_declarations:
        raise _DeclaringError


def _tag(name: str) -> str:
    """The name of an element in HTML; empty where it is none of HTML, SVG or MathML."""
    namespace, _, tag = name.rpartition(" ")
    if namespace in ("", _XHTML):
        return _RENAMED.get(tag, tag)
    return tag if namespace in (_SVG, _MATHML) else ""


def _written(attributes: dict[str, str]) -> list[str]:
    """`xml:lang` first, because in XML it wins over `lang`, and in HTML the first of equal names does."""
    names = sorted(attributes, key=lambda name: name != f"{_XML} lang")
    return [
        f' {name}="{escape(attributes[qualified])}"'
        for qualified in names
        if (name := _attribute(qualified)) is not None
    ]


def _attribute(name: str) -> str | None:
    namespace, _, local = name.rpartition(" ")
    if not namespace:
        return local
    if namespace == _XML and local == "lang":
        return "lang"
    return f"xlink:{local}" if namespace == _XLINK else None


def _content(tag: str, text: str) -> str:
    """What an element that HTML lets hold only text is to hold."""
    if tag in _UNREAD:
        return ""
    return _ENDS_SCRIPT.sub(lambda _: _LESS_THAN, text) if tag == "script" else escape(text, quote=False)
