"""URLs that are only checked, counted by verdict: what a run and `crawler status` report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crawler.records import CheckVerdict

# Where redirects lead is counted with what leads there.
CHECK_TALLY = "SELECT verdict, count(*) FROM checked_urls WHERE kind <> 'redirect' GROUP BY verdict"

_VERDICTS = (*(verdict for verdict in CheckVerdict if verdict is not CheckVerdict.REDIRECTED), "pending")


def tallied(rows: Iterable[Sequence[Any]]) -> dict[str, int]:
    """Rows of `CHECK_TALLY`, in the order of the verdicts."""
    found = {row[0]: int(row[1]) for row in rows}
    return {str(verdict): found[verdict] for verdict in _VERDICTS if verdict in found}
