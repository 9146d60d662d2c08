"""A unified diff of two lists of lines, in bounded time, and safe to show.

Invariant: each line stays one line, in which text from the web cannot move the cursor or reorder anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from crawler.output.safe_text import printable

_CONTEXT = 3  # unchanged lines around a change
_MAX_LINES = 5_000  # of each side, between the first and the last that differ: difflib takes the square of that


def unified(before: Sequence[str], after: Sequence[str], names: tuple[str, str]) -> Iterator[str]:
    """The lines of the diff; nothing where both are equal. `names` stand in its head.

    Where too many lines lie between the first and the last that differ, all of them are shown as removed and added.
    """
    start, end = _equal_ends(before, after)
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if not old and not new:
        return
    if max(len(old), len(new)) > _MAX_LINES:
        yield f"--- {names[0]}"
        yield f"+++ {names[1]}"
        yield f"@@ -{start + 1},{len(old)} +{start + 1},{len(new)} @@"
        yield from (f"-{_shown(line)}" for line in old)
        yield from (f"+{_shown(line)}" for line in new)
        return
    # The lines around stay, for the context; what is far away cannot be part of it.
    first = max(0, start - _CONTEXT)
    last = max(0, end - _CONTEXT)
    parts = before[first : len(before) - last], after[first : len(after) - last]
    for line in difflib.unified_diff(*parts, *names, n=_CONTEXT, lineterm=""):
        yield _moved(line, first) if line.startswith("@@") else line[:1] + _shown(line[1:])


def _equal_ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """How many lines at the beginning and at the end are the same."""
    shorter = min(len(before), len(after))
    start = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    rest = shorter - start
    return start, next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)


def _moved(head: str, by: int) -> str:
    """'@@ -1,7 +1,8 @@' of a part that begins `by` lines later."""
    words = []
    for word in head.split(" "):
        if word[:1] in "+-" and word[1:2].isdigit():
            line, comma, number = word[1:].partition(",")
            word = f"{word[0]}{int(line) + by}{comma}{number}"
        words.append(word)
    return " ".join(words)


def _shown(line: str) -> str:
    """Its indentation and the tabs between its cells stay."""
    indented = len(line) - len(line.lstrip(" "))
    return " " * indented + "\t".join(map(printable, line.split("\t")))
