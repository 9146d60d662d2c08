"""The table of options: one place for each, and every place that shows it or reads it says the same."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from crawler.cli.command import MAX_WIDTH
from crawler.cli.commands import app
from crawler.cli.crawl import CRAWL_OPTIONS, CodeOptions, OutputOptions
from crawler.cli.options import read_options
from crawler.cli.reference import PAGE, with_table
from crawler.config import (
    MIB,
    CheckConfig,
    CrawlConfig,
    NetworkConfig,
    PolitenessConfig,
    RecrawlConfig,
    RunConfig,
    ScopeConfig,
)
from crawler.errors import UsageError
from crawler.kinds import Flag, Headers, SecretFile, Several, Text
from crawler.options import Option
from crawler.quantities import Age, Count, Seconds, Size, Waiting

_GROUP: Any = typer.main.get_command(app)
_COMMANDS: dict[str, Any] = {"": _GROUP, **_GROUP.commands}

# --- kinds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("500k", 500 * 1024), ("10M", 10 * MIB), ("10m", 10 * MIB), ("1.5G", 1536 * MIB), (" 2K ", 2048)],
)
def test_a_size_has_units_of_1024(text: str, size: int) -> None:
    assert Size().parse(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5", "1e3", "10MB", "10 M", "1k5", "9" * 400, "nan", "١"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^takes a number of bytes, or one followed by k, M or G"):
        Size().parse(text)


@pytest.mark.parametrize(("text", "count"), [("5", 5), (" 5 ", 5), ("+5", 5), ("-1", -1)])
def test_a_count_is_a_whole_number(text: str, count: int) -> None:
    assert Count().parse(text) == count


@pytest.mark.parametrize("text", ["", "x", "5x", "1.5", "1_000", "1 000", "9" * 30, "١"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^takes a whole number, not "):
        Count().parse(text)


@pytest.mark.parametrize(
    ("text", "age_s"), [("0", 0), ("0s", 0), ("90s", 90), ("1.5m", 90), ("12H", 43200), ("7d", 604800), ("2w", 1209600)]
)
def test_an_age_has_a_unit_unless_it_is_0(text: str, age_s: float) -> None:
    assert Age().parse(text) == age_s
    assert Age(word="auto").parse(text) == age_s


@pytest.mark.parametrize(
    ("age", "text", "advice"),
    [
        (Age(unit="d"), "7", '"7d" for days or "7s" for seconds'),
        (Age(unit="h"), " 12.5 ", '"12.5h" for hours or "12.5s" for seconds'),
        (Age(), "5", '"5s"'),
        (Age(), "00", '"00s"'),
        (Waiting(), "wait:10", '"wait:10m" for minutes or "wait:10s" for seconds'),
    ],
)
def test_an_age_without_a_unit_is_told_what_to_write(age: Text, text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"^takes an age with a unit: write {advice}$"):
        age.parse(text)


@pytest.mark.parametrize("text", ["", "d", "-1s", "7 d", "7x", "1h30m", "nan", "inf", "1e3s", "auto", "9" * 400 + "s"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^takes a number followed by s, m, h, d or w"):
        Age().parse(text)


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [("fail", 0.0), ("skip", 0.0), ("wait", math.inf), (" wait ", math.inf), ("wait:0", 0.0), ("wait:10m", 600.0)],
)
def test_how_long_to_wait_for_another_run(text: str, wait_s: float) -> None:
    assert Waiting().parse(text) == wait_s


@pytest.mark.parametrize("text", ["", "waits", "fail:1m", "skip:0", ":1m"])
def test_what_is_no_way_to_wait_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^takes fail, skip, wait or wait:AGE, such as wait:10m, not "):
        Waiting().parse(text)


def test_headers_are_names_and_values() -> None:
    assert Headers().parse(["A: b", " X-Y :\tc:d "]) == {"A": "b", "X-Y": "c:d"}


@pytest.mark.parametrize("texts", [["A"], [": b"], [" : b"], ["A: b", "secret"]])
def test_what_is_no_header_is_refused_and_never_shown(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^takes 'Name: value'$"):
        Headers().parse(texts)


def test_a_secret_file_may_be_taken_back_and_is_not_stored() -> None:
    assert (SecretFile().parse("x/y"), SecretFile().parse("")) == (Path("x/y"), "")
    assert (SecretFile().stored(Path("x/y")), SecretFile().stored("")) == (True, False)


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (Size(), 10 * MIB, "10M"),
        (Size(), 1536, "1536"),
        (Size(), 2_000_000_000, "2000000000"),
        (Size(), 9_999 * 1024, "9999k"),
        (Size(), 10_000 * 1024, "10240000"),
        (Size(), 0, "0"),
        (Age(), 604800.0, "7d"),
        (Age(), 5.5, "5.5s"),
        (Age(), 1234567.0, "1234567s"),
        (Age(), 0.0, "0s"),
        (Age(word="auto"), "auto", "auto"),
        (Age(), float("inf"), "inf"),
        (Seconds(), 86400.0, "86400"),
        (Count(), 1_000_000, "1000000"),
        (Waiting(), 0.0, "fail"),
        (Waiting(), float("inf"), "wait"),
        (Waiting(), 600.0, "wait:10m"),
        (Flag(), True, "on"),
        (Several(), ("a", "b"), "a b"),
        (Several(), (), "none"),
    ],
)
def test_a_value_is_shown_as_one_would_write_it(kind: Text, value: Any, shown: str) -> None:
    assert kind.show(value) == shown


@given(st.integers(0, 10**14))
def test_a_size_that_is_shown_can_be_given_again(size: int) -> None:
    assert Size().parse(Size().show(size)) == size


@given(st.integers(0, 10**12).map(lambda ms: ms / 1000) | st.integers(0, 10**9).map(float))
def test_an_age_that_is_shown_can_be_given_again(age_s: float) -> None:
    assert Age().parse(Age().show(age_s)) == age_s


# --- the table ----------------------------------------------------------------------------------------------------


def _written(option: Option) -> Any:
    """A value other than the default, as the user would write it; what a kind cannot guess stands here."""
    named = {
        "--scope": "any",
        "--log-format": "text",
        "--header": ["A: b"],
        "--include": ["x"],
        "--check": ["resources"],
        "--extract": ["title=h1"],
        "--allow-private": ["10.0.0.0/8"],
        "--proxy": "http://127.0.0.1:1",
        "--hooks": "a:B",
        "--reader": ["a/b=c:d"],
        "--if-running": "wait:9s",
        "--max-age": "auto",
        "--max-interval": "9d",
        "--min-interval": "3h",
    }
    if isinstance(option.kind, Flag):
        return not option.default
    if isinstance(option.kind, Age | Size | Count | Seconds):
        return named.get(option.flag, {Age: "9s", Size: "9M", Count: "9", Seconds: "9"}[type(option.kind)])
    return named.get(option.flag, ["x"] if option.kind.repeatable else "x")


@pytest.mark.parametrize("option", CRAWL_OPTIONS, ids=lambda option: option.key)
def test_what_is_given_of_an_option_is_in_the_config(option: Option) -> None:
    context = _GROUP.commands["crawl"].make_context("crawl", list(_arguments(option)))
    given = {
        name: value or None if isinstance(value, tuple | list) else value for name, value in context.params.items()
    }
    config, output = read_options(CrawlConfig, given), read_options(OutputOptions, given)
    code = read_options(CodeOptions, given)
    parts = (
        config,
        output,
        code,
        *(getattr(config, name) for name in ("scope", "politeness", "network", "recrawl", "check", "run", "extract")),
    )
    (value,) = [getattr(part, option.name) for part in (*parts, config.start) if _has(part, option)]
    assert value == option.parse(_written(option)) != option.default


def _has(part: Any, option: Option) -> bool:
    return option.name in part.__slots__ and not isinstance(
        getattr(part, option.name), ScopeConfig | RunConfig | CheckConfig
    )


def _arguments(option: Option) -> list[str]:
    written = _written(option)
    if isinstance(written, bool):
        return [option.flag if written else option.negative or ""]
    return [f"{option.flag}={one}" for one in (written if isinstance(written, list) else [written])]


def test_what_is_stored_comes_back_but_for_secrets() -> None:
    config = CrawlConfig(
        scope=ScopeConfig(include=("a", "b"), max_pages=3),
        politeness=PolitenessConfig(delay_s=0.5),
        network=NetworkConfig(max_bytes=5 * MIB, headers={"A": "b"}, cookies="c", proxy="http://u:p@127.0.0.1:1/"),
        recrawl=RecrawlConfig(max_age_s="auto"),
        run=RunConfig(grace_s=120.0, bodies=False),
    )
    stored = json.loads(json.dumps(config.storable()))
    resumed, changes = CrawlConfig().resumed(stored, {})
    assert (resumed.scope, resumed.politeness, resumed.recrawl, resumed.run, changes) == (
        config.scope,
        config.politeness,
        config.recrawl,
        config.run,
        [],
    )
    assert (resumed.network.max_bytes, resumed.network.headers, resumed.network.cookies) == (5 * MIB, {}, None)
    assert resumed.network.proxy == "http://127.0.0.1:1"


def test_differences_from_the_last_run() -> None:
    """What differs from the last run is told as the user would write it."""
    stored = json.loads(json.dumps(CrawlConfig().storable()))
    now = CrawlConfig(
        network=NetworkConfig(memory_bytes=32 * MIB, proxy="http://u:secret@127.0.0.1:1"),
        recrawl=RecrawlConfig(max_age_s=604800.0),
    )
    _config, changes = now.resumed(stored, {"memory_bytes", "proxy", "max_age_s", "delay_s"})
    assert changes == [
        "--memory 32M instead of 64M",
        "--proxy http://127.0.0.1:1 instead of none",
        "--max-age 7d instead of none",
    ]


def test_ages_that_an_older_version_has_stored_go_on() -> None:
    stored = {"run": {"grace_s": 7.0, "max_wait_s": 90}, "recrawl": {"max_age_s": 604800.0}}
    config, _changes = CrawlConfig().resumed(stored, {})
    assert (config.run.grace_s, config.run.max_wait_s, config.recrawl.max_age_s) == (7, 90, 604800)


# --- what is shown ------------------------------------------------------------------------------------------------


def test_the_manual_s_table_is_the_table_of_options() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "write it anew: python -m crawler.cli.reference"


@pytest.mark.parametrize("name", _COMMANDS)
@pytest.mark.parametrize("columns", [80, 200])
def test_help_fits_and_cuts_nothing(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    parent = typer.Context(_GROUP, info_name="crawler", **_GROUP.context_settings)
    command = _COMMANDS[name]
    context = parent if command is _GROUP else typer.Context(command, info_name=name, parent=parent)
    shown = re.sub(r"\x1b\[\d+m", "", command.get_help(context))
    assert max(map(len, shown.splitlines())) <= min(columns, MAX_WIDTH)
    assert "…" not in shown
    text = " ".join(shown.split())
    for parameter in command.get_params(context):
        names = (*parameter.opts, *parameter.secondary_opts) if parameter.param_type_name == "option" else ()
        for whole in (*names, parameter.metavar or "", parameter.help):
            assert f" {whole}" in text, whole


def test_an_option_of_the_other_commands_is_refused_in_our_words(tmp_path: Path) -> None:
    for arguments, told in {
        ("prune", "--keep-versions", "x"): "--keep-versions takes a whole number, not 'x'",
        ("prune", "--keep-versions", "0"): "--keep-versions must be at least 1, not 0",
        (
            "prune",
            "--older-than",
            "90",
        ): '--older-than takes an age with a unit: write "90d" for days or "90s" for seconds',
        ("status", "--interval", "0"): "--interval must be between 0.1 and 86400, not 0",
        ("status", "--interval", "often"): "--interval takes a number of seconds, such as 0.5, not 'often'",
    }.items():
        with pytest.raises(UsageError) as raised:
            _GROUP.main([*arguments, "--db", str(tmp_path / "x.db")], standalone_mode=False)
        assert str(raised.value) == told


def test_several_texts_keep_their_order() -> None:
    assert Several().parse(["b", "a"]) == ("b", "a")
