"""What a document carries within itself and shows in its place: declarative shadow trees, and the `srcdoc` of frames.

Both are put into the tree right behind the element that holds them, so that a walk over it comes by. What speaks of a
whole document (`<base>`, `<meta>`, `<title>`, `<link>`) speaks of theirs, not of the page, and is taken out.

Invariant: a shadow tree is moved, never parsed again; of inline documents no more is parsed than there is room for.
"""

from __future__ import annotations

from selectolax.lexbor import LexborNode

_OF_A_DOCUMENT = "base, meta, title, link"


def insert_shadow_tree(template: LexborNode) -> None:
    """Move the content of a `<template shadowrootmode>` behind it; of any other template, nothing.

    Source: WHATWG HTML, "the template element". Slots are not filled: what would be shown in one follows.
    """
    if (template.attrs.get("shadowrootmode") or "").lower() not in ("open", "closed"):
        return
    for content in template.template_fragments():
        for node in content.css(_OF_A_DOCUMENT):
            node.decompose(recursive=False)
        behind = template
        while (child := content.first_child) is not None:
            behind.insert_after(child, move=True)
            behind = child


def insert_inline_document(frame: LexborNode, room: int) -> int:
    """Parse the `srcdoc` of an `<iframe>` and put it behind it if it has at most `room` characters; returns how many.

    An inline document may hold others, so that without a bound the work would be quadratic. Where it has a base URL of
    its own, its links are left out.
    """
    markup = frame.attrs.get("srcdoc")
    if not markup or len(markup) > room:
        return 0
    document = frame.parser.create_node("div")
    document.inner_html = markup
    if document.css_first("base[href]"):
        for attribute in ("href", "src"):
            for node in document.css(f"[{attribute}]"):
                del node.attrs[attribute]
    for node in document.css(_OF_A_DOCUMENT):
        node.decompose(recursive=False)
    frame.insert_after(document, move=True)
    return len(markup)
