"""The text of one element of a document that nothing has been taken from yet, on one line.

`visible_text` marks a whole tree and takes its text in one call; that leaves the tree changed, and selectors would then
find other things. Here the tree stays as it is.
"""

from __future__ import annotations

from selectolax.lexbor import LexborNode

from crawler.content.visible_text import TAGS_BY_ROLE, collapse, tag_ids

_LINES_BEGIN = frozenset(TAGS_BY_ROLE["line_beginning"]) | frozenset(tag_ids("br"))
_UNSEEN = frozenset(TAGS_BY_ROLE["cut"]) | frozenset(tag_ids("template iframe"))
_CODE = frozenset(tag_ids("script style noscript template textarea title"))  # their text, where that is asked for
_TEXT = 2  # the parser's number for text


def element_text(element: LexborNode, max_chars: int) -> str:
    """Its text as a reader sees it, each run of whitespace a single space. Scripts, styles and form controls within it
    are left out; of such an element itself, it is what stands in it. Linear in the nodes, and without recursion.
    """
    if element.tag_id in _CODE:
        return collapse(element.text(), max_chars)
    parts: list[str] = []
    room = max_chars * 2  # before whitespace is collapsed
    node = element.first_child
    while node is not None and room > 0:
        if node.tag_id == _TEXT:
            text = node.text_content or ""
            parts.append(text)
            room -= len(text)
        elif node.tag_id not in _UNSEEN:
            if node.tag_id in _LINES_BEGIN:
                parts.append(" ")
            if node.first_child is not None:
                node = node.first_child
                continue
        node = _next(node, element, parts)
    return collapse("".join(parts), max_chars)


def _next(node: LexborNode, element: LexborNode, parts: list[str]) -> LexborNode | None:
    """What comes behind a node that has been read, within the element; a line ends where a block does."""
    while True:
        if node.tag_id in _LINES_BEGIN:
            parts.append(" ")
        following = node.next
        if following is not None:
            return following
        parent = node.parent
        if parent is None or parent.mem_id == element.mem_id:
            return None
        node = parent
