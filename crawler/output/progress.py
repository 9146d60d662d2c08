"""What a person sees while a crawl runs: a live view on a terminal, plain lines elsewhere, or nothing.

Invariants: progress and notices go to standard error, the account of the finished run to standard output, so that
`> summary.txt` keeps just that; where nobody reads them any more, they are lost and the crawl goes on. Everything is
drawn on the event loop's thread, where the figures are written. The live region belongs to one task: however the crawl
ends, ending the task gives the terminal back.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from crawler.clock import Clock
from crawler.counters import Counters
from crawler.output.ending import print_ending
from crawler.output.figures import amount, rate, stopwatch
from crawler.output.meter import HostSource, Meter, Reading
from crawler.output.safe_text import printable
from crawler.output.screen import Screen, by_class
from crawler.output.streams import lasting_stream
from crawler.output.summary import Summary

_REFRESH_S = 0.25
_LINE_S, _LATER_LINE_S, _LATER_S = 5.0, 30.0, 60.0


class LiveView:
    """A region at the bottom of the terminal that is redrawn four times a second; notices scroll by above it."""

    def __init__(self, db: Path, screen: Console, results: Console, clock: Clock) -> None:
        self._db = db
        self._screen = screen
        self._results = results
        self._clock = clock
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Begin to draw, in a task of the running loop."""
        meter = Meter(frontier, counters, self._clock)
        self._task = asyncio.get_running_loop().create_task(self._draw(meter))

    def notify(self, text: str) -> None:
        """Print a line that stays, above the region."""
        self._screen.print(Text(printable(text)), highlight=False)

    def finished(self, summary: Summary) -> None:
        """Take the region away and print the account."""
        self.close()
        print_ending(self._results, summary, self._db)

    def close(self) -> None:
        """Give the terminal back. Needed only where a crawl failed and its event loop runs on."""
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


class PlainLines:
    """A line every five seconds, every thirty after the first minute: for logs, pipes and cron."""

    def __init__(self, db: Path, screen: Console, results: Console, clock: Clock) -> None:
        self._db = db
        self._screen = screen
        self._results = results
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Begin to print, in a task of the running loop."""
        meter = Meter(frontier, counters, self._clock)
        self._task = asyncio.get_running_loop().create_task(self._print_lines(meter))

    def notify(self, text: str) -> None:
        """Print it as a line."""
        self._print(printable(text))

    def finished(self, summary: Summary) -> None:
        """Print the account."""
        self.close()
        print_ending(self._results, summary, self._db)

    def close(self) -> None:
        """Print no more lines. Needed only where a crawl failed and its event loop runs on."""
        if self._task is not None:
            self._task.cancel()

    async def _print_lines(self, meter: Meter) -> None:
        reading = meter.read()
        while True:
            await asyncio.sleep(_LINE_S if reading.elapsed_s < _LATER_S else _LATER_LINE_S)
            reading = meter.read()
            self._print(progress_line(reading, meter.counters))

    def _print(self, line: str) -> None:
        self._screen.print(line, markup=False, highlight=False, soft_wrap=True)


class Quiet:
    """Says nothing; errors are for the command line to print."""

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Nothing to show."""

    def notify(self, text: str) -> None:
        """Nothing to show."""

    def finished(self, summary: Summary) -> None:
        """Nothing to show."""

    def close(self) -> None:
        """Nothing to take away."""


def observer_for(
    db: Path,
    quiet: bool,
    *,
    screen: Console | None = None,
    results: Console | None = None,
    interactive: bool | None = None,
    clock: Clock | None = None,
) -> LiveView | PlainLines | Quiet:
    """Who shows the crawl into `db`: nobody if `quiet`, the live view on a terminal, else plain lines.

    `screen` is standard error and `results` standard output unless given; these two never raise. `interactive` None:
    as `screen` is; only a real terminal counts, whatever asks for colours.
    """
    if quiet:
        return Quiet()
    screen = screen or Console(file=lasting_stream(2))
    if interactive is None:
        interactive = screen.file.isatty() and screen.is_interactive
    view = LiveView if interactive else PlainLines
    return view(db, screen, results or Console(file=lasting_stream(1)), clock or Clock())


def progress_line(reading: Reading, counters: Counters) -> str:
    """One plain line: '00:15 pages 312 (20.8/s) pending 1,204+ in flight 16 2xx 320 4xx 3 connections 12/335'."""
    classes = sorted(by_class(counters.by_status).items())
    failed = sum(counters.by_failure.values())
    parts = [
        stopwatch(reading.elapsed_s),
        f"pages {amount(reading.pages)} ({rate(reading.recent_per_s)})",
        f"pending {amount(reading.pending)}{'+' if reading.pending_more else ''}",
        f"in flight {amount(counters.in_flight)}",
        *(f"{status_class}xx {amount(number)}" for status_class, number in classes),
        *([f"failed {amount(failed)}"] if failed else []),
        f"connections {amount(counters.connections_opened)}/{amount(counters.requests)}",
    ]
    return " ".join(parts)
