"""Puts the commands together, and turns their errors into messages and exit statuses."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from crawler.cli.add import add
from crawler.cli.backup import backup
from crawler.cli.changes import changes
from crawler.cli.command import MAX_WIDTH, Command, Group
from crawler.cli.crawl import CrawlCommand, crawl
from crawler.cli.demo import demo
from crawler.cli.diff import diff
from crawler.cli.help import show_help
from crawler.cli.init import init
from crawler.cli.list import list_rows
from crawler.cli.plan import plan
from crawler.cli.prune import prune
from crawler.cli.report import report
from crawler.cli.search import search
from crawler.cli.status import status
from crawler.cli.stop import stop
from crawler.cli.verify import verify_database
from crawler.errors import CrawlerError
from crawler.output.streams import flush_output, write_out

app = typer.Typer(
    name="crawler",
    cls=Group,
    help="A polite, resumable web crawler that stores its pages in one SQLite file.",
    epilog="Exit status: 0 done, 1 unexpected error, 2 usage, 4 no seed could be fetched, 5 another run holds the"
    " database, 6 database failure, 7 `report --fail-on` found something, 130 / 143 stopped"
    " cleanly by SIGINT / SIGTERM or SIGHUP.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH},
)
app.command(cls=CrawlCommand)(crawl)
app.command(cls=Command)(add)
app.command(cls=Command)(init)
app.command(cls=Command)(status)
app.command(cls=Command)(plan)
app.command(cls=Command)(report)
app.command("list", cls=Command)(list_rows)
app.command(cls=Command)(diff)
app.command(cls=Command)(changes)
app.command(cls=Command)(search)
app.command(cls=Command)(stop)
app.command(cls=Command)(prune)
app.command(cls=Command)(backup)
app.command("verify", cls=Command)(verify_database)
app.command(cls=Command)(demo)
app.command("help", cls=Command)(show_help)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show_version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """A polite, resumable web crawler that stores its pages in one SQLite file."""
    if show_version:
        from importlib.metadata import version

        from crawler.content.accelerated import fastest_walk

        _walk, its_name = fastest_walk()
        typer.echo(f"crawler {version('crawler')}, reading HTML in {its_name}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the documented exit status."""
    _replace_what_cannot_be_encoded()
    try:
        given = list(arguments) if arguments is not None else None
        result = _command_line()(given, prog_name="crawler", standalone_mode=False)
    except CrawlerError as error:
        return _failed(str(error), error.exit_status)
    except typer.TyperException as error:
        return _failed(f"{error.format_message()} (see `crawler --help`)", 2)
    except typer.Abort:
        return 130
    except SystemExit as ending:
        if isinstance(ending.__context__, BrokenPipeError):
            return _unwritten(ending.__context__)  # Typer has seen it first
        raise
    except OSError:
        unwritten = flush_output(more="\n")  # the output that failed may be gone by now, so try again with more
        if unwritten is None:
            raise  # the error was not about our output
        return _unwritten(unwritten)
    unwritten = flush_output()
    if unwritten is not None:
        return _unwritten(unwritten)
    return result if isinstance(result, int) else 0


@cache
def _command_line() -> Any:
    """What Typer makes of `app`, once a process: that takes as long as most commands themselves."""
    return typer.main.get_command(app)


def _replace_what_cannot_be_encoded() -> None:
    """A title may hold characters that the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _unwritten(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        return 0  # whoever read our output has seen enough, as `head` has
    return _failed(f"cannot write to standard output: {error.strerror}", 1)


def _failed(message: str, exit_status: int) -> int:
    write_out(sys.stderr, f"crawler: {' '.join(message.split())}\n")  # if nobody reads it, the exit status remains
    return exit_status
