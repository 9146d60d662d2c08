"""Two versions of a page, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from itertools import islice

from crawler.records import Page

_MAX_LINES = 5_000  # of each version: what differs is sought in more than linear time
_SHOWN_LINES = 2_000
_FIELDS = ("title", "description", "language", "canonical_url", "author", "noindex", "nofollow")


def compared(old: Page, new: Page) -> tuple[list[tuple[str, str]], bool]:
    """Lines as ("same" | "removed" | "added" | "place", text), and whether some were left out."""
    before, after = list(_lines(old)), list(_lines(new))
    cut = max(len(before), len(after)) > _MAX_LINES
    found = unified_diff(before[:_MAX_LINES], after[:_MAX_LINES], lineterm="", n=3)
    lines = [_told(line) for line in islice(found, 2, _SHOWN_LINES + 3)]  # the first two would name files
    return lines[:_SHOWN_LINES], cut or len(lines) > _SHOWN_LINES


def _told(line: str) -> tuple[str, str]:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return kinds.get(line[:1], "same"), line if line.startswith("@") else line[1:]


def _lines(page: Page) -> Iterator[str]:
    """What it says of itself, its text, its links."""
    for name in _FIELDS:
        if value := getattr(page, name):
            yield f"{name}: {value}"
    yield ""
    yield from page.text.splitlines()
    yield ""
    yield from sorted(f"link: {one.url}  {one.anchor}" for one in page.links)
