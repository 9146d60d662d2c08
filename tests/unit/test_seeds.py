"""Seeds as the user writes them: on the command line, in files, in notes for a crawl that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.cli.seeds import read_seeds
from crawler.seeds import parse_seeds
from tests.fuzz.user_files import check_note, check_seed, check_seeds

_PIECES = st.sampled_from(
    [
        *("http://", "https://", "ftp://", "a.test", "b", "me:pw@", "[::1]", "::1", ":80", "/", "?u=", "://", "\\"),
        *("#", " #", "\n", "\r", "\t", "\x0b", "\u2028", "%20", ".txt", "é", "\ufeff", "\1"),
    ]
)
_SEEDS = st.sampled_from(
    ["http://a.test/ b", "a.test/x?y#z", "https://b.test/ # c", "c.test:80", "::1", "#", " d.test"]
)
_LINES = st.lists(_PIECES, max_size=12).map("".join) | st.lists(_SEEDS, max_size=3).map("\r\n".join)
_ON_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_ON_DISK
@given(st.binary(max_size=60) | _LINES.map(str.encode))
def test_a_file_of_seeds_says_what_it_says_however_it_is_written(tmp_path: Path, data: bytes) -> None:
    check_seeds(data, tmp_path)


@given(_LINES.filter(lambda text: not text.startswith(("/", "."))))
def test_an_argument_is_one_seed_or_refused_in_one_line(argument: str) -> None:
    check_seed(argument)


@_ON_DISK
@given(st.binary(max_size=60) | _LINES.map(str.encode))
def test_a_note_is_read_as_it_was_left(tmp_path: Path, data: bytes) -> None:
    check_note(data, tmp_path)


def test_a_note_of_a_url_whose_path_looks_like_a_scheme(tmp_path: Path) -> None:
    """Its bare form was refused when it was read again."""
    check_note(b"x/:/\\/e", tmp_path)


@pytest.mark.parametrize("seed", ["a.test/login?next=https://b.test/", "a.test/x://y"])
def test_a_bare_seed_may_have_a_url_in_its_query_or_path(seed: str) -> None:
    (parsed,) = parse_seeds([seed])
    assert read_seeds([seed]) == [parsed]
    assert (parsed.url, parsed.bare) == (f"https://{seed}", True)
