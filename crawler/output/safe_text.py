"""Text from the web, made safe for a terminal or a log line.

Invariant: what comes out is one line of visible characters. It cannot move the cursor, change colours, reorder the text
around it, or be longer than `limit`. Print it as `rich.text.Text` or with `markup=False`: square brackets are kept, and
rich would read them as markup.
"""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, set_cell_size

REPLACEMENT = "\ufffd"
_ELLIPSIS = "…"
_MAX_MARKS = 4  # combining marks per character; a stack of them would cover the lines above


def printable(text: str, limit: int | None = None) -> str:
    """The text on one line, white space collapsed, cut with an ellipsis to `limit` terminal cells.

    Control characters (ESC and C1 included), lone surrogates and unassigned characters become U+FFFD; invisible format
    characters (bidirectional overrides, zero-width ones) are dropped.
    """
    if not (text.isascii() and text.isprintable()):
        text = _visible(text)
    text = " ".join(text.split())
    if limit is None or cell_len(text) <= limit:
        return text
    return set_cell_size(text, limit - 1).rstrip() + _ELLIPSIS if limit > 0 else ""


def _visible(text: str) -> str:
    visible: list[str] = []
    marks = 0
    for character in map(_shown, text):
        if character:
            marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
            if marks <= _MAX_MARKS:
                visible.append(character)
    return "".join(visible)


def _shown(character: str) -> str:
    if character.isspace():  # line and paragraph separators, too
        return " "
    if character.isprintable():
        return character
    return "" if unicodedata.category(character) == "Cf" else REPLACEMENT
