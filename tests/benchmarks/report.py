"""A case's table, JSON and picture. Figures are medians of the rounds; the JSON has every round."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.contest import Figure, Outcome, Score

_BAR, _REFERENCE_BAR, _WHISKER = "#3b6fb6", "#9aa7b5", "#222222"


def table(outcome: Outcome) -> str:
    """A Markdown table, with the notes below it."""
    head = ["", *(figure.title for figure in outcome.figures), "ratio"]
    rows = [_row(outcome, score) for score in outcome.scores]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [_line(head, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    lines += [_line(row, widths) for row in rows]
    absent = [f"{score.contender.name}: {score.absence}" for score in outcome.scores if score.absence]
    settings = [_settings(score) for score in outcome.scores]
    notes = "".join(f"- {note}\n" for note in (*outcome.notes, *absent, *settings))
    return f"## {outcome.title}\n\n" + "\n".join(lines) + f"\n\n- Ratio: of {outcome.figures[0].title}\n{notes}"


def write_json(outcome: Outcome, machine: Mapping[str, Any], path: Path) -> None:
    """Every round's figures, the medians, and the machine."""
    contenders = [
        {
            "name": score.contender.name,
            "settings": score.contender.settings,
            "absence": score.absence,
            "rounds": score.rounds,
            "median": {key: score.median(key) for key in _keys(score)},
            "against": score.contender.against,
            "ratio": outcome.ratio(score),
        }
        for score in outcome.scores
    ]
    data = {
        "case": outcome.case,
        "title": outcome.title,
        "machine": machine,
        "notes": list(outcome.notes),
        "ratio_of": outcome.figures[0].key,
        "contenders": contenders,
    }
    path.write_text(json.dumps(data, indent=2) + "\n")


def draw(outcome: Outcome, machine: Mapping[str, Any], path: Path) -> None:
    """A bar a contender and a panel a figure; whiskers reach from the lowest round to the highest."""
    from matplotlib.figure import Figure as Picture  # type: ignore[import-not-found, unused-ignore]

    panels = [figure for figure in outcome.figures if figure.panel]
    present = [score for score in outcome.scores if score.rounds]
    height = 1.2 + len(panels) * (0.6 + 0.32 * len(present))
    picture = Picture(figsize=(9, height), layout="constrained")
    axes = picture.subplots(len(panels), squeeze=False)
    for axis, figure in zip(axes[:, 0], panels, strict=True):
        _draw_panel(axis, figure, present)
    rounds = max((len(score.rounds) for score in present), default=0)
    measured = "one round" if rounds == 1 else f"median of {rounds} rounds"
    picture.suptitle(outcome.title, fontweight="bold")
    picture.supxlabel(
        f"{measured}; {machine['cores']} cores, {machine['cpu']}, Python {machine['python']}",
        fontsize=8,
    )
    picture.savefig(path, dpi=130)


def _draw_panel(axis: Any, figure: Figure, scores: Sequence[Score]) -> None:
    shown = [score for score in scores if score.values(figure.key)]
    medians = [score.median(figure.key) or 0.0 for score in shown]
    reaches = [(min(score.values(figure.key)), max(score.values(figure.key))) for score in shown]
    whiskers = [
        [middle - low for middle, (low, _high) in zip(medians, reaches, strict=True)],
        [high - middle for middle, (_low, high) in zip(medians, reaches, strict=True)],
    ]
    names = [score.contender.name for score in shown]
    references = {score.contender.against for score in shown}
    colours = [_REFERENCE_BAR if name in references else _BAR for name in names]
    axis.barh(names, medians, xerr=whiskers, color=colours, ecolor=_WHISKER, capsize=3)
    for place, (middle, (_low, high)) in enumerate(zip(medians, reaches, strict=True)):
        axis.annotate(
            _number(middle, figure), (high, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set_title(figure.panel, loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def _row(outcome: Outcome, score: Score) -> list[str]:
    ratio = outcome.ratio(score)
    cells = [_number(score.median(figure.key), figure) for figure in outcome.figures]
    return [score.contender.name, *cells, "" if ratio is None else f"{ratio:.2f}"]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join((first, *others)) + " |"


def _number(value: float | None, figure: Figure) -> str:
    return "" if value is None else f"{value:,.{figure.digits}f}"


def _settings(score: Score) -> str:
    against = f"; ratio to {score.contender.against}" if score.contender.against else ""
    return f"{score.contender.name}: {score.contender.settings}{against}"


def _keys(score: Score) -> list[str]:
    return sorted({key for figures in score.rounds for key in figures})
