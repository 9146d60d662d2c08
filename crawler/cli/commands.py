"""Puts the commands together, and turns their errors into messages and exit statuses."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from crawler.cli.command import MAX_WIDTH, Group
from crawler.errors import CrawlerError
from crawler.output.streams import flush_output, write_out
from crawler.release import VERSION

# Module, function and, where it has one of its own, class. Each is imported once it is asked for.
COMMANDS = {
    "crawl": ("crawler.cli.crawl", "crawl", "CrawlCommand"),
    "worker": ("crawler.cli.worker", "worker", "WorkerCommand"),
    "add": ("crawler.cli.add", "add"),
    "init": ("crawler.cli.init", "init"),
    "status": ("crawler.cli.status", "status"),
    "plan": ("crawler.cli.plan", "plan"),
    "report": ("crawler.cli.report", "report"),
    "list": ("crawler.cli.list", "list_rows"),
    "show": ("crawler.cli.show", "show"),
    "why": ("crawler.cli.why", "why"),
    "diff": ("crawler.cli.diff", "diff"),
    "changes": ("crawler.cli.changes", "changes"),
    "search": ("crawler.cli.search", "search"),
    "export": ("crawler.cli.export", "export"),
    "extract": ("crawler.cli.extract", "extract"),
    "try": ("crawler.cli.try_page", "try_page"),
    "stop": ("crawler.cli.stop", "stop"),
    "prune": ("crawler.cli.prune", "prune"),
    "backup": ("crawler.cli.backup", "backup"),
    "copy": ("crawler.cli.copy", "copy"),
    "verify": ("crawler.cli.verify", "verify_database"),
    "serve": ("crawler.cli.serve", "serve"),
    "mcp": ("crawler.cli.mcp", "mcp"),
    "demo": ("crawler.cli.demo", "demo"),
    "help": ("crawler.cli.help", "show_help"),
}


class _Crawler(Group):
    """The program."""

    places = COMMANDS


app = typer.Typer(
    name="crawler",
    cls=_Crawler,
    help="A polite, resumable web crawler that stores its pages in one SQLite file.",
    epilog="Exit status: 0 done, 1 unexpected error, 2 usage, 4 no seed could be fetched, 5 another run holds the"
    " database, 6 database failure, 7 `report --fail-on` found something, 130 / 143 stopped"
    " cleanly by SIGINT / SIGTERM or SIGHUP.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH},
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show_version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """A polite, resumable web crawler that stores its pages in one SQLite file."""
    if show_version:
        from crawler.content.accelerated import fastest_walk

        _walk, its_name = fastest_walk()
        typer.echo(f"crawler {VERSION}, reading HTML in {its_name}")
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
