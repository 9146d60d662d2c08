"""Three things to try on a database once a run has ended, by what is in it. Pure.

Invariant: each is a command line that works as it stands, in the folder where the run was started, and shows something
that is there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from crawler.config import DEFAULT_DB
from crawler.output.summary import Summary
from crawler.records import Change, UrlStatus

_MOST = 3


def suggestions(summary: Summary, db: Path) -> list[tuple[str, str]]:
    """At most three command lines, each with what it shows or does, the most useful first."""
    named = "" if db == DEFAULT_DB else f" --db {shlex.quote(str(db))}"
    found = [(f"crawler {words}{named}", what) for words, what in _all(summary)]
    return found[:_MOST]


def _all(summary: Summary) -> Iterator[tuple[str, str]]:
    """All that apply, the most useful first."""
    urls = summary.urls
    if summary.pending and not summary.complete:
        yield "crawl", "resumes it"
    if summary.run_id > 1 and any(number for kind, number in summary.changes.items() if kind != Change.UNCHANGED):
        yield "diff", "what has changed since the run before"
    if urls.get(UrlStatus.GONE) or urls.get(UrlStatus.FAILED):
        yield "list broken", "links that lead nowhere, and the pages that have them"
    if urls.get(UrlStatus.FAILED):
        yield "list failed", "what could not be fetched, and why"
    if summary.excluded.get("trap"):
        yield "list traps", "places that looked endless"
    if summary.excluded.get("robots"):
        yield "list robots", "what robots.txt disallows, by which line"
    if summary.pages or urls.get(UrlStatus.FETCHED):
        yield "list pages", "every page, with its title"
    if summary.excluded:
        yield "list excluded", "what was left out, and why"
    yield "status", "what the database holds"
