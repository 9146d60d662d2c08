"""An audit as Markdown (CommonMark with GitHub's tables), for tickets, comments and chats.

Invariant: whatever was crawled stands in code spans, in which nothing is markup, a link or a mention. A backtick in it
gets a longer fence; a vertical bar, which would end a table's cell, becomes a broken one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from crawler.archive.audit.model import Audit, Column, Kind, Row, Section
from crawler.output.figures import amount, counted, moment
from crawler.output.report.cells import cell, figure, listed, rest, sites, verdict

_TICKS = re.compile("`+")
_CODED = (Kind.TEXT, Kind.URL)


def as_markdown(audit: Audit) -> str:
    """The figures, then every section that has rows."""
    return "\n".join(_lines(audit)) + "\n"


def _lines(audit: Audit) -> Iterator[str]:
    yield f"# Crawl of {_code(sites(audit))}"
    yield ""
    yield f"{verdict(audit).capitalize()}. As of {moment(audit.made_at)}{', while a crawl is running' * audit.running}."
    yield ""
    yield "| | |"
    yield "|---|---|"
    for one in audit.figures:
        yield f"| {one.title} | {figure(one)}{f' ({one.note})' if one.note else ''} |"
    for section in audit.sections:
        if section.rows:
            yield from _section(section)
    nothing = [one.title for one in audit.sections if not one.total and not one.unknown and one.is_finding]
    if nothing:
        yield ""
        yield f"Nothing found: {', '.join(nothing)}."
    for section in audit.sections:
        if section.unknown:
            yield ""
            yield f"{section.title}: {section.unknown}"


def _section(section: Section) -> Iterator[str]:
    new = f", {amount(section.new)} new" if section.new is not None else ""
    yield ""
    yield f"## {section.title} ({amount(section.total)}{new})"
    yield ""
    yield section.explanation
    yield ""
    with_sources = any(row.sources for row in section.rows)
    heads = [column.title for column in section.columns] + ["On pages"] * with_sources
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in section.rows:
        cells = [_cell(value, column) for value, column in zip(row.values, section.columns, strict=True)]
        yield f"| {' | '.join(cells + [_sources(row)] * with_sources)} |"
    if more := rest(section, len(section.rows)):
        yield ""
        yield more.replace(f"crawler list {listed(section)}", f"`crawler list {listed(section)}`")


def _cell(value: object, column: Column) -> str:
    text = cell(value, column.kind)
    return _code(text) if text and column.kind in _CODED else text


def _sources(row: Row) -> str:
    told = [
        f"{_code(cell(one.page_url, Kind.URL))}{f' ({_code(cell(one.anchor, Kind.TEXT))})' if one.anchor else ''}"
        for one in row.sources
    ]
    if (more := row.sources_total - len(told)) > 0:
        told.append(f"and {counted(more, 'more link', 'more links')}")
    return ", ".join(told)


def _code(text: str) -> str:
    text = text.replace("|", "¦")
    fence = "`" * (1 + max(map(len, _TICKS.findall(text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
