"""From the marked text of a document to the lines that are kept.

While a tree is walked, marks are put between its elements, and its text is then taken in one call. All marks but the
break are characters that count as whitespace, so that whoever knows only words splits at them, and the page's own are
taken for marks without harm: a stray U+001F is a tab.

Invariant: linear in the length of the text. A line has no whitespace at its end; outside of preformatted text it has
single spaces, and single tabs between the cells of a row.
"""

from __future__ import annotations

import re

from crawler.content.invisible import without_invisible

BREAK = "\0"  # where a block begins or ends; decoded text never holds a NUL
LINE_BREAK = "\0\n"  # a `<br>`: a line's end also in preformatted text, where one break is no empty line
ROW = "\x1d"  # a table's row begins
CELL = "\x1f"  # a cell of it begins that is not its first
PREFORMATTED, PREFORMATTED_END = "\x1c", "\x0b"
TOUCHING = "\x1e"  # between two links or buttons that would run together: a space, but nothing in preformatted text

_AROUND_CELLS = " \t\n\r\f\xa0" + BREAK + TOUCHING
_BREAKS = re.compile(f"{BREAK}*\n{BREAK}*|{BREAK}+")
# Words that stand for what is put in later: no whitespace, and no characters that a text needs.
_CELL, _PREFORMATTED_PART = "\x06", "\x02"


def lines_of(marked: str, *, has_rows: bool = False, has_preformatted: bool = False, has_formulas: bool = False) -> str:
    """The lines of the `marked` text, those that are empty left out but in preformatted text.

    Marks of rows and of preformatted text are looked for only where they are said to be, and so are the invisible
    operators of formulas.
    """
    text = without_invisible(marked, has_formulas=has_formulas)
    parts: list[str] = []
    if has_preformatted:
        text, parts = _without_preformatted(text)
    if has_rows:
        text = _with_rows(text)
    text = "\n".join([" ".join(words) for line in text.split(BREAK) if (words := line.split())])
    if has_rows:
        text = _with_tabs(text)
    return _with_preformatted(text, parts) if parts else text


def _with_rows(text: str) -> str:
    """`text` with breaks where rows begin, and a word where cells do. Where a cell begins or ends no line does, though
    a block of it may.
    """
    return f" {_CELL} ".join([cell.strip(_AROUND_CELLS) for cell in text.split(CELL)]).replace(ROW, BREAK)


def _with_tabs(text: str) -> str:
    """`text` with a tab between two cells of a line; those at its end that are empty are left out."""
    text = "\t".join([cell.strip(" ") for cell in text.split(_CELL)])
    if "\t\n" in text or text.endswith("\t"):
        text = "\n".join([row for line in text.split("\n") if (row := line.rstrip("\t"))])
    return text


def _without_preformatted(text: str) -> tuple[str, list[str]]:
    """`text` with a word on a line of its own for each preformatted part that is not empty, and these parts."""
    before, *openings = text.replace(_PREFORMATTED_PART, "").split(PREFORMATTED)
    rest, parts = [before], []
    depth = 0
    for opening in openings:
        depth += 1
        for text in opening.split(PREFORMATTED_END):
            if depth <= 0:
                rest.append(text)
            elif part := _preformatted(text):
                rest.append(f"{BREAK}{_PREFORMATTED_PART}{BREAK}")
                parts.append(part)
            depth -= 1
        depth = max(0, depth + 1)
    return "".join(rest), parts


def _preformatted(text: str) -> str:
    """`text` as it is, but for empty lines at its ends and whitespace at the ends of lines."""
    text = text.replace(TOUCHING, "").replace(CELL, "\t").replace(ROW, "\n").replace("\xa0", " ")
    if BREAK in text:
        text = _BREAKS.sub("\n", text)
    return "\n".join([line.rstrip() for line in text.split("\n")]).strip("\n")


def _with_preformatted(text: str, parts: list[str]) -> str:
    before, *others = text.split(_PREFORMATTED_PART)
    return before + "".join([part + other for part, other in zip(parts, others, strict=True)])
