"""What a person sees of a crawl: a live view on a terminal; elsewhere one line at the end, or log lines as it runs.

Invariants: progress and notices go to standard error and the summary to standard output, so that `> summary.txt` keeps
just the summary; if nobody reads a stream any more, its lines are dropped and the crawl continues. Everything is drawn
on the event loop's thread, where the figures are written. The live region belongs to one task: however the crawl ends,
ending that task restores the terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

from crawler.clock import Clock
from crawler.counters import Counters
from crawler.location import Location
from crawler.output.ending import no_seed, one_line, print_ending
from crawler.output.events import events_of
from crawler.output.figures import amount, rate, stopwatch
from crawler.output.logs import JsonLines, LogFormat, pause_s
from crawler.output.meter import HostSource, Meter, Reading
from crawler.output.observer import Observer
from crawler.output.safe_text import printable
from crawler.output.screen import Screen, by_class, checked
from crawler.output.streams import lasting_stream
from crawler.output.summary import Summary
from crawler.records import Result, Visit

_REFRESH_S = 0.25


class LiveView(Observer):
    """A region at the bottom of the terminal that is redrawn four times a second; notices scroll by above it."""

    def __init__(self, db: Location, screen: Console, results: Console, clock: Clock, *, verbose: bool = False) -> None:
        self._db = db
        self._screen = screen
        self._results = results
        self._clock = clock
        self._verbose = verbose
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Start drawing, in a task of the running loop."""
        meter = Meter(frontier, counters, self._clock)
        self._task = asyncio.get_running_loop().create_task(self._draw(meter))

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Print a line that stays, above the region."""
        self._screen.print(Text(printable(text)), highlight=False)

    @property
    def follows_visits(self) -> bool:
        """If each URL is wanted: else the region shows the latest errors, which is enough."""
        return self._verbose

    def visited(self, visit: Visit, results: Sequence[Result]) -> None:
        """Print its events above the region."""
        for event in events_of(visit, results, every=True):
            self._screen.print(Text(f"{_time(self._clock)} {event.text}"), highlight=False, soft_wrap=True)

    def finished(self, summary: Summary) -> None:
        """Remove the region and print the summary."""
        self.close()
        print_ending(self._results, summary, self._db)

    def close(self) -> None:
        """Restore the terminal. Needed only after a crawl has failed while its event loop keeps running."""
        if self._live is not None:
            self._live.stop()
        if self._task is not None:
            self._task.cancel()

    async def _draw(self, meter: Meter) -> None:
        live = Live(
            Screen(meter.read(), meter.counters),
            console=self._screen,
            auto_refresh=False,  # rich's own thread would read what the event loop writes
            transient=True,
            redirect_stdout=False,  # it may be a file
            vertical_overflow="crop",
        )
        self._live = live
        with live:
            while True:
                live.update(Screen(meter.read(), meter.counters), refresh=True)
                await asyncio.sleep(_REFRESH_S)


class PlainLines(Observer):
    """A line every five seconds, every thirty after the first minute: for logs and pipes."""

    def __init__(self, db: Location, screen: Console, results: Console, clock: Clock, *, verbose: bool = False) -> None:
        self._db = db
        self._screen = screen
        self._results = results
        self._clock = clock
        self._verbose = verbose
        self._task: asyncio.Task[None] | None = None

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Start printing, in a task of the running loop."""
        meter = Meter(frontier, counters, self._clock)
        self._task = asyncio.get_running_loop().create_task(self._print_lines(meter))

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Print it as a line."""
        print_line(self._screen, text)

    @property
    def follows_visits(self) -> bool:
        """It does."""
        return True

    def visited(self, visit: Visit, results: Sequence[Result]) -> None:
        """Print its events, each as a line with its time."""
        for event in events_of(visit, results, every=self._verbose):
            print_line(self._screen, f"{_time(self._clock)} {event.text}")

    def finished(self, summary: Summary) -> None:
        """Print the summary."""
        self.close()
        print_ending(self._results, summary, self._db)

    def close(self) -> None:
        """Stop printing. Needed only after a crawl has failed while its event loop keeps running."""
        if self._task is not None:
            self._task.cancel()

    async def _print_lines(self, meter: Meter) -> None:
        reading = meter.read()
        while True:
            await asyncio.sleep(pause_s(reading))
            reading = meter.read()
            print_line(self._screen, progress_line(reading, meter.counters))


class OneLine(Observer):
    """One line at the end, and anything that needs a person: for cron, which mails whatever is printed."""

    def __init__(self, db: Location, screen: Console, results: Console) -> None:
        self._db = db
        self._screen = screen
        self._results = results

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Print it if it is urgent."""
        if urgent:
            print_line(self._screen, text)

    def finished(self, summary: Summary) -> None:
        """Print the line."""
        print_line(self._results, one_line(summary, self._db))
        if summary.seeds_failed:
            print_line(self._screen, f"crawler: {no_seed(summary)}")


class Quiet(Observer):
    """Reports only that no seed could be fetched; the command line prints other errors."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def finished(self, summary: Summary) -> None:
        """Print an error if no seed could be fetched."""
        if summary.seeds_failed:
            print_line(self._screen, f"crawler: {no_seed(summary)}")


def observer_for(
    db: Location,
    quiet: bool,
    *,
    log_format: LogFormat | None = None,
    verbose: bool = False,
    screen: Console | None = None,
    results: Console | None = None,
    interactive: bool | None = None,
    clock: Clock | None = None,
) -> Observer:
    """The observer that shows the crawl into `db`: log lines if there is a `log_format`, otherwise the live view on a
    terminal and one line elsewhere. `quiet`: errors only. `verbose`: a line for each URL, too.

    `screen` is standard error and `results` standard output unless given; those two never raise. `interactive` None:
    whether `screen` is a real terminal, even if the environment forces colours.
    """
    screen = screen or Console(file=lasting_stream(2))
    results = results or Console(file=lasting_stream(1))
    clock = clock or Clock()
    if log_format is LogFormat.JSON:
        return JsonLines(db, screen, clock, quiet=quiet, verbose=verbose)
    if quiet:
        return Quiet(screen)
    if log_format is LogFormat.TEXT:
        return PlainLines(db, screen, results, clock, verbose=verbose)
    if interactive is None:
        interactive = screen.file.isatty() and screen.is_interactive
    if interactive:
        return LiveView(db, screen, results, clock, verbose=verbose)
    return PlainLines(db, screen, results, clock, verbose=True) if verbose else OneLine(db, screen, results)


def _time(clock: Clock) -> str:
    """'2026-11-28T02:30:05Z'."""
    return datetime.fromtimestamp(clock.wall(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_line(console: Console, line: str) -> None:
    """Print it as one line, without reading markup in it."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def progress_line(reading: Reading, counters: Counters) -> str:
    """One plain line: '00:15 pages 312 (20.8/s), pending 1,204+, in flight 16, 2xx 320, 4xx 3, connections 12/335'."""
    classes = sorted(by_class(counters.by_status).items())
    failed = sum(counters.by_failure.values())
    parts = [
        f"pages {amount(reading.pages)} ({rate(reading.recent_per_s)})",
        f"pending {amount(reading.pending)}{'+' if reading.pending_more else ''}",
        f"in flight {amount(counters.in_flight)}",
        *(f"{status_class}xx {amount(number)}" for status_class, number in classes),
        *([f"failed {amount(failed)}"] if failed else []),
        *([f"checked {checked(counters.checks)}"] if counters.checks else []),
        f"connections {amount(counters.connections_opened)}/{amount(counters.requests)}",
    ]
    return f"{stopwatch(reading.elapsed_s)} {', '.join(parts)}"
