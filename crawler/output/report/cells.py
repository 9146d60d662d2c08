"""What people read of an audit's values. Invariant: one line of visible characters, whatever the web has put there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crawler.archive.audit.model import Audit, Figure, Kind, Section, Severity
from crawler.output.figures import amount, counted, moment, size
from crawler.output.safe_text import printable

MAX_URL, MAX_TEXT = 400, 240  # terminal cells
_MAX_CHARACTERS = 4  # looked at for each cell: a script may be megabytes
_NAMED_SITES = 2


def cell(value: Any, kind: Kind) -> str:
    """A value as a person reads it; nothing for None."""
    if value is None:
        return ""
    show = _SHOWN.get(kind) if isinstance(value, int | float) else None
    if show is not None:
        return show(value)
    limit = MAX_URL if kind is Kind.URL else MAX_TEXT
    return printable(str(value)[: limit * _MAX_CHARACTERS], limit)


def figure(one: Figure) -> str:
    """A headline figure; a dash if there is none."""
    return cell(one.value, one.kind) or "–"


def sites(audit: Audit) -> str:
    """'example.com', or 'example.com, example.org and 3 more'."""
    named = ", ".join(printable(name, 60) for name in audit.sites[:_NAMED_SITES])
    more = len(audit.sites) - _NAMED_SITES
    return f"{named} and {more} more" if more > 0 else named or "no site"


def found(audit: Audit, severity: Severity) -> int:
    """How many rows the sections of that severity have."""
    return sum(one.total for one in audit.sections if one.severity is severity)


def verdict(audit: Audit) -> str:
    """'3 errors, 12 warnings, 1 notice'; 'nothing to put right' if there is none."""
    kinds = (Severity.ERROR, Severity.WARNING, Severity.NOTICE)
    told = [counted(number, kind) for kind in kinds if (number := found(audit, kind))]
    return ", ".join(told) or "nothing to put right"


def rest(section: Section, shown: int) -> str:
    """What is not shown, and the command that lists it; empty if all is shown."""
    if shown >= section.total:
        return ""
    return f"{amount(shown)} of {amount(section.total)} rows are shown; all: crawler list {listed(section)}"


def listed(section: Section) -> str:
    """The section's view, as `crawler list` takes it."""
    return section.view.replace("_", "-")


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


_SHOWN: Mapping[Kind, Callable[[Any], str]] = {
    Kind.COUNT: amount,
    Kind.SHARE: lambda value: f"{value:,.2f}",
    Kind.SIZE: lambda value: size(int(value)),
    Kind.SECONDS: _seconds,
    Kind.TIME: moment,
    Kind.FLAG: lambda value: "yes" if value else "no",
}
