"""A finished case as data, for JSON, and that data as Markdown. Figures are medians of the rounds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from tests.benchmarks.contest import Outcome, Score

Report: TypeAlias = Mapping[str, Any]


def report(outcome: Outcome, machine: Mapping[str, Any]) -> Report:
    """Every round's figures, the medians, and the machine."""
    return {
        "case": outcome.case,
        "title": outcome.title,
        "subject": outcome.subject,
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "notes": list(outcome.notes),
        "figures": [asdict(figure) for figure in outcome.figures],
        "contenders": [_contender(outcome, score) for score in outcome.scores],
    }


def write_json(data: Report, folder: Path) -> None:
    """The report, in a file named after the case."""
    (folder / f"{data['case']}.json").write_text(json.dumps(data, indent=2) + "\n")


def text(data: Report) -> str:
    """The case for who ran it: all that was measured, and how everybody was set up."""
    settings = [_settings(one) for one in data["contenders"]]
    notes = [_ratio_note(data), *data["notes"], *absences(data), *settings]
    return f"## {data['title']}\n\n{table(data)}\n" + "".join(f"- {note}\n" for note in notes if note)


def table(data: Report, *, published: bool = False) -> str:
    """The contenders that ran. `published`: with the columns of the manual only."""
    figures = [figure for figure in data["figures"] if figure["published"] or not published]
    present = [one for one in data["contenders"] if one["rounds"]]
    extras = [key for key in ("ratio", "stores") if any(one[key] is not None for one in present)]
    head = [data["subject"], *(figure["title"] for figure in figures), *extras]
    rows = [
        [one["name"], *(number(one["median"].get(figure["key"]), figure) for figure in figures), *_extras(one, extras)]
        for one in present
    ]
    rule = ["---", *("---:" for _figure in figures), *("---:" if key == "ratio" else "---" for key in extras)]
    return "".join(_line(cells) for cells in (head, rule, *rows))


def absences(data: Report) -> list[str]:
    """Who is left out, wholly or of some rounds, and what brings them in."""
    return [
        f"**{'Some rounds are missing' if one['rounds'] else 'Left out'}: {one['name']}** ({one['absence']})"
        for one in data["contenders"]
        if one["absence"]
    ]


def measured_on(data: Report) -> str:
    """When, where and how often, as a sentence."""
    machine = data["machine"]
    return (
        f"Measured on {data['measured']}: {machine['cores']} cores ({machine['cpu']}), {machine['python']},"
        f" HTML read in {machine['html']}, {_rounds_of(data)}, commit {machine['commit']}{_versions(data)}."
    )


def number(value: float | None, figure: Mapping[str, Any]) -> str:
    """A figure as it is shown."""
    return "" if value is None else f"{value:,.{figure['digits']}f}"


def _contender(outcome: Outcome, score: Score) -> dict[str, Any]:
    contender = score.contender
    return {
        "name": contender.name,
        "settings": contender.settings,
        "stores": contender.stores,
        "absence": score.absence,
        "rounds": score.rounds,
        "median": {key: score.median(key) for key in sorted({key for figures in score.rounds for key in figures})},
        "against": contender.against,
        "ratio": outcome.ratio(score),
    }


def _extras(one: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        value = one[key]
        yield "" if value is None else f"{value:.2f}" if key == "ratio" else str(value)


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n"


def _ratio_note(data: Report) -> str:
    if not any(one["against"] for one in data["contenders"]):
        return ""
    return f"The ratio compares {data['figures'][0]['title']}."


def _settings(one: Mapping[str, Any]) -> str:
    against = f"; ratio to {one['against']}" if one["against"] else ""
    return f"{one['name']}: {one['settings']}{against}"


def _rounds_of(data: Report) -> str:
    """Such as `medians of 5 rounds (Scrapy: 3)`."""
    rounds = {one["name"]: len(one["rounds"]) for one in data["contenders"] if one["rounds"]}
    most = max(rounds.values(), default=0)
    fewer = ", ".join(f"{name}: {count}" for name, count in rounds.items() if count < most)
    return ("one round" if most == 1 else f"medians of {most} rounds") + (f" ({fewer})" if fewer else "")


def _versions(data: Report) -> str:
    """Those of the contenders, as far as they have one of their own."""
    versions = data["machine"]["versions"]
    words = {re.split(r"[ ,]", one["name"])[0] for one in data["contenders"] if one["rounds"]}
    return "".join(f", {word} {versions[word.lower()]}" for word in sorted(words) if word.lower() in versions)
