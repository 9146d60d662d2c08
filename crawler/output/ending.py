"""The summary that a person reads once a run has ended: a few labelled lines.

Invariant: one line per row, label first. Off a terminal there are no styles and no wrapping, so that tools can cut the
lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crawler.location import Location
from crawler.output.figures import amount, counted, lookups, moment, rate, size, span
from crawler.output.safe_text import printable
from crawler.output.suggestions import suggestions
from crawler.output.summary import Summary
from crawler.quantities import Age
from crawler.records import Change, Closure, EndReason, FailingUrls

_ENDINGS: Mapping[str, tuple[str, str, str]] = {
    EndReason.COMPLETE: ("complete", "green", ": no fetchable URLs left"),
    EndReason.WAITING: ("waiting", "yellow", ""),
    EndReason.MAX_PAGES: ("stopped", "green", ": reached the page limit (--max-pages)"),
    EndReason.MAX_REQUESTS: ("stopped", "green", ": reached the request limit (--max-requests)"),
    EndReason.MAX_RUNTIME: ("stopped", "green", ": reached the time limit (--max-runtime)"),
    EndReason.INTERRUPTED: ("interrupted", "yellow", " by Ctrl-C; all finished work is stored"),
    EndReason.STOPPED: ("stopped", "yellow", " by `crawler stop`; all finished work is stored"),
    EndReason.OUTPUT_CLOSED: ("stopped", "green", ": whoever read its output has left; all finished work is stored"),
    EndReason.TERMINATED: ("terminated", "yellow", " by SIGTERM or SIGHUP; all finished work is stored"),
}
_NAMED_HOSTS = 3
_NAMED_SEEDS = 5  # in one line
_MAX_URL = 200  # characters
_AGES_S = (7 * 86400.0, 86400.0, 43200.0, 3600.0, 600.0, 60.0)
_SPACE = "   "


def print_ending(console: Console, summary: Summary, db: Location) -> None:
    """Print the summary of a run into `db`; on a terminal, also what can be done with that now."""
    tries = suggestions(summary, db) if console.is_terminal else []
    width = max((len(command) for command, _what in tries), default=0)
    rows = [
        ("" if place else "try", Text.assemble((printable(command).ljust(width), "cyan"), f"  {what}"))
        for place, (command, what) in enumerate(tries)
    ]
    print_rows(console, _rows(summary, db) + rows)


def nothing_due(pages: int, newest: float | None, next_at: float | None, *, now: float) -> str:
    """'nothing is due: 1,169 pages stored, newest 2 h ago; --max-age 1h refetches them'.

    `newest` is when the newest page was fetched, `next_at` when `--max-age auto` has something due; Unix seconds, None
    where there is no such time.
    """
    if newest is None:
        tried = f" ({counted(pages, 'page')} could not be fetched)" if pages else ""
        return f"nothing is due: no pages stored{tried}; --retry-failed retries failed URLs"
    age_s = max(0.0, now - newest)
    limit = Age().show(next((limit_s for limit_s in _AGES_S if limit_s < age_s), 0.0))
    stored = f"{counted(pages, 'page')} stored, newest {span(age_s)} ago"
    what = "it" if pages == 1 else "them"
    return f"nothing is due: {stored}; --max-age {limit} refetches {what}{_auto(next_at, now)}"


def one_line(summary: Summary, db: Location) -> str:
    """The whole summary in one line, for mails and logs."""
    parts = [
        _ended(summary).plain,
        f"pages: {_pages(summary).plain}",
        f"changes: {_changes(summary, ', ')}" if any(summary.changes.values()) else "",
        f"failures ({_failures(summary, ', ')})" if summary.by_failure else "",
        told_failing(summary.failing),
        f"checked: {told_checks(summary.checks, ', ')}" if summary.checks else "",
        f"extracts: {', '.join(map(' '.join, told_extracts(summary)))}" if summary.extracts else "",
        f"pending: {_pending(summary).plain}" if summary.pending or summary.waiting else "",
    ]
    return f"{printable(str(db))}: run {summary.run_id} {'; '.join(part for part in parts if part)}"


def no_seed(summary: Summary) -> str:
    """The error of a run that could not fetch any seed."""
    shown = [f"{url} ({why})" for url, why in _failed_seeds(summary)[:_NAMED_SEEDS]]
    if (more := summary.failed_seeds_total - len(shown)) > 0:
        shown.append(f"and {amount(more)} more, which `crawler status` counts")
    return f"no seed could be fetched: {'; '.join(shown)}"


def print_rows(console: Console, rows: list[tuple[str, Text]]) -> None:
    """Labelled lines: aligned and wrapped on a terminal, one line each elsewhere."""
    if not console.is_terminal:
        width = max(len(label) for label, _value in rows)
        for label, value in rows:
            console.print(f"{label:{width}}  {value.plain}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 1), pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(label, value)
    console.print(table)


def tally(numbers: Mapping[str, int], separator: str = _SPACE) -> str:
    """'scope: 120   robots: 4'; zeros are left out."""
    return separator.join(f"{printable(name)}: {amount(number)}" for name, number in numbers.items() if number)


def not_stored(links: int) -> str:
    """How many links `--max-urls-per-host` left out; an empty text if there are none."""
    return f"{counted(links, 'link')} to URLs that were not stored (--max-urls-per-host)" if links else ""


def names(hosts: tuple[str, ...]) -> str:
    """'a.example, b.example, c.example and others'."""
    shown = ", ".join(printable(host, 60) for host in hosts[:_NAMED_HOSTS])
    return shown + (" and others" if len(hosts) > _NAMED_HOSTS else "")


def told_closures(closures: Sequence[Closure]) -> str:
    """'http://a.example until 2026-11-28 05:10 (http 503), b.example until ... (dns), and 4 more'."""
    shown = [
        f"{printable(one.name, 60)} until {moment(one.until)} ({printable(one.why, 60)})"
        for one in closures[:_NAMED_HOSTS]
    ]
    more = len(closures) - _NAMED_HOSTS
    return ", ".join(shown) + (f", and {more} more" if more > 0 else "")


def told_failing(failing: FailingUrls) -> str:
    """'1,024 failing since 2026-03-01 02:10 (timeout: 1,024)'; nothing where nothing fails."""
    if failing.since is None:
        return ""
    return f"{amount(failing.urls)} failing since {moment(failing.since)} ({tally(failing.reasons, ', ')})"


def told_checks(checks: Mapping[str, int], separator: str = _SPACE) -> str:
    """'good: 120   gone: 3   not asked: 2'."""
    return tally({verdict.replace("_", " "): number for verdict, number in checks.items()}, separator)


def told_extracts(summary: Summary) -> list[tuple[str, str]]:
    """Each rule, and '1,204 rows on 1,190 of 1,204 pages; nothing any more on 3, incomplete 2'."""
    return [(rule, found_by_rule(count)) for rule, count in summary.extracts.items()]


def found_by_rule(count: Mapping[str, int]) -> str:
    """'12 rows on 11 of 12 pages (nothing any more on 1)'; what is missing in `count` is 0."""
    found = f"{counted(count.get('rows', 0), 'row')} on {amount(count.get('pages', 0) - count.get('nothing', 0))} of"
    names = {"lost": "nothing any more on", "incomplete": "incomplete", "cut": "cut"}
    parts = {name: count.get(key, 0) for key, name in names.items()}
    problems = ", ".join(f"{what} {amount(number)}" for what, number in parts.items() if number)
    return f"{found} {counted(count.get('pages', 0), 'page')}" + (f" ({problems})" if problems else "")


def _extracts(summary: Summary) -> list[tuple[str, Text]]:
    """A line for each rule: the first has the label."""
    return [
        (
            "" if place else "extracts",
            Text(f"{printable(rule)}: {found}", style="yellow" if _falls_short(summary, rule) else ""),
        )
        for place, (rule, found) in enumerate(told_extracts(summary))
    ]


def _falls_short(summary: Summary, rule: str) -> bool:
    count = summary.extracts[rule]
    return bool(count["lost"] or count["incomplete"] or count["nothing"] == count["pages"])


def _failed_seeds(summary: Summary) -> list[tuple[str, str]]:
    return [(printable(seed["url"], _MAX_URL), printable(seed["reason"], _MAX_URL)) for seed in summary.failed_seeds]


def _auto(next_at: float | None, now: float) -> str:
    if next_at is None:
        return ""
    due = f"the next is due in {span(next_at - now)}" if next_at > now else "some are due now"
    return f"; with --max-age auto, {due}"


def _rows(summary: Summary, db: Location) -> list[tuple[str, Text]]:
    rows = [
        (f"run {summary.run_id}", _ended(summary)),
        *(("seed", Text(f"{url}: {why}", style="red")) for url, why in _failed_seeds(summary)),
        ("seeds", _more_seeds(summary)),
        ("pages", _pages(summary)),
        ("changes", Text(_changes(summary, _SPACE))),
        ("responses", Text(tally(summary.by_status) or "none")),
        ("failures", Text(_failures(summary), style="red" if summary.by_failure else "")),
        ("failing", Text(told_failing(summary.failing), style="yellow")),
        ("checked", Text(told_checks(summary.checks))),
        *_extracts(summary),
        ("connections", Text(_connections(summary))),
        ("TLS", Text("certificates were not verified (--insecure)" if summary.insecure else "", style="yellow")),
        ("DNS", Text(lookups(summary.dns_lookups, summary.dns_cache_hits))),
        ("pending", _pending(summary)),
        ("excluded", Text(tally(summary.excluded))),
        ("left out", Text(not_stored(summary.unstored_links), style="yellow")),
        ("cut", Text(_cut(summary), style="yellow")),
        ("data", Text(f"{printable(str(db))} ({_urls(summary)})")),
        ("memory", Text(f"{size(summary.peak_rss_bytes)} peak")),
    ]
    return [(label, value) for label, value in rows if value.plain]


def _cut(summary: Summary) -> str:
    """What was not read whole; empty if nothing."""
    return f"{counted(summary.cut_sitemaps, 'sitemap')} beyond the limits" if summary.cut_sitemaps else ""


def _more_seeds(summary: Summary) -> Text:
    more = summary.failed_seeds_total - len(summary.failed_seeds)
    return Text(f"{amount(more)} more" if more > 0 else "", style="red")


def _ended(summary: Summary) -> Text:
    word, style, rest = _ENDINGS.get(summary.end_reason, (printable(summary.end_reason), "red", ""))
    if summary.end_reason is EndReason.WAITING:
        rest = f": {told_closures(summary.waiting)}; their remaining pages are left for a later run"
    text = Text.assemble((word, f"bold {style}"), f" after {span(summary.elapsed_s)}", rest)
    if summary.goes_on:
        text.append("; the run is left to other workers")
    if summary.seeds_failed:
        text.append("; no seed could be fetched", style="bold red")
    return text


def _pages(summary: Summary) -> Text:
    text = Text.assemble(
        (amount(summary.pages), "bold"),
        f" ({rate(summary.pages_per_s)}), {size(summary.bytes)} in {counted(summary.requests, 'request')}",
    )
    if unchanged := summary.changes.get(Change.UNCHANGED):
        text.append(f"; {amount(unchanged)} unchanged")
    if summary.run_pages > summary.pages:
        text.append(f"; {amount(summary.run_pages)} in the whole run")
    return text


def _changes(summary: Summary, separator: str) -> str:
    """'new 12, unchanged 1,157, newly failed 2'."""
    return separator.join(f"{kind.replace('_', ' ')} {amount(n)}" for kind, n in summary.changes.items() if n)


def _failures(summary: Summary, separator: str = _SPACE) -> str:
    retried = counted(summary.retries, "retry", "retries") if summary.retries else ""
    return "; ".join(part for part in (tally(summary.by_failure, separator), retried) if part)


def _connections(summary: Summary) -> str:
    return (
        f"{amount(summary.connections_opened)} opened for {counted(summary.requests, 'request')}"
        f" ({summary.connections_per_request:.2g} per request), {amount(summary.connections_peak)} at peak"
    )


def _pending(summary: Summary) -> Text:
    if not summary.pending:
        return Text("none" + (f"; refetches postponed ({_why_left(summary)})" if summary.waiting else ""))
    text = Text.assemble((amount(summary.pending), "bold"), f" left ({_why_left(summary)})")
    text.stylize("yellow")
    return text


def _why_left(summary: Summary) -> str:
    if summary.by_failure.get("proxy"):
        return "the proxy failed, or the run ended first"
    if summary.waiting:
        hosts = names(summary.backing_off)
        return f"some on hosts that asked for a pause or could not be reached, or wait for a retry: {hosts}"
    return "not due yet" if summary.complete else "the run ended first"


def _urls(summary: Summary) -> str:
    return f"{counted(sum(summary.urls.values()), 'URL')}, {amount(summary.urls.get('fetched', 0))} fetched"
