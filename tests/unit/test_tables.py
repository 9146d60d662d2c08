"""Rows for people and for programs: what each format shows of them, and that text from the web does no harm in any."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from crawler.output.tables import Column, Format, Kind, Rows, column, write_rows

AT = 1_700_000_000.25  # 2023-11-14 22:13:20 UTC
COLUMNS = ("url", "title", "bytes", "at", "content_hash", "noindex", "metas")
ROW = ("https://example.com/a", "A title", 123_456, AT, b"\x0f\xf0", 1, '{"a": ["b"]}')
EVIL = "=cmd()\x1b[31m\u202eevil\x9b2J\r\nnext"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def written(
    columns: Sequence[Column | str], rows: Rows, form: Format = Format.TABLE, *, stream: StringIO | None = None
) -> str:
    stream = stream or StringIO()
    asyncio.run(write_rows(columns, rows, form, stream=stream))
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int, columns: Sequence[Column | str], rows: Rows
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = written(columns, rows, stream=Terminal())
    return shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()  # what is bold


def test_json_lines_have_every_column_and_what_is_stored() -> None:
    hidden = column("text", in_table=False)
    (line,) = written([*COLUMNS, hidden], [(*ROW, "so")], Format.JSONL).splitlines()
    assert json.loads(line) == {
        "url": "https://example.com/a", "title": "A title", "bytes": 123_456, "at": AT, "content_hash": "0ff0",
        "noindex": 1, "metas": {"a": ["b"]}, "text": "so",
    }  # fmt: skip


def test_only_a_column_of_json_is_read_as_such_and_only_if_it_is() -> None:
    (line,) = written(["title", "metas"], [("[1]", "[1")], Format.JSONL).splitlines()
    assert json.loads(line) == {"title": "[1]", "metas": "[1"}


@given(st.text())
def test_json_lines_are_exact_and_ascii(text: str) -> None:
    shown = written(["title"], [(text,)], Format.JSONL)
    assert json.loads(shown) == {"title": text}
    assert shown.isascii()
    assert shown[:-1].isprintable()


def test_csv_has_every_column_its_names_and_raw_times() -> None:
    lines = written([*COLUMNS, column("text", in_table=False)], [(*ROW, None)], Format.CSV)
    assert list(csv.reader(StringIO(lines))) == [
        [*COLUMNS, "text"],
        ["https://example.com/a", "A title", "123456", str(AT), "0ff0", "1", '{"a": ["b"]}', ""],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    _names, (cell, number) = csv.reader(StringIO(written(["title", "depth"], [(text, -1)], Format.CSV)))
    assert cell.startswith("'")
    assert number == "-1"


def test_other_text_is_itself_in_csv() -> None:
    rows = [('a, "b"\nc',), ("1 = 1",), ("",)]
    assert list(csv.reader(StringIO(written(["title"], rows, Format.CSV))))[1:] == [['a, "b"\nc'], ["1 = 1"], [""]]


def test_plain_lines_have_tabs_no_names_and_nothing_cut() -> None:
    long = "word " * 200
    shown = written([*COLUMNS, column("text", in_table=False)], [(*ROW, "x"), ("u", long, *[None] * 6)])
    assert shown.splitlines() == [
        'https://example.com/a\tA title\t123.5 kB\t2023-11-14 22:13:20\t0ff0\tyes\t{"a": ["b"]}',
        f"u\t{long.strip()}\t\t\t\t\t",
    ]


@given(st.text())
def test_a_row_is_one_line_of_as_many_fields_as_there_are_columns(text: str) -> None:
    shown = written(["title", "url"], [(text, text)])
    assert shown.endswith("\n")
    first, second = shown[:-1].split("\t")
    assert first == second
    assert first.isprintable()


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("stream", [StringIO, Terminal])
def test_text_from_the_web_is_harmless(form: Format, stream: type[StringIO]) -> None:
    shown = written(["title"], [(EVIL,)], form, stream=stream())
    assert not set(shown) & set("\u202e\x9b\r")
    assert "\x1b[31m" not in shown


def test_a_time_that_no_calendar_has_is_shown_as_it_is() -> None:
    assert written(["published_at"], [(1e30,), (-1e18,), ("soon",)]) == "1e+30\n-1e+18\nsoon\n"


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_a_table_fits_its_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    rows = [(f"https://example.com/{'deep/' * 40}{n}", "long title " * 40, 10**n, AT, b"", 0, "{}") for n in range(9)]
    lines = on_a_terminal(monkeypatch, width, COLUMNS, rows)
    assert len(lines) == 10
    assert max(map(cell_len, lines)) <= width


def test_a_table_has_its_names_above_and_numbers_to_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_a_terminal(monkeypatch, 60, ["url", "depth", "at"], [("https://a.test/", 5, AT), ("日本", 12, None)])
    assert lines == [
        "url              depth  at",
        "https://a.test/      5  2023-11-14 22:13:20",
        "日本                12",
    ]


def test_a_narrow_terminal_cuts_urls_within_and_text_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_a_terminal(
        monkeypatch, 42, ["url", "title"], [("https://example.com/0123456789/end", "a long title " * 4)]
    )
    assert lines == ["url                   title", "https://ex…56789/end  a long title a long…"]


def test_numbers_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("https://example.com/", 7)] * 150 + [("https://example.com/", 123_456_789)]
    assert on_a_terminal(monkeypatch, 40, ["url", "depth"], rows)[-1].endswith("  123456789")


def test_what_comes_later_has_the_room_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("https://a.test/",)] * 150 + [("https://a.test/" + "x" * 60,)]
    assert on_a_terminal(monkeypatch, 80, ["url"], rows)[-1] == "https://a.test/" + "x" * 60


@pytest.mark.parametrize("form", Format)
def test_rows_are_written_as_they_come(form: Format) -> None:
    stream = StringIO()
    seen: list[int] = []

    async def rows() -> AsyncIterator[tuple[int]]:
        for number in range(5):
            seen.append(stream.getvalue().count("\n"))
            yield (number,)

    assert asyncio.run(write_rows(["depth"], rows(), form, stream=stream)) == 5
    names = form is Format.CSV
    assert seen == [names + number for number in range(5)]


def test_no_rows_write_nothing_but_the_names_of_csv() -> None:
    assert [written(["url"], [], form) for form in Format] == ["", "url\n", ""]
    assert written(["url"], [], stream=Terminal()) == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fetched_at", Kind.TIME), ("at", Kind.TIME), ("lastmod", Kind.TIME), ("failing_since", Kind.TIME),
        ("elapsed_s", Kind.DURATION), ("bytes", Kind.SIZE), ("content_hash", Kind.HASH), ("page_url", Kind.URL),
        ("has_page", Kind.FLAG), ("metas", Kind.JSON), ("depth", Kind.NUMBER), ("page_id", Kind.NUMBER),
        ("title", Kind.TEXT), ("chat", Kind.TEXT), ("status", Kind.TEXT),
    ],
)  # fmt: skip
def test_a_name_says_what_a_column_holds(name: str, kind: Kind) -> None:
    assert column(name).kind is kind
    assert column(name, Kind.TEXT, in_table=False) == Column(name=name, kind=Kind.TEXT, in_table=False)


def test_a_row_of_another_length_is_an_error() -> None:
    for form in Format:
        with pytest.raises(ValueError, match="zip"):
            written(["url", "title"], [("a",)], form)
