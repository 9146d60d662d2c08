"""What a verification has found, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from crawler.archive.verification import Checked
from crawler.location import Location
from crawler.output.figures import amount, counted
from crawler.output.safe_text import printable

_LABEL = 11  # cells
_MAX_TEXT = 300  # cells
_NOUNS = {
    "structure": "page of the file",
    "schema": "table, index or {other}",
    "references": "row",
    "hosts": "host",
    "urls": "URL",
    "pages": "version of a page",
    "attempts": "attempt",
    "extracts": "row of extraction rules",
    "runs": "run",
    "bodies": "body",
    "derived": "page of the file beside it",
}
_PLURALS = {
    "structure": "pages of the file",
    "schema": "tables, indexes and {other}s",
    "pages": "versions of pages",
    "extracts": "rows of extraction rules",
    "bodies": "bodies",
    "derived": "pages of the file beside it",
}


def told(one: Checked, db: Location) -> Iterator[str]:
    """A line for a check of that database, and some of what is wrong."""
    other = "trigger" if isinstance(db, Path) else "view"
    noun, plural = _NOUNS[one.name], _PLURALS.get(one.name)
    looked_at = counted(one.rows, noun.format(other=other), plural and plural.format(other=other))
    if not one.wrong:
        yield f"{one.name:{_LABEL}} sound      {looked_at}"
        return
    word = "DAMAGED" if one.is_damage else "spoilt"
    yield f"{one.name:{_LABEL}} {word:10} {looked_at}, {counted(one.wrong, 'fault')}"
    for example in one.examples:
        yield f"{'':{_LABEL}} - {printable(example, _MAX_TEXT)}"
    if one.wrong > len(one.examples):
        yield f"{'':{_LABEL}} - and {amount(one.wrong - len(one.examples))} more"


def verdict(db: Location, found: Sequence[Checked]) -> str:
    """The last line: what it all means, and what to do."""
    name = printable(str(db))
    damaged = [one.name for one in found if one.is_damage]
    if damaged:
        remedy = ", or recover what is readable with `sqlite3 FILE .recover`" if isinstance(db, Path) else ""
        return f"{name} is damaged ({', '.join(damaged)}); restore a backup{remedy}"
    spoilt = [one.name for one in found if one.wrong]
    note = f"; delete {name}.derived, which is made anew when it is needed" if spoilt else ""
    return f"{name} is sound{note}"
