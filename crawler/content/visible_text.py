"""The text that a reader of a document sees, and the one walk over its tree.

Block-level elements and `<br>` separate lines; inline elements join without a gap ('J<b>o</b>hn' is 'John'). Unknown
elements are inline, as in browsers. Left out: scripts, styles, templates, SVG, the contents of form controls, and the
fallback content of media. `<noscript>` is kept, since this client runs no scripts. Stylesheets are not considered.

Invariant: the work is linear in the number of nodes and never recurses, however deeply elements are nested. The tree is
marked and cut, and its text then taken in one call, because the parser does that in C; walking the text nodes in Python
is slower (measured), and so is unwrapping the inline elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_LABEL_CHARS = 1_000
MAX_BLOCKS = 100_000  # marking costs time and memory; a page with more gets a line per element
MAX_LABEL_NODES = 500  # labels may be nested in labels: without a bound, reading them all would be quadratic

_BREAK = "\0"  # inserted wherever a block begins or ends; decoded text never holds a NUL
_BREAK_BYTES = _BREAK.encode()


def tag_ids(names: str) -> dict[int, str]:
    """The parser's number for each tag in `names` (separated by spaces): much faster to compare than names."""
    document = LexborHTMLParser("")
    return {document.create_node(name).tag_id: name for name in names.split()}


_BLOCKS = frozenset(
    tag_ids(
        "address article aside blockquote br caption center dd details dialog dir div dl dt fieldset figcaption figure"
        " footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main menu nav ol p plaintext pre search"
        " section summary table tbody td tfoot th thead tr ul xmp"
    )
)
_HIDDEN = frozenset(
    tag_ids("audio canvas datalist head iframe noembed noframes script select style svg template textarea title video")
)
# Cython's dispatch on the argument's type takes longer than the method itself, so it is done once, here.
_insert_before = LexborNode.insert_before[bytes]  # type: ignore[index]
_insert_after = LexborNode.insert_after[bytes]  # type: ignore[index]
_IMAGE = frozenset(tag_ids("img"))
_BLOCK, _CUT, _INLINE = "block", "cut", "inline"
_ROLES = dict.fromkeys(_BLOCKS, _BLOCK) | dict.fromkeys(_HIDDEN, _CUT)


def take_text(root: LexborNode, wanted: Mapping[int, list[LexborNode]]) -> str:
    """The visible text below `root`, one line per block, each run of whitespace a single space.

    Every element whose tag number is in `wanted` is appended to that list, in document order, even a hidden one. The
    tree is modified: blocks are marked for `label_of`, and hidden elements are cut out (but can still be read).
    """
    hidden: list[LexborNode] = []
    blocks = 0
    role_of = {**_ROLES, **dict.fromkeys(wanted.keys() - _ROLES.keys(), _INLINE)}.get
    for node in root.traverse():
        tag = node.tag_id
        role = role_of(tag)
        if role is None:
            continue  # true of most elements, which so cost one look-up
        if role is _BLOCK:
            blocks += 1
            if blocks <= MAX_BLOCKS:
                _insert_before(node, _BREAK_BYTES)
                _insert_after(node, _BREAK_BYTES)
        elif role is _CUT:
            hidden.append(node)  # cut after the walk, which would end at a removed node
        if tag in wanted:
            wanted[tag].append(node)
    for node in hidden:
        node.decompose(recursive=False)
    text = root.text(separator="" if blocks <= MAX_BLOCKS else _BREAK)
    return "\n".join([" ".join(words) for line in text.split(_BREAK) if (words := line.split())])


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
        return collapse(text)
    nodes = islice(node.traverse(include_text=True), MAX_LABEL_NODES)
    return collapse("".join([node.text_content or "" for node in nodes]).replace(_BREAK, " "))


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
    return " ".join(text.split(None, max_chars)[:max_chars])[:max_chars].rstrip()
