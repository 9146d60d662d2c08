"""Questions about the crawl itself: what it left out, and what it found changed."""

from __future__ import annotations

from crawler.archive.audit.model import Column, Kind, Severity
from crawler.archive.audit.question import URL, Need, Question

_COVERAGE, _HISTORY = "Coverage", "Changes"

_TRAPS = Question(
    name="traps",
    chapter=_COVERAGE,
    title="Suspected traps",
    explanation="Places that looked endless and were excluded. `--no-trap-rules` lets them in.",
    severity=Severity.NOTICE,
    view="traps",
    columns=(
        Column(name="host", title="Host"),
        Column(name="rule", title="What speaks for it"),
        Column(name="urls", title="URLs", kind=Kind.COUNT),
        Column(name="example_url", title="For example", kind=Kind.URL),
    ),
    key=("host", "rule"),
    order="urls DESC, host, rule",
)

_EXCLUSIONS = Question(
    name="excluded",
    chapter=_COVERAGE,
    title="What was left out, and why",
    explanation="URLs that were found but not fetched, by what excluded them.",
    severity=Severity.INFO,
    view="exclusions",
    columns=(
        Column(name="rule", title="Rule"),
        Column(name="reason", title="In full"),
        Column(name="urls", title="URLs", kind=Kind.COUNT),
        Column(name="example_url", title="For example", kind=Kind.URL),
    ),
    key=("rule", "reason"),
    order="urls DESC, reason",
)

_CHANGES = Question(
    name="changes",
    chapter=_HISTORY,
    title="What the last run changed",
    explanation="Pages that the last run found new, changed, gone (404, 410), moved (they redirect) or back.",
    severity=Severity.INFO,
    view="changes",
    columns=(URL, Column(name="change", title="Change"), Column(name="at", title="Noticed", kind=Kind.TIME)),
    key=("url", "change"),
    order="change, url",
    where="run_id = (SELECT max(id) FROM runs)",
    needs=(
        Need(
            query="SELECT 1 FROM runs WHERE id > (SELECT min(id) FROM runs) LIMIT 1",
            unless="There has been one run so far: everything is new.",
        ),
    ),
)

CRAWL_QUESTIONS = (
    _TRAPS,
    _EXCLUSIONS,
    _CHANGES,
)
