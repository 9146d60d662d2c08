"""The command line: reads options, builds a `CrawlConfig`, calls, prints. No logic; one file a command.

Whatever the user did wrong ends as one line on standard error and the documented exit status.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import typer

from crawler.cli.crawl import crawl
from crawler.cli.demo import demo
from crawler.cli.status import status
from crawler.errors import CrawlerError

app = typer.Typer(
    name="crawler",
    help="A polite, resumable web crawler: one shared session in, one SQLite file out.",
    epilog="Exit status: 0 done, 1 unexpected error, 2 usage, 4 no seed could be fetched, 5 another run holds the"
    " database, 6 the database failed, 130/143 stopped by SIGINT/SIGTERM after a clean end.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(crawl)
app.command()(status)
app.command()(demo)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show_version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """A polite, resumable web crawler: one shared session in, one SQLite file out."""
    if show_version:
        from importlib.metadata import version

        typer.echo(f"crawler {version('crawler')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the documented status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a title may hold what the terminal's encoding does not
    try:
        status_code = app(list(arguments) if arguments is not None else None, standalone_mode=False)
    except CrawlerError as error:
        _end(str(error), error.exit_status)
    except typer.TyperException as error:
        _end(f"{error.format_message()} (see `crawler --help`)", 2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody to complain to
        sys.exit(1)
    sys.exit(status_code if isinstance(status_code, int) else 0)


def _end(message: str, exit_status: int) -> None:
    print(f"crawler: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - this is the command line
    sys.exit(exit_status)
