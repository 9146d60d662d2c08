"""`crawler crawl`: from seeds to a SQLite file."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from crawler.cli.command import Command
from crawler.cli.crawl_file import CONFIG, HOSTS, RULES, SEEDS, read_crawl_file
from crawler.cli.options import given_fields, read_options, table_of, taking
from crawler.cli.seeds import read_seeds
from crawler.config import DEFAULT_DB, CrawlConfig, RunConfig
from crawler.errors import CrawlerError, DatabaseBusyError, UsageError
from crawler.kinds import File, FileOrStream, Flag, ImportName, Readers, choice
from crawler.location import Location, location
from crawler.network.tls import without_authorities
from crawler.options import Slice, option
from crawler.output.files import check_writable
from crawler.output.logs import JsonLines, LogFormat
from crawler.output.metrics import metered
from crawler.output.progress import observer_for
from crawler.output.streams import lasting_stream
from crawler.output.summary import Summary, failed, write_summary
from crawler.own_code import OwnCode, load_hooks
from crawler.parsing.settings import ReaderSettings
from crawler.parsing.spawning import Spawned, coming_up
from crawler.quantities import Count
from crawler.records import EndReason
from crawler.statically_frozen import dataclass
from crawler.storage.location import database_at

if TYPE_CHECKING:
    from crawler.engine import Crawl

_EXIT_STATUS: Mapping[str, int] = {EndReason.INTERRUPTED: 130, EndReason.TERMINATED: 143, EndReason.STOPPED: 143}
_NO_SEED_FETCHED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions(Slice):
    """What one start of a crawl tells, and where; the crawl itself knows nothing of it."""

    PANEL = RunConfig.PANEL

    quiet: bool = option(False, "--quiet", Flag(), "Print errors only.", short="-q")
    verbose: bool = option(
        False,
        "--verbose",
        Flag(),
        "Print a line for each URL, with its time.",
        more="On a terminal they scroll by above the live view. Elsewhere, `--log-format text` is implied.",
        short="-v",
    )
    log_format: LogFormat | None = option(
        None,
        "--log-format",
        choice(LogFormat),
        "Log each event as a line on standard error.",
        more="By default there is a live view on a terminal, and one line at the end elsewhere.",
    )
    summary: Path | None = option(None, "--summary", File(), "Write the run's figures to FILE as JSON, atomically.")
    jsonl: Path | None = option(
        None,
        "--jsonl",
        FileOrStream(),
        "Write each page as a line of JSON once it is committed: append it to FILE, or print it (`-`).",
        more="With `-`, all else goes to standard error. See [`crawler help output`](output.md).",
    )
    metrics_file: Path | None = option(
        None,
        "--metrics-file",
        File(),
        "Write Prometheus metrics to FILE every 15 s and at the end, atomically.",
        more="For node_exporter's textfile collector, name it `*.prom` in the collector's folder.",
    )
    metrics_port: int | None = option(
        None,
        "--metrics-port",
        Count(low=1, high=65535),
        "Serve Prometheus metrics at `http://127.0.0.1:N/metrics` during the run.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeOptions(Slice):
    """The user's own code. It is not stored: no code is run because a database names it."""

    PANEL = RunConfig.PANEL

    hooks: str | None = option(
        None,
        "--hooks",
        ImportName("MODULE:CLASS"),
        "Let this subclass of `crawler.Hooks` take part in the crawl.",
        more="The module is looked for on Python's path, in the current folder and in that of the crawl file. It has to"
        " be given again to each run; `none` goes on without. See [`crawler help hooks`](hooks.md).",
    )
    readers: Mapping[str, str] = option(
        {},
        "--reader",
        Readers(),
        "Read documents of this media type with this function, in the parser processes. Repeatable.",
        more="It is looked for and to be given again as hooks are. See [`crawler help hooks`](hooks.md).",
    )

    @property
    def is_given(self) -> bool:
        """Whether there is any."""
        return self.hooks is not None or bool(self.readers)


CRAWL_OPTIONS = table_of(CrawlConfig, OutputOptions, CodeOptions)


def _use_crawl_file(context: typer.Context, file: str | None) -> str | None:
    if file is not None:
        given = read_crawl_file(Path(file), CRAWL_OPTIONS)
        context.meta[HOSTS], context.meta[RULES] = given.pop(HOSTS, None), given.pop(RULES, None)
        context.default_map = given
    return file


@taking(CRAWL_OPTIONS)
def crawl(
    context: typer.Context,
    seeds: Annotated[
        list[str] | None,
        typer.Argument(metavar=SEEDS.kind.metavar, help=SEEDS.help, show_default=False),
    ] = None,
    config_file: Annotated[
        str | None,
        typer.Option(
            CONFIG.flag,
            metavar=CONFIG.kind.metavar,
            help=CONFIG.help,
            callback=_use_crawl_file,
            is_eager=True,
        ),
    ] = None,
    **options: Any,
) -> int:
    """Crawl from SEEDs into a SQLite file. Run the same command again to resume.

    It fetches robots.txt first, obeys it and the delay, and stores every page with its text, metadata and links. Stop
    it with Ctrl-C, SIGTERM or SIGHUP at any time: nothing that was stored is lost.
    """
    config, output = read_options(CrawlConfig, options), read_options(OutputOptions, options)
    hosts, rules = context.meta.get(HOSTS), context.meta.get(RULES)
    config = replace(config, hosts=hosts or (), rules=rules or ())
    if output.quiet and output.verbose:
        raise UsageError("--quiet and --verbose contradict each other; give one of them")
    jsonl = output.jsonl
    prints_pages = jsonl is not None and str(jsonl) == "-"
    outputs = {"--summary": output.summary, "--jsonl": None if prints_pages else jsonl}
    check_outputs(config.db, outputs | {"--metrics-file": output.metrics_file})
    observer = observer_for(
        config.db,
        output.quiet,
        log_format=output.log_format,
        verbose=output.verbose,
        results=Console(file=lasting_stream(2)) if prints_pages else None,
    )
    given = given_fields(context, CRAWL_OPTIONS)
    given |= {HOSTS: "[[host]]"} if hosts is not None else {}
    given |= {RULES: "[[extract]]"} if rules is not None else {}
    try:
        with metered(observer, config.db, output.metrics_file) as metrics:
            if not config.start.lock_wait_s:
                database_at(config.db).refuse_if_held()  # before what takes most of the time of a start
            named = read_seeds(seeds or ())
            _check_database(config.db, goes_on=not named)
            code_options = read_options(CodeOptions, options)
            with _imported_meanwhile(config, code_options) as parser:
                from crawler.engine import Crawl

                if output.metrics_port is not None:
                    metrics.listen(output.metrics_port)
                code = own_code(code_options, config_file)
                started = Crawl(
                    named, config, observer=metrics, handle_signals=True, given=given, code=code, parser=parser
                )
                result = run_crawl(started, jsonl)
            gc.freeze()  # else the interpreter, at its end, looks for cycles in all that the crawl has left
    except DatabaseBusyError as busy:
        if options["if_running"].strip() != "skip":
            raise
        observer.notify(f"skipped: {busy}", urgent=True)
        return 0
    except CrawlerError as error:
        if output.summary is not None and output.summary.is_file():  # an earlier run's, which says something else
            with suppress(UsageError):  # a full disk fails both
                write_summary(failed(error), output.summary)
        raise
    if output.summary is not None:
        write_summary(result, output.summary)
    return exit_status(result)


class CrawlCommand(Command):
    """Tells an error as the crawl tells the rest: with --log-format json, as an event."""

    def invoke(self, ctx: Any) -> Any:
        """Run it, and end with the error's status where the error has been told."""
        try:
            return super().invoke(ctx)
        except CrawlerError as error:
            log_format = LogFormat.JSON if ctx.params["log_format"] == LogFormat.JSON else None
            observer = observer_for(_place(ctx.params["db"]), quiet=True, log_format=log_format)
            if not isinstance(observer, JsonLines):
                raise
            observer.failed(error)
            return error.exit_status


def _place(db: Any) -> Location:
    """The database that is named, for whoever tells an error: nothing is shown of what cannot be read."""
    try:
        return location(db)
    except UsageError:
        return DEFAULT_DB


def own_code(options: CodeOptions, config_file: str | None) -> OwnCode:
    """What is given of it; modules are also looked for in the current folder and in that of the crawl file."""
    folders = list(
        dict.fromkeys(str(one) for one in (Path.cwd(), config_file and Path(config_file).absolute().parent) if one)
    )
    hooks = load_hooks(options.hooks, folders) if options.hooks else None
    return OwnCode(hooks=hooks, readers=options.readers, folders=folders)


@contextmanager
def _imported_meanwhile(config: CrawlConfig, own: CodeOptions) -> Iterator[Spawned | None]:
    """Imports what the crawl needs, while a parser process, which is gone at the end, does the same for itself.

    None: there is no hurry, or the user's own code decides from where it imports.
    """
    if own.is_given:
        yield None
        return
    settings = ReaderSettings(product_token=config.network.product_token, rules=config.all_rules)
    needs_none = config.start.lock_wait_s or config.recrawl.max_age_s is not None  # at once
    with nullcontext() if needs_none else coming_up(settings) as parser:
        with without_authorities():
            import crawler.engine  # noqa: F401
        yield parser


def _check_database(db: Location, *, goes_on: bool) -> None:
    """What can be known before anything is made or fetched."""
    if not database_at(db).exists() and goes_on:
        raise UsageError(f"nothing to crawl: {db} does not exist yet; give a seed, such as https://example.com/")


def check_outputs(db: Location, outputs: Mapping[str, Path | None]) -> None:
    """None may take the place of the database or of another one, and each can be written."""
    taken = {str(file): "the database" for file in database_at(db).files()}
    for flag, path in outputs.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise UsageError(f"{flag} {path} is {taken[place]}; name another file")
        taken[place] = f"also the file of {flag}"
        check_writable(flag, path)


def run_crawl(crawl: Crawl, jsonl: Path | None = None) -> Summary:
    """Run it in an event loop of its own: uvloop's where there is one (half as fast again as asyncio's). Its pages go
    to `jsonl`, a file or '-', too.
    """

    async def run() -> Summary:
        if jsonl is None:
            return await crawl
        from crawler.cli.streaming import stream

        return await stream(crawl, jsonl)

    gc.freeze()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run())


def exit_status(summary: Summary) -> int:
    """What the command line ends with."""
    if summary.end_reason in _EXIT_STATUS:
        return _EXIT_STATUS[summary.end_reason]
    return _NO_SEED_FETCHED if summary.seeds_failed else 0


def _loop_factory() -> Callable[[], Any] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
