"""What a person reads once a run has ended: the summary in a few labelled lines.

Invariant: a line each, label first; without a terminal no styles and no wrapping, so that tools can cut the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crawler.output.figures import amount, counted, moment, rate, size, span
from crawler.output.safe_text import printable
from crawler.output.summary import Summary
from crawler.quantities import Age
from crawler.records import Closure

_ENDINGS = {
    "complete": ("complete", "green", ": nothing is left that could be fetched now"),
    "waiting": ("waiting", "yellow", ""),
    "max_pages": ("stopped", "green", " at the number of pages that was asked for (--max-pages)"),
    "max_runtime": ("stopped", "green", " after the time that was asked for (--max-runtime)"),
    "interrupted": ("interrupted", "yellow", " by Ctrl-C; everything that was finished is stored"),
    "terminated": ("terminated", "yellow", " by SIGTERM or SIGHUP; everything that was finished is stored"),
}
_NAMED_HOSTS = 3
_AGES_S = (7 * 86400.0, 86400.0, 43200.0, 3600.0, 600.0, 60.0)
_SPACE = "   "


def print_ending(console: Console, summary: Summary, db: Path) -> None:
    """Print the summary; `db` is where the data is."""
    print_rows(console, _rows(summary, db))


def nothing_due(pages: int, newest: float | None, next_at: float | None, *, now: float) -> str:
    """'1,169 pages, newest 2 h ago; nothing is due; --max-age 1h fetches again'. Times are Unix seconds, None: none."""
    if newest is None:
        stored = f"none of {counted(pages, 'page')} could be fetched when last tried" if pages else "no page is stored"
        return f"nothing is due and {stored}; --retry-failed tries again what has failed"
    age_s = max(0.0, now - newest)
    again = Age().show(next((limit_s for limit_s in _AGES_S if limit_s < age_s), 0.0))
    auto = (
        "" if next_at is None else f", --max-age auto {f'in {span(next_at - now)}' if next_at > now else 'some of it'}"
    )
    return f"{counted(pages, 'page')}, newest {span(age_s)} ago; nothing is due; --max-age {again} fetches again{auto}"


def one_line(summary: Summary, db: Path) -> str:
    """The whole account in a line, for mails and logs."""
    parts = [
        _ended(summary).plain,
        f"pages: {_pages(summary).plain}",
        f"failures: {_failures(summary)}" if summary.by_failure else "",
        f"pending: {_pending(summary).plain}" if summary.pending or summary.waiting else "",
    ]
    return f"{printable(str(db))}: run {summary.run_id} {'; '.join(part for part in parts if part)}"


def no_seed(summary: Summary) -> str:
    """What a person has to know of a run that could fetch no seed at all."""
    why = tally({**summary.by_failure, **{f"http {code}": number for code, number in summary.by_status.items()}})
    return f"no seed could be fetched ({why or 'nothing was sent'}); look at them with `crawler status`"


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


def tally(numbers: Mapping[str, int]) -> str:
    """'scope: 120   robots: 4'; zeros are left out."""
    return _SPACE.join(f"{printable(name)}: {amount(number)}" for name, number in numbers.items() if number)


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


def _rows(summary: Summary, db: Path) -> list[tuple[str, Text]]:
    rows = [
        (f"run {summary.run_id}", _ended(summary)),
        ("pages", _pages(summary)),
        ("answers", Text(tally(summary.by_status) or "none")),
        ("failures", Text(_failures(summary), style="red" if summary.by_failure else "")),
        ("connections", Text(_connections(summary))),
        ("TLS", Text("certificates were not verified (--insecure)" if summary.insecure else "", style="yellow")),
        (
            "DNS",
            Text(f"{counted(summary.dns_lookups, 'lookup')}, {amount(summary.dns_cache_hits)} answered from memory"),
        ),
        ("pending", _pending(summary)),
        ("excluded", Text(tally(summary.excluded))),
        ("data", Text(f"{printable(str(db))} ({_urls(summary)})")),
        ("memory", Text(f"{size(summary.peak_rss_bytes)} at most")),
    ]
    return [(label, value) for label, value in rows if value.plain]


def _ended(summary: Summary) -> Text:
    word, style, rest = _ENDINGS.get(summary.end_reason, (printable(summary.end_reason), "red", ""))
    if summary.end_reason == "waiting":
        rest = f": {told_closures(summary.waiting)}; what is left there is for a later run"
    text = Text.assemble((word, f"bold {style}"), rest, f", {span(summary.elapsed_s)}")
    if summary.seeds_failed:
        text.append("; no seed could be fetched", style="bold red")
    return text


def _pages(summary: Summary) -> Text:
    text = Text.assemble(
        (amount(summary.pages), "bold"),
        f" ({rate(summary.pages_per_s)}), {size(summary.bytes)} in {counted(summary.requests, 'request')}",
    )
    if unchanged := summary.by_status.get("304"):
        text.append(f"; {amount(unchanged)} unchanged")
    if summary.run_pages > summary.pages:
        text.append(f"; {amount(summary.run_pages)} in the whole run")
    return text


def _failures(summary: Summary) -> str:
    failures = tally(summary.by_failure)
    retried = f"{amount(summary.retries)} tried again" if summary.retries else ""
    return ", ".join(part for part in (failures, retried) if part)


def _connections(summary: Summary) -> str:
    return (
        f"{amount(summary.connections_opened)} for {counted(summary.requests, 'request')}"
        f" ({summary.connections_per_request:.2g} a request), {amount(summary.connections_peak)} at once at most"
    )


def _pending(summary: Summary) -> Text:
    if not summary.pending:
        return Text("none" + (f"; what is to be fetched again: {_why_left(summary)}" if summary.waiting else ""))
    text = Text.assemble((amount(summary.pending), "bold"), f" left, {_why_left(summary)}")
    text.stylize("yellow")
    return text


def _why_left(summary: Summary) -> str:
    if summary.by_failure.get("proxy"):
        return "for want of the proxy, or not reached before the end"
    if summary.waiting:
        return f"some on hosts that asked for a pause or cannot be reached: {names(summary.backing_off)}"
    return "to be fetched later" if summary.complete else "not reached before the end"


def _urls(summary: Summary) -> str:
    return f"{counted(sum(summary.urls.values()), 'URL')}, {amount(summary.urls.get('fetched', 0))} fetched"
