"""The tables of the manual and of the README, from the figures that are kept: `python -m tests.benchmarks.publish`.

Between the marks `<!-- CASE:begin -->` and `<!-- CASE:end -->` of a page stands what `figures/CASE.json` says, and
nothing else: a test compares them, so that no figure drifts from its source. A case without figures keeps its place.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.measure import ROOT
from tests.benchmarks.report import Report, absences, measured_on, table

FIGURES = Path(__file__).with_name("figures")
MANUAL, README = ROOT / "crawler" / "manual" / "benchmarks.md", ROOT / "README.md"
_MARKED = re.compile(r"(<!-- (\w+):begin -->\n)(.*?)(<!-- \2:end -->\n)", re.DOTALL)
_WIDTH = 120


def main() -> None:
    """Write both pages anew."""
    for page, render in PAGES.items():
        page.write_text(with_figures(page.read_text(encoding="utf-8"), kept(), render), encoding="utf-8")


def kept() -> dict[str, Report]:
    """The reports in `figures`, by case."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FIGURES.glob("*.json"))}


def with_figures(page: str, reports: Mapping[str, Report], render: Callable[[Report], str]) -> str:
    """The page with each case's figures of today between its marks."""

    def renew(marked: re.Match[str]) -> str:
        begin, case, old, end = marked.groups()
        return f"{begin}{render(reports[case]) if case in reports else old}{end}"

    return _MARKED.sub(renew, page)


def whole(data: Report) -> str:
    """For the manual: the table, what was measured, and where."""
    notes = [*data["notes"], *absences(data), measured_on(data)]
    listed = (textwrap.fill(note, _WIDTH, initial_indent="- ", subsequent_indent="  ") for note in notes)
    return table(data, published=True) + "\n" + "".join(f"{note}\n" for note in listed)


def short(data: Report) -> str:
    """For the README, which is a front page: the table alone."""
    return table(data, published=True)


PAGES = {MANUAL: whole, README: short}

if __name__ == "__main__":
    main()
