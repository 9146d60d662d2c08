"""A crawl's figures in Prometheus' text format (version 0.0.4), in a file and over HTTP on loopback.

Written by hand: prometheus_client keeps its figures in a global registry and serves them from a thread, while ours are
in `Counters` already and are read on the event loop, where they are written. The format takes 40 lines of code; a test
reads it with Prometheus' own parser.

Invariants: each sample has the label `db`, because node_exporter's textfile collector merges the files of several
crawls, and none has a timestamp, which that collector refuses. However a start ends, the file says so, unless another
run holds the database: that one writes it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from crawler.clock import Clock
from crawler.counters import Counters, ShareState
from crawler.errors import CrawlerError, DatabaseBusyError, UsageError
from crawler.location import Location
from crawler.output.files import write_file
from crawler.output.meter import HostSource, queued
from crawler.output.observer import Observer
from crawler.output.summary import Summary, peak_rss_bytes
from crawler.records import Change, EndReason, Result, Visit
from crawler.statically_frozen import dataclass

_WRITE_EVERY_S = 15.0
_REQUEST_S = 5.0  # for a client to send its request
_MAX_REQUEST = 8192  # bytes
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LAST_SUCCESS = "last_success_time_seconds"
_AS_ASKED = {
    EndReason.COMPLETE,
    EndReason.WAITING,
    EndReason.MAX_PAGES,
    EndReason.MAX_REQUESTS,
    EndReason.MAX_RUNTIME,
    EndReason.OUTPUT_CLOSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """One metric: its samples by the label's value ("" where there is no label beside `db`)."""

    name: str
    kind: str
    text: str
    samples: Mapping[str, float]
    label: str = ""


class Metrics(Observer):
    """An observer that exports metrics and passes everything on to another one."""

    def __init__(
        self, watcher: Observer, db: Location, clock: Clock, file: Path | None, worker: str | None = None
    ) -> None:
        """`worker`: what this process is called, where several share the database."""
        self._worker = worker
        self._watcher = watcher
        self._db = db
        self._clock = clock
        self._file = file
        self._listener: socket.socket | None = None
        self._started_at = clock.wall()
        self._last_success_at = self._told_last() if file is not None else None
        self._source: HostSource | None = None
        self._counters = Counters()
        self._restarts = 0
        self._summary: Summary | None = None
        self._ended_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def has_started(self) -> bool:
        """Whether the crawl has."""
        return self._source is not None

    def listen(self, port: int) -> None:
        """Serve the metrics on 127.0.0.1:`port` once the crawl has started. Raises `UsageError` if it cannot."""
        self._listener = _listen(port)

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """Start writing and serving, in tasks of the running loop."""
        self._watcher.started(frontier, counters)
        self._source, self._counters, self._summary = frontier, counters, None
        self._tasks.clear()
        loop = asyncio.get_running_loop()
        if self._file is not None:
            self._tasks.append(loop.create_task(self._write_often(self._file)))
        if self._listener is not None:
            self._tasks.append(loop.create_task(self._serve(self._listener.dup())))

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Pass it on."""
        self._watcher.notify(text, urgent=urgent)

    @property
    def follows_visits(self) -> bool:
        """Whether the other one does."""
        return self._watcher.follows_visits

    def visited(self, visit: Visit, results: Sequence[Result]) -> None:
        """Pass it on."""
        self._watcher.visited(visit, results)

    def finished(self, summary: Summary) -> None:
        """Keep the summary for the last figures, and stop serving."""
        self._summary = summary
        self._watcher.finished(summary)
        for task in self._tasks:
            task.cancel()

    def restarts(self) -> None:
        """Stop serving until it starts again."""
        self._watcher.restarts()
        self._restarts += 1
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def close(self, *, write: bool = True) -> None:
        """Write the last figures: the run is over, however it ended. Raises `UsageError` if that fails."""
        if self._listener is not None:
            self._listener.close()
        self._ended_at = self._clock.wall()
        if _is_success(self._summary):
            self._last_success_at = self._ended_at
        if self._file is not None and write:
            write_file("--metrics-file", self._file, self.text().encode(), durable=False)

    def text(self) -> str:
        """The figures now."""
        return "".join(self._lines(family) for family in self._families() if family.samples)

    async def _write_often(self, file: Path) -> None:
        reported = False
        while True:
            try:
                write_file("--metrics-file", file, self.text().encode(), durable=False)
            except UsageError as error:  # a disk that is full for a while must not end the crawl
                if not reported:
                    self.notify(str(error), urgent=True)
                reported = True
            await asyncio.sleep(_WRITE_EVERY_S)

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._answer, sock=listener, limit=_MAX_REQUEST)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection; a client that sends no request, or sends it too slowly, gets no response."""
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(request.split(maxsplit=2)[:2]))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        finally:
            writer.close()

    def _response(self, wanted: list[bytes]) -> bytes:
        status, body = "200 OK", b""
        if wanted[1:] != [b"/metrics"]:
            status = "404 Not Found"
        elif wanted[0] != b"GET":
            status = "405 Method Not Allowed\r\nAllow: GET"
        else:
            body = self.text().encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n".encode() + body

    # --- the text -----------------------------------------------------------------------------------------------

    def _told_last(self) -> float | None:
        """The last success by the file of earlier runs: one that fails must not make it forgotten."""
        try:
            text = self._file.read_text(encoding="utf-8") if self._file is not None and self._file.is_file() else ""
        except (OSError, ValueError):
            return None
        found = re.search(
            rf"^crawler_{_LAST_SUCCESS}\{{{re.escape(self._db_label())}\}} ([0-9.]+)$", text, re.MULTILINE
        )
        return float(found[1]) if found else None

    def _db_label(self) -> str:
        db = self._db.absolute() if isinstance(self._db, Path) else self._db
        worker = "" if self._worker is None else f',worker="{_escaped(self._worker)}"'
        return f'db="{_escaped(str(db))}"{worker}'

    def _lines(self, family: _Family) -> str:
        name = f"crawler_{family.name}"
        db = self._db_label()
        lines = [f"# HELP {name} {family.text}", f"# TYPE {name} {family.kind}"]
        for value, number in family.samples.items():
            labels = f'{db},{family.label}="{_escaped(value)}"' if family.label else db
            lines.append(f"{name}{{{labels}}} {number:.15g}")
        return "\n".join(lines) + "\n"

    def _families(self) -> Iterator[_Family]:
        yield from _counted(self._counters)
        yield _gauge("start_time_seconds", "Start of the process, in Unix seconds.", self._started_at)
        yield _gauge("peak_memory_bytes", "Peak resident memory of the process.", peak_rss_bytes())
        yield _gauge("running", "1 while the crawl is running.", self._ended_at is None)
        if self._last_success_at is not None:
            yield _gauge(_LAST_SUCCESS, "End of the last run that did what was asked.", self._last_success_at)
        if self._ended_at is not None:
            yield from _ended(self._summary, self._ended_at)
        elif self._source is not None:
            yield from _running(self._source, self._counters)
            if self._counters.share is not None:
                yield from _shared(self._counters.share, self._restarts)


@contextmanager
def metered(watcher: Observer, db: Location, file: Path | None, worker: str | None = None) -> Iterator[Metrics]:
    """An observer that also writes metrics to `file`, if there is one, and serves them where it is told to `listen`.
    `worker`: what this process is called, where several share the database.

    A start that fails is told, too, unless another run holds the database: then the file is that run's. Raises
    `UsageError` if the file cannot be written.
    """
    metrics = Metrics(watcher, db, Clock(), file, worker)
    try:
        yield metrics
    except BaseException as error:
        told = metrics.has_started or (isinstance(error, CrawlerError) and not isinstance(error, DatabaseBusyError))
        with suppress(UsageError):  # a full disk fails both, and the crawl's error says more
            metrics.close(write=told)
        raise
    else:
        metrics.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(f"--metrics-port {port}: {error.strerror}") from error


def _counted(counters: Counters) -> Iterator[_Family]:
    yield _counter("requests", "Requests sent, robots.txt and sitemaps included.", counters.requests)
    yield _counter("pages", "Pages stored.", counters.pages)
    yield _counter("received_bytes", "Bytes of response bodies, after decoding.", counters.bytes)
    yield _counter("retries", "Attempts made again after a failure.", counters.retries)
    yield _counter("connections_opened", "Connections opened.", counters.connections_opened)
    yield _counter("connections_reused", "Requests sent on an open connection.", counters.connections_reused)
    yield _counter("dns_lookups", "Queries sent to a DNS server.", counters.dns_lookups)
    yield _counter("dns_cache_hits", "Names found in the DNS cache.", counters.dns_cache_hits)
    answers = {str(code): float(number) for code, number in sorted(counters.by_status.items())}
    failures = {str(kind): float(number) for kind, number in sorted(counters.by_failure.items())}
    yield _Family(
        name="responses_total", kind="counter", text="Responses by HTTP status.", samples=answers, label="code"
    )
    yield _Family(
        name="failures_total", kind="counter", text="Attempts without a response.", samples=failures, label="kind"
    )
    checks = {str(verdict): float(number) for verdict, number in sorted(counters.checks.items())}
    yield _Family(
        name="checks_total", kind="counter", text="URLs that were only checked.", samples=checks, label="verdict"
    )
    changes = {str(kind): float(counters.changes[kind]) for kind in Change}
    yield _Family(name="changes_total", kind="counter", text="URLs by what changed.", samples=changes, label="change")


def _running(source: HostSource, counters: Counters) -> Iterator[_Family]:
    hosts = list(source.hosts())
    yield _gauge("requests_in_flight", "Requests in flight.", counters.in_flight)
    yield _gauge("connections_open", "Open connections, idle ones included.", counters.connections_open)
    yield _gauge("hosts", "Hosts in memory.", len(hosts))
    yield _gauge("hosts_backing_off", "Hosts in memory that are backing off.", sum(host.backing_off for host in hosts))
    yield _gauge("urls_queued", "URLs in memory; the database may hold more.", sum(map(queued, hosts)))


def _ended(summary: Summary | None, ended_at: float) -> Iterator[_Family]:
    yield _gauge("success", "1 if the run did what was asked.", _is_success(summary))
    yield _gauge("end_time_seconds", "End of the run, in Unix seconds.", ended_at)
    is_complete = summary is not None and summary.complete
    yield _gauge("complete", "The same as crawler_run_complete.", is_complete)
    yield _gauge("run_complete", "1 if no URLs were left to fetch.", is_complete)
    if summary is not None:
        urls = {status: float(number) for status, number in summary.urls.items()}
        yield _Family(name="urls", kind="gauge", text="URLs in the database.", samples=urls, label="status")
        text = "URLs that fail, but keep the status of their last response."
        yield _gauge("urls_failing", text, summary.failing.urls)
        checks = {verdict: float(number) for verdict, number in summary.checks.items()}
        yield _Family(
            name="checked_urls", kind="gauge", text="Checked URLs in the database.", samples=checks, label="verdict"
        )


def _is_success(summary: Summary | None) -> bool:
    return summary is not None and summary.end_reason in _AS_ASKED and not summary.seeds_failed


def _shared(share: ShareState, restarts: int) -> Iterator[_Family]:
    yield _gauge("partitions", "Partitions that this worker owns.", share.partitions)
    yield _gauge("workers", "Workers of the run, this one included.", share.workers)
    yield _gauge("lease_age_seconds", "Time since this worker last renewed what it owns.", share.renewed_s)
    text = "Times that this worker lost its share to others, stored nothing more, and began anew."
    yield _counter("shares_lost", text, restarts)


def _counter(name: str, text: str, number: float) -> _Family:
    return _Family(name=f"{name}_total", kind="counter", text=text, samples={"": number})


def _gauge(name: str, text: str, number: float) -> _Family:
    return _Family(name=name, kind="gauge", text=text, samples={"": number})


def _escaped(value: str) -> str:
    shown = value.encode(errors="replace").decode()  # a path may hold bytes that are not UTF-8
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
