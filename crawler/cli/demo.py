"""`crawler demo`: a crawl to watch, without internet."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crawler.cli.crawl import exit_status, run_crawl
from crawler.config import DEMO_DB
from crawler.errors import UsageError
from crawler.output.progress import observer_for
from crawler.output.streams import lasting_stream

if TYPE_CHECKING:
    from crawler.fakeweb import FakeWeb, Served


def demo(
    db: Annotated[Path, typer.Option("--db", metavar="PATH", help="Where to put the demo's crawl database.")] = DEMO_DB,
) -> int:
    """Crawl a small web served on loopback: several hosts, robots rules, redirects, errors. Needs no internet."""
    from crawler.demo.crawl import demo_crawl, next_steps  # imports the whole crawler, as do the imports below
    from crawler.demo.web import demo_web

    with serving(demo_web()) as served:
        summary = run_crawl(demo_crawl(served, db, observer_for(db, quiet=False)))
    if summary.complete:
        console = Console(file=lasting_stream(1), highlight=False, soft_wrap=True)
        console.print("\nThree things to try:")
        for shows, command in next_steps(db, _program()):
            console.print(f"\n  [dim]# {shows}[/dim]\n  [bold]{command}[/bold]", highlight=False)
    return exit_status(summary)


@contextmanager
def serving(web: FakeWeb) -> Iterator[Served]:
    """The demo's web, served. Raises `UsageError` where it cannot be."""
    with ExitStack() as stack:
        try:
            served = stack.enter_context(web.running())
        except OSError as error:
            raise UsageError(f"cannot serve the demo's web: {_remedy(error, web)}") from error
        yield served


def _remedy(error: OSError, web: FakeWeb) -> str:
    """Linux has all of 127.0.0.0/8; other systems have the first address of it alone."""
    if error.errno != errno.EADDRNOTAVAIL:
        return error.strerror or str(error)
    addresses = sorted({site.address for site in web.sites.values()} - {"127.0.0.1"}, key=ip_address)
    return (
        f"it needs the addresses {addresses[0]} to {addresses[-1]}, and this system lacks some;"
        f" add each as `sudo ifconfig lo0 alias {addresses[0]}` adds the first, then run the demo again"
    )


def _program() -> str:
    """How to call this program again: by its name if that is in PATH, otherwise as it was called."""
    if shutil.which("crawler"):
        return "crawler"
    return f"{sys.executable} -m crawler" if Path(sys.argv[0]).name == "__main__.py" else sys.argv[0]
