"""Settings of some hosts, by their names: the `[[host]]` tables of a crawl file.

Of several that match a host, the first counts. Invariant: the values of headers are secrets, which are stored nowhere;
of what is stored only their names are left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from crawler.kinds import Headers, Text
from crawler.options import Slice, option, options_of
from crawler.quantities import Count, Seconds
from crawler.statically_frozen import dataclass

_DAY_S = 86400.0
_PATTERN = re.compile(r"[\w.*?\[\]:-]+")


@dataclass(frozen=True, slots=True)
class HostPattern(Text):
    """A host name, in which `*` stands for any characters."""

    metavar: str = "HOST"

    def parse(self, given: str) -> str:
        """As host names are compared: in lower case, and in ASCII."""
        labels = given.strip().lower().split(".")
        try:
            return ".".join(label if label.isascii() else label.encode("idna").decode() for label in labels)
        except UnicodeError:
            return given

    def check(self, value: str) -> None:
        """It must be one that a host name can match."""
        if not _PATTERN.fullmatch(value) or not value.isascii():
            raise ValueError("takes a host name, in which * stands for anything, such as *.example.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings(Slice):
    """What holds for the hosts that `match`, in the place of the options of that name. None: the option's own."""

    match: str = option("", "match", HostPattern(), "The host's name; * stands for anything, such as *.example.com.")
    delay_s: float | None = option(
        None,
        "delay",
        Seconds(low=0, high=_DAY_S),
        "Seconds between the starts of two requests. A Crawl-delay in robots.txt raises it.",
    )
    per_host: int | None = option(None, "per-host", Count(low=1, high=1024), "Requests in flight.")
    max_pages: int | None = option(None, "max-pages", Count(low=1), "Store at most N pages of each such host in a run.")
    max_requests: int | None = option(
        None, "max-requests", Count(low=1), "Send at most N requests to each such host in a run."
    )
    headers: Mapping[str, str] = option(
        {}, "header", Headers(), "Send these headers to these hosts only. Values are never stored."
    )

    def stored(self) -> dict[str, Any]:
        """As plain data: of the headers only the names remain."""
        return {one.name: one.kind.stored(getattr(self, one.name)) for one in options_of(HostSettings)}


def restored(stored: Sequence[Mapping[str, Any]]) -> tuple[HostSettings, ...]:
    """What was `stored`, without the headers."""
    names = [one.name for one in options_of(HostSettings) if not one.kind.is_secret]
    return tuple(HostSettings(**{name: entry[name] for name in names if name in entry}) for entry in stored)


def settings_of(host: str, settings: Sequence[HostSettings]) -> HostSettings:
    """Those of the first that match a host (a lower-case name); its own defaults where none does."""
    return next((one for one in settings if fnmatchcase(host, one.match)), _NONE)


_NONE = HostSettings(match="*")
