"""What differs between two moments of a crawl, for people (counts, then lists) and for programs (rows).

Invariant: text from the web cannot do anything to the terminal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from crawler.archive.comparison import Comparison
from crawler.archive.moments import Moment
from crawler.archive.revisions import Revision
from crawler.output.ending import print_rows
from crawler.output.figures import amount, moment
from crawler.output.tables import Column, Kind, column
from crawler.output.unified import unified

COLUMNS = (
    column("change"),
    column("url"),
    column("target_url"),
    column("detail"),
    Column(name="before_page_id", kind=Kind.NUMBER, in_table=False),
    Column(name="after_page_id", kind=Kind.NUMBER, in_table=False),
)
_STYLES = {"-": "red", "+": "green", "@": "cyan"}


async def rows_of(comparison: Comparison, limit: int | None) -> AsyncIterator[tuple[Any, ...]]:
    """A row of `COLUMNS` for each difference, at most `limit` of each word."""
    async for one in comparison.rows(limit):
        yield one.change, one.url, one.target_url, one.detail, one.before_page_id, one.after_page_id


def print_counts(console: Console, comparison: Comparison, moments: tuple[Moment, Moment], listed: int | None) -> None:
    """How many there are of each word, and how many of these are listed."""
    rows = [("compared", Text(f"{_told(moments[0], 'the beginning')} with {_told(moments[1], 'now')}"))]
    rows += [(word, Text(_number(number, listed))) for word, number in comparison.counts.items()]
    if not comparison.counts:
        rows.append(("changes", Text("none")))
    print_rows(console, rows)


def counts_as_data(comparison: Comparison, moments: tuple[Moment, Moment]) -> dict[str, Any]:
    """The same for JSON."""
    before, after = moments
    return {"before_run_id": before.run_id, "after_run_id": after.run_id, "counts": dict(comparison.counts)}


def print_revisions(console: Console, url: str, before: Revision | None, after: Revision | None) -> None:
    """A unified diff of two versions of a page; says so where there is none."""
    lines = list(unified_lines(url, before, after))
    for line in lines:
        is_head = line.startswith(("---", "+++"))
        console.print(Text(line, style="bold" if is_head else _STYLES.get(line[:1], "")), soft_wrap=True)
    if not lines:
        console.print(Text("both versions say the same"))


def unified_lines(url: str, before: Revision | None, after: Revision | None) -> Iterator[str]:
    """Of a version that is not there, no line."""
    names = (_named(url, before), _named(url, after))
    return unified(before.lines if before else (), after.lines if after else (), names)


def revision_as_data(revision: Revision | None) -> Mapping[str, Any] | None:
    """What tells a version from others."""
    if revision is None:
        return None
    return {"page_id": revision.page_id, "run_id": revision.run_id, "seen_at": revision.seen_at}


def _named(url: str, revision: Revision | None) -> str:
    if revision is None:
        return "no version"
    return f"{url}\t{moment(revision.seen_at)}, run {revision.run_id}"


def _told(at: Moment, otherwise: str) -> str:
    if at.column == "started_at":
        return moment(at.value)
    return f"run {at.run_id}" if at.run_id is not None else otherwise


def _number(number: int, listed: int | None) -> str:
    return f"{amount(number)} ({amount(listed)} listed)" if listed is not None and number > listed else amount(number)
