"""Crawl files, whatever stands in them: one line for what is wrong, and otherwise what the command line would say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.cli.commands import app
from crawler.errors import UsageError
from tests.fuzz.user_files import check_crawl_file

_COMMAND: Any = typer.main.get_command(app).commands["crawl"]  # type: ignore[attr-defined]
_ON_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_WORDS = st.sampled_from(
    [
        *("seeds", "delay", "db", "max-age", "header", "include", "scope", "fresh", "max-bytes", "no-such"),
        *(" = ", '"a"', "'", "[", "]", "0", "-1", "nan", "1e99", "true", "{", "}", ".", ",", "#", "\n", "\x1b"),
    ]
)
_TOML = st.sampled_from(
    [
        *("include = 1", '"\\u001b[2J" = 1', 'delay = "\\u001b"', "delay = {}", "fresh = 1", 'scope = "x"'),
        *('header = ["\\u001b"]', 'max-rate = "\\u001b"', "delay = 1979-05-27", 'max-age = "x\\n"'),
        *("header = [[]]", 'log-format = "json"'),
    ]
)
_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "seeds": st.lists(st.sampled_from(["a.test", "https://b.test/"]), min_size=1),
        "delay": st.floats(0, 10),
        "concurrency": st.integers(1, 99),
        "include": st.lists(st.sampled_from(["x", "y.*", "z$"]), min_size=1),
        "header": st.lists(st.just("A: b"), min_size=1),
        "max-age": st.sampled_from(["12h", "auto"]),
        "max-bytes": st.integers(1, 99),
        "scope": st.sampled_from(["host", "any"]),
        "user-agent": st.text("abc é/", min_size=1, max_size=5).filter(str.strip),
    },
)


@_ON_DISK
@given(
    st.binary(max_size=60)
    | st.lists(_WORDS, max_size=12).map("".join).map(str.encode)
    | st.lists(_TOML, max_size=3, unique=True).map("\n".join).map(str.encode)
)
def test_whatever_the_bytes_the_user_is_told_in_one_line(tmp_path: Path, data: bytes) -> None:
    check_crawl_file(data, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        'db = "a\\u0000b"',
        'seeds = ["a\\u0000b"]',
        f"concurrency = 1{'0' * 5000}",
        f"concurrency = 0x{'f' * 5000}",
        f'max-rate = "{"9" * 400}"',
        f"seeds = {'[' * 2000}",
    ],
    ids=["nul", "nul-in-list", "digits", "hexadecimal", "infinite", "brackets"],
)
def test_what_used_to_be_a_traceback_is_one_line(tmp_path: Path, text: str) -> None:
    check_crawl_file(text.encode(), tmp_path)


@pytest.mark.parametrize(
    ("text", "told"), [('db = "a\\u0000b"', "db contains a NUL"), ("db = 0x" + "f" * 17, "too large")]
)
def test_what_no_option_takes_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "crawl.toml").write_text(text)
    with pytest.raises(UsageError, match=told):
        _COMMAND.make_context("crawl", ["--config", str(tmp_path / "crawl.toml")])


@_ON_DISK
@given(_SETTINGS)
def test_a_file_says_what_the_command_line_says(tmp_path: Path, given_settings: dict[str, Any]) -> None:
    file = tmp_path / "crawl.toml"
    file.write_text(
        "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in given_settings.items())
    )
    arguments = ["--db", str(tmp_path / "data/crawl.db"), *given_settings.pop("seeds", [])]
    for key, value in given_settings.items():
        arguments += [f"--{key}={one}" for one in (value if isinstance(value, list) else [value])]
    by_file = _COMMAND.make_context("crawl", ["--config", str(file)]).params
    by_words = _COMMAND.make_context("crawl", arguments).params
    assert {**by_file, "config_file": None} == by_words
