"""Text from the web cannot do anything to a terminal but be read."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from crawler.output.safe_text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("Grüße aus Łódź, 東京 👋", "Grüße aus Łódź, 東京 👋"),
        ("  two\n\tlines \r\n", "two lines"),
        ("line\u2028and\u2029paragraph\u0085separators\u00a0too", "line and paragraph separators too"),
        ("\x1b[2J\x1b]0;title\x07", "\ufffd[2J\ufffd]0;title\ufffd"),
        ("a\x00b\x7fc", "a\ufffdb\ufffdc"),
        ("c1 \x9b31m", "c1 \ufffd31m"),
        ("evil\u202egnp.exe\u2066\u2069", "evilgnp.exe"),
        ("zero\u200bwidth\u200d\u2060\ufeff", "zerowidth"),
        ("tag\U000e0041s", "tags"),
        ("lone \ud800 surrogate \udfff", "lone \ufffd surrogate \ufffd"),
        ("private \ue000 \uffff", "private \ufffd \ufffd"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * 4),
        ("a" + "\u0301\u200d" * 50, "a" + "\u0301" * 4),
    ],
)
def test_what_could_act_on_a_terminal_is_replaced_or_dropped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("exactly", 7, "exactly"),
        ("too long", 5, "too…"),
        ("too long", 6, "too l…"),
        ("東京都庁", 8, "東京都庁"),
        ("東京都庁", 7, "東京都…"),
        ("東京都庁", 6, "東京…"),  # half a character cannot be shown
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("", 0, ""),
    ],
)
def test_a_limit_counts_terminal_cells(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


@given(text=st.text(st.characters()), limit=st.none() | st.integers(0, 40))
def test_result_is_one_visible_line(text: str, limit: int | None) -> None:
    """The result is one visible line within the limit, and printing it again changes nothing."""
    shown = printable(text, limit)

    assert shown.isprintable()
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)
    assert limit is None or cell_len(shown) <= limit
    assert printable(shown, limit) == shown
