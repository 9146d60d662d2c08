"""A crawl as events for a log collector: one JSON object per line, all on standard error.

Invariant: each has `time` (ISO 8601, UTC), `level` (info, warning, error), `event` and `db`. The other keys depend on
the event alone: start (pid, version), notice (message), progress (figures), error (message, exit_status), end (the
fields of the summary). Everything goes to this one stream; standard output stays empty.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from rich.console import Console

from crawler.clock import Clock
from crawler.counters import Counters
from crawler.errors import CrawlerError
from crawler.location import Location
from crawler.output.events import events_of
from crawler.output.meter import HostSource, Meter, Reading
from crawler.output.observer import Observer
from crawler.output.safe_text import printable
from crawler.output.summary import Summary
from crawler.records import Result, Visit
from crawler.release import VERSION

_LINE_S, _LATER_LINE_S, _LATER_S = 5.0, 30.0, 60.0


class LogFormat(StrEnum):
    """The format of a crawl's log lines."""

    TEXT = "text"
    JSON = "json"


class JsonLines(Observer):
    """One event per line; figures every five seconds, every thirty after the first minute."""

    def __init__(
        self, db: Location, screen: Console, clock: Clock, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._db = db
        self._screen = screen
        self._clock = clock
        self._quiet = quiet  # errors only
        self._verbose = verbose  # each URL
        self._task: asyncio.Task[None] | None = None

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Log the start, and log figures from now on, in a task of the running loop."""
        self._log("info", "start", {"pid": os.getpid(), "version": VERSION})
        meter = Meter(frontier, counters, self._clock)
        self._task = asyncio.get_running_loop().create_task(self._log_figures(meter))

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Log it."""
        self._log("warning" if urgent else "info", "notice", {"message": printable(text)})

    @property
    def follows_visits(self) -> bool:
        """Unless only errors are wanted: no visit is one."""
        return not self._quiet

    def visited(self, visit: Visit, results: Sequence[Result]) -> None:
        """Log its events."""
        for event in events_of(visit, results, every=self._verbose):
            self._log(event.level, event.name, event.fields)

    def finished(self, summary: Summary) -> None:
        """Log the summary, as an error if no seed could be fetched."""
        self.close()
        self._log("error" if summary.seeds_failed else "info", "end", summary.as_dict())

    def failed(self, error: CrawlerError) -> None:
        """Log why the crawl could not start or continue."""
        message = printable(" ".join(str(error).split()))
        self._log("error", "error", {"message": message, "exit_status": error.exit_status})

    def close(self) -> None:
        """Stop logging figures. Needed only after a crawl has failed while its event loop keeps running."""
        if self._task is not None:
            self._task.cancel()

    async def _log_figures(self, meter: Meter) -> None:
        reading = meter.read()
        while True:
            await asyncio.sleep(pause_s(reading))
            reading = meter.read()
            self._log("info", "progress", _figures(reading, meter.counters))

    def _log(self, level: str, event: str, more: Mapping[str, Any]) -> None:
        if self._quiet and level != "error":
            return
        time = datetime.fromtimestamp(self._clock.wall(), tz=UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"time": time, "level": level, "event": event, "db": printable(str(self._db)), **more})
        self._screen.print(line.decode(), markup=False, highlight=False, soft_wrap=True)


def pause_s(reading: Reading) -> float:
    """Seconds until the next figures."""
    return _LINE_S if reading.elapsed_s < _LATER_S else _LATER_LINE_S


def _figures(reading: Reading, counters: Counters) -> dict[str, Any]:
    return {
        "elapsed_s": round(reading.elapsed_s, 3),
        "pages": reading.pages,
        "pages_per_s": round(reading.recent_per_s, 2),
        "requests": counters.requests,
        "bytes": counters.bytes,
        "in_flight": counters.in_flight,
        "pending": reading.pending,
        "pending_more": reading.pending_more,
        "hosts": reading.host_count,
        "connections_opened": counters.connections_opened,
        "by_status": {str(status): number for status, number in sorted(counters.by_status.items())},
        "by_failure": {str(kind): number for kind, number in sorted(counters.by_failure.items())},
    }
