"""What an audit holds: the one model behind every format of a report.

Values are as the web gave them; whoever shows them makes them harmless. Times are Unix seconds (UTC), durations are
seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from crawler.statically_frozen import dataclass


class Severity(StrEnum):
    """How much a finding matters: an error harms visitors, a warning is likely to, a notice is worth a look."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    INFO = "info"  # no finding: what a reader wants to know


class Kind(StrEnum):
    """What a column holds, and so how it is written and sorted."""

    TEXT = "text"
    URL = "url"
    COUNT = "count"
    SIZE = "size"
    SECONDS = "seconds"
    TIME = "time"
    FLAG = "flag"
    SHARE = "share"  # of an average: 1 is that


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a finding; `name` is that of the view."""

    name: str
    title: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A page that leads to what a row is about: by a link, or by an element of another `kind` (image, script ...)."""

    page_url: str
    anchor: str | None
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was found. `values` stand in the order of the columns.

    `sources` are pages that lead to it, at most so many as were asked for; `sources_total` counts all. `is_new`: the
    baseline does not have it; None without a baseline.
    """

    values: tuple[Any, ...]
    sources: Sequence[Source] = ()
    sources_total: int = 0
    is_new: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question and its answer.

    `name` is what `--fail-on` takes, `view` what `crawler list` takes for every row. `total` counts the rows that there
    are, of which `rows` has the most important ones; `new` counts those that the baseline does not have (None without
    one). `unknown` says why there is no answer; None if there is one.
    """

    name: str
    chapter: str
    title: str
    explanation: str
    severity: Severity
    view: str
    columns: Sequence[Column]
    key: Sequence[str]
    rows: Sequence[Row]
    total: int
    new: int | None = None
    unknown: str | None = None

    @property
    def is_finding(self) -> bool:
        """Whether a row is something to put right."""
        return self.severity is not Severity.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A headline figure; `note` says what it is made of."""

    name: str
    title: str
    value: float | str | None
    kind: Kind
    note: str = ""


class Shape(StrEnum):
    """How a chart is drawn."""

    BARS = "bars"  # one below the other: categories with long names
    COLUMNS = "columns"  # side by side: steps in order
    LINE = "line"  # over time; the points' labels are Unix seconds


Point: TypeAlias = tuple[str | float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Some values to be drawn; `kind` is that of the values."""

    name: str
    title: str
    shape: Shape
    points: Sequence[Point]
    kind: Kind = Kind.COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A crawl as it was at `made_at`. `sites` are the hosts of its seeds; `running`: a crawl was going on."""

    db: str
    sites: Sequence[str]
    made_at: float
    running: bool
    figures: Sequence[Figure]
    charts: Sequence[Chart]
    sections: Sequence[Section]
