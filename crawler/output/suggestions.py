"""Three things to try on a database once a run has ended, by what is in it. Pure.

Invariant: each is a command line that works as it stands, in the folder where the run was started, and shows something
that is there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from crawler.config import DEFAULT_DB
from crawler.location import Location
from crawler.output.summary import Summary
from crawler.records import Change, UrlStatus

_MOST = 3
_MANY_PAGES = 20  # more than fit on a screen


def suggestions(summary: Summary, db: Location) -> list[tuple[str, str]]:
    """At most three command lines, each with what it shows or does, the most useful first."""
    named = "" if db == DEFAULT_DB else f" --db {shlex.quote(str(db))}"
    all_of_them = _all(summary, is_file=isinstance(db, Path))
    fitting = ((f"crawler {words}{named}", what) for applies, words, what in all_of_them if applies)
    return list(islice(fitting, _MOST))


def _all(summary: Summary, *, is_file: bool) -> Iterable[tuple[object, str, str]]:
    """The most useful first, each with whether there is something for it. Some work on a SQLite file only."""
    excluded, failed = summary.excluded, summary.urls.get(UrlStatus.FAILED, 0)
    fetched, gone = (summary.urls.get(status, 0) for status in (UrlStatus.FETCHED, UrlStatus.GONE))
    changes = sum(number for kind, number in summary.changes.items() if kind != Change.UNCHANGED)
    comparison = "diff" if is_file else f"list changes --run {summary.run_id}"
    return (
        (summary.pending and not summary.complete, "crawl", "resumes it"),
        (changes and summary.run_id > 1, comparison, "what has changed since the run before"),
        (gone or failed, "list broken", "links that lead nowhere, and the pages that have them"),
        (fetched and is_file, "report", "all faults, counts and charts as one HTML file"),
        (failed, "list failed", "what could not be fetched, and why"),
        (excluded.get("trap"), "list traps", "places that looked endless"),
        (excluded.get("robots"), "list robots", "what robots.txt disallows, by which line"),
        (fetched >= _MANY_PAGES and is_file, "search WORD", "the pages that have that word"),
        (fetched, "list pages", "every page, with its title"),
        (excluded, "list excluded", "what was left out, and why"),
        (True, "status", "what the database holds"),
    )
