"""What the live view draws: figures, the busiest hosts, the latest errors.

Invariant: it is at least one line shorter than the terminal, since a live region that scrolls cannot be erased again.
What does not fit is cut from the bottom: errors first, then hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from urllib.parse import urlsplit

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from crawler.counters import Counters
from crawler.output.figures import amount, counted, lookups, rate, size, span, stopwatch
from crawler.output.meter import SHOWN_HOSTS, HostView, OriginView, Reading, queued
from crawler.output.safe_text import printable

_CLASS_STYLES = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}
_MAX_URL = 300  # cells, wider than any terminal; the table cuts it to fit
_MAX_MESSAGE = 34
_LOW = 16  # lines: a lower terminal gets no empty line
_NARROW = 56  # columns: a narrower terminal gets no column for pending URLs


class Screen:
    """A rich renderable: one reading and the counters that go with it."""

    def __init__(self, reading: Reading, counters: Counters) -> None:
        self._reading = reading
        self._counters = counters

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, options.size.height - 1)
        lines: list[list[Segment]] = [[]] if room > _LOW else []  # an empty line below the notices
        for part in (self._figures(), self._hosts(options.max_width), self._errors(options.max_width)):
            if part is not None:
                lines += console.render_lines(part, options.update(height=None), pad=False)
        for number, line in enumerate(lines[:room]):
            if number:
                yield Segment.line()
            yield from line

    def _figures(self) -> Table:
        reading, counters = self._reading, self._counters
        pending = amount(reading.pending) + ("+" if reading.pending_more else "")
        rows = Table.grid(padding=(0, 2, 0, 1), pad_edge=True)
        rows.add_column(style="dim", no_wrap=True, min_width=len("connections"))
        rows.add_column(no_wrap=True, overflow="ellipsis")
        rows.add_row("elapsed", stopwatch(reading.elapsed_s))
        rows.add_row("pages", _pages(reading))
        rows.add_row("pending", f"{pending}, {amount(counters.in_flight)} in flight")
        rows.add_row("responses", responses(counters.by_status, counters.by_failure))
        if counters.checks:
            rows.add_row("checked", checked(counters.checks))
        rows.add_row("received", size(counters.bytes))
        rows.add_row(
            "connections",
            f"{amount(counters.connections_opened)} opened for {counted(counters.requests, 'request')},"
            f" {amount(counters.connections_open)} open now",
        )
        rows.add_row("DNS", lookups(counters.dns_lookups, counters.dns_cache_hits))
        if (share := counters.share) is not None:
            workers = counted(share.workers, "worker")
            rows.add_row("share", f"{counted(share.partitions, 'partition')}; {workers} in the run")
        return rows

    def _hosts(self, width: int) -> Table | None:
        reading = self._reading
        if not reading.busiest:
            return None
        title = "host" if reading.host_count <= SHOWN_HOSTS else f"host ({SHOWN_HOSTS} of {amount(reading.host_count)})"
        table = Table(box=None, padding=(0, 2, 0, 1), header_style="dim")
        table.add_column("\n" + title, no_wrap=True, overflow="ellipsis", max_width=max(12, width - 50))
        table.add_column("\nrequests", justify="right", no_wrap=True)
        if width >= _NARROW:
            table.add_column("\npending", justify="right", no_wrap=True)
        table.add_column("\nstate", min_width=14)  # the only one that may wrap is the first one that is made smaller
        for host in reading.busiest:
            pending = [amount(queued(host)) + ("+" if host.more else " ")] if width >= _NARROW else []
            table.add_row(Text(printable(host.name)), amount(host.requests), *pending, host_state(host, reading.now))
        return table

    def _errors(self, width: int) -> RenderableType | None:
        latest = list(islice(reversed(self._counters.latest_errors), 5))
        if not latest:
            return None
        table = Table(box=None, padding=(0, 2, 0, 1), header_style="dim", expand=True)
        table.add_column("\nlatest errors", no_wrap=True, overflow="ellipsis", max_width=max(10, width * 2 // 5))
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        for url, what in latest:
            table.add_row(Text(printable(what, _MAX_MESSAGE), style="red"), Text(printable(url, _MAX_URL), style="dim"))
        return table


def host_state(host: HostView, now: float) -> Text:
    """What the host is doing or waiting for, in words; `now` is monotonic seconds."""
    what, until = _paused(host, now)
    pause = f"{what} paused, {span(until - now)}".lstrip() if until > now else ""
    text = Text(no_wrap=True, overflow="ellipsis")
    if pause and not what and (host.backing_off or not host.lent):
        text.append(pause, style="yellow")
    else:
        text.append(*_state(host, now, pauses=bool(pause)))
        if pause:
            text.append(f", {pause}" if text else pause, style="yellow")
    if host.slow:
        text.append(", slow", style="yellow")
    if host.slowed_s is not None:
        text.append(f", slowed to 1 in {span(host.slowed_s)}", style="yellow")
    return text


def _state(host: HostView, now: float, *, pauses: bool) -> tuple[str, str]:
    """What the host is doing. `pauses`: it or some of its origins are paused, which is shown instead of 'idle'."""
    wait_s = host.ready_at - now
    if host.waiting:
        return "waiting for robots.txt", "cyan"
    if host.lent:
        return "fetching" if host.lent == 1 else f"fetching {host.lent}", "green"
    if host.reached_limit:
        return f"{host.reached_limit} limit reached", "dim"
    if host.claims.available if pauses else host.claims:
        return (f"next in {span(max(0.1, wait_s))}", "dim") if wait_s > 0 else ("ready", "")
    return "" if pauses else "idle", "dim"


def _paused(host: HostView, now: float) -> tuple[str, float]:
    """Which origins are paused ('https', 'port 8080'; empty if the whole host is), and when the first pause ends."""
    if host.backing_off and host.ready_at > now:
        return "", host.ready_at
    origins = list(host.claims.origins())
    paused = [one for one in origins if one.paused_until > now]
    names = map(_short, paused) if len(paused) < len(origins) else ()
    return ", ".join(names), min((one.paused_until for one in paused), default=now)


def _short(origin: OriginView) -> str:
    """An origin without its host, which stands beside it: 'https' or 'port 8080'."""
    parts = urlsplit(origin.name)
    return parts.scheme if parts.port is None else f"port {parts.port}"


def responses(by_status: Mapping[int, int], by_failure: Mapping[str, int]) -> Text:
    """Responses by class of status, in colours, and the attempts that got none."""
    parts = [
        Text(f"{status_class}xx {amount(number)}", style=_CLASS_STYLES.get(status_class, ""))
        for status_class, number in sorted(by_class(by_status).items())
    ]
    failed = sum(by_failure.values())
    if failed:
        parts.append(Text(f"failed {amount(failed)}", style="red"))
    return joined(parts) if parts else Text("none yet", style="dim")


def checked(checks: Mapping[str, int]) -> str:
    """'120: good 100, gone 3, redirected 17'."""
    parts = ", ".join(f"{verdict.replace('_', ' ')} {amount(number)}" for verdict, number in checks.items())
    return f"{amount(sum(checks.values()))}: {parts}"


def by_class(by_status: Mapping[int, int]) -> Counter[int]:
    """Responses by the first digit of their status."""
    classes: Counter[int] = Counter()
    for status, number in by_status.items():
        classes[status // 100] += number
    return classes


def joined(parts: Iterable[Text]) -> Text:
    """The parts in a row, three spaces between."""
    return Text("   ").join(parts)


def _pages(reading: Reading) -> Text:
    return Text.assemble(
        (amount(reading.pages), "bold"),
        f", {rate(reading.recent_per_s)} now, {rate(reading.overall_per_s)} overall",
    )
