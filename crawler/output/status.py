"""What a database holds, for people (tables) and for programs (one JSON object).

Invariant: only reads, and never waits for a running crawl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from crawler.archive.report import SAME_CONTENT, HostTally, Report, RunRecord, Trap, read_report
from crawler.clock import Clock
from crawler.location import Location
from crawler.output.ending import not_stored, print_rows, tally, told_checks, told_closures, told_failing
from crawler.output.figures import amount, counted, moment, rate, size, span
from crawler.output.safe_text import printable
from crawler.output.summary import closures_as_data
from crawler.records import EndReason, UrlStatus
from crawler.statically_frozen import dataclass
from crawler.storage.interface import WorkerState
from crawler.storage.location import database_at

_MAX_NAME, _MIN_NAME = 60, 12  # cells
_MAX_URL = 160  # cells
_MAX_CAUSE = 100  # cells
_GAP = 2  # cells between columns
_END_STYLES: Mapping[str, str] = {
    EndReason.COMPLETE: "green",
    EndReason.MAX_PAGES: "green",
    EndReason.MAX_REQUESTS: "green",
    EndReason.MAX_RUNTIME: "green",
    EndReason.OUTPUT_CLOSED: "green",
    EndReason.KILLED: "red",
    "running": "cyan",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A database as it was at `now` (Unix seconds). `size_bytes` includes the write-ahead log."""

    path: Location
    size_bytes: int
    running: bool
    now: float
    report: Report
    workers: Sequence[WorkerState] | None = None  # None: it is one process's

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON.

        `last_run` is the summary of the newest run, None until it has ended; its fields are repeated at the top level.
        The others are: path, size_bytes, running, runs, urls, pending, next_due_at, hosts, suspects, failed_urls,
        traps, waiting, old_rules, hosts_total, hosts_crawled, hosts_backing_off, failures, failing, excluded,
        checks, unstored_links, page_versions, bodies, fetches. `urls`, `pending`, `excluded` and `checks` are what the
        database holds now. Times are Unix seconds. Where several processes may share the database, `workers` are those
        that take part in a run.
        """
        report = self.report
        newest = report.runs[0] if report.runs else None
        return {
            **_known_of(newest),
            **asdict(report),
            "waiting": closures_as_data(report.waiting),
            "path": str(self.path),
            "size_bytes": self.size_bytes,
            "running": self.running,
            "pending": report.urls[UrlStatus.PENDING],
            "runs": [{**_run_fields(run), "state": self.state_of(run)} for run in report.runs],
            "last_run": newest.summary if newest else None,
            **({} if self.workers is None else {"workers": [asdict(worker) for worker in self.workers]}),
        }

    def state_of(self, run: RunRecord) -> str:
        """Why the run ended, or 'running', or 'killed'."""
        if run.ended_at is not None:
            return run.end_reason or "unknown"
        return "running" if self.running else EndReason.KILLED


async def read_status(db: Location, clock: Clock | None = None) -> Status:
    """Read it. Raises `DatabaseFailedError` if there is no crawl database or it cannot be read."""
    database = database_at(db)
    report = await read_report(db, None if clock is None else clock.wall())
    return Status(
        path=db,
        size_bytes=database.size_bytes(),
        running=database.is_held(),
        now=report.now,
        report=report,
        workers=database.workers(),
    )


def print_status(console: Console, status: Status) -> None:
    """Print it: boxes and colours on a terminal, columns of plain text elsewhere."""
    report = status.report
    print_rows(console, _overview(status))
    if report.runs:
        _print_runs(console, status)
    if status.workers:
        _print_workers(console, status.workers)
    if report.hosts:
        _print_hosts(console, status)
    if report.suspects:
        _print_suspects(console, status)
    if report.failed_urls:
        _print_failed(console, report)
    if report.traps:
        _print_traps(console, report.traps)


def _overview(status: Status) -> list[tuple[str, Text]]:
    report = status.report
    rows = [
        ("database", Text(f"{printable(str(status.path))}, {size(status.size_bytes)}")),
        ("crawl", Text("running", style="cyan") if status.running else Text("not running")),
        ("URLs", Text(tally(report.urls) or "none")),
        ("pending", Text(_pending(status))),
        ("waiting", Text(told_closures(report.waiting), style="yellow")),
        ("robots.txt", Text(_old_rules(report, status.now), style="yellow")),
        ("failed", Text(tally(report.failures), style="red")),
        ("failing", Text(told_failing(report.failing), style="yellow")),
        ("checked", Text(told_checks(report.checks))),
        ("excluded", Text(tally(report.excluded))),
        ("left out", Text(not_stored(report.unstored_links), style="yellow")),
        ("stored", Text(_stored(report))),
    ]
    return [(label, value) for label, value in rows if value.plain]


def _pending(status: Status) -> str:
    report = status.report
    pending = report.urls[UrlStatus.PENDING]
    if report.next_due_at is None:
        return amount(pending) if pending else "none"
    due = f"next due {_moment(report.next_due_at - status.now)}"
    hosts = report.hosts_backing_off
    paused = f"; {counted(hosts, 'host')} paused" if hosts else ""
    return f"{amount(pending)}, {due}{paused}"


def _old_rules(report: Report, now: float) -> str:
    """Which origins go by an old copy of their robots.txt: as many as fit into a line."""
    shown = [
        f"{printable(one.origin, _MAX_NAME)} uses the copy from {span(now - one.fetched_at)} ago"
        f" ({'no answer' if one.status_code is None else f'HTTP {one.status_code}'} since)"
        for one in report.old_rules
    ]
    return "; ".join(shown)


def _stored(report: Report) -> str:
    return (
        f"{counted(report.page_versions, 'page version')},"
        f" {counted(report.bodies, 'distinct body', 'distinct bodies')}, {counted(report.fetches, 'attempt')}"
    )


def _print_runs(console: Console, status: Status) -> None:
    rows = []
    for run in status.report.runs:
        state = status.state_of(run)
        ended_at = run.ended_at or (status.now if state == "running" else None)
        row = [
            Text(str(run.run_id)),
            Text(moment(run.started_at)),
            Text(span(ended_at - run.started_at) if ended_at else "?"),
            _number(run.pages),
            _number(run.requests),
            Text(printable(state), style=_END_STYLES.get(state, "yellow")),
        ]
        rows.append(row)
    _print_table(console, ["run", "started", "took", "pages", "requests", "state"], rows, left=("started", "state"))


def _print_workers(console: Console, workers: Sequence[WorkerState]) -> None:
    rows = [
        [
            Text(printable(worker.name, _MAX_NAME)),
            _number(worker.partitions),
            Text("" if worker.pages is None else amount(worker.pages)),
            Text("" if worker.pages_per_s is None else rate(worker.pages_per_s)),
            Text("" if worker.under_way is None else amount(worker.under_way)),
            Text(f"{span(worker.seen_s)} ago"),
            _state_of(worker),
        ]
        for worker in workers
    ]
    _print_table(
        console, ["worker", "partitions", "pages", "speed", "under way", "seen", "state"], rows, left=["state"]
    )


def _state_of(worker: WorkerState) -> Text:
    if worker.is_dead:
        return Text("not heard of: its hosts are taken over", style="red")
    if worker.is_draining:
        return Text("draining", style="yellow")
    return Text("working" if worker.run_id is not None else "beginning")


def _print_hosts(console: Console, status: Status) -> None:
    report = status.report
    title = "host"
    if len(report.hosts) < report.hosts_crawled:
        title = f"host ({len(report.hosts)} of {amount(report.hosts_crawled)})"
    shown = [word.value for word in UrlStatus if any(host.urls[word] for host in report.hosts)]
    rows = [[_name(host), *(_number(host.urls[word]) for word in shown)] for host in report.hosts]
    if any(host.pace_s for host in report.hosts):
        shown.append("slowed to")
        rows = [[*row, _slowed(host)] for row, host in zip(rows, report.hosts, strict=True)]
    due = ["next due"] if report.next_due_at is not None else []
    if due:
        rows = [[*row, _due(host, status.now)] for row, host in zip(rows, report.hosts, strict=True)]
    _print_table(console, [title, *shown, *due], rows, left=due)


def _print_suspects(console: Console, status: Status) -> None:
    rows = []
    for host in status.report.suspects:
        numbers = (host.urls[UrlStatus.FAILED], host.failing, host.urls[UrlStatus.FETCHED], host.failures)
        rows.append([_name(host), *map(_number, numbers)])
    _print_table(console, ["failing host", "failed", "failing", "fetched", "failures in a row"], rows)


def _print_failed(console: Console, report: Report) -> None:
    named, total = len(report.failed_urls), report.urls[UrlStatus.FAILED]
    title = "failed URL" if named == total else f"failed URL ({named} of {amount(total)})"
    rows = []
    for failed in report.failed_urls:
        cause = failed.reason if failed.message is None else f"{failed.reason}: {failed.message}"
        rows.append([Text(printable(failed.url, _MAX_URL)), Text(printable(cause, _MAX_CAUSE), style="red")])
    _print_table(console, [title, "cause"], rows, left=("cause",))


def _print_traps(console: Console, traps: Sequence[Trap]) -> None:
    rows = []
    for trap in traps:
        about = "about " if trap.rule == SAME_CONTENT else ""
        rows.append([Text(printable(f"{trap.host}: {trap.rule}")), Text(about + amount(trap.urls))])
        rows += [[Text("  " + printable(url, _MAX_URL), style="dim"), Text()] for url in trap.examples]
    _print_table(console, ["suspected trap", "URLs"], rows)


def _print_table(console: Console, header: list[str], rows: list[list[Text]], left: Sequence[str] = ()) -> None:
    """On a narrow terminal the first column is cut, never a figure: that would show another number."""
    others = sum(max(cell_len(header[n]), *(row[n].cell_len for row in rows)) + _GAP for n in range(1, len(header)))
    for row in rows:
        row[0].truncate(max(_MIN_NAME, console.width - others - _GAP), overflow="ellipsis")
    box = SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=box, padding=(0, _GAP - (box is not None), 0, 0), border_style="dim")  # a box adds a cell
    for number, column in enumerate(header):
        justify: JustifyMethod = "left" if number == 0 or column in left else "right"
        table.add_column(column, header_style="dim", justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if not console.is_terminal:
        console.print()  # the box has an empty line of its own
    console.print(table)


def _name(host: HostTally) -> Text:
    return Text(printable(host.name, _MAX_NAME))


def _number(number: int) -> Text:
    return Text(amount(number), style="" if number else "dim")


def _slowed(host: HostTally) -> Text:
    return Text("-", style="dim") if host.pace_s is None else Text(f"1 in {span(host.pace_s)}", style="yellow")


def _due(host: HostTally, now: float) -> Text:
    if host.next_due_at is None:
        return Text("-", style="dim")
    paused = ", paused" if host.back_off_until > now else ""
    return Text(_moment(host.next_due_at - now) + paused, style="yellow" if paused else "")


def _moment(seconds: float) -> str:
    return f"in {span(seconds)}" if seconds > 0 else "now"


def _known_of(run: RunRecord | None) -> dict[str, Any]:
    """The summary's fields; for a run that has not ended, only those that the database holds."""
    if run is None:
        return {}
    if run.summary is not None:
        return dict(run.summary)
    return {"run_id": run.run_id, "complete": False, "pages": run.pages, "requests": run.requests}


def _run_fields(run: RunRecord) -> dict[str, Any]:
    fields = asdict(run)
    del fields["summary"]
    return fields
