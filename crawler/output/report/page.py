"""An audit as one HTML file that needs nothing else: no server, no network, no other file.

Invariants: it is at most 5 MB, for each section has its share; Jinja escapes whatever is not ours; and its own policy
(CSP) lets nothing run or load but the style sheet and the script whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from crawler.archive.audit.model import Audit, Chart, Kind, Row, Section, Severity
from crawler.output.figures import amount, counted, moment
from crawler.output.report.cells import cell, figure, found, rest, sites
from crawler.output.report.drawing import draw, labelled
from crawler.output.templates import environment
from crawler.statically_frozen import dataclass

MAX_BYTES = 5_000_000
_SECTION_BYTES = 150_000
_CELL_BYTES = 90  # of markup around a value, or a source
_UNFOLDED = 3  # sources that are shown at once
_WEB = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """`text` is shown, `order` sorted by, `href` led to; both empty where they would say nothing new."""

    text: str
    kind: Kind
    title: str
    order: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A section with what is shown of it."""

    section: Section
    rows: Sequence[tuple[Row, Sequence[_Cell]]]
    more: str
    with_sources: bool


def as_page(audit: Audit) -> str:
    """The whole document."""
    tables = [_table(section) for section in audit.sections]
    severities = (Severity.ERROR, Severity.WARNING, Severity.NOTICE)
    style, script = _asset("report.css"), _asset("report.js")
    return (
        _templates()
        .get_template("report.html")
        .render(
            audit=audit,
            sites=sites(audit),
            option=f"--db {shlex.quote(audit.db)}",
            counts=[(severity, number) for severity in severities if (number := found(audit, severity))],
            figures=[(one.title, figure(one), one.kind, one.note) for one in audit.figures],
            charts=[(one.title, Markup(draw(one)), _points(one)) for one in audit.charts],  # noqa: S704 - drawn by us
            chapters=[
                (chapter, list(those)) for chapter, those in groupby(tables, key=lambda one: one.section.chapter)
            ],
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none';"
            " form-action 'none'",
            unfolded=_UNFOLDED,
        )
    )


def _table(section: Section) -> _Table:
    rows = list(_fitting(section))
    return _Table(
        section=section,
        rows=rows,
        more=rest(section, len(rows)),
        with_sources=any(row.sources for row, _cells in rows),
    )


def _fitting(section: Section) -> Iterator[tuple[Row, Sequence[_Cell]]]:
    """As many rows as a section's share has room for."""
    left = _SECTION_BYTES
    for row in section.rows:
        cells = [
            _cell(value, column.kind, column.title) for value, column in zip(row.values, section.columns, strict=True)
        ]
        left -= sum(_CELL_BYTES + _size(one.text) + _size(one.href) for one in cells)
        left -= sum(_CELL_BYTES + 2 * _size(one.page_url) + _size(one.anchor or "") for one in row.sources)
        if left < 0:
            return
        yield row, cells


def _cell(value: Any, kind: Kind, title: str = "") -> _Cell:
    text = cell(value, kind)
    is_web = kind is Kind.URL and str(value).startswith(_WEB)
    is_number = isinstance(value, int | float) and kind is not Kind.TEXT
    return _Cell(
        text=text, kind=kind, title=title, order=str(value) if is_number else "", href=str(value) if is_web else ""
    )


def _size(text: str) -> int:
    """Bytes in UTF-8, or more: every escaped character is one of six."""
    return len(text.encode("utf-8", "replace")) + 5 * sum(map(text.count, "&<>\"'"))


def _points(chart: Chart) -> list[tuple[str, str]]:
    return [(label, amount(int(value))) for label, value in labelled(chart)]


def _hash(text: str) -> str:
    """As a Content Security Policy names an inline script (CSP 3, 6.7.3)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    made = environment("crawler.output.report")
    made.filters.update(
        amount=amount, moment=moment, counted=counted, cell_of=_cell, of_url=lambda url: _cell(url, Kind.URL)
    )
    made.filters.update(text=lambda text: cell(text, Kind.TEXT))
    return made
