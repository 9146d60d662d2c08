"""`crawler crawl`: from seeds to a SQLite file."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from crawler.cli.crawl_file import use_crawl_file
from crawler.cli.options import age_s, default, given_fields, headers, if_running, option, size_bytes
from crawler.cli.seeds import read_seeds
from crawler.config import (
    DEFAULT_DB,
    CrawlConfig,
    NetworkConfig,
    PolitenessConfig,
    RecrawlConfig,
    RunConfig,
    ScopeConfig,
    ScopeRule,
    StartConfig,
)
from crawler.errors import CrawlerError, DatabaseBusyError, UsageError
from crawler.output.files import check_writable
from crawler.output.logs import JsonLines, LogFormat
from crawler.output.metrics import metered
from crawler.output.progress import observer_for
from crawler.output.summary import Summary, write_summary
from crawler.records import EndReason
from crawler.storage.location import database_at

if TYPE_CHECKING:
    from crawler.engine import Crawl

SCOPE, POLITENESS, NETWORK, AGAIN, RUN = "Scope", "Politeness", "Network", "Fetch again", "Run"

_EXIT_STATUS: Mapping[str, int] = {EndReason.INTERRUPTED: 130, EndReason.TERMINATED: 143}
_NO_SEED_FETCHED = 4


def crawl(
    context: typer.Context,
    seeds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SEED",
            help="A URL, a host name, a file with one URL a line, or - for standard input. None: go on with --db.",
            show_default=False,
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Take what is not given here from a crawl file; `crawler init` writes one.",
            callback=use_crawl_file,
            is_eager=True,
        ),
    ] = None,
    db: Annotated[
        Path, typer.Option(help="The crawl database; made if it is new, gone on with if it is not.")
    ] = DEFAULT_DB,
    scope: Annotated[ScopeRule, option(ScopeConfig, "scope", "--scope", panel=SCOPE)] = ScopeRule.HOST,
    include: Annotated[
        list[str] | None, option(ScopeConfig, "include", "--include", panel=SCOPE, metavar="REGEX")
    ] = None,
    exclude: Annotated[
        list[str] | None, option(ScopeConfig, "exclude", "--exclude", panel=SCOPE, metavar="REGEX")
    ] = None,
    drop_param: Annotated[
        list[str] | None, option(ScopeConfig, "drop_param", "--drop-param", panel=SCOPE, metavar="GLOB")
    ] = None,
    max_depth: Annotated[int | None, option(ScopeConfig, "max_depth", "--max-depth", panel=SCOPE, metavar="N")] = None,
    max_pages: Annotated[int | None, option(ScopeConfig, "max_pages", "--max-pages", panel=SCOPE, metavar="N")] = None,
    max_pages_per_host: Annotated[
        int | None, option(ScopeConfig, "max_pages_per_host", "--max-pages-per-host", panel=SCOPE, metavar="N")
    ] = None,
    max_urls_per_host: Annotated[
        int, option(ScopeConfig, "max_urls_per_host", "--max-urls-per-host", panel=SCOPE, metavar="N")
    ] = default(ScopeConfig, "max_urls_per_host"),
    max_hosts_per_domain: Annotated[
        int, option(ScopeConfig, "max_hosts_per_domain", "--max-hosts-per-domain", panel=SCOPE, metavar="N")
    ] = default(ScopeConfig, "max_hosts_per_domain"),
    max_path_segments: Annotated[
        int, option(ScopeConfig, "max_path_segments", "--max-path-segments", panel=SCOPE, metavar="N")
    ] = default(ScopeConfig, "max_path_segments"),
    max_query_params: Annotated[
        int, option(ScopeConfig, "max_query_params", "--max-query-params", panel=SCOPE, metavar="N")
    ] = default(ScopeConfig, "max_query_params"),
    trap_rules: Annotated[bool, option(ScopeConfig, "trap_rules", "--trap-rules/--no-trap-rules", panel=SCOPE)] = True,
    delay: Annotated[float, option(PolitenessConfig, "delay_s", "--delay", panel=POLITENESS, metavar="S")] = default(
        PolitenessConfig, "delay_s"
    ),
    per_host: Annotated[
        int, option(PolitenessConfig, "per_host", "--per-host", panel=POLITENESS, metavar="N")
    ] = default(PolitenessConfig, "per_host"),
    per_ip: Annotated[int, option(PolitenessConfig, "per_ip", "--per-ip", panel=POLITENESS, metavar="N")] = default(
        PolitenessConfig, "per_ip"
    ),
    concurrency: Annotated[
        int, option(PolitenessConfig, "concurrency", "--concurrency", panel=POLITENESS, metavar="N")
    ] = default(PolitenessConfig, "concurrency"),
    user_agent: Annotated[
        str, option(NetworkConfig, "user_agent", "--user-agent", panel=POLITENESS, metavar="TEXT")
    ] = default(NetworkConfig, "user_agent"),
    ignore_robots: Annotated[
        bool, option(PolitenessConfig, "ignore_robots", "--ignore-robots", panel=POLITENESS)
    ] = False,
    follow_nofollow: Annotated[
        bool, option(ScopeConfig, "follow_nofollow", "--follow-nofollow", panel=POLITENESS)
    ] = False,
    timeout: Annotated[float, option(NetworkConfig, "timeout_s", "--timeout", panel=NETWORK, metavar="S")] = default(
        NetworkConfig, "timeout_s"
    ),
    connect_timeout: Annotated[
        float, option(NetworkConfig, "connect_timeout_s", "--connect-timeout", panel=NETWORK, metavar="S")
    ] = default(NetworkConfig, "connect_timeout_s"),
    read_timeout: Annotated[
        float, option(NetworkConfig, "read_timeout_s", "--read-timeout", panel=NETWORK, metavar="S")
    ] = default(NetworkConfig, "read_timeout_s"),
    max_bytes: Annotated[int, option(NetworkConfig, "max_bytes", "--max-bytes", panel=NETWORK, metavar="N")] = default(
        NetworkConfig, "max_bytes"
    ),
    memory: Annotated[int, option(NetworkConfig, "memory_bytes", "--memory", panel=NETWORK, metavar="N")] = default(
        NetworkConfig, "memory_bytes"
    ),
    max_rate: Annotated[
        str | None, option(NetworkConfig, "max_rate", "--max-rate", panel=NETWORK, metavar="BYTES")
    ] = None,
    retries: Annotated[int, option(NetworkConfig, "retries", "--retries", panel=NETWORK, metavar="N")] = default(
        NetworkConfig, "retries"
    ),
    dns_server: Annotated[
        str | None, option(NetworkConfig, "dns_server", "--dns-server", panel=NETWORK, metavar="IP[:PORT]")
    ] = None,
    allow_private: Annotated[
        list[str] | None, option(NetworkConfig, "allow_private", "--allow-private", panel=NETWORK, metavar="CIDR")
    ] = None,
    cookies: Annotated[str | None, option(NetworkConfig, "cookies", "--cookies", panel=NETWORK, metavar="FILE")] = None,
    proxy: Annotated[str | None, option(NetworkConfig, "proxy", "--proxy", panel=NETWORK, metavar="URL")] = None,
    insecure: Annotated[bool, option(NetworkConfig, "insecure", "--insecure", panel=NETWORK)] = False,
    header: Annotated[
        list[str] | None, option(NetworkConfig, "headers", "--header", panel=NETWORK, metavar="'NAME: VALUE'")
    ] = None,
    max_age: Annotated[
        str | None, option(RecrawlConfig, "max_age_s", "--max-age", panel=AGAIN, metavar="AGE|auto")
    ] = None,
    min_interval: Annotated[
        str, option(RecrawlConfig, "min_interval_s", "--min-interval", panel=AGAIN, metavar="AGE")
    ] = "1h",
    max_interval: Annotated[
        str, option(RecrawlConfig, "max_interval_s", "--max-interval", panel=AGAIN, metavar="AGE")
    ] = "60d",
    retry_failed: Annotated[bool, option(RecrawlConfig, "retry_failed", "--retry-failed", panel=AGAIN)] = False,
    max_runtime: Annotated[
        str | None, option(RunConfig, "max_runtime_s", "--max-runtime", panel=RUN, metavar="AGE")
    ] = None,
    max_wait: Annotated[str, option(RunConfig, "max_wait_s", "--max-wait", panel=RUN, metavar="AGE")] = "60s",
    grace: Annotated[str, option(RunConfig, "grace_s", "--grace", panel=RUN, metavar="AGE")] = "5s",
    parse_timeout: Annotated[
        float, option(RunConfig, "parse_timeout_s", "--parse-timeout", panel=RUN, metavar="S")
    ] = default(RunConfig, "parse_timeout_s"),
    bodies: Annotated[bool, option(RunConfig, "bodies", "--bodies/--no-bodies", panel=RUN)] = True,
    fresh: Annotated[bool, option(StartConfig, "fresh", "--fresh", panel=RUN)] = False,
    running: Annotated[
        str, option(StartConfig, "lock_wait_s", "--if-running", panel=RUN, metavar="fail|skip|wait[:AGE]")
    ] = "fail",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", rich_help_panel=RUN)
    ] = False,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Tell what happens line by line on standard error. Else: a live view on a terminal, one line at the"
            " end elsewhere.",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option("--summary", metavar="FILE", help="Write the run's figures there as JSON.", rich_help_panel=RUN),
    ] = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write metrics there, each 15 s and at the end: Prometheus' text format, for node_exporter.",
            rich_help_panel=RUN,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=65535,
            help="Serve the metrics at http://127.0.0.1:N/metrics while it runs.",
            rich_help_panel=RUN,
        ),
    ] = None,
) -> int:
    """Crawl from SEEDs into a SQLite file; the same command goes on where it was stopped.

    It fetches robots.txt first, keeps to it and to the delay, and stores every page with its text, metadata and links.
    Stop it with Ctrl-C, SIGTERM or SIGHUP at any time: nothing that was stored is lost.
    """
    skips, lock_wait_s = if_running(running)
    config = CrawlConfig(
        db=db,
        scope=ScopeConfig(
            scope=scope,
            include=tuple(include or ()),
            exclude=tuple(exclude or ()),
            drop_param=tuple(drop_param or ()),
            max_depth=max_depth,
            max_pages=max_pages,
            max_pages_per_host=max_pages_per_host,
            max_urls_per_host=max_urls_per_host,
            max_hosts_per_domain=max_hosts_per_domain,
            max_path_segments=max_path_segments,
            max_query_params=max_query_params,
            trap_rules=trap_rules,
            follow_nofollow=follow_nofollow,
        ),
        politeness=PolitenessConfig(
            delay_s=delay, per_host=per_host, per_ip=per_ip, concurrency=concurrency, ignore_robots=ignore_robots
        ),
        network=NetworkConfig(
            user_agent=user_agent,
            timeout_s=timeout,
            connect_timeout_s=connect_timeout,
            read_timeout_s=read_timeout,
            max_bytes=max_bytes,
            memory_bytes=memory,
            max_rate=size_bytes("--max-rate", max_rate),
            retries=retries,
            dns_server=dns_server,
            allow_private=tuple(allow_private or ()),
            cookies=cookies,
            proxy=proxy,
            insecure=insecure,
            headers=headers(header or ()),
        ),
        recrawl=RecrawlConfig(
            max_age_s="auto" if max_age == "auto" else age_s("--max-age", max_age),
            min_interval_s=age_s("--min-interval", min_interval) or 0.0,
            max_interval_s=age_s("--max-interval", max_interval) or 0.0,
            retry_failed=retry_failed,
        ),
        run=RunConfig(
            max_runtime_s=age_s("--max-runtime", max_runtime),
            max_wait_s=age_s("--max-wait", max_wait) or 0.0,
            grace_s=age_s("--grace", grace) or 0.0,
            parse_timeout_s=parse_timeout,
            bodies=bodies,
        ),
        start=StartConfig(fresh=fresh, lock_wait_s=lock_wait_s),
    )
    named = read_seeds(seeds or ())
    _check_files(db, {"--summary": summary, "--metrics-file": metrics_file}, goes_on=not named)
    observer = observer_for(db, quiet, log_format=log_format)
    given = given_fields(context, crawl)
    try:
        if not lock_wait_s:
            database_at(db).refuse_if_held()  # before what takes most of the time of a start
        from crawler.engine import Crawl

        with metered(observer, db, metrics_file, metrics_port) as metrics:
            result = run_crawl(Crawl(named, config, observer=metrics, handle_signals=True, given=given))
    except DatabaseBusyError as busy:
        if not skips:
            raise
        observer.notify(f"skipped: {busy}", urgent=True)
        return 0
    if summary is not None:
        write_summary(result, summary)
    return exit_status(result)


class CrawlCommand(TyperCommand):
    """Tells an error as the crawl tells the rest: with --log-format json, as an event."""

    def invoke(self, ctx: Any) -> Any:
        """Run it, and end with the error's status where the error has been told."""
        try:
            return super().invoke(ctx)
        except CrawlerError as error:
            observer = observer_for(ctx.params["db"], quiet=True, log_format=ctx.params["log_format"])
            if not isinstance(observer, JsonLines):
                raise
            observer.failed(error)
            return error.exit_status


def _check_files(db: Path, outputs: Mapping[str, Path | None], *, goes_on: bool) -> None:
    """What can be known before anything is made or fetched."""
    database = database_at(db)
    if not database.exists() and goes_on:
        raise UsageError(f"nothing to crawl: {db} is new; name a seed, such as https://example.com/")
    taken = {str(file): "the database" for file in database.files()}
    for flag, path in outputs.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise UsageError(f"{flag} {path} is {taken[place]}; name another file")
        taken[place] = f"that of {flag}"
        check_writable(flag, path)


def run_crawl(crawl: Crawl) -> Summary:
    """Run it in an event loop of its own: uvloop's where there is one (half as fast again as asyncio's)."""

    async def run() -> Summary:
        return await crawl

    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # hardly anything here is in a cycle, and looking for them costs 4 %
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
