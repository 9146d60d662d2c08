"""What servers say in the head of an answer: as it may be stored, and the same in every time zone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.network.fields import MAX_KEPT_BYTES, MAX_KEPT_FIELDS, kept_head
from tests.fuzz.answers import check_header, check_robots_tags

_DIRECTIVES = ["max-age=", "no-cache", "60", '"', ",", " ", "=", "public", "MAX-AGE=1", "max-age=12345678901"]
_TAGS = ["noindex", "nofollow", "none", "all", ",", ";", ":", " ", "bot", "other", "*", "unavailable_after: 1 Jan", "É"]


@given(
    st.binary(max_size=60)
    | st.text(max_size=40).map(str.encode)
    | st.text("\x7f\x85\xa0é ", max_size=9).map(str.encode)
)
def test_whatever_the_bytes_a_value_can_be_stored(raw: bytes) -> None:
    check_header(raw.replace(b"\0", b"") + raw)


@given(st.lists(st.sampled_from(_DIRECTIVES), max_size=8).map("".join))
def test_cache_control_means_what_its_directives_say(value: str) -> None:
    check_header(value.encode())


@given(st.lists(st.lists(st.sampled_from(_TAGS), max_size=8).map("".join), max_size=3), st.sampled_from(["bot", "x"]))
def test_robots_tags_mean_the_same_in_any_order_and_case(tags: list[str], token: str) -> None:
    check_robots_tags(tags, token)


@given(st.lists(st.tuples(st.just(b"X-Name"), st.binary(max_size=9)), max_size=150), st.sampled_from([1, 2, 900]))
def test_as_many_whole_fields_are_kept_as_fit(some: list[tuple[bytes, bytes]], times: int) -> None:
    head = tuple((name, value * times) for name, value in some) * 2
    fitting = [n for n in range(min(len(head), MAX_KEPT_FIELDS) + 1) if _size(head[:n]) <= MAX_KEPT_BYTES]
    assert kept_head(head) == head[: max(fitting)]


@pytest.mark.parametrize("date", ["Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 -0000"])
def test_a_date_that_names_no_zone_is_in_utc_wherever_we_are(date: str) -> None:
    """It was read in local time where it was a Last-Modified."""
    script = f"from crawler.policy.recrawl import _seconds; print(_seconds({date!r}))"
    run = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "TZ": "Asia/Tokyo"}, capture_output=True, check=True
    )
    assert float(run.stdout) == 784111777.0


def _size(head: tuple[tuple[bytes, bytes], ...]) -> int:
    return sum(len(name) + len(value) for name, value in head)
