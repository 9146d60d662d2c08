"""The picture of a case: a bar a contender, a panel a figure; whiskers reach from the lowest round to the highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.report import Report, number

_BAR, _REFERENCE_BAR, _WHISKER = "#3b6fb6", "#9aa7b5", "#222222"


def draw(data: Report, folder: Path) -> None:
    """Into a PNG file named after the case."""
    from matplotlib.figure import Figure as Picture  # type: ignore[import-not-found, unused-ignore]

    panels = [figure for figure in data["figures"] if figure["panel"]]
    present = [one for one in data["contenders"] if one["rounds"]]
    if not present:
        return
    height = 1.2 + len(panels) * (0.6 + 0.32 * len(present))
    picture = Picture(figsize=(9, height), layout="constrained")
    axes = picture.subplots(len(panels), squeeze=False)
    for axis, figure in zip(axes[:, 0], panels, strict=True):
        _draw_panel(axis, figure, present)
    rounds = max(len(one["rounds"]) for one in present)
    measured = "one round" if rounds == 1 else f"median of {rounds} rounds"
    machine = data["machine"]
    picture.suptitle(data["title"], fontweight="bold")
    picture.supxlabel(f"{measured}; {machine['cores']} cores, {machine['cpu']}, {machine['python']}", fontsize=8)
    picture.savefig(folder / f"{data['case']}.png", dpi=130)


def _draw_panel(axis: Any, figure: Mapping[str, Any], contenders: Sequence[Mapping[str, Any]]) -> None:
    key = figure["key"]
    shown = [one for one in contenders if key in one["median"]]
    medians = [one["median"][key] for one in shown]
    rounds = [[values[key] for values in one["rounds"] if key in values] for one in shown]
    whiskers = [
        [middle - min(values) for middle, values in zip(medians, rounds, strict=True)],
        [max(values) - middle for middle, values in zip(medians, rounds, strict=True)],
    ]
    names = [one["name"] for one in shown]
    references = {one["against"] for one in shown}
    colours = [_REFERENCE_BAR if name in references else _BAR for name in names]
    axis.barh(names, medians, xerr=whiskers, color=colours, ecolor=_WHISKER, capsize=3)
    for place, (middle, values) in enumerate(zip(medians, rounds, strict=True)):
        axis.annotate(
            number(middle, figure),
            (max(values), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set_title(figure["panel"], loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
