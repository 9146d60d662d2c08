"""What a case is made of: contenders that run in turn, for several rounds, and the figures that they bring home."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeAlias

Figures: TypeAlias = Mapping[str, float]

_MOST_FAILURES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The wishes of who runs the benchmarks. `work` is a folder that is thrown away at the end.

    `others` names further installations of the crawler, by their Python: of another build, or of another version.
    With `only`, nobody else runs than who has this text in the name.
    `ends_at` is the monotonic time after which nobody starts any more.
    """

    rounds: int
    quick: bool
    work: Path
    corpus: str
    peers_python: str
    node_modules: Path | None
    pending: int | None
    others: Mapping[str, str] = field(default_factory=dict)
    only: str | None = None
    ends_at: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Somebody who takes part. `run` is called once a round with an empty folder; `missing` says how to install it.

    `against` names the contender that this one is compared with, `stores` what it leaves of a page. Who would take
    minutes runs in the first `most_rounds` only.
    """

    name: str
    settings: str
    run: Callable[[Path], Figures]
    missing: str | None = None
    against: str | None = None
    stores: str | None = None
    most_rounds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A column of the table. Those with a `panel` are drawn in the picture, under that title.

    `published`: it stands in the manual, too.
    """

    key: str
    title: str
    digits: int = 0
    panel: str | None = None
    published: bool = True


@dataclass(slots=True, kw_only=True)
class Score:
    """A contender's rounds."""

    contender: Contender
    rounds: list[Figures] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def is_out(self) -> bool:
        """Whether to ask it no more. Some crash now and then, but not whoever can do it twice in a row."""
        return self.contender.missing is not None or (len(self.failures) >= _MOST_FAILURES and not self.rounds)

    @property
    def absence(self) -> str | None:
        """Why figures are missing, of all rounds or of some; None where none is."""
        if self.contender.missing is not None:
            return f"not installed: {self.contender.missing}"
        return f"failures: {len(self.failures)}; the last: {self.failures[-1]}" if self.failures else None

    def values(self, key: str) -> list[float]:
        """One figure, round by round; empty where it was not measured."""
        return [figures[key] for figures in self.rounds if key in figures]

    def median(self, key: str) -> float | None:
        """Of all rounds; None where it was not measured."""
        values = self.values(key)
        return median(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished case. The first of its figures is the one that decides; `subject` is what its contenders are."""

    case: str
    title: str
    notes: Sequence[str]
    figures: Sequence[Figure]
    scores: Sequence[Score]
    subject: str = ""

    def ratio(self, score: Score) -> float | None:
        """A contender's deciding figure over that of the one that it is compared with; None where there is none."""
        key = self.figures[0].key
        others = [other.median(key) for other in self.scores if other.contender.name == score.contender.against]
        own = score.median(key)
        return own / others[0] if own is not None and others and others[0] else None


class ContenderFailedError(Exception):
    """A contender did not do what it was asked; the text says what it said."""


def in_turn(setup: Setup, case: str, contenders: Sequence[Contender]) -> list[Score]:
    """Run everybody once a round, so that whatever disturbs the machine disturbs all of them."""
    scores = [Score(contender=contender) for contender in contenders if (setup.only or "") in contender.name]
    for absent in (score.contender for score in scores if score.contender.missing is not None):
        say(f"MISSING in {case}: {absent.name} is left out; to have it: {absent.missing}")
    for number in range(1, setup.rounds + 1):
        for place, score in enumerate(scores):
            if not score.is_out and number <= (score.contender.most_rounds or setup.rounds):
                if time.monotonic() > setup.ends_at:
                    say(f"OUT OF TIME in {case}: round {number} of {setup.rounds} ends before {score.contender.name}")
                    return scores
                _run_once(score, f"{case}, round {number} of {setup.rounds}", setup.work / case / f"{number}-{place}")
    return scores


def _run_once(score: Score, what: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    started = time.monotonic()
    try:
        score.rounds.append(score.contender.run(folder))
    except ContenderFailedError as error:
        score.failures.append(str(error))
        say(f"FAILED in {what}: {score.contender.name}: {error}")
    say(f"{what}: {score.contender.name}, {time.monotonic() - started:.1f} s")


def say(text: str) -> None:
    """Progress, for who waits."""
    print(text, file=sys.stderr, flush=True)
