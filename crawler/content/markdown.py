"""A document as Markdown: headings, lists, tables, code with its language, absolute links, images.

html-to-markdown writes it (CommonMark with GitHub's tables): of the converters that were measured it is the quickest by
far, and the only one that keeps fences, escapes and nested lists such that a Markdown parser reads back what the
document says. What it does not do is done to the document's tree before.

Invariant: the Markdown is a function of the document, its URL, and `extractor`, which names all that has a say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Any

from ada_url import join_url
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.content import main_content
from crawler.content.main_content import chosen_text, cut_down
from crawler.statically_frozen import dataclass

VERSION = 1  # raise it with every change that makes a document's Markdown another one
_LIBRARIES = ("html-to-markdown", "trafilatura", "selectolax")

_UNSEEN = (
    "script, style, noscript, template, svg, math annotation, iframe, object, embed, [hidden], dialog:not([open]),"
    " button, input, select, textarea, .mw-editsection, .headerlink"
)
_LAYOUT = "table:has(table), table:has(h1, h2, h3, form, article, section, nav), table[role=presentation]"
_CELLS = frozenset({"td", "th", "caption"})
_PARTS = frozenset({"tbody", "thead", "tfoot", "tr"})
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:(?:language|lang|highlight(?:-source)?)-|brush:\s*|sourceCode\s+)([a-z][\w+#.-]*)",
    re.ASCII | re.IGNORECASE,
)
_NO_LANGUAGE = frozenset({"default", "none", "text", "plain", "plaintext", "txt"})
_VERBATIM = frozenset({"pre", "code", "kbd", "samp", "tt"})
# What would be markup. An underscore within a word is none, nor is a star between spaces. The beginnings of lines the
# converter escapes by itself.
_MARKUP = re.compile(r"`|(?<!\s)\*|\*(?!\s)|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=#?\w+;)|~(?=~)")
_ESCAPE, _BACKSLASH = "\ue000", "\ue001"  # not to be escaped once more by the converter: private use, nobody's text
_PREFIX = re.compile(r"^(?:[ >]|[-+*] (?=\S)|\d+\. (?=\S))*")  # of quotations and lists
_FENCE = re.compile(r"`{3,}|~{3,}")
_HEADING = re.compile(r"(#{1,6}) ")
_TABLE_RULE = re.compile(r"\|(?: ?:?-+:? ?\|)+")
_TARGET = re.compile(r"(?<=\])\((?:<[^>]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?: \"[^\"]*\")?\)")
_MARKS = re.compile(r"\\([!-/:-@\[-`{-~])|[*`\[\]]")
_CELL_MARKS = re.compile(rf"{_MARKS.pattern}|\|")
_NOBODYS = dict.fromkeys(map(ord, (_ESCAPE, _BACKSLASH)))


class Content(StrEnum):
    """What of a page is wanted: its main content, or all of it."""

    MAIN = "main"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Markdown:
    """A document's Markdown. `is_whole`: it is all of it, because that was wanted, or no main content was found."""

    text: str
    is_whole: bool


@cache
def extractor() -> str:
    """The versions of all that makes Markdown, as one text; equal documents give equal Markdown under equal ones.

    Raises `PackageNotFoundError` where the extra `crawler[markdown]` is not installed.
    """
    from importlib.metadata import version  # a tenth of the time that it takes to import the archive

    own = f"crawler {VERSION}.{main_content.VERSION}"
    return ", ".join([own, *(f"{name} {version(name)}" for name in _LIBRARIES)])


def can_extract() -> bool:
    """Whether the extra `crawler[markdown]` is installed."""
    try:
        return bool(extractor())
    except ImportError:  # PackageNotFoundError is one
        return False


def import_libraries() -> None:
    """Import what `markdown_of` needs: half a second, which is not to be that of the first document."""
    _options()
    chosen_text("<p>.</p>")


def markdown_of(html: str, url: str, content: Content) -> Markdown:
    """The Markdown of an HTML document that was fetched from `url`, of all of it or only of its main content.

    Raises `ValueError` where elements are nested too deeply, and whatever the libraries raise.
    """
    tree = LexborHTMLParser(html)
    for node in tree.css(_UNSEEN):
        node.decompose()
    _resolve_links(tree, url)
    for table in reversed(tree.css(_LAYOUT)):  # the inner ones first: what moves is copied
        _unfold(tree, table)
    is_cut = content is Content.MAIN and cut_down(tree, chosen_text(tree.html or ""))
    if tree.body is None:
        return Markdown(text="", is_whole=True)
    for block in tree.css("pre"):
        _name_language(block)
    _escape(tree.body)
    return Markdown(text=_converted(tree.body.html or ""), is_whole=not is_cut)


def outline_of(markdown: str) -> tuple[list[tuple[int, str]], str]:
    """The headings (level, text) and the text of Markdown that `markdown_of` made, as a reader sees them."""
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for line in markdown.splitlines():
        bare = _PREFIX.sub("", line)
        if found := _FENCE.match(bare):
            fence = "" if fence and bare == fence else fence or found[0]
        elif fence:
            lines.append(line)
        elif not _TABLE_RULE.fullmatch(bare):
            text = _plain(_HEADING.sub("", bare))
            if heading := _HEADING.match(bare):
                headings.append((len(heading[1]), text))
            lines.append(text)
    return headings, "\n".join(line for line in lines if line)


def _plain(line: str) -> str:
    """Text without links' targets, emphasis and escapes; the cells of a row are parted by tabs."""
    line = _TARGET.sub("", line).replace("![", "[")
    marks = _CELL_MARKS if line.startswith("|") else _MARKS
    return marks.sub(lambda found: found[1] or ("\t" if found[0] == "|" else ""), line).strip()


def _resolve_links(tree: LexborHTMLParser, url: str) -> None:
    named = tree.css_first("base[href]")
    base = _joined(url, named.attributes["href"] or "") if named is not None else url
    for link in tree.css("a[href]"):
        target = _joined(base or url, link.attributes["href"] or "")
        if target is None:
            del link.attrs["href"]
        else:
            link.attrs["href"] = target
    for image in tree.css("img"):
        source = _joined(base or url, image.attributes.get("src") or image.attributes.get("data-src") or "data:")
        if source is None or source.startswith("data:"):
            image.decompose()
        else:
            image.attrs["src"] = source


def _joined(base: str, href: str) -> str | None:
    """None where that is no URL, or one that would run a script."""
    try:
        url: str = join_url(base, href)
    except ValueError:
        return None
    return None if url.startswith("javascript:") else url


def _unfold(tree: LexborHTMLParser, table: LexborNode) -> None:
    """Make of a table that is there for the layout what it is: boxes."""
    waiting, parts = [table], [table]
    while waiting:
        for child in list(waiting.pop().iter()):
            if child.tag in _CELLS:
                box = tree.create_node("div")
                for one in child.iter(include_text=True):
                    box.insert_child(one)
                child.insert_before(box)
                child.decompose()
            elif child.tag in _PARTS:
                waiting.append(child)
                parts.append(child)
    for part in reversed(parts):
        part.unwrap()


def _name_language(block: LexborNode) -> None:
    """Put a block's code, whose words may be coloured one by one, into one element that names its language."""
    code = block.css_first("code")
    places = [block, *([] if code is None else [code]), *_parents(block, 2)]
    classes = (place.attributes.get("class") or "" for place in places)
    language = next((name for name in map(_language_in, classes) if name), None)
    for line_break in block.css("br"):
        line_break.replace_with("\n")
    plain = LexborHTMLParser("<pre><code></code></pre>").css_first("pre")
    inner = plain.css_first("code") if plain is not None else None
    if plain is None or inner is None:
        return
    if language:
        inner.attrs["class"] = f"language-{language}"
    inner.insert_child(block.text())
    block.insert_before(plain)
    block.decompose()


def _language_in(classes: str) -> str | None:
    found = _LANGUAGE.search(classes)
    return found[1].lower() if found and found[1].lower() not in _NO_LANGUAGE else None


def _parents(node: LexborNode, number: int) -> Iterable[LexborNode]:
    one = node.parent
    for _ in range(number):
        if one is None:
            return
        yield one
        one = one.parent


def _escape(body: LexborNode) -> None:
    """Let what is text stay text."""
    texts = [node for node in body.traverse(include_text=True) if node.is_text_node]
    for text in texts:
        content = (text.text_content or "").translate(_NOBODYS)
        if not _is_verbatim(text):
            content = _MARKUP.sub(rf"{_ESCAPE}\g<0>", content.replace("\\", _BACKSLASH))
        if content != text.text_content:
            text.replace_with(content)


def _is_verbatim(text: LexborNode) -> bool:
    return any(parent.tag in _VERBATIM for parent in _parents(text, 4))


def _converted(html: str) -> str:
    from html_to_markdown import WarningKind, convert

    made = convert(html, _options())
    if any(warning.kind == WarningKind.DEPTH_LIMIT_EXCEEDED for warning in made.warnings):
        raise ValueError("its elements are nested more than 1,024 deep")
    text = (made.content or "").replace(_ESCAPE, "\\").replace(_BACKSLASH, "\\\\").strip("\n")
    return f"{text}\n" if text.strip() else ""


@cache
def _options() -> Any:
    from html_to_markdown import CodeBlockStyle, ConversionOptions, HighlightStyle, PreprocessingOptions

    return ConversionOptions(
        extract_metadata=False,
        compact_tables=True,
        code_block_style=CodeBlockStyle.BACKTICKS,
        highlight_style=HighlightStyle.NONE,
        preprocessing=PreprocessingOptions(enabled=False, remove_navigation=False, remove_forms=False),
    )
