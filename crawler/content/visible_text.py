"""The text that a reader of a document sees, and the one walk over its tree.

Block-level elements and `<br>` separate lines; inline elements join without a gap ('J<b>o</b>hn' is 'John'), but for
links, buttons, labels and options that touch. Unknown elements are inline, as in browsers. The cells of a table's row
are parted by tabs, and preformatted text keeps its lines and its indentation. What a reading of ruby text says stands
apart from what it is the reading of.

Left out: scripts, styles, templates, SVG, the contents of form controls, the fallback content of media, and what markup
hides (`hidden` unless a search may reveal it, `popover`, a closed `<dialog>`, annotations of formulas). `<noscript>` is
kept, since this client runs no scripts, and so is a whole document that is hidden, since a script would show it.
Stylesheets are not considered. Documents within the document (`embedded`) are a part of it.

Invariant: the work is linear in the number of nodes and never recurses, however deeply elements are nested. The tree is
marked and cut, and its text then taken in one call, because the parser does that in C; walking the text nodes in Python
is slower (measured), and so is unwrapping the inline elements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.content.embedded import insert_inline_document, insert_shadow_tree
from crawler.content.invisible import without_invisible
from crawler.content.text_lines import (
    BREAK,
    CELL,
    LINE_BREAK,
    PREFORMATTED,
    PREFORMATTED_END,
    ROW,
    TOUCHING,
    lines_of,
)
from crawler.statically_frozen import dataclass

MAX_LABEL_CHARS = 1_000
MAX_BLOCKS = 100_000  # marking costs time and memory; a page with more gets a line per element
MAX_LABEL_NODES = 500  # labels may be nested in labels: without a bound, reading them all would be quadratic
EMBEDDED_SHARE = 4  # of the length of a document: so many characters of inline documents are parsed
MAX_TOUCHING_NODES = 8  # looked at to find out what stands before a link: empty elements and those around it


def tag_ids(names: str) -> dict[int, str]:
    """The parser's number for each tag in `names` (separated by spaces): much faster to compare than names."""
    document = LexborHTMLParser("")
    return {document.create_node(name).tag_id: name for name in names.split()}


@dataclass(slots=True, kw_only=True)
class _Marks:
    """What the walk has done so far. `row_is_new`: no cell of it has been seen. `embedded_room` is in characters."""

    embedded_room: int
    blocks: int = 0
    has_rows: bool = False
    has_preformatted: bool = False
    row_is_new: bool = False
    has_formulas: bool = False
    hidden: list[LexborNode] = field(default_factory=list)


# Cython's dispatch on the argument's type takes longer than the method itself, so it is done once, here.
_insert_before = LexborNode.insert_before[bytes]  # type: ignore[index]
_insert_after = LexborNode.insert_after[bytes]  # type: ignore[index]


def take_text(root: LexborNode, wanted: Mapping[int, list[LexborNode]]) -> str:
    """The visible text below `root`, one line per block or row, each run of whitespace a single space.

    Every element whose tag number is in `wanted` is appended to that list, in document order, even a hidden one. The
    tree is modified: blocks are marked for `label_of`, and hidden elements are cut out (but can still be read).
    """
    marks = _mark(root, wanted)
    for node in [*marks.hidden, *_hidden_by_attribute(root, marks)]:
        node.decompose(recursive=False)
    if marks.blocks > MAX_BLOCKS:
        return lines_of(root.text(separator=BREAK))
    return lines_of(
        root.text(),
        has_rows=marks.has_rows,
        has_preformatted=marks.has_preformatted,
        has_formulas=marks.has_formulas,
    )


def _mark(root: LexborNode, wanted: Mapping[int, list[LexborNode]]) -> _Marks:
    """Walk over the tree: mark where lines and cells begin, collect what is wanted, and what is to be cut afterwards,
    because the walk would end at a removed node.
    """
    marks = _Marks(embedded_room=len(root.parser.raw_html or b"") * EMBEDDED_SHARE)
    blocks, parted_at = 0, -1
    role_of = {**_ROLES, **dict.fromkeys(wanted.keys() - _ROLES.keys(), _INLINE)}.get
    for node in root.traverse():
        tag = node.tag_id
        role = role_of(tag)
        if role is None:
            continue  # true of most elements, which so cost one look-up
        if role is _BLOCK:
            blocks += 1
            if blocks <= MAX_BLOCKS:
                _insert_before(node, _BREAK)
                _insert_after(node, _BREAK)
        elif role is _PARTED:
            if (
                blocks == parted_at
                and ((before := node.prev) is None or before.tag_id != _TEXT)
                and _touches_another(node)
            ):
                _insert_before(node, _TOUCHING)
            parted_at = blocks
        elif role is _CUT:
            marks.hidden.append(node)
        elif role is _SPECIAL:
            marks.blocks = blocks
            blocks += _SPECIAL_MARKS[tag](node, marks)
        if tag in wanted:
            wanted[tag].append(node)
    marks.blocks = blocks
    return marks


def _touches_another(node: LexborNode) -> bool:
    """Whether a link, button, label or option stands right before this one, with at most empty elements between, and
    inline elements around each.
    """
    for _ in range(MAX_TOUCHING_NODES):
        before = node.prev
        if before is None:
            around = node.parent
            if around is None or around.tag_id in _LINES_BEGIN:
                return False
            node = around
        elif before.last_child is None and before.tag_id != _TEXT:
            node = before
        else:
            return _ends_with_one(before)
    return False


def _ends_with_one(node: LexborNode) -> bool:
    last: LexborNode | None = node
    for _ in range(MAX_TOUCHING_NODES):
        if last is None:
            return False
        if last.tag_id in _PARTED_TAGS:
            return True
        last = last.last_child
    return False


def _hidden_by_attribute(root: LexborNode, marks: _Marks) -> list[LexborNode]:
    """The elements that are not shown for an attribute of theirs, and the annotations of formulas.

    Selecting them takes as long as a tenth of all reading, so the markup is looked at first.
    """
    markup = (root.parser.raw_html or b"").lower()
    selectors = [
        f"[{name.decode()}]"
        for name, attribute in _HIDING_ATTRIBUTES.items()
        if name in markup and attribute.search(markup)  # the former is quicker than the latter
    ]
    if marks.has_formulas:
        selectors.append("semantics > annotation, semantics > annotation-xml")
    if not selectors:
        return []
    nodes = root.css(", ".join(selectors))
    return [node for node in nodes if node.tag_id not in _DOCUMENT_TAGS and not _is_revealed_by_search(node)]


def _is_revealed_by_search(node: LexborNode) -> bool:
    return (node.attrs.get("hidden") or "").lower() == "until-found"


_BREAK, _LINE_BREAK, _ROW, _CELL, _TOUCHING = (mark.encode() for mark in (BREAK, LINE_BREAK, ROW, CELL, TOUCHING))
_PREFORMATTED, _PREFORMATTED_END = (BREAK + PREFORMATTED).encode(), (PREFORMATTED_END + BREAK).encode()


def _mark_line_break(node: LexborNode, marks: _Marks) -> bool:
    return _put(marks, node, _LINE_BREAK)


def _mark_table(node: LexborNode, marks: _Marks) -> bool:
    """Its end as a row's, because the break behind an empty cell is taken for the cell's."""
    marks.has_rows = True
    return _put(marks, node, _BREAK, _ROW)


def _mark_row(node: LexborNode, marks: _Marks) -> bool:
    """Only where it begins: it ends where another begins, or its table ends, by the parser's rules. So do cells."""
    marks.row_is_new = True
    return _put(marks, node, _ROW)


def _mark_cell(node: LexborNode, marks: _Marks) -> bool:
    if marks.row_is_new:
        marks.row_is_new = False
    elif marks.blocks <= MAX_BLOCKS:
        _insert_before(node, _CELL)
    return True


def _mark_preformatted(node: LexborNode, marks: _Marks) -> bool:
    marks.has_preformatted = True
    return _put(marks, node, _PREFORMATTED, _PREFORMATTED_END)


def _mark_reading(node: LexborNode, marks: _Marks) -> bool:
    _put(marks, node, b" ", b" ")
    return False


def _mark_dialog(node: LexborNode, marks: _Marks) -> bool:
    if "open" not in node.attrs:
        marks.hidden.append(node)
    return _put(marks, node, _BREAK, _BREAK)


def _mark_formula(_node: LexborNode, marks: _Marks) -> bool:
    marks.has_formulas = True
    return False


def _mark_template(node: LexborNode, marks: _Marks) -> bool:
    marks.hidden.append(node)
    insert_shadow_tree(node)
    return False


def _mark_inline_frame(node: LexborNode, marks: _Marks) -> bool:
    marks.hidden.append(node)
    marks.embedded_room -= insert_inline_document(node, marks.embedded_room)
    return False


def _put(marks: _Marks, node: LexborNode, before: bytes, after: bytes = b"") -> bool:
    if marks.blocks <= MAX_BLOCKS:
        _insert_before(node, before)
        if after:
            _insert_after(node, after)
    return True


# What an element means for the text. Those that are special are marked by a function of their own, which tells whether
# a line begins with it.
_BLOCK, _PARTED, _CUT, _SPECIAL, _INLINE = "block", "parted", "cut", "special", "inline"
_NAMES = {
    _BLOCK: "address article aside blockquote caption center dd details dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p search section summary ul",
    _PARTED: "a button label option",
    _CUT: "audio canvas datalist head noembed noframes rp script select style svg textarea title video",
}
_SPECIAL_NAMES: dict[str, tuple[Callable[[LexborNode, _Marks], bool], str]] = {
    "line_break": (_mark_line_break, "br"),
    "table": (_mark_table, "table"),
    "row": (_mark_row, "tr"),
    "cell": (_mark_cell, "td th"),
    "preformatted": (_mark_preformatted, "listing plaintext pre xmp"),
    "reading": (_mark_reading, "rt rtc"),
    "dialog": (_mark_dialog, "dialog"),
    "formula": (_mark_formula, "math"),
    "template": (_mark_template, "template"),
    "inline_frame": (_mark_inline_frame, "iframe"),
}
_SPECIAL_MARKS = {tag: mark for mark, names in _SPECIAL_NAMES.values() for tag in tag_ids(names)}
_ROLES = {tag: role for role, names in _NAMES.items() for tag in tag_ids(names)} | dict.fromkeys(
    _SPECIAL_MARKS, _SPECIAL
)
_LINES_BEGIN = frozenset(tag for tag, role in _ROLES.items() if role is _BLOCK) | frozenset(
    tag_ids("dialog listing plaintext pre table td th tr xmp")
)
_PARTED_TAGS = frozenset(tag for tag, role in _ROLES.items() if role is _PARTED)
_DOCUMENT_TAGS = frozenset(tag_ids("html body"))
# As in the UA stylesheet of WHATWG HTML, "hidden elements".
_HIDING_ATTRIBUTES = {name: re.compile(name + rb"[\s=/>&]") for name in (b"hidden", b"popover")}
_IMAGE = frozenset(tag_ids("img"))
TAGS_BY_ROLE: Mapping[str, Collection[int]] = {  # all of the above, for the walk in C
    **{role: tag_ids(names) for role, names in _NAMES.items()},
    **{role: tag_ids(names) for role, (_mark_it, names) in _SPECIAL_NAMES.items()},
    "line_beginning": _LINES_BEGIN,
    "document": _DOCUMENT_TAGS,
    "annotation": tag_ids("annotation-xml"),  # the other kind has no number
}
_TEXT = 2  # the parser's number for text


def label_of(node: LexborNode) -> str:
    """The text of a heading on one line, at most `MAX_LABEL_CHARS`; the `alt` if it holds just an image.

    Expects a tree that has been through `take_text`, as `text_of` and `image_alt` do.
    """
    return text_of(node) or image_alt(node)


def text_of(node: LexborNode) -> str:
    """The text within an element on one line, at most `MAX_LABEL_CHARS`."""
    child = node.first_child
    if child is None:
        return ""
    if child.next is None and (text := child.text_content) is not None:
        return collapse(text.replace(BREAK, " "))  # that of a `<br>` which was cut
    nodes = islice(node.traverse(include_text=True), MAX_LABEL_NODES)
    return collapse("".join([node.text_content or "" for node in nodes]).replace(BREAK, " "))


def image_alt(node: LexborNode) -> str:
    """The first `alt` that is not empty of the images within an element, at most `MAX_LABEL_CHARS`."""
    if node.first_child is None:
        return ""
    nodes = islice(node.traverse(include_text=True), MAX_LABEL_NODES)
    alternatives = (collapse(node.attributes.get("alt")) for node in nodes if node.tag_id in _IMAGE)
    return next(filter(None, alternatives), "")


def collapse(text: str | None, max_chars: int = MAX_LABEL_CHARS) -> str:
    """`text` with each run of whitespace reduced to one space and none at the ends, cut at `max_chars`."""
    if not text:
        return ""
    if len(text) <= max_chars and text.isalnum():
        return text  # a single word, as most labels are
    if not (text.isascii() or text.isprintable()):
        text = without_invisible(text, has_formulas=True)
    return " ".join(text.split(None, max_chars)[:max_chars])[:max_chars].rstrip()
