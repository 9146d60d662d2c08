"""A unified diff says what it says: whoever applies it to one text has the other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from crawler.output.unified import unified

NAMES = ("before", "after")
TEXTS = st.lists(st.sampled_from(["a", "b", "c", "@@ d", "-e", "+f", ""]), max_size=30)


def applied(before: Sequence[str], diff: Sequence[str]) -> list[str]:
    """What becomes of a text; fails where the diff does not fit it."""
    made: list[str] = []
    place = 0
    for line in diff[2:]:
        if head := re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@", line):
            start = int(head[1]) - (head[2] != "0")
            made += before[place:start]
            place = start
        elif line.startswith("+"):
            made.append(line[1:])
        else:
            assert before[place] == line[1:]
            made += [line[1:]] if line.startswith(" ") else []
            place += 1
    return made + list(before[place:])


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_applied_to_one_text_it_gives_the_other(
    start: list[str], old: list[str], new: list[str], end: list[str]
) -> None:
    before, after = start + old + end, start + new + end
    diff = list(unified(before, after, NAMES))
    assert (not diff) == (before == after)
    assert applied(before, diff) == after


def test_what_is_far_from_a_change_is_not_shown() -> None:
    before = [str(number) for number in range(1000)]
    after = [*before[:500], "new", *before[501:]]
    assert list(unified(before, after, NAMES)) == [
        "--- before", "+++ after", "@@ -498,7 +498,7 @@",
        " 497", " 498", " 499", "-500", "+new", " 501", " 502", " 503",
    ]  # fmt: skip


def test_a_text_that_has_nothing_in_common_with_the_other_is_shown_at_once() -> None:
    """difflib would take minutes."""
    before = [f"old {number % 7} {number}" for number in range(40_000)]
    after = [f"new {number % 7} {number}" for number in range(40_000)]
    diff = list(unified(before, after, NAMES))
    assert applied(before, diff) == after


def test_tabs_and_indentation_stay_and_nothing_reaches_the_terminal() -> None:
    diff = list(unified(["  cell\tother"], ["  cell\tan\x1b[31mother\u202e"], NAMES))
    assert diff[2:] == ["@@ -1 +1 @@", "-  cell\tother", "+  cell\tan\ufffd[31mother"]
