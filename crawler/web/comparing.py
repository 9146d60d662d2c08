"""Two versions of a page, line by line."""

from __future__ import annotations

from itertools import islice

from crawler.archive.revisions import FIELDS, lines_of
from crawler.output.unified import unified
from crawler.records import Page

_SHOWN_LINES = 2_000
_KINDS = {"+": "added", "-": "removed", "@": "place"}


def compared(old: Page, new: Page) -> tuple[list[tuple[str, str]], bool]:
    """Lines as ("same" | "removed" | "added" | "place", text), and whether some were left out."""
    found = islice(unified(_lines(old), _lines(new), ("", "")), 2, None)  # the first two would name files
    lines = [_told(line) for line in islice(found, _SHOWN_LINES + 1)]
    return lines[:_SHOWN_LINES], len(lines) > _SHOWN_LINES


def _told(line: str) -> tuple[str, str]:
    return _KINDS.get(line[:1], "same"), line if line.startswith("@") else line[1:]


def _lines(page: Page) -> list[str]:
    values = [getattr(page, name) for name in FIELDS]
    rows = [(one.rule, number, row) for one in page.extracts for number, row in enumerate(one.rows, start=1)]
    return lines_of(values, page.text, sorted((link.url, link.anchor) for link in page.links), rows)
