"""`crawler worker`: one more process for a crawl that several share, on this machine or on another."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from crawler.cli.command import Command
from crawler.cli.crawl import CRAWL_OPTIONS, CodeOptions, OutputOptions, check_outputs, own_code, run_crawl
from crawler.cli.crawl_file import CONFIG, HOSTS, SEEDS, read_crawl_file
from crawler.cli.options import given_fields, parameter_of, read_options, taking
from crawler.cli.processes import run_processes
from crawler.config import CrawlConfig
from crawler.errors import DatabaseFailedError, NoRunError, UsageError
from crawler.output.logs import LogFormat
from crawler.output.metrics import metered
from crawler.output.observer import Observer
from crawler.output.progress import observer_for
from crawler.output.streams import lasting_stream
from crawler.own_code import OwnCode
from crawler.records import EndReason
from crawler.seeds import Seed, parse_seeds
from crawler.statically_frozen import dataclass
from crawler.storage.location import database_at
from crawler.taking_part import process_name

if TYPE_CHECKING:
    from crawler.engine import Crawl

_OF_MACHINE = (
    *("--db", "--concurrency", "--memory", "--dns-server", "--proxy", "--cookies", "--header", "--hooks", "--reader"),
    *("--quiet", "--verbose", "--log-format", "--jsonl", "--metrics-file", "--metrics-port"),
)
WORKER_OPTIONS = tuple(one for one in CRAWL_OPTIONS if one.flag in _OF_MACHINE)
_POLL_S = 1.0
_LONGEST_PAUSE_S = 30.0  # before a database that is gone is tried again
_STOPPED = 143
_DRAINED: Mapping[str, int] = {EndReason.INTERRUPTED: 130, EndReason.TERMINATED: 143}


def _use_crawl_file(context: typer.Context, file: str | None) -> str | None:
    """Of a crawl file, what is the machine's, and the secrets; the rest is the run's, which has it already."""
    if file is not None:
        given = read_crawl_file(Path(file), CRAWL_OPTIONS)
        context.meta[HOSTS], context.meta[SEEDS.name] = given.pop(HOSTS, None), given.get(SEEDS.name, ())
        own = {parameter_of(one) for one in WORKER_OPTIONS}
        context.default_map = {name: value for name, value in given.items() if name in own}
    return file


@taking(WORKER_OPTIONS)
def worker(
    context: typer.Context,
    config_file: Annotated[
        str | None,
        typer.Option(
            CONFIG.flag,
            metavar=CONFIG.kind.metavar,
            help="Take the database, this machine's options and the secrets from a crawl file.",
            callback=_use_crawl_file,
            is_eager=True,
        ),
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Wait for a run to begin, and for the next one when it has ended.")
    ] = False,
    processes: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Run N of them; one that dies is started again.")
    ] = 1,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What `crawler status` calls it. [default: HOST:PROCESS]")
    ] = None,
    **options: Any,
) -> int:
    """Take part in the crawl that `crawler crawl` has begun in a PostgreSQL database, with hosts of its own.

    Its options are those of the run; only what is this machine's, and secrets, which are stored nowhere, are given
    here. SIGTERM drains it: it finishes its requests in flight, stores them, and gives its hosts to the others.
    """
    given = {parameter_of(one): None for one in CRAWL_OPTIONS} | options
    config, output = read_options(CrawlConfig, given), read_options(OutputOptions, given)
    if output.quiet and output.verbose:
        raise UsageError("--quiet and --verbose contradict each other; give one of them")
    if isinstance(config.db, Path):
        asyncio.run(database_at(config.db).run_under_way())  # it says what a file is
    hosts = context.meta.get(HOSTS)
    part = _Part(
        config=replace(config, hosts=hosts or ()),
        seeds=[seed for seed in parse_seeds(context.meta.get(SEEDS.name, ())) if seed.credentials],
        given=given_fields(context, WORKER_OPTIONS) | ({HOSTS: "[[host]]"} if hosts is not None else {}),
        code=own_code(read_options(CodeOptions, given), config_file),
        output=output,
        name=name or process_name(),
        stay=stay,
    )
    part.check()
    if processes == 1:
        return part.work()
    parts = [part.numbered(number) for number in range(1, processes + 1)]
    for one in parts:
        one.check()
    return run_processes(processes, lambda number: parts[number - 1].work())


class WorkerCommand(Command):
    """Says why an option of `crawler crawl` is none of a worker's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raises `UsageError` where it is wrong."""
        others = {
            flag: one
            for one in CRAWL_OPTIONS
            if one not in WORKER_OPTIONS
            for flag in (one.flag, one.negative, one.short)
            if flag
        }
        for word in args:
            if (flag := word.partition("=")[0]) in others:
                raise UsageError(
                    f"{flag} is the run's, and the same for all its workers: give it to `crawler crawl`; a worker takes"
                    " what is its machine's (`crawler worker --help`)"
                )
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one process is to do. `seeds` are those of its crawl file that have credentials."""

    config: CrawlConfig
    seeds: Sequence[Seed]
    given: Mapping[str, str]
    code: OwnCode
    output: OutputOptions
    name: str
    stay: bool

    def numbered(self, number: int) -> _Part:
        """That of one of several processes, each with a name, a port and files of its own: pages-2.jsonl."""
        if self.prints_pages:
            raise UsageError("--jsonl -: several processes would print into each other's lines; name a file")
        output, quiet = self.output, LogFormat.TEXT  # each with a live view would overwrite those of the others
        output = replace(
            output,
            jsonl=_numbered(output.jsonl, number),
            metrics_file=_numbered(output.metrics_file, number),
            metrics_port=None if output.metrics_port is None else output.metrics_port + number - 1,
            log_format=output.log_format or (quiet if sys.stderr.isatty() else None),
        )
        return replace(self, output=output, name=f"{self.name}-{number}")

    @property
    def prints_pages(self) -> bool:
        """Whether standard output is for pages."""
        return self.output.jsonl is not None and str(self.output.jsonl) == "-"

    def check(self) -> None:
        """Raises `UsageError` where its files cannot be written."""
        pages = None if self.prints_pages else self.output.jsonl
        check_outputs(self.config.db, {"--jsonl": pages, "--metrics-file": self.output.metrics_file})

    def work(self) -> int:
        """Take part in runs; returns the exit status."""
        observer = observer_for(
            self.config.db,
            self.output.quiet,
            log_format=self.output.log_format,
            verbose=self.output.verbose,
            results=Console(file=lasting_stream(2)) if self.prints_pages else None,
        )
        with metered(observer, self.config.db, self.output.metrics_file, self.name) as metrics:
            if self.output.metrics_port is not None:
                metrics.listen(self.output.metrics_port)
            return self._work(metrics)

    def _work(self, observer: Observer) -> int:
        waiting = _Waiting(observer)
        while True:
            part = self._part(observer)
            try:
                end_reason = run_crawl(part, self.output.jsonl).end_reason
            except NoRunError as none:
                if not self.stay:
                    observer.notify(f"{none}; --stay waits for one", urgent=True)
                    return 0
                waiting.for_a_run(none)
            except DatabaseFailedError as error:
                if not self.stay or part.signalled is not None:
                    raise
                waiting.for_the_database(error)
            else:
                waiting = _Waiting(observer)
                if part.signalled is not None:  # also while the run was ending by itself
                    return _DRAINED[part.signalled]
                if not self.stay:
                    return _STOPPED if end_reason == EndReason.STOPPED else 0

    def _part(self, observer: Observer) -> Crawl:
        from crawler.engine import Crawl

        return Crawl(
            self.seeds,
            self.config,
            observer=observer,
            handle_signals=True,
            given=self.given,
            code=self.code,
            joins_as=self.name,
        )


class _Waiting:
    """Says once what is waited for, and waits a moment; for a database that is gone, longer each time."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told: str | None = None
        self._pause_s = _POLL_S

    def for_a_run(self, none: NoRunError) -> None:
        """It may begin at any time."""
        self._tell("run", f"{none}; waiting for one")
        self._pause_s = _POLL_S
        time.sleep(_POLL_S)

    def for_the_database(self, error: DatabaseFailedError) -> None:
        """It may come back."""
        self._tell("database", f"{error}; trying again")
        time.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _tell(self, what: str, text: str) -> None:
        if self._told != what:
            self._told = what
            self._observer.notify(text, urgent=True)


def _numbered(file: Path | None, number: int) -> Path | None:
    return None if file is None else file.with_name(f"{file.stem}-{number}{file.suffix}")
