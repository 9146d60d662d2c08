"""Numbers, sizes and lengths of time, as options take them, with their bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from crawler.kinds import Text, unreadable
from crawler.statically_frozen import dataclass

_AGE_UNITS = {
    "s": (1, "seconds"),
    "m": (60, "minutes"),
    "h": (3600, "hours"),
    "d": (86400, "days"),
    "w": (604800, "weeks"),
}
_SIZE_UNITS = {"g": (1024**3, "G"), "m": (1024**2, "M"), "k": (1024, "k")}
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]+)?"  # more digits may be infinity
_AGE = re.compile(rf"({_NUMBER})([smhdw])", re.IGNORECASE)
_SIZE = re.compile(rf"({_NUMBER})([kmg])|([0-9]{{1,15}})", re.IGNORECASE)
_COUNT = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Number(Text):
    """A number from `low` to `high`."""

    low: float = -math.inf
    high: float = math.inf

    def check(self, value: Any) -> None:
        """It must lie between the bounds; NaN lies nowhere."""
        if not self.low <= value <= self.high:
            low, high, shown = map(self.show, (self.low, self.high, value))
            bounds = f"at least {low}" if self.high == math.inf else f"between {low} and {high}"
            raise ValueError(f"must be {bounds}, not {shown}")

    def show(self, value: Any) -> str:
        """The number; a whole one without a point."""
        return repr(value).removesuffix(".0")


@dataclass(frozen=True, slots=True)
class Count(Number):
    """A whole number."""

    metavar: str = "N"

    def parse(self, given: str) -> int:
        """The number."""
        if not _COUNT.fullmatch(given.strip()):
            raise unreadable("a whole number", given)
        return int(given)


@dataclass(frozen=True, slots=True)
class Seconds(Number):
    """A number of seconds, written without a unit."""

    metavar: str = "S"

    def parse(self, given: str) -> float:
        """Seconds."""
        try:
            return float(given)
        except ValueError:
            raise unreadable("a number of seconds, such as 0.5", given) from None


@dataclass(frozen=True, slots=True)
class Size(Number):
    """A number of bytes, or of k, M or G: powers of 1,024, as with wget and curl."""

    metavar: str = "SIZE"

    def parse(self, given: str) -> int:
        """Bytes."""
        found = _SIZE.fullmatch(given.strip())
        if found is None:
            raise unreadable("a number of bytes, or one followed by k, M or G, such as 500k or 10M", given)
        return int(found[3]) if found[3] else int(float(found[1]) * _SIZE_UNITS[found[2].lower()][0])

    def show(self, value: Any) -> str:
        """In the largest unit of which it is a whole number, and not a long one."""
        for length, unit in _SIZE_UNITS.values():
            if 0 < value < 10_000 * length and not value % length:
                return f"{value // length}{unit}"
        return str(value)


@dataclass(frozen=True, slots=True)
class Age(Number):
    """A length of time with its unit, or the `word`. A number without a unit is probably meant in `unit`."""

    metavar: str = "AGE"
    unit: str = "s"
    word: str = ""
    before: str = ""  # what stands before it, as "wait:" does

    def parse(self, given: str) -> float | str:
        """Seconds of '90s', '30m', '12h', '7d', '2w' or '0'; or the word."""
        text = given.strip()
        if self.word and text == self.word:
            return self.word
        if found := _AGE.fullmatch(text):
            return float(found[1]) * _AGE_UNITS[found[2].lower()][0]
        if text == "0":
            return 0.0
        if re.fullmatch(_NUMBER, text):
            raise ValueError(f"takes an age with a unit: write {self._with_unit(text)}")
        raise unreadable(f"a number followed by s, m, h, d or w, such as {self.before}12h", self.before + given)

    def _with_unit(self, number: str) -> str:
        """In quotes: a crawl file needs them, and a shell takes them away. A bare number once was seconds."""
        seconds = f'"{self.before}{number}s"'
        if self.unit == "s":
            return seconds
        return f'"{self.before}{number}{self.unit}" for {_AGE_UNITS[self.unit][1]} or {seconds} for seconds'

    def check(self, value: Any) -> None:
        """A number must lie between the bounds."""
        if value != self.word:
            Number.check(self, value)

    def show(self, value: Any) -> str:
        """In the largest unit, up to days, of which it is a whole number."""
        if value == self.word or not math.isfinite(value):
            return str(value)
        unit = next((one for one in "dhm" if value and not value % _AGE_UNITS[one][0]), "s")
        return Number.show(self, value / _AGE_UNITS[unit][0]) + unit


@dataclass(frozen=True, slots=True)
class Waiting(Text):
    """What to do while something is taken: fail, skip it, or wait, for an age at most."""

    metavar: str = "fail|skip|wait[:AGE]"

    @property
    def completions(self) -> Sequence[str]:
        """Those without an age."""
        return ("fail", "skip", "wait")

    def parse(self, given: str) -> float:
        """For how many seconds to wait; 0 for 'fail' and 'skip'."""
        word, colon, age = given.strip().partition(":")
        if word not in ("fail", "skip", "wait") or (colon and word != "wait"):
            raise unreadable("fail, skip, wait or wait:AGE, such as wait:10m", given)
        if colon:
            return float(Age(unit="m", before="wait:").parse(age))
        return math.inf if word == "wait" else 0.0

    def check(self, value: float) -> None:
        """Nobody can wait for less than nothing."""
        if not value >= 0:
            raise ValueError(f"cannot wait for {value:g} seconds")

    def show(self, value: float) -> str:
        """'fail' where it does not wait."""
        if not value:
            return "fail"
        return "wait" if math.isinf(value) else f"wait:{Age().show(value)}"
