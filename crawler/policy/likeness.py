"""Do the pages of a place change alike? Then what is known of the place tells how often each of its pages changes.

A place is a pattern of URLs of one host (`traps.pattern_of`). In each, and in the host as a whole, a few dozen priors
of the rate of change compete: each look at a page adds, for each of them, the logarithm of the probability that it gave
to what was found (prequential evidence: Dawid, 'Statistical Theory: The Prequential Approach', JRSS A 147, 1984). That
is exact and additive: the order of the pages does not matter, and nothing is ever read again. Where one wins that says
'all alike', it takes the place of the general prior (`rate.PRIOR`); everywhere else that one stays. A page that is not
like its neighbours may leave: one in ten is expected to.

The row of a page stays as it is, learnt from the general prior; `rate.changes_per_s` puts both together.

Pure. Durations are seconds. Invariant: while the general prior holds, all is as if nothing were known of places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from math import expm1, log, log1p

from crawler.policy.rate import DAY_S, LEAST_CHANGES, LEAST_WATCHED_S, PRIOR
from crawler.policy.repetition import ELSEWHERE
from crawler.policy.traps import pattern_of
from crawler.records import ChangeRate, Place
from crawler.statically_frozen import dataclass

MAX_PLACES = 64  # of a host; the others are one
_DAYS = tuple(6 * 2.0**k for k in (-3, -2, -1, 0, 1, 2, 3, 4, 5, 7))  # between two changes
_STRENGTHS = (0.13, 0.4, 0.8, 4.0)  # changes that the prior is worth; below 1: all kinds of pages, above: alike
CANDIDATES = (PRIOR, *(ChangeRate(changes=a, watched_s=a * days * DAY_S) for a in _STRENGTHS for days in _DAYS))
_NUMBERS = tuple((one.changes, one.watched_s) for one in CANDIDATES)
_LEAST_OWN = LEAST_CHANGES - min(one.changes for one in CANDIDATES)
_LEAST_OWN_S = LEAST_WATCHED_S - min(one.watched_s for one in CANDIDATES)
_ALL_BUT_IMPOSSIBLE = 1e-9
_HEAD_START = 5.0  # of the general prior, as a logarithm
_HOST_LOOKS = 20.0  # so many looks of the host are worth to a place that has none of its own
_KEPT = 0.95  # of what is known, from run to run


@dataclass(slots=True)
class Looks:
    """What the looks at the pages of a place have shown: of each candidate, how well it foretold them.

    `scores` is another list after each look, so that one that was handed out stays as it is.
    """

    scores: Sequence[float] = field(default_factory=lambda: [0.0] * len(CANDIDATES))
    looks: float = 0.0

    def note(self, rate: ChangeRate, elapsed_s: float, *, changed: bool) -> None:
        """One look more, `elapsed_s` after the one before it; `rate` is what was known of the page until then."""
        own_a, own_b = rate.changes - PRIOR.changes, rate.watched_s - PRIOR.watched_s
        if not changed and own_b > _LEAST_OWN_S and own_a > _LEAST_OWN:  # nearly every look at nearly every page
            self.scores = [
                score - (own_a + a) * log1p(elapsed_s / (own_b + b))
                for score, (a, b) in zip(self.scores, _NUMBERS, strict=True)
            ]
        else:  # `max`: older changes have faded, and may have left less than some candidates take
            # minus the logarithm of the probability that nothing had changed
            unlikely = [
                max(own_a + a, LEAST_CHANGES) * log1p(elapsed_s / max(own_b + b, LEAST_WATCHED_S)) for a, b in _NUMBERS
            ]
            news = [log(_ALL_BUT_IMPOSSIBLE - expm1(-one)) if changed else -one for one in unlikely]
            self.scores = [score + one for score, one in zip(self.scores, news, strict=True)]
        self.looks += 1

    def as_place(self, host_id: int, name: str) -> Place:
        """As it is stored."""
        return Place(host_id=host_id, name=name, looks=self.looks, scores=self.scores)

    def faded(self, kept: float = _KEPT) -> Looks:
        """What a later run keeps of it."""
        return Looks([kept * score for score in self.scores], kept * self.looks)


def known_looks(places: Iterable[Place]) -> dict[str, Looks]:
    """What is stored of places, by their names: those of an earlier run fade, those of other candidates are lost."""
    return {
        place.name: Looks([*place.scores], place.looks).faded(1.0 if place.is_of_run else _KEPT)
        for place in places
        if len(place.scores) == len(CANDIDATES)
    }


class Places:
    """The places of one host in one run. What is foretold is settled when the run comes to the host."""

    def __init__(self, known: Mapping[str, Looks]) -> None:
        """`known`: the places by their names, as they are to be gone on with."""
        self._places = {name: one.faded(kept=1.0) for name, one in known.items()}
        looks = sum(one.looks for one in known.values())
        share = _HOST_LOOKS / max(_HOST_LOOKS, looks)
        of_host = [share * sum(scores) for scores in zip(*(one.scores for one in known.values()), strict=True)]
        self._of_host = of_host or [0.0] * len(CANDIDATES)
        self._priors: dict[str, ChangeRate] = {}
        for name, one in known.items():
            self._priors[name] = _best([own + all_ for own, all_ in zip(one.scores, self._of_host, strict=True)])
        self._prior_elsewhere = _best(self._of_host)

    def name_of(self, url: str) -> str:
        """The place of a URL of this host."""
        name = pattern_of(url)
        return name if name in self._places or len(self._places) < MAX_PLACES else ELSEWHERE

    def prior_of(self, name: str) -> ChangeRate:
        """What is expected of a page of which nothing is known yet."""
        return self._priors.get(name, self._prior_elsewhere)

    def note(self, name: str, rate: ChangeRate, elapsed_s: float, *, changed: bool) -> Looks:
        """See `Looks.note`; returns all that is known of the place now."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = Looks()
        place.note(rate, elapsed_s, changed=changed)
        return place


def _best(scores: Sequence[float]) -> ChangeRate:
    """The winner, where it says that all are alike; else the general prior."""
    best = max(range(len(scores)), key=lambda number: scores[number] + (_HEAD_START if number == 0 else 0.0))
    return CANDIDATES[best] if CANDIDATES[best].changes >= 1 else PRIOR
