"""The figures of the manual and of the README are those that the benchmarks have kept."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Outcome, Score, Setup, in_turn
from tests.benchmarks.publish import PAGES, kept, short, whole, with_figures
from tests.benchmarks.report import report, table, text

MACHINE = {
    "cores": 2,
    "cpu": "a processor",
    "python": "CPython 3.11.2 (with PGO, with LTO)",
    "html": "C",
    "commit": "abc",
    "versions": {"wget2": "1.99.1", "scrapy": "2.19.0"},
}
FIGURES = (
    Figure(key="rate", title="pages/s", panel="pages a second"),
    Figure(key="cpu", title="CPU s", digits=1, published=False),
)
SETUP = Setup(
    rounds=3, quick=False, work=Path(), corpus="", peers_python="python", node_modules=None, pending=None
)  # fmt: skip


def _contender(name: str, rate: float, **more: Any) -> Contender:
    return Contender(name=name, settings=f"--{name}", run=lambda _folder: {"rate": rate, "cpu": 1}, **more)


def _outcome(scores: list[Score]) -> Outcome:
    return Outcome(case="site", title="A site", subject="crawler", notes=["A note."], figures=FIGURES, scores=scores)


def _run(tmp_path: Path, *contenders: Contender, **changes: Any) -> list[Score]:
    return in_turn(replace(SETUP, work=tmp_path, **changes), "site", contenders)


def _told(scores: list[Score]) -> str:
    """What the manual would say, in one line."""
    return " ".join(whole(report(_outcome(scores), MACHINE)).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pages_have_the_figures_that_are_kept(page: Path) -> None:
    written = page.read_text(encoding="utf-8")
    assert written == with_figures(written, kept(), PAGES[page]), "write it anew: python -m tests.benchmarks.publish"


def test_every_case_that_is_kept_stands_in_the_manual() -> None:
    manual = next(page for page in PAGES if page.name == "benchmarks.md").read_text(encoding="utf-8")
    assert set(kept()) <= set(re.findall(r"<!-- (\w+):begin -->", manual))


def test_a_case_is_written_between_its_marks_and_nothing_else_is_touched(tmp_path: Path) -> None:
    scores = _run(tmp_path, _contender("ours", 2000.4), _contender("theirs", 500, against="ours", stores="nothing"))
    page = (
        "before\n<!-- site:begin -->\nold\n<!-- site:end -->\n<!-- hosts:begin -->\nkept\n<!-- hosts:end -->\nafter\n"
    )
    data = report(_outcome(scores), MACHINE)
    assert with_figures(page, {"site": data}, short) == (
        "before\n<!-- site:begin -->\n"
        "| crawler | pages/s | ratio | stores |\n| --- | ---: | ---: | --- |\n"
        "| ours | 2,000 | | |\n| theirs | 500 | 0.25 | nothing |\n"
        "<!-- site:end -->\n<!-- hosts:begin -->\nkept\n<!-- hosts:end -->\nafter\n"
    )


def test_who_is_not_installed_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = _run(tmp_path, _contender("ours", 2000), _contender("absent", 1, missing="apt-get install absent"))
    data = report(_outcome(scores), MACHINE)
    assert "absent" not in table(data)
    for told in (text(data), whole(data)):
        assert "**Left out: absent** (not installed: apt-get install absent)" in told
    assert "MISSING in site: absent is left out; to have it: apt-get install absent" in capsys.readouterr().err


def test_who_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, float]:
        calls.append(folder)
        raise ContenderFailedError("status 1: no route")

    calls: list[Path] = []
    scores = _run(tmp_path, Contender(name="broken", settings="", run=fail), _contender("ours", 2000))
    assert [len(score.rounds) for score in scores] == [0, 3]
    assert len(calls) == 2
    told = _told(scores)
    assert "**Left out: broken** (failures: 2; the last: status 1: no route)" in told


def test_who_crashes_once_runs_again_and_the_page_says_so(tmp_path: Path) -> None:
    def crash_first(folder: Path) -> dict[str, float]:
        if folder.name == "1-0":
            raise ContenderFailedError("status -11")
        return {"rate": 10, "cpu": 1}

    scores = _run(tmp_path, Contender(name="shaky", settings="", run=crash_first))
    told = _told(scores)
    assert "| shaky | 10 |" in told
    assert "**Some rounds are missing: shaky** (failures: 1; the last: status -11)" in told


def test_the_slow_run_in_fewer_rounds_and_the_page_says_so(tmp_path: Path) -> None:
    scores = _run(tmp_path, _contender("ours", 2000), _contender("slow", 10, most_rounds=2))
    assert [len(score.rounds) for score in scores] == [3, 2]
    assert "CPython 3.11.2 (with PGO, with LTO), HTML read in C, medians of 3 rounds (slow: 2), commit abc." in _told(
        scores
    )


def test_the_versions_of_those_that_ran_are_named(tmp_path: Path) -> None:
    scores = _run(tmp_path, _contender("wget2, then selectolax", 2000), _contender("Scrapy", 40, missing="pip"))
    assert _told(scores).endswith("commit abc, wget2 1.99.1.")


def test_nobody_starts_once_the_time_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = _run(tmp_path, _contender("ours", 2000), ends_at=0.0)
    assert scores[0].rounds == []
    assert "OUT OF TIME in site: round 1 of 3 ends before ours" in capsys.readouterr().err


def test_one_contender_can_be_run_alone(tmp_path: Path) -> None:
    scores = _run(tmp_path, _contender("crawler", 2000), _contender("wget2, then selectolax", 900), only="wget2")
    assert [score.contender.name for score in scores] == ["wget2, then selectolax"]
