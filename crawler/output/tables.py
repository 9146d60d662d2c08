"""Rows for people and for programs: a table on a terminal, plain lines elsewhere, CSV, JSON lines.

Rows are written as they come. Invariants: only the first hundred are ever held, for a terminal's columns to be measured
by; what a person sees is one line a row, in which text from the web cannot move the cursor, reorder what stands beside
it or, in a spreadsheet, become a formula; JSON lines say exactly what is stored, in ASCII, and so survive any encoding.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from crawler.output.figures import moment, size
from crawler.output.safe_text import printable
from crawler.statically_frozen import dataclass

_SAMPLE = 100  # rows by which the columns of a terminal are measured
_MAX_CELL = 300  # cells, wider than any terminal
_MIN_CELL = 8  # of a column that can be cut
_GAP = "  "
_CUT = "…"
_MAX_CHARACTERS = 10  # of a cell's text for each terminal cell: a text may be megabytes of what nobody sees
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # by which a spreadsheet knows one
# Control characters but for tabs and line feeds, and what reorders text.
_UNSAFE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Format(StrEnum):
    """How rows are written. `table` is for people, `csv` for spreadsheets, `jsonl` (an object a line) for programs."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


class Kind(StrEnum):
    """What a column holds, and so how a person is shown it.

    A time is Unix seconds, a duration seconds, a size bytes, a flag 1 or 0; JSON is stored as text. A number is shown
    as it is, for it may be an id. A hash is bytes, which are hexadecimal digits everywhere, whatever the column.
    """

    TEXT = "text"
    URL = "url"
    NUMBER = "number"
    SIZE = "size"
    TIME = "time"
    DURATION = "duration"
    FLAG = "flag"
    HASH = "hash"
    JSON = "json"


_ELASTIC = frozenset({Kind.TEXT, Kind.URL, Kind.JSON})
_RIGHT = frozenset({Kind.NUMBER, Kind.SIZE, Kind.DURATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of rows. `in_table`: people see it; else it stands in CSV and JSON lines only."""

    name: str
    kind: Kind
    in_table: bool = True


_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Kind.TIME, r".+_at|at|lastmod|.+_since|back_off_until|paused_until"),
        (Kind.DURATION, r".+_s"),
        (Kind.SIZE, r"(.+_)?bytes"),
        (Kind.HASH, r"(.+_)?hash"),
        (Kind.URL, r"(.+_)?url"),
        (Kind.FLAG, r"newest|flaky|truncated|noindex|nofollow|reused|(has|had|is)_.+"),
        (
            Kind.JSON,
            r"headings|open_graph|json_ld|metas|alternates|images|resources|link_details|options|summary|lacking",
        ),
        (
            Kind.NUMBER,
            r".+_id|.+_total|.+_code|.+_links|depth|hops|attempts|copies|urls|pages|requests|failures|seed|line|place"
            r"|position|pending|fetched|redirected|excluded|gone|failed",
        ),
    )
)


def column(name: str, kind: Kind | None = None, *, in_table: bool = True) -> Column:
    """A column of that name, which says the `kind`, too: our views name times `..._at`, durations `..._s` and so on."""
    known = (one for one, pattern in _KINDS if pattern.fullmatch(name))
    return Column(name=name, kind=kind or next(known, Kind.TEXT), in_table=in_table)


Rows = AsyncIterable[Sequence[Any]] | Iterable[Sequence[Any]]


async def write_rows(
    columns: Sequence[Column | str], rows: Rows, form: Format = Format.TABLE, *, stream: TextIO | None = None
) -> int:
    """Write the rows to the stream (standard output) as they come; returns how many there were.

    A column that is only named is that of `column(name)`. A row has a value for each column, in their order. Raises
    what writing to the stream raises; a reader that has gone (`BrokenPipeError`) ends the command quietly.
    """
    taken = [column(one) if isinstance(one, str) else one for one in columns]
    writer = _writer(taken, form, sys.stdout if stream is None else stream)
    number = 0
    async for row in _each(rows):
        writer.write(row)
        number += 1
    writer.end()
    return number


async def _each(rows: Rows) -> AsyncIterator[Sequence[Any]]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


class _Writer(Protocol):
    def write(self, row: Sequence[Any]) -> None: ...

    def end(self) -> None: ...


def _writer(columns: Sequence[Column], form: Format, stream: TextIO) -> _Writer:
    if form is Format.JSONL:
        return _JsonLines(columns, stream)
    if form is Format.CSV:
        return _Csv(columns, stream)
    return _Table(columns, stream) if stream.isatty() else _Lines(columns, stream)


class _JsonLines:
    """An object for each row, with every column."""

    def __init__(self, columns: Sequence[Column], stream: TextIO) -> None:
        self._columns, self._stream = columns, stream

    def write(self, row: Sequence[Any]) -> None:
        values = {one.name: _plain(one, value) for one, value in zip(self._columns, row, strict=True)}
        self._stream.write(json.dumps(values) + "\n")

    def end(self) -> None:
        pass


def _plain(of: Column, value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if of.kind is Kind.JSON and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


class _Csv:
    """A line with the names, then one for each row (RFC 4180, but for line feeds at the ends of lines)."""

    def __init__(self, columns: Sequence[Column], stream: TextIO) -> None:
        self._columns, self._writer = columns, csv.writer(stream, lineterminator="\n")
        self._writer.writerow([one.name for one in columns])

    def write(self, row: Sequence[Any]) -> None:
        self._writer.writerow([harmless(value) for _column, value in zip(self._columns, row, strict=True)])

    def end(self) -> None:
        pass


def harmless(value: Any) -> Any:
    """A text that begins like a formula gets an apostrophe before it: spreadsheets then take it as text."""
    if isinstance(value, bytes):
        return value.hex()
    if not isinstance(value, str):
        return value
    text = _UNSAFE.sub("\ufffd", value)
    return f"'{text}" if value.lstrip(" ").startswith(_FORMULA) else text


class _Lines:
    """A line for each row: what a terminal would show, uncut, with tabs between, and without names above."""

    def __init__(self, columns: Sequence[Column], stream: TextIO) -> None:
        self._columns, self._stream = columns, stream

    def write(self, row: Sequence[Any]) -> None:
        cells = [shown(one, value) for one, value in zip(self._columns, row, strict=True) if one.in_table]
        self._stream.write("\t".join(cells) + "\n")

    def end(self) -> None:
        pass


class _Table:
    """Columns under their names, as wide as the first rows need them and the terminal lets them be."""

    def __init__(self, columns: Sequence[Column], stream: TextIO) -> None:
        self._columns = columns
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._sample: list[list[str]] = []
        self._fitting: list[tuple[Kind, int]] = []  # of the columns that are printed, once that is known

    def write(self, row: Sequence[Any]) -> None:
        values = zip(self._columns, row, strict=True)
        cells = [shown(one, value, _MAX_CELL) for one, value in values if one.in_table]
        if self._fitting:
            self._print(cells)
            return
        self._sample.append(cells)
        if len(self._sample) == _SAMPLE:
            self._begin(more=True)

    def end(self) -> None:
        if self._sample and not self._fitting:
            self._begin(more=False)

    def _begin(self, *, more: bool) -> None:
        """Print what has come so far; `more`: other rows may follow, with longer texts."""
        columns = [one for one in self._columns if one.in_table]
        names = [one.name for one in columns]
        lengths = [max(map(cell_len, texts)) for texts in zip(names, *self._sample, strict=True)]
        widths = _widths(columns, lengths, self._console.width, more=more)
        self._fitting = [(one.kind, width) for one, width in zip(columns, widths, strict=False)]
        self._print(names, style="bold")
        for cells in self._sample:
            self._print(cells)

    def _print(self, cells: Sequence[str], style: str = "") -> None:
        fitted = [_fitted(cell, *how) for cell, how in zip(cells, self._fitting, strict=False)]
        line = _GAP.join(fitted).rstrip()
        if style:
            self._console.print(Text(line, style=style))
        else:
            self._console.file.write(f"{line}\n")


def _widths(columns: Sequence[Column], lengths: Sequence[int], room: int, *, more: bool) -> list[int]:
    """How wide the columns are, of which the last are left out where the terminal is too narrow for all.

    Texts are cut, the longest first, and what is left over is theirs where `more` rows may follow.
    """
    elastic = [one.kind in _ELASTIC for one in columns]
    least = [min(length, _MIN_CELL) if soft else length for length, soft in zip(lengths, elastic, strict=True)]
    number = len(columns)
    while number > 1 and sum(least[:number]) + len(_GAP) * (number - 1) > room:
        number -= 1
    soft = [n for n in range(number) if elastic[n]]
    rest = room - len(_GAP) * (number - 1) - sum(lengths[n] for n in range(number) if not elastic[n])
    widths = list(lengths[:number])
    level = _level([lengths[n] for n in soft], rest)
    for n in soft:
        widths[n] = min(lengths[n], max(level, least[n]))
    spare = rest - sum(widths[n] for n in soft)
    if more and soft and spare > 0:
        for n in soft:
            widths[n] += spare // len(soft)
    return widths


def _level(lengths: Sequence[int], room: int) -> int:
    """The greatest width to which texts of these lengths can be cut so that all fit."""
    for n, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - n)
        if length > share:
            return share
        room -= length
    return max(lengths, default=0)


def _fitted(cell: str, kind: Kind, width: int) -> str:
    """The cell cut or filled up; numbers stand to the right, and are never cut."""
    length = cell_len(cell)
    if length > width and kind in _ELASTIC:
        cell = _cut_within(cell, width) if kind is Kind.URL and cell.isascii() else printable(cell, width)
        length = cell_len(cell)
    filling = " " * (width - length)
    return filling + cell if kind in _RIGHT else cell + filling


def _cut_within(url: str, width: int) -> str:
    """The URL without its middle: where it ends tells more than what stands there."""
    end = (width - 1) // 2
    return url[: width - 1 - end] + _CUT + url[len(url) - end :]


def shown(of: Column, value: Any, limit: int | None = None) -> str:
    """For people: one line, cut to `limit` terminal cells."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    show = _SHOWN.get(of.kind) if isinstance(value, int | float) else None
    text = show(value) if show is not None else str(value)
    return printable(text if limit is None else text[: limit * _MAX_CHARACTERS], limit)


_SHOWN: dict[Kind, Callable[[Any], str]] = {
    Kind.TIME: partial(moment, with_seconds=True),
    Kind.DURATION: lambda seconds: f"{seconds:.3f} s",
    Kind.SIZE: lambda number: size(int(number)),
    Kind.FLAG: lambda flag: "yes" if flag else "",
}
